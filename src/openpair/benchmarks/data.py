"""``openpair bench data``: what caches cost to build, and how fast training reads them."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from openpair.benchmarks.table import as_table, machine
from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.features.config import FeatureConfig
    from openpair.training.data import DataSpec

MIN_SECONDS = 2.0
"""Training reads at least for so long."""

LOCATION = "us-ma-boston"


@dataclass
class BenchData:
    """Measure the caches of training: scenes prepared, features built and batches read, per second of one core.

    Scenes of the embedded world, twice: with the demo's sizes, ray-cast as features are built; and with the published
    sizes from files as NAVSIM has them (logs, maps, three 1920 x 1080 JPEG images and a point cloud a scene), which are
    written to a temporary folder first. Processor time counts, so other programs do not matter.

    Example: openpair bench data --json
    """

    scenes: int = 64
    """Scenes, of one town where they are read from files."""

    batch: int = 16
    """Scenes of a batch."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Build, read, print."""
        from openpair.features.config import FeatureConfig
        from openpair.training.data import DataSpec

        if not 0 < self.batch <= self.scenes:
            raise OpenPairError(f"{self.scenes} scenes give no batch of {self.batch}", where="--batch")
        results: dict[str, Any] = {"machine": machine()}
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            world = DataSpec("world", None, {"split": "test", "max_scenes": self.scenes})
            results["demo"] = measure(world, folder / "demo", FeatureConfig.demo(), self.batch)
            files = write_navsim_files(folder / "data", self.scenes)
            results["published"] = measure(files, folder / "published", FeatureConfig.published(), self.batch)
        print(json.dumps(results, indent=2) if self.json else as_table(results))
        return 0


def measure(spec: DataSpec, folder: Path, config: FeatureConfig, batch: int) -> dict[str, float]:
    """Figures of one dataset and one choice of sizes. One scene is done beforehand: kernels compile, maps are read."""
    from openpair.datatypes.columns import Protocol
    from openpair.planning.inputs import features_of
    from openpair.preparation.prepare import prepare_scene
    from openpair.training.data import StoreLocation, build_features_of, build_prepared_scenes

    dataset = spec.open()
    scene = dataset.load_scene(dataset.keys()[0].token)
    prepare_scene(scene, Protocol.V1_1)
    features_of(dataset, [scene], config)
    prepared, prepare_s = processor_time(lambda: build_prepared_scenes(spec, folder, Protocol.V1_1, workers=1))
    features, features_s = processor_time(lambda: build_features_of(spec, folder, config, workers=1))
    data = StoreLocation(features, prepared).open()
    count = len(data.tokens)
    size = sum(path.stat().st_size for path in features.rglob("*") if path.suffix in (".npy", ".bin"))
    return {
        "scenes": count,
        "prepared_per_s": len(dataset.keys()) / prepare_s,
        "features_per_s": len(dataset.keys()) / features_s,
        "feature_kb_per_scene": size / count / 1e3,
        "loaded_per_s": read_rate(data.batch, count, min(batch, count)),
    }


def read_rate(read: Callable[[Any], Any], count: int, batch: int) -> float:
    """Scenes that training reads a second of processor time, over all its threads, in the order that it has them."""
    from openpair.training.order import BatchOrder

    order = BatchOrder(count, batch, seed=0)
    for step in range(order.steps_per_epoch):
        read(order.indices(step))
    start, steps = time.process_time(), 0
    while time.process_time() - start < MIN_SECONDS:
        read(order.indices(steps))
        steps += 1
    return steps * batch / (time.process_time() - start)


def processor_time(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work gives, and the processor time it took [s]."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def write_navsim_files(root: Path, scenes: int) -> DataSpec:
    """Scenes of the embedded world as NAVSIM's files: a log, its map, images and point clouds."""
    from openpair.datasets.navsim.log_writer import write_log
    from openpair.datasets.navsim.map_writer import write_maps
    from openpair.datasets.navsim.scene_filter import SceneFilter
    from openpair.datasets.world.dataset import WorldDataset
    from openpair.datasets.world.materialise import write_sensor_files
    from openpair.planning.inputs import RECORDED_SIZE
    from openpair.training.data import DataSpec

    world = WorldDataset("test")
    keys = world.keys()
    by_log: dict[str, list[str]] = {}
    for key in keys:
        by_log.setdefault(key.log_name, []).append(key.token)
    town = world.town_of_log(keys[0].log_name)
    tokens: list[str] = []
    road_map = None
    for log_name, own in by_log.items():
        if world.town_of_log(log_name) != town or len(tokens) >= scenes:
            continue
        frames, road_map = world.load_log(log_name)
        write_log(root / "navsim_logs" / "test" / f"{log_name}.pkl", frames, map_location=LOCATION)
        for token in own[: scenes - len(tokens)]:
            seen = world.load_sensors(world.load_scene(token), size=RECORDED_SIZE)
            write_sensor_files(root / "sensor_blobs" / "test" / log_name, token, seen)
            tokens.append(token)
    assert road_map is not None
    write_maps(root / "maps", {LOCATION: road_map})
    return DataSpec("navsim", str(root), {"scene_filter": SceneFilter.of_tokens(tokens)})
