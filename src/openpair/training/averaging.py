"""Exponential moving average of a network's weights: what is validated and exported where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The mean of a network's weights over its last steps, with weights that fall off by ``decay`` a step.

    Over the first steps the decay is lower, (1 + t) / (10 + t), so that the start is forgotten. Statistics of batch
    norms are averaged with the weights; whole numbers are taken as they are.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay = network, decay
        self.tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step ``step`` (from 0)."""
        share = 1.0 - min(self._decay, (1 + step) / (10 + step))
        for name, value in self._network.state_dict().items():
            mean = self.tensors[name]
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights while the block lasts."""
        own = {name: value.detach().clone() for name, value in self._network.state_dict().items()}
        self._network.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what :attr:`tensors` held. Raises RuntimeError where names or shapes do not fit."""
        if tensors.keys() != self.tensors.keys():
            raise RuntimeError("the averaged weights are those of another network")
        for name, value in tensors.items():
            self.tensors[name].copy_(value)
