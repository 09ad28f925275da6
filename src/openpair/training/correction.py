"""Reinforcement that has the last word: it learns to correct the plans that the reward model chose.

Among many candidates a reward model finds a good plan wherever the tree grew, so that a better tree shows little in the
end. What is left are the reward model's own errors. This branch meets them: its roots are not the human's plans, moved,
but what the reward model makes of the neighbours of such plans, as at inference, and its sampler reads what the reward
model thinks of the plan and of its neighbours. The sampler has a single leaf, which starts as the root itself; GRPO on
exact scores moves it from there. It reads no imitation policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from openpair.samplers.base import Judgement, SamplerContext
from openpair.training.batch import SceneBatch
from openpair.training.reinforcement import ReinforcementBranch


@dataclass(frozen=True)
class SeenByJudge:
    """Some scenes as a reward model sees them.

    Attributes:
        chosen: roots (B, 8, 3) -> plans (B, 8, 3) that it makes of their neighbours, without gradient.
        judgement: what it thinks of plans.
    """

    chosen: Callable[[Tensor], Tensor]
    judgement: Judgement


Judge = Callable[[Mapping[str, Tensor]], SeenByJudge]
"""Features by name -> the scenes as a reward model sees them."""


class CorrectionBranch(ReinforcementBranch):
    """Trains a corrector: a sampler with one leaf.

    Args:
        judge: the reward model whose choices are corrected.
        args, settings: of every branch of reinforcement.
    """

    name = "correction"
    best_figure = "leaf_score"

    def __init__(self, judge: Judge, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._judge = judge
        self._seen: tuple[SceneBatch, SeenByJudge] | None = None

    def _see(self, batch: SceneBatch) -> SeenByJudge:
        """A batch as the reward model sees it, made once."""
        if self._seen is None or self._seen[0] is not batch:
            self._seen = batch, self._judge(batch.features)
        return self._seen[1]

    def _look(self, batch: SceneBatch) -> SamplerContext:
        return replace(super()._look(batch), judgement=self._see(batch).judgement)

    def _roots(self, batch: SceneBatch, generator: torch.Generator) -> Tensor:
        return self._see(batch).chosen(super()._roots(batch, generator))
