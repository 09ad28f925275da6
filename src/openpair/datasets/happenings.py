"""What happens in a scene, by name: turns, braking, red lights, others nearby. For choosing scenes to look at.

One set of words and bounds for ``openpair world list``, ``world show`` and the filters of ``openpair view``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import NUM_POSES, AgentCategory
from openpair.datatypes.scene import Frame, Scene
from openpair.errors import OpenPairError
from openpair.geometry.poses import global_to_local, wrap_angle

TURN_RAD = math.radians(20.0)
BRAKING_MPS = 3.0
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


def _driven(scene: Scene) -> tuple[Frame, ...]:
    """The current frame and those of the 4 s after it, as far as they are recorded."""
    return (scene.current, *scene.future[:NUM_POSES])


def _speeds_mps(scene: Scene) -> list[float]:
    return [math.hypot(*frame.ego.velocity) for frame in _driven(scene)]


def _turn_rad(scene: Scene) -> float:
    first, *_, last = (frame.ego.pose[2] for frame in _driven(scene))
    return float(wrap_angle(last - first))


def _brakes(scene: Scene) -> bool:
    speeds = _speeds_mps(scene)
    return speeds[0] - min(speeds) >= BRAKING_MPS


def _moves_off(scene: Scene) -> bool:
    speeds = _speeds_mps(scene)
    return speeds[0] < STILL_MPS and max(speeds) > MOVING_MPS


def _stands(scene: Scene) -> bool:
    return max(_speeds_mps(scene)) < STILL_MPS


def _red_light(scene: Scene) -> bool:
    """A connector on the route that is red at some moment and begins near and ahead."""
    route = set(scene.current.route_roadblock_ids)
    red = {connector for frame in _driven(scene) for connector, is_red in frame.traffic_lights if is_red}
    for connector in red:
        lane = scene.road_map.lanes.get(connector)
        if lane is None or lane.roadblock_id not in route:
            continue
        x, y, _ = global_to_local(lane.baseline[:1], scene.current.ego.pose)[0]
        if x > 0.0 and math.hypot(x, y) < LIGHT_AHEAD_M:
            return True
    return False


def _positions(scene: Scene, category: AgentCategory) -> NDArray[np.float64]:
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
    "turning left": Happening("the human turns left by more than 20° within 4 s", lambda s: _turn_rad(s) > TURN_RAD),
    "turning right": Happening("the human turns right by more than 20° within 4 s", lambda s: _turn_rad(s) < -TURN_RAD),
    "straight on": Happening(
        "the human drives and turns by 20° at most", lambda s: abs(_turn_rad(s)) <= TURN_RAD and not _stands(s)
    ),
    "braking": Happening("the human loses 3 m/s or more within 4 s", _brakes),
    "moving off": Happening("the human stands and is faster than 2 m/s within 4 s", _moves_off),
    "standing": Happening("the human stands for all of the 4 s", _stands),
    "red light": Happening("a light on the route, less than 50 m ahead, is red now or within 4 s", _red_light),
    "vehicle ahead": Happening("a vehicle is straight ahead, less than 30 m away", _vehicle_ahead),
    "pedestrian near": Happening("a pedestrian is less than 15 m away", _near(AgentCategory.PEDESTRIAN)),
    "bicycle near": Happening("a bicycle is less than 15 m away", _near(AgentCategory.BICYCLE)),
}


def happenings(scene: Scene) -> list[str]:
    """Names of all that happens in a scene."""
    return [name for name, happening in HAPPENINGS.items() if happening.holds(scene)]


def happenings_mask(scene: Scene) -> int:
    """The same as bits, in the order of :data:`HAPPENINGS`."""
    return sum(1 << bit for bit, happening in enumerate(HAPPENINGS.values()) if happening.holds(scene))


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
