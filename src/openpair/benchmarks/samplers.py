"""``openpair bench samplers``: are the leaves of the published tree, and of ours, good plans? By exact scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchSamplers:
    """Score the leaves of untrained tree samplers, the published one and ours, on validation towns of the world.

    Roots: the human's plan; the human's plan moved as an imitation policy errs; and, where the ego stands and the human
    drives off, a plan that stays. Reported are means over all leaves, and over scenes the best of the set (leaves and
    root). Extended comfort compares each leaf with the leaf of the same code that grows from the scene half a second
    before, around a root of the same kind: does the tree change its mind from frame to frame?
    """

    scenes: int = 60
    """Scenes of the validation towns, spread evenly."""

    standing_scenes: int = 30
    """At most so many scenes in which the ego stands and the human drives off."""

    seed: int = 0
    """Of the networks and of the moved roots."""

    report: Path | None = None
    """Markdown file whose section on the leaves is written anew."""

    def run(self) -> int:
        """Score, print, write."""
        from openpair.benchmarks.samplers_figures import run

        run(self)
        return 0
