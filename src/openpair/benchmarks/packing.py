"""``openpair bench packing``: what lossless compression of features takes and saves, beside other formats."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from openpair.benchmarks.data import processor_time
from openpair.benchmarks.table import as_table, machine
from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.features.build import Arrays

ROUNDS = 5

Bytes = NDArray[np.uint8]


@dataclass
class BenchPacking:
    """Measure formats for features of the published size: bytes of a scene, processor time to write and to read it.

    What photographs give is what counts: take three images of a recorded drive. Ray-cast images compress far better.

    Example: openpair bench packing --images left.jpg front.jpg right.jpg
    """

    images: tuple[Path, ...] = ()
    """Images of the left, front and right camera of one moment. Default: scenes of the embedded world."""

    scenes: int = 4
    """Scenes of the embedded world; their LiDAR and maps are taken where --images are given, too."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Measure, print."""
        if len(self.images) not in (0, 3):
            raise OpenPairError(f"{len(self.images)} images are not three", where="--images")
        if self.scenes < 1:
            raise OpenPairError("at least one scene is needed", where="--scenes")
        results: dict[str, Any] = {"machine": machine(), **measure(byte_arrays(self.scenes, self.images))}
        print(json.dumps(results, indent=2) if self.json else as_table(results))
        return 0


def byte_arrays(scenes: int, images: tuple[Path, ...]) -> list[Arrays]:
    """What a store keeps as bytes of scenes of the embedded world; with these images in place of theirs."""
    from openpair.datasets.navsim.sensor_files import read_image
    from openpair.datasets.world.dataset import WorldDataset
    from openpair.datatypes.scene import SensorFrame
    from openpair.features.build import encode_features, encode_targets
    from openpair.features.camera import camera_feature_u8
    from openpair.features.config import CAMERA, FeatureConfig
    from openpair.planning.inputs import see

    config = FeatureConfig.published()
    dataset = WorldDataset("test", max_scenes=scenes)
    given = {name: read_image(path) for name, path in zip(("cam_l0", "cam_f0", "cam_r0"), images, strict=False)}
    arrays = []
    for key in dataset.keys():
        scene = dataset.load_scene(key.token)
        encoded = encode_features(scene, see(dataset, scene, config), config) | encode_targets(scene, config)
        if given:
            encoded[CAMERA] = camera_feature_u8(SensorFrame(given, None), config)
        arrays.append({name: value for name, value in encoded.items() if value.dtype == np.uint8})
    return arrays


def measure(scenes: list[Arrays]) -> dict[str, dict[str, float]]:
    """Format -> kB of a scene's camera and of its other byte arrays; ms of processor time to write and to read all."""
    from openpair.features.config import CAMERA

    figures: dict[str, dict[str, float]] = {}
    for name, (write, read) in formats().items():
        sizes, write_s, read_s = {True: 0, False: 0}, 0.0, 0.0
        for key, value in ((key, value) for scene in scenes for key, value in scene.items()):
            data, write_time = timed(partial(write, key, value), 2)
            restored, read_time = timed(partial(read, key, data, value.shape), ROUNDS)
            if not np.array_equal(restored, value):
                raise OpenPairError(f"'{name}' is not lossless", where=key)
            sizes[key == CAMERA] += len(data)
            write_s, read_s = write_s + write_time, read_s + read_time
        count = len(scenes)
        figures[name] = {
            "camera_kb": sizes[True] / count / 1e3,
            "rest_kb": sizes[False] / count / 1e3,
            "write_ms": 1e3 * write_s / count,
            "read_ms": 1e3 * read_s / count,
        }
    return figures


def timed(work: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """What the work gives, and the least processor time of some rounds [s]."""
    results = [processor_time(work) for _ in range(rounds)]
    return results[-1][0], min(seconds for _, seconds in results)


Write = Callable[[str, Bytes], bytes]
Read = Callable[[str, bytes, tuple[int, ...]], Bytes]


def formats() -> dict[str, tuple[Write, Read]]:
    """Name -> how an array of a scene is written and read. Image formats write arrays that are no image by zlib."""
    from openpair.features.config import CAMERA
    from openpair.features.packing import pack, unpack

    def plain(write: Callable[[bytes], bytes], read: Callable[[bytes], bytes]) -> tuple[Write, Read]:
        return lambda _, v: write(v.tobytes()), lambda _, data, shape: np.frombuffer(read(data), np.uint8).reshape(
            shape
        )

    squeezed, opened = plain(lambda data: zlib.compress(data, 1), zlib.decompress)

    def image(suffix: str, *options: int) -> tuple[Write, Read]:
        import cv2

        def write(name: str, value: Bytes) -> bytes:
            if name != CAMERA:
                return squeezed(name, value)
            done, data = cv2.imencode(suffix, np.ascontiguousarray(value.transpose(1, 2, 0)[..., ::-1]), options)
            if not done:
                raise OpenPairError(f"this OpenCV writes no {suffix}")
            return bytes(data)

        def read(name: str, data: bytes, shape: tuple[int, ...]) -> Bytes:
            if name != CAMERA:
                return opened(name, data, shape)
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            return np.ascontiguousarray(np.asarray(pixels)[..., ::-1].transpose(2, 0, 1))

        return write, read

    return {
        "raw": plain(lambda data: data, lambda data: data),
        "ours": (pack, lambda name, data, shape: unpack(name, [np.frombuffer(data, np.uint8)], shape)[0]),
        "zlib": (squeezed, opened),
        "lzma": plain(lambda data: lzma.compress(data, preset=1), lzma.decompress),
        "png": image(".png", 16, 3),  # IMWRITE_PNG_COMPRESSION
        "webp": image(".webp", 64, 101),  # IMWRITE_WEBP_QUALITY above 100 is lossless
    }
