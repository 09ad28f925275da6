"""What the validation towns choose: how candidates become a plan, the control, the sequential scheme, the strength."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from openpair.checksums import read_sealed_json, sealed_json
from openpair.configs.runs import SEQUENTIAL_SCHEMES
from openpair.damage import reading
from openpair.files import write_atomically
from openpair.planning.changes import CandidateSource, PlannerChanges
from openpair.planning.planner_file import StoredPlanner
from openpair.reproduction.agents import BASE, HUMAN
from openpair.reproduction.settings import (
    MEAN_USES,
    PREVIOUS_PLAN_BONUSES,
    ROOT_BONUSES,
    TEMPERATURES,
    TOLERANCE,
    TREE_USES,
    TreeUse,
)

TREE_MEAN = f"{BASE}.tree_mean"
PAIR, HUMAN_PAIR = f"{BASE}.pair", f"{HUMAN}.human_pair"
CONTROLS = ("il_rwm_mild", "il_rwm_wide")

AGENTS, MANNERS, ROOTS, MEANS, REWARD_MODEL = "agents", "manners", "roots", "means", "reward_model"
"""Tables of validation.json: all agents, the best candidate being the plan; how candidates become a plan (score alone);
candidates around human roots (score alone); means of trees as the plan (score alone); what would become of candidates
without the reward model."""


@dataclass(frozen=True)
class Choices:
    """Choices by name.

    Attributes:
        il_rwm: which control is the fair one: the better on validation.
        sequential: the best sequential scheme on validation; it is the one that gets the reward model, too.
        strength: how far the tree goes to what it learned.
        candidates: of PaIR, see :class:`~openpair.reproduction.settings.TreeUse`.
        reroots: of PaIR, likewise.
        correction: of PaIR, likewise.
        mean_strength: strength of the tree whose mean is the plan, without a reward model.
        mean_reroots: how often its root moves.
        temperature: of every planner with a policy's root [score]; 0 takes the best candidate.
        previous_plan_bonus: of every planner that chooses [score]; None: the previous plan is no candidate.
        human_root_bonus: of a human root [score].
        human_temperature: of the planner with a human root [score].
    """

    il_rwm: str = "il_rwm_wide"
    sequential: str = "sequential_regularised"
    strength: float = 1.0
    temperature: float = 0.0
    previous_plan_bonus: float | None = None
    human_root_bonus: float = 0.03
    human_temperature: float = 0.0
    candidates: CandidateSource = "tree"
    reroots: int = 0
    mean_strength: float = 1.0
    mean_reroots: int = 1
    correction: float = 0.0

    def planner(self, tree_strength: float) -> StoredPlanner:
        """How a seed's networks are to plan.

        ``tree_strength`` is that of the leaves that the reward model learned from; nothing is chosen for the untrained
        tree, which keeps to it.
        """
        bonus = self.previous_plan_bonus
        use = PlannerChanges(candidates=self.candidates, reroots=self.reroots, correction=self.correction)
        human = around_humans(TreeUse(self.strength, self.candidates, self.reroots, self.correction))
        return StoredPlanner(
            mode="pair",
            settings=PlannerChanges(
                strength=self.strength,
                temperature=self.temperature,
                root_bonus=0.0,
                previous_plan_bonus="none" if bonus is None else bonus,
            ),
            modes={
                "pair": use,
                "pair_best_of_6": use,
                "tree_mean": PlannerChanges(strength=self.mean_strength, reroots=self.mean_reroots),
                "human_pair": PlannerChanges(
                    candidates=human.candidates,
                    correction=human.correction,
                    temperature=self.human_temperature,
                    root_bonus=self.human_root_bonus,
                ),
                "il_rwm_untrained_tree": PlannerChanges(strength=tree_strength),
            },
        )

    def write(self, path: Path) -> None:
        """Keep them."""
        write_atomically(path, sealed_json(asdict(self), end="\n", indent=2))

    @staticmethod
    def read(path: Path) -> Choices:
        """Those that were kept. Raises OpenPairError where there are none, and for a damaged file."""
        with reading(path, "the choices of the validation towns", fix="Run the part 'validate' again"):
            kept = read_sealed_json(path)
            choices = Choices(**kept)
            planner = choices.planner(1.0)
            for mode in (planner.mode, *planner.modes):
                planner.config(mode)  # refuses values out of range
            if not isinstance(choices.il_rwm, str) or not isinstance(choices.sequential, str):
                raise TypeError("a scheme that is no text")
            return choices


CHOICES, VALIDATION_FILE = "choices.json", "validation.json"
Tables = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Table of validation.json -> row -> figure -> value."""


def read_tables(path: Path) -> Tables:
    """A seed's validation.json. Raises OpenPairError for a damaged file and one of another form."""
    with reading(path, "the figures of the validation towns", fix="Run the part 'validate' again"):
        tables = read_sealed_json(path)
        rows = [named.values() if isinstance(named, dict) else [None] for named in tables.values()]
        if not all(isinstance(own, dict) for named in rows for own in named):
            raise TypeError("it does not hold {table: {row: {figure: number}}}")
        return {
            table: {name: {figure: float(value) for figure, value in own.items()} for name, own in named.items()}
            for table, named in tables.items()
        }


def write_tables(path: Path, tables: Mapping[str, Any]) -> None:
    """Write a seed's validation.json."""
    write_atomically(path, sealed_json(tables, end="\n", indent=1))


def use_name(use: TreeUse, agent: str = PAIR) -> str:
    """Name of an agent (PaIR, or the tree's mean) with a use of its tree in validation tables."""
    return f"{agent}, {use.label}"


def manner_name(agent: str, temperature: float, previous_plan_bonus: float | None) -> str:
    """Name of an agent with these settings in validation tables; published rows have such names."""
    keep = "" if previous_plan_bonus is None else f", keep {previous_plan_bonus:.2f}"
    return f"{agent}, blend {temperature:.2f}{keep}"


def root_name(use: TreeUse, root_bonus: float, temperature: float) -> str:
    """Name of a choice around human roots in validation tables; published rows have such names."""
    return f"{use_name(around_humans(use), HUMAN_PAIR)}, margin {root_bonus:.2f}, blend {temperature:.2f}"


def around_humans(use: TreeUse) -> TreeUse:
    """How a use of PaIR looks around a human root: corrected as it is, or the leaves of a tree at its strength."""
    return use if use.correction else TreeUse(use.strength)


def uses_around_humans(uses: Iterable[TreeUse]) -> list[TreeUse]:
    """:func:`around_humans` of each, none twice."""
    return list(dict.fromkeys(map(around_humans, uses)))


Scores = Mapping[str, float]
"""Name -> score [percent], mean over seeds; of those that were measured for every seed."""


def mean_scores(tables: Sequence[Mapping[str, Mapping[str, Any]]], table: str) -> Scores:
    """Scores of one table of several validation.json; a table that a seed does not have is empty."""
    every = [seed.get(table, {}) for seed in tables]
    return {name: fmean(seed[name]["score"] for seed in every) for name in every[0] if all(name in s for s in every)}


def best_of(scores: Scores, names: Iterable[str]) -> str:
    """The name with the greatest score; the first on a tie, and where none was measured."""
    return max(names, key=lambda name: scores.get(name, -math.inf))


def choose_manner(scores: Scores, uses: Sequence[TreeUse] = TREE_USES) -> tuple[float, float | None]:
    """Temperature and previous-plan bonus of every agent with a reward model.

    A pair is worth the mean of what the method, in the best use of its tree, and both controls score with it. Among
    pairs within :data:`TOLERANCE` of the best the one with the greatest bonus, then temperature, is taken.
    """
    worth = {}
    for pair in product(TEMPERATURES, PREVIOUS_PLAN_BONUSES):
        method = [scores.get(manner_name(use_name(use), *pair), -math.inf) for use in uses]
        controls = [scores.get(manner_name(f"{BASE}.{c}", *pair), -math.inf) for c in CONTROLS]
        worth[pair] = fmean((max(method), *controls))
    good = [pair for pair, value in worth.items() if value >= max(worth.values()) - TOLERANCE]
    return max(good, key=lambda pair: (-1.0 if pair[1] is None else pair[1], pair[0]))


def choose_all(seed_folders: Sequence[Path], tree_uses: Sequence[TreeUse] = TREE_USES) -> Choices:
    """The choices that validation.json of all seeds together make: the manner first, then control and use of the tree
    in that manner, then root bonus and temperature around human roots at that strength."""
    tables = [read_tables(folder / VALIDATION_FILE) for folder in seed_folders]
    agents, manners, roots, means = (mean_scores(tables, table) for table in (AGENTS, MANNERS, ROOTS, MEANS))
    temperature, previous_plan_bonus = manner = choose_manner(manners, tree_uses)
    controls = {manner_name(f"{BASE}.{control}", *manner): control for control in CONTROLS}
    uses = {manner_name(use_name(use), *manner): use for use in tree_uses}
    of_mean = {use_name(use, TREE_MEAN): use for use in MEAN_USES}
    schemes = {f"{BASE}.{scheme}": scheme for scheme in SEQUENTIAL_SCHEMES}
    use, mean = uses[best_of(manners, uses)], of_mean[best_of(means, of_mean)]
    around = {root_name(use, *pair): pair for pair in product(ROOT_BONUSES, TEMPERATURES)}
    human_root_bonus, human_temperature = around[best_of(roots, around)]
    return Choices(
        il_rwm=controls[best_of(manners, controls)],
        sequential=schemes[best_of(agents, schemes)],
        strength=use.strength,
        candidates=use.candidates,
        reroots=use.reroots,
        correction=use.correction,
        mean_strength=mean.strength,
        mean_reroots=mean.reroots,
        temperature=temperature,
        previous_plan_bonus=previous_plan_bonus,
        human_root_bonus=human_root_bonus,
        human_temperature=human_temperature,
    )
