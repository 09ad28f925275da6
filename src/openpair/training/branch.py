"""A branch: one network that learns by steps, and knows how to save all it needs to go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openpair.errors import OpenPairError
from openpair.training.averaging import WeightAverage
from openpair.training.batch import SceneBatch, SceneSource
from openpair.training.config import OptimiserConfig
from openpair.training.loader import BatchLoader
from openpair.training.optimiser import make_optimiser, schedule_rate
from openpair.training.order import BatchOrder
from openpair.training.ranks import ALONE, Ranks
from openpair.training.shown_scenes import ShownScene
from openpair.training.whole_batch import Place, WholeBatch

Figures = dict[str, Tensor | float]
"""Figures of a step, by name. Tensors are scalars on the network's device: what reads them waits for it."""

Save = Callable[[Path, nn.Module, dict[str, float]], None]
"""Writes a finished network: (folder, network, metrics)."""


class BranchSettings(Protocol):
    """What every branch's configuration has."""

    @property
    def batch_size(self) -> int: ...

    @property
    def optimiser(self) -> OptimiserConfig: ...


@dataclass(frozen=True)
class BatchSplit:
    """How the batch of a step is split: between ranks, and on each into micro-batches, one after the other.

    The batch of a step is what the configuration says; losses and gradients are those of the whole.

    Attributes:
        ranks: the processes that train this network.
        micro_batches: so many forward and backward passes a step on each rank, for which the memory is then enough.
            Batch norm takes its statistics over one of them, of all ranks.
    """

    ranks: Ranks = ALONE
    micro_batches: int = 1

    @property
    def parts(self) -> int:
        """Parts that a batch is cut into."""
        return self.ranks.size * self.micro_batches

    def check(self, batch_size: int) -> None:
        """Raise OpenPairError for batches that cannot be split so."""
        if batch_size % self.parts:
            divided = f"{self.ranks.size} ranks" + (f" x {self.micro_batches} micro-batches" * (self.micro_batches > 1))
            raise OpenPairError(
                f"a batch of {batch_size} scenes cannot be divided by {divided}",
                where="batch_size",
                fix="Give a batch that is a multiple, or another number of ranks",
            )


WHOLE = BatchSplit()

AVERAGE = "average."
"""What names of averaged weights begin with, among the tensors of a state."""


@dataclass(frozen=True)
class BatchPart:
    """A part of the batch of a step: all of it, where it is not split.

    Attributes:
        batch: the scenes, on the network's device. Targets hold the counts of :meth:`Branch.counts`, where it is split.
        indices: their positions among the training scenes.
        as_whole: context in which the network computes this part as a part of the whole
            (:mod:`openpair.training.whole_batch`).
        rows: which rows of the rank's share these are.
    """

    batch: SceneBatch
    indices: NDArray[np.int64]
    as_whole: AbstractContextManager[object]
    rows: slice


class Branch(ABC):
    """One trainable branch (imitation, reinforcement, or the reward model).

    A branch owns its network, optimiser, data order and random generator. Two branches share nothing, so running
    them singly, interleaved or in separate processes gives the same weights.

    Attributes:
        average: moving average of the weights, where the run keeps one; validated and exported in their place.
        best_figure: figure of :meth:`validate` that says which network is best; highest, unless ``best_is_lowest``.

    Args:
        network: on its device.
        config: settings.
        train: scenes to learn from.
        total_steps: optimiser steps.
        seed: of the data order and of every other random draw.
        save: writes the finished network.
        split: how batches are split between ranks and micro-batches.
    """

    name: str
    network: nn.Module
    config: BranchSettings
    split: BatchSplit = WHOLE
    average: WeightAverage | None = None
    best_figure: str = ""
    best_is_lowest: bool = False

    def __init__(
        self,
        network: nn.Module,
        config: BranchSettings,
        train: SceneSource,
        *,
        total_steps: int,
        seed: int,
        save: Save,
        split: BatchSplit = WHOLE,
    ) -> None:
        split.check(config.batch_size)
        if config.batch_size > len(train.tokens):
            raise OpenPairError(
                f"a batch of {config.batch_size} is more than the {len(train.tokens)} scenes to learn from",
                where="batch_size",
                fix="Give a smaller batch, or more scenes",
            )
        self.network = network
        self.config = config
        self.total_steps = total_steps
        self.optimiser = make_optimiser(network, config.optimiser)
        self.generator = torch.Generator().manual_seed(seed)
        self._train = train
        self.split = split
        self._order = BatchOrder(len(train.tokens), config.batch_size, seed, split.ranks.index, split.ranks.size)
        self._device = next(network.parameters()).device
        self.loader = BatchLoader(train, self._order, self._device)
        self._save = save
        self._kept: tuple[int, SceneBatch] | None = None

    def tokens_of(self, index: int) -> Sequence[str]:
        """Tokens of the scenes of step ``index``, of all ranks."""
        return [self._train.tokens[i] for i in self._order.whole(index)]

    def parts(self, index: int) -> Iterator[BatchPart]:
        """The parts of the batch of step ``index`` that are this rank's, for one pass over them.

        Every part is drawn for with the same state of the generators, as a part of the whole.
        """
        share, indices = self._share(index), self._order.indices(index)
        count, parts = len(share.tokens), self.split.parts
        rows = count // self.split.micro_batches
        drawn = self.generator.get_state(), torch.get_rng_state()
        counts = self._mean_counts(index, share) if parts > 1 else {}
        for number, start in enumerate(range(0, count, rows)):
            if number:
                self.generator.set_state(drawn[0])
                torch.set_rng_state(drawn[1])
            batch = share if rows == count else share.rows(start, start + rows)
            if parts == 1:
                whole: AbstractContextManager[object] = nullcontext()
            else:
                part = self.split.ranks.index * self.split.micro_batches + number
                whole = WholeBatch(Place(part, parts, rows), self.split.ranks)
                batch = replace(batch, targets={**batch.targets, **counts})
            yield BatchPart(batch.to(self._device), indices[start : start + rows], whole, slice(start, start + rows))

    def counts(self, index: int, share: SceneBatch) -> dict[str, Tensor]:
        """What losses divide by that is not the same for every part: how many entries of a target are there.

        Args:
            index: of the step.
            share: the rank's scenes of it.

        Returns:
            ``NAME_count`` for a target NAME: a scalar, which losses take instead of counting their part.
        """
        there = ("agent_labels", "agent_future_seen")
        return {f"{name}_count": share.targets[name].sum() for name in there if name in share.targets}

    def learn(self, losses: Iterable[tuple[Tensor, Mapping[str, Tensor | float]]], index: int) -> Figures:
        """One optimiser step at the learning rate of step ``index``.

        Args:
            losses: loss and figures of each part, as they are asked for: gradients of a part are added before the next
                part is computed.
            index: of the step.

        Returns:
            The figures, means over the parts of all ranks, ``gradient_norm`` before clipping, and ``learning_rate``.
        """
        schedule_rate(self.optimiser, self.config.optimiser, step=index, total_steps=self.total_steps)
        self.optimiser.zero_grad(set_to_none=True)
        passes = self.split.micro_batches
        rows: list[Mapping[str, Tensor | float]] = []
        for loss, figures in losses:
            (loss if passes == 1 else loss / passes).backward()
            rows.append({k: v.detach() if isinstance(v, Tensor) else v for k, v in figures.items()})
        means = _mean(rows)
        if not self.split.ranks.alone:
            means = {k: v.float().clone() if isinstance(v, Tensor) else v for k, v in means.items()}
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            self.split.ranks.average([*gradients, *(v for v in means.values() if isinstance(v, Tensor))])
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip_norm)
        self.optimiser.step()
        return {**means, "gradient_norm": norm, "learning_rate": float(self.optimiser.param_groups[0]["lr"])}

    def _share(self, index: int) -> SceneBatch:
        """The scenes of step ``index`` that are this rank's, where they were loaded; kept for further passes."""
        if self._kept is None or self._kept[0] != index:
            self._kept = index, self.loader.batch(index)
        return self._kept[1]

    def _mean_counts(self, index: int, share: SceneBatch) -> dict[str, Tensor]:
        """:meth:`counts`, means over the parts of the whole batch, of which it has at least one."""
        totals = {k: v.float() for k, v in self.counts(index, share).items()}
        exchanged = {k: v.to(self._device).reshape(1) for k, v in totals.items()}
        self.split.ranks.average(list(exchanged.values()))
        size, passes = self.split.ranks.size, self.split.micro_batches
        return {k: (v[0] * size).round().clamp(min=1.0) / (size * passes) for k, v in exchanged.items()}

    @abstractmethod
    def step(self, index: int) -> Figures:
        """Do optimiser step ``index`` (0-based) and return named figures to log."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures on the validation scenes; must not change the branch's state. Empty where there are none."""

    def shown_scenes(self) -> list[ShownScene]:
        """A few validation scenes for people who watch, on one rank alone; must not change the branch's state."""
        return []

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
        if self.average is not None:
            tensors |= {f"{AVERAGE}{name}": value for name, value in self.average.tensors.items()}
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
        if self.average is not None:
            self.average.restore({k[len(AVERAGE) :]: v for k, v in tensors.items() if k.startswith(AVERAGE)})


def _mean(rows: list[Mapping[str, Tensor | float]]) -> Figures:
    """Mean of every figure over the parts of a rank."""
    first, *others = rows
    if not others:
        return dict(first)
    return {name: sum((row[name] for row in others), value) / len(rows) for name, value in first.items()}
