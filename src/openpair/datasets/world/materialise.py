"""Writes the world's sensors as files, for tools that cannot ray-cast: 1080p JPEG and PCD, laid out as NAVSIM's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.datasets.world.dataset import WorldDataset
from openpair.datasets.world.unpack import hydra_name, parts_of, write_split
from openpair.datatypes.columns import NUM_HISTORY_FRAMES
from openpair.datatypes.front_view import RECORDED_SIZE
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.pools import OnProgress, silent

WHAT: Final = "frames"
JPEG_QUALITY = 92
_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "u1"), ("ring", "u1"), ("lidar_info", "u1")])


def materialise_world(
    out: Path,
    split: str,
    *,
    root: Path | None = None,
    history: bool = False,
    max_scenes: int | None = None,
    size: tuple[int, int] = RECORDED_SIZE,
    on_progress: OnProgress = silent,
) -> int:
    """Write ``<part>/sensor_blobs/<split>/<log>/{CAM_L0,CAM_F0,CAM_R0,MergedPointCloud}/<token>`` below ``out``.

    Each part gets a train_test_split and a scene filter of the scenes that have sensors, ``<name>_with_sensors``, too.
    Folders and names are those that ``openpair world unpack`` writes into its logs. Frames that are there already are
    kept, so that an interrupted run goes on.

    Args:
        out: the folder that was given to ``openpair world unpack``.
        split: "train", "val" or "test".
        root: folder of the world; None for the one that comes with the package.
        history: also the three frames before each scene's current one.
        max_scenes: so many scenes alone, spread evenly over the split, each with the one half a second before it.
        size: (width, height) [px] of the images; NAVSIM's calibration is for 1920 x 1080.
        on_progress: told after every frame.

    Returns:
        Number of frames written.

    Raises:
        OpenPairError: no world at ``root``, or ``out`` cannot be written to.
    """
    # With a limit, each scene with the one half a second before it: NAVSIM's two-frame comfort compares the two.
    world = WorldDataset(split, root, max_scenes=max_scenes, predecessors=max_scenes is not None)
    jobs = list(_frames(world, history))
    written = 0
    parts = parts_of(WorldDataset(split, root))
    folders = {town: out / part.folder for part in parts for town in part.location}
    try:
        for done, (token, back) in enumerate(jobs, start=1):
            scene = _ending_in(world.load_scene(token), back)
            folder = folders[world.town_of_log(scene.log_name)] / "sensor_blobs" / split / scene.log_name
            if not (folder / "MergedPointCloud" / f"{scene.token}.pcd").is_file():
                write_sensor_files(folder, scene.token, world.load_sensors(scene, size=size))
                written += 1
            on_progress(WHAT, done, len(jobs))
        for part in parts:
            tokens = [key.token for key in world.keys() if world.town_of_log(key.log_name) in part.location]
            if tokens:
                write_split(out / part.folder, f"{hydra_name(part)}_with_sensors", split, tokens)
    except OSError as error:
        raise OpenPairError(f"cannot write here ({error.strerror})", where=out, fix="Choose another folder") from error
    return written


def _frames(world: WorldDataset, history: bool) -> Iterator[tuple[str, int]]:
    """(scene token, frames back from its current one), each frame of a log once."""
    seen: set[str] = set()
    for key in world.keys():
        scene = world.load_scene(key.token)
        for back in range(NUM_HISTORY_FRAMES if history else 1):
            token = scene.frames[scene.current_index - back].token
            if token not in seen:
                seen.add(token)
                yield key.token, back


def _ending_in(scene: Scene, back: int) -> Scene:
    """The scene as it was ``back`` frames ago."""
    index = scene.current_index - back
    return Scene(scene.dataset, scene.log_name, scene.road_map, scene.frames, index)


def write_sensor_files(folder: Path, token: str, sensors: SensorFrame) -> None:
    """Images and points of one frame below a log's folder; the point cloud last, as the sign that all is there."""
    assert sensors.images is not None and sensors.lidar_points is not None
    for name, image in sensors.images.items():
        ok, data = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not ok:
            raise OpenPairError(f"the image of {name} cannot be encoded", where=token)
        write_atomically(folder / name.upper() / f"{token}.jpg", data.tobytes())
    write_atomically(folder / "MergedPointCloud" / f"{token}.pcd", pcd_bytes(sensors.lidar_points))


def pcd_bytes(points: NDArray[np.float32]) -> bytes:
    """(P, 3) points [m] as a binary PCD file of version 0.7 with NAVSIM's fields; 15 bytes a point."""
    rows = np.zeros(len(points), dtype=_POINT)
    rows["x"], rows["y"], rows["z"] = points.T
    head = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z intensity ring lidar_info\n"
        "SIZE 4 4 4 1 1 1\nTYPE F F F U U U\nCOUNT 1 1 1 1 1 1\n"
        f"WIDTH {len(rows)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(rows)}\nDATA binary\n"
    )
    return head.encode() + rows.tobytes()
