"""Opening datasets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from openpair.datasets.registry import open_dataset
from openpair.errors import OpenPairError


def test_opens_by_name(navsim_root: Path, argoverse2_root: Path) -> None:
    assert open_dataset("navsim", navsim_root, split="mini", scene_filter=None).name == "navsim"
    assert open_dataset("argoverse2", argoverse2_root).name == "argoverse2"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("navsym", {}, "Did you mean 'navsim'"),
        ("nuscenes", {}, "There are: world, navsim, navsim_two_stage, argoverse2"),
        ("navsim", {"splitt": "mini"}, "Did you mean 'split'"),
        ("argoverse2", {"x": 1}, "It knows: interval, starts"),
        ("argoverse2", {}, "needs a folder"),
    ],
)
def test_mistakes_are_explained(name: str, options: dict, message: str) -> None:
    with pytest.raises(OpenPairError, match=message):
        open_dataset(name, None, **options)
