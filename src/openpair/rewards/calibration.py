"""How far a reward model can be trusted: calibration of its scores, order of its candidates, cost of its choices.

A probability is calibrated where, of all candidates that are given 0.8, the mean truth is 0.8. Regret is what choosing
by prediction costs against choosing by truth; rank correlation and AUC say how well the order is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from openpair.rewards.base import HEAD_NAMES

NUM_BINS = 10
PASSED = 0.5
"""A sub-score above this counts as passed for the AUC: half a collision is a collision."""


@dataclass(frozen=True)
class Bin:
    """One row of a reliability table: the candidates whose prediction lies in an interval.

    Attributes:
        low, high: the interval, closed below and open above; the last one is closed.
        count: candidates in it.
        predicted: their mean prediction, NaN where there are none.
        observed: their mean truth, likewise.
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class HeadReport:
    """One predicted figure, the score or a sub-score, over all candidates.

    Attributes:
        calibration_error: expected calibration error.
        auc: probability that a passing candidate is rated above a failing one; NaN where all pass or all fail.
        table: reliability, :data:`NUM_BINS` rows.
    """

    calibration_error: float
    auc: float
    table: list[Bin]


@dataclass(frozen=True)
class RewardReport:
    """What is known of a reward model on sets of candidates.

    Attributes:
        regret: mean over sets of the best score minus that of the chosen candidate.
        rank_correlation: mean over sets of Spearman's correlation; sets of equal truths do not count.
        score: the predicted score.
        sub_scores: by name of the head, those that the protocol has.
    """

    regret: float
    rank_correlation: float
    score: HeadReport
    sub_scores: dict[str, HeadReport]


def reliability_table(predicted: Tensor, truth: Tensor, num_bins: int = NUM_BINS) -> list[Bin]:
    """Predictions (N,) in [0, 1] in bins of equal width, beside their truths (N,) in [0, 1]."""
    predicted, truth = predicted.double().flatten(), truth.double().flatten()
    index = (predicted * num_bins).floor().clamp(0, num_bins - 1).long()
    count = torch.bincount(index, minlength=num_bins)
    mean_predicted = torch.zeros(num_bins, dtype=torch.float64).index_add_(0, index, predicted) / count
    mean_truth = torch.zeros(num_bins, dtype=torch.float64).index_add_(0, index, truth) / count
    return [
        Bin(b / num_bins, (b + 1) / num_bins, int(count[b]), float(mean_predicted[b]), float(mean_truth[b]))
        for b in range(num_bins)
    ]


def expected_calibration_error(table: list[Bin]) -> float:
    """Mean over candidates of |mean prediction - mean truth| of their bin; NaN for an empty table."""
    total = sum(row.count for row in table)
    off = sum(row.count * abs(row.predicted - row.observed) for row in table if row.count)
    return off / total if total else float("nan")


def selection_regret(predicted: Tensor, truth: Tensor) -> Tensor:
    """(B,) best truth minus truth of the candidate with the greatest prediction; (B, N) each."""
    chosen = truth.gather(1, predicted.argmax(dim=1, keepdim=True)).squeeze(1)
    return truth.amax(dim=1) - chosen


def ranks(values: Tensor) -> Tensor:
    """Ranks (..., N) from 0 up; equal values share the mean of their ranks."""
    below = (values[..., None, :] < values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1)
    return below.double() + 0.5 * (equal.double() - 1)


def rank_correlation(predicted: Tensor, truth: Tensor) -> Tensor:
    """(B,) Spearman's correlation of each set; (B, N) each. NaN where all predictions or all truths are equal."""
    a, b = ranks(predicted), ranks(truth)
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    norm = a.square().sum(1).sqrt() * b.square().sum(1).sqrt()
    return torch.where(norm > 0, (a * b).sum(1) / norm, torch.nan)


def auc(predicted: Tensor, passed: Tensor) -> float:
    """Probability that a passing candidate is rated above a failing one, ties counting half.

    Args:
        predicted: (N,).
        passed: (N,) bool.

    Returns:
        NaN where all pass or all fail.
    """
    values, order = torch.unique(predicted.double(), return_inverse=True)
    good = torch.bincount(order[passed], minlength=len(values)).double()
    bad = torch.bincount(order[~passed], minlength=len(values)).double()
    bad_below = bad.cumsum(0) - bad
    pairs = good.sum() * bad.sum()
    return float((good * (bad_below + 0.5 * bad)).sum() / pairs) if pairs > 0 else float("nan")


def head_report(predicted: Tensor, truth: Tensor) -> HeadReport:
    """Predictions and truths (N,) in [0, 1] -> report; truths that are NaN do not count."""
    known = ~truth.isnan()
    predicted, truth = predicted[known], truth[known]
    table = reliability_table(predicted, truth)
    return HeadReport(expected_calibration_error(table), auc(predicted, truth > PASSED), table)


def reward_report(
    value: Tensor, score: Tensor, metrics: Tensor, true_score: Tensor, true_metrics: Tensor
) -> RewardReport:
    """Predictions for B sets of N candidates -> report.

    Args:
        value: (B, N) what the model chooses by, the greater the better.
        score: (B, N) predicted score in [0, 1].
        metrics: (B, 9, N) predicted sub-scores, rows as :data:`~openpair.rewards.base.HEAD_NAMES`.
        true_score: (B, N).
        true_metrics: (B, 9, N), NaN in rows that the protocol does not have.
    """
    correlation = rank_correlation(value, true_score)
    known = correlation[~correlation.isnan()]
    sub_scores = {
        name: head_report(metrics[:, row].flatten(), true_metrics[:, row].flatten())
        for row, name in enumerate(HEAD_NAMES)
        if not bool(true_metrics[:, row].isnan().all())
    }
    return RewardReport(
        regret=float(selection_regret(value, true_score).mean()),
        rank_correlation=float(known.mean()) if len(known) else float("nan"),
        score=head_report(score.flatten(), true_score.flatten()),
        sub_scores=sub_scores,
    )
