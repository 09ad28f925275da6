"""Building a store of prepared scenes: shard by shard, on any number of processes, with the same result."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.pools import Pool
from openpair.preparation.ingredients import SceneIngredients
from openpair.preparation.map_index import map_index
from openpair.preparation.prepare import prepare_ingredients
from openpair.preparation.store import (
    MANIFEST,
    PreparedStore,
    StoreManifest,
    check_manifest,
    map_file_path,
    shard_path,
)
from openpair.preparation.store_format import SCHEMA_VERSION, pack_scenes, pack_shapes
from openpair.preparation.tensor_file import TensorFile, write_tensor_file

SCENES_PER_SHARD = 64


class SceneKey(Interface):
    """Names one scene."""

    @property
    def token(self) -> str: ...


class SceneSource(Interface):
    """What a store is built from; every dataset is one."""

    def keys(self) -> Sequence[SceneKey]: ...

    def load_scene(self, token: str) -> Scene: ...


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is.

    Attributes:
        done: scenes dealt with, earlier runs included.
        failed: those of them that could not be prepared.
        total: scenes asked for.
    """

    done: int
    failed: int
    total: int


@dataclass(frozen=True)
class _Job:
    """One shard: picklable, the same whoever does it."""

    folder: Path
    number: int
    tokens: tuple[str, ...]
    protocol: Protocol
    source: str

    def identity(self) -> dict[str, str]:
        asked = hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()
        return {
            "schema": str(SCHEMA_VERSION),
            "protocol": self.protocol.value,
            "source": self.source,
            "asked": asked,
        }


def build_store(
    folder: Path,
    dataset_factory: Callable[[], SceneSource],
    protocol: Protocol,
    *,
    source: str,
    tokens: Sequence[str] | None = None,
    workers: int = 1,
    progress: Callable[[BuildProgress], None] | None = None,
    pool: Pool | None = None,
) -> PreparedStore:
    """Prepare scenes and keep them. Interrupted builds go on where they stopped; a finished one is left alone.

    Args:
        folder: where the store lies or will lie.
        dataset_factory: opens the dataset; called once in each process, so it must be picklable when ``workers`` > 1.
        protocol: which score the scenes are for.
        source: fingerprint of logs and maps (a dataset's ``fingerprint()``).
        tokens: which scenes; None = all of the dataset.
        workers: processes; the result does not depend on their number.
        progress: called after each shard.
        pool: a cluster that works in place of processes of this machine; it must reach ``folder``.

    Returns:
        The store; scenes that could not be prepared are in its ``failures``.

    Raises:
        OpenPairError: the folder holds a store of another schema, protocol or source, or a token is asked for twice,
            or a worker process was killed.
    """
    folder = Path(folder)
    if (folder / MANIFEST).exists():
        check_manifest(StoreManifest.read(folder), folder, protocol=protocol, source=source)
    wanted = [key.token for key in dataset_factory().keys()] if tokens is None else list(tokens)
    if len(set(wanted)) != len(wanted):
        raise OpenPairError("a scene is asked for twice", where=folder, fix="Name each token once")
    jobs = [
        _Job(folder, number, tuple(wanted[begin : begin + SCENES_PER_SHARD]), protocol, source)
        for number, begin in enumerate(range(0, len(wanted), SCENES_PER_SHARD))
    ]
    results: dict[int, tuple[list[str], dict[str, str]]] = {}

    def note(number: int, result: tuple[list[str], dict[str, str]]) -> None:
        results[number] = result
        if progress is not None:
            done = sum(len(stored) + len(failed) for stored, failed in results.values())
            progress(BuildProgress(done, sum(len(failed) for _, failed in results.values()), len(wanted)))

    unfinished = []
    for job in jobs:
        earlier = _finished(job)
        if earlier is None:
            unfinished.append(job)
        else:
            note(job.number, earlier)
    if pool is not None:
        for number, built in pool(partial(_open_worker, dataset_factory), {job.number: job for job in unfinished}):
            note(number, built)
    elif workers <= 1 or len(unfinished) <= 1:
        dataset = dataset_factory() if unfinished else None
        for job in unfinished:
            assert dataset is not None
            note(job.number, _build_shard(job, dataset))
    else:
        _build_parallel(unfinished, dataset_factory, min(workers, len(unfinished)), note)

    ordered = [results[job.number] for job in jobs]
    failures = {token: reason for _, failed in ordered for token, reason in failed.items()}
    folder.mkdir(parents=True, exist_ok=True)
    StoreManifest(SCHEMA_VERSION, protocol.value, source, [stored for stored, _ in ordered], failures).write(folder)
    return PreparedStore(folder, protocol=protocol, source=source)


def _build_parallel(
    jobs: list[_Job],
    dataset_factory: Callable[[], SceneSource],
    workers: int,
    note: Callable[[int, tuple[list[str], dict[str, str]]], None],
) -> None:
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks of JIT runtime and threads
    with ProcessPoolExecutor(workers, context, initializer=_open_dataset, initargs=(dataset_factory,)) as pool:
        waiting: dict[Future, int] = {pool.submit(_work, job): job.number for job in jobs}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    note(waiting.pop(future), future.result())
        except BrokenProcessPool as error:
            raise OpenPairError(
                "a worker process ended unexpectedly (killed, or out of memory)",
                where=jobs[0].folder,
                fix="Run it again with fewer workers; finished shards are kept",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _open_worker(dataset_factory: Callable[[], SceneSource]) -> Callable[[_Job], tuple[list[str], dict[str, str]]]:
    """What a worker of a cluster does with jobs."""
    return partial(_build_shard, dataset=dataset_factory())


_dataset: SceneSource | None = None


def _open_dataset(dataset_factory: Callable[[], SceneSource]) -> None:
    global _dataset  # noqa: PLW0603  one dataset a process, opened by the pool's initializer
    _dataset = dataset_factory()


def _work(job: _Job) -> tuple[list[str], dict[str, str]]:
    assert _dataset is not None
    return _build_shard(job, _dataset)


def _build_shard(job: _Job, dataset: SceneSource) -> tuple[list[str], dict[str, str]]:
    """Prepare the scenes of a shard and write it. Returns the tokens it holds and why others failed."""
    scenes: list[SceneIngredients] = []
    failures: dict[str, str] = {}
    map_names: list[str] = []
    map_number: list[int] = []
    for token in job.tokens:
        try:
            scene = dataset.load_scene(token)
            index = map_index(scene.road_map)
            scenes.append(prepare_ingredients(index, scene, job.protocol))
        except OpenPairError as error:
            failures[token] = str(error)
            continue
        name = index.shapes.fingerprint
        if name not in map_names:
            map_names.append(name)
            path = map_file_path(job.folder, name)
            if not path.exists():
                write_tensor_file(path, pack_shapes(index.shapes), {"schema": str(SCHEMA_VERSION)})
        map_number.append(map_names.index(name))
    stored = [scene.token for scene in scenes]
    metadata = job.identity() | {
        "maps": json.dumps(map_names),
        "stored": json.dumps(stored),
        "failures": json.dumps(failures),
    }
    write_tensor_file(shard_path(job.folder, job.number), pack_scenes(scenes, map_number) if scenes else {}, metadata)
    return stored, failures


def _finished(job: _Job) -> tuple[list[str], dict[str, str]] | None:
    """What an earlier run stored for this shard, or None if it has to be done."""
    path = shard_path(job.folder, job.number)
    if not path.exists():
        return None
    try:
        metadata = TensorFile(path).metadata
        if any(metadata.get(name) != value for name, value in job.identity().items()):
            return None
        if not all(map_file_path(job.folder, name).exists() for name in json.loads(metadata["maps"])):
            return None
        return json.loads(metadata["stored"]), json.loads(metadata["failures"])
    except (OpenPairError, KeyError, ValueError):
        return None  # damaged: build it again
