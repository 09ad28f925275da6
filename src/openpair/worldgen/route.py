"""Which roadblocks an ego drives through, and the driving command that NAVSIM derives from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.world.town_map import TownMap
from openpair.datatypes.columns import DrivingCommand
from openpair.geometry.poses import global_to_local
from openpair.worldgen.map_from_net import TownNumbers

LOOKAHEAD_M = 20.0
TURN_M = 2.0
ROUTE_BEYOND_M = 160.0
"""The given route goes on this far after the log ends [m]."""


@dataclass(frozen=True)
class Place:
    """Where on the map a vehicle is: lane of a roadblock, or path of a movement.

    Attributes:
        is_path: True on a lane connector.
        group: roadblock or movement, position in the town map.
        member: lane or path in it.
    """

    is_path: bool
    group: int
    member: int


def place_of(lane_name: str, numbers: TownNumbers) -> Place | None:
    """The place of a SUMO lane; None where it is not part of the map."""
    if lane_name in numbers.lane:
        return Place(False, *numbers.lane[lane_name])
    if lane_name in numbers.via:
        return Place(True, *numbers.via[lane_name])
    return None


def route_steps(lane_names: list[str], edges: list[str]) -> NDArray[np.int64]:
    """For each lane name (T,): the position on the vehicle's route of the last edge it entered."""
    position = -1
    result = np.empty(len(lane_names), dtype=np.int64)
    for i, name in enumerate(lane_names):
        edge = name.rpartition("_")[0]
        if not edge.startswith(":") and (position < 0 or edges[position] != edge):
            later = [k for k in range(position + 1, len(edges)) if edges[k] == edge]
            position = later[0] if later else position
        result[i] = position
    return result


def given_route(edges: list[str], first: int, last: int, town: TownMap, numbers: TownNumbers) -> list[int] | None:
    """Roadblocks and movements, alternating, from route position ``first`` to well beyond ``last``.

    Ends before it would come back to a junction. None where the driven part itself does: such a route loops.
    """
    result = [numbers.block[edges[first]]]
    junctions: set[int] = set()
    beyond = 0.0
    for k in range(first, len(edges) - 1):
        movement = numbers.movement.get((edges[k], edges[k + 1]))
        if movement is None:
            return None
        junction = town.movements[movement]["junction"]
        if junction in junctions:
            return None if k < last else result
        junctions.add(junction)
        result += [movement, numbers.block[edges[k + 1]]]
        if k + 1 > last:
            line = np.array(town.blocks[result[-1]]["lanes"][0]["line"]) / 100
            beyond += float(np.sum(np.hypot(*np.diff(line, axis=0).T)))
            if beyond > ROUTE_BEYOND_M:
                break
    return result


def route_centerline(place: Place, route: list[int], town: TownMap) -> NDArray[np.float64]:
    """(M, 2) centre line [m] from the start of ``place`` along the route, in the lane that one would take."""
    pieces, length = [], 0.0
    groups = list(enumerate(route))
    start = next((i for i, g in groups if g == place.group and (i % 2 == 1) == place.is_path), None)
    if start is None:
        return np.zeros((0, 2))
    member = place.member
    for i in range(start, len(route)):
        if i % 2 == 0:
            item = town.blocks[route[i]]["lanes"][member]
        else:
            paths = town.movements[route[i]]["paths"]
            if i > start:
                member = min(range(len(paths)), key=lambda p: (abs(paths[p]["from"] - member), p))
            item = paths[member]
            member = item["to"]
        line = np.array(item["line"]) / 100
        pieces.append(line)
        length += float(np.sum(np.hypot(*np.diff(line, axis=0).T)))
        if i > start + 1 and length > 150:
            break
    return np.concatenate(pieces)


def driving_command(pose: NDArray[np.float64], centerline: NDArray[np.float64]) -> DrivingCommand:
    """Left or right where the centre line 20 m ahead of the ego lies at least 2 m to that side in the ego's frame."""
    if len(centerline) < 2:
        return DrivingCommand.UNKNOWN
    step = np.diff(centerline, axis=0)
    length = np.maximum(np.hypot(*step.T), 1e-9)
    along = np.clip(np.einsum("ij,ij->i", pose[:2] - centerline[:-1], step) / length**2, 0.0, 1.0)
    foot = centerline[:-1] + along[:, None] * step
    i = int(np.argmin(np.hypot(*(foot - pose[:2]).T)))
    station = np.concatenate([[0.0], np.cumsum(length)])
    target = station[i] + along[i] * length[i] + LOOKAHEAD_M
    ahead = np.array([*(np.interp(target, station, centerline[:, k]) for k in range(2)), 0.0])
    lateral = global_to_local(ahead, pose)[1]
    if lateral >= TURN_M:
        return DrivingCommand.LEFT
    return DrivingCommand.RIGHT if lateral <= -TURN_M else DrivingCommand.FORWARD
