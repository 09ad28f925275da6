"""A store of ready features and targets: built once, then read by training as fast as memory allows.

A store is a folder: ``store.json`` (version, configuration, tokens), one ``.npy`` file per array, memory-mapped,
``done.npy``, which says which scenes are in, and ``crc32.npy``, a checksum for each scene of each array, which is
verified when a process first reads it. Camera and LiDAR are kept as bytes. A demo scene takes 76 kB. The byte arrays of
large scenes, as of the published size, are compressed (:mod:`openpair.features.packed_files`): where the disk is what
training waits for, it reads less than half as much.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from openpair.checksums import read_sealed_json, sealed_json
from openpair.damage import reading
from openpair.datatypes.columns import NUM_POSES
from openpair.datatypes.known_input import KnownConfig
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.features.build import Arrays, decode_features, decode_targets, encode_features, encode_targets
from openpair.features.config import (
    CAMERA,
    FEATURES_VERSION,
    LIDAR,
    NUM_AGENT_STATES,
    NUM_STATUS,
    STATUS,
    FeatureConfig,
)
from openpair.features.packed_files import FOLDER, INDEX, PackedFiles, index_shape
from openpair.features.packing import pack, unpack
from openpair.files import DiskFull, allocate, disk_full, locked, whole_file, write_atomically
from openpair.pools import OnProgress, Pool, Processes, silent

LoadScene = Callable[[str], tuple[Scene, SensorFrame]]
"""Token -> scene and what its sensors see. Raises OpenPairError for a scene that cannot be used."""

OpenSource = Callable[[], LoadScene]
"""Opens the data. Called once in each worker process, so it must be picklable (a module-level function, a partial)."""

META: Final = "store.json"
DONE: Final = "done.npy"
CHECKSUMS: Final = "crc32.npy"
FAILURES: Final = "failures.json"
CHUNK: Final = 16
"""Scenes a worker takes at least at a time: neighbours share logs and maps."""
MAX_CHUNK: Final = 128
"""Scenes a worker takes at most: about a town of the world. What several workers see of a town, each of them draws."""

EXPECTED_PACKING: Final = 2
"""Compressed arrays are expected to take this part of their size: whether a disk has room is asked beforehand."""

PACKED_FROM_BYTES: Final = 256 * 1024
"""Byte arrays of scenes that have so many of them are compressed; smaller ones are read without any work."""

Mode = Literal["r", "r+"]

_WAITING, _STORED, _FAILED = 0, 1, 2
_REBUILD = "Delete the folder and build it again"


def stored_arrays(config: FeatureConfig) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape (of one scene) and type of every array of a store."""
    width, height = config.camera_size
    byte, real = np.dtype(np.uint8), np.dtype(np.float32)
    features = KnownConfig().stored() | {
        CAMERA: ((3, height, width), byte),
        LIDAR: ((1, config.lidar_cells, config.lidar_cells), byte),
        STATUS: ((NUM_STATUS,), real),
    }
    inputs = {name: features[name] for name in config.inputs}
    trajectory = {"trajectory": ((NUM_POSES, 3), real)}
    if config.known:
        return inputs | trajectory | KnownConfig().stored_targets()
    cells = config.occupancy_cells
    occupancy = {"future_occupancy": ((NUM_POSES, cells, cells), byte)} if cells else {}
    return (
        occupancy
        | inputs
        | trajectory
        | {
            "agent_states": ((config.num_agents, NUM_AGENT_STATES), real),
            "agent_labels": ((config.num_agents,), np.dtype(bool)),
            "bev_semantic_map": ((config.bev_rows, config.bev_columns), byte),
        }
    )


def packed_arrays(config: FeatureConfig) -> tuple[str, ...]:
    """Arrays that a new store compresses."""
    sizes = {name: math.prod(shape) for name, (shape, dtype) in stored_arrays(config).items() if dtype == np.uint8}
    return tuple(sizes) if sum(sizes.values()) >= PACKED_FROM_BYTES else ()


def store_key(config: FeatureConfig, data_fingerprint: str, tokens: Sequence[str]) -> str:
    """Folder name of a store: 24 hex characters that change with configuration, data or choice of scenes.

    Args:
        data_fingerprint: names the data and whatever made the sensors, such as a dataset's content hash and the
            renderer's version.
    """
    text = json.dumps([config.fingerprint(), data_fingerprint, list(tokens)])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class FeatureStore:
    """Features and targets of many scenes, read-only.

    Scenes that could not be built are left out and listed in ``failures``.

    Args:
        folder: the store.

    Attributes:
        config: sizes.
        tokens: token of each scene.
        failures: token -> reason of each scene that is left out.

    Raises:
        OpenPairError: there is no store, it is not complete, damaged, or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        meta = _read_meta(folder)
        self.config = _config_of(meta)
        every = tuple(meta["tokens"])
        done = _open_array(folder / DONE, (len(every),), np.dtype(np.uint8), "r")
        if (done == _WAITING).any():
            raise OpenPairError(
                f"the feature store holds {int((done != _WAITING).sum())} of {len(every)} scenes",
                where=folder,
                fix="Build it again: it goes on where it stopped",
            )
        self._rows = np.flatnonzero(done == _STORED)
        self.tokens = tuple(every[i] for i in self._rows)
        failures = folder / FAILURES
        with reading(failures, "the list of scenes that the feature store lacks", fix=_REBUILD):
            self.failures: dict[str, str] = read_sealed_json(failures) if failures.exists() else {}
        if set(every) - set(self.tokens) != self.failures.keys():
            raise OpenPairError(
                f"{DONE} and {FAILURES} of the feature store do not agree on which scenes are in it",
                where=folder,
                fix="Build it again: it goes on where it stopped",
            )
        self._names = tuple(stored_arrays(self.config))
        self._packed = _open_packed(folder, meta, "r")
        self._arrays = _open_arrays(folder, meta, "r")
        self._checksums = _open_checksums(folder, meta, "r")
        self._verified = np.zeros((len(every), len(self._names)), bool)
        self._index = {token: i for i, token in enumerate(self.tokens)}

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        """A copy in another process opens the files again: what is mapped is not sent along."""
        return FeatureStore, (self.folder,)

    def __len__(self) -> int:
        return len(self.tokens)

    def index(self, token: str) -> int:
        """Position of a scene. Raises OpenPairError for a token that is not in the store."""
        if token not in self._index:
            reason = self.failures.get(token, "it is none of its scenes")
            raise OpenPairError(f"the feature store does not hold '{token}': {reason}", where=self.folder)
        return self._index[token]

    def __getitem__(self, index: int) -> Arrays:
        """Features and targets of one scene, as ``build_features`` and ``build_targets`` give them, in one dict."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        return {name: array[0] for name, array in self.batch(np.array([index])).items()}

    def stored(self, indices: NDArray[np.integer] | Sequence[int]) -> Arrays:
        """(B, ...) arrays of some scenes in stored form: bytes for camera, LiDAR counts and semantic map.

        Raises OpenPairError for a scene whose checksum does not fit.
        """
        return {name: self.column(name, indices) for name in self._names}

    def column(self, name: str, indices: NDArray[np.integer] | Sequence[int]) -> NDArray[Any]:
        """(B, ...) one of the arrays in stored form, without reading the others. Raises as :meth:`stored`."""
        rows = self._rows[np.asarray(indices, np.int64)]
        if name in self._arrays:
            values = self._arrays[name][rows]
            self._verify(name, rows, values)
            return values
        parts = self._packed.read(name, rows)
        self._verify(name, rows, parts)
        with reading(self.folder, f"{name} of the feature store", fix=_REBUILD):
            return unpack(name, parts, stored_arrays(self.config)[name][0])

    def _verify(self, name: str, rows: NDArray[np.int64], values: Sequence[NDArray[Any]] | NDArray[Any]) -> None:
        """Compares rows of an array, as they are kept, with their checksums where they are read for the first time."""
        if self._checksums is None:
            return
        column = self._names.index(name)
        for at in np.flatnonzero(~self._verified[rows, column]).tolist():
            row = rows[at]
            if zlib.crc32(np.ascontiguousarray(values[at]).data) != self._checksums[row, column]:
                token = self.tokens[int(np.searchsorted(self._rows, row))]
                raise OpenPairError(
                    f"the feature store is damaged: the checksum of scene {token} is wrong",
                    where=self.folder / (f"{name}.npy" if name in self._arrays else FOLDER),
                    fix=_REBUILD,
                )
            self._verified[row, column] = True

    def batch(self, indices: NDArray[np.integer] | Sequence[int]) -> Arrays:
        """(B, ...) features and targets of some scenes: float32, labels bool, semantic map int64."""
        stored = self.stored(indices)
        return decode_features(stored, self.config) | decode_targets(stored)


def build_store(
    root: Path,
    *,
    tokens: Sequence[str],
    open_source: OpenSource,
    data_fingerprint: str,
    config: FeatureConfig,
    workers: int = 1,
    on_progress: OnProgress = silent,
    pool: Pool | None = None,
) -> FeatureStore:
    """Opens the store of these scenes below ``root``, after building what is missing of it.

    The result does not depend on the number of workers, nor on interruptions: what is there is kept, the rest is made.
    Scenes that failed before are tried again.

    Args:
        root: folder for stores; each has a folder of its own named by :func:`store_key`.
        tokens: scenes, in the order they will have.
        open_source: opens the data in each process.
        data_fingerprint: names the data, see :func:`store_key`.
        config: sizes.
        workers: processes; 1 works in this one.
        on_progress: told after every few scenes.
        pool: a cluster that works in place of processes of this machine; it must reach ``root``.

    Raises:
        OpenPairError: no tokens, tokens that repeat, no scene could be built, or another process builds this store.
        WorkersDied: workers were killed again and again; what is finished is kept.
    """
    if not tokens or len(set(tokens)) != len(tokens):
        raise OpenPairError("a feature store needs at least one scene and no scene twice", where=root)
    folder = root / store_key(config, data_fingerprint, tokens)
    if not _is_finished(folder, len(tokens)):
        with locked(folder):
            _build_missing(folder, tokens, open_source, config, workers, on_progress, pool)
    on_progress(_what(config), len(tokens), len(tokens))
    return FeatureStore(folder)


def _what(config: FeatureConfig) -> str:
    """What building the features of scenes means, for those who watch."""
    return "read the truth" if config.known else "render sensors"


def _is_finished(folder: Path, count: int) -> bool:
    """Whether every scene of a store is in, so that nothing is left to write."""
    if not (folder / META).exists():
        return False
    return bool((_open_array(folder / DONE, (count,), np.dtype(np.uint8), "r") == _STORED).all())


def _build_missing(
    folder: Path,
    tokens: Sequence[str],
    open_source: OpenSource,
    config: FeatureConfig,
    workers: int,
    on_progress: OnProgress,
    pool: Pool | None,
) -> None:
    """Builds the scenes of a store that are not in yet."""
    _prepare(folder, tokens, config)
    done = _open_array(folder / DONE, (len(tokens),), np.dtype(np.uint8), "r+")
    waiting = np.flatnonzero(done != _STORED)
    failures: dict[str, str] = {}
    size = CHUNK if workers <= 1 else min(max(CHUNK, len(waiting) // (8 * workers)), MAX_CHUNK)
    chunks = [waiting[i : i + size] for i in range(0, len(waiting), size)]
    work = {number: (rows, [tokens[row] for row in rows]) for number, rows in enumerate(chunks)}
    finished = len(tokens) - len(waiting)
    on_progress(_what(config), finished, len(tokens))
    run = Processes(workers) if pool is None else pool
    for _, (rows, failed) in run(partial(_open_worker, folder, open_source, config), work):
        failures |= {tokens[row]: reason for row, reason in failed.items()}
        done[rows] = [_FAILED if int(row) in failed else _STORED for row in rows]
        done.flush()
        finished += len(rows)
        on_progress(_what(config), finished, len(tokens))
    write_atomically(folder / FAILURES, sealed_json(failures, indent=1))
    if not (done == _STORED).any():
        reason = next(iter(failures.values()))
        raise OpenPairError(f"not one of {len(tokens)} scenes could be built: {reason}", where=folder)


Rows = NDArray[np.int64]
ChunkResult = tuple[Rows, dict[int, str]]


class _Builder:
    """Writes rows of a store; one per process."""

    def __init__(self, folder: Path, open_source: OpenSource, config: FeatureConfig) -> None:
        self._config = config
        self._load = open_source()
        meta = _read_meta(folder)
        self._packed_names = _packed_names(meta)
        self._packed = _open_packed(folder, meta, "r+")
        self._arrays = _open_arrays(folder, meta, "r+")
        self._checksums = _open_checksums(folder, meta, "r+")

    def build(self, rows: Rows, tokens: list[str]) -> ChunkResult:
        failed: dict[int, str] = {}
        packed: dict[int, list[bytes]] = {}
        for row, token in zip(rows.tolist(), tokens, strict=True):
            try:
                scene, sensors = self._load(token)
                encoded = encode_features(scene, sensors, self._config) | encode_targets(scene, self._config)
                for name, value in encoded.items():
                    if value.dtype == np.float32 and not np.isfinite(value).all():
                        raise OpenPairError(f"{name} is not finite", where=f"scene {token}")
            except OpenPairError as error:
                failed[row] = str(error)
                continue
            kept: dict[str, bytes | memoryview] = {}
            for name, array in self._arrays.items():
                array[row] = encoded[name]
                kept[name] = encoded[name].astype(array.dtype, order="C").data
            parts = {name: pack(name, encoded[name]) for name in self._packed_names}
            packed[row] = [*parts.values()]
            if self._checksums is not None:
                kept |= parts
                self._checksums[row] = [zlib.crc32(kept[name]) for name in stored_arrays(self._config)]
        if self._packed_names:
            self._packed.write(packed)
        for array in self._arrays.values():
            array.flush()
        if self._checksums is not None:
            self._checksums.flush()
        return rows, failed


def _open_worker(
    folder: Path, open_source: OpenSource, config: FeatureConfig
) -> Callable[[tuple[Rows, list[str]]], ChunkResult]:
    """What a worker does with chunks."""
    builder = _Builder(folder, open_source, config)
    return lambda chunk: builder.build(*chunk)


def _prepare(folder: Path, tokens: Sequence[str], config: FeatureConfig) -> None:
    """Makes the files of an empty store; ``store.json`` comes last and says that all are there."""
    if (folder / META).exists():
        return
    packed, stored = packed_arrays(config), stored_arrays(config)
    arrays: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        f"{name}.npy": ((len(tokens), *shape), dtype) for name, (shape, dtype) in stored.items() if name not in packed
    }
    if packed:
        arrays[INDEX] = (index_shape(len(tokens), packed), np.dtype(np.int64))
    arrays[CHECKSUMS] = ((len(tokens), len(stored)), np.dtype(np.uint32))
    arrays[DONE] = ((len(tokens),), np.dtype(np.uint8))  # zeros: every scene waits
    size_bytes = sum(math.prod(shape) * dtype.itemsize for shape, dtype in arrays.values())
    size_bytes += len(tokens) * sum(math.prod(stored[name][0]) for name in packed) // EXPECTED_PACKING
    if shutil.disk_usage(folder).free < size_bytes:
        raise disk_full(folder, size_bytes)
    try:
        for name, (shape, dtype) in arrays.items():
            with whole_file(folder / name) as part:
                np.lib.format.open_memmap(part, "w+", dtype, shape)
                allocate(part)
    except DiskFull:
        for name in arrays:
            (folder / name).unlink(missing_ok=True)
        raise
    meta = {"version": FEATURES_VERSION, "checksums": True, "config": asdict(config), "tokens": list(tokens)}
    meta |= {"packed": list(packed)} if packed else {}
    write_atomically(folder / META, sealed_json(meta))


def _read_meta(folder: Path) -> dict[str, Any]:
    if not (folder / META).exists():
        raise OpenPairError("there is no feature store", where=folder, fix="Build it first")
    with reading(folder, f"the feature store's {META}", fix=_REBUILD):
        meta = read_sealed_json(folder / META)
        if meta["version"] != FEATURES_VERSION:
            raise OpenPairError(
                f"the feature store has version {meta['version']}, this is version {FEATURES_VERSION}",
                where=folder,
                fix=_REBUILD,
            )
        return meta


def _config_of(meta: dict[str, Any]) -> FeatureConfig:
    values = dict(meta["config"])
    values["camera_size"] = tuple(values["camera_size"])
    return FeatureConfig(**values)


def _packed_names(meta: dict[str, Any]) -> tuple[str, ...]:
    """The compressed arrays of a store; those of older versions have none."""
    return tuple(str(name) for name in meta.get("packed", ()))


def _open_packed(folder: Path, meta: dict[str, Any], mode: Mode) -> PackedFiles:
    names, count = _packed_names(meta), len(meta["tokens"])
    shape = index_shape(count, names)
    index = _open_array(folder / INDEX, shape, np.dtype(np.int64), mode) if names else np.zeros(shape, np.int64)
    return PackedFiles(folder, names, index, fix=_REBUILD)


def _open_arrays(folder: Path, meta: dict[str, Any], mode: Mode) -> dict[str, np.memmap[Any, Any]]:
    """The arrays that are not compressed."""
    packed, count = _packed_names(meta), len(meta["tokens"])
    return {
        name: _open_array(folder / f"{name}.npy", (count, *shape), dtype, mode)
        for name, (shape, dtype) in stored_arrays(_config_of(meta)).items()
        if name not in packed
    }


def _open_checksums(folder: Path, meta: dict[str, Any], mode: Mode) -> np.memmap[Any, Any] | None:
    """(scenes, arrays) uint32, arrays in the order of :func:`stored_arrays`; None in stores of older versions."""
    if not meta.get("checksums"):
        return None
    shape = (len(meta["tokens"]), len(stored_arrays(_config_of(meta))))
    return _open_array(folder / CHECKSUMS, shape, np.dtype(np.uint32), mode)


def _open_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], mode: Mode) -> np.memmap[Any, Any]:
    with reading(path, "a file of the feature store", fix=_REBUILD):
        array = np.load(path, mmap_mode=mode, allow_pickle=False)
    if array.shape != shape or array.dtype != dtype:
        raise OpenPairError(
            f"the file holds {array.shape} {array.dtype}, not {shape} {dtype}",
            where=path,
            fix=_REBUILD,
        )
    return array
