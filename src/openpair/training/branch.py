"""A branch: one network that learns by steps, and knows how to save all it needs to go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from openpair.training.batch import SceneBatch, SceneSource
from openpair.training.config import OptimiserConfig
from openpair.training.loader import BatchLoader
from openpair.training.optimiser import make_optimiser, update
from openpair.training.order import BatchOrder

Save = Callable[[Path, nn.Module, dict[str, float]], None]
"""Writes a finished network: (folder, network, metrics)."""


class BranchSettings(Protocol):
    """What every branch's configuration has."""

    @property
    def batch_size(self) -> int: ...

    @property
    def optimiser(self) -> OptimiserConfig: ...


class Branch(ABC):
    """One trainable branch (imitation, reinforcement, or the reward model).

    A branch owns its network, optimiser, data order and random generator. Two branches share nothing, so running
    them singly, interleaved or in separate processes gives the same weights.

    Args:
        network: on its device.
        config: settings.
        train: scenes to learn from.
        total_steps: optimiser steps.
        seed: of the data order and of every other random draw.
        save: writes the finished network.
    """

    name: str
    network: nn.Module
    config: BranchSettings

    def __init__(
        self,
        network: nn.Module,
        config: BranchSettings,
        train: SceneSource,
        *,
        total_steps: int,
        seed: int,
        save: Save,
    ) -> None:
        self.network = network
        self.config = config
        self.total_steps = total_steps
        self.optimiser = make_optimiser(network, config.optimiser)
        self.generator = torch.Generator().manual_seed(seed)
        self._train = train
        self._order = BatchOrder(len(train.tokens), config.batch_size, seed)
        self._device = next(network.parameters()).device
        self._loader = BatchLoader(train, self._order, self._device)
        self._save = save

    def scenes(self, index: int) -> SceneBatch:
        """The scenes of step ``index``, on the branch's device."""
        return self._loader.batch(index).to(self._device)

    def learn(self, loss: Tensor, index: int) -> float:
        """One optimiser step on ``loss`` at the learning rate of step ``index``; returns the gradient norm."""
        return update(
            self.network, self.optimiser, self.config.optimiser, loss, step=index, total_steps=self.total_steps
        )

    @abstractmethod
    def step(self, index: int) -> dict[str, float]:
        """Do optimiser step ``index`` (0-based) and return named figures to log."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures on the validation scenes; must not change the branch's state. Empty where there are none."""

    def export(self, folder: Path, metrics: dict[str, float]) -> None:
        """Write the finished network as a checkpoint (safetensors + JSON)."""
        self._save(folder, self.network, metrics)

    def scalars(self) -> dict[str, float]:
        """Numbers besides tensors that the branch needs to go on (an adaptive weight, say)."""
        return {}

    def restore_scalars(self, scalars: dict[str, float]) -> None:
        """Take back what :meth:`scalars` gave. Raises ValueError for numbers the branch does not know."""
        if scalars:
            raise ValueError(f"branch {self.name} keeps no such numbers: {sorted(scalars)}")

    def state_tensors(self) -> dict[str, Tensor]:
        """Network, optimiser and generator as one flat dictionary of tensors."""
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            for slot, value in slots.items():
                tensors[f"optimiser.{index}.{slot}"] = torch.as_tensor(value)
        tensors["generator"] = self.generator.get_state()
        return tensors

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what :meth:`state_tensors` gave. Raises RuntimeError where keys or shapes do not fit."""
        prefix = "network."
        self.network.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, slot = key.split(".", 2)
                state.setdefault(int(index), {})[slot] = value
        self.optimiser.load_state_dict(
            {"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]},
        )
        self.generator.set_state(tensors["generator"])
