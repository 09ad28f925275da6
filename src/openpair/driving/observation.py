"""What an agent gets to see: a scene at the ego's own pose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import NUM_FUTURE_FRAMES, NUM_HISTORY_FRAMES, BoxIndex, StateIndex
from openpair.datatypes.ego import EgoState
from openpair.datatypes.scene import Frame, Scene
from openpair.driving.recording import START_STEP, Recording, kept
from openpair.driving.route_line import RouteLine
from openpair.driving.traffic import Traffic
from openpair.preparation.observation import SAMPLES_PER_FRAME


@dataclass(frozen=True)
class Observer:
    """Makes scenes of a drive.

    Attributes:
        recording: map, lights, route and the human's future.
        traffic: the other road users.
        route_line: tells how far along the route the ego is: command and given route are those of that place.
    """

    recording: Recording
    traffic: Traffic
    route_line: RouteLine

    def scene(self, step: int, states: NDArray[np.float64]) -> Scene:
        """The scene at a step.

        Its past is the ego's own, before the start of the drive the recorded one. Its future is the recording's (only
        agents that know the human's drive look at it); past the end of the log the human goes straight on, alone.

        Args:
            step: current step.
            states: (step - START_STEP + 1, 11) the ego's states since the start, global frame.
        """
        station = self.route_line.follow(states[:, : StateIndex.HEADING])[0][-1]
        place = self.recording.frame_of(START_STEP + self.route_line.step_at(float(station)))
        steps = [step + SAMPLES_PER_FRAME * k for k in range(1 - NUM_HISTORY_FRAMES, NUM_FUTURE_FRAMES + 1)]
        frames = [self._frame(at, step, states, place) for at in steps]
        now = NUM_HISTORY_FRAMES - 1
        frames[now] = replace(frames[now], token=_token(self.recording.log_name, step, frames[: now + 1]))
        recording = self.recording
        return Scene(recording.dataset, recording.log_name, recording.road_map, tuple(frames), NUM_HISTORY_FRAMES - 1)

    def with_future(self, scene: Scene, step: int) -> Scene:
        """The scene with the traffic that came, as far as it is known."""
        future = tuple(
            replace(frame, agents=self._seen(self.traffic.agents(step + SAMPLES_PER_FRAME * k), scene.current.ego.pose))
            for k, frame in enumerate(scene.future, start=1)
        )
        return replace(scene, frames=scene.history + future)

    def _frame(self, at: int, now: int, states: NDArray[np.float64], place: Frame) -> Frame:
        if at < START_STEP or at > now:
            ego = self.recording.human(at)
        else:
            ego = measured_ego(states[at - START_STEP], int(self.recording.times_us[at]))
        around = states[-1, : StateIndex.HEADING + 1] if at > now else ego.pose
        if at > self.recording.last_step:
            agents = Agents.empty()
        elif at > now:
            agents = self._seen(self.recording.agents(at), around)
        else:
            agents = self._seen(self.traffic.agents(at), around)
        return Frame(
            token=f"{self.recording.log_name}/{at}",
            ego=ego,
            agents=agents,
            traffic_lights=self.recording.lights_around(at, around[:2]),
            route_roadblock_ids=place.route_roadblock_ids,
            driving_command=place.driving_command,
            cameras=place.cameras,
        )

    def _seen(self, agents: Agents, pose: NDArray[np.float64]) -> Agents:
        """Without the roadside objects that are too far away."""
        count = len(agents) - len(self.recording.roadside)
        far = np.hypot(*(agents.box[count:, : BoxIndex.HEADING] - pose[:2]).T) >= self.recording.roadside_radius_m
        if not far.any():
            return agents
        return kept(agents, np.concatenate([np.ones(count, bool), ~far]))


def measured_ego(state: NDArray[np.float64], time_us: int) -> EgoState:
    """What a log would say of a simulated state (11,): lateral acceleration from the yaw rate, float32 precision."""
    speed, yaw_rate = state[StateIndex.VELOCITY_X], state[StateIndex.ANGULAR_VELOCITY]
    motion = np.array([speed, 0.0, state[StateIndex.ACCELERATION_X], speed * yaw_rate])
    motion = motion.astype(np.float32).astype(np.float64)
    return EgoState(time_us, state[: StateIndex.HEADING + 1].copy(), motion[:2], motion[2:])


def _token(log_name: str, step: int, history: Sequence[Frame]) -> str:
    """16 hex characters that follow from what is seen: the same observation has the same token, whoever drives."""
    digest = hashlib.sha1(f"{log_name}/{step}".encode())
    for frame in history:
        digest.update("/".join(frame.agents.track_tokens).encode())
        for array in (frame.ego.pose, frame.ego.velocity, frame.ego.acceleration, frame.agents.box):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
