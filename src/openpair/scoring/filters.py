# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
# ruff: noqa: RUF046, UP018
"""Savitzky-Golay filters (mode "interp", samples every 0.1 s) as small tables of weights that kernels apply.

Only needed at the ends and once in the middle: inner samples all use the same weights. A filter whose window is the
whole signal is one polynomial fit, kept as such: three sums instead of a matrix product.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.simulation.reference import NUM_STEPS, STEP_S

wp.set_module_options(MODULE_OPTIONS)

MAX_WINDOW = wp.constant(15)
"""Longest window of a banded filter; the others are 5 and 8."""

WHOLE = wp.constant(NUM_STEPS)
"""Window of a polynomial fit: all 41 simulated states."""

TERMS = wp.constant(3)
"""Coefficients of that polynomial (order 2)."""

ROUNDING = wp.constant(wp.float64(1e8))


@dataclass(frozen=True)
class FilterDesign:
    """A Savitzky-Golay filter: window [samples], order of its polynomial, derivative taken."""

    window: int
    polynomial: int
    derivative: int


@wp.struct
class FilterArrays:
    """F filters.

    window (F,) samples; gain (F,) sum of the weights of any output sample, 1 or 0; norm (F,) greatest sum of
    absolute weights of any output sample; band (F, 15, 15) weights of the first outputs, an inner output, the last
    outputs; fit (F, 3, 41) samples -> polynomial, value (F, 41, 3) polynomial -> outputs, where the window is 41.
    """

    window: wp.array(dtype=wp.int32)
    gain: wp.array(dtype=wp.float64)
    norm: wp.array(dtype=wp.float64)
    band: wp.array3d(dtype=wp.float64)
    fit: wp.array3d(dtype=wp.float64)
    value: wp.array3d(dtype=wp.float64)


def response(design: FilterDesign, length: int) -> NDArray[np.float64]:
    """(length, length) matrix of the filter.

    An output is the derivative, where it lies, of the polynomial that fits its window best; near an end that is the
    first or the last window. The same as scipy's ``savgol_filter`` to 14 digits, without the second that scipy takes to
    import. Source: Savitzky and Golay, Analytical Chemistry 36 (1964).
    """
    window, half = design.window, design.window // 2
    scale = factorial(design.derivative) / STEP_S**design.derivative
    matrix = np.zeros((length, length))
    for output in range(length):
        inner = half <= output < length - half
        start = output - (window - 1) // 2 if inner else 0 if output < half else length - window
        position = (window - 1) / 2 if inner else output - start
        powers = (np.arange(window) - position)[:, None] ** np.arange(design.polynomial + 1)
        matrix[output, start : start + window] = scale * np.linalg.pinv(powers)[design.derivative]
    return matrix


def band_rows(design: FilterDesign) -> NDArray[np.float64]:
    """(2h + 1, window) weights, h = window // 2: of the first h outputs on the first ``window`` samples, of an inner
    output on the samples from (window - 1) // 2 before it, of the last h outputs on the last ``window`` samples."""
    window, half = design.window, design.window // 2
    length = 2 * window
    matrix = response(design, length)
    start = window - (window - 1) // 2
    rows = [
        *matrix[:half, :window],
        matrix[window, start : start + window],
        *matrix[length - half :, length - window :],
    ]
    return np.array(rows)


@lru_cache(maxsize=8)
def filter_tables(designs: tuple[FilterDesign, ...]) -> dict[str, NDArray]:
    """Fields of :class:`FilterArrays` for some filters."""
    count = len(designs)
    tables: dict[str, NDArray] = {
        "window": np.array([design.window for design in designs], np.int32),
        "gain": np.array([float(design.derivative == 0) for design in designs]),
        "norm": np.zeros(count),
        "band": np.zeros((count, MAX_WINDOW, MAX_WINDOW)),
        "fit": np.zeros((count, TERMS, NUM_STEPS)),
        "value": np.zeros((count, NUM_STEPS, TERMS)),
    }
    for index, design in enumerate(designs):
        if design.window == NUM_STEPS:
            matrix = response(design, NUM_STEPS)
            powers = np.linspace(-1.0, 1.0, NUM_STEPS)[:, None] ** np.arange(TERMS)
            basis, _ = np.linalg.qr(powers)
            tables["value"][index] = basis
            tables["fit"][index] = basis.T @ matrix
            tables["norm"][index] = np.abs(matrix).sum(axis=1).max()
        else:
            rows = band_rows(design)
            tables["band"][index, : rows.shape[0], : rows.shape[1]] = rows
            tables["norm"][index] = np.abs(rows).sum(axis=1).max()
    return tables


@wp.func
def round8(value: wp.float64) -> wp.float64:
    """Rounded to 8 decimals."""
    return wp.rint(value * ROUNDING) / ROUNDING


@wp.func
def apply_filter(
    filters: FilterArrays,
    which: int,
    signal: wp.array(dtype=wp.float64),
    length: int,
    output: wp.array(dtype=wp.float64),
):
    """Filter the first ``length`` samples of a signal into another array, rounded to 8 decimals."""
    window = filters.window[which]
    if window == WHOLE:
        a = wp.float64(0.0)
        b = wp.float64(0.0)
        c = wp.float64(0.0)
        for j in range(WHOLE):
            sample = signal[j]
            a += filters.fit[which, 0, j] * sample
            b += filters.fit[which, 1, j] * sample
            c += filters.fit[which, 2, j] * sample
        for i in range(WHOLE):
            output[i] = round8(
                filters.value[which, i, 0] * a + filters.value[which, i, 1] * b + filters.value[which, i, 2] * c
            )
    else:
        half = window // 2
        for i in range(length):
            row = half
            start = i - (window - 1) // 2
            if i < half:
                row = i
                start = 0
            elif i >= length - half:
                row = 2 * half + 1 - (length - i)
                start = length - window
            weights = filters.band[which, row]
            value = wp.float64(0.0)
            # Loops of fixed length are unrolled.
            if window == 8:
                for j in range(8):
                    value += weights[j] * signal[start + j]
            elif window == 5:
                for j in range(5):
                    value += weights[j] * signal[start + j]
            else:
                for j in range(MAX_WINDOW):
                    value += weights[j] * signal[start + j]
            output[i] = round8(value)


@wp.func
def surely_within(
    filters: FilterArrays,
    which: int,
    signal: wp.array(dtype=wp.float64),
    length: int,
    low: wp.float64,
    high: wp.float64,
) -> bool:
    """True if no output of the filter can leave (low, high), judged by the signal's least and greatest sample alone."""
    least = signal[0]
    greatest = signal[0]
    for i in range(1, length):
        least = wp.min(least, signal[i])
        greatest = wp.max(greatest, signal[i])
    middle = wp.float64(0.5) * (greatest + least) * filters.gain[which]
    swing = wp.float64(0.5) * (greatest - least) * filters.norm[which] + wp.float64(1e-6)
    return middle - swing > low and middle + swing < high


@wp.func
def stays_within(
    filters: FilterArrays,
    which: int,
    signal: wp.array(dtype=wp.float64),
    length: int,
    room: wp.array(dtype=wp.float64),
    low: wp.float64,
    high: wp.float64,
) -> bool:
    """True if the filtered signal lies strictly between the bounds at every sample."""
    if surely_within(filters, which, signal, length, low, high):
        return True
    apply_filter(filters, which, signal, length, room)
    outside = int(0)
    for i in range(length):
        outside |= int(not (room[i] > low and room[i] < high))
    return outside == 0
