# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""From sub-metrics to scores: progress relative to the best plan, products and weighted means, the human filter."""

from enum import IntEnum

import warp as wp

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
def pdms(results: wp.array2d(dtype=wp.float64), n: int) -> wp.float64:
    """PDMS of v1.1: NC DAC (5 EP + 5 TTC + 2 C) / 12."""
    weighted = (
        wp.float64(5.0) * results[n, EP] + wp.float64(5.0) * results[n, TTC] + wp.float64(2.0) * results[n, COMFORT]
    )
    return results[n, NC] * results[n, DAC] * weighted / wp.float64(12.0)


@wp.func
def product_v2(results: wp.array2d(dtype=wp.float64), n: int, first: int) -> wp.float64:
    """NC DAC DDC TLC, before (first = 0) or after (first = FILTERED) the human filter."""
    return results[n, first + NC] * results[n, first + DAC] * results[n, first + DDC] * results[n, first + TLC]


@wp.func
def weighted_v2(results: wp.array2d(dtype=wp.float64), n: int, first: int) -> wp.float64:
    """(5 EP + 5 TTC + 2 LK + 2 HC) / 14: the weighted mean while extended comfort is unknown."""
    total = (
        wp.float64(5.0) * results[n, first + EP]
        + wp.float64(5.0) * results[n, first + TTC]
        + wp.float64(2.0) * results[n, first + LK]
        + wp.float64(2.0) * results[n, first + COMFORT]
    )
    return total / wp.float64(14.0)


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
        results[n, UNFILTERED_SCORE] = product_v2(results, n, 0) * weighted_v2(results, n, 0)
        results[n, SCORE] = product_v2(results, n, FILTERED) * weighted_v2(results, n, FILTERED)
    else:
        score = pdms(results, n)
        results[n, SCORE] = score
        results[n, UNFILTERED_SCORE] = score
