"""Red lane connectors: of the near future for the traffic-light metric, of this moment for the planner."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from openpair.datatypes.scene import Frame
from openpair.preparation.ingredients import RedKeyframes
from openpair.preparation.map_index import MapIndex


def red_connectors(frame: Frame, lane_ids: Collection[str]) -> list[str]:
    """Ids of the lane connectors that show red in a frame and belong to ``lane_ids``, in the frame's order."""
    return list(dict.fromkeys(lane_id for lane_id, is_red in frame.traffic_lights if is_red and lane_id in lane_ids))


def collect_red_lights(index: MapIndex, frames: Sequence[Frame], given_route: Sequence[str]) -> RedKeyframes:
    """Red connectors of the given (not the corrected) route in F frames at 2 Hz.

    Args:
        frames: the current frame and those that follow.
        given_route: roadblock ids of the current frame.
    """
    on_route = {lane_id for block_id in given_route for lane_id in index.block(block_id).lane_ids}
    red_per_frame = [red_connectors(frame, on_route) for frame in frames]
    tokens = list(dict.fromkeys(lane_id for red in red_per_frame for lane_id in red))
    active = np.array([[token in red for token in tokens] for red in red_per_frame], bool)
    return RedKeyframes(
        elements=np.array([index.lane_element[token] for token in tokens], np.int64),
        active=active.reshape(len(frames), len(tokens)),
    )
