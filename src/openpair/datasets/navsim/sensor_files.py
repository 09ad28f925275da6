"""Recorded camera images and point clouds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.front_view import FRONT_CAMERAS
from openpair.datatypes.scene import Frame, SensorFrame
from openpair.errors import OpenPairError

_PCD_TYPES: Final = {("F", 4): "<f4", ("F", 8): "<f8", ("U", 1): "u1", ("U", 2): "<u2", ("U", 4): "<u4",
                     ("I", 1): "i1", ("I", 2): "<i2", ("I", 4): "<i4"}  # fmt: skip
_MAX_HEADER_BYTES: Final = 4096


def read_sensors(frame: Frame, *, cameras: bool = True, lidar: bool = True) -> SensorFrame:
    """Images of the front cameras and points of one frame, as recorded.

    Args:
        frame: a frame whose sensor paths are complete.
        cameras, lidar: what to read; files of what is left out need not be there.

    Raises:
        OpenPairError: a file is missing, or is not what its name says.
    """
    return SensorFrame(_images(frame) if cameras else None, _points(frame) if lidar else None)


def _images(frame: Frame) -> dict[str, NDArray[np.uint8]]:
    images = {}
    for name in FRONT_CAMERAS:
        camera = frame.cameras.get(name)
        if camera is None or camera.image_path is None:
            raise OpenPairError(f"the log names no image of {name}", where=f"frame {frame.token}")
        images[name] = read_image(Path(camera.image_path))
    return images


def _points(frame: Frame) -> NDArray[np.float32]:
    if frame.lidar_path is None:
        raise OpenPairError("the log names no point cloud", where=f"frame {frame.token}")
    return read_pcd(Path(frame.lidar_path))[:, :3]


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises OpenPairError for a missing or damaged file."""
    _require(path, "camera image")
    pixels = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    if pixels is None:
        raise OpenPairError("the camera image cannot be decoded", where=path, fix="Copy or download it again")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_pcd(path: Path) -> NDArray[np.float32]:
    """Points of a binary PCD file of version 0.7.

    Returns:
        (P, 4) float32 x, y, z [m], intensity (0 where the file has none); the file's own frame.

    Raises:
        OpenPairError: the file is missing, cut off, or of another kind.
    """
    _require(path, "point cloud")
    data = path.read_bytes()
    end = data.find(b"\n", data.find(b"\nDATA ", 0, _MAX_HEADER_BYTES) + 1)
    header = data[: end + 1].decode("ascii", errors="replace")
    fields = {line.split()[0]: line.split()[1:] for line in header.splitlines() if line.split() and line[0] != "#"}
    try:
        if fields["DATA"] != ["binary"]:
            raise ValueError(f"its points are stored as {' '.join(fields['DATA'])}")
        if fields.get("COUNT", ["1"]) != ["1"] * len(fields.get("COUNT", ["1"])):
            raise ValueError("it has fields with several values")
        kinds = zip(fields["FIELDS"], fields["TYPE"], fields["SIZE"], strict=True)
        row = np.dtype([(name, _PCD_TYPES[kind, int(size)]) for name, kind, size in kinds])
        count = int(fields["POINTS"][0])
        if not {"x", "y", "z"} <= set(row.names or ()):
            raise ValueError("it has no x, y, z")
    except (KeyError, ValueError, IndexError) as error:
        raise OpenPairError(
            f"the point cloud cannot be read ({error})", where=path, fix="NAVSIM stores binary PCD 0.7"
        ) from None
    if len(data) - (end + 1) < count * row.itemsize or count < 0:
        raise OpenPairError("the point cloud is cut off", where=path, fix="Copy or download it again")
    table = np.frombuffer(data, row, count, offset=end + 1)
    names = ("x", "y", "z", "intensity") if "intensity" in (row.names or ()) else ("x", "y", "z")
    points = np.zeros((count, 4), dtype=np.float32)
    for column, name in enumerate(names):
        points[:, column] = table[name]
    return points


def _require(path: Path, what: str) -> None:
    if not path.is_file():
        raise OpenPairError(
            f"there is no such {what}",
            where=path,
            fix="Agents with sensors need sensor_blobs/<split>; agents without sensors run without it",
        )
