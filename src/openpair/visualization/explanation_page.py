"""An explained plan as text for the terminal and as one self-contained HTML page."""

from __future__ import annotations

import json
import textwrap
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from openpair import __version__
from openpair.files import write_atomically
from openpair.visualization.bev import BEV_STYLE
from openpair.visualization.explanation import Explanation, plain
from openpair.visualization.explanation_drawing import (
    draw_explanation,
    explanation_style,
    explanation_svg,
    movements,
)
from openpair.visualization.findings import Finding, seconds

TEMPLATES = resources.files("openpair.visualization") / "templates"


def explanation_text(explanation: Explanation, width: int = 100) -> str:
    """Lines for a terminal: each sub-metric with its reason, then the arithmetic."""
    head = f"{explanation.scene.token}, {explanation.label}: {explanation.score_name} {plain(explanation.score)}"
    lines = [f"{head} (NAVSIM {explanation.protocol.value})", explanation.headline(), ""]
    for finding in explanation.findings:
        mark = ">" if finding is explanation.first else " "
        reason = finding.text + ("" if finding.counts or finding.value != finding.value else "; reported only")
        text = textwrap.wrap(reason, max(30, width - 16))
        lines.append(f"{mark} {finding.short:<4} {value_text(finding):<7} {text[0]}")
        lines += [f"{'':<15}{line}" for line in text[1:]]
    lines += ["", *explanation.arithmetic()]
    if plain(explanation.score_unfiltered) != plain(explanation.score):
        lines.append(f"without the human filter: {plain(explanation.score_unfiltered)}")
    return "\n".join(lines)


def value_text(finding: Finding) -> str:
    """Value of a sub-metric; a dash where it is not defined."""
    return "–" if finding.value != finding.value else plain(finding.value)


def write_explanation(explanation: Explanation, path: Path) -> None:
    """Write the page (.html), or the drawing alone (.svg), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = path.suffix == ".svg"
    write_atomically(path, explanation_svg(explanation) if svg else explanation_page(explanation))


def explanation_page(explanation: Explanation) -> str:
    """Text of the page. No address outside itself occurs in it."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    first = explanation.first
    step = 0 if first is None or first.step is None else first.step
    style = _read("report.css") + BEV_STYLE + _read("report_bev.css") + explanation_style() + _read("explanation.css")
    return environment.from_string(_read("explanation.html.j2")).render(
        it=explanation,
        score=plain(explanation.score),
        unfiltered=plain(explanation.score_unfiltered),
        filtered=plain(explanation.score_unfiltered) != plain(explanation.score),
        style=Markup(style),
        drawing=Markup(draw_explanation(explanation)),
        step=step,
        time=seconds(step),
        rows=[_row(explanation, finding) for finding in explanation.findings],
        weights=_weights(explanation),
        version=__version__,
        moves=Markup(json.dumps(movements(explanation), separators=(",", ":"))),
        script=Markup(_read("explanation.js")),
    )


def _row(explanation: Explanation, finding: Finding) -> dict[str, Any]:
    gain = explanation.score_with(finding.name) if finding.counts and finding.value < 1.0 else None
    kind = "whole" if finding.value == 1.0 else "lost" if finding.value == 0.0 else "partly"
    if not finding.counts:
        kind = "aside"
    return {
        "name": finding.name.replace("_", " "),
        "short": finding.short,
        "value": value_text(finding),
        "text": finding.text + ("; reported only" if not finding.counts and finding.value == finding.value else ""),
        "gain": "" if gain is None else plain(gain),
        "kind": f"{kind} first" if finding is explanation.first else kind,
        "step": finding.step,
    }


def _weights(explanation: Explanation) -> str:
    unknown = [finding.short for finding in explanation.findings if finding.value != finding.value]
    said = "The first factors multiply; the bracket is a weighted mean."
    return said + (f" {unknown[0]} is not defined here, so its weight is left out." if unknown else "")


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
