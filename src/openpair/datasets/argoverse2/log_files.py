"""The files of one Argoverse 2 sensor log, as arrays and dictionaries. No conversion yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import feather

from openpair.damage import reading
from openpair.errors import OpenPairError
from openpair.folders import visible

ANNOTATION_FILES = ("annotations.feather", "annotations_with_ego.feather")
"""Boxes of the other road users, and in the second also of the ego, which is left out."""

ROTATION_TOLERANCE = 0.01
_POSE = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")


_TEXT_COLUMNS = ("track_uuid", "category", "sensor_name")


@dataclass(frozen=True)
class EgoPoses:
    """Poses of the ego's rear axle in the city frame, some 200 a second.

    Attributes:
        time_ns: (N,) int64, ascending.
        rotation: (N, 3, 3) ego to city.
        translation: (N, 3) [m].
    """

    time_ns: NDArray[np.int64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


@dataclass(frozen=True)
class Annotations:
    """Boxes of all sweeps in the frame of the ego at that sweep, file order.

    Attributes:
        time_ns: (R,) int64.
        track: (R,) track ids.
        category: (R,) Argoverse names.
        size: (R, 3) length, width, height [m].
        rotation: (R, 3, 3) box to ego.
        translation: (R, 3) box centre [m].
    """

    time_ns: NDArray[np.int64]
    track: NDArray[np.str_]
    category: NDArray[np.str_]
    size: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


@dataclass(frozen=True)
class LogFiles:
    """Content of one log folder.

    Attributes:
        log_id: name of the folder.
        folder: the folder.
        ego: ego poses.
        annotations: boxes.
        sweeps_ns: (S,) int64 time stamps of the annotated LiDAR sweeps (10 Hz), ascending.
        vector_map: lane_segments, drivable_areas and pedestrian_crossings by id.
    """

    log_id: str
    folder: Path
    ego: EgoPoses
    annotations: Annotations
    sweeps_ns: NDArray[np.int64]
    vector_map: dict[str, dict[str, Any]]


def is_log_folder(folder: Path) -> bool:
    """True for a folder with the files that a log must have."""
    return (
        any((folder / name).is_file() for name in ANNOTATION_FILES)
        and (folder / "city_SE3_egovehicle.feather").is_file()
    )


def annotation_file(folder: Path) -> Path:
    """The file of boxes; where there is none, the usual one, for messages."""
    return next((folder / name for name in ANNOTATION_FILES if (folder / name).is_file()), folder / ANNOTATION_FILES[0])


def read_log_files(folder: Path) -> LogFiles:
    """Read one log folder. Raises OpenPairError for missing, damaged or foreign files."""
    ego_table = read_table(folder / "city_SE3_egovehicle.feather", ("timestamp_ns", *_POSE))
    order = np.argsort(ego_table["timestamp_ns"], kind="stable")
    ego = EgoPoses(
        time_ns=ego_table["timestamp_ns"][order],
        rotation=rotation_matrices(ego_table)[order],
        translation=_translations(ego_table)[order],
    )
    boxes = read_table(
        annotation_file(folder),
        ("timestamp_ns", "track_uuid", "category", "length_m", "width_m", "height_m", *_POSE),
    )
    annotations = Annotations(
        time_ns=boxes["timestamp_ns"],
        track=boxes["track_uuid"].astype(np.str_),
        category=boxes["category"].astype(np.str_),
        size=np.column_stack([boxes["length_m"], boxes["width_m"], boxes["height_m"]]),
        rotation=rotation_matrices(boxes),
        translation=_translations(boxes),
    )
    sweeps = np.unique(annotations.time_ns)
    if len(sweeps) == 0:
        raise OpenPairError("the log has no annotated sweep", where=annotation_file(folder))
    if not np.isin(sweeps, ego.time_ns).all():
        raise OpenPairError(
            "some annotated sweeps have no ego pose: the files are of different logs",
            where=folder,
            fix="Download again",
        )
    return LogFiles(folder.name, folder, ego, annotations, sweeps, read_vector_map(folder))


def read_sweep_times(folder: Path) -> NDArray[np.int64]:
    """(S,) int64 [ns] time stamps of the annotated sweeps, ascending; reads one column of one file."""
    return np.unique(read_table(annotation_file(folder), ("timestamp_ns",))["timestamp_ns"])


def read_table(path: Path, columns: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Columns of a feather file. Raises OpenPairError if the file or a column is missing, or the file is damaged."""
    if not path.is_file():
        raise OpenPairError("there is no such file in the Argoverse 2 log", where=path, fix="Download the log again")
    with reading(path, "the feather file", fix="Download the log again"):
        table = feather.read_table(path, columns=None, memory_map=False)
        table.validate(full=True)
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise OpenPairError(f"the table lacks {', '.join(missing)}: not an Argoverse 2 sensor log", where=path)
    with reading(path, "a column of the feather file", fix="Download the log again"):
        arrays = {column: np.asarray(table[column].to_numpy(zero_copy_only=False)) for column in columns}
        for column, array in arrays.items():
            wanted = "OU" if column in _TEXT_COLUMNS else "iu" if column == "timestamp_ns" else "fiu"
            if array.dtype.kind not in wanted:
                raise OpenPairError(f"the column {column} holds {array.dtype}", where=path)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise OpenPairError(f"the column {column} holds NaN or infinity", where=path)
    return arrays


def read_vector_map(folder: Path) -> dict[str, dict[str, Any]]:
    """The log's vector map. Raises OpenPairError if it is missing, damaged or lacks a needed part."""
    found = visible((folder / "map").glob("log_map_archive_*.json"))
    if not found:
        raise OpenPairError("the log has no map/log_map_archive_*.json", where=folder, fix="Download the log again")
    with reading(found[0], "the map", fix="Download the log again"):
        content = json.loads(found[0].read_text(encoding="utf-8-sig"))
    for part in ("lane_segments", "drivable_areas"):
        if not isinstance(content, dict) or not isinstance(content.get(part), dict):
            raise OpenPairError(f"the map has no '{part}': not an Argoverse 2 map", where=found[0])
    return content


def rotation_matrices(table: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """(N, 3, 3) rotations of the columns qw, qx, qy, qz (unit quaternions)."""
    w, x, y, z = (table[name] for name in ("qw", "qx", "qy", "qz"))
    length = np.sqrt(w * w + x * x + y * y + z * z)
    if not (np.abs(length - 1) <= ROTATION_TOLERANCE).all():
        row = int(np.argmax(~(np.abs(length - 1) <= ROTATION_TOLERANCE)))
        raise OpenPairError(f"the quaternion of row {row} is not a rotation (its length is {length[row]:.4g}, not 1)")
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows, dtype=np.float64), -1, 0)


def _translations(table: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    return np.column_stack([table["tx_m"], table["ty_m"], table["tz_m"]]).astype(np.float64)
