"""Tables of results.md that show what was chosen among on the validation towns: a grid of scores each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from openpair.reproduction.agents import BASE, label_of
from openpair.reproduction.choices import (
    CONTROLS,
    MANNERS,
    MEANS,
    ROOTS,
    TREE_MEAN,
    manner_name,
    root_name,
    use_name,
    uses_around_humans,
)
from openpair.reproduction.markdown import counted, table_lines, with_half
from openpair.reproduction.results import VALIDATION, ResultRow
from openpair.reproduction.settings import (
    EVERY_USE,
    MEAN_USES,
    PREVIOUS_PLAN_BONUSES,
    REROOTS,
    ROOT_BONUSES,
    STRENGTHS,
    TEMPERATURES,
)


def manners(rows: Sequence[ResultRow]) -> list[str]:
    """How candidates become a plan: agent and temperature down, the previous-plan bonus across."""
    known = _by_name(rows)
    agents = {f"{BASE}.{control}": label_of(control) for control in CONTROLS}
    agents |= {use_name(use): f"{label_of('pair')}, {use.label}" for use in EVERY_USE}
    agents = {name: label for name, label in agents.items() if any(row.startswith(f"{name}, blend") for row in known)}
    lines = [
        [label, _points(value), *(_cell(known, manner_name(name, value, bonus)) for bonus in PREVIOUS_PLAN_BONUSES)]
        for name, label in agents.items()
        for value in TEMPERATURES
    ]
    across = ["no previous plan" if bonus is None else f"bonus {_points(bonus)}" for bonus in PREVIOUS_PLAN_BONUSES]
    return [
        "### From candidates to a plan (validation towns)",
        "",
        "PDMS by temperature (in points; 0 takes the best candidate) and by the bonus of the previous plan as a "
        "candidate (in points).",
        "",
        *table_lines(["", "temperature", *across], lines, "lr" + "r" * len(PREVIOUS_PLAN_BONUSES)),
    ]


def roots(rows: Sequence[ResultRow]) -> list[str]:
    """Candidates around human roots: strength and temperature down, bonus of the root across."""
    known = _by_name(rows)
    lines = [
        [use.label, _points(value), *(_cell(known, root_name(use, b, value)) for b in ROOT_BONUSES)]
        for use in uses_around_humans(EVERY_USE)
        for value in TEMPERATURES
        if any(root_name(use, bonus, value) in known for bonus in ROOT_BONUSES)
    ]
    return [
        "### Around human plans (validation towns)",
        "",
        "PDMS of human + PaIR by use of what reinforcement learned, temperature and root bonus (in points).",
        "",
        *table_lines(
            ["use", "temperature", *(f"bonus {_points(b)}" for b in ROOT_BONUSES)],
            lines,
            "lr" + "r" * len(ROOT_BONUSES),
        ),
    ]


def means(rows: Sequence[ResultRow]) -> list[str]:
    """Means of trees as the plan: strength down, how often the root moves across."""
    known = _by_name(rows)
    cells = {(use.strength, use.reroots): _cell(known, use_name(use, TREE_MEAN)) for use in MEAN_USES}
    lines = [[f"{strength:g}", *(cells[strength, k] for k in REROOTS)] for strength in STRENGTHS]
    return [
        "### The tree without a reward model (validation towns)",
        "",
        "PDMS of the mean of the tree's leaves and its root as the plan, by strength of the tree and by how often that "
        "mean becomes the root of another tree.",
        "",
        *table_lines(["strength", *(counted(k, "tree") for k in REROOTS)], lines, "r" * (1 + len(REROOTS))),
    ]


GRIDS: Mapping[str, Callable[[Sequence[ResultRow]], list[str]]] = {
    f"{VALIDATION}{MANNERS}": manners,
    f"{VALIDATION}{MEANS}": means,
    f"{VALIDATION}{ROOTS}": roots,
}
"""Table of validation figures -> what writes it."""


def _by_name(rows: Sequence[ResultRow]) -> dict[str, ResultRow]:
    return {f"{row.base}.{row.agent}": row for row in rows}


def _cell(known: Mapping[str, ResultRow], name: str) -> str:
    return with_half(known[name]) if name in known else "-"


def _points(score: float) -> str:
    return f"{100 * score:g}"
