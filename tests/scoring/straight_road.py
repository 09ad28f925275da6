"""A road along the x axis, built by hand, so that scores can be worked out on paper.

Two lanes of 4 m: the ego's (y -2 .. 2, on the route) and the oncoming one (y 2 .. 6). The centreline is y = 0. The ego
starts with its rear axle at x = 0 and drives at 10 m/s; PDM-Closed holds that speed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import AgentCategory, MapLayer, Protocol, StateIndex
from openpair.datatypes.scoring_scene import DrivableMap, PolygonSet, RedLights, ScoringScene, Tracks

SPEED_MPS = 10.0
TIME_US = 1_000_000_000_000


def rectangle(x1: float, y1: float, x2: float, y2: float) -> NDArray[np.float64]:
    """(5, 2) closed ring."""
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]], np.float64)


def polygons(rings: list[NDArray[np.float64]]) -> PolygonSet:
    """One polygon for each ring."""
    offsets = np.cumsum([0, *(len(ring) for ring in rings)])
    xy = np.concatenate(rings) if rings else np.zeros((0, 2))
    return PolygonSet(xy, offsets, np.arange(len(rings) + 1))


def drivable_map(extra: list[tuple[MapLayer, NDArray[np.float64], bool]] | None = None) -> DrivableMap:
    """The road, and more elements (layer, ring, on route)."""
    elements = [
        (MapLayer.ROADBLOCK, rectangle(-50, -2, 95, 6), False),
        (MapLayer.LANE, rectangle(-50, -2, 95, 2), True),
        (MapLayer.LANE, rectangle(-50, 2, 95, 6), False),
        *(extra or []),
    ]
    return DrivableMap(
        polygons=polygons([ring for _, ring, _ in elements]),
        layer=np.array([layer for layer, _, _ in elements], np.int64),
        tokens=tuple(f"element{i}" for i in range(len(elements))),
        on_route=np.array([on_route for _, _, on_route in elements]),
    )


def agent(
    token: str,
    category: AgentCategory,
    x: float,
    y: float = 0.0,
    velocity: tuple[float, float] = (0.0, 0.0),
    size: tuple[float, float] = (4.0, 2.0),
) -> tuple:
    """An agent that moves at constant velocity."""
    return token, category, x, y, velocity, size


def tracks(agents: list[tuple], samples: int = 51) -> Tracks:
    """Agents at 10 Hz, present in all samples."""
    count = len(agents)
    box = np.zeros((samples, count, 6))
    velocity = np.zeros((samples, count, 2))
    for k, (_, _, x, y, (vx, vy), (length, width)) in enumerate(agents):
        time = 0.1 * np.arange(samples)
        box[:, k, 0], box[:, k, 1] = x + vx * time, y + vy * time
        box[:, k, 2] = np.arctan2(vy, vx)
        box[:, k, 3:] = length, width, 1.5
        velocity[:, k] = vx, vy
    return Tracks(
        tokens=tuple(token for token, *_ in agents),
        category=np.array([category for _, category, *_ in agents], np.int64),
        frame_offset=count * np.arange(samples + 1),
        track=np.tile(np.arange(count), samples),
        box=box.reshape(-1, 6),
        velocity=velocity.reshape(-1, 2),
    )


def scene(
    protocol: Protocol = Protocol.V1_1,
    agents: list[tuple] | None = None,
    speed: float = SPEED_MPS,
    elements: list[tuple[MapLayer, NDArray[np.float64], bool]] | None = None,
    red: list[NDArray[np.float64]] | None = None,
    human: NDArray[np.float64] | None = None,
) -> ScoringScene:
    """The scene; in v2.2 with a steady past and a human who drives straight on."""
    state = np.zeros(len(StateIndex))
    state[StateIndex.VELOCITY_X] = speed
    reference = np.zeros((51, len(StateIndex)))
    reference[:, StateIndex.X] = speed * 0.1 * np.arange(51)
    is_v2 = protocol is Protocol.V2_2
    past = np.tile(state, (4, 1))
    past[:, StateIndex.X] = speed * np.array([-1.5, -1.0, -0.5, 0.0])
    lights = red or []
    result = ScoringScene(
        token="straight",
        protocol=protocol,
        time_us=TIME_US,
        ego_state=state,
        drivable_map=drivable_map(elements),
        centerline=np.stack([np.arange(-50.0, 96.0), np.zeros(146), np.zeros(146)], axis=1),
        tracks=tracks(agents or [], 41 if is_v2 else 51),
        reference_time_us=TIME_US + 100_000 * np.arange(51),
        reference_states=reference,
    )
    if not is_v2:
        return result
    return replace(
        result,
        red_lights=RedLights(
            tokens=tuple(f"red{i}" for i in range(len(lights))),
            polygons=polygons(lights),
            active=np.ones((41, len(lights)), bool),
        ),
        human_trajectory=straight_plan(speed) if human is None else human,
        past_time_us=TIME_US + 500_000 * np.arange(-3, 1),
        past_states=past,
    )


def straight_plan(speed: float = SPEED_MPS, offset: float = 0.0) -> NDArray[np.float64]:
    """(8, 3) straight on at constant speed; ``offset``: to the left, reached at the end [m]."""
    plan = np.zeros((8, 3))
    plan[:, 0] = speed * 0.5 * np.arange(1, 9)
    plan[:, 1] = offset * np.arange(1, 9) / 8
    return plan
