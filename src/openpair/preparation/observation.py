"""From agents at 2 Hz to tracks at 10 Hz."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex, Protocol
from openpair.datatypes.scoring_scene import Tracks
from openpair.errors import OpenPairError

SAMPLES_PER_FRAME = 5
"""10 Hz samples from one 2 Hz frame to the next. Frames count as exactly 0.5 s apart, whatever their time stamps."""

FUTURE_FRAMES = {Protocol.V1_1: 10, Protocol.V2_2: 8}
"""Frames after the current one that a protocol looks at."""


def interpolate_tracks(frames: Sequence[Agents], *, where: object = None) -> Tracks:
    """Replay of F frames at 10 Hz: 5 (F-1) + 1 samples.

    Position, unwrapped heading and velocity are linear in time; size and category stay those of the first sighting.
    A track is present from its first to its last sighting and interpolated through gaps between them; one that was
    seen only once stands still in all samples. Within a sample: by category, then by first appearance.

    Args:
        frames: agents of the current frame and of those that follow, global frame.
        where: scene named in errors.

    Raises:
        OpenPairError: a box or a velocity is not finite, or a frame holds a track token twice.
    """
    tokens, frame, row_track, category, box, velocity = _gather(frames, where)
    num_tracks, num_frames = len(tokens), len(frames)

    seen = np.full((num_tracks, num_frames), -1)
    seen[row_track, frame] = np.arange(len(frame))
    present = seen >= 0
    grid = np.arange(num_frames)
    before = np.maximum.accumulate(np.where(present, grid, -1), axis=1)
    after = np.minimum.accumulate(np.where(present, grid, num_frames)[:, ::-1], axis=1)[:, ::-1]
    first, last = after[:, 0], before[:, -1]
    once = first == last

    # Frames without a sighting repeat the one before them (or the first), so that headings unwrap along sightings only.
    filled = np.where(before >= 0, before, first[:, None])
    source = seen[np.arange(num_tracks)[:, None], filled]
    values = np.concatenate([box[:, : BoxIndex.LENGTH], velocity], axis=1)[source]  # (K, F, 5)
    values[..., BoxIndex.HEADING] = np.unwrap(values[..., BoxIndex.HEADING], axis=1)

    samples = np.arange(SAMPLES_PER_FRAME * (num_frames - 1) + 1)
    alive = (samples >= SAMPLES_PER_FRAME * first[:, None]) & (samples <= SAMPLES_PER_FRAME * last[:, None])
    alive |= once[:, None]
    order = np.argsort(category, kind="stable")
    sample_of_row, rank = np.nonzero(alive[order].T)
    track = order[rank]

    low = filled[track, sample_of_row // SAMPLES_PER_FRAME]
    high = np.minimum(after[track, -(-sample_of_row // SAMPLES_PER_FRAME)], last[track])
    low = np.minimum(low, high)
    weight = (sample_of_row / SAMPLES_PER_FRAME - low) / np.maximum(high - low, 1)
    weight = np.where(high > low, weight, 0.0)[:, None]
    at_low = values[track, low]
    mixed = at_low + weight * (values[track, high] - at_low)
    heading = mixed[:, BoxIndex.HEADING]
    mixed[:, BoxIndex.HEADING] = np.arctan2(np.sin(heading), np.cos(heading))

    first_box = box[seen[np.arange(num_tracks), first]]
    counts = np.bincount(sample_of_row, minlength=len(samples))
    return Tracks(
        tokens=tokens,
        category=category,
        frame_offset=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        track=track.astype(np.int64),
        box=np.concatenate([mixed[:, :3], first_box[track, BoxIndex.LENGTH :]], axis=1),
        velocity=mixed[:, 3:],
    )


def _gather(
    frames: Sequence[Agents], where: object
) -> tuple[
    tuple[str, ...],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    """Rows of all frames: track names by first appearance, frame and track of each row, category of each track."""
    number: dict[str, int] = {}
    row_track: list[int] = []
    for agents in frames:
        if len(set(agents.track_tokens)) != len(agents.track_tokens):
            twice = next(t for t in agents.track_tokens if agents.track_tokens.count(t) > 1)
            raise OpenPairError(
                f"track {twice} appears twice in one frame", where=where, fix="Leave this scene out or repair its log"
            )
        for token in agents.track_tokens:
            row_track.append(number.setdefault(token, len(number)))
    tokens = tuple(number)
    track = np.array(row_track, np.int64)
    frame = np.repeat(np.arange(len(frames)), [len(agents) for agents in frames])
    row_category = np.concatenate([agents.category for agents in frames])
    box = np.concatenate([agents.box for agents in frames])
    velocity = np.concatenate([agents.velocity for agents in frames])
    first_row = np.zeros(len(tokens), np.int64)
    first_row[track[::-1]] = np.arange(len(track))[::-1]
    category = row_category[first_row]
    velocity = np.where((category[track] >= AgentCategory.TRAFFIC_CONE)[:, None], 0.0, velocity)
    for name, values in (("box", box), ("velocity", velocity)):
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise OpenPairError(
                f"the {name} of track {tokens[track[row]]} in frame {frame[row]} after the current one is not finite",
                where=where,
                fix="Leave this scene out or repair its log",
            )
    return tokens, frame, track, category, box, velocity
