"""``openpair bench store``: what a prepared scene costs to build, to keep and to load."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from openpair.benchmarks.table import as_table, machine
from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.datatypes.columns import Protocol
    from openpair.evaluation.sources import DatasetSource

ROUNDS = 5


@dataclass
class BenchStore:
    """Measure the store of prepared scenes: build in one process, size, loading at random after a first load."""

    dataset: str = "world"
    """What kind of data, as for 'openpair eval'."""

    root: Path | None = None
    """Folder of the dataset, as for 'openpair eval'."""

    split: str | None = None
    """Part of the dataset, as for 'openpair eval'."""

    limit: int = 128
    """Build at most this many scenes, evenly chosen."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from openpair.datasets.choice import SceneChoice, choose_scenes
        from openpair.datatypes.columns import Protocol
        from openpair.evaluation.sources import DatasetSource

        name, options = choose_scenes(self.dataset, self.root, SceneChoice(self.split))
        source = DatasetSource(name, self.root, options)
        tokens = [key.token for key in source.open().keys()]
        chosen = tokens[:: max(1, -(-len(tokens) // self.limit))]
        if not chosen:
            raise OpenPairError("the dataset has no scenes", where=self.root)
        results: dict[str, Any] = {"machine": machine()}
        for protocol in Protocol:
            results[protocol.value] = measure(source, chosen, protocol)
        print(json.dumps(results, indent=2) if self.json else as_table(results))
        return 0


def measure(source: DatasetSource, tokens: list[str], protocol: Protocol) -> dict[str, float]:
    """All figures of one protocol. One scene is prepared beforehand: kernels are compiled, maps read."""
    from openpair.preparation.prepare import prepare_scene
    from openpair.preparation.store import PreparedStore
    from openpair.preparation.store_build import build_store

    dataset = source.open()
    prepare_scene(dataset.load_scene(tokens[0]), protocol)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "store"
        wall, cpu = time.perf_counter(), time.process_time()
        build_store(folder, partial(_same, dataset), protocol, source="bench", tokens=tokens)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        store = PreparedStore(folder, protocol=protocol)
        for token in store.tokens:
            store.load(token)
        order = list(store.tokens)[::-1]
        loads, loads_cpu = [], []
        for shift in range(ROUNDS):
            for index in range(len(order)):
                token = order[(index * 61 + shift) % len(order)]
                start, start_cpu = time.perf_counter_ns(), time.thread_time_ns()
                store.load(token)
                loads_cpu.append((time.thread_time_ns() - start_cpu) / 1e6)
                loads.append((time.perf_counter_ns() - start) / 1e6)
        shards = _kilobytes(folder / "shards")
        maps = _kilobytes(folder / "maps")
    count = len(store)
    if not count:
        raise OpenPairError("none of the scenes could be prepared")
    return {
        "scenes": count,
        "failed": len(store.failures),
        "build_ms_per_scene": 1e3 * wall / len(tokens),
        "build_cpu_ms_per_scene": 1e3 * cpu / len(tokens),
        "scene_kb": shards / count,
        "scene_and_maps_kb": (shards + maps) / count,
        "load_ms": statistics.median(loads),
        "load_cpu_ms": statistics.median(loads_cpu),
        "load_cpu_mean_ms": statistics.fmean(loads_cpu),
    }


def _same(dataset: Any) -> Any:
    return dataset


def _kilobytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e3
