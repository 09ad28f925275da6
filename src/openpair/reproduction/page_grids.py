"""Tables of results.md that show what was chosen among on the validation towns: a grid of scores each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from openpair.reproduction.agents import BASE, label_of
from openpair.reproduction.choices import CONTROLS, MANNERS, ROOTS, manner_name, root_name, strength_name
from openpair.reproduction.markdown import table_lines, with_half
from openpair.reproduction.results import VALIDATION, ResultRow
from openpair.reproduction.settings import BLENDS, KEEPS, ROOT_MARGINS, STRENGTHS


def manners(rows: Sequence[ResultRow]) -> list[str]:
    """How candidates become a plan: agent and temperature down, the value of the plan of before across."""
    known = _by_name(rows)
    agents = {f"{BASE}.{control}": label_of(control) for control in CONTROLS}
    agents |= {strength_name(s): f"{label_of('pair')}, strength {s:g}" for s in STRENGTHS}
    lines = [
        [label, _points(blend), *(_cell(known, manner_name(name, blend, keep)) for keep in KEEPS)]
        for name, label in agents.items()
        for blend in BLENDS
    ]
    across = ["forgotten" if keep is None else f"kept, +{_points(keep)}" for keep in KEEPS]
    return [
        "### From candidates to a plan (validation towns)",
        "",
        "PDMS by temperature (in points; 0: the best candidate is the plan) and by what becomes of the plan of half a "
        "second before: forgotten, or a candidate that is valued by so many points more than predicted.",
        "",
        *table_lines(["", "temperature", *across], lines, "lr" + "r" * len(KEEPS)),
    ]


def roots(rows: Sequence[ResultRow]) -> list[str]:
    """Candidates around human roots: strength and temperature down, margin of the root across."""
    known = _by_name(rows)
    lines = [
        [f"{strength:g}", _points(blend), *(_cell(known, root_name(strength, m, blend)) for m in ROOT_MARGINS)]
        for strength in STRENGTHS
        for blend in BLENDS
    ]
    return [
        "### Around human plans (validation towns)",
        "",
        "PDMS of human + PaIR by strength of the tree, temperature and margin (in points).",
        "",
        *table_lines(
            ["strength", "temperature", *(f"margin {_points(m)}" for m in ROOT_MARGINS)],
            lines,
            "rr" + "r" * len(ROOT_MARGINS),
        ),
    ]


GRIDS: Mapping[str, Callable[[Sequence[ResultRow]], list[str]]] = {
    f"{VALIDATION}{MANNERS}": manners,
    f"{VALIDATION}{ROOTS}": roots,
}
"""Table of validation figures -> what writes it."""


def _by_name(rows: Sequence[ResultRow]) -> dict[str, ResultRow]:
    return {f"{row.base}.{row.agent}": row for row in rows}


def _cell(known: Mapping[str, ResultRow], name: str) -> str:
    return with_half(known[name]) if name in known else "-"


def _points(score: float) -> str:
    return f"{100 * score:g}"
