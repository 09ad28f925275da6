"""The steps of the demo: a plan before, and after each step the time it took and what was learned so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from openpair.evaluation.runner import Evaluation
from openpair.training.curve_file import read_curve

LEARNED = (
    ("il", "val_distance_m", "imitation: {:.2f} m from the human's plan, mean over 4 s (validation towns)", 1.0),
    ("rl", "val_best_of_tree", "tree: its best leaf scores {:.1f} around the human's plan (validation towns)", 100.0),
    ("reward", "val_chosen_score", "reward model: the candidate it chooses scores {:.1f} (validation towns)", 100.0),
)
"""Branch, figure of its learning curve, how it is said, its unit."""


class Steps:
    """Named steps, in order; each is announced and timed.

    Args:
        names: the steps, as they will be entered.
        say: prints a line.
    """

    def __init__(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        self._names, self._say = names, say
        self._started = time.perf_counter()
        self._number = 0
        say(f"{len(names)} steps:")
        for number, name in enumerate(names, 1):
            say(f"  {number}. {name}")

    @property
    def seconds(self) -> float:
        """Since the first step began."""
        return time.perf_counter() - self._started

    @contextmanager
    def step(self) -> Iterator[None]:
        """The next step; says what it took and what all have taken."""
        self._number += 1
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        self._say(f"step {self._number} of {len(self._names)} done in {minutes(took)}; {minutes(self.seconds)} so far")


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
