"""The imitation branch: a policy learns the human's plan and to perceive."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from openpair.policies.base import ImitationPolicy
from openpair.training.batch import SceneSource, evaluation_batches
from openpair.training.branch import WHOLE, BatchPart, BatchSplit, Branch, Figures, Save
from openpair.training.config import ImitationConfig
from openpair.training.optimiser import autocast


class ImitationBranch(Branch):
    """Trains an imitation policy.

    Args:
        policy: the network, on its device.
        config: settings.
        train: scenes to learn from.
        validation: scenes of the validation towns, or None.
        seed: data order and any randomness of the branch.
        save: writes the finished network: (folder, network, metrics).
        split: how batches are split.
    """

    name = "il"
    best_figure = "distance_m"
    best_is_lowest = True
    network: ImitationPolicy
    config: ImitationConfig

    def __init__(
        self,
        policy: ImitationPolicy,
        config: ImitationConfig,
        train: SceneSource,
        validation: SceneSource | None,
        *,
        seed: int,
        save: Save,
        split: BatchSplit = WHOLE,
    ) -> None:
        super().__init__(policy, config, train, total_steps=config.steps, seed=seed, save=save, split=split)
        self._validation = validation

    def step(self, index: int) -> Figures:
        """One step on the policy's own loss."""
        self.network.train()
        return self.learn((self._losses(part) for part in self.parts(index)), index)

    def _losses(self, part: BatchPart) -> tuple[torch.Tensor, Figures]:
        """Loss of a part of the batch, and the terms it is made of."""
        batch = part.batch
        with part.as_whole:
            drawn = self._draw(len(batch.tokens), self.generator)
            with autocast(self._device, self.config.precision):
                outputs = self.network(**batch.features, **drawn)
            terms = self.network.loss({k: v.float() for k, v in outputs.items()}, batch.targets)
        return terms["loss"], dict(terms)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean distance to the human plan over the 4 s and at its end [m]."""
        if self._validation is None:
            return {}
        source, device = self._validation, self._device
        self.network.eval()
        generator = torch.Generator().manual_seed(0)  # a generator of its own: validation changes no training

        def distances(indices: NDArray[np.int64]) -> torch.Tensor:
            batch = source.batch(indices).to(device)
            plan = self.network.plan(**batch.features, **self._draw(len(batch.tokens), generator))
            return (plan - batch.targets["trajectory"])[..., :2].norm(dim=-1).cpu()

        batches = evaluation_batches(len(source.tokens), 2 * self.config.batch_size)
        rows = self.split.ranks.map(batches, distances, lambda indices: self._draw(len(indices), generator))
        distance = torch.cat(rows)
        return {"distance_m": float(distance.mean()), "end_distance_m": float(distance[:, -1].mean())}

    def _draw(self, count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The policy's random inputs, from a generator that is saved and restored with the branch."""
        return {name: value.to(self._device) for name, value in self.network.draw(count, generator).items()}
