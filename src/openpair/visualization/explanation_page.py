"""An explained plan as text for the terminal and as one self-contained HTML page."""

from __future__ import annotations

import textwrap
from pathlib import Path

from openpair.files import write_atomically
from openpair.visualization.drawing import draw_scene, svg_file
from openpair.visualization.explanation import Explanation, plain
from openpair.visualization.findings import Finding
from openpair.visualization.scene_page import scene_page
from openpair.visualization.scene_view import DrawnPlan, SceneView


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
    write_atomically(path, svg_file(draw_scene(view_of(explanation))) if svg else explanation_page(explanation))


def view_of(explanation: Explanation) -> SceneView:
    """The scene with this plan alone."""
    return SceneView(explanation.scene, (DrawnPlan("p0", explanation, 0),))


def explanation_page(explanation: Explanation) -> str:
    """Text of the page. No address outside itself occurs in it."""
    score = f"{explanation.score_name} {plain(explanation.score)}"
    return scene_page(
        view_of(explanation),
        title=f"{score}: {explanation.scene.token}, {explanation.label}",
        heading=score,
        headline=explanation.headline(),
        about=f"{explanation.label}, NAVSIM {explanation.protocol.value}",
        caption=_caption(explanation),
        all_reasons=True,
    )


def _caption(explanation: Explanation) -> str:
    unknown = [finding.short for finding in explanation.findings if finding.value != finding.value]
    said = "The first factors multiply; the bracket is a weighted mean. Space plays, arrows step."
    return said + (f" {unknown[0]} is not defined here, so its weight is left out." if unknown else "")
