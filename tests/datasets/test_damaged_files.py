"""A campaign of damage: every format with bytes changed, cut or doubled gives the same result or one clear sentence.

OPENPAIR_MUTATIONS sets how many mutations of each format are tried (default 40, for CI), OPENPAIR_MUTATION_SEED which.
"""

from __future__ import annotations

import json
import lzma
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared_data import shared_folder

from mutations import MUTATIONS, SEED, mutated
from openpair.checkpoints import read_state
from openpair.checksums import sealed_json
from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.maps import read_map
from openpair.datasets.navsim.metric_cache import read_metric_cache
from openpair.datasets.navsim.scene_filter import SceneFilter, read_scene_filter
from openpair.datasets.navsim.synthetic import read_synthetic_scene
from openpair.datasets.navsim.two_stage import read_mappings
from openpair.datasets.world.dataset import DATA_DIR, WorldDataset, read_index
from openpair.datatypes.columns import Protocol
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scores import metric_names
from openpair.driving.records import DriveRow, drives_csv, read_drives
from openpair.errors import OpenPairError
from openpair.evaluation.plans_file import read_plans
from openpair.evaluation.records import ScoreRow, read_scores, scores_csv
from openpair.planning.changes import PlannerChanges
from openpair.planning.planner_file import StoredPlanner
from openpair.policies.anchors import read_anchors, write_anchors
from openpair.reproduction.choices import Choices, read_tables, write_tables
from openpair.training.curve_file import CURVE_FILE, read_curve

NOWHERE = RoadMap("", {}, {})


def scenes_of_log(path: Path) -> Any:
    """Poses and agents of every scene that can be loaded; the others are listed as failed."""
    root = path.parents[2]
    dataset = NavsimDataset(root, scene_filter=SceneFilter(), missing="per_scene")
    result = {}
    for key in dataset.keys():
        try:
            scene = dataset.load_scene(key.token)
        except OpenPairError as error:
            result[key.token] = str(error)
        else:
            result[key.token] = [(frame.token, frame.ego.pose.tolist(), len(frame.agents)) for frame in scene.frames]
    return result


def world_of(folder: Path) -> Any:
    world = WorldDataset("all", folder)
    return [len(world.load_scene(key.token).frames) for key in world.keys()[:2]]


def log_sample(folder: Path) -> Path:
    golden = shared_folder("golden/navsim")
    (folder / "navsim_logs" / "mini").mkdir(parents=True)
    (folder / "maps").symlink_to(golden / "maps")
    source = min((golden / "navsim_logs" / "mini").glob("*.pkl"), key=lambda path: path.stat().st_size)
    return Path(shutil.copyfile(source, folder / "navsim_logs" / "mini" / source.name))


def map_sample(folder: Path) -> Path:
    source = min(shared_folder("golden/navsim/maps").glob("*/*/map.gpkg"), key=lambda path: path.stat().st_size)
    return Path(shutil.copyfile(source, folder / "map.gpkg"))


def scene_sample(folder: Path) -> Path:
    source = next(shared_folder("golden/navsim/navhard_two_stage/synthetic_scene_pickles").glob("*.pkl"))
    return Path(shutil.copyfile(source, folder / source.name))


def cache_sample(folder: Path) -> Path:
    source = min(shared_folder("golden/metric_cache/v2.2").rglob("*.pkl"), key=lambda path: path.stat().st_size)
    (folder / "token").mkdir()
    return Path(shutil.copyfile(source, folder / "token" / "metric_cache.pkl"))


def unpacked_cache_sample(folder: Path) -> Path:
    path = cache_sample(folder)
    path.write_bytes(lzma.decompress(path.read_bytes()))
    return path


def read_unpacked_cache(path: Path) -> Any:
    """Damage behind the compression, which hardly any damage of the file gets through."""
    packed = path.with_name("packed.pkl")
    packed.write_bytes(lzma.compress(path.read_bytes(), preset=0))
    return read_metric_cache(packed)


def plans_sample(compressed: bool) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        draw = np.random.default_rng(0)
        arrays = {"token": np.array([f"{i:016x}" for i in range(30)]), "poses": draw.normal(size=(30, 8, 3))}
        (np.savez_compressed if compressed else np.savez)(folder / "plans.npz", **arrays)
        return folder / "plans.npz"

    return write


def text_sample(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return write


def town_sample(folder: Path) -> Path:
    index = read_index(DATA_DIR)
    town = min(index["towns"], key=lambda town: (DATA_DIR / f"{town['name']}.town").stat().st_size)
    (folder / "index.json").write_bytes(sealed_json({**index, "towns": [town]}))
    return Path(shutil.copyfile(DATA_DIR / f"{town['name']}.town", folder / f"{town['name']}.town"))


def index_sample(folder: Path) -> Path:
    town_sample(folder)
    return folder / "index.json"


def checkpoint_sample(name: str, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        state = {f"layer.{i}.weight": torch.ones(i + 1, 3) for i in range(4)}
        torch.save({"epoch": 3, "state_dict": state, "settings": {"rate": 0.1}}, folder / name, **options)
        return folder / name

    return write


def anchors_sample(folder: Path) -> Path:
    write_anchors(folder / "anchors.npy", torch.rand(20, 8, 2))
    return folder / "anchors.npy"


def planner_sample(folder: Path) -> Path:
    changes = {"pair_search": PlannerChanges(search_rounds=3), "il": PlannerChanges(previous_plan_bonus="none")}
    return StoredPlanner("pair", PlannerChanges(strength=0.5, temperature=0.02), changes).write(folder)


def choices_sample(folder: Path) -> Path:
    Choices(temperature=0.02, previous_plan_bonus=0.01).write(folder / "choices.json")
    return folder / "choices.json"


def tables_sample(folder: Path) -> Path:
    write_tables(folder / "validation.json", {"agents": {"il": {"score": 0.8}, "pair": {"score": 0.9, "ep": 0.7}}})
    return folder / "validation.json"


SCORES = scores_csv(
    [
        ScoreRow("world", "log", f"{i:016x}", "il", "v1.1", dict.fromkeys(metric_names(Protocol.V1_1), 0.5), 0.25)
        for i in range(10)
    ]
    + [ScoreRow("world", "log", "f" * 16, "il", "v1.1", error="the log is damaged")],
    Protocol.V1_1,
)
DRIVES = drives_csv(
    [DriveRow("log", "pair", 0.5, 1.0, 1, 0, 0, 0, seconds=20.0), DriveRow("log", "il", error="no map")]
)
CURVE = "".join(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\n" for step in range(20))
TOKENS = "".join(f"{i:016x}\n" for i in range(20))
FILTER = "num_history_frames: 4\nnum_future_frames: 10\nhas_route: true\nlog_names: null\ntokens:\n" + "".join(
    f"- '{token}'\n" for token in TOKENS.split()
)
MAPPING = "reactive_all_mapping:\n- [{0}a, {0}b, [[{0}c, {0}d], [{0}e, {0}f]]]\n".format("0123456789abcde")
FORMATS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    "log": (log_sample, scenes_of_log),
    "map": (map_sample, lambda path: len(read_map(path, "x").lanes)),
    "second-stage scene": (scene_sample, lambda path: len(read_synthetic_scene(path, lambda _: NOWHERE).frames)),
    "metric cache": (cache_sample, read_metric_cache),
    "metric cache, unpacked": (unpacked_cache_sample, read_unpacked_cache),
    "plans": (plans_sample(False), read_plans),
    "plans, compressed": (plans_sample(True), read_plans),
    "tokens.txt": (text_sample("t.txt", TOKENS), read_scene_filter),
    "tokens.csv": (text_sample("t.csv", "token,score\n" + TOKENS.replace("\n", ",1\n")), read_scene_filter),
    "scene filter": (text_sample("t.yaml", FILTER), read_scene_filter),
    "mapping": (text_sample("m.yaml", MAPPING), read_mappings),
    "world town": (town_sample, lambda path: world_of(path.parent)),
    "world index": (index_sample, lambda path: world_of(path.parent)),
    "checkpoint": (checkpoint_sample("a.pt"), read_state),
    "checkpoint, old PyTorch": (checkpoint_sample("a.pt", _use_new_zipfile_serialization=False), read_state),
    "scores.csv": (text_sample("scores.csv", SCORES), read_scores),
    "drives.csv": (text_sample("drives.csv", DRIVES), read_drives),
    "planner.json": (planner_sample, StoredPlanner.read),
    "anchors": (anchors_sample, read_anchors),
    "curve": (text_sample(CURVE_FILE, CURVE), lambda path: read_curve(path.parent)),
    "choices.json": (choices_sample, Choices.read),
    "validation.json": (tables_sample, read_tables),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", FORMATS, ids=str)
def test_damage_is_one_sentence(name: str, tmp_path: Path) -> None:
    sample, read = FORMATS[name]
    path = sample(tmp_path)
    whole = path.read_bytes()
    read(path)
    draw = np.random.default_rng([SEED, *name.encode()])
    refused = 0
    for number in range(MUTATIONS):
        data = mutated(whole, draw)
        path.write_bytes(data)
        try:
            read(path)
        except OpenPairError as error:
            refused += 1
            assert "\n" not in str(error)
        except Exception as error:
            path.with_name("culprit").write_bytes(data)
            pytest.fail(f"mutation {number} of {name} (seed {SEED}) gave {type(error).__name__}: {error}")
    assert refused > 0 or MUTATIONS < 20 or name == "tokens.txt"
