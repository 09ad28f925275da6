"""Second-stage scenes of navhard: how the drive might look from where a plan of the first stage has led.

Each is a pickle of four history frames and, since there is no recording to follow, the other road users and traffic
lights of the next four seconds as nuPlan objects. Those objects are read into plain records by their published names;
no nuPlan code is needed and none is run.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from openpair.damage import cause_of
from openpair.datasets.base import SceneKey, data_fingerprint
from openpair.datasets.environment import NavsimFolders, navsim_folders
from openpair.datasets.navsim.logs import CAMERA_KEYS, agents_from_boxes, check_finite, check_spacing, sensor_path
from openpair.datasets.navsim.maps import map_path, read_map
from openpair.datasets.navsim.sensor_files import read_sensors
from openpair.datasets.navsim.skim import SkimUnpickler
from openpair.datasets.navsim.unpickle import (
    PlainUnpickler,
    Record,
    check_extent,
    checked,
    loads_plain,
    read_pickle,
    run_checked,
)
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Camera, Frame, Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.folders import visible
from openpair.lru import LruCache

FOLDER: Final = Path("navhard_two_stage") / "synthetic_scene_pickles"
"""Where NAVSIM puts these scenes below its data folder."""

MAX_VALUES: Final = 3_000_000
"""Values in a scene, each counted as often as it is met; real ones have some 10,000."""

RED_LIGHT: Final = 2
"""nuPlan's number of a red light (0 green, 1 yellow, 3 unknown)."""


def number_of(value: object) -> int:
    """nuPlan's enumerations, as their numbers."""
    if type(value) is not int or abs(value) > 1000:
        raise pickle.UnpicklingError("an enumeration value that is none")
    return value


def _path_of(*parts: object) -> str:
    """File paths, as text."""
    if not all(isinstance(part, str) for part in parts) or sum(len(str(part)) for part in parts) > 4096:
        raise pickle.UnpicklingError("a path that is not text")
    return "/".join(str(part) for part in parts).replace("//", "/")


_STATE: Final = "nuplan.common.actor_state"
_ADMITTED: Final[dict[tuple[str, str], Any]] = {
    **{
        (module, name): Record
        for module, names in {
            "nuplan.common.maps.maps_datatypes": ("TrafficLightStatuses", "TrafficLightStatusData"),
            "nuplan.planning.simulation.observation.observation_type": ("DetectionsTracks",),
            f"{_STATE}.tracked_objects": ("TrackedObjects",),
            f"{_STATE}.agent": ("Agent",),
            f"{_STATE}.static_object": ("StaticObject",),
            f"{_STATE}.scene_object": ("SceneObject", "SceneObjectMetadata"),
            f"{_STATE}.oriented_box": ("OrientedBox", "Dimension"),
            f"{_STATE}.state_representation": ("TimePoint", "TimeDuration", "Point2D", "StateSE2", "StateVector2D"),
        }.items()
        for name in names
    },
    ("nuplan.common.maps.maps_datatypes", "TrafficLightStatusType"): number_of,
    (f"{_STATE}.tracked_objects_types", "TrackedObjectType"): number_of,
    ("pathlib", "PosixPath"): _path_of,
    ("pathlib", "PurePosixPath"): _path_of,
}


class SceneUnpickler(PlainUnpickler):
    """Admits builtins, numpy arrays and the nuPlan objects of a scene, the last as :class:`Record`."""

    def __init__(self, file: Any, size: int) -> None:
        super().__init__(file, size)
        self.admit(_ADMITTED)


class _MetadataUnpickler(SkimUnpickler):
    """Builds neither arrays nor nuPlan objects."""

    def find_class(self, module: str, name: str) -> Any:
        return Record if (module, name) in _ADMITTED else super().find_class(module, name)


class SyntheticScenes:
    """The second-stage scenes of a folder as a :class:`~openpair.datasets.base.Dataset`.

    Args:
        root: NAVSIM's data folder, or its parts, as for :class:`~openpair.datasets.navsim.dataset.NavsimDataset`.
        folder: the pickles; None = :data:`FOLDER` below the root. Their sensor files lie beside it, in sensor_blobs/.
        tokens: only these scenes; None = all.

    Raises:
        OpenPairError: a folder is missing, a token is unknown, or a pickle is damaged.
    """

    name = "navsim"
    ray_cast = False

    def __init__(
        self,
        root: Path | str | NavsimFolders | None = None,
        *,
        folder: Path | None = None,
        tokens: Sequence[str] | None = None,
    ) -> None:
        self.folders = root if isinstance(root, NavsimFolders) else navsim_folders(None if root is None else Path(root))
        self.folder = self.folders.logs.parent / FOLDER if folder is None else folder
        found = {path.stem: path for path in visible(self.folder.glob("*.pkl"))} if self.folder.is_dir() else {}
        if not found:
            raise OpenPairError("there are no second-stage scenes (*.pkl)", where=self.folder)
        wanted = sorted(found) if tokens is None else list(dict.fromkeys(tokens))
        missing = [token for token in wanted if token not in found]
        if missing:
            raise OpenPairError(
                f"{len(missing)} of {len(wanted)} second-stage scenes are missing, such as '{missing[0]}'",
                where=self.folder,
            )
        self._paths = {token: found[token] for token in wanted}
        self._metadata = {token: read_metadata(path) for token, path in self._paths.items()}
        order = sorted(wanted, key=lambda token: (str(self._metadata[token]["log_name"]), token))
        self._keys = tuple(SceneKey(str(self._metadata[token]["log_name"]), token) for token in order)
        self._maps: LruCache[RoadMap] = LruCache(4)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[SceneKey]:
        """All scenes, by log, then by token."""
        return self._keys

    def fingerprint(self) -> str:
        """Names the data: scenes and maps by name, size and time."""
        maps = self.folders.maps.glob("*/*/map.gpkg")
        return data_fingerprint([*self._paths.values(), *maps], (key.token for key in self._keys))

    def original_token(self, token: str) -> str:
        """Token of the first-stage scene that a scene goes on from. Raises OpenPairError for an unknown token."""
        self._path(token)
        return str(self._metadata[token]["corresponding_original_initial_token"])

    def load_scene(self, token: str) -> Scene:
        """The scene of a token: four frames of history and eight that follow.

        The ego of the frames that follow is not recorded; it stays where it is now, and means nothing.

        Raises:
            OpenPairError: an unknown token or a broken file.
        """
        return read_synthetic_scene(self._path(token), self._load_map, self.folder.parent / "sensor_blobs")

    def predecessor(self, token: str) -> None:
        """None: second-stage scenes go on from no recorded frame."""
        return None

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        """Front cameras and LiDAR of the current frame as stored. Raises OpenPairError for a missing file."""
        return read_sensors(scene.current, cameras=cameras, lidar=lidar)

    def _path(self, token: str) -> Path:
        if token not in self._paths:
            raise OpenPairError(f"there is no second-stage scene '{token}'", where=self.folder)
        return self._paths[token]

    def _load_map(self, location: str) -> RoadMap:
        return self._maps.get(
            location, lambda: read_map(map_path(self.folders.maps, location, self.folders.map_version), location)
        )


def read_metadata(path: Path) -> dict[str, Any]:
    """``scene_metadata`` of a scene pickle. Raises OpenPairError if it is damaged or something else."""
    data = read_pickle(path)
    try:
        content = run_checked(checked(data, path), _MetadataUnpickler)
    except Exception:
        content = loads_plain(data, path, SceneUnpickler)  # says what is wrong
    metadata: dict[str, Any] = _checked(content, path)["scene_metadata"]
    return metadata


def read_synthetic_scene(path: Path, load_map: Callable[[str], RoadMap], sensor_root: Path | None = None) -> Scene:
    """A second-stage scene from its pickle.

    Args:
        path: ``<token>.pkl``.
        load_map: gives the map of a location.
        sensor_root: folder that sensor paths are relative to; None keeps them as stored.

    Raises:
        OpenPairError: the file is damaged, hostile or of another format.
    """
    content = _checked(loads_plain(read_pickle(path), path, SceneUnpickler), path)
    check_extent(content, path, MAX_VALUES)
    metadata = content["scene_metadata"]
    try:
        history = [_history_frame(row, sensor_root) for row in content["frames"]]
        future = [
            _future_frame(tracks, lights, history[-1], number + 1)
            for number, (tracks, lights) in enumerate(
                zip(content["extended_detections_tracks"], content["extended_traffic_light_data"], strict=True)
            )
        ]
        if history[-1].token != metadata["initial_token"] or path.stem != metadata["initial_token"]:
            raise ValueError("its tokens do not agree")
        check_spacing((*history, *future), path)
        return Scene(
            dataset="navsim",
            log_name=str(metadata["log_name"]),
            road_map=load_map(str(metadata["map_name"])),
            frames=(*history, *future),
            current_index=len(history) - 1,
            original_token=str(metadata["corresponding_original_initial_token"]),
        )
    except OpenPairError as error:
        raise OpenPairError(error.what, where=error.where or path, fix=error.fix) from None
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise OpenPairError(
            f"the second-stage scene is damaged ({type(error).__name__}: {cause_of(error)})", where=path
        ) from None


def _checked(content: Any, path: Path) -> dict[str, Any]:
    needed = {"scene_metadata", "frames", "extended_detections_tracks", "extended_traffic_light_data"}
    if not isinstance(content, dict) or not needed <= content.keys() or not isinstance(content["scene_metadata"], dict):
        raise OpenPairError("the pickle is not a second-stage scene of NAVSIM v2", where=path)
    missing = {"log_name", "map_name", "initial_token", "corresponding_original_initial_token"} - content[
        "scene_metadata"
    ].keys()
    if missing:
        raise OpenPairError(f"the scene's metadata lack {', '.join(sorted(missing))}", where=path)
    return content


def _history_frame(row: dict[str, Any], sensor_root: Path | None) -> Frame:
    status, boxes = row["ego_status"], row["annotations"]
    if status["in_global_frame"] is not True:
        raise ValueError("its ego poses are not global")
    ego = EgoState(
        timestamp_us=int(row["timestamp"]),
        pose=np.array(status["ego_pose"], dtype=np.float64).reshape(3),
        velocity=np.array(status["ego_velocity"], dtype=np.float64).reshape(2),
        acceleration=np.array(status["ego_acceleration"], dtype=np.float64).reshape(2),
    )
    check_finite("the ego's pose, velocity or acceleration", ego.pose, ego.velocity, ego.acceleration)
    return Frame(
        token=str(row["token"]),
        ego=ego,
        agents=agents_from_boxes(boxes["boxes"], boxes["names"], boxes["velocity_3d"], boxes["track_tokens"], ego.pose),
        traffic_lights=tuple((str(connector), bool(red)) for connector, red in row["traffic_lights"]),
        route_roadblock_ids=tuple(str(block) for block in row["roadblock_ids"]),
        driving_command=np.array(status["driving_command"], dtype=np.int64).reshape(4),
        cameras=_cameras(row.get("camera_dict") or {}, sensor_root),
        lidar_path=sensor_path(row.get("lidar_path"), sensor_root),
    )


def _future_frame(tracks: Record, lights: Record, current: Frame, number: int) -> Frame:
    statuses = lights.__dict__["traffic_lights"]
    objects = tracks.__dict__["tracked_objects"].__dict__["tracked_objects"]
    time_us = (
        int(statuses[0].__dict__["timestamp"].__dict__["time_us"]) if statuses else _time_of(objects, current, number)
    )
    return Frame(
        token=f"{current.token}+{number}",
        ego=replace(current.ego, timestamp_us=time_us),
        agents=_agents(objects),
        traffic_lights=tuple(
            (str(int(status.__dict__["lane_connector_id"])), status.__dict__["status"] == RED_LIGHT)
            for status in statuses
        ),
        route_roadblock_ids=current.route_roadblock_ids,
        driving_command=current.driving_command,
        cameras={},
    )


def _time_of(objects: list[Record], current: Frame, number: int) -> int:
    """Time stamp of a frame without lights: that of its objects, or half a second for each frame."""
    if objects:
        return int(objects[0].__dict__["_metadata"].__dict__["timestamp_us"])
    return current.ego.timestamp_us + number * 500_000


def _agents(objects: list[Record]) -> Agents:
    """Objects of one instant, global frame; the ego is left out."""
    values = [item.__dict__ for item in objects if item.__dict__["_tracked_object_type"] in set(AgentCategory)]
    if not values:
        return Agents.empty()
    boxes = [value["_box"].__dict__ for value in values]
    centers = [box["_center"].__dict__ for box in boxes]
    velocities = [value["_velocity"].__dict__ if "_velocity" in value else {"_x": 0.0, "_y": 0.0} for value in values]
    height = np.array([float(box["_height"]) for box in boxes])
    return Agents(
        track_tokens=tuple(str(value["_metadata"].__dict__["track_token"]) for value in values),
        category=np.array([value["_tracked_object_type"] for value in values], dtype=np.int64),
        box=np.column_stack(
            [
                [float(c["x"]) for c in centers],
                [float(c["y"]) for c in centers],
                [float(c["heading"]) for c in centers],
                [float(b["_length"]) for b in boxes],
                [float(b["_width"]) for b in boxes],
                height,
            ]
        ),
        velocity=np.array([[float(v["_x"]), float(v["_y"])] for v in velocities]),
        center_z=height / 2,
    )


def _cameras(entries: dict[str, Any], sensor_root: Path | None) -> dict[str, Camera]:
    cameras = {}
    for key in CAMERA_KEYS:
        entry = entries.get(key.lower()) or {}
        if not entry:
            continue
        cameras[key.lower()] = Camera(
            name=key.lower(),
            image_path=sensor_path(entry.get("camera_path"), sensor_root),
            rotation=np.array(entry["sensor2lidar_rotation"], dtype=np.float64).reshape(3, 3),
            translation=np.array(entry["sensor2lidar_translation"], dtype=np.float64).reshape(3),
            intrinsics=np.array(entry["intrinsics"], dtype=np.float64).reshape(3, 3),
            distortion=tuple(float(value) for value in np.asarray(entry.get("distortion", np.zeros(5))).ravel()),
        )
    return cameras
