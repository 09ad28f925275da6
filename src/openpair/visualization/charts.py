"""Charts as inline SVG: learning curves, and intervals on a common scale. The page's script adds the hover."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from openpair.evaluation.statistics import Estimate
from openpair.visualization.report_data import CurvePanel, Series
from openpair.visualization.svg import element, line_path, number

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 12, 40


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover [low, high]: steps of 1, 2, 2.5 or 5 times a power of ten."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def line_chart(panel: CurvePanel) -> str:
    """``<svg>`` of a chart; ``data-chart`` holds its points for the hover."""
    factor = 100.0 if panel.percent else 1.0
    xs = np.concatenate([np.asarray(series.x, dtype=float) for series in panel.series] or [np.zeros(0)])
    ys = np.concatenate([_extent(series) for series in panel.series] or [np.zeros(0)]) * factor
    ys = ys[np.isfinite(ys)]
    scale: Callable[[Any], np.ndarray] = np.log10 if panel.log_x else np.asarray
    x_low, x_high = (float(scale(xs.min())), float(scale(xs.max()))) if len(xs) else (0.0, 1.0)
    if x_high <= x_low:
        x_high = x_low + 1.0
    y_ticks = nice_ticks(float(ys.min()), float(ys.max())) if len(ys) else [0.0, 1.0]
    round_ticks = [tick for tick in nice_ticks(x_low, x_high) if x_low - 1e-9 <= tick <= x_high + 1e-9]
    x_ticks = sorted(set(xs.tolist())) if panel.log_x else round_ticks

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        across = LEFT + (scale(np.asarray(x, dtype=float)) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        up = (np.asarray(y, dtype=float) - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return np.stack([across, HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)], axis=-1)

    parts = []
    for tick in y_ticks:
        y = float(place(np.array(1.0), np.array(tick))[1])
        parts.append(element("path", class_="grid", d=f"M{LEFT} {number(y)}H{WIDTH - RIGHT}"))
        parts.append(element("text", tick_text(tick, y_ticks), class_="tick end", x=LEFT - 7, y=y + 3.5))
    for tick in x_ticks:
        x = float(place(np.array(tick), np.array(y_ticks[0]))[0])
        text = f"{tick:g}" if panel.log_x else tick_text(tick, x_ticks)
        parts.append(element("text", text, class_="tick mid", x=x, y=HEIGHT - BOTTOM + 16))
    parts.append(element("text", _escape(panel.x_label), class_="axis mid", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6))
    hover = []
    for index, series in enumerate(panel.series):
        along, values = np.asarray(series.x, dtype=float), np.asarray(series.y, dtype=float) * factor
        if series.low is not None and series.high is not None:
            low, high = np.asarray(series.low, dtype=float) * factor, np.asarray(series.high, dtype=float) * factor
            band = np.concatenate([place(along, low), place(along, high)[::-1]])
            band = band[np.isfinite(band).all(axis=1)]
            if len(band) > 2:
                parts.append(element("path", class_=f"band c{index % 6}", d=line_path(band, closed=True)))
        name = f"line c{index % 6}" + (" dashed" if series.dashed else "")
        points = place(along, values)
        parts.append(element("path", class_=name, d="".join(line_path(run) for run in _runs(points))))
        if len(along) <= 30 and not series.dashed:
            dots = "".join(f"M{number(p[0])} {number(p[1])}h0" for p in points[np.isfinite(points).all(axis=1)])
            parts.append(element("path", class_=f"points c{index % 6}", d=dots))
        keep = np.isfinite(points).all(axis=1)
        hover.append(
            {
                "label": series.label,
                "x": [round(float(v), 4) for v in along[keep]],
                "y": [float(f"{v:.4g}") for v in values[keep]],
                "at": [[round(float(a), 1), round(float(b), 1)] for a, b in points[keep]],
            }
        )
    parts.append(element("path", class_="cursor", d=""))
    data = json.dumps({"x": panel.x_label, "percent": panel.percent, "series": hover}, separators=(",", ":"))
    label = f"{panel.title}: {panel.y_label} over {panel.x_label}"
    title = element("title", _escape(label))
    return element("svg", [title, *parts], class_="chart", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", data_chart=data)


def interval_bar(estimate: Estimate, low: float, high: float, *, zero: bool = False, name: str = "") -> str:
    """A dot with its interval on a scale from ``low`` to ``high``; ``zero`` draws a line at 0."""
    width, height = 220.0, 22.0
    middle = height / 2

    def at(value: float) -> float:
        return 6 + (min(max(value, low), high) - low) / max(high - low, 1e-9) * (width - 12)

    parts = [element("path", class_="rail", d=f"M6 {number(middle)}H{number(width - 6)}")]
    if zero and low <= 0 <= high:
        parts.append(element("path", class_="zero", d=f"M{number(at(0.0))} 2V{number(height - 2)}"))
    if estimate.has_interval:
        span = f"M{number(at(estimate.low))} {number(middle)}H{number(at(estimate.high))}"
        parts.append(element("path", class_="span", d=span))
    if math.isfinite(estimate.mean):
        parts.append(element("circle", class_="dot", cx=at(estimate.mean), cy=middle, r=4.2))
    return element(
        "svg",
        parts,
        class_=f"interval {name}".strip(),
        viewBox=f"0 0 {number(width)} {number(height)}",
        aria_hidden="true",
    )


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """A tick with as many decimals as its neighbours need; thousands as k."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(value) or 1.0
    if step >= 1000:
        return f"{value / 1000:g}k" if value else "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if not math.isclose(step * 10**decimals, round(step * 10**decimals)):
        decimals += 1
    return f"{value:.{decimals}f}"


def _extent(series: Series) -> np.ndarray:
    return np.concatenate([np.asarray(v, dtype=float) for v in (series.y, series.low, series.high) if v is not None])


def _runs(points: np.ndarray) -> list[np.ndarray]:
    """Unbroken pieces of a line with gaps."""
    finite = np.isfinite(points).all(axis=1)
    pieces = np.split(points, np.flatnonzero(~finite))
    kept = [piece[np.isfinite(piece).all(axis=1)] for piece in pieces]
    return [piece for piece in kept if len(piece) > 1]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
