"""``openpair bench data``: figures of the caches, from the world and from NAVSIM's files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from openpair.benchmarks.data import write_navsim_files
from openpair.cli.main import main
from openpair.datatypes.columns import Protocol
from openpair.features.config import FeatureConfig
from openpair.training.data import build_training_data
from openpair.training.order import BatchOrder


def test_the_command_prints_figures_of_both_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "data", "--scenes", "3", "--batch", "2", "--json"])
    assert not stop.value.code
    figures = json.loads(capsys.readouterr().out)
    for size in ("demo", "published"):
        assert figures[size]["scenes"] == 3 and all(value > 0 for value in figures[size].values())
    assert figures["published"]["feature_kb_per_scene"] > 2 * figures["demo"]["feature_kb_per_scene"]


def test_training_data_is_the_same_by_batches_or_one_by_one(tmp_path: Path) -> None:
    """Scenes of NAVSIM's files, in the order of an epoch and one by one."""
    spec = write_navsim_files(tmp_path / "data", 5)
    stores = build_training_data(spec, tmp_path / "cache", FeatureConfig.demo(), Protocol.V1_1, workers=1)
    data, other = stores.open(), stores.open()
    order = BatchOrder(len(data.tokens), 2, seed=0)
    for step in range(4):  # two epochs
        indices = order.indices(step)
        together = data.batch(indices)
        alone = [other.batch(np.array([index])) for index in indices]
        assert together.tokens == tuple(one.tokens[0] for one in alone)
        for name, values in {**together.features, **together.targets}.items():
            assert np.array_equal(values, np.concatenate([{**one.features, **one.targets}[name] for one in alone]))


def test_a_batch_larger_than_the_scenes_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "data", "--scenes", "3", "--batch", "4"])
    assert stop.value.code == 2 and "--batch" in capsys.readouterr().err


def test_formats_of_features_are_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "packing", "--scenes", "1", "--json"])
    assert not stop.value.code
    figures = json.loads(capsys.readouterr().out)
    assert figures["raw"]["camera_kb"] == 786.432
    assert all(figures[name]["camera_kb"] < 300 and figures[name]["rest_kb"] < 30 for name in ("ours", "png", "webp"))
    with pytest.raises(SystemExit) as stop:
        main(["bench", "packing", "--images", str(tmp_path / "absent.jpg")])
    assert stop.value.code == 2 and "--images" in capsys.readouterr().err
