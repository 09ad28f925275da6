"""Means over seeds and scenes with intervals that cover both: trainings differ, and so do the streets of a test.

Every seed drives the same scenes, so seeds and logs are crossed. Both are resampled with replacement, independently of
each other (the pigeonhole bootstrap: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from openpair.evaluation.statistics import CONFIDENCE, NUM_RESAMPLES, Estimate


@dataclass(frozen=True)
class SeedEstimate(Estimate):
    """A mean over seeds and scenes with its interval.

    Attributes:
        num_seeds: seeds in the mean; 1 for agents that nothing is trained for. ``num_scenes`` counts each scene once,
            however many seeds drove it.
    """

    num_seeds: int = 1


def bootstrap_seeds_and_logs(
    values: NDArray[np.float64], logs: Sequence[str], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> SeedEstimate:
    """Mean of ``values`` (K, S) over K seeds and S scenes, and its 95% percentile interval.

    A resample draws K seeds and, independently, as many logs as there are, and averages over all scenes of the drawn
    logs by all drawn seeds. With one seed only logs are drawn; with fewer than two logs there is no interval. NaN
    values are left out of every mean.

    Args:
        values: (K, S) one number per seed and scene.
        logs: (S,) the log of each scene.
        seed: of the resampling.
        num_resamples: number of resamples.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(logs):
        raise ValueError(f"values has shape {values.shape}, but there are {len(logs)} logs")
    known = np.isfinite(values)
    driven = known.any(axis=0)
    values, known = values[known.any(axis=1)][:, driven], known[known.any(axis=1)][:, driven]
    names, log_of = np.unique(np.asarray(logs, dtype=object)[driven].astype(str), return_inverse=True)
    num_seeds, num_scenes = values.shape
    if num_scenes == 0:
        return SeedEstimate(np.nan, np.nan, np.nan, 0, 0, 0)
    # Sorting makes the sums, and with them the last bits, independent of the order in which scenes come.
    sums = np.stack([_sums(np.where(k, v, 0.0), log_of, len(names)) for v, k in zip(values, known, strict=True)])
    counts = np.stack([_sums(k.astype(np.float64), log_of, len(names)) for k in known])
    mean = float(sums.sum() / counts.sum())
    if len(names) < 2:
        return SeedEstimate(mean, np.nan, np.nan, num_scenes, len(names), num_seeds)
    of_seeds, of_logs = _draws(num_seeds, len(names), seed, num_resamples)
    total = np.einsum("rk,kl,rl->r", of_seeds, sums, of_logs, optimize=True)
    number = np.einsum("rk,kl,rl->r", of_seeds, counts, of_logs, optimize=True)
    means = total[number > 0] / number[number > 0]
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return SeedEstimate(mean, float(low), float(high), num_scenes, len(names), num_seeds)


def paired_over_seeds(
    first: NDArray[np.float64], second: NDArray[np.float64], logs: Sequence[str], *, seed: int = 0
) -> SeedEstimate:
    """``first - second`` per seed and scene, averaged, with its interval.

    Args:
        first, second: (K, S) or (1, S) scores of two agents on the same scenes, row k of both from the same seed; one
            row stands for an agent without seeds and is compared with every seed of the other. NaN leaves a pair out.
        logs: (S,) the log of each scene.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape[1:] != second.shape[1:] or len({len(first), len(second)} - {1}) > 1:
        raise ValueError(f"scores of shapes {first.shape} and {second.shape} cannot be paired")
    return bootstrap_seeds_and_logs(first - second, logs, seed=seed)


def mean_over_seeds(values: Sequence[float]) -> SeedEstimate:
    """Mean of one figure per seed, with the 95% interval of Student's t; no interval from one seed."""
    from scipy.stats import t

    known = np.array([value for value in values if np.isfinite(value)], np.float64)
    if not len(known):
        return SeedEstimate(np.nan, np.nan, np.nan, 0, 0, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return SeedEstimate(mean, np.nan, np.nan, 0, 0, 1)
    half = float(t.ppf(0.5 + CONFIDENCE / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return SeedEstimate(mean, mean - half, mean + half, 0, 0, len(known))


def _sums(values: NDArray[np.float64], log_of: NDArray[np.int64], num_logs: int) -> NDArray[np.float64]:
    """(L,) sum over the scenes of each log."""
    order = np.lexsort((values, log_of))
    return np.bincount(log_of[order], weights=values[order], minlength=num_logs).astype(np.float64)


@lru_cache(maxsize=256)
def _draws(num_seeds: int, num_logs: int, seed: int, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each seed (R, K) and each log (R, L) is drawn in each resample."""
    generator = np.random.default_rng(seed)
    of_logs = generator.multinomial(num_logs, np.full(num_logs, 1.0 / num_logs), size=number)
    of_seeds = generator.multinomial(num_seeds, np.full(num_seeds, 1.0 / num_seeds), size=number)
    return of_seeds.astype(np.float64), of_logs.astype(np.float64)
