"""Figures of the results page as SVG files: panels of curves, and means with their intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from openpair.evaluation.statistics import Estimate
from openpair.visualization.charts import HEIGHT, WIDTH, line_chart, nice_ticks, tick_text
from openpair.visualization.report_data import CurvePanel
from openpair.visualization.svg import element, number

GAP, TITLE, ENTRY = 24, 26, 17
COLOURS = ("#0b62d6", "#d9642a", "#08857f", "#8b3fd9", "#b28704", "#5c6672")
STYLE = (
    "text{font:12.5px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#5c6672}.title{font-weight:600;fill:#1a1f26}"
    ".paper{fill:#fff}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".chart path{fill:none}.grid{stroke:#e3e5e3;fill:none}"
    ".line{stroke-width:2;stroke-linejoin:round;fill:none}.dashed{stroke-dasharray:5 4;stroke-width:1.5}"
    ".points{stroke-width:5.5;stroke-linecap:round}.cursor{display:none}.chart .band{fill-opacity:.14}"
    ".span{stroke-width:3;stroke-linecap:round;opacity:.5}"
    + "".join(
        f".line.c{i},.points.c{i},.span.c{i}{{stroke:{c}}}.chart .band.c{i},.dot.c{i}{{fill:{c}}}"
        for i, c in enumerate(COLOURS)
    )
)


def curves_figure(panels: Sequence[CurvePanel], columns: int = 3) -> str:
    """Panels side by side, each with its legend; text of an SVG file."""
    columns = min(columns, len(panels))
    parts, top = [], float(GAP)
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        entries = max(len(panel.series) for panel in row)
        for place, panel in enumerate(row):
            parts.append(_panel(panel, GAP + place * (WIDTH + GAP), top, entries))
        top += TITLE + entries * ENTRY + HEIGHT + GAP
    return _file(GAP + columns * (WIDTH + GAP), top, parts)


def _panel(panel: CurvePanel, x: float, y: float, entries: int) -> str:
    unit = "%" if panel.percent and panel.y_label != "PDMS" else panel.y_label
    parts = [element("text", escape(f"{panel.title} [{unit}]" if unit else panel.title), class_="title", x=x, y=y + 8)]
    for index, series in enumerate(panel.series):
        at = y + TITLE + index * ENTRY
        name = f"line c{index % len(COLOURS)}" + (" dashed" if series.dashed else "")
        parts.append(element("path", class_=name, d=f"M{number(x + 4)} {number(at)}h24"))
        parts.append(element("text", escape(series.label), x=x + 36, y=at + 4))
    chart = re.sub(r' data-chart="[^"]*"', "", line_chart(panel))
    at = y + TITLE + entries * ENTRY
    place = f'x="{number(x)}" y="{number(at)}" width="{WIDTH}" height="{HEIGHT}"'
    return "".join(parts) + chart.replace("<svg ", f"<svg {place} ", 1)


@dataclass(frozen=True)
class Bar:
    """A mean with its interval.

    Attributes:
        label: what readers call it.
        estimate: in points.
        colour: index into the palette.
    """

    label: str
    estimate: Estimate
    colour: int = 5


def intervals_figure(columns: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Means with 95% intervals, one row an agent, a column for each score; text of an SVG file.

    Args:
        columns: (title, bars); all columns have the same labels in the same order.
    """
    labels = [bar.label for bar in columns[0][1]]
    width, label_width, row, top = 330.0, 330.0, 26.0, 46.0
    bottom = top + row * len(labels)
    parts = [
        element("text", escape(label), class_="end", x=GAP + label_width - 10, y=top + row * (i + 0.5) + 4)
        for i, label in enumerate(labels)
    ]
    for place, (title, bars) in enumerate(columns):
        left = GAP + label_width + place * (width + 2 * GAP) + 10
        ends = [v for bar in bars for v in (bar.estimate.mean, bar.estimate.low, bar.estimate.high) if np.isfinite(v)]
        ticks = nice_ticks(min(ends, default=0.0), max(ends, default=1.0))

        def at(value: float, left: float = left, ticks: Sequence[float] = ticks) -> float:
            return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * width

        parts.append(element("text", escape(title), class_="title mid", x=left + width / 2, y=top - 20.0))
        for tick in ticks:
            parts.append(element("path", class_="grid", d=f"M{number(at(tick))} {number(top)}V{number(bottom)}"))
            parts.append(element("text", tick_text(tick, ticks), class_="mid", x=at(tick), y=bottom + 16))
        for i, bar in enumerate(bars):
            middle, colour = top + row * (i + 0.5), f"c{bar.colour}"
            if bar.estimate.has_interval:
                span = f"M{number(at(bar.estimate.low))} {number(middle)}H{number(at(bar.estimate.high))}"
                parts.append(element("path", class_=f"span {colour}", d=span))
            if np.isfinite(bar.estimate.mean):
                parts.append(element("circle", class_=f"dot {colour}", cx=at(bar.estimate.mean), cy=middle, r=4.4))
    return _file(2 * GAP + label_width + len(columns) * (width + 2 * GAP), bottom + 32.0, parts)


def _file(width: float, height: float, parts: Sequence[str]) -> str:
    paper = element("rect", class_="paper", width=width, height=height)
    return (
        element(
            "svg",
            [element("style", STYLE), paper, *parts],
            xmlns="http://www.w3.org/2000/svg",
            width=width,
            height=height,
            viewBox=f"0 0 {number(width)} {number(height)}",
        )
        + "\n"
    )
