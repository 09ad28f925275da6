"""The steps of the demo: a plan before, and after each step the time it took and what was learned so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openpair.configs.experiment import ExperimentConfig
from openpair.configs.runs import RunPlan
from openpair.evaluation.runner import Evaluation
from openpair.training.curve_file import read_curve


def groups_of(config: ExperimentConfig) -> tuple[tuple[str, ...], ...]:
    """What a demo trains, one group after the other: a corrector too, where PaIR plans with one."""
    return (("il", "rl"), ("reward",), *((("correction",),) if config.planner.correction else ()))


def branches_of(config: ExperimentConfig) -> tuple[str, ...]:
    """The branches that a demo trains, in order."""
    return tuple(branch for group in groups_of(config) for branch in group)


LEARNED = (
    ("il", "val_distance_m", "imitation: {:.2f} m from the human's plan, mean over 4 s (validation towns)", 1.0),
    ("rl", "val_best_of_tree", "tree: its best leaf scores {:.1f} around the human's plan (validation towns)", 100.0),
    ("reward", "val_chosen_score", "reward model: the candidate it chooses scores {:.1f} (validation towns)", 100.0),
    ("correction", "val_leaf_score", "corrector: what it makes of that choice scores {:.1f} (validation towns)", 100.0),
)
"""Branch, figure of its learning curve, how it is said, its unit."""


@dataclass(frozen=True)
class Step:
    """A step before it begins.

    Attributes:
        name: what happens.
        seconds: about how long it will take; None where nobody knows.
    """

    name: str
    seconds: float | None = None


class Steps:
    """Steps, in order; all are announced before the first, and each is timed.

    Args:
        steps: as they will be entered.
        say: prints a line.
    """

    def __init__(self, steps: Sequence[Step], say: Callable[[str], None]) -> None:
        self._steps, self._say = steps, say
        self._started = time.perf_counter()
        self._number = 0
        whole = self._left()
        say(f"{len(steps)} steps" + (f", about {minutes(whole)} on this machine:" if whole is not None else ":"))
        for number, step in enumerate(steps, 1):
            about = "" if step.seconds is None else f" (about {minutes(step.seconds)})"
            say(f"  {number}. {step.name}{about}")

    @property
    def seconds(self) -> float:
        """Since the first step began."""
        return time.perf_counter() - self._started

    @contextmanager
    def step(self) -> Iterator[None]:
        """The next step; says what it took, what all have taken, and what is left."""
        self._number += 1
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        left = self._left()
        self._say(
            f"step {self._number} of {len(self._steps)} done in {minutes(took)}; {minutes(self.seconds)} so far"
            + (f", about {minutes(left)} left" if left else "")
        )

    def _left(self) -> float | None:
        """About how long the steps to come take [s]; None where it is not known of all."""
        known = [step.seconds for step in self._steps[self._number :] if step.seconds is not None]
        return sum(known) if len(known) == len(self._steps) - self._number else None


def scenes_line(plan: RunPlan) -> str:
    """How many scenes are ready."""
    train, validation = plan.open()
    left_out = len(train.failures())
    return (
        f"  {len(train.tokens)} scenes to learn from and {len(validation.tokens) if validation else 0} to validate on"
        + (f"; {left_out} could not be prepared and are left out" if left_out else "")
    )


def learned(folder: Path, branches: Sequence[str]) -> list[str]:
    """What the last validation of each branch says, in words; nothing for a branch without one."""
    lines = []
    for branch, figure, text, unit in LEARNED:
        values = [point[figure] for point in read_curve(folder / branch) if figure in point]
        if branch in branches and values:
            lines.append(f"  {text.format(unit * values[-1])}")
    return lines


def scores_line(evaluation: Evaluation, names: Sequence[str]) -> str:
    """Mean scores of some agents in one line."""
    means = {agent.name: 100 * agent.score.mean for agent in evaluation.summary.agents}
    scores = ", ".join(f"{name} {means[name]:.1f}" for name in names)
    return f"  {evaluation.summary.score_name} in the test towns: {scores}"


def minutes(seconds: float) -> str:
    """``45 s`` or ``3.2 min``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
