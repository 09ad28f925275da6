"""Building a store of prepared scenes: shard by shard, on any number of processes, with the same result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.files import locked
from openpair.pools import OnProgress, Pool, Processes, silent
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
WHAT = "prepare scenes"

Built = tuple[list[str], dict[str, str]]
"""Tokens that a shard holds, and token -> reason of those that could not be prepared."""


class SceneKey(Interface):
    """Names one scene."""

    @property
    def token(self) -> str: ...


class SceneSource(Interface):
    """What a store is built from; every dataset is one."""

    def keys(self) -> Sequence[SceneKey]: ...

    def load_scene(self, token: str) -> Scene: ...


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
    on_progress: OnProgress = silent,
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
        on_progress: told after each shard.
        pool: a cluster that works in place of processes of this machine; it must reach ``folder``.

    Returns:
        The store; scenes that could not be prepared are in its ``failures``.

    Raises:
        OpenPairError: the folder holds a store of another schema, protocol or source, or a token is asked for
            twice, or another process builds this store.
        WorkersDied: workers were killed again and again; finished shards are kept.
    """
    folder = Path(folder)
    listed = StoreManifest.read(folder) if (folder / MANIFEST).exists() else None
    if listed is not None:
        check_manifest(listed, folder, protocol=protocol, source=source)
    wanted = [key.token for key in dataset_factory().keys()] if tokens is None else list(tokens)
    if len(set(wanted)) != len(wanted):
        raise OpenPairError("a scene is asked for twice", where=folder, fix="Name each token once")
    jobs = [
        _Job(folder, number, tuple(wanted[begin : begin + SCENES_PER_SHARD]), protocol, source)
        for number, begin in enumerate(range(0, len(wanted), SCENES_PER_SHARD))
    ]
    results = _finished_of(jobs, verify=False)
    if len(results) < len(jobs) or listed != _manifest(jobs, results, protocol, source):
        with locked(folder):
            results = _finished_of(jobs, verify=True)
            _build_missing(jobs, results, dataset_factory, Processes(workers) if pool is None else pool, on_progress)
            _manifest(jobs, results, protocol, source).write(folder)
    on_progress(WHAT, len(wanted), len(wanted))
    return PreparedStore(folder, protocol=protocol, source=source)


def _manifest(jobs: Sequence[_Job], results: Mapping[int, Built], protocol: Protocol, source: str) -> StoreManifest:
    """The list of a store whose shards are all there."""
    ordered = [results[job.number] for job in jobs]
    failures = {token: reason for _, failed in ordered for token, reason in failed.items()}
    return StoreManifest(SCHEMA_VERSION, protocol.value, source, [stored for stored, _ in ordered], failures)


def _build_missing(
    jobs: Sequence[_Job],
    results: dict[int, Built],
    dataset_factory: Callable[[], SceneSource],
    pool: Pool,
    on_progress: OnProgress,
) -> None:
    """Adds to ``results`` those of the jobs that are not in it."""
    total = sum(len(job.tokens) for job in jobs)
    done = sum(len(job.tokens) for job in jobs if job.number in results)
    on_progress(WHAT, done, total)
    unfinished = {job.number: job for job in jobs if job.number not in results}
    for number, built in pool(partial(_open_worker, dataset_factory), unfinished):
        results[number] = built
        done += len(unfinished[number].tokens)
        on_progress(WHAT, done, total)


def _open_worker(dataset_factory: Callable[[], SceneSource]) -> Callable[[_Job], Built]:
    """What a worker does with jobs."""
    return partial(_build_shard, dataset=dataset_factory())


def _build_shard(job: _Job, dataset: SceneSource) -> Built:
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


def _finished_of(jobs: Sequence[_Job], *, verify: bool) -> dict[int, Built]:
    """Number -> result of the jobs that an earlier run has done."""
    return {job.number: built for job in jobs if (built := _finished(job, verify)) is not None}


def _finished(job: _Job, verify: bool) -> Built | None:
    """What an earlier run stored for this shard, or None if it has to be done.

    Only a store that is not complete has its shards' checksums verified here: one that is has them verified as scenes
    are loaded.
    """
    path = shard_path(job.folder, job.number)
    if not path.exists():
        return None
    try:
        metadata = TensorFile(path, verify=verify).metadata
        if any(metadata.get(name) != value for name, value in job.identity().items()):
            return None
        if not all(map_file_path(job.folder, name).exists() for name in json.loads(metadata["maps"])):
            return None
        return json.loads(metadata["stored"]), json.loads(metadata["failures"])
    except (OpenPairError, KeyError, ValueError):
        return None  # damaged: build it again
