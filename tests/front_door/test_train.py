"""``openpair.train`` finds what ``openpair cache`` prepared, and refuses what cannot be trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import openpair
from openpair.cli.main import main

SCENES = 4


def stores(folder: Path) -> set[str]:
    return {path.name for path in (*folder.glob("prepared-*"), *(folder / "features").iterdir()) if path.is_dir()}


def test_cached_scenes_are_not_prepared_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for split in ("train", "val"):
        arguments = ["--dataset", "world", "--split", split, "--max-scenes", str(SCENES), "--out", str(cache)]
        with pytest.raises(SystemExit) as done:
            main(["cache", *arguments, "--features", "--preset", "quick", "--workers", "1"])
        assert not done.value.code
    before = stores(cache)
    assert len(before) == 4
    quick = openpair.preset("quick")
    config = replace(
        quick, train_scenes=SCENES, validation_scenes=SCENES, imitation=replace(quick.imitation, steps=1, batch_size=2)
    )
    files = openpair.train("il", tmp_path / "run", config, cache=cache, workers=1)
    assert stores(cache) == before
    network, info = openpair.load_checkpoint(files["il"])
    assert not network.training and info.notes["preset"] == "quick"


@pytest.mark.parametrize(("what", "says"), [("ill", "no branch 'ill'"), ("reward", "there is none")])
def test_what_cannot_be_trained_is_refused(what: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(openpair.OpenPairError, match=says):
        openpair.train(what, tmp_path, "quick")
