"""What happens in a scene, by name: turns, braking, red lights, others nearby. For choosing scenes to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.geometry.poses import global_to_local

TURN_RAD = np.deg2rad(20.0)
BRAKING_FROM_MPS = 4.0
STILL_MPS = 0.5
MOVING_MPS = 2.0
LIGHT_AHEAD_M = 50.0
NEAR_M = 15.0
AHEAD_M, AHEAD_HALF_WIDTH_M = 30.0, 2.0


@dataclass(frozen=True)
class Happening:
    """Something that happens in a scene or not.

    Attributes:
        meaning: when it does, in words.
        holds: whether it does.
    """

    meaning: str
    holds: Callable[[Scene], bool]


def _speed_mps(scene: Scene, frame: int) -> float:
    return float(np.hypot(*scene.frames[frame].ego.velocity))


def _turn_rad(scene: Scene) -> float:
    return float(scene.human_trajectory()[-1, 2])


def _brakes(scene: Scene) -> bool:
    now = _speed_mps(scene, scene.current_index)
    return now > BRAKING_FROM_MPS and 2 * _speed_mps(scene, scene.current_index + 8) < now


def _moves_off(scene: Scene) -> bool:
    later = _speed_mps(scene, scene.current_index + 8)
    return _speed_mps(scene, scene.current_index) < STILL_MPS and later > MOVING_MPS


def _stands(scene: Scene) -> bool:
    frames = range(scene.current_index, scene.current_index + 9)
    return all(_speed_mps(scene, frame) < STILL_MPS for frame in frames)


def _red_light(scene: Scene) -> bool:
    """A red light of a connector on the route, whose beginning is ahead and near."""
    route = set(scene.current.route_roadblock_ids)
    for connector, red in scene.current.traffic_lights:
        lane = scene.road_map.lanes.get(connector)
        if not red or lane is None or lane.roadblock_id not in route:
            continue
        start = np.array([[*lane.baseline[0, :2], 0.0]])
        x, y, _ = global_to_local(start, scene.current.ego.pose)[0]
        if x > 0.0 and np.hypot(x, y) < LIGHT_AHEAD_M:
            return True
    return False


def _positions(scene: Scene, category: AgentCategory) -> np.ndarray:
    """(A, 2) x, y [m] of the road users of a kind, ego rear-axle frame."""
    agents = scene.current.agents
    poses = agents.box[agents.category == category][:, :3]
    return global_to_local(poses, scene.current.ego.pose)[:, :2]


def _near(category: AgentCategory) -> Callable[[Scene], bool]:
    return lambda scene: bool((np.hypot(*_positions(scene, category).T) < NEAR_M).any())


def _vehicle_ahead(scene: Scene) -> bool:
    x, y = _positions(scene, AgentCategory.VEHICLE).T
    return bool(((x > 0) & (x < AHEAD_M) & (np.abs(y) < AHEAD_HALF_WIDTH_M)).any())


HAPPENINGS: dict[str, Happening] = {
    "turning left": Happening("the human turns left by more than 20° in 4 s", lambda s: _turn_rad(s) > TURN_RAD),
    "turning right": Happening("the human turns right by more than 20° in 4 s", lambda s: _turn_rad(s) < -TURN_RAD),
    "braking": Happening("the human is faster than 4 m/s and loses more than half of it in 4 s", _brakes),
    "moving off": Happening("the human stands, and drives faster than 2 m/s 4 s later", _moves_off),
    "standing": Happening("the human stands for all of the 4 s", _stands),
    "red light": Happening("a light on the route is red, less than 50 m ahead", _red_light),
    "vehicle ahead": Happening("a vehicle is straight ahead, less than 30 m away", _vehicle_ahead),
    "pedestrian near": Happening("a pedestrian is less than 15 m away", _near(AgentCategory.PEDESTRIAN)),
    "bicycle near": Happening("a bicycle is less than 15 m away", _near(AgentCategory.BICYCLE)),
}


def happenings(scene: Scene) -> list[str]:
    """Names of all that happens in a scene."""
    return [name for name, happening in HAPPENINGS.items() if happening.holds(scene)]


def parse_where(text: str) -> list[tuple[Happening, bool]]:
    """What is asked for, and whether it must hold: ``"braking and not red light"``.

    Raises OpenPairError for a word that is none of :data:`HAPPENINGS`.
    """
    wanted = []
    for term in text.lower().split(" and "):
        words = term.split()
        negated = words[:1] == ["not"]
        name = " ".join(words[1:] if negated else words)
        if name not in HAPPENINGS:
            close = get_close_matches(name, HAPPENINGS, n=1)
            fix = f"Did you mean '{close[0]}'" if close else f"Use {', '.join(HAPPENINGS)}, joined by 'and', 'not'"
            raise OpenPairError(f"nothing is called '{name}'", where="--where", fix=fix)
        wanted.append((HAPPENINGS[name], not negated))
    return wanted
