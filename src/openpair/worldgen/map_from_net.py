"""Turns a SUMO network into a town map: lanes to roadblocks, connections to lane connectors, nodes to intersections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from openpair.datasets.world.town_map import Line, TownMap, ribbon
from openpair.worldgen.recipes import TownRecipe
from openpair.worldgen.streets import GUTTER_M
from openpair.worldgen.sumo_net import Net, NetConnection, NetEdge

SIMPLIFY_M = 0.02
MOUTH_M = 0.8
"""How far an intersection reaches back over the streets, so that no crack opens between them [m]."""
SLACK_M = 0.6
"""Kerb clearance of an intersection on each side of a lane connector [m]."""
STOP_LINE_M = 0.5
BULB_OUT_M = 7.0
"""A parking strip ends this far before a junction [m]."""


@dataclass(frozen=True)
class TownNumbers:
    """Where SUMO's things are in the town map.

    Attributes:
        block: edge id -> position in ``TownMap.blocks``.
        lane: lane id -> (block, lane position).
        movement: (from edge, to edge) -> position in ``TownMap.movements``.
        path: (from lane id, to lane id) -> (movement, path position).
        via: internal lane id -> (movement, path position).
        light: (traffic light id, link index) -> every (movement, path position) it governs.
    """

    block: dict[str, int]
    lane: dict[str, tuple[int, int]]
    movement: dict[tuple[str, str], int]
    path: dict[tuple[str, str], tuple[int, int]]
    via: dict[str, tuple[int, int]]
    light: dict[tuple[str, int], list[tuple[int, int]]]


def build_town_map(recipe: TownRecipe, net: Net) -> tuple[TownMap, TownNumbers]:
    """The stored map of a town, and where SUMO's ids are in it."""
    rng = np.random.default_rng([recipe.seed, 3])
    origin = (int(rng.integers(310_000, 350_000)), int(rng.integers(4_670_000, 4_710_000)))
    town = TownMap(recipe.name, origin)
    numbers = TownNumbers({}, {}, {}, {}, {}, {})
    edges = [edge for edge in net.edges.values() if edge.drive_lanes]
    for b, edge in enumerate(edges):
        numbers.block[edge.id] = b
        numbers.lane.update({lane.id: (b, i) for i, lane in enumerate(edge.drive_lanes)})
        items = [
            {"line": _line(lane.shape), "width": round(lane.width * 100), "speed": round(lane.speed * 100)}
            for lane in edge.drive_lanes
        ]
        town.blocks.append({"lanes": items, "gutter": round(GUTTER_M * 100)})
    outlines = _intersections(net, edges)
    order = {name: j for j, name in enumerate(outlines)}
    town.junctions = [_outline(polygon) for polygon in outlines.values()]
    stop_of = _stop_lines(net, edges, town)
    _movements(net, town, numbers, order, stop_of)
    _verge(net, edges, town, outlines)
    return town, numbers


def _movements(
    net: Net, town: TownMap, numbers: TownNumbers, junction: dict[str, int], stop_of: dict[str, int]
) -> None:
    edge_of = {lane.id: edge for edge in net.edges.values() for lane in edge.lanes}
    groups: dict[tuple[str, str], list[NetConnection]] = {}
    for link in net.connections:
        groups.setdefault((edge_of[link.from_lane].id, edge_of[link.to_lane].id), []).append(link)
    for m, ((start, goal), links) in enumerate(groups.items()):
        numbers.movement[(start, goal)] = m
        links.sort(key=lambda link: (numbers.lane[link.from_lane], numbers.lane[link.to_lane]))
        paths = []
        for p, link in enumerate(links):
            numbers.path[(link.from_lane, link.to_lane)] = (m, p)
            numbers.via.update(dict.fromkeys(link.via, (m, p)))
            if link.tls is not None:
                numbers.light.setdefault((link.tls, link.link_index), []).append((m, p))
            lane = next(lane for lane in edge_of[link.from_lane].lanes if lane.id == link.from_lane)
            line = _line(link.shape)
            paths.append(
                {
                    "from": numbers.lane[link.from_lane][1],
                    "to": numbers.lane[link.to_lane][1],
                    "line": line,
                    "width": _fitting_width(line, round(lane.width * 100)),
                    "speed": round(lane.speed * 100),
                    "stop": stop_of[start] if link.tls is not None else -1,
                }
            )
        polygon = _one_polygon(unary_union([_ribbon_of(link).buffer(0.05) for link in links]))
        town.movements.append(
            {
                "from": numbers.block[start],
                "to": numbers.block[goal],
                "junction": junction[net.edges[start].to_node],
                "polygon": _outline(polygon),
                "paths": paths,
            }
        )


def _fitting_width(line: Line, width_cm: int) -> int:
    """The width, made smaller where a bend is too tight for it."""
    points = np.array(line) / 100
    while width_cm > 100 and not Polygon(ribbon(points, width_cm / 200, width_cm / 200)).is_valid:
        width_cm -= 20
    return width_cm


def _ribbon_of(link: NetConnection, extra_m: float = 0.0) -> Polygon:
    return LineString(link.shape).buffer(1.75 + extra_m, cap_style="flat", join_style="mitre")


def _intersections(net: Net, edges: list[NetEdge]) -> dict[str, Polygon]:
    """Surface of every node: all lane connectors with kerb clearance, mouths of the streets, rounded inner corners."""
    to_node = {lane.id: edge.to_node for edge in edges for lane in edge.lanes}
    parts: dict[str, list[BaseGeometry]] = {name: [] for name in net.junctions}
    for link in net.connections:
        parts[to_node[link.from_lane]].append(_ribbon_of(link, SLACK_M))
    for edge in edges:
        for node, backwards in ((edge.to_node, True), (edge.from_node, False)):
            for lane in edge.drive_lanes:
                line = LineString(lane.shape[::-1] if backwards else lane.shape)
                mouth = shapely.ops.substring(line, 0.0, MOUTH_M)
                parts[node].append(mouth.buffer(lane.width / 2 + GUTTER_M, cap_style="flat"))
    result = {}
    for name, pieces in parts.items():
        if pieces:
            union = unary_union(pieces).buffer(5.0, quad_segs=6).buffer(-5.0, quad_segs=6).buffer(0.01)
            result[name] = Polygon(_one_polygon(union).exterior)
    return result


def _stop_lines(net: Net, edges: list[NetEdge], town: TownMap) -> dict[str, int]:
    """A stop line across each street that ends at lights or an all-way stop; edge id -> position."""
    found = {}
    for edge in edges:
        if net.junctions[edge.to_node].kind in ("traffic_light", "allway_stop"):
            found[edge.id] = len(town.stop_lines)
            bars = []
            for lane in edge.drive_lanes:
                line = LineString(lane.shape[::-1])
                bar = shapely.ops.substring(line, 0.0, STOP_LINE_M)
                bars.append(bar.buffer(lane.width / 2 + 0.01, cap_style="flat", join_style="mitre"))
            town.stop_lines.append(_outline(_one_polygon(unary_union(bars))))
    return found


def _verge(net: Net, edges: list[NetEdge], town: TownMap, junctions: dict[str, Polygon]) -> None:
    """Crosswalks, sidewalks and parking strips."""
    town.crosswalks = [{"line": _line(shape), "width": round(width * 100)} for shape, width in net.crossings]
    areas: list[BaseGeometry] = [Polygon(shape).buffer(0) for shape in net.walking_areas if len(shape) > 2]
    for edge in edges:
        for lane in edge.lanes:
            line = LineString(lane.shape)
            if lane.kind == "sidewalk":
                areas.append(line.buffer(lane.width / 2 + 0.02, cap_style="flat", join_style="mitre"))
            elif lane.kind == "kerb" and lane.width > GUTTER_M:
                if line.length > 2 * BULB_OUT_M + 14:
                    strip = shapely.ops.substring(line, BULB_OUT_M, line.length - BULB_OUT_M)
                    town.carparks.append({"line": _line(np.array(strip.coords)), "width": round(lane.width * 100 + 10)})
                    ends = [
                        shapely.ops.substring(line, 0, BULB_OUT_M),
                        shapely.ops.substring(line, line.length - BULB_OUT_M, line.length),
                    ]
                else:
                    ends = [line]
                areas += [end.buffer(lane.width / 2 - 0.1, cap_style="flat", join_style="mitre") for end in ends]
    roads = [_block_area(edge) for edge in edges]
    street = unary_union([*junctions.values(), *roads])
    for area in areas:
        rest = area.difference(street)
        for piece in rest.geoms if isinstance(rest, MultiPolygon) else [rest]:
            if piece.area > 1.0:
                town.walkways.append(_outline(piece))


def _block_area(edge: NetEdge) -> BaseGeometry:
    return unary_union(
        [
            LineString(s.shape).buffer(s.width / 2 + GUTTER_M, cap_style="flat", join_style="mitre")
            for s in edge.drive_lanes
        ]
    )


def _one_polygon(shape: BaseGeometry) -> Polygon:
    if isinstance(shape, Polygon):
        return shape
    return shape.convex_hull


def _outline(polygon: Polygon) -> Line:
    """Exterior in whole centimetres, open (first point not repeated), anticlockwise."""
    simple = shapely.set_precision(Polygon(polygon.exterior).simplify(SIMPLIFY_M), 0.01)
    largest = max(shapely.get_parts(simple), key=lambda part: part.area)
    ring = shapely.geometry.polygon.orient(largest).exterior
    result: Line = np.round(np.array(ring.coords)[:-1] * 100).astype(int).tolist()
    return result


def _line(shape: NDArray[np.float64]) -> Line:
    simple = np.array(LineString(shape).simplify(SIMPLIFY_M).coords)
    points = np.round(simple * 100).astype(int)
    keep = np.concatenate([[True], np.any(np.diff(points, axis=0) != 0, axis=1)])
    result: Line = points[keep].tolist()
    return result
