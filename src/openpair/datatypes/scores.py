"""Scores of N plans of one scene, with every sub-metric."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.sub_metrics import SUB_METRICS, sub_metrics

SHORT_NAMES = {metric.name: metric.short for metric in SUB_METRICS}
"""Name of each sub-metric -> its short name."""


def metric_names(protocol: Protocol) -> tuple[str, ...]:
    """Sub-metric names of a protocol, in the order of its published tables."""
    return tuple(metric.name for metric in sub_metrics(protocol))


@dataclass(frozen=True)
class PlanScores:
    """Scores of N plans of one scene.

    Attributes:
        protocol: which score.
        score: (N,) float64 in [0, 1]: PDMS or EPDMS.
        metrics: sub-metric name -> (N,) float64 in [0, 1].
        evidence: named per-plan or per-step arrays that explain the score (times of infraction [steps of 0.1 s],
            simulated states, ego areas); the names are documented by the scorer.
    """

    protocol: Protocol
    score: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    evidence: dict[str, NDArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.score)
