"""Writes metric caches as the original lays them out: stand-in classes under its module names, pickled and packed.

Names, attributes and what each class hands to pickle follow the public sources of NAVSIM v1.1 and v2.2 and nuPlan 1.2.
"""

from __future__ import annotations

import lzma
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, IntEnum
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

STATE = "nuplan.common.actor_state"
PDM = "navsim.planning.simulation.planner.pdm_planner"
REAR_AXLE_TO_CENTER_M = 1.461


class Plain:
    """An object whose attributes are pickled as they are."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Reduced:
    """An object that pickles as a call of its class."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.arguments


PLAIN = {
    "navsim.planning.metric_caching.metric_cache": ("MetricCache", "MapParameters"),
    "navsim.common.dataclasses": ("Trajectory",),
    f"{PDM}.observation.pdm_observation": ("PDMObservation",),
    "nuplan.planning.simulation.trajectory.trajectory_sampling": ("TrajectorySampling",),
    "nuplan.planning.simulation.observation.observation_type": ("DetectionsTracks",),
    f"{STATE}.ego_state": ("EgoState",),
    f"{STATE}.car_footprint": ("CarFootprint",),
    f"{STATE}.dynamic_car_state": ("DynamicCarState",),
    f"{STATE}.vehicle_parameters": ("VehicleParameters",),
    f"{STATE}.tracked_objects": ("TrackedObjects",),
    f"{STATE}.agent": ("Agent",),
    f"{STATE}.static_object": ("StaticObject",),
    f"{STATE}.scene_object": ("SceneObjectMetadata",),
    f"{STATE}.oriented_box": ("OrientedBox",),
    f"{STATE}.state_representation": ("TimePoint", "StateSE2", "StateVector2D"),
}
REDUCED = {
    f"{PDM}.observation.pdm_occupancy_map": ("PDMOccupancyMap", "PDMDrivableMap"),
    f"{PDM}.utils.pdm_path": ("PDMPath",),
    "nuplan.planning.simulation.trajectory.interpolated_trajectory": ("InterpolatedTrajectory",),
}
LAYERS = {"LANE": 0, "INTERSECTION": 1, "DRIVABLE_AREA": 5, "LANE_CONNECTOR": 11, "CARPARK_AREA": 15, "ROADBLOCK": 17}
TYPES = ("VEHICLE", "PEDESTRIAN", "BICYCLE", "TRAFFIC_CONE", "BARRIER", "CZONE_SIGN", "GENERIC_OBJECT", "EGO")


def stand_ins() -> dict[str, ModuleType]:
    """Modules under the original's names."""
    modules: dict[str, ModuleType] = {}

    def put(module: str, name: str, made: type) -> None:
        made.__module__, made.__qualname__ = module, name
        setattr(modules.setdefault(module, ModuleType(module)), name, made)

    for table, base in ((PLAIN, Plain), (REDUCED, Reduced)):
        for module, names in table.items():
            for name in names:
                put(module, name, type(name, (base,), {}))
    put("nuplan.common.maps.maps_datatypes", "SemanticMapLayer", as_python_3_9(IntEnum("SemanticMapLayer", LAYERS)))
    types = as_python_3_9(Enum("TrackedObjectType", {name: i for i, name in enumerate(TYPES)}))
    put(f"{STATE}.tracked_objects_types", "TrackedObjectType", types)
    put("pathlib", "PosixPath", type("PosixPath", (Reduced,), {}))
    frame_types = as_python_3_9(IntEnum("SceneFrameType", {"ORIGINAL": 0, "SYNTHETIC": 1}))
    put("navsim.common.enums", "SceneFrameType", frame_types)
    for name in list(modules):
        while "." in name:
            name = name.rpartition(".")[0]  # noqa: PLW2901
            modules.setdefault(name, ModuleType(name))
    return modules


def as_python_3_9(kind: Any) -> Any:
    """An enumeration whose members are pickled by value, as by the original's Python; the first 3.11 name them."""
    kind.__reduce_ex__ = lambda member, protocol: (type(member), (member.value,))
    return kind


@contextmanager
def installed(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """The modules while pickling."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class CacheWriter:
    """Builds the objects of one cache from a golden case."""

    def __init__(self, case: Mapping[str, NDArray]) -> None:
        self.case = case
        self.modules = stand_ins()
        self.classes = {name: kind for module in self.modules.values() for name, kind in vars(module).items()}
        self.is_v2 = str(case["in_version"]) == "v2"

    def write(self, path: Path) -> Path:
        """Write the cache and return its path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        cache = self.cache(path)
        with installed(self.modules):
            data = pickle.dumps(cache, protocol=5)
        path.write_bytes(lzma.compress(data, preset=0))
        return path

    def make(self, name: str, *arguments: Any, **attributes: Any) -> Any:
        return self.classes[name](*arguments, **attributes)

    def pose(self, x: float, y: float, heading: float) -> Any:
        return self.make("StateSE2", x=x, y=y, heading=heading)

    def vector(self, x: float, y: float) -> Any:
        return self.make("StateVector2D", _x=np.float64(x), _y=np.float64(y), _array=np.array([x, y]))

    def ego(self, state: NDArray[np.float64], time_us: int) -> Any:
        x, y, heading, vx, vy, ax, ay, steering, rate, omega, alpha = map(float, state)
        center = self.pose(
            x + REAR_AXLE_TO_CENTER_M * np.cos(heading), y + REAR_AXLE_TO_CENTER_M * np.sin(heading), heading
        )
        parameters = self.make("VehicleParameters", width=2.297, length=5.176, vehicle_name="pacifica")
        footprint = {"_center": center, "_length": 5.176, "_width": 2.297, "_height": 1.777}
        return self.make(
            "EgoState",
            _car_footprint=self.make("CarFootprint", **footprint, _vehicle_parameters=parameters),
            _tire_steering_angle=steering,
            _is_in_auto_mode=True,
            _time_point=self.make("TimePoint", time_us=int(time_us)),
            _dynamic_car_state=self.make(
                "DynamicCarState",
                _rear_axle_to_center_dist=REAR_AXLE_TO_CENTER_M,
                _angular_velocity=omega,
                _angular_acceleration=alpha,
                _rear_axle_velocity_2d=self.vector(vx, vy),
                _rear_axle_acceleration_2d=self.vector(ax, ay),
                _tire_steering_rate=rate,
            ),
        )

    def trajectory(self, states: NDArray[np.float64], times: NDArray[np.int64]) -> Any:
        return self.make(
            "InterpolatedTrajectory", [self.ego(state, time) for state, time in zip(states, times, strict=True)]
        )

    def track(self, row: int) -> Any:
        """An agent as it stands in one row of the case."""
        case = self.case
        x, y, heading, length, width, height = map(float, case["in_trk_box"][row])
        token = str(case["in_trk_token"][case["in_trk_token_idx"][row]])
        category = int(case["in_trk_type"][row])
        attributes = {
            "_tracked_object_type": self.classes["TrackedObjectType"](category),
            "_box": self.make(
                "OrientedBox",
                _center=self.pose(x, y, heading),
                _length=length,
                _width=width,
                _height=height,
                geometry=self.box_polygon(row),
            ),
            "_metadata": self.make(
                "SceneObjectMetadata", timestamp_us=0, token=token, track_id=None, track_token=token
            ),
            "instance_token": None,
        }
        if category < 3:
            attributes["_velocity"] = self.vector(*map(float, case["in_trk_vel"][row]))
        return self.make("Agent" if category < 3 else "StaticObject", **attributes)

    def box_polygon(self, row: int) -> Polygon:
        x, y, heading, length, width, _ = map(float, self.case["in_trk_box"][row])
        c, s = np.cos(heading), np.sin(heading)
        signs = ((1, 1), (-1, 1), (-1, -1), (1, -1))
        return Polygon(
            [(x + a * length / 2 * c - b * width / 2 * s, y + a * length / 2 * s + b * width / 2 * c) for a, b in signs]
        )

    def polygons(self, name: str) -> list[Polygon]:
        xy, offset = self.case[f"in_{name}_xy"], self.case[f"in_{name}_offset"]
        return [Polygon(xy[a:b]) for a, b in pairwise(offset)]

    def observation(self) -> Any:
        case = self.case
        offsets = case["in_trk_frame_offset"]
        unique: dict[str, Any] = {}
        maps, detections, lights = [], [], []
        light_tokens = [str(token) for token in case["in_tl_token"]] if self.is_v2 else []
        light_polygons = self.polygons("tl_poly") if self.is_v2 else []
        for frame in range(len(offsets) - 1):
            rows = range(offsets[frame], offsets[frame + 1])
            tracks = [self.track(row) for row in rows]
            for track in tracks:
                unique.setdefault(track._metadata.track_token, track)
            tokens = [track._metadata.track_token for track in tracks]
            geometries: Any = [track._box.geometry for track in tracks]
            if self.is_v2:
                red = [i for i in range(len(light_tokens)) if case["in_tl_active"][frame, i]]
                here = np.array([light_polygons[i] for i in red], dtype=np.object_)
                tokens += [light_tokens[i] for i in red]
                geometries = np.concatenate([np.array(geometries, dtype=np.object_), here], axis=0)
                lights.append(([light_tokens[i] for i in red], here))
            maps.append(self.make("PDMOccupancyMap", tokens, geometries, 10))
            detections.append(
                self.make("DetectionsTracks", tracked_objects=self.make("TrackedObjects", tracked_objects=tracks))
            )
        attributes: dict[str, Any] = {
            "_sample_interval": 0.1,
            "_observation_samples": len(maps) - 1,
            "_map_radius": 100,
            "_observation_sample_res": 1,
            "_global_to_local_idcs": list(range(len(maps))),
            "_collided_track_ids": [],
            "_red_light_token": "red_light",
            "_occupancy_maps": maps,
            "_unique_objects": unique,
            "_initialized": True,
        }
        if self.is_v2:
            attributes |= {"_occupancy_maps_tl": lights, "_detections_tracks": detections}
        return self.make("PDMObservation", **attributes)

    def cache(self, path: Path) -> Any:
        case, layer = self.case, self.classes["SemanticMapLayer"]
        common = {
            "file_path": self.make("PosixPath", *path.parts),
            "trajectory": self.trajectory(case["in_pdm_states"], case["in_pdm_time_us"]),
            "ego_state": self.ego(case["in_ego_state"], int(case["in_time_us"])),
            "observation": self.observation(),
            "centerline": self.make("PDMPath", [self.pose(*map(float, pose)) for pose in case["in_centerline"]]),
            "route_lane_ids": [str(token) for token in case["in_route_lane_ids"]],
            "drivable_area_map": self.make(
                "PDMDrivableMap",
                [str(token) for token in case["in_map_token"]],
                [layer(int(kind)) for kind in case["in_map_type"]],
                self.polygons("map_poly"),
                10,
            ),
        }
        if not self.is_v2:
            return self.make("MetricCache", **common)
        sampling = self.make("TrajectorySampling", num_poses=8, time_horizon=4.0, interval_length=0.5)
        kind = self.classes["SceneFrameType"]
        return self.make(
            "MetricCache",
            **common,
            log_name="log",
            timepoint=self.make("TimePoint", time_us=int(case["in_time_us"])),
            scene_type=kind.ORIGINAL if str(case["in_scene_type"]) == "ORIGINAL" else kind.SYNTHETIC,
            human_trajectory=self.make("Trajectory", poses=case["in_human_traj"], trajectory_sampling=sampling),
            past_human_trajectory=self.trajectory(case["in_past_states"], case["in_past_time_us"]),
            past_detections_tracks=[],
            current_tracked_objects=[],
            future_tracked_objects=[],
            map_parameters=self.make("MapParameters", map_root="maps", map_version="v1", map_name="town"),
        )
