"""The imitation branch: a policy learns the human's plan and to perceive."""

from __future__ import annotations

import torch

from openpair.policies.base import ImitationPolicy
from openpair.training.batch import SceneSource, evaluation_batches
from openpair.training.branch import Branch, Save
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
    """

    name = "il"
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
    ) -> None:
        super().__init__(policy, config, train, total_steps=config.steps, seed=seed, save=save)
        self._validation = validation

    def step(self, index: int) -> dict[str, float]:
        """One step on the policy's own loss."""
        batch = self.scenes(index)
        self.network.train()
        drawn = self._draw(len(batch.tokens), self.generator)
        with autocast(self._device, self.config.precision):
            outputs = self.network(**batch.features, **drawn)
        terms = self.network.loss({k: v.float() for k, v in outputs.items()}, batch.targets)
        norm = self.learn(terms["loss"], index)
        return {**{name: float(value.detach()) for name, value in terms.items()}, "gradient_norm": norm}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean distance to the human plan over the 4 s and at its end [m]."""
        if self._validation is None:
            return {}
        self.network.eval()
        distances = []
        generator = torch.Generator().manual_seed(0)  # a generator of its own: validation changes no training
        for indices in evaluation_batches(len(self._validation.tokens), 2 * self.config.batch_size):
            batch = self._validation.batch(indices).to(self._device)
            plan = self.network.plan(**batch.features, **self._draw(len(batch.tokens), generator))
            distances.append((plan - batch.targets["trajectory"])[..., :2].norm(dim=-1))
        distance = torch.cat(distances)
        return {"distance_m": float(distance.mean()), "end_distance_m": float(distance[:, -1].mean())}

    def _draw(self, count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The policy's random inputs, from a generator that is saved and restored with the branch."""
        return {name: value.to(self._device) for name, value in self.network.draw(count, generator).items()}
