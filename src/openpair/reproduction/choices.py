"""What the validation towns choose: the control, the sequential scheme with a reward model, strength and margin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from openpair.configs.runs import SEQUENTIAL_SCHEMES
from openpair.errors import OpenPairError
from openpair.evaluation.records import write_atomically
from openpair.reproduction.agents import BASE
from openpair.reproduction.settings import BLENDS, KEEPS, ROOT_MARGINS, STRENGTHS, TOLERANCE

CONTROLS = ("il_rwm_mild", "il_rwm_wide")
CHOOSERS = tuple(f"{BASE}.{name}" for name in ("pair", *CONTROLS))
"""Agents whose scores decide how candidates become a plan: the method and both controls alike."""


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


def margin_name(margin: float, blend: float) -> str:
    """Name of a human root's margin, at a temperature of blending, in validation tables."""
    return f"human_pair, margin {margin:.2f}, blend {blend:.2f}"


def strength_name(strength: float) -> str:
    """Name of a tree's strength in validation tables."""
    return f"{BASE}.pair, strength {strength:.2f}"


def manner_name(agent: str, blend: float, keep: float | None) -> str:
    """Name of an agent that blends or remembers in validation tables; one that does neither is the agent itself."""
    name = f"{agent}, blend {blend:.2f}" if blend else agent
    return name if keep is None else f"{name}, keep {keep:.2f}"


def choose_manner(scores: Sequence[dict[str, float]], agents: Sequence[str]) -> tuple[float, float | None]:
    """Of :data:`BLENDS` and :data:`KEEPS` the pair that keeps most, then blends most, among those whose mean over
    agents and seeds is within :data:`TOLERANCE` of the best."""
    means: dict[tuple[float, float | None], float] = {}
    for blend, keep in product(BLENDS, KEEPS):
        names = [manner_name(agent, blend, keep) for agent in agents]
        if all(name in seed for seed in scores for name in names):
            means[blend, keep] = sum(seed[name] for seed in scores for name in names) / (len(scores) * len(names))
    good = [pair for pair, mean in means.items() if mean >= max(means.values()) - TOLERANCE]
    return max(good, key=lambda pair: (-1.0 if pair[1] is None else pair[1], pair[0]), default=(0.0, None))


def best_of(scores: Sequence[dict[str, float]], names: Sequence[str]) -> str:
    """The name with the greatest mean over seeds; the first on a tie, and where none was measured."""
    measured = [name for name in names if all(name in seed for seed in scores)]
    if not measured:
        return names[0]
    return max(measured, key=lambda name: sum(seed[name] for seed in scores))


def choose_all(seed_folders: Sequence[Path]) -> Choices:
    """The choices that validation.json of all seeds together make."""
    tables = [json.loads((folder / "validation.json").read_text())["agents"] for folder in seed_folders]
    scores = [{name: float(row["score"]) for name, row in table.items()} for table in tables]
    control = best_of(scores, [f"{BASE}.{name}" for name in CONTROLS]).removeprefix(f"{BASE}.")
    scheme = best_of(scores, [f"{BASE}.{name}" for name in SEQUENTIAL_SCHEMES]).removeprefix(f"{BASE}.")
    strengths = {strength_name(strength): strength for strength in STRENGTHS}
    blend, keep = choose_manner(scores, CHOOSERS)
    roots = {margin_name(*pair): pair for pair in product(ROOT_MARGINS, BLENDS)}
    root_margin, root_blend = roots[best_of(scores, list(roots))]
    return Choices(
        control,
        scheme,
        strengths[best_of(scores, list(strengths))],
        root_margin,
        root_blend,
        blend,
        keep,
    )
