"""What agents look like: each box becomes a few solids, all of them inside the box."""

from __future__ import annotations

from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex
from openpair.datatypes.scene import Scene
from openpair.geometry.poses import global_to_local
from openpair.sensors.kernels import shapes
from openpair.sensors.primitives import Primitives, empty, joined, shadows, solids

PAINTS: Final = np.array(
    [
        (0.82, 0.82, 0.82),
        (0.60, 0.61, 0.63),
        (0.13, 0.13, 0.14),
        (0.30, 0.31, 0.33),
        (0.55, 0.10, 0.09),
        (0.12, 0.22, 0.48),
        (0.72, 0.70, 0.64),
        (0.14, 0.30, 0.24),
        (0.78, 0.54, 0.12),
        (0.30, 0.44, 0.60),
    ]
)
CLOTHES: Final = np.array(
    [
        (0.65, 0.16, 0.16),
        (0.16, 0.26, 0.55),
        (0.20, 0.20, 0.22),
        (0.80, 0.75, 0.60),
        (0.20, 0.45, 0.28),
        (0.75, 0.50, 0.15),
    ]
)
SKIN: Final = (0.72, 0.54, 0.42)

LARGE_HEIGHT_M: Final = 2.3
LARGE_LENGTH_M: Final = 6.6
BRAKING_MPS2: Final = 0.8
"""A vehicle that slows down harder than this shows its brake lights."""


def token_seeds(tokens: tuple[str, ...]) -> NDArray[np.int64]:
    """(A,) numbers that depend on the names alone, so that an agent keeps its colour from frame to frame."""
    return np.array([crc32(token.encode()) for token in tokens], np.int64)


def braking(scene: Scene) -> NDArray[np.bool_]:
    """(A,) True for agents of the current frame that slowed down since the frame before, or that stopped."""
    agents = scene.current.agents
    speed = np.hypot(agents.velocity[:, 0], agents.velocity[:, 1])
    out = np.zeros(len(agents), bool)
    fastest: dict[str, float] = {}
    last: dict[str, float] = {}
    last_time_us = 0
    for frame in scene.history[:-1]:
        v = np.hypot(frame.agents.velocity[:, 0], frame.agents.velocity[:, 1])
        last = dict(zip(frame.agents.track_tokens, v.tolist(), strict=True))
        last_time_us = frame.ego.timestamp_us
        for token, value in last.items():
            fastest[token] = max(value, fastest.get(token, 0.0))
    seconds = max((scene.current.ego.timestamp_us - last_time_us) * 1e-6, 1e-3)
    for i, token in enumerate(agents.track_tokens):
        slowing = token in last and last[token] - speed[i] > BRAKING_MPS2 * seconds
        stopped = speed[i] < 0.3 and fastest.get(token, 0.0) > 0.5
        out[i] = slowing or stopped
    return out


def agent_primitives(agents: Agents, ego_pose: NDArray[np.float64], brake_lights: NDArray[np.bool_]) -> Primitives:
    """(P,) solids of all agents, ego frame. Boxes stand on the ground: recorded heights follow slopes we do not model.

    Args:
        agents: A agents, global frame.
        ego_pose: (3,) ego pose, global frame.
        brake_lights: (A,) whose brake lights are on.
    """
    if not len(agents):
        return empty()
    box = np.array(agents.box)
    box[:, :3] = global_to_local(box[:, :3], ego_pose)
    seeds = token_seeds(agents.track_tokens)
    category = agents.category
    large = (box[:, BoxIndex.HEIGHT] > LARGE_HEIGHT_M) | (box[:, BoxIndex.LENGTH] > LARGE_LENGTH_M)
    vehicle = category == AgentCategory.VEHICLE
    groups = (
        (vehicle & ~large, _cars),
        (vehicle & large, _large_vehicles),
        (category == AgentCategory.PEDESTRIAN, _pedestrians),
        (category == AgentCategory.BICYCLE, _bicycles),
        (category == AgentCategory.TRAFFIC_CONE, _cones),
        (category == AgentCategory.BARRIER, _barriers),
        (category >= AgentCategory.CZONE_SIGN, _generic),
    )
    parts = [build(box[mask], seeds[mask], brake_lights[mask]) for mask, build in groups if mask.any()]
    parts.append(shadows(*box[:, :5].T))
    return joined(parts)


Boxes = NDArray[np.float64]
Seeds = NDArray[np.int64]
Flags = NDArray[np.bool_]


def _offset(box: Boxes, forward: NDArray[np.float64], left: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """x, y of points given in the axes of the boxes."""
    c, s = np.cos(box[:, 2]), np.sin(box[:, 2])
    return box[:, 0] + c * forward - s * left, box[:, 1] + s * forward + c * left


def _cars(box: Boxes, seeds: Seeds, brake: Flags) -> Primitives:
    x, y, heading, length, width, height = box.T
    paint = PAINTS[seeds % len(PAINTS)]
    waist = 0.55 * height
    lift = 0.13
    body = solids(
        x, y, lift, heading, length, width, waist - lift,
        color=paint, material=shapes.VEHICLE_BODY, taper=(0.06, 0.05), state=brake,
    )  # fmt: skip
    cx, cy = _offset(box, -0.07 * length, np.zeros_like(length))
    cabin = solids(
        cx, cy, waist, heading, 0.66 * length, 0.90 * width, 0.45 * height,
        color=paint * 0.9, material=shapes.VEHICLE_GLASS, taper=(0.75, 0.22),
    )  # fmt: skip
    return joined([body, cabin])


def _large_vehicles(box: Boxes, seeds: Seeds, brake: Flags) -> Primitives:
    x, y, heading, length, width, height = box.T
    paint = 0.25 + 0.7 * PAINTS[seeds % len(PAINTS)]
    bus_or_truck = (seeds >> 8) % 256 / 256.0
    return solids(
        x, y, 0.25, heading, length, width, height - 0.25,
        color=paint, material=shapes.LARGE_VEHICLE, seed=bus_or_truck, state=brake,
    )  # fmt: skip


def _person(
    x: NDArray, y: NDArray, foot: NDArray, heading: NDArray, size: NDArray, height: NDArray, seeds: Seeds
) -> Primitives:
    """Legs, torso and head of people ``height`` m tall and ``size`` m wide."""
    clothes = CLOTHES[seeds % len(CLOTHES)]
    trousers = 0.25 + 0.45 * CLOTHES[(seeds >> 8) % len(CLOTHES)]
    c, s = np.cos(heading), np.sin(heading)
    legs = []
    for side in (1.0, -1.0):
        forward, left = side * 0.12 * size, side * 0.18 * size  # a stride
        lx, ly = x + c * forward - s * left, y + s * forward + c * left
        legs.append(
            solids(lx, ly, foot, heading, 0.27 * size, 0.26 * size, 0.50 * height, color=trousers, taper=(-0.02, -0.03))
        )
    lean = (0.10, -0.06)  # shoulders wider than hips
    torso = solids(
        x, y, foot + 0.47 * height, heading, 0.50 * size, 0.66 * size, 0.36 * height, color=clothes, taper=lean
    )
    head = solids(
        x, y, foot + 0.84 * height, heading, 0.14 * height, 0.12 * height, 0.16 * height,
        color=SKIN, shape=shapes.ELLIPSOID,
    )  # fmt: skip
    return joined([*legs, torso, head])


def _pedestrians(box: Boxes, seeds: Seeds, brake: Flags) -> Primitives:
    x, y, heading, length, width, height = box.T
    size = np.clip(np.minimum(length, width), 0.3, 0.75)
    return _person(x, y, np.zeros_like(x), heading, size, height, seeds)


def _bicycles(box: Boxes, seeds: Seeds, brake: Flags) -> Primitives:
    x, y, heading, length, width, height = box.T
    zero = np.zeros_like(length)
    radius = np.minimum(0.34, 0.22 * length)
    wheels = []
    for end in (1.0, -1.0):
        wx, wy = _offset(box, end * (0.5 * length - radius), zero)
        wheels.append(
            solids(wx, wy, 0.0, heading, 2 * radius, 0.08, 2 * radius, color=(0.07, 0.07, 0.07), shape=shapes.ELLIPSOID)
        )
    frame = solids(x, y, radius, heading, 0.62 * length, 0.06, 0.42, color=PAINTS[(seeds >> 4) % len(PAINTS)])
    rider = _person(x, y, zero + 0.45, heading, np.clip(width, 0.35, 0.6), np.maximum(height - 0.45, 0.6), seeds)
    return joined([*wheels, frame, rider])


def _cones(box: Boxes, seeds: Seeds, brake: Flags) -> Primitives:
    x, y, heading, length, width, height = box.T
    orange = (0.95, 0.36, 0.07)
    foot = solids(x, y, 0.0, heading, length, width, 0.04, color=orange)
    lean = 0.38 * np.minimum(length, width) / np.maximum(height, 0.1)
    cone = solids(
        x, y, 0.04, heading, 0.85 * length, 0.85 * width, height - 0.04,
        color=orange, taper=np.stack([lean, lean], axis=1), material=shapes.STRIPES, state=2.2,
    )  # fmt: skip
    return joined([foot, cone])


def _barriers(box: Boxes, seeds: Seeds, brake: Flags) -> Primitives:
    x, y, heading, length, width, height = box.T
    return solids(
        x, y, 0.0, heading, length, width, height, color=(0.90, 0.38, 0.12), material=shapes.STRIPES, state=2.5
    )


def _generic(box: Boxes, seeds: Seeds, brake: Flags) -> Primitives:
    x, y, heading, length, width, height = box.T
    return solids(x, y, 0.0, heading, length, width, height, color=(0.80, 0.62, 0.20))
