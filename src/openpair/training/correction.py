"""Reinforcement that has the last word: it learns to correct the plans that the reward model chose.

Among many candidates a reward model finds a good plan wherever the tree grew, so that a better tree shows little in the
end. What is left are the reward model's own errors. This branch meets them: its roots are not the human's plans, moved,
but what the reward model makes of the neighbours of such plans, as at inference. Its sampler has a single leaf, which
starts as the root itself; GRPO on exact scores moves it from there. It reads no imitation policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from openpair.training.batch import SceneBatch
from openpair.training.reinforcement import ReinforcementBranch

Chooser = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Features by name and roots (B, 8, 3) -> plans (B, 8, 3) that are chosen around them, without gradient."""


class CorrectionBranch(ReinforcementBranch):
    """Trains a corrector: a sampler with one leaf.

    Attributes:
        chooser: what becomes of a moved human plan before it is the root.
    """

    name = "correction"
    best_figure = "leaf_score"
    chooser: Chooser

    def _roots(self, batch: SceneBatch, generator: torch.Generator) -> Tensor:
        return self.chooser(batch.features, super()._roots(batch, generator))
