"""What a picture of a scene shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.scene import Scene, SensorFrame
from openpair.datatypes.scores import PlanScores


@dataclass(frozen=True)
class ScoredPlan:
    """A plan with its true score.

    Attributes:
        label: short name ("human", "IL", a leaf code such as "0011").
        plan: (8, 3) x [m], y [m], heading [rad], ego rear-axle frame.
        score: true score in [0, 1]; NaN where unknown.
        metrics: sub-metrics by full name, in [0, 1].
        predicted: what the reward model says of it, any scale; None where it was not asked.
    """

    label: str
    plan: NDArray[np.float64]
    score: float = float("nan")
    metrics: dict[str, float] = field(default_factory=dict)
    predicted: float | None = None


def scored_plans(
    labels: Sequence[str],
    plans: NDArray[np.floating],
    scores: PlanScores,
    predicted: Sequence[float | None] | None = None,
) -> tuple[ScoredPlan, ...]:
    """Plans of one scene with their scores.

    Args:
        labels: (N,) their names.
        plans: (N, 8, 3) ego rear-axle frame.
        scores: what the scorer says of them, N plans.
        predicted: (N,) what the reward model says of them; None where it was not asked.
    """
    if not len(labels) == len(plans) == len(scores):
        raise ValueError(f"{len(labels)} labels, {len(plans)} plans and {len(scores)} scores do not belong together")
    return tuple(
        ScoredPlan(
            label,
            np.asarray(plans[i], dtype=np.float64),
            float(scores.score[i]),
            {name: float(values[i]) for name, values in scores.metrics.items()},
            None if predicted is None else predicted[i],
        )
        for i, label in enumerate(labels)
    )


@dataclass(frozen=True)
class GalleryScene:
    """One scene with the plans made for it.

    Attributes:
        scene: the scene.
        title: one line ("Cut-in from the left").
        human: what the human drove.
        imitation: the IL plan, root of the tree; None where there is none.
        candidates: the leaves.
        chosen: the plan that was driven: one of the candidates or the IL plan itself; None where there is none.
        note: why the scene is shown, one or two sentences.
        tags: words the gallery can be filtered by ("PaIR better", "collision" ...).
        sensors: camera images to show; None shows none.
    """

    scene: Scene
    title: str
    human: ScoredPlan
    imitation: ScoredPlan | None = None
    candidates: tuple[ScoredPlan, ...] = ()
    chosen: ScoredPlan | None = None
    note: str = ""
    tags: tuple[str, ...] = ()
    sensors: SensorFrame | None = None
