"""The results table: one content, three forms (terminal, Markdown, plain rows)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES, metric_names
from openpair.evaluation.statistics import Estimate
from openpair.evaluation.summary import AgentSummary, Summary

TRUTH_MARK = "†"
TRUTH_NOTE = f"{TRUTH_MARK} the true score, unknown to a driving car, picks the plan: an upper bound, not an agent"
FEW_LOGS = 10


@dataclass(frozen=True)
class TableRow:
    """One agent. All numbers in percent.

    Attributes:
        agent: its name, marked where it uses the truth.
        uses_truth: such rows stand apart, last.
        metrics: mean of each sub-metric by short name; NaN where undefined.
        score: mean score.
        low, high: its 95% interval; NaN where there is none.
        scored, failed: scenes.
    """

    agent: str
    uses_truth: bool
    metrics: dict[str, float]
    score: float
    low: float
    high: float
    scored: int
    failed: int


@dataclass(frozen=True)
class ResultsTable:
    """Rows of a results table; plans made without the truth first.

    Attributes:
        score_name: "PDMS" or "EPDMS".
        metric_names: short names of the sub-metrics, in published order.
        rows: agents.
        caption: dataset, scenes, protocol and what to know to read the numbers.
    """

    score_name: str
    metric_names: tuple[str, ...]
    rows: tuple[TableRow, ...]
    caption: str


def results_table(summary: Summary, labels: dict[str, str] | None = None) -> ResultsTable:
    """The table of a summary. ``labels`` replaces agent names by names for readers."""
    names = metric_names(Protocol(summary.protocol))
    rows = [row for agent in summary.agents for row in _rows(agent, names, labels or {})]
    ordered = [row for row in rows if not row.uses_truth] + [row for row in rows if row.uses_truth]
    return ResultsTable(
        summary.score_name, tuple(SHORT_NAMES[name] for name in names), tuple(ordered), _caption(summary)
    )


def _rows(agent: AgentSummary, names: tuple[str, ...], labels: dict[str, str]) -> list[TableRow]:
    """One row; in two stages a row for each stage before that of both, which has no sub-metrics of its own."""
    whole = _row(agent, names, labels)
    if agent.stages is None:
        return [whole]
    parts = []
    for stage, means in agent.stages.items():
        metrics = {SHORT_NAMES[name]: 100 * means[name] for name in names}
        label = f"{labels.get(agent.name, agent.name)}, {stage.replace('_', ' ')}"
        parts.append(
            replace(whole, agent=label, metrics=metrics, score=100 * means["score"], low=math.nan, high=math.nan)
        )
    return [*parts, replace(whole, metrics=dict.fromkeys(whole.metrics, math.nan))]


def _row(agent: AgentSummary, names: tuple[str, ...], labels: dict[str, str]) -> TableRow:
    label = labels.get(agent.name, agent.name)
    return TableRow(
        agent=f"{label} {TRUTH_MARK}" if agent.uses_truth else label,
        uses_truth=agent.uses_truth,
        metrics={SHORT_NAMES[name]: 100 * agent.metrics[name].mean for name in names},
        score=100 * agent.score.mean,
        low=100 * agent.score.low,
        high=100 * agent.score.high,
        scored=agent.scenes_scored,
        failed=agent.scenes_failed,
    )


def _caption(summary: Summary) -> str:
    num_logs = max((agent.score.num_logs for agent in summary.agents), default=0)
    split = f" {summary.split}" if summary.split else ""
    parts = [
        f"{summary.dataset}{split}, {summary.scenes_scored} of {summary.scenes_expected} scenes scored by all agents, "
        f"{num_logs} logs, protocol {summary.protocol}, seed {summary.seed}."
    ]
    if not summary.selection.startswith("all "):
        parts.append(f"Scenes: {summary.selection}.")
    two_stages = summary.variant.get("stages") == 2
    if two_stages:
        mappings = max((agent.score.num_scenes for agent in summary.agents), default=0)
        parts.append(f"Two stages: means and intervals over {mappings} mappings; traffic answers the plans.")
    rated = [] if two_stages or summary.score_name != "EPDMS" else summary.agents
    comfort = [agent.metrics["two_frame_extended_comfort"] for agent in rated]
    if any(ec.num_scenes < a.scenes_scored for ec, a in zip(comfort, summary.agents, strict=False)):
        parts.append(f"EC over the {max(ec.num_scenes for ec in comfort)} scenes with a scene half a second before.")
    if num_logs == 1:
        parts.append("No intervals: they resample logs, and there is one.")
    elif 1 < num_logs < FEW_LOGS:
        parts.append(f"Intervals by log from {num_logs} logs are rough.")
    if summary.scenes_failed:
        failed = f"{summary.scenes_failed} scene{'s' if summary.scenes_failed > 1 else ''} FAILED"
        parts.append(f"{failed}: each mean is over the scenes its agent was scored on, which differ.")
    if any(agent.uses_truth for agent in summary.agents):
        parts.append(TRUTH_NOTE + ".")
    return " ".join(parts)


def print_table(table: ResultsTable) -> None:
    """Print to the terminal; numbers are never cut, even where the terminal is narrower than the table."""
    drawn = terminal_table(table)
    console = Console()
    needed = Measurement.get(console, console.options.update(max_width=1000), drawn).maximum
    Console(width=max(console.width, needed)).print(drawn)
    console.print(table.caption, style="dim")


def terminal_table(table: ResultsTable) -> Table:
    """For a rich console; the caption is printed apart."""
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("agent", no_wrap=True)
    for name in table.metric_names:
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column(table.score_name, justify="right", style="bold", no_wrap=True)
    drawn.add_column("95% interval", justify="right", no_wrap=True)
    drawn.add_column("scenes", justify="right", no_wrap=True)
    previous_truth = False
    for row in table.rows:
        if row.uses_truth and not previous_truth:
            drawn.add_section()
        previous_truth = row.uses_truth
        failed = f" [red]({row.failed} failed)[/red]" if row.failed else ""
        numbers = [percent(row.metrics[name]) for name in table.metric_names]
        drawn.add_row(
            row.agent,
            *numbers,
            percent(row.score),
            interval(row.low, row.high),
            f"{row.scored}{failed}",
            style="dim" if row.uses_truth else None,
        )
    return drawn


def markdown_table(table: ResultsTable) -> str:
    """GitHub Markdown, caption below."""
    header = ["agent", *table.metric_names, table.score_name, "95% interval", "scenes"]
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    for row in table.rows:
        numbers = [percent(row.metrics[name]) for name in table.metric_names]
        scenes = f"{row.scored} ({row.failed} failed)" if row.failed else str(row.scored)
        score = f"**{percent(row.score)}**" if not row.uses_truth else percent(row.score)
        lines.append("| " + " | ".join([row.agent, *numbers, score, interval(row.low, row.high), scenes]) + " |")
    return "\n".join(lines) + f"\n\n{table.caption}\n"


def csv_rows(table: ResultsTable) -> list[list[str]]:
    """Header and rows with all digits, for a CSV file."""
    header = ["agent", "uses_truth", *table.metric_names, table.score_name, "low", "high", "scored", "failed"]
    rows = [header]
    for row in table.rows:
        numbers = [row.metrics[name] for name in table.metric_names] + [row.score, row.low, row.high]
        cells = ["" if math.isnan(number) else repr(number) for number in numbers]
        rows.append([row.agent, str(row.uses_truth).lower(), *cells, str(row.scored), str(row.failed)])
    return rows


def percent(value: float) -> str:
    """One decimal, or a dash for an undefined number."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def interval(low: float, high: float) -> str:
    """``81.2 to 84.0``, or a dash."""
    return "-" if math.isnan(low) or math.isnan(high) else f"{low:.1f} to {high:.1f}"


def difference_text(estimate: Estimate) -> str:
    """A difference of scores in points: ``+5.7 [+3.1, +8.2]``."""
    if math.isnan(estimate.mean):
        return "-"
    text = f"{100 * estimate.mean:+.1f}"
    return f"{text} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]" if estimate.has_interval else text
