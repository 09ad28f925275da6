"""One self-contained HTML page: results, learning curves, gallery, how it was made. Opens offline, anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from openpair.datatypes.columns import Protocol, StateIndex
from openpair.datatypes.scores import SHORT_NAMES, metric_names
from openpair.evaluation.statistics import Estimate
from openpair.evaluation.summary import AgentSummary, Summary
from openpair.evaluation.tables import difference_text, interval, percent, results_table
from openpair.files import write_atomically
from openpair.visualization.assets import PAGE, bundle, json_text, page_policy, read_asset
from openpair.visualization.charts import interval_bar, line_chart, nice_ticks
from openpair.visualization.glossary import formula, glossary
from openpair.visualization.report_data import Comparison, ReportData, difference, verdict
from openpair.visualization.scene_data import scene_data
from openpair.visualization.scene_page import STYLES
from openpair.visualization.scene_view import GalleryScene


def write_report(data: ReportData, path: Path) -> int:
    """Write the page, whole or not at all; returns its size [bytes]."""
    page = render_report(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page)
    return len(page.encode())


def render_report(data: ReportData) -> str:
    """Text of the page. No address outside itself occurs in it. Raises KeyError for a comparison of unknown agents."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(read_asset("report.html.j2"))
    scenes = {str(i): scene_data(item.view, log=item.log, sensors=item.sensors) for i, item in enumerate(data.scenes)}
    script = f"const SCENES = {json_text(scenes)};\n{bundle(PAGE / 'report.js')}"
    style = "".join(map(read_asset, STYLES))
    protocol = Protocol(data.evaluation.protocol)
    return template.render(
        data=data,
        policy=page_policy([script], [style]),
        style=Markup(style),
        script=Markup(script),
        table=_table_view(data.evaluation, data),
        further=[(item, _table_view(item.evaluation, data)) for item in data.further],
        comparisons=_comparison_views(data),
        charts=[(branch, [(panel, Markup(line_chart(panel))) for panel in branch.panels]) for branch in data.branches],
        scenes=[_scene_about(item) for item in data.scenes],
        scenes_link=data.scenes_link,
        tags=_tags(data),
        glossary=glossary(protocol),
        formula=formula(protocol),
        made=_made(data),
    )


def _table_view(summary: Summary, data: ReportData) -> dict[str, Any]:
    """Rows of a results table with their interval drawings; rows that use the truth apart."""
    table = results_table(summary, data.labels)
    names = metric_names(Protocol(summary.protocol))
    low, high = _scale([agent.score for agent in summary.agents])
    by_truth: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for agent in summary.agents:
        by_truth[agent.uses_truth].append(_agent_view(agent, names, data, low, high))
    return {
        "metrics": [(SHORT_NAMES[name], name.replace("_", " ")) for name in names],
        "score_name": summary.score_name,
        "plain": by_truth[False],
        "truth": by_truth[True],
        "caption": table.caption,
        "failures": summary.failures,
        "failed": summary.scenes_failed,
        "expected": summary.scenes_expected,
        "scale": (f"{100 * low:.0f}", f"{100 * high:.0f}"),
    }


REFERENCE_KINDS = ("human", "constant_velocity", "pdm_closed")
"""Agents that learn nothing: shown for comparison."""


def _agent_view(
    agent: AgentSummary, names: tuple[str, ...], data: ReportData, low: float, high: float
) -> dict[str, Any]:
    return {
        "label": data.labels.get(agent.name, agent.name),
        "description": data.descriptions.get(agent.name, ""),
        "metrics": [percent(100 * agent.metrics[name].mean) for name in names],
        "score": percent(100 * agent.score.mean),
        "interval": interval(100 * agent.score.low, 100 * agent.score.high),
        "drawing": Markup(interval_bar(agent.score, low, high)),
        "scored": agent.scenes_scored,
        "failed": agent.scenes_failed,
        "learned": agent.kind not in REFERENCE_KINDS,
        "method": agent.name == data.method,
    }


def _comparison_views(data: ReportData) -> list[dict[str, Any]]:
    estimates = [difference(data.evaluation, item.first, item.second) for item in data.comparisons]
    low, high = _scale([*estimates, Estimate(0.0, 0.0, 0.0, 1, 2)])
    reach = max(abs(low), abs(high))
    return [
        _comparison_view(item, estimate, reach, data)
        for item, estimate in zip(data.comparisons, estimates, strict=True)
    ]


def _comparison_view(item: Comparison, estimate: Estimate, reach: float, data: ReportData) -> dict[str, Any]:
    said = verdict(estimate)
    return {
        "question": item.question,
        "first": data.labels.get(item.first, item.first),
        "second": data.labels.get(item.second, item.second),
        "text": difference_text(estimate),
        "verdict": said,
        "kind": said.split()[0],
        "drawing": Markup(interval_bar(estimate, -reach, reach, zero=True, name=said.split()[0])),
        "scenes": estimate.num_scenes,
        "logs": estimate.num_logs,
    }


def _scale(estimates: list[Estimate]) -> tuple[float, float]:
    """Round ends of a common scale for estimates."""
    values = [v for e in estimates for v in (e.low, e.mean, e.high) if math.isfinite(v)]
    ticks = nice_ticks(min(values, default=0.0), max(values, default=1.0))
    return ticks[0], ticks[-1]


def _scene_about(item: GalleryScene) -> dict[str, Any]:
    """What stands above a scene of the gallery."""
    velocity = item.view.scene.ego_state[[StateIndex.VELOCITY_X, StateIndex.VELOCITY_Y]]
    return {
        "title": item.title,
        "note": item.note,
        "token": item.view.scene.token,
        "log": item.log,
        "tags": item.tags,
        "speed": f"{math.hypot(*velocity) * 3.6:.0f} km/h",
    }


def _tags(data: ReportData) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for scene in data.scenes:
        for tag in scene.tags:
            counts[tag] = counts.get(tag, 0) + 1
    return list(counts.items())


def _made(data: ReportData) -> list[tuple[str, str]]:
    """Facts given, then those that the evaluation knows of itself."""
    summary = data.evaluation
    versions = ", ".join(f"{name} {number}" for name, number in summary.versions.items())
    variant = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in summary.variant.items())
    facts = [
        *data.made,
        ("Protocol", f"NAVSIM {summary.protocol} ({variant})"),
        ("Seed", str(summary.seed)),
        ("Versions", versions),
        ("Data hash", summary.data_sha256),
    ]
    for agent in summary.agents:
        if agent.checkpoint_sha256:
            facts.append((f"Checkpoint of {data.labels.get(agent.name, agent.name)}", agent.checkpoint_sha256))
    given = {name for name, _ in data.made}
    return [*data.made, *(fact for fact in facts[len(data.made) :] if fact[0] not in given)]
