"""The comfort signals of a plan as numbers over time: what the flags of :mod:`openpair.scoring.comfort` are about.

The kernels only need yes or no; who wants to know how far a signal goes asks here, one plan at a time, in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import Protocol, StateIndex
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.scoring import comfort
from openpair.scoring.comfort import DESIGNS, ComfortIndex, Filter
from openpair.scoring.filters import FilterDesign, band_rows
from openpair.scoring.history import history_signals
from openpair.simulation.reference import STEP_S


@dataclass(frozen=True)
class ComfortValues:
    """One filtered signal.

    Attributes:
        times: (T,) seconds from now; negative in the recorded past.
        values: (T,) m/s^2, m/s^3, rad/s or rad/s^2.
        low, high: the bounds, themselves not allowed.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    low: float
    high: float

    @property
    def stays_within(self) -> bool:
        """True if no value reaches a bound."""
        return bool(((self.values > self.low) & (self.values < self.high)).all())

    @property
    def worst(self) -> int:
        """Index of the value that goes farthest beyond a bound, or comes nearest to one."""
        return int(np.argmax(np.maximum(self.low - self.values, self.values - self.high)))

    @property
    def first_outside(self) -> int | None:
        """Index of the first value that reaches a bound."""
        outside = ~((self.values > self.low) & (self.values < self.high))
        return int(np.argmax(outside)) if outside.any() else None


def comfort_values(scene: ScoringScene, states: NDArray[np.float64]) -> dict[ComfortIndex, ComfortValues]:
    """The six signals of one plan.

    Args:
        scene: gives protocol and, in v2.2, the recorded past.
        states: (41, 11) simulated states.
    """
    is_v2 = scene.protocol is Protocol.V2_2
    past = history_signals(scene)
    lon: NDArray[np.float64] = np.append(past[:, 1], states[:, StateIndex.ACCELERATION_X])
    lat = np.append(past[:, 2], states[:, StateIndex.ACCELERATION_Y])
    magnitude = np.hypot(lon, lat)
    if is_v2:  # the simulated part is taken at the centre; the past has neither yaw rate nor its derivative
        omega = states[:, StateIndex.ANGULAR_VELOCITY]
        shift = vehicle.REAR_AXLE_TO_CENTER_M * (omega**2 + states[:, StateIndex.ANGULAR_ACCELERATION])
        lon[len(past) :] += shift
    heading = np.unwrap(np.append(past[:, 0], states[:, StateIndex.HEADING]))
    times = STEP_S * (np.arange(len(lon), dtype=np.float64) - len(past))
    return signal_values(times, lon, lat, magnitude, heading, DESIGNS[scene.protocol])


def signal_values(
    times: NDArray[np.float64],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    magnitude: NDArray[np.float64],
    heading: NDArray[np.float64],
    designs: tuple[FilterDesign, ...],
) -> dict[ComfortIndex, ComfortValues]:
    """The six signals of a drive with their bounds.

    Args:
        times: (T,) [s], every 0.1 s.
        lon, lat, magnitude: (T,) longitudinal, lateral and absolute acceleration [m/s^2].
        heading: (T,) unwrapped [rad].
        designs: filters, in the order of :class:`Filter`.
    """

    def of(values: NDArray[np.float64], *filters: Filter) -> NDArray[np.float64]:
        for which in filters:
            values = _filtered(values, designs[which])
        return values

    def between(values: NDArray[np.float64], low: float, high: float) -> ComfortValues:
        return ComfortValues(times, values, low, high)

    def within(values: NDArray[np.float64], bound: float) -> ComfortValues:
        return between(values, -bound, bound)

    return {
        ComfortIndex.LONGITUDINAL_ACCELERATION: between(
            of(lon, Filter.ACCELERATION), float(comfort.MIN_LONGITUDINAL), float(comfort.MAX_LONGITUDINAL)
        ),
        ComfortIndex.LATERAL_ACCELERATION: within(of(lat, Filter.ACCELERATION), float(comfort.MAX_LATERAL)),
        ComfortIndex.JERK: within(of(magnitude, Filter.SMOOTHING, Filter.JERK), float(comfort.MAX_JERK)),
        ComfortIndex.LONGITUDINAL_JERK: within(
            of(lon, Filter.SMOOTHING, Filter.JERK), float(comfort.MAX_LONGITUDINAL_JERK)
        ),
        ComfortIndex.YAW_ACCELERATION: within(
            of(heading, Filter.YAW_ACCELERATION), float(comfort.MAX_YAW_ACCELERATION)
        ),
        ComfortIndex.YAW_RATE: within(of(heading, Filter.YAW_RATE), float(comfort.MAX_YAW_RATE)),
    }


def _filtered(values: NDArray[np.float64], design: FilterDesign) -> NDArray[np.float64]:
    rows, half, window = _weights(design), design.window // 2, design.window
    lead = half - (window - 1) // 2  # an even window has no middle
    inner = np.correlate(values, rows[half], mode="valid")[lead:][: len(values) - 2 * half]
    return np.round(np.concatenate([rows[:half] @ values[:window], inner, rows[half + 1 :] @ values[-window:]]), 8)


_weights = cache(band_rows)
