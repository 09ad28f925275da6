"""The loop: see, plan, drive on for half a second, and again, to the end of the log or until it fails."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import StateIndex
from openpair.datatypes.scene import Scene
from openpair.driving.driven_scenes import DrivenScenes
from openpair.driving.observation import Observer
from openpair.driving.recording import START_STEP, Recording
from openpair.driving.route_line import RouteLine
from openpair.driving.traffic import Traffic
from openpair.evaluation.agents import Agent, check_plan
from openpair.evaluation.failures import AGENT_ERRORS, describe
from openpair.geometry.poses import wrap_angle
from openpair.preparation.observation import SAMPLES_PER_FRAME
from openpair.simulation import simulate
from openpair.simulation.reference import STEP_S, plan_reference

OFF_ROUTE_M = 30.0
"""A drive ends this far from its route, as on the CARLA leaderboard."""

END_OF_LOG, OFF_ROUTE, AGENT_FAILED = "end_of_log", "off_route", "agent_failed"


@dataclass(frozen=True)
class Planned:
    """A plan that was made on the way.

    Attributes:
        step: when.
        scene: what the agent saw.
        poses: (8, 3) x [m], y [m], heading [rad], ego rear-axle frame of that moment.
    """

    step: int
    scene: Scene
    poses: NDArray[np.float64]


@dataclass(frozen=True)
class Drive:
    """A drive.

    Attributes:
        recording: the log it was driven in.
        agent: name of the agent.
        traffic: the other road users.
        route_line: the way to drive.
        states: (n, 11) the ego at steps START_STEP, START_STEP + 1 ..., StateIndex, global frame.
        planned: its plans.
        end: why it ended: END_OF_LOG, OFF_ROUTE or AGENT_FAILED.
        error: what the agent failed with.
    """

    recording: Recording
    agent: str
    traffic: Traffic
    route_line: RouteLine
    states: NDArray[np.float64]
    planned: list[Planned] = field(default_factory=list)
    end: str = END_OF_LOG
    error: str = ""

    @property
    def seconds(self) -> float:
        """How long it lasted [s]."""
        return STEP_S * (len(self.states) - 1)

    @property
    def last_step(self) -> int:
        """Step of the last state."""
        return START_STEP + len(self.states) - 1


def drive(
    recording: Recording,
    agent: Agent,
    traffic: Traffic,
    *,
    replan_steps: int = SAMPLES_PER_FRAME,
    seen: DrivenScenes | None = None,
) -> Drive:
    """Let an agent drive a log.

    The ego starts where the recorded one is. It follows each plan with the scorer's tracker and vehicle for
    ``replan_steps`` steps of 0.1 s; its steering and acceleration carry over to the next plan. An agent with
    ``follows_recording`` is put where the recorded ego was instead. A collision does not end the drive. An agent that
    raises, or that plans something that is no plan, ends it.

    Args:
        recording: the log.
        agent: who drives.
        traffic: the other road users, at the start of the drive.
        replan_steps: steps from one plan to the next, 1 .. 40.
        seen: the dataset that the agent was built with; it is told every scene.
    """
    if seen is not None:
        seen.begin()
    route_line = RouteLine(recording.human_poses[START_STEP:, : StateIndex.HEADING])
    observer = Observer(recording, traffic, route_line)
    recorded = recording.human_states if getattr(agent, "follows_recording", False) else None
    states = [initial_state(recording) if recorded is None else recorded[START_STEP]]
    planned: list[Planned] = []
    step, station, end, error = START_STEP, 0.0, END_OF_LOG, ""
    while step < recording.last_step and end == END_OF_LOG:
        scene = observer.scene(step, np.stack(states))
        if seen is not None:
            seen.add(step, scene)
        try:
            plan = check_plan(agent.plan(scene), agent=agent.name)
        except AGENT_ERRORS as failure:
            end, error = AGENT_FAILED, f"after {STEP_S * (step - START_STEP):.1f} s: {describe(failure)}"
            break
        planned.append(Planned(step, scene, plan))
        if recorded is None:
            reference = plan_reference(plan, scene.current.ego.pose, scene.current.ego.timestamp_us)
            driven = simulate(reference[None], states[-1])[0]
        else:
            driven = recorded[step:]
        for state in driven[1 : min(replan_steps, recording.last_step - step) + 1]:
            traffic.advance(step, states[-1])
            states.append(state)
            step += 1
            station, distance = route_line.locate(state[: StateIndex.HEADING], station)
            if distance > OFF_ROUTE_M:
                end = OFF_ROUTE
                break
    return Drive(recording, agent.name, traffic, route_line, np.stack(states), planned, end, error)


def initial_state(recording: Recording) -> NDArray[np.float64]:
    """(11,) the recorded ego at the start, with the steering angle that fits the curve it drives."""
    ego = recording.human(START_STEP)
    state = ego.state_vector()
    span = SAMPLES_PER_FRAME
    before, after = recording.human_poses[START_STEP - span, 2], recording.human_poses[START_STEP + span, 2]
    yaw_rate = float(wrap_angle(after - before)) / (2 * span * STEP_S)
    speed = float(state[StateIndex.VELOCITY_X])
    if speed > vehicle.WHEELBASE_M * abs(yaw_rate):  # slower than that, a car would have to steer beyond 45 degrees
        state[StateIndex.STEERING_ANGLE] = np.arctan(vehicle.WHEELBASE_M * yaw_rate / speed)
        state[StateIndex.ANGULAR_VELOCITY] = yaw_rate
    state[StateIndex.VELOCITY_Y] = state[StateIndex.ACCELERATION_Y] = 0.0
    return state
