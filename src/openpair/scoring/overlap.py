"""Tracks that overlap the ego at t = 0: v2.2's log replay leaves them out of all samples; v1.1 keeps them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import BoxIndex, StateIndex
from openpair.datatypes.scoring_scene import Tracks


def touching_boxes(
    box: NDArray[np.float64], others: NDArray[np.float64], half: NDArray[np.float64], halves: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(A,) True where boxes share a point with one box, touching included (separating axes).

    Args:
        box: (3,) centre x, y [m], heading [rad]; half (2,) its half length and width [m].
        others: (A, 3) likewise; halves (A, 2).
    """
    offset = others[:, :2] - box[:2]
    turn = others[:, 2] - box[2]
    c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))

    def apart(axis: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.abs(offset[:, 0] * axis[0] + offset[:, 1] * axis[1]) > reach

    along, across = (np.cos(box[2]), np.sin(box[2])), (-np.sin(box[2]), np.cos(box[2]))
    cos, sin = np.cos(others[:, 2]), np.sin(others[:, 2])
    return ~(
        apart(np.array(along), half[0] + halves[:, 0] * c + halves[:, 1] * s)
        | apart(np.array(across), half[1] + halves[:, 0] * s + halves[:, 1] * c)
        | apart(np.array([cos, sin]), halves[:, 0] + half[0] * c + half[1] * s)
        | apart(np.array([-sin, cos]), halves[:, 1] + half[0] * s + half[1] * c)
    )


def without_overlapping(tracks: Tracks, ego_state: NDArray[np.float64]) -> Tracks:
    """The tracks without those whose box touches the ego's box in sample 0.

    Args:
        tracks: 10 Hz tracks, global frame.
        ego_state: (11,) measured state, global frame.
    """
    heading = ego_state[StateIndex.HEADING]
    forward = np.array([np.cos(heading), np.sin(heading)])
    center = ego_state[: StateIndex.HEADING] + vehicle.REAR_AXLE_TO_CENTER_M * forward
    now = slice(0, int(tracks.frame_offset[1]))
    boxes = tracks.box[now]
    touching = touching_boxes(
        np.array([*center, heading]),
        boxes[:, : BoxIndex.LENGTH],
        np.array([vehicle.LENGTH_M, vehicle.WIDTH_M]) / 2,
        boxes[:, BoxIndex.LENGTH : BoxIndex.HEIGHT] / 2,
    )
    if not touching.any():
        return tracks
    stays = np.ones(len(tracks.tokens), bool)
    stays[tracks.track[now][touching]] = False
    rows = stays[tracks.track]
    kept_before = np.concatenate([[0], np.cumsum(rows)])
    return Tracks(
        tokens=tuple(token for token, keep in zip(tracks.tokens, stays, strict=True) if keep),
        category=tracks.category[stays],
        frame_offset=kept_before[tracks.frame_offset],
        track=(np.cumsum(stays) - 1)[tracks.track[rows]],
        box=tracks.box[rows],
        velocity=tracks.velocity[rows],
    )
