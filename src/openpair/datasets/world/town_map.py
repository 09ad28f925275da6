"""The map of a town in its compact stored form (integers, centimetres) and as a :class:`RoadMap`."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from openpair.datasets.world.log_store import unpacked
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap

Line = list[list[int]]
"""Points [[x, y], ...] in whole centimetres, town frame."""

LANE_STEP_M = 1.0
CONNECTOR_STEP_M = 0.5


@dataclass
class TownMap:
    """What is stored of a map. Ids are positions in these lists; :func:`road_map` numbers them through.

    Attributes:
        origin_m: UTM coordinates of the town frame's origin, whole metres.
        blocks: per roadblock {"lanes": [{"line", "width", "speed"}...] leftmost first, "gutter": paved width right of
            the last lane}; speeds in cm/s.
        movements: per roadblock connector {"from", "to", "junction", "polygon",
            "paths": [{"from", "to" (lane position in its block), "line", "width", "speed", "stop"}...]};
            "stop" is -1 without a traffic light.
        junctions, walkways, stop_lines: outlines; crosswalks, carparks: {"line", "width"} ribbons.
    """

    name: str
    origin_m: tuple[int, int]
    epsg: int = 32619
    blocks: list[dict[str, Any]] = field(default_factory=list)
    movements: list[dict[str, Any]] = field(default_factory=list)
    junctions: list[Line] = field(default_factory=list)
    crosswalks: list[dict[str, Any]] = field(default_factory=list)
    walkways: list[Line] = field(default_factory=list)
    stop_lines: list[Line] = field(default_factory=list)
    carparks: list[dict[str, Any]] = field(default_factory=list)

    def encode(self) -> bytes:
        """Compact bytes: JSON with difference-coded lines, xz-compressed."""
        text = json.dumps(_map_lines(vars(self), _difference), separators=(",", ":"), sort_keys=True)
        return lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)

    @staticmethod
    def decode(blob: bytes) -> TownMap:
        """Inverse of :meth:`encode`."""
        fields = _map_lines(json.loads(unpacked(blob)), _accumulate)
        return TownMap(**{**fields, "origin_m": tuple(fields["origin_m"])})


def ribbon(line: NDArray[np.float64], left_m: float, right_m: float) -> NDArray[np.float64]:
    """Outline (2M+1, 2) of a strip around a centre line (M, 2), closed, whole centimetres [m]."""
    step = np.diff(line, axis=0)
    step /= np.hypot(step[:, 0], step[:, 1])[:, None]
    tangent = np.concatenate([step[:1], step[:-1] + step[1:], step[-1:]])
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1) / np.hypot(tangent[:, 0], tangent[:, 1])[:, None]
    mitre = np.ones(len(line))
    mitre[1:-1] = 1 / np.maximum(0.5, np.einsum("ij,ij->i", normal[1:-1], np.stack([-step[1:, 1], step[1:, 0]], -1)))
    offset = normal * mitre[:, None]
    outline = np.concatenate([line + left_m * offset, (line - right_m * offset)[::-1]])
    outline = np.round(outline * 100) / 100
    return np.concatenate([outline, outline[:1]])


def densify(line: NDArray[np.float64], step_m: float) -> NDArray[np.float64]:
    """Baseline (M, 3) x, y [m], heading [rad] of a line (N, 2): its vertices and equal steps of at most ``step_m``."""
    pieces = []
    for a, b in pairwise(line):
        count = max(1, int(np.ceil(np.hypot(*(b - a)) / step_m - 1e-9)))
        pieces.append(a + np.arange(count)[:, None] / count * (b - a))
    points = np.concatenate([*pieces, line[-1:]])
    step = np.diff(points, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    return np.column_stack([points, np.append(heading, heading[-1])])


def road_map(town: TownMap) -> RoadMap:
    """The map as everything else wants it: UTM metres, one id counter over all layers."""
    origin = np.array(town.origin_m, dtype=np.float64)

    def points(line: Line) -> NDArray[np.float64]:
        return origin + np.array(line, dtype=np.float64) / 100

    def area(line: Line) -> Polygon:
        return Polygon(points([*line, line[0]]))

    def strip(item: dict[str, Any]) -> Polygon:
        return Polygon(origin + ribbon(np.array(item["line"]) / 100, item["width"] / 200, item["width"] / 200))

    ids = _number(town)
    lanes: dict[str, Lane] = {}
    blocks: dict[str, Roadblock] = {}
    incoming: dict[str, list[str]] = {}
    outgoing: dict[str, list[str]] = {}
    for m, movement in enumerate(town.movements):
        _link(incoming, outgoing, ids["block"][movement["from"]], ids["movement"][m], ids["block"][movement["to"]])
        for p, path in enumerate(movement["paths"]):
            before, after = ids[f"lane{movement['from']}"][path["from"]], ids[f"lane{movement['to']}"][path["to"]]
            _link(incoming, outgoing, before, ids[f"path{m}"][p], after)

    def add_lane(name: str, block: str, item: dict[str, Any], index: int, stop: tuple[str, ...] | None) -> None:
        lanes[name] = Lane(
            id=name,
            is_connector=stop is not None,
            roadblock_id=block,
            polygon=strip(item),
            baseline=densify(points(item["line"]), LANE_STEP_M if stop is None else CONNECTOR_STEP_M),
            incoming=tuple(incoming.get(name, ())),
            outgoing=tuple(outgoing.get(name, ())),
            speed_limit_mps=item["speed"] / 100,
            index=index if stop is None else 0,
            stop_line_ids=stop or (),
        )

    def add_block(name: str, polygon: Polygon, lane_ids: list[str], junction: str | None) -> None:
        before, after = tuple(incoming.get(name, ())), tuple(outgoing.get(name, ()))
        blocks[name] = Roadblock(name, junction is not None, polygon, tuple(lane_ids), before, after, junction)

    for b, block in enumerate(town.blocks):
        for i, item in enumerate(block["lanes"]):
            add_lane(ids[f"lane{b}"][i], ids["block"][b], item, i, None)
        add_block(ids["block"][b], Polygon(origin + block_outline(block)), ids[f"lane{b}"], None)
    for m, movement in enumerate(town.movements):
        for p, path in enumerate(movement["paths"]):
            stop = (ids["stop"][path["stop"]],) if path["stop"] >= 0 else ()
            add_lane(ids[f"path{m}"][p], ids["movement"][m], path, p, stop)
        junction = ids["junction"][movement["junction"]]
        add_block(ids["movement"][m], area(movement["polygon"]), ids[f"path{m}"], junction)
    return RoadMap(
        name=town.name,
        lanes=lanes,
        roadblocks=blocks,
        intersections=dict(zip(ids["junction"], map(area, town.junctions), strict=True)),
        carparks=dict(zip(ids["carpark"], map(strip, town.carparks), strict=True)),
        crosswalks=dict(zip(ids["crosswalk"], map(strip, town.crosswalks), strict=True)),
        walkways=dict(zip(ids["walkway"], map(area, town.walkways), strict=True)),
        stop_lines=dict(zip(ids["stop"], map(area, town.stop_lines), strict=True)),
        epsg=town.epsg,
    )


def block_outline(block: dict[str, Any]) -> NDArray[np.float64]:
    """Closed outline [m] of all lanes of a roadblock and its gutter."""
    first, last = block["lanes"][0], block["lanes"][-1]
    left = ribbon(np.array(first["line"]) / 100, first["width"] / 200, 0.0)[: len(first["line"])]
    right = ribbon(np.array(last["line"]) / 100, 0.0, last["width"] / 200 + block["gutter"] / 100)[
        len(last["line"]) : -1
    ]
    return np.concatenate([left, right, left[:1]])


def path_ids(town: TownMap) -> list[list[str]]:
    """Lane connector ids by movement and path, as :func:`road_map` gives them."""
    ids = _number(town)
    return [ids[f"path{m}"] for m in range(len(town.movements))]


def block_ids(town: TownMap) -> tuple[list[str], list[str]]:
    """Ids of roadblocks and of roadblock connectors, as :func:`road_map` gives them."""
    ids = _number(town)
    return ids["block"], ids["movement"]


def signalled_paths(town: TownMap) -> list[tuple[int, int]]:
    """(movement, path) of every lane connector with a traffic light, in stored order."""
    return [
        (m, p)
        for m, movement in enumerate(town.movements)
        for p, path in enumerate(movement["paths"])
        if path["stop"] >= 0
    ]


def _number(town: TownMap) -> dict[str, list[str]]:
    """Ids by layer, counted through from 1 so that no two layers share one."""
    counts = {f"lane{b}": len(block["lanes"]) for b, block in enumerate(town.blocks)}
    counts |= {f"path{m}": len(movement["paths"]) for m, movement in enumerate(town.movements)}
    counts |= {"block": len(town.blocks), "movement": len(town.movements), "junction": len(town.junctions)}
    counts |= {"carpark": len(town.carparks), "crosswalk": len(town.crosswalks)}
    counts |= {"walkway": len(town.walkways), "stop": len(town.stop_lines)}
    ids, start = {}, 1
    for layer, count in counts.items():
        ids[layer] = [str(start + i) for i in range(count)]
        start += count
    return ids


def _link(incoming: dict[str, list[str]], outgoing: dict[str, list[str]], before: str, middle: str, after: str) -> None:
    for a, b in ((before, middle), (middle, after)):
        outgoing.setdefault(a, []).append(b)
        incoming.setdefault(b, []).append(a)


def _map_lines(value: Any, function: Any) -> Any:
    """Apply ``function`` to every list of points in nested lists and dictionaries."""
    if isinstance(value, dict):
        return {key: _map_lines(item, function) for key, item in value.items()}
    if isinstance(value, list):
        is_line = bool(value) and all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], int) for p in value)
        return function(value) if is_line else [_map_lines(item, function) for item in value]
    return value


def _difference(line: Line) -> Line:
    array = np.array(line)
    return [line[0], *np.diff(array, axis=0).tolist()]


def _accumulate(line: Line) -> Line:
    result: Line = np.cumsum(np.array(line), axis=0).tolist()
    return result
