"""What a branch shows of a few validation scenes: plans, and candidates with their true scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from openpair.training.batch import SceneBatch

NUM_SHOWN = 4


@dataclass(frozen=True)
class ShownScene:
    """Plans for one validation scene; x [m], y [m], heading [rad], ego rear-axle frame.

    Attributes:
        token: of the scene.
        plans: label -> (8, 3), the most important first.
        candidates: (N, 8, 3) leaves of a tree, or what a reward model chooses from.
        scores: (N,) their true scores.
    """

    token: str
    plans: Mapping[str, NDArray[np.floating]]
    candidates: NDArray[np.floating]
    scores: NDArray[np.floating]


def shown(batch: SceneBatch, plans: Mapping[str, Tensor], candidates: Tensor, scores: Tensor) -> list[ShownScene]:
    """The scenes of a batch with the human's plan, further plans (B, 8, 3), and candidates (B, N, 8, 3) with their true
    scores (B, N)."""
    every = {name: plan.cpu().numpy() for name, plan in {"human": batch.targets["trajectory"], **plans}.items()}
    sets, true = candidates.cpu().numpy(), scores.cpu().numpy()
    return [
        ShownScene(token, {name: plan[i] for name, plan in every.items()}, sets[i], true[i])
        for i, token in enumerate(batch.tokens)
    ]


DrawShown = Callable[[ShownScene], NDArray[np.uint8]]
"""Gives a picture (H, W, 3), RGB."""


def shown_indices(count: int) -> NDArray[np.int64]:
    """Positions of the scenes that are shown, always the same and far apart, since neighbours look alike."""
    return np.unique(np.linspace(0, count - 1, NUM_SHOWN).round().astype(np.int64))
