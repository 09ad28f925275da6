"""NAVSIM's own metric caches (``metric_cache.pkl``) as scoring scenes, without NAVSIM, nuPlan or any of their code.

A metric cache is an LZMA-compressed pickle of nuPlan objects with shapely geometry. It is read through a mapping of
names: the few classes it is made of become plain records and tables of this module, geometry is decoded from its
well-known binary form here, and every other name is refused before anything is imported. So a forged cache can name
what it likes: nothing of it runs.

The layout (module, class and attribute names, what each class hands to pickle) is that of the public sources of v1.1
and v2.2. docs/scoring.md says which of it could be checked against files written by the original.
"""

from __future__ import annotations

import lzma
import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from openpair.damage import cause_of
from openpair.datasets.navsim.synthetic import MAX_VALUES, SceneUnpickler, number_of
from openpair.datasets.navsim.unpickle import Record, check_extent, loads_plain
from openpair.datatypes import vehicle
from openpair.datatypes.columns import AgentCategory, MapLayer, Protocol, StateIndex
from openpair.datatypes.scoring_scene import DrivableMap, PolygonSet, RedLights, ScoringScene, Tracks
from openpair.errors import OpenPairError
from openpair.scoring.overlap import without_overlapping

FILE_NAME: Final = "metric_cache.pkl"
RED_LIGHT: Final = "red_light"
"""Head of the tokens that v2.2 gives to red lane connectors among the tracks."""

MAX_BYTES: Final = 1 << 28
"""A cache that unpacks to more than this is refused; real ones are some megabytes."""

WKB_POLYGON: Final = 3
WKB_HAS_Z, WKB_HAS_SRID = 0x80000000, 0x20000000


@dataclass(frozen=True)
class Surface:
    """A polygon: its closed rings (n, 2) [m], the exterior first."""

    rings: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Occupancy:
    """What stands where at one moment, or, with layers, the drivable map."""

    tokens: tuple[str, ...]
    surfaces: tuple[Surface, ...]
    layers: tuple[int, ...] = ()


def surface_from_wkb(data: object) -> Surface:
    """A polygon in well-known binary form, as shapely pickles it."""
    if not isinstance(data, bytes) or len(data) < 9:
        raise pickle.UnpicklingError("a geometry that is not in binary form")
    order = {0: ">", 1: "<"}.get(data[0])
    if order is None:
        raise pickle.UnpicklingError("a geometry of unknown byte order")
    (kind,) = struct.unpack_from(f"{order}I", data, 1)
    position = 5 + (4 if kind & WKB_HAS_SRID else 0)
    width = 3 if kind & WKB_HAS_Z or kind & 0xFFFF == 1000 + WKB_POLYGON else 2
    if kind & 0xFFFF not in (WKB_POLYGON, 1000 + WKB_POLYGON):
        raise pickle.UnpicklingError("a geometry that is no polygon")
    try:
        (count,) = struct.unpack_from(f"{order}I", data, position)
        position += 4
        rings = []
        if count > len(data):
            raise ValueError("too many rings")
        for _ in range(count):
            (points,) = struct.unpack_from(f"{order}I", data, position)
            position += 4
            numbers = np.frombuffer(data, f"{order}f8", points * width, position)
            rings.append(numbers.reshape(points, width)[:, :2].astype(np.float64))
            position += 8 * points * width
    except (struct.error, ValueError):
        raise pickle.UnpicklingError("a geometry that is cut off") from None
    if position != len(data) or not rings:
        raise pickle.UnpicklingError("a geometry that does not match its length")
    return Surface(tuple(rings))


def _surfaces(values: object) -> tuple[Surface, ...]:
    items = getattr(values, "listed", ()) if isinstance(values, np.ndarray) else values
    if not isinstance(items, list | tuple) or not all(isinstance(item, Surface) for item in items):
        raise pickle.UnpicklingError("a map without polygons")
    return tuple(items)


def _tokens(values: object) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise pickle.UnpicklingError("tokens that are not text")
    return tuple(values)


def _occupancy_map(tokens: object, geometries: object, node_capacity: object = 10) -> Occupancy:
    """``PDMOccupancyMap``."""
    return Occupancy(_tokens(tokens), _surfaces(geometries))


def _drivable_map(tokens: object, map_types: object, geometries: object, node_capacity: object = 10) -> Occupancy:
    """``PDMDrivableMap``."""
    if not isinstance(map_types, list) or not all(type(layer) is int for layer in map_types):
        raise pickle.UnpicklingError("a map without layers")
    return Occupancy(_tokens(tokens), _surfaces(geometries), tuple(map_types))


def _list_of(items: object) -> list[Any]:
    """``PDMPath`` and ``InterpolatedTrajectory``: they pickle the list they are made of."""
    if not isinstance(items, list):
        raise pickle.UnpicklingError("a path that is no list")
    return items


_NUPLAN: Final = "nuplan.common.actor_state"
_PDM: Final = "navsim.planning.simulation.planner.pdm_planner"
_ADMITTED: Final[dict[tuple[str, str], Any]] = {
    **{
        (module, name): Record
        for module, names in {
            "navsim.planning.metric_caching.metric_cache": ("MetricCache", "MapParameters"),
            "navsim.common.dataclasses": ("Trajectory",),
            f"{_PDM}.observation.pdm_observation": ("PDMObservation",),
            "nuplan.planning.simulation.trajectory.trajectory_sampling": ("TrajectorySampling",),
            f"{_NUPLAN}.ego_state": ("EgoState",),
            f"{_NUPLAN}.car_footprint": ("CarFootprint",),
            f"{_NUPLAN}.dynamic_car_state": ("DynamicCarState",),
            f"{_NUPLAN}.vehicle_parameters": ("VehicleParameters",),
        }.items()
        for name in names
    },
    (f"{_PDM}.observation.pdm_occupancy_map", "PDMOccupancyMap"): _occupancy_map,
    (f"{_PDM}.observation.pdm_occupancy_map", "PDMDrivableMap"): _drivable_map,
    (f"{_PDM}.utils.pdm_path", "PDMPath"): _list_of,
    ("nuplan.planning.simulation.trajectory.interpolated_trajectory", "InterpolatedTrajectory"): _list_of,
    ("nuplan.common.maps.maps_datatypes", "SemanticMapLayer"): number_of,
    ("navsim.common.enums", "SceneFrameType"): number_of,
    ("shapely.io", "from_wkb"): surface_from_wkb,
}


class MetricCacheUnpickler(SceneUnpickler):
    """Admits what a metric cache is made of, as records and tables of this module."""

    listed_type = Surface

    def __init__(self, file: Any, size: int) -> None:
        super().__init__(file, size)
        self.admit(_ADMITTED)


def find_metric_caches(folder: Path) -> dict[str, Path]:
    """Metric caches below a folder, by scene token (the name of the folder each lies in), sorted.

    Raises OpenPairError where there are none, and where two have one token.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(FILE_NAME), key=lambda path: path.parent.name):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        token = path.parent.name
        if token in found:
            raise OpenPairError(
                f"scene {token} has two metric caches", where=path, fix=f"Remove one; see {found[token]}"
            )
        found[token] = path
    if not found:
        raise OpenPairError(f"there are no metric caches ({FILE_NAME})", where=folder)
    return found


def read_metric_cache(path: Path) -> ScoringScene:
    """The scoring scene of a metric cache; its token is the name of the folder it lies in.

    Raises OpenPairError for a file that cannot be read, is no metric cache, or names anything else than one is made of.
    """
    token = path.parent.name if path.name == FILE_NAME else path.stem
    content = loads_plain(_unpacked(path), path, MetricCacheUnpickler)
    if not isinstance(content, Record) or "observation" not in content.__dict__:
        raise OpenPairError("the file is not a metric cache", where=path)
    check_extent(content, path, MAX_VALUES)
    try:
        return _scene(content.__dict__, token)
    except OpenPairError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        cause = f"it has no {error}" if isinstance(error, KeyError) else cause_of(error)
        raise OpenPairError(
            f"the metric cache is not laid out as those of v1.1 and v2.2 ({cause})",
            where=path,
            fix="Prepare the scene from its log instead ('openpair cache')",
        ) from error


def _unpacked(path: Path) -> bytes:
    try:
        packed = path.read_bytes()
        unpacker = lzma.LZMADecompressor()
        data = unpacker.decompress(packed, max_length=MAX_BYTES)
    except OSError as error:
        raise OpenPairError(f"the file cannot be read ({error.strerror})", where=path) from None
    except (lzma.LZMAError, EOFError):
        raise OpenPairError(
            "the file is not LZMA-compressed, as metric caches are", where=path, fix="Check that it is a metric cache"
        ) from None
    if not unpacker.eof:
        cause = f"unpacks to more than {MAX_BYTES >> 20} MB" if len(data) >= MAX_BYTES else "is cut off"
        raise OpenPairError(f"the metric cache {cause}", where=path, fix="Check where it comes from, or copy it again")
    return data


def _scene(cache: dict[str, Any], token: str) -> ScoringScene:
    """The parts of a cache put where the scorer wants them."""
    is_v2 = "past_human_trajectory" in cache
    ego = _ego_vector(cache["ego_state"])
    observation = cache["observation"].__dict__
    moments = [moment for moment in observation["_occupancy_maps"] if isinstance(moment, Occupancy)]
    tracks = _tracks(moments, observation["_unique_objects"])
    trajectory = cache["trajectory"]
    common: dict[str, Any] = {
        "token": token,
        "time_us": _time_us(cache["ego_state"]),
        "ego_state": ego,
        "drivable_map": _areas(cache["drivable_area_map"], set(_tokens(cache["route_lane_ids"]))),
        "centerline": np.array([_pose(state) for state in cache["centerline"]]),
        "reference_time_us": np.array([_time_us(state) for state in trajectory], np.int64),
        "reference_states": np.array([_ego_vector(state) for state in trajectory]),
    }
    if not is_v2:
        return ScoringScene(protocol=Protocol.V1_1, tracks=tracks, **common)
    past = cache["past_human_trajectory"]
    human = cache["human_trajectory"]
    return ScoringScene(
        protocol=Protocol.V2_2,
        tracks=without_overlapping(tracks, ego),
        red_lights=_red_lights(moments),
        human_trajectory=None if human is None else np.array(human.__dict__["poses"], np.float64),
        past_time_us=np.array([_time_us(state) for state in past], np.int64),
        past_states=np.array([_ego_vector(state) for state in past]),
        is_synthetic=cache["scene_type"] != 0,
        **common,
    )


def _pose(state: Record) -> list[float]:
    """x, y, heading of a ``StateSE2``."""
    return [float(state.__dict__[name]) for name in ("x", "y", "heading")]


def _vector(vector: Record) -> tuple[float, float]:
    """x, y of a ``StateVector2D``."""
    return float(vector.__dict__["_x"]), float(vector.__dict__["_y"])


def _time_us(state: Record) -> int:
    return int(state.__dict__["_time_point"].__dict__["time_us"])


def _ego_vector(state: Record) -> NDArray[np.float64]:
    """(11,) of an ``EgoState``, which keeps the pose of its centre."""
    ego, moving = state.__dict__, state.__dict__["_dynamic_car_state"].__dict__
    x, y, heading = _pose(ego["_car_footprint"].__dict__["_center"])
    vector = np.zeros(len(StateIndex))
    vector[StateIndex.X] = x - vehicle.REAR_AXLE_TO_CENTER_M * np.cos(heading)
    vector[StateIndex.Y] = y - vehicle.REAR_AXLE_TO_CENTER_M * np.sin(heading)
    vector[StateIndex.HEADING] = heading
    vector[StateIndex.VELOCITY_X], vector[StateIndex.VELOCITY_Y] = _vector(moving["_rear_axle_velocity_2d"])
    vector[StateIndex.ACCELERATION_X], vector[StateIndex.ACCELERATION_Y] = _vector(moving["_rear_axle_acceleration_2d"])
    vector[StateIndex.STEERING_ANGLE] = float(ego["_tire_steering_angle"])
    vector[StateIndex.STEERING_RATE] = float(moving["_tire_steering_rate"])
    vector[StateIndex.ANGULAR_VELOCITY] = float(moving["_angular_velocity"])
    vector[StateIndex.ANGULAR_ACCELERATION] = float(moving["_angular_acceleration"])
    return vector


def _polygons(surfaces: Sequence[Surface]) -> PolygonSet:
    rings = [ring for surface in surfaces for ring in surface.rings]
    return PolygonSet(
        xy=np.concatenate(rings) if rings else np.zeros((0, 2)),
        ring_offset=np.cumsum([0, *map(len, rings)], dtype=np.int64),
        polygon_offset=np.cumsum([0, *(len(surface.rings) for surface in surfaces)], dtype=np.int64),
    )


def _areas(area: Occupancy, route: set[str]) -> DrivableMap:
    layer = np.array(area.layers, np.int64)
    is_lane = np.isin(layer, (MapLayer.LANE, MapLayer.LANE_CONNECTOR))
    on_route = np.array([token in route for token in area.tokens], bool)
    return DrivableMap(_polygons(area.surfaces), layer, area.tokens, on_route & is_lane)


def _tracks(moments: Sequence[Occupancy], first_seen: dict[str, Record]) -> Tracks:
    """Agents of all moments: place and heading from each moment's polygon, the rest as first seen."""
    tokens = tuple(first_seen)
    number = {token: i for i, token in enumerate(tokens)}
    seen = [item.__dict__ for item in first_seen.values()]
    sizes = [item["_box"].__dict__ for item in seen]
    size = np.array([[box["_length"], box["_width"], box["_height"]] for box in sizes], np.float64).reshape(-1, 3)
    speeds = [_vector(item["_velocity"]) if "_velocity" in item else (0.0, 0.0) for item in seen]
    rows, corners, counts = [], [], []
    for moment in moments:
        here = [(t, s) for t, s in zip(moment.tokens, moment.surfaces, strict=True) if not t.startswith(RED_LIGHT)]
        rows += [number[token] for token, _ in here]
        corners += [surface.rings[0][:4] for _, surface in here]
        counts.append(len(here))
    track = np.array(rows, np.int64)
    corner = np.array(corners, np.float64).reshape(-1, 4, 2)  # front left, rear left, rear right, front right
    forward = corner[:, 0] - corner[:, 1]
    heading = np.arctan2(forward[:, 1], forward[:, 0])
    return Tracks(
        tokens=tokens,
        category=np.array([AgentCategory(item["_tracked_object_type"]) for item in seen], np.int64),
        frame_offset=np.cumsum([0, *counts], dtype=np.int64),
        track=track,
        box=np.column_stack([corner.mean(axis=1), heading, size[track]]),
        velocity=np.array(speeds, np.float64).reshape(-1, 2)[track],
    )


def _red_lights(moments: Sequence[Occupancy]) -> RedLights:
    """Red connectors; v2.2 keeps them among each moment's tracks."""
    surfaces: dict[str, Surface] = {}
    red = []
    for moment in moments:
        here = {t: s for t, s in zip(moment.tokens, moment.surfaces, strict=True) if t.startswith(RED_LIGHT)}
        surfaces.update(here)
        red.append(here)
    active = np.array([[token in here for token in surfaces] for here in red], bool).reshape(len(red), len(surfaces))
    names = tuple(token.removeprefix(f"{RED_LIGHT}_") for token in surfaces)
    return RedLights(names, _polygons(list(surfaces.values())), active)
