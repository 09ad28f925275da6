"""Means with honest intervals. Scenes of one log resemble each other, so logs, not scenes, are resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval.

    Attributes:
        mean: plain average over scenes; NaN without scenes.
        low: lower end of the 95% interval; NaN where there are fewer than two logs.
        high: upper end; likewise.
        num_scenes: scenes in the mean.
        num_logs: logs they come from.
    """

    mean: float
    low: float
    high: float
    num_scenes: int
    num_logs: int

    @property
    def has_interval(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def bootstrap_by_log(
    values: NDArray[np.float64], logs: Sequence[str], *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Estimate:
    """Mean of ``values`` (S,) and its percentile interval under resampling of logs with replacement.

    A resample draws as many logs as there are and averages over all their scenes (cluster bootstrap; Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8 and 13). NaN values are left out. The result does not
    depend on the order of scenes.

    Args:
        values: (S,) one number per scene.
        logs: (S,) the log of each scene.
        seed: seed of the resampling.
        num_resamples: number of resamples.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(logs),):
        raise ValueError(f"values has shape {values.shape}, but there are {len(logs)} logs")
    present = np.isfinite(values)
    values = values[present]
    names, log_index = np.unique(np.asarray(logs, dtype=object)[present].astype(str), return_inverse=True)
    num_logs = len(names)
    if num_logs == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    # Sorting makes the sums, and with them the last bits, independent of the order in which scenes were scored.
    order = np.lexsort((values, log_index))
    sums = np.bincount(log_index[order], weights=values[order], minlength=num_logs)
    counts = np.bincount(log_index, minlength=num_logs).astype(np.float64)
    mean = float(sums.sum() / counts.sum())
    if num_logs == 1:
        return Estimate(mean, np.nan, np.nan, len(values), 1)
    draws = np.random.default_rng(seed).multinomial(num_logs, np.full(num_logs, 1.0 / num_logs), size=num_resamples)
    means = (draws @ sums) / (draws @ counts)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return Estimate(mean, float(low), float(high), len(values), num_logs)


def paired_difference(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    logs: Sequence[str],
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """``first - second`` per scene, averaged, with its interval by log.

    Scenes that either agent failed on (NaN) are left out of the pair; ``num_scenes`` says how many remain.

    Args:
        first, second: (S,) scores of two agents on the same scenes.
        logs: (S,) the log of each scene.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"the agents have {first.shape} and {second.shape} scores; they must be of the same scenes")
    return bootstrap_by_log(first - second, logs, seed=seed, num_resamples=num_resamples)
