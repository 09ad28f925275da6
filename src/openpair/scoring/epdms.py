"""EPDMS (v2.2) beyond one plan of one scene: extended comfort enters the score, two stages become one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.sub_metrics import EXTENDED_COMFORT, multipliers, weights
from openpair.errors import OpenPairError
from openpair.scoring.extended_comfort import extended_comfort

WEIGHTS = weights(Protocol.V2_2)
MULTIPLIERS = multipliers(Protocol.V2_2)

KERNEL_VARIANCE_M2 = 0.1
"""Variance of the Gaussian that weights second-stage starts by their distance from the first stage's end."""


def epdms(metrics: Mapping[str, Any]) -> Any:
    """EPDMS of sub-metrics by name (arrays of one shape). NaN extended comfort drops out of the weighted mean."""
    product: Any = 1.0
    for name in MULTIPLIERS:
        product = product * metrics[name]
    total: Any = 0.0
    weight: Any = 0.0
    for name, share in WEIGHTS.items():
        known = ~np.isnan(metrics[name])
        total = total + np.where(known, share * metrics[name], 0.0)
        weight = weight + np.where(known, share, 0.0)
    return product * total / weight


def with_extended_comfort(scores: PlanScores, comfort: NDArray[np.float64]) -> PlanScores:
    """Scores with extended comfort (N,) (0, 1, or NaN for none) entered, filtered and unfiltered."""
    if scores.protocol is not Protocol.V2_2:
        raise OpenPairError("extended comfort belongs to v2.2", fix="Score with protocol v2.2")
    metrics = {name: np.asarray(values) for name, values in scores.metrics.items()}
    metrics[EXTENDED_COMFORT] = np.asarray(comfort, np.float64)
    unfiltered = {
        name: metrics[name] if name == EXTENDED_COMFORT else np.asarray(scores.evidence[f"unfiltered_{name}"])
        for name in metrics
    }
    evidence = dict(scores.evidence)
    evidence["score_unfiltered"] = evidence["score_before_fix"] = epdms(unfiltered)
    return replace(scores, score=epdms(metrics), metrics=metrics, evidence=evidence)


@dataclass(frozen=True)
class StageRow:
    """One scored plan of a two-stage evaluation.

    Attributes:
        token: scene token.
        metrics: sub-metrics of v2.2 by name; extended comfort is not needed.
        simulated_states: (41, 11) global frame.
        start: (2,) rear axle x, y at t = 0 [m], global frame (the start of a second-stage scene).
        endpoint: (2,) last pose of the plan as the model gave it [m], global frame (the end of the first stage).
        start_time_s: time of the current frame [s].
    """

    token: str
    metrics: Mapping[str, float]
    simulated_states: NDArray[np.float64]
    start: NDArray[np.float64]
    endpoint: NDArray[np.float64]
    start_time_s: float


@dataclass(frozen=True)
class StageMapping:
    """First-stage scenes and the second-stage scenes that follow them.

    Attributes:
        now: token of the first-stage scene.
        previous: token of its predecessor.
        second: (now token, previous token) of each pair of second-stage scenes.
    """

    now: str
    previous: str
    second: Sequence[tuple[str, str]]

    @property
    def tokens(self) -> tuple[str, ...]:
        """All scenes: the first stage now and before, then the second stage pair by pair."""
        return (self.now, self.previous, *(token for pair in self.second for token in pair))


@dataclass(frozen=True)
class TwoStageScores:
    """Result of a two-stage evaluation.

    Attributes:
        token_scores: EPDMS of each token, extended comfort included.
        token_comfort: extended comfort of each token.
        token_weights: weight of each second-stage token within its group; 1 for first-stage tokens.
        combined, stage_one, stage_two: mean over mappings of each sub-metric and of "score".
    """

    token_scores: dict[str, float]
    token_comfort: dict[str, float]
    token_weights: dict[str, float]
    combined: dict[str, float]
    stage_one: dict[str, float]
    stage_two: dict[str, float]


def start_weights(endpoint: NDArray[np.float64], starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,) weights of second-stage starts (S, 2) by their distance from a first-stage endpoint (2,); they sum to 1."""
    distance2 = ((starts - endpoint) ** 2).sum(axis=-1)
    weights = np.exp(-distance2 / (2 * KERNEL_VARIANCE_M2))
    total = weights.sum()
    if np.isclose(total, 0.0):
        return np.full(len(starts), 1.0 / len(starts))
    return weights / total


def two_stage_scores(rows: Sequence[StageRow], mappings: Sequence[StageMapping]) -> TwoStageScores:
    """Two-stage EPDMS (navhard).

    Extended comfort compares each pair's two frames and is entered in both. Second-stage scenes are weighted by
    their distance from the first stage's endpoint, apart for the now and the previous group. A mapping's combined
    value is the mean over both groups of first-stage value times weighted second-stage value; the result is the mean
    over mappings.

    Raises:
        OpenPairError: a mapping names a token that has no row.
    """
    by_token = {row.token: row for row in rows}
    comfort: dict[str, float] = {}
    weights: dict[str, float] = {}

    def row(token: str) -> StageRow:
        if token not in by_token:
            raise OpenPairError(f"no score for scene '{token}' of the mapping", fix="Score every scene that it names")
        return by_token[token]

    for mapping in mappings:
        for now, previous in [(mapping.now, mapping.previous), *mapping.second]:
            gap = row(now).start_time_s - row(previous).start_time_s
            value = extended_comfort(row(previous).simulated_states, row(now).simulated_states, gap)
            comfort[now] = comfort[previous] = float(value)
        for first, group in (
            (mapping.now, [pair[0] for pair in mapping.second]),
            (mapping.previous, [pair[1] for pair in mapping.second]),
        ):
            weights[first] = 1.0
            group_weights = start_weights(row(first).endpoint, np.array([row(token).start for token in group]))
            weights.update(zip(group, group_weights.tolist(), strict=True))

    metrics: dict[str, dict[str, float]] = {}
    for token, ec in comfort.items():
        metrics[token] = {**row(token).metrics, EXTENDED_COMFORT: ec}
        metrics[token]["score"] = float(epdms(metrics[token]))

    names = (*MULTIPLIERS, *WEIGHTS, "score")

    def mean(values: list[dict[str, float]]) -> dict[str, float]:
        return {name: float(np.mean([value[name] for value in values])) for name in names}

    first_values, second_values, combined_values = [], [], []
    for mapping in mappings:
        groups = (
            (mapping.now, [pair[0] for pair in mapping.second]),
            (mapping.previous, [pair[1] for pair in mapping.second]),
        )
        firsts = [{name: metrics[first][name] for name in names} for first, _ in groups]
        seconds = [{name: sum(weights[t] * metrics[t][name] for t in group) for name in names} for _, group in groups]
        products = [{name: a[name] * b[name] for name in names} for a, b in zip(firsts, seconds, strict=True)]
        first_values.append(mean(firsts))
        second_values.append(mean(seconds))
        combined_values.append(mean(products))
    return TwoStageScores(
        token_scores={token: metrics[token]["score"] for token in metrics},
        token_comfort=comfort,
        token_weights=weights,
        combined=mean(combined_values),
        stage_one=mean(first_values),
        stage_two=mean(second_values),
    )
