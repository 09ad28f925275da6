"""Building: deterministic, resumable, clear without SUMO."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from openpair.datasets.world.dataset import WorldDataset
from openpair.errors import OpenPairError
from openpair.worldgen import build
from openpair.worldgen.catalogue import default_recipes
from openpair.worldgen.recipes import StreetPattern, TownRecipe

TINY = TownRecipe("tiny", "val", 7, StreetPattern.GRID, (3, 3), block_m=120.0, episodes=1, logs=2)

needs_sumo = pytest.mark.skipif(importlib.util.find_spec("libsumo") is None, reason="SUMO is not installed")


@needs_sumo
def test_same_seed_same_bytes(tmp_path: Path) -> None:
    first = build.build_world([TINY], tmp_path / "a", workers=1)
    second = build.build_world([TINY], tmp_path / "b", workers=1)
    assert first["hash"] == second["hash"]
    path = tmp_path / "a" / "tiny.town"
    assert path.read_bytes() == (tmp_path / "b" / "tiny.town").read_bytes()
    world = WorldDataset("val", tmp_path / "a")
    assert len(world) > 0
    stamp = path.stat().st_mtime_ns
    build.build_world([TINY], tmp_path / "a", workers=1)
    assert path.stat().st_mtime_ns == stamp, "a finished town is kept"


def test_recipes_are_distinct_and_split_by_town() -> None:
    recipes = default_recipes()
    assert len({recipe.name for recipe in recipes}) == len({recipe.seed for recipe in recipes}) == len(recipes)
    count = {split: sum(recipe.split == split for recipe in recipes) for split in ("train", "val", "test")}
    assert count["train"] >= 12 and count["val"] >= 3 and count["test"] >= 4


def test_without_sumo_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> str:
        raise build.PackageNotFoundError(name)

    monkeypatch.setattr(build, "version", absent)
    with pytest.raises(OpenPairError, match=r"openpair\[world\]"):
        build.build_world([TINY], tmp_path)
