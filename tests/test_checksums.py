"""Files of our own with one byte changed: the same content or one sentence, never other numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from mutations import MUTATIONS, SEED, mutated
from openpair.checkpoints import load_checkpoint, save_checkpoint
from openpair.checksums import (
    HEAD_BYTES,
    UNSEALED,
    WrongChecksum,
    check,
    check_file,
    read_sealed_json,
    seal_file,
    sealed,
    sealed_json,
)
from openpair.datasets.world.dataset import DATA_DIR, WorldDataset, read_index
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError
from openpair.evaluation.comparison import read_results
from openpair.evaluation.records import PARTIAL_FILE, ChunkResult, PartialResults, ScoreRow, scores_csv
from openpair.features import cache
from openpair.features.cache import META, FeatureStore
from openpair.features.cache import build_store as build_features
from openpair.features.config import FeatureConfig
from openpair.preparation.store import PreparedStore, shard_path
from openpair.preparation.store_build import build_store as build_prepared
from openpair.reproduction.choices import VALIDATION_FILE, Choices, read_tables, write_tables
from openpair.reproduction.provenance import read_record, record_seed
from openpair.reproduction.scoring import seed_folder
from openpair.samplers.kinematic_tree import KinematicTree, KinematicTreeConfig
from openpair.sensors.render import render_front_view
from openpair.training.branch import Branch
from openpair.training.candidate_pool import CandidatePool
from openpair.training.state import ResumePoint, load_state, save_state

FLIPS = 20
"""Bytes changed in each file's header, and as many anywhere, one at a time; fewer where a file is slow to read."""
SLOW = {"checkpoint": 5, "feature store": 8}

TOWN = min(
    (town["name"] for town in read_index(DATA_DIR)["towns"] if town["split"] == "val"),
    key=lambda name: (DATA_DIR / f"{name}.town").stat().st_size,
)
SIZES = FeatureConfig(camera_size=(32, 8), lidar_cells=16, bev_pixel_m=2.0, bev_rows=16, bev_columns=32)


class Dataset(WorldDataset):
    """Three scenes of one town, the last of which is broken."""

    def __init__(self) -> None:
        super().__init__("val", towns=[TOWN], max_scenes=3)

    def load_scene(self, token: str) -> Scene:
        if token == self.keys()[2].token:
            raise OpenPairError("the log is damaged", where=token)
        return super().load_scene(token)


def open_source() -> Callable[[str], tuple[Scene, SensorFrame]]:
    dataset = Dataset()

    def load(token: str) -> tuple[Scene, SensorFrame]:
        scene = dataset.load_scene(token)
        return scene, render_front_view(scene, size=SIZES.camera_size)

    return load


class Fit(Branch):
    """As much of a branch as its state needs."""

    name = "fit"
    total_steps = 9

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(20, 20)
        self.optimiser = torch.optim.AdamW(self.network.parameters())
        self.generator = torch.Generator().manual_seed(7)
        self.weight = 0.1

    def step(self, index: int) -> dict[str, float]:
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        raise NotImplementedError

    def export(self, folder: Path, metrics: dict[str, float]) -> None:
        raise NotImplementedError

    def scalars(self) -> dict[str, float]:
        return {"weight": self.weight}

    def restore_scalars(self, scalars: dict[str, float]) -> None:
        self.weight = scalars["weight"]


def plain(value: Any) -> Any:
    """Content that can be compared, to the last bit."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def write_prepared(folder: Path) -> None:
    build_prepared(folder, Dataset, Protocol.V2_2, source="x")


def read_prepared(folder: Path) -> Any:
    store = PreparedStore(folder)
    return plain([list(store.failures), [store.load(token) for token in store.tokens]])


def write_features(folder: Path) -> None:
    tokens = [key.token for key in Dataset().keys()]
    store = build_features(folder, tokens=tokens, open_source=open_source, data_fingerprint="x", config=SIZES)
    for file in store.folder.iterdir():
        shutil.move(file, folder)
    store.folder.rmdir()


def write_packed_features(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "PACKED_FROM_BYTES", 0)
        write_features(folder)
    assert (folder / "packed").is_dir()


def read_features(folder: Path) -> Any:
    store = FeatureStore(folder)
    return plain([store.tokens, list(store.failures), store.config, [store[i] for i in range(len(store))]])


def write_checkpoint(folder: Path) -> None:
    torch.manual_seed(0)
    save_checkpoint(folder / "tree.safetensors", KinematicTree(KinematicTreeConfig.small()), seed=3, notes={"a": "b"})


def read_checkpoint(folder: Path) -> Any:
    network, info = load_checkpoint(folder / "tree.safetensors")
    return plain([network.state_dict(), info])


def write_state(folder: Path) -> None:
    save_state(folder, Fit(), ResumePoint(5, 1.25, [{"loss": 0.5}]), fingerprint="f")


def read_state(folder: Path) -> Any:
    branch = Fit()
    point = load_state(folder, branch, fingerprint="f")
    return plain([point, branch.weight, branch.state_tensors()])


def write_pool(folder: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    CandidatePool(
        torch.rand(2, 3, 4, 8, 3, generator=draw), torch.rand(2, 3, 4, generator=draw), torch.rand(2, 3, 9, 4)
    ).save(folder / "pool.safetensors")


def read_pool(folder: Path) -> Any:
    return plain(CandidatePool.load(folder / "pool.safetensors"))


def write_world(folder: Path) -> None:
    index = read_index(DATA_DIR)
    town = next(town for town in index["towns"] if town["name"] == TOWN)
    town["logs"] = dict(list(town["logs"].items())[:2])
    shutil.copy(DATA_DIR / f"{TOWN}.town", folder)
    (folder / "index.json").write_bytes(sealed_json({**index, "towns": [town]}))


def read_world(folder: Path) -> Any:
    world = WorldDataset("val", folder)
    scenes = [world.load_scene(key.token) for key in world.keys()]
    return plain([[scene.token, scene.human_trajectory(), scene.frames] for scene in scenes])


def row(token: str, metric: float) -> ScoreRow:
    return ScoreRow(
        dataset="world",
        log="log",
        token=token,
        agent="a",
        protocol="v2.2",
        metrics=dict.fromkeys(metric_names(Protocol.V2_2), metric),
        score=0.25,
        error="",
    )


CHUNKS = {number: ChunkResult([row(f"t{number}", metric)], ["x"]) for number, metric in enumerate((0.5, 0.625, 0.75))}


def write_partial(folder: Path) -> None:
    with PartialResults(folder, {"data": "f"}) as partial:
        for number, chunk in CHUNKS.items():
            partial.add(number, chunk)


def read_partial(folder: Path) -> Any:
    """What is resumed; a chunk that is not is made again."""
    with PartialResults(folder, {"data": "f"}) as partial:
        return plain({**CHUNKS, **partial.finished})


def write_result(folder: Path) -> None:
    scores = scores_csv([row(f"t{number}", 0.5) for number in range(20)], Protocol.V2_2)
    (folder / "scores.csv").write_text(scores)
    summary = {"protocol": "v2.2", "variant": {"stages": 1}, "dataset": "world", "scenes": {"expected": 20}}
    hashes = {"scores.csv": hashlib.sha256(scores.encode()).hexdigest()}
    (folder / "summary.json").write_bytes(sealed_json({**summary, "files_sha256": hashes}, indent=2))


def read_result(folder: Path) -> Any:
    result = read_results(folder)
    return [repr(result.rows), plain(result.summary)]


def write_reproduction(folder: Path) -> None:
    Choices(temperature=0.02).write(folder / "choices.json")
    record_seed(folder, 0, command="openpair reproduce", configuration={"steps": 3}, data={"train": "abc"})
    write_tables(seed_folder(folder, 0) / VALIDATION_FILE, {"agents": {"pair": {"score": 0.9}}})


def read_reproduction(folder: Path) -> Any:
    tables = read_tables(seed_folder(folder, 0) / VALIDATION_FILE)
    return plain([Choices.read(folder / "choices.json"), read_record(folder, 0), tables])


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "prepared store": (write_prepared, read_prepared),
    "feature store": (write_features, read_features),
    "packed feature store": (write_packed_features, read_features),
    "checkpoint": (write_checkpoint, read_checkpoint),
    "training state": (write_state, read_state),
    "candidate pool": (write_pool, read_pool),
    "world": (write_world, read_world),
    "unfinished evaluation": (write_partial, read_partial),
    "result": (write_result, read_result),
    "reproduction": (write_reproduction, read_reproduction),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_is_noticed(kind: str, tmp_path: Path) -> None:
    write, read = KINDS[kind]
    write(tmp_path)
    whole = read(tmp_path)
    draw = np.random.default_rng([1, *kind.encode()])
    flips, refused = SLOW.get(kind, FLIPS), 0
    for path in sorted(file for file in tmp_path.rglob("*") if file.is_file()):
        content = path.read_bytes()
        places = np.concatenate(
            [draw.integers(0, min(300, len(content)), FLIPS), draw.integers(0, len(content), FLIPS)]
        )
        for at, change in zip(places.tolist(), draw.integers(1, 256, len(places)).tolist(), strict=True):
            path.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
            try:
                assert read(tmp_path) == whole, f"byte {at} of {path.name} is {change} off, and nobody says so"
            except OpenPairError as error:
                refused += 1
                assert "\n" not in str(error)
        path.write_bytes(content)
    assert refused > flips / 2 or kind == "unfinished evaluation"
    assert read(tmp_path) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_any_damage_is_noticed(kind: str, tmp_path: Path) -> None:
    write, read = KINDS[kind]
    write(tmp_path)
    whole = read(tmp_path)
    draw = np.random.default_rng([SEED, *kind.encode()])
    paths = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    for number in range(MUTATIONS if kind not in SLOW else MUTATIONS // 4):
        path = paths[number % len(paths)]
        content = path.read_bytes()
        path.write_bytes(mutated(content, draw))
        try:
            assert read(tmp_path) == whole, f"mutation {number}, of {path.name} (seed {SEED}), and nobody says so"
        except OpenPairError as error:
            assert "\n" not in str(error)
        path.write_bytes(content)


def test_the_sentence_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    write_prepared(tmp_path)
    path = shard_path(tmp_path, 0)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    store = PreparedStore(tmp_path)
    with pytest.raises(OpenPairError, match=r"00000\.safetensors: .*checksum is wrong.*build the store again"):
        store.load(store.tokens[0])
    path.unlink()
    write_prepared(tmp_path)  # builds what is missing
    assert path.read_bytes() == content


def test_an_incomplete_store_builds_its_damaged_shards_again(tmp_path: Path) -> None:
    write_prepared(tmp_path)
    path = shard_path(tmp_path, 0)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (tmp_path / "store.json").unlink()
    write_prepared(tmp_path)
    assert path.read_bytes() == content


def test_a_shard_is_verified_at_its_first_use_alone(tmp_path: Path) -> None:
    write_prepared(tmp_path)
    path = shard_path(tmp_path, 0)
    store = PreparedStore(tmp_path)
    first, second = store.tokens
    store.load(first)
    store._shards.clear()  # as where many shards are in use
    content = path.read_bytes()
    path.write_bytes(content.replace(second.encode(), second[:-1].encode() + b"?"))
    with pytest.raises(OpenPairError, match="do not belong together"):
        store.load(second)


def test_stores_from_before_are_read(tmp_path: Path) -> None:
    write_features(tmp_path)
    whole = read_features(tmp_path)
    meta = read_sealed_json(tmp_path / META)
    del meta["checksums"]
    (tmp_path / META).write_text(json.dumps(meta))
    (tmp_path / "crc32.npy").unlink()
    assert read_features(tmp_path) == whole


def test_every_byte_of_a_sealed_file_counts(tmp_path: Path) -> None:
    record = {"loss": 0.1234567890123456789, "tokens": ["a", "b"], "none": None, "checks": {"crc": 1}}
    path = tmp_path / "x.json"
    content = sealed_json(record, end="\n", indent=1)
    path.write_bytes(content)
    assert read_sealed_json(path) == record
    for at in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            try:
                assert {name: value for name, value in read_sealed_json(path).items() if name in record} == record
            except ValueError:
                continue


def test_large_files_are_sealed_in_blocks(tmp_path: Path) -> None:
    data = f'{{"checksum": "{UNSEALED}"}}'.encode() + np.random.default_rng(0).bytes(3 * HEAD_BYTES + (1 << 20))
    path = tmp_path / "x"
    path.write_bytes(data)
    seal_file(path)
    assert path.read_bytes() == sealed(data)
    check_file(path)
    for damaged in (
        sealed(data)[:-1],
        sealed(data) + b"\0",
        sealed(data)[: 2 * HEAD_BYTES] + b"?" + data[2 * HEAD_BYTES + 1 :],
    ):
        with pytest.raises(WrongChecksum):
            check(damaged)
    check(data.replace(f'"checksum": "{UNSEALED}"'.encode(), b'"anything": 0'))  # a file from before has none


def test_damaged_chunks_of_an_evaluation_are_made_again(tmp_path: Path) -> None:
    write_partial(tmp_path)
    lines = (tmp_path / PARTIAL_FILE).read_text().splitlines()
    lines[2] = lines[2].replace("0.625", "0.875")
    (tmp_path / PARTIAL_FILE).write_text("\n".join(lines) + "\n")
    with PartialResults(tmp_path, {"data": "f"}) as partial:
        assert sorted(partial.finished) == [0, 2]
