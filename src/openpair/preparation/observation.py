"""From agents at 2 Hz to tracks at 10 Hz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex, Protocol
from openpair.datatypes.scoring_scene import Tracks
from openpair.errors import OpenPairError
from openpair.preparation.boxes import box_corners, ego_corners

SAMPLES_PER_FRAME = 5
"""10 Hz samples from one 2 Hz frame to the next. Frames count as exactly 0.5 s apart, whatever their time stamps."""

FUTURE_FRAMES = {Protocol.V1_1: 10, Protocol.V2_2: 8}
"""Frames after the current one that a protocol looks at."""

_MOTION = 5  # columns of a sighting: x, y, heading, velocity x, velocity y


@dataclass(frozen=True)
class Sightings:
    """K tracks over F frames at 2 Hz, by category, then by first appearance (frame, then row).

    Attributes:
        tokens: (K,) track tokens.
        category: (K,) int64, as first seen.
        size: (K, 3) float64 length, width, height [m], as first seen.
        present: (K, F) bool.
        motion: (R, 5) float64 x [m], y [m], heading [rad], velocity x, y [m/s], global frame: one row for each True in
            ``present``, track by track.
    """

    tokens: tuple[str, ...]
    category: NDArray[np.int64]
    size: NDArray[np.float64]
    present: NDArray[np.bool_]
    motion: NDArray[np.float64]


def collect_sightings(frames: Sequence[Agents], *, where: object = None) -> Sightings:
    """Follow each track through the frames.

    Args:
        frames: agents of the current frame and of those that follow, global frame.
        where: scene named in errors.

    Raises:
        OpenPairError: a box or a velocity is not finite, or a frame holds a track token twice.
    """
    number: dict[str, int] = {}
    row_track: list[int] = []
    for agents in frames:
        if len(set(agents.track_tokens)) != len(agents.track_tokens):
            twice = next(t for t in agents.track_tokens if agents.track_tokens.count(t) > 1)
            raise OpenPairError(f"track {twice} appears twice in one frame", where=where, fix=_REPAIR)
        row_track.extend([number.setdefault(token, len(number)) for token in agents.track_tokens])
    track = np.array(row_track, np.int64)
    frame = np.repeat(np.arange(len(frames)), [len(agents) for agents in frames])
    box = np.concatenate([agents.box for agents in frames])
    velocity = np.concatenate([agents.velocity for agents in frames])
    first_row = np.zeros(len(number), np.int64)
    first_row[track[::-1]] = np.arange(len(track))[::-1]
    category = np.concatenate([agents.category for agents in frames])[first_row].astype(np.int64)
    velocity = np.where((category[track] >= AgentCategory.TRAFFIC_CONE)[:, None], 0.0, velocity)

    tokens = tuple(number)
    for name, values in (("box", box), ("velocity", velocity)):
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise OpenPairError(
                f"the {name} of track {tokens[track[row]]} is not finite, {frame[row]} frames after the current one",
                where=where,
                fix=_REPAIR,
            )

    row_of = np.full((len(tokens), len(frames)), -1)
    row_of[track, frame] = np.arange(len(track))
    by_category = np.argsort(category, kind="stable")
    row_of = row_of[by_category]
    present = row_of >= 0
    return Sightings(
        tokens=tuple(tokens[k] for k in by_category),
        category=category[by_category],
        size=box[first_row[by_category], BoxIndex.LENGTH :],
        present=present,
        motion=np.concatenate([box[:, : BoxIndex.LENGTH], velocity], axis=1)[row_of[present]],
    )


_REPAIR = "Leave this scene out or repair its log"


def replay_tracks(sightings: Sightings) -> Tracks:
    """Tracks at 10 Hz, 5 (F-1) + 1 samples.

    Position, unwrapped heading and velocity are linear in time; size and category stay those of the first sighting.
    A track is present from its first to its last sighting and interpolated through gaps between them; one that was
    seen only once stands still in all samples. Within a sample: by category, then by first appearance.
    """
    keyframes, first, last = _keyframes(sightings)
    num_frames, num_tracks = keyframes.shape[:2]
    num_samples = SAMPLES_PER_FRAME * (num_frames - 1) + 1
    dense = np.empty((num_samples, num_tracks, _MOTION))
    between = dense[:-1].reshape(num_frames - 1, SAMPLES_PER_FRAME, num_tracks, _MOTION)
    weight = (np.arange(SAMPLES_PER_FRAME) / SAMPLES_PER_FRAME)[:, None, None]
    np.multiply((keyframes[1:] - keyframes[:-1])[:, None], weight, out=between)
    between += keyframes[:-1, None]
    dense[-1] = keyframes[-1]

    once = first == last
    samples = np.arange(num_samples)[:, None]
    begin = np.where(once, 0, SAMPLES_PER_FRAME * first)
    end = np.where(once, num_samples, SAMPLES_PER_FRAME * last)
    alive = (samples >= begin) & (samples <= end)
    row = np.flatnonzero(alive)
    track = row % max(num_tracks, 1)
    motion = dense.reshape(-1, _MOTION).take(row, axis=0)
    turned = np.flatnonzero(np.abs(motion[:, BoxIndex.HEADING]) > np.pi)
    heading = motion[turned, BoxIndex.HEADING]
    motion[turned, BoxIndex.HEADING] = np.arctan2(np.sin(heading), np.cos(heading))
    box = np.empty((len(row), len(BoxIndex)))
    box[:, : BoxIndex.LENGTH] = motion[:, : BoxIndex.LENGTH]
    box[:, BoxIndex.LENGTH :] = sightings.size.take(track, axis=0)
    frame_offset = np.zeros(num_samples + 1, np.int64)
    np.cumsum(np.count_nonzero(alive, axis=1), out=frame_offset[1:])
    return Tracks(
        sightings.tokens,
        sightings.category,
        frame_offset,
        track,
        box,
        np.ascontiguousarray(motion[:, BoxIndex.LENGTH :]),
    )


def _keyframes(
    sightings: Sightings,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Motion of every track in every frame (F, K, 5), gaps bridged and headings unwrapped; first and last sighting."""
    present = sightings.present
    num_tracks, num_frames = present.shape
    first = np.argmax(present, axis=1)
    last = num_frames - 1 - np.argmax(present[:, ::-1], axis=1)
    if present.all():
        values = sightings.motion.reshape(num_tracks, num_frames, _MOTION).copy()
        _unwrap(values[..., BoxIndex.HEADING])
        return values.transpose(1, 0, 2), first, last
    # A frame without a sighting repeats the one before it (or the first), so that headings unwrap along sightings only.
    number = np.cumsum(present).reshape(present.shape) - 1
    first_number = number[np.arange(num_tracks), first][:, None]
    values = sightings.motion.take(np.maximum(number, first_number), axis=0)
    _unwrap(values[..., BoxIndex.HEADING])
    _bridge_gaps(values, present)
    return values.transpose(1, 0, 2), first, last


def _unwrap(heading: NDArray[np.float64]) -> None:
    """Make rows (K, F) continuous, in place."""
    turns = np.rint(np.diff(heading, axis=1) / (2 * np.pi))
    if turns.any():
        heading[:, 1:] -= 2 * np.pi * np.cumsum(turns, axis=1)


def without_initial_overlaps(sightings: Sightings, rear_axle: NDArray[np.float64]) -> Sightings:
    """Sightings without the tracks whose box touches the ego box at t = 0: v2.2's log replay leaves them out.

    Args:
        rear_axle: (3,) ego pose of the current frame.
    """
    tracks = replay_tracks(sightings)
    now = slice(0, int(tracks.frame_offset[1]))
    box = tracks.box[now]
    corners = box_corners(box[:, 0], box[:, 1], box[:, 2], box[:, BoxIndex.LENGTH], box[:, BoxIndex.WIDTH])
    touching = shapely.intersects(shapely.polygons(ego_corners(rear_axle)), shapely.polygons(corners))
    kept = np.ones(len(sightings.tokens), bool)
    kept[tracks.track[now][touching]] = False
    if kept.all():
        return sightings
    return Sightings(
        tokens=tuple(token for token, keep in zip(sightings.tokens, kept, strict=True) if keep),
        category=sightings.category[kept],
        size=sightings.size[kept],
        present=sightings.present[kept],
        motion=sightings.motion[np.repeat(kept, sightings.present.sum(axis=1))],
    )


def _bridge_gaps(values: NDArray[np.float64], present: NDArray[np.bool_]) -> None:
    """Put keyframes (K, F, 5) without a sighting on the line between the sightings around them, in place."""
    num_frames = present.shape[1]
    grid = np.arange(num_frames)
    before = np.maximum.accumulate(np.where(present, grid, -1), axis=1)
    after = np.minimum.accumulate(np.where(present, grid, num_frames)[:, ::-1], axis=1)[:, ::-1]
    track, frame = np.nonzero(~present & (before >= 0) & (after < num_frames))
    if len(track):
        low, high = before[track, frame], after[track, frame]
        weight = ((frame - low) / (high - low))[:, None]
        values[track, frame] = values[track, low] + weight * (values[track, high] - values[track, low])
