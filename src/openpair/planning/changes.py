"""Changes to a planner's settings, as files and command lines name them. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from openpair.errors import OpenPairError

Root = Literal["policy", "human"]
CandidateSource = Literal["none", "mild", "wide", "tree", "untrained_tree"]


@dataclass(frozen=True)
class PlannerChanges:
    """Settings of a planner that differ from those of its mode; None leaves a setting as it is.

    Attributes:
        root: policy or human.
        candidates: none, mild, wide, tree or untrained_tree.
        strength: share of the way to what it learned that the tree goes, 0 to 1.
        reroots: so many times the root first becomes the mean of the tree around it.
        search_rounds: rounds of search around the favourites; 0 searches nothing.
        temperature: of the mean over candidates, in units of score; 0 takes the best.
        root_bonus: added to the root's predicted score.
        previous_plan_bonus: added to the previous plan's predicted score; none: it is no candidate.
        best_of: so many favourites, of which the true score picks one.
        correction: share of the way that the corrector moves the plan in the end, 0 to 1.
    """

    root: Root | None = None
    candidates: CandidateSource | None = None
    strength: float | None = None
    search_rounds: int | None = None
    temperature: float | None = None
    root_bonus: float | None = None
    previous_plan_bonus: float | Literal["none"] | None = None
    best_of: int | None = None
    reroots: int | None = None
    correction: float | None = None

    def given(self) -> dict[str, Any]:
        """Name -> value of what is changed, with None for a previous plan that is no candidate."""
        given = self.plain()
        if given.get("previous_plan_bonus") == "none":
            given["previous_plan_bonus"] = None
        return given

    def plain(self) -> dict[str, Any]:
        """What is changed, as JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @staticmethod
    def of(values: Mapping[str, Any], *, where: str | Path) -> PlannerChanges:
        """Those that a file names. Raises OpenPairError for unknown names and values of another kind."""
        known = {setting.name for setting in fields(PlannerChanges)}
        for name, value in values.items():
            if name not in known:
                close = get_close_matches(str(name), known, n=1)
                hint = f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(sorted(known))}"
                raise OpenPairError(f"a planner has no setting '{name}'", where=where, fix=hint)
            if not _fits(name, value):
                raise OpenPairError(f"{value!r} is no value of '{name}'", where=where, fix="See docs/evaluation.md")
        return PlannerChanges(**values)


def _fits(name: str, value: Any) -> bool:
    """Whether a JSON value is of a setting's kind."""
    if name in ("root", "candidates"):
        return isinstance(value, str)
    if name == "previous_plan_bonus" and value == "none":
        return True
    whole = name in ("search_rounds", "best_of", "reroots")
    return isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)


NO_CHANGES = PlannerChanges()
