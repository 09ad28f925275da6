"""What the validation towns choose: how candidates become a plan, the control, the sequential scheme, the strength."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from openpair.configs.runs import SEQUENTIAL_SCHEMES
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.reproduction.agents import BASE, HUMAN
from openpair.reproduction.settings import BLENDS, KEEPS, ROOT_MARGINS, STRENGTHS, TOLERANCE

PAIR, HUMAN_PAIR = f"{BASE}.pair", f"{HUMAN}.human_pair"
CONTROLS = ("il_rwm_mild", "il_rwm_wide")

AGENTS, MANNERS, ROOTS, REWARD_MODEL = "agents", "manners", "roots", "reward_model"
"""Tables of validation.json: all agents, the best candidate being the plan; how candidates become a plan (score alone);
candidates around human roots (score alone); what would become of candidates without the reward model."""


@dataclass(frozen=True)
class Choices:
    """Choices by name.

    Attributes:
        il_rwm: which control is the fair one: the better on validation.
        sequential: the best sequential scheme on validation; it is the one that gets the reward model, too.
        strength: how far the tree goes to what it learned.
        root_margin: by how much more than predicted a human root is valued.
        root_blend: temperature at which candidates around human roots are blended.
        blend: temperature at which every agent that chooses blends its candidates; 0 takes the best.
        keep: by how much more than predicted such an agent values its plan of half a second before; None: it is
            forgotten.
    """

    il_rwm: str = "il_rwm_wide"
    sequential: str = "sequential_regularised"
    strength: float = 1.0
    root_margin: float = 0.03
    root_blend: float = 0.0
    blend: float = 0.0
    keep: float | None = None

    def write(self, path: Path) -> None:
        """Keep them."""
        write_atomically(path, json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def read(path: Path) -> Choices:
        """Those that were kept. Raises OpenPairError where there are none."""
        try:
            return Choices(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise OpenPairError(
                f"the choices of the validation towns cannot be read ({error})",
                where=path,
                fix="Run the part 'validate' first",
            ) from error


def strength_name(strength: float) -> str:
    """Name of the tree at a strength in validation tables."""
    return f"{PAIR}, strength {strength:.2f}"


def manner_name(agent: str, blend: float, keep: float | None) -> str:
    """Name of an agent that makes its plan in some manner, in validation tables."""
    return f"{agent}, blend {blend:.2f}" + ("" if keep is None else f", keep {keep:.2f}")


def root_name(strength: float, margin: float, blend: float) -> str:
    """Name of a choice around human roots in validation tables."""
    return f"{HUMAN_PAIR}, strength {strength:.2f}, margin {margin:.2f}, blend {blend:.2f}"


Scores = Mapping[str, float]
"""Name -> score [percent], mean over seeds; of those that were measured for every seed."""


def mean_scores(tables: Sequence[Mapping[str, Mapping[str, Any]]], table: str) -> Scores:
    """Scores of one table of several validation.json; a table that a seed does not have is empty."""
    every = [seed.get(table, {}) for seed in tables]
    return {name: fmean(seed[name]["score"] for seed in every) for name in every[0] if all(name in s for s in every)}


def best_of(scores: Scores, names: Iterable[str]) -> str:
    """The name with the greatest score; the first on a tie, and where none was measured."""
    return max(names, key=lambda name: scores.get(name, -math.inf))


def choose_manner(scores: Scores) -> tuple[float, float | None]:
    """How every agent with a reward model makes its plan: a temperature of :data:`BLENDS` and one of :data:`KEEPS`.

    A pair is worth the mean of what the method, at its best strength, and both controls score with it. Among pairs
    within :data:`TOLERANCE` of the best the one that keeps most, then blends most, is taken.
    """
    worth = {}
    for blend, keep in product(BLENDS, KEEPS):
        method = [scores.get(manner_name(strength_name(s), blend, keep), -math.inf) for s in STRENGTHS]
        controls = [scores.get(manner_name(f"{BASE}.{c}", blend, keep), -math.inf) for c in CONTROLS]
        worth[blend, keep] = fmean((max(method), *controls))
    good = [pair for pair, value in worth.items() if value >= max(worth.values()) - TOLERANCE]
    return max(good, key=lambda pair: (-1.0 if pair[1] is None else pair[1], pair[0]))


def choose_all(seed_folders: Sequence[Path]) -> Choices:
    """The choices that validation.json of all seeds together make: the manner first, then control and strength in that
    manner, then margin and temperature around human roots at that strength."""
    tables = [json.loads((folder / "validation.json").read_text()) for folder in seed_folders]
    agents, manners, roots = (mean_scores(tables, table) for table in (AGENTS, MANNERS, ROOTS))
    blend, keep = choose_manner(manners)
    controls = {manner_name(f"{BASE}.{control}", blend, keep): control for control in CONTROLS}
    strengths = {manner_name(strength_name(strength), blend, keep): strength for strength in STRENGTHS}
    schemes = {f"{BASE}.{scheme}": scheme for scheme in SEQUENTIAL_SCHEMES}
    strength = strengths[best_of(manners, strengths)]
    around = {root_name(strength, *pair): pair for pair in product(ROOT_MARGINS, BLENDS)}
    root_margin, root_blend = around[best_of(roots, around)]
    return Choices(
        il_rwm=controls[best_of(manners, controls)],
        sequential=schemes[best_of(agents, schemes)],
        strength=strength,
        root_margin=root_margin,
        root_blend=root_blend,
        blend=blend,
        keep=keep,
    )
