"""What decides a plan besides the networks: typed settings and named modes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from openpair.errors import OpenPairError, did_you_mean
from openpair.planning.changes import CandidateSource, PlannerChanges, Root
from openpair.samplers.perturbation_config import PerturbationConfig

WIDE = 1.8
"""Wide neighbours lie so many times as far from the root as mild ones."""

BEST_OF = 6
MAX_REROOTS = 16


@dataclass(frozen=True)
class SearchConfig:
    """How long and how far test-time search looks (:mod:`openpair.planning.search`).

    Attributes:
        rounds: 0 searches nothing.
        elites: m, the best plans so far that a round looks around.
        neighbours: of each of them, in each round; an even number gives every change and its opposite.
        width: size of the changes in the first round (standard deviations).
        shrink: size of the changes from one round to the next.
        seed: of the changes; they are the same for every scene, so that a plan depends on its scene alone.
    """

    rounds: int = 2
    elites: int = 3
    neighbours: int = 6
    width: PerturbationConfig = field(default_factory=lambda: PerturbationConfig(0.4, 0.3, 0.1))
    shrink: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class PlannerConfig:
    """How networks become a plan.

    Attributes:
        root: whose plan candidates are made around: the imitation policy's, or the recorded human's.
        candidates: what the reward model chooses from besides the root. "none": the root is the plan; "mild", "wide":
            15 smooth neighbours; "tree": the sampler's leaves; "untrained_tree": those of the sampler before training.
        strength: share of the way from its start to what it learned that a tree goes (0 to 1).
        reroots: so many times the root first becomes the mean of itself and the sampler's leaves around it; candidates
            are made around the last one. With "none" that mean is the plan, without any reward model.
        search: look around the reward model's favourites for better ones, or None.
        temperature: at which the mean of candidates is taken, each weighted by exp(score / temperature) [score]; 0
            takes the best.
        root_bonus: added to the root's predicted score [score].
        previous_plan_bonus: None, or the previous plan (made 0.5 s earlier, driven on) is a candidate too, with so much
            added to its predicted score [score].
        correction: share of the way that the corrector moves the plan in the end (0 to 1); 0 asks no corrector.
        best_of: 0, or how many of the reward model's favourites the true score may pick from: no plan a car could make.

    Raises OpenPairError for values out of range and for a best-of-N planner with memory.
    """

    root: Root = "policy"
    candidates: CandidateSource = "tree"
    strength: float = 1.0
    search: SearchConfig | None = None
    temperature: float = 0.0
    root_bonus: float = 0.0
    previous_plan_bonus: float | None = None
    best_of: int = 0
    reroots: int = 0
    correction: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in (("root", get_args(Root)), ("candidates", get_args(CandidateSource))):
            if getattr(self, name) not in choices:
                raise OpenPairError(
                    f"there is no '{getattr(self, name)}'", where=f"planner.{name}", fix=f"Give {', '.join(choices)}"
                )
        if not 0 <= self.strength <= 1:
            raise OpenPairError(f"the strength is {self.strength}", where="planner.strength", fix="Give 0 to 1")
        if not 0 <= self.correction <= 1:
            raise OpenPairError(f"the correction is {self.correction}", where="planner.correction", fix="Give 0 to 1")
        if self.correction and self.best_of:
            raise OpenPairError(
                "the true score picks among candidates, which nothing corrects",
                where="planner.correction",
                fix="Give 0",
            )
        if not 0 <= self.temperature < float("inf"):
            raise OpenPairError(
                f"the temperature is {self.temperature}", where="planner.temperature", fix="Give 0 or more"
            )
        if not 0 <= self.reroots <= MAX_REROOTS:
            raise OpenPairError(
                f"the root moves {self.reroots} times", where="planner.reroots", fix=f"Give 0 to {MAX_REROOTS}"
            )
        if self.best_of < 0:
            raise OpenPairError(f"best of {self.best_of}", where="planner.best_of", fix="Give 0 or more")
        if self.best_of and self.remembers:
            raise OpenPairError(
                "the true score picks among favourites of the moment: such a planner has no memory",
                where="planner.previous_plan_bonus",
                fix="Give none, or best_of 0",
            )

    @property
    def remembers(self) -> bool:
        """Whether the previous plan is a candidate."""
        return self.previous_plan_bonus is not None and self.candidates != "none"

    def changed(self, changes: PlannerChanges) -> PlannerConfig:
        """With other settings, as far as they concern this planner: without candidates there is nothing to set but a
        tree whose mean is the plan; controls keep their roots; a best-of-N planner has neither temperature nor memory.
        """
        given = changes.given()
        if self.candidates != "tree" and not self.reroots:
            given.pop("reroots", None)
        if given.get("candidates", self.candidates) == "none":
            kept = ("root", "candidates", "reroots", "correction") + (
                ("strength",) if given.get("reroots", self.reroots) else ()
            )
            return replace(self, **{k: v for k, v in given.items() if k in kept})
        if (rounds := given.pop("search_rounds", None)) is not None:
            given["search"] = replace(self.search or SearchConfig(), rounds=rounds) if rounds else None
        if given.get("best_of", self.best_of):
            given |= {"temperature": 0.0, "previous_plan_bonus": None, "correction": 0.0}
        return replace(self, **given)

    def record(self) -> dict[str, Any]:
        """As JSON values, for summaries."""
        return asdict(self)


MODES: dict[str, PlannerConfig] = {
    "il": PlannerConfig(candidates="none"),
    "tree_mean": PlannerConfig(candidates="none", reroots=1),
    "il_rwm": PlannerConfig(candidates="mild"),
    "il_rwm_wide": PlannerConfig(candidates="wide"),
    "il_rwm_untrained_tree": PlannerConfig(candidates="untrained_tree"),
    "pair": PlannerConfig(),
    "pair_corrected": PlannerConfig(candidates="wide", correction=1.0),
    "il_rwm_search": PlannerConfig(candidates="mild", search=SearchConfig()),
    "pair_search": PlannerConfig(search=SearchConfig()),
    "human_pair": PlannerConfig(root="human"),
    "pair_best_of_6": PlannerConfig(best_of=BEST_OF),
}
"""Planners of a complete run folder, by name."""

ABOUT: dict[str, str] = {
    "il": "the imitation policy alone",
    "tree_mean": "the mean of its plan and the tree's leaves around it, without a reward model",
    "il_rwm": "15 mild neighbours of its plan, chosen from by the reward model (fair control)",
    "il_rwm_wide": "the same with neighbours 1.8 times as far (the other fair control)",
    "il_rwm_untrained_tree": "the same with leaves of the tree before training",
    "pair": "15 leaves of the tree around its plan, chosen from by the reward model",
    "pair_corrected": "15 wide neighbours of its plan, chosen from by the reward model, then corrected",
    "il_rwm_search": "il_rwm, then a search around the favourites",
    "pair_search": "pair, then the same search around the favourites",
    "human_pair": "15 leaves around the human's plan, chosen from by the reward model",
    "pair_best_of_6": "best of 6 by the true score: not a plan a car could make",
}
"""One line about each mode, for tables."""


def mode_config(mode: str, *, where: str | Path) -> PlannerConfig:
    """The settings of a mode. Raises OpenPairError for an unknown one."""
    if mode not in MODES:
        fix = f"{did_you_mean(mode, MODES)}Give one of {', '.join(MODES)}"
        raise OpenPairError(f"there is no mode '{mode}'", where=where, fix=fix)
    return MODES[mode]
