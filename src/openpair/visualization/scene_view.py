"""What a picture of a scene shows: one scene, the plans of some agents with their explanations, leaves of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.scene import Scene, SensorFrame
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.visualization.explanation import Explanation, explain_all

HUMAN = "human"
"""Label of the recorded human's plan, which has a look of its own."""


@dataclass(frozen=True)
class DrawnPlan:
    """A plan that is drawn and explained.

    Attributes:
        key: names it on the page; unique in a view.
        explanation: the plan, what the vehicle does with it, why it scores what it scores.
        tone: its colour and dashes, 0 .. 5; None for the human.
        note: one more line for readers ("predicted 0.93").
        score: the score in the results, where it is another than the explanation's (extended comfort is known only
            beside a neighbouring scene); None where they are the same.
    """

    key: str
    explanation: Explanation
    tone: int | None
    note: str = ""
    score: float | None = None

    @property
    def label(self) -> str:
        return self.explanation.label


@dataclass(frozen=True)
class ScoredPlan:
    """A candidate: a plan with its true score, drawn as a thin line.

    Attributes:
        label: short name ("IL", a leaf code such as "0011").
        plan: (8, 3) x [m], y [m], heading [rad], ego rear-axle frame.
        score: true score in [0, 1]; NaN where unknown.
        metrics: sub-metrics by full name, in [0, 1].
        predicted: what the reward model says of it, in [0, 1]; None where it was not asked.
        predicted_metrics: what it says of the sub-metrics, by full name.
    """

    label: str
    plan: NDArray[np.float64]
    score: float = float("nan")
    metrics: dict[str, float] = field(default_factory=dict)
    predicted: float | None = None
    predicted_metrics: dict[str, float] = field(default_factory=dict)


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
class SceneView:
    """One scene with everything that is drawn of it.

    Attributes:
        scene: what the scorer knows of it.
        plans: the plans that are explained, most important first.
        leaves: candidates.
        surroundings: the scene of the dataset, for walkways, crosswalks and lights; None draws what the scorer knows.
    """

    scene: ScoringScene
    plans: tuple[DrawnPlan, ...]
    leaves: tuple[ScoredPlan, ...] = ()
    surroundings: Scene | None = None

    @property
    def first_offence_step(self) -> int:
        """The earliest moment at which one of the plans loses points (steps of 0.1 s); 0 where none does."""
        steps = [plan.explanation.first.step or 0 for plan in self.plans if plan.explanation.first is not None]
        return min(steps, default=0)


def view_scene(
    scene: ScoringScene,
    plans: Sequence[tuple[str, NDArray[np.float64]]],
    *,
    surroundings: Scene | None = None,
    leaves: Sequence[ScoredPlan] = (),
    human_filter: bool = True,
) -> SceneView:
    """Score, explain and show plans (label, (8, 3)) of a prepared scene; the label ``human`` gets the human's look.

    Raises OpenPairError for plans or a scene that cannot be scored.
    """
    labels = [label for label, _ in plans]
    explained = explain_all(scene, [plan for _, plan in plans], labels, human_filter=human_filter)
    tones = iter(range(len(plans)))
    drawn = tuple(
        DrawnPlan(f"p{i}", explanation, None if explanation.label == HUMAN else next(tones) % NUM_TONES)
        for i, explanation in enumerate(explained)
    )
    return SceneView(scene, drawn, tuple(leaves), surroundings)


NUM_TONES = 6
"""Colours that plans can be told apart by, each with dashes of its own."""


@dataclass(frozen=True)
class GalleryScene:
    """A scene of a report.

    Attributes:
        view: what is drawn.
        title: one line ("Cut-in from the left").
        log: the log it is cut from.
        note: why the scene is shown, one or two sentences.
        tags: words the gallery can be filtered by ("PaIR better", "collision" ...).
        sensors: camera images to show; None shows none.
    """

    view: SceneView
    title: str
    log: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    sensors: SensorFrame | None = None
