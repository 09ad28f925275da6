"""A small world folder: one shipped town, so that tests of files stay fast."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from openpair.checksums import sealed_json
from openpair.datasets.world.dataset import DATA_DIR, INDEX_NAME, read_index


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first validation town with its first three logs."""
    folder = tmp_path_factory.mktemp("world")
    index = read_index(DATA_DIR)
    town = next(town for town in index["towns"] if town["split"] == "val")
    town["logs"] = dict(list(town["logs"].items())[:3])
    shutil.copy(DATA_DIR / f"{town['name']}.town", folder)
    (folder / INDEX_NAME).write_bytes(sealed_json({**index, "towns": [town]}))
    return folder
