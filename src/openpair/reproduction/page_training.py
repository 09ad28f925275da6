"""The results page's section on the length of training: table and chart."""

from __future__ import annotations

from collections.abc import Sequence

from openpair.evaluation.tables import interval
from openpair.reproduction.choices import Choices
from openpair.reproduction.markdown import counted, number, signed, signed_interval, table_lines
from openpair.reproduction.page_rows import PageInput, shown
from openpair.reproduction.results import TRAINED_AGENTS, TRAINED_DIFFERENCES, TRAINING, ResultRow, find
from openpair.visualization.report_data import CurvePanel, Series

ALONE = ("il", "tree_mean", "best_sequential")
"""Agents without a reward model: the first chart."""


def training_section(page: PageInput) -> str:
    """How the answer depends on the length of training; empty where one length alone was trained."""
    rows = find(page.rows, table=TRAINING)
    if not rows:
        return ""
    choices = page.evidence.choices
    budgets = sorted({row.budget for row in rows if row.budget is not None})
    seeds = {budget: max(row.seeds for row in find(rows, budget=budget)) for budget in budgets}
    header = ["", *(f"{budget}x ({counted(seeds[budget], 'seed')})" for budget in budgets)]
    lines = []
    for agent in (*TRAINED_AGENTS, *(f"{first} - {second}" for first, second in TRAINED_DIFFERENCES)):
        if find(rows, agent=agent):
            lines.append([shown(agent, choices), *(_cell(rows, agent, budget) for budget in budgets)])
    pictures = page.pictures.get("training", ())
    return "\n".join(
        [
            "## How long to train",
            "",
            "PDMS on the test towns by length of training: 1x is the demo's number of steps, and every network trains "
            "so many times as long. Data, networks and the way to plan are the same; the validation towns chose once, "
            f"at {page.budget}x. Intervals are over seeds and logs; with one seed they leave the seeds out.",
            "",
            *(line for picture in pictures for line in (f"![{picture.caption}]({picture.path})", "")),
            *table_lines(header, lines, "l" + "r" * len(budgets)),
        ]
    )


def _cell(rows: Sequence[ResultRow], agent: str, budget: int) -> str:
    """A mean or a difference with its interval, or a dash."""
    found = find(rows, agent=agent, budget=budget)
    if not found:
        return "-"
    (row,) = found
    is_difference = " - " in agent
    return (
        f"{signed(row.mean)} {signed_interval(row)}"
        if is_difference
        else f"{number(row.mean)} ({interval(row.low, row.high)})"
    )


def training_panels(rows: Sequence[ResultRow], choices: Choices | None) -> list[CurvePanel]:
    """PDMS over the length of training: agents without a reward model, and with one."""
    own = find(rows, table=TRAINING)

    def series(agent: str) -> Series:
        found = sorted(find(own, agent=agent), key=lambda row: row.budget or 0)
        along = [float(row.budget or 0) for row in found]
        mean, low, high = ([getattr(row, name) / 100 for row in found] for name in ("mean", "low", "high"))
        return Series(shown(agent, choices), along, mean, low=low, high=high)

    panels = []
    for title, agents in (
        ("Without a reward model", ALONE),
        ("With the reward model", tuple(agent for agent in TRAINED_AGENTS if agent not in ALONE)),
    ):
        lines = tuple(series(agent) for agent in agents if find(own, agent=agent))
        if lines:
            panels.append(
                CurvePanel(title, "length of training (1: the demo's)", "PDMS", lines, percent=True, log_x=True)
            )
    return panels
