# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""From sub-metrics to scores: progress relative to the best plan, products and weighted means, the human filter."""

from enum import IntEnum

import warp as wp

from openpair.datatypes.columns import Protocol
from openpair.datatypes.sub_metrics import column_multipliers, column_weights
from openpair.geometry.warp_runtime import MODULE_OPTIONS

wp.set_module_options(MODULE_OPTIONS)


class ResultIndex(IntEnum):
    """Columns of the result table (N, 21) float64.

    The first eight are the sub-metrics before the human filter, the next eight those after it (equal in v1.1).
    """

    NC = 0
    DAC = 1
    DDC = 2
    TLC = 3
    EP = 4
    TTC = 5
    LK = 6
    COMFORT = 7
    FILTERED_NC = 8
    FILTERED_DAC = 9
    FILTERED_DDC = 10
    FILTERED_TLC = 11
    FILTERED_EP = 12
    FILTERED_TTC = 13
    FILTERED_LK = 14
    FILTERED_COMFORT = 15
    SCORE = 16
    UNFILTERED_SCORE = 17
    PROGRESS = 18
    GAIN = 19
    MULTIPLIER = 20


NUM_METRICS = int(ResultIndex.FILTERED_NC)
"""Sub-metrics in the table: the first columns before, the next as many after the human filter."""

NUM_RESULTS = len(ResultIndex)

NC = wp.constant(int(ResultIndex.NC))
DAC = wp.constant(int(ResultIndex.DAC))
DDC = wp.constant(int(ResultIndex.DDC))
TLC = wp.constant(int(ResultIndex.TLC))
EP = wp.constant(int(ResultIndex.EP))
TTC = wp.constant(int(ResultIndex.TTC))
LK = wp.constant(int(ResultIndex.LK))
COMFORT = wp.constant(int(ResultIndex.COMFORT))
FILTERED = wp.constant(int(ResultIndex.FILTERED_NC))
SCORE = wp.constant(int(ResultIndex.SCORE))
UNFILTERED_SCORE = wp.constant(int(ResultIndex.UNFILTERED_SCORE))
PROGRESS = wp.constant(int(ResultIndex.PROGRESS))
GAIN = wp.constant(int(ResultIndex.GAIN))
MULTIPLIER = wp.constant(int(ResultIndex.MULTIPLIER))

Weights = wp.types.vector(length=NUM_METRICS, dtype=wp.float64)
Flags = wp.types.vector(length=NUM_METRICS, dtype=wp.int32)


def _weights(protocol: Protocol) -> Weights:
    """Weight of each column in the mean; 0 where it is not part of it."""
    return Weights(*(column_weights(protocol).get(column.name, 0.0) for column in list(ResultIndex)[:NUM_METRICS]))


def _flags(protocol: Protocol) -> Flags:
    """1 for each column that multiplies the mean."""
    return Flags(*(int(column.name in column_multipliers(protocol)) for column in list(ResultIndex)[:NUM_METRICS]))


WEIGHTS_V1 = wp.constant(_weights(Protocol.V1_1))
WEIGHTS_V2 = wp.constant(_weights(Protocol.V2_2))
TOTAL_V1 = wp.constant(wp.float64(sum(column_weights(Protocol.V1_1).values())))
TOTAL_V2 = wp.constant(wp.float64(sum(column_weights(Protocol.V2_2).values())))
MULTIPLIES_V1 = wp.constant(_flags(Protocol.V1_1))
MULTIPLIES_V2 = wp.constant(_flags(Protocol.V2_2))

MIN_PROGRESS_M = wp.constant(wp.float64(5.0))
"""Where not even the best plan gets farther, progress does not count."""


@wp.func
def relative_progress(
    progress: wp.float64, gain: wp.float64, multiplier: wp.float64, best_gain: wp.float64, is_v2: bool
) -> wp.float64:
    """EP. ``gain``: progress [m] times multiplier; ``best_gain``: the greatest of the compared plans."""
    zero = wp.float64(0.0)
    one = wp.float64(1.0)
    if is_v2:
        if best_gain > MIN_PROGRESS_M:
            return wp.clamp(progress / best_gain, zero, one)
        return one
    if best_gain > MIN_PROGRESS_M:
        return gain / best_gain
    if multiplier == zero:
        return zero
    return one


@wp.func
def product(results: wp.array2d(dtype=wp.float64), multiplies: Flags, n: int, first: int) -> wp.float64:
    """Product of the multipliers of plan n: v1.1 NC DAC, v2.2 NC DAC DDC TLC.

    ``first``: 0 before, FILTERED after the human filter.
    """
    value = wp.float64(1.0)
    for i in range(FILTERED):
        if multiplies[i] != 0:
            value = value * results[n, first + i]
    return value


@wp.func
def weighted_sum(results: wp.array2d(dtype=wp.float64), weights: Weights, n: int, first: int) -> wp.float64:
    """v1.1: 5 EP + 5 TTC + 2 C; v2.2: 5 EP + 5 TTC + 2 LK + 2 HC, while extended comfort is unknown."""
    total = wp.float64(0.0)
    for i in range(FILTERED):
        if weights[i] != wp.float64(0.0):
            total = total + weights[i] * results[n, first + i]
    return total


@wp.func
def forgive(results: wp.array2d(dtype=wp.float64), forgiven: wp.array2d(dtype=wp.int32), n: int, scene: int):
    """Human filter: copy the sub-metrics; those in which the human himself scored 0 become 1."""
    for i in range(FILTERED):
        value = results[n, i]
        if forgiven[scene, i] != 0:
            value = wp.float64(1.0)
        results[n, FILTERED + i] = value


@wp.func
def aggregate(
    results: wp.array2d(dtype=wp.float64),
    forgiven: wp.array2d(dtype=wp.int32),
    n: int,
    scene: int,
    best_gain: wp.float64,
    is_v2: bool,
):
    """Fill progress, filtered sub-metrics and scores of plan n from its sub-metrics and the best plan's gain [m]."""
    results[n, EP] = relative_progress(results[n, PROGRESS], results[n, GAIN], results[n, MULTIPLIER], best_gain, is_v2)
    forgive(results, forgiven, n, scene)
    if is_v2:
        before = weighted_sum(results, WEIGHTS_V2, n, 0) / TOTAL_V2
        after = weighted_sum(results, WEIGHTS_V2, n, FILTERED) / TOTAL_V2
        results[n, UNFILTERED_SCORE] = product(results, MULTIPLIES_V2, n, 0) * before
        results[n, SCORE] = product(results, MULTIPLIES_V2, n, FILTERED) * after
    else:
        score = product(results, MULTIPLIES_V1, n, 0) * weighted_sum(results, WEIGHTS_V1, n, 0) / TOTAL_V1
        results[n, SCORE] = score
        results[n, UNFILTERED_SCORE] = score
