"""What ``openpair doctor`` looks at in NAVSIM's data: variables, folders, a sample of files, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openpair.cli.doctor_check import Check
from openpair.datasets.environment import NavsimFolders, config_file, navsim_folders, settings
from openpair.errors import OpenPairError
from openpair.folders import visible

if TYPE_CHECKING:
    from openpair.datasets.navsim.logs import RawLog
    from openpair.datatypes.scene import Frame

VARIABLES = {
    "OPENSCENE_DATA_ROOT": "navsim_logs/ and sensor_blobs/",
    "NUPLAN_MAPS_ROOT": "the maps",
    "NUPLAN_MAP_VERSION": "",
    "NAVSIM_EXP_ROOT": "NAVSIM's own results",
    "NAVSIM_DEVKIT_ROOT": "NAVSIM's repository, whose split files --tokens and --mapping take",
}
"""Variables that NAVSIM's users set, and what the folder holds."""

FAULTS_SHOWN = 5
GET_NAVSIM = (
    "NAVSIM's download scripts (download/ in its repository) fetch logs, maps and sensors; or use the embedded world, "
    "which needs no data: openpair demo"
)


def data_checks(
    root: Path | None, split: str | None, samples: int | None, environment: Mapping[str, str]
) -> list[Check]:
    """Findings about NAVSIM's data.

    Args:
        root: the data folder; None = where the environment says.
        split: this split alone; None = all.
        samples: files of each kind to open; None = every file.
        environment: the process's variables; those that a file of settings adds are looked at as well.
    """
    try:
        file, environment = config_file(environment), settings(environment)
    except OpenPairError as error:
        return [_missing("settings", error, "Correct the file")]
    checks = [] if file is None else [Check("settings", "ok", str(file))]
    checks += [_variable(name, holds, environment) for name, holds in VARIABLES.items() if environment.get(name)]
    if root is None and not environment.get("OPENSCENE_DATA_ROOT"):
        return [
            *checks,
            Check("NAVSIM data", "note", "no folder is given and OPENSCENE_DATA_ROOT is not set", GET_NAVSIM),
        ]
    try:
        folders = navsim_folders(root, environment)
    except OpenPairError as error:
        return [*checks, _missing("NAVSIM data", error, GET_NAVSIM)]
    checks += _logs(folders, split, samples)
    checks += _maps(folders)
    checks += _second_stage(folders, samples)
    return checks


def _variable(name: str, holds: str, environment: Mapping[str, str]) -> Check:
    value = environment[name]
    if not holds or Path(value).is_dir():
        return Check(name, "ok", value)
    return Check(name, "missing", f"{value} is no folder", f"It should hold {holds}; correct it or unset it")


def _missing(subject: str, error: OpenPairError, fix: str = "") -> Check:
    place = f"{error.where}: " if error.where else ""
    return Check(subject, "missing", f"{place}{error.what}", error.fix or fix)


def _logs(folders: NavsimFolders, split: str | None, samples: int | None) -> list[Check]:
    splits = [path for path in visible(folders.logs.iterdir()) if path.is_dir() and split in (None, path.name)]
    if not splits:
        wanted = f"split '{split}'" if split else "split"
        return [Check("logs", "missing", f"{folders.logs} holds no {wanted}", GET_NAVSIM)]
    checks = []
    for path in splits:
        logs = visible(path.glob("*.pkl"))
        if not logs:
            checks.append(Check(f"logs, {path.name}", "missing", f"{path} holds no logs (*.pkl)", GET_NAVSIM))
            continue
        checks += _sampled_logs(path.name, _spread(logs, samples), len(logs), folders.sensor_blobs / path.name)
    return checks


def _sampled_logs(split: str, sample: Sequence[Path], count: int, sensors: Path) -> list[Check]:
    """Opens some logs and the sensor files of one frame of each."""
    from openpair.datasets.navsim.sensor_files import read_sensors

    frames: list[Frame] = []
    faults: list[OpenPairError] = []
    unannotated = 0
    seen_at: dict[str, str] = {}
    for path in sample:
        frame, found, lacking = _examined(path, sensors, seen_at)
        faults += found
        unannotated += lacking
        frames += [] if frame is None else [frame]
    if faults:
        checks = [
            _missing(f"logs, {split}", error, "Copy or download the log again") for error in faults[:FAULTS_SHOWN]
        ]
        if len(faults) > FAULTS_SHOWN:
            checks.append(Check(f"logs, {split}", "missing", f"{len(faults) - FAULTS_SHOWN} more faults like these"))
        return checks
    checks = [Check(f"logs, {split}", "ok", f"{count} logs; {len(sample)} opened, all readable")]
    if unannotated:
        finding = (
            f"{unannotated} frames have no annotations: these scenes can be planned ('openpair submit'), not scored"
        )
        checks.append(Check(f"annotations, {split}", "note", finding))
    if not sensors.is_dir():
        finding = f"there is no {sensors}: agents with cameras or LiDAR cannot drive these scenes"
        fix = "Download the split's sensor files; human, constant_velocity, pdm_closed and plans (.npz) do without"
        return [*checks, Check(f"sensors, {split}", "note", finding, fix)]
    clouds = [frame for frame in frames if frame.lidar_path is not None and Path(frame.lidar_path).is_file()]
    for frame in frames:
        try:
            seen = read_sensors(frame, lidar=any(frame is one for one in clouds))
        except OpenPairError as error:
            return [*checks, _missing(f"sensors, {split}", error)]
    assert seen.images is not None
    size = "x".join(map(str, next(iter(seen.images.values())).shape[1::-1]))
    finding = f"images of {size} px and point clouds of {len(clouds)} frames are readable"
    if not clouds:
        finding = f"images of {size} px are readable, but there are no point clouds: networks with LiDAR cannot drive"
        return [*checks, Check(f"sensors, {split}", "note", finding, "Networks that read cameras alone do without")]
    return [*checks, Check(f"sensors, {split}", "ok", finding)]


def _examined(path: Path, sensors: Path, seen_at: dict[str, str]) -> tuple[Frame | None, list[OpenPairError], int]:
    """One log, every frame of it: a frame to look for sensors of, what is wrong, and frames without annotations.

    Args:
        path: the log.
        sensors: folder that its sensor paths are relative to.
        seen_at: token -> place of all frames so far; those of this log are added.
    """
    from openpair.datasets.navsim.log_index import read_entry
    from openpair.datasets.navsim.logs import check_spacing, read_log
    from openpair.datatypes.agents import UnknownAgents

    try:
        read_entry(path)
        log = read_log(path)
        chosen = _frame_with_sensors(log, sensors)
    except OpenPairError as error:
        return None, [error], 0
    faults, lacking, before = [], 0, None
    for index in range(len(log)):
        place = f"frame {index} of {path}"
        if log.token(index) in seen_at:
            faults.append(
                OpenPairError(
                    f"token {log.token(index)} stands there and on {seen_at[log.token(index)]}",
                    where=place,
                    fix="Remove the log that is there twice",
                )
            )
        seen_at[log.token(index)] = place
        try:
            frame = log.frame(index)
        except OpenPairError as error:
            faults.append(error)
            before = None
            continue
        try:
            check_spacing((frame,) if before is None else (before, frame), path)
        except OpenPairError as error:
            faults.append(error)
        before = frame
        lacking += isinstance(frame.agents, UnknownAgents)
    return chosen, faults, lacking


def _frame_with_sensors(log: RawLog, sensors: Path) -> Frame:
    """The first frame of a log whose point cloud is there, or whose front image is, or else its first: downloads hold
    some frames alone."""

    def is_there(relative: object) -> bool:
        return isinstance(relative, str) and bool(relative) and (sensors / relative).is_file()

    for file_of in (_point_cloud, _front_image):
        for index, row in enumerate(log.rows):
            if is_there(file_of(row)):
                return log.frame(index, sensors)
    return log.frame(0, sensors)


def _point_cloud(row: Mapping[str, Any]) -> object:
    return row.get("lidar_path")


def _front_image(row: Mapping[str, Any]) -> object:
    cameras = row.get("cams")
    front = cameras.get("CAM_F0") if isinstance(cameras, dict) else None
    return front.get("data_path") if isinstance(front, dict) else None


def _maps(folders: NavsimFolders) -> list[Check]:
    """Opens every map that is there: coordinate system, layers, lanes."""
    from openpair.datasets.navsim.geopackage import open_geopackage
    from openpair.datasets.navsim.map_layers import LAYERS
    from openpair.datasets.navsim.maps import LOCATIONS, map_path, read_map

    checks = []
    for location in LOCATIONS:
        subject = f"map {location}"
        try:
            path = map_path(folders.maps, location, folders.map_version)
            with open_geopackage(path) as package:
                lacking = [name for name in LAYERS if not package.has_layer(name)]
                system = "unknown coordinate system" if package.epsg is None else f"EPSG:{package.epsg}"
            road_map = read_map(path, location)
        except OpenPairError as error:
            checks.append(
                _missing(subject, error, "Download nuPlan's maps (nuplan-maps-v1.1) and set NUPLAN_MAPS_ROOT")
            )
            continue
        finding = f"{system}, {len(road_map.lanes)} lanes and connectors, {len(road_map.intersections)} intersections"
        if package.epsg is None:
            fix = "Coordinates are taken as metres; check that lanes lie where the logs drive"
            checks.append(Check(subject, "note", finding, fix))
        elif lacking:
            fix = "Scoring does not need them; NAVSIM's own programs may"
            checks.append(Check(subject, "note", f"{finding}; without {', '.join(lacking)}", fix))
        else:
            checks.append(Check(subject, "ok", finding))
    return checks


def _second_stage(folders: NavsimFolders, samples: int | None) -> list[Check]:
    """Opens some second-stage scenes, where there are any."""
    from openpair.datasets.navsim.synthetic import FOLDER, read_synthetic_scene
    from openpair.datatypes.road_map import RoadMap

    folder = folders.logs.parent / FOLDER
    found = visible(folder.glob("*.pkl"))
    if not found:
        return [
            Check("second stage", "note", f"there are no scenes in {folder}", "Only needed for --stages 2 (navhard)")
        ]
    try:
        sample = _spread(found, samples)
        for path in sample:
            read_synthetic_scene(path, lambda location: RoadMap(location, {}, {}))
    except OpenPairError as error:
        return [_missing("second stage", error, "Copy or download the scene again")]
    return [Check("second stage", "ok", f"{len(found)} scenes; {len(sample)} opened, all readable")]


def _spread(items: Sequence[Path], count: int | None) -> list[Path]:
    """The first, the last and some in between; None: all."""
    if count is None:
        return list(items)
    wanted = max(1, min(count, len(items)))
    step = (len(items) - 1) / max(wanted - 1, 1)
    return [items[round(i * step)] for i in range(wanted)]
