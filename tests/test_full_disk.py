"""A full disk while results, features and training states are written: one sentence, and what was finished stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openpair.datatypes.columns import Protocol
from openpair.evaluation.chunk import Task
from openpair.evaluation.records import PARTIAL_FILE, ChunkResult, PartialResults, ScoreRow
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import DatasetSource, parse_agents
from openpair.features import cache
from openpair.features.config import FeatureConfig
from openpair.files import DiskFull
from openpair.training.state import ResumePoint, load_state, save_state
from test_files import DISK_BYTES, small_disk  # noqa: F401  a fixture


def fill(folder: Path, free_bytes: int) -> Path:
    """A file that leaves so much of the small disk."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)) == 4096:
                pass
        except OSError:
            stream.truncate(path.stat().st_size - free_bytes)
    return path


def test_unfinished_results_keep_what_was_finished(small_disk: Path) -> None:  # noqa: F811
    chunk = ChunkResult([ScoreRow("d", "log", "t", "a", "v1.1", {"x": 1.0}, 1.0, "e" * 9000)], ["digest"])
    with PartialResults(small_disk, {"data": "x"}) as partial:
        partial.add(0, chunk)
        filler = fill(small_disk, 4096)
        with pytest.raises(DiskFull, match="the disk is full"):
            partial.add(1, chunk)
    filler.unlink()
    with PartialResults(small_disk, {"data": "x"}) as again:
        assert again.finished == {0: chunk}  # the line that was cut short is gone
        again.add(1, chunk)
    assert PartialResults(small_disk, {"data": "x"}).finished == {0: chunk, 1: chunk}


def test_an_evaluation_goes_on_when_there_is_space_again(small_disk: Path, tmp_path: Path) -> None:  # noqa: F811
    source = DatasetSource("world", None, {"split": "test", "towns": ["agate"], "max_scenes": 6})
    task = Task(source, parse_agents(["human", "constant_velocity"]), Protocol.V1_1)
    out = small_disk / "out"
    filler = fill(small_disk, 4096)
    with pytest.raises(DiskFull, match=f"{small_disk}.*the disk is full"):
        evaluate(task, out_dir=out)
    assert {path.name for path in out.glob("*")} <= {PARTIAL_FILE}
    filler.unlink()
    assert evaluate(task, out_dir=out).rows == evaluate(task).rows
    assert sorted(path.name for path in out.iterdir()) == ["plans", "scores.csv", "summary.json"]


def test_a_feature_store_that_does_not_fit_is_refused_before_anything_is_seen(small_disk: Path) -> None:  # noqa: F811
    def open_source() -> cache.LoadScene:
        raise AssertionError("opened the data")

    tokens = [f"{number:016x}" for number in range(50)]
    with pytest.raises(DiskFull, match=r"the disk is full: \d+ bytes are missing"):
        cache.build_store(
            small_disk, tokens=tokens, open_source=open_source, data_fingerprint="x", config=FeatureConfig.demo()
        )
    assert not [path for path in small_disk.rglob("*") if path.is_file()]


class Weights:
    """A branch that is nothing but weights."""

    name = "weights"

    def __init__(self, value: float) -> None:
        self.tensors = {"w": torch.full((DISK_BYTES // 16,), value)}  # a quarter of the disk

    def state_tensors(self) -> dict[str, torch.Tensor]:
        return self.tensors

    def scalars(self) -> dict[str, float]:
        return {}

    def restore_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self.tensors = tensors

    def restore_scalars(self, scalars: dict[str, float]) -> None:
        assert scalars == {}


def test_a_training_state_that_does_not_fit_leaves_the_one_before(small_disk: Path) -> None:  # noqa: F811
    folder = small_disk / "branch"
    save_state(folder, Weights(1.0), ResumePoint(10, 1.0), fingerprint="x")  # type: ignore[arg-type]
    before = sorted(path.name for path in folder.iterdir())
    fill(small_disk, 8192)
    with pytest.raises(DiskFull, match=f"{folder}: the disk is full: .* bytes are missing"):
        save_state(folder, Weights(2.0), ResumePoint(20, 2.0), fingerprint="x")  # type: ignore[arg-type]
    assert sorted(path.name for path in folder.iterdir()) == before
    resumed = Weights(0.0)
    assert load_state(folder, resumed, fingerprint="x").next_step == 10  # type: ignore[arg-type]
    np.testing.assert_array_equal(resumed.tensors["w"].numpy(), 1.0)
