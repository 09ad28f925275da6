"""A recorded log as the world to drive in: who is where at every 0.1 s, whatever the driven ego does.

Steps count 0.1 s from the log's first frame; a drive starts at its fourth frame, so that it has a past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datasets.world.dataset import LIGHT_RADIUS_M, ROADSIDE_RADIUS_M, WorldDataset
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import NUM_HISTORY_FRAMES, StateIndex
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Frame, Scene
from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle
from openpair.preparation.observation import SAMPLES_PER_FRAME, collect_sightings, replay_tracks
from openpair.simulation.reference import STEP_S

START_STEP = (NUM_HISTORY_FRAMES - 1) * SAMPLES_PER_FRAME
"""Step at which a drive starts."""

MIN_DRIVE_STEPS = 50
"""A log that leaves less than 5 s to drive is too short."""

FRAME_US = 500_000
FRAME_TOLERANCE_US = 60_000
SEEN_ONCE_STEPS = 2
"""A track that one frame alone shows is there from 0.2 s before that frame to 0.2 s after it."""


@dataclass(frozen=True)
class Recording:
    """A log without gaps.

    Attributes:
        dataset: name of the dataset.
        log_name: name of the log.
        road_map: the town.
        frames: 2 Hz. Agents are those that may move, where ``roadside`` holds the others.
        roadside: objects that stand there all the time, global frame; only the world tells them apart.
        light_radius_m, roadside_radius_m: how far the ego sees traffic lights and roadside objects; infinite where the
            frames hold what the recording car saw.
    """

    dataset: str
    log_name: str
    road_map: RoadMap
    frames: tuple[Frame, ...]
    roadside: Agents = field(default_factory=Agents.empty)
    light_radius_m: float = np.inf
    roadside_radius_m: float = np.inf

    def __post_init__(self) -> None:
        if self.last_step - START_STEP < MIN_DRIVE_STEPS:
            raise OpenPairError(
                f"the log is too short to drive: {len(self.frames)} frames without a gap, "
                f"{NUM_HISTORY_FRAMES + MIN_DRIVE_STEPS // SAMPLES_PER_FRAME} are needed",
                where=self.log_name,
                fix="Choose longer logs",
            )
        if not self.road_map.lanes or not self.road_map.roadblocks:
            raise OpenPairError("the log has no map to drive on", where=self.log_name, fix="Check the dataset's maps")

    @property
    def last_step(self) -> int:
        """Step of the last frame."""
        return (len(self.frames) - 1) * SAMPLES_PER_FRAME

    @cached_property
    def times_us(self) -> NDArray[np.int64]:
        """(S,) time stamp of each step [us]."""
        known = np.array([frame.ego.timestamp_us for frame in self.frames], np.int64)
        offsets = np.interp(np.arange(self.last_step + 1), self._frame_steps, (known - known[0]).astype(np.float64))
        return np.asarray(known[0] + np.rint(offsets).astype(np.int64))

    @cached_property
    def human_poses(self) -> NDArray[np.float64]:
        """(S, 3) the recorded rear axle at each step, linear between frames, global frame."""
        poses = np.stack([frame.ego.pose for frame in self.frames])
        poses[:, 2] = np.unwrap(poses[:, 2])
        dense = self._dense(poses)
        dense[:, 2] = wrap_angle(dense[:, 2])
        return dense

    @cached_property
    def human_motion(self) -> NDArray[np.float64]:
        """(S, 4) recorded velocity [m/s] and acceleration [m/s^2] at each step, ego axes, linear between frames."""
        return self._dense(np.stack([np.concatenate([f.ego.velocity, f.ego.acceleration]) for f in self.frames]))

    @cached_property
    def human_states(self) -> NDArray[np.float64]:
        """(S, 11) states of the recorded ego at each step, StateIndex, global frame.

        Between frames positions follow the recorded velocities and headings their rates of change (cubic), so that the
        way is as smooth as it was driven; at frames everything is as recorded.
        """
        from scipy.interpolate import CubicHermiteSpline

        times, known = STEP_S * self._frame_steps, np.stack([frame.ego.pose for frame in self.frames])
        known[:, 2] = np.unwrap(known[:, 2])
        speed = np.array([frame.ego.velocity[0] for frame in self.frames])
        velocity = speed[:, None] * np.stack([np.cos(known[:, 2]), np.sin(known[:, 2])], axis=1)
        position = CubicHermiteSpline(times, known[:, :2], velocity)
        heading = CubicHermiteSpline(times, known[:, 2], np.gradient(known[:, 2], times))
        at = STEP_S * np.arange(self.last_step + 1)
        states = np.zeros((len(at), len(StateIndex)))
        states[:, : StateIndex.HEADING] = position(at)
        states[:, StateIndex.HEADING] = wrap_angle(heading(at))
        states[:, StateIndex.VELOCITY_X] = self.human_motion[:, 0]
        states[:, StateIndex.ACCELERATION_X] = self.human_motion[:, 2]
        states[:, StateIndex.ANGULAR_VELOCITY] = heading(at, 1)
        return states

    def human(self, step: int) -> EgoState:
        """The recorded ego; after the end of the log it goes straight on at its last speed."""
        last = min(step, self.last_step)
        pose, motion = self.human_poses[last].copy(), self.human_motion[last]
        beyond_s = 0.1 * (step - last)
        pose[:2] += beyond_s * motion[0] * np.array([np.cos(pose[2]), np.sin(pose[2])])
        time_us = int(self.times_us[last]) + round(beyond_s * 1e6)
        return EgoState(time_us, pose, motion[:2], motion[2:] if step == last else np.zeros(2))

    def frame_of(self, step: int) -> Frame:
        """The newest recorded frame of a step: its lights hold until the next one."""
        return self.frames[min(step, self.last_step) // SAMPLES_PER_FRAME]

    def red_connectors(self, step: int) -> frozenset[str]:
        """Ids of all lane connectors that show red."""
        return frozenset(lane_id for lane_id, is_red in self.frame_of(step).traffic_lights if is_red)

    def lights_around(self, step: int, position: NDArray[np.float64]) -> tuple[tuple[str, bool], ...]:
        """Lights that the ego sees from (2,): lane connector id, is red."""
        lights = self.frame_of(step).traffic_lights
        if not lights or not np.isfinite(self.light_radius_m):
            return lights
        if self._light_ids != tuple(lane_id for lane_id, _ in lights):
            raise ValueError(f"log {self.log_name}: every frame must hold the same lights")
        near = np.hypot(*(self._light_starts - position).T) < self.light_radius_m
        return tuple(lights[i] for i in np.flatnonzero(near))

    @cached_property
    def _light_ids(self) -> tuple[str, ...]:
        return tuple(lane_id for lane_id, _ in self.frames[0].traffic_lights)

    @cached_property
    def _light_starts(self) -> NDArray[np.float64]:
        return np.array([self.road_map.lanes[lane_id].baseline[0, :2] for lane_id in self._light_ids]).reshape(-1, 2)

    def agents(self, step: int) -> Agents:
        """Everyone at a step of the log, roadside objects included, global frame."""
        frame, between = divmod(step, SAMPLES_PER_FRAME)
        return joined(self._between[step] if between else self.frames[frame].agents, self.roadside)

    @cached_property
    def _between(self) -> list[Agents]:
        """Agents at all steps, interpolated as the scorer does it."""
        sightings = collect_sightings([frame.agents for frame in self.frames], where=f"log {self.log_name}")
        tracks = replay_tracks(sightings)
        height: dict[str, float] = {}
        for frame in self.frames:
            for token, z in zip(frame.agents.track_tokens, frame.agents.center_z.tolist(), strict=True):
                height.setdefault(token, z)
        z = np.array([height[token] for token in tracks.tokens])
        once = sightings.present.sum(axis=1) == 1
        only = SAMPLES_PER_FRAME * np.argmax(sightings.present, axis=1)
        result = []
        for step in range(self.last_step + 1):
            rows = np.arange(tracks.frame_offset[step], tracks.frame_offset[step + 1])
            track = tracks.track[rows]
            rows = rows[~once[track] | (np.abs(step - only[track]) <= SEEN_ONCE_STEPS)]
            track = tracks.track[rows]
            result.append(
                Agents(
                    tuple(tracks.tokens[k] for k in track),
                    tracks.category[track],
                    tracks.box[rows],
                    tracks.velocity[rows],
                    z[track],
                )
            )
        return result

    @property
    def _frame_steps(self) -> NDArray[np.int64]:
        return np.arange(len(self.frames)) * SAMPLES_PER_FRAME

    def _dense(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(F, n) at frames -> (S, n) at steps."""
        steps = np.arange(self.last_step + 1)
        return np.stack([np.interp(steps, self._frame_steps, column) for column in values.T], axis=1)


def joined(first: Agents, second: Agents) -> Agents:
    """Agents of two groups, in this order."""
    if not len(second):
        return first
    return Agents(
        first.track_tokens + second.track_tokens,
        np.concatenate([first.category, second.category]),
        np.concatenate([first.box, second.box]),
        np.concatenate([first.velocity, second.velocity]),
        np.concatenate([first.center_z, second.center_z]),
    )


def kept(agents: Agents, keep: NDArray[np.bool_]) -> Agents:
    """Some of the agents."""
    rows = np.flatnonzero(keep)
    tokens = tuple(agents.track_tokens[row] for row in rows)
    return Agents(tokens, agents.category[rows], agents.box[rows], agents.velocity[rows], agents.center_z[rows])


def read_recording(dataset: Dataset, log_name: str) -> Recording:
    """A log of a dataset, from its first scene on.

    Raises OpenPairError for an unknown or broken log, one without a map and one that is too short.
    """
    if isinstance(dataset, WorldDataset):
        frames, roadside = dataset.load_whole_log(log_name)
        road_map = dataset.road_map(dataset.town_of_log(log_name))
        return Recording(dataset.name, log_name, road_map, frames, roadside, LIGHT_RADIUS_M, ROADSIDE_RADIUS_M)
    scenes = overlapping_scenes(dataset, [key.token for key in dataset.keys() if key.log_name == log_name])
    if not scenes:
        raise OpenPairError(f"there is no log '{log_name}'", where=dataset.name)
    known = {frame.ego.timestamp_us: frame for scene in scenes for frame in scene.frames}
    return Recording(dataset.name, log_name, scenes[0].road_map, without_gaps(known, scenes[0].frames[0]))


def overlapping_scenes(dataset: Dataset, tokens: Sequence[str]) -> list[Scene]:
    """Scenes that hold all frames of a log's scenes (in order of time); each starts within the one before, as late as
    possible, or follows it."""
    scenes: list[Scene] = []
    position = 0
    while position < len(tokens):
        scene = dataset.load_scene(tokens[position])
        scenes.append(scene)
        held = {frame.token for frame in scene.future}
        within = [i for i in range(position + 1, len(tokens)) if tokens[i] in held]
        position = within[-1] if within else position + 1
    return scenes


def without_gaps(known: dict[int, Frame], first: Frame) -> tuple[Frame, ...]:
    """``first`` and the frames that follow it every 0.5 s, up to the first that is missing."""
    times = np.array(sorted(known), np.int64)
    frames = [first]
    while True:
        wanted = frames[-1].ego.timestamp_us + FRAME_US
        nearest = int(times[np.argmin(np.abs(times - wanted))])
        if abs(nearest - wanted) > FRAME_TOLERANCE_US:
            return tuple(frames)
        frames.append(known[nearest])


def log_names(dataset: Dataset) -> list[str]:
    """Logs of a dataset in its order."""
    return list(dict.fromkeys(key.log_name for key in dataset.keys() if key.log_name))
