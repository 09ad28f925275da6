"""The recorded past that precedes a simulated plan in v2.2's comfort (HC)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol, StateIndex
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.geometry.poses import wrap_angle

SAMPLE_US = 100_000
STRICT_SAMPLES = 15
"""1.5 s of past."""


def history_states(
    past_time_us: NDArray[np.int64], past_states: NDArray[np.float64], *, strict: bool = False
) -> NDArray[np.float64]:
    """The past at 0.1 s, without its last sample.

    Samples are counted from the first recorded time, so that time stamp jitter makes it 14 or 15; the one before the
    current state is missing although the filters take the whole as evenly spaced, as in the original.

    Args:
        past_time_us: (4,) [us].
        past_states: (4, 11) measured states.
        strict: count back from now instead, up to the sample 0.1 s ago; always 15.

    Returns:
        (H, 11) states; steering rate and all after it are 0.
    """
    times = np.arange(past_time_us[0], past_time_us[-1], SAMPLE_US)[:-1]
    if strict:
        times = past_time_us[-1] - SAMPLE_US * np.arange(STRICT_SAMPLES, 0, -1)
    columns = past_states.copy()
    columns[:, StateIndex.HEADING] = np.unwrap(columns[:, StateIndex.HEADING])
    result = np.zeros((len(times), len(StateIndex)))
    for column in range(StateIndex.STEERING_RATE):
        result[:, column] = np.interp(times, past_time_us, columns[:, column])
    result[:, StateIndex.HEADING] = wrap_angle(result[:, StateIndex.HEADING])
    return result


def history_signals(scene: ScoringScene, *, strict: bool = False) -> NDArray[np.float64]:
    """(H, 3) heading [rad], ax, ay [m/s^2]; (0, 3) where the protocol or the scene has no past."""
    if scene.protocol is not Protocol.V2_2 or scene.past_states is None or scene.past_time_us is None:
        return np.zeros((0, 3))
    states = history_states(scene.past_time_us, scene.past_states, strict=strict)
    return states[:, [StateIndex.HEADING, StateIndex.ACCELERATION_X, StateIndex.ACCELERATION_Y]]
