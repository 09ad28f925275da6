"""'openpair cache' and 'openpair train' name the same scenes alike, so that training finds what was cached."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

import pytest

from openpair.cli.cache import Cache
from openpair.cli.train import Train
from openpair.configs.experiment import preset
from openpair.configs.train import data_specs
from openpair.training.data import DataSpec, source_of

CASES = Path(__file__).parents[3] / "shared" / "cases" / "field"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of NAVSIM logs with maps."""
    out = tmp_path_factory.mktemp("field")
    subprocess.run(["bash", str(CASES / "prepare.sh"), str(out)], check=True)
    return out / "08_plain"


FILTER = """
log_names: null
tokens: [{token}]
"""


@pytest.mark.parametrize("naming", ["split", "list", "filter"])
def test_the_same_scenes_of_navsim_have_the_same_stores(root: Path, tmp_path: Path, naming: str) -> None:
    token = (CASES / "one_token.txt").read_text().split()[0]
    tokens = {"split": None, "list": CASES / "one_token.txt", "filter": tmp_path / "filter.yaml"}[naming]
    (tmp_path / "filter.yaml").write_text(FILTER.format(token=token))
    name, options = Cache("navsim", tmp_path, root=root, split="mini", tokens=tokens)._dataset()
    cached = DataSpec(name, str(root), options)
    trained = data_specs(preset("quick"), "navsim", root, train_split="mini", tokens=tokens)["train"]
    assert source_of(cached.open()) == source_of(trained.open())
    assert [key.token for key in trained.open().keys()] == (
        [token] if tokens else [k.token for k in cached.open().keys()]
    )


def test_training_finds_what_was_cached(tmp_path: Path) -> None:
    small = preset("quick")
    cache: Literal["world"] = "world"
    Cache(
        cache, tmp_path / "c", split="train", max_scenes=small.train_scenes, preset="quick", features=True, workers=1
    ).run()
    before = sorted(tmp_path.glob("c/*/*"))
    Train("il", tmp_path / "run", cache=tmp_path / "c", config=small, workers=1).run()
    after = sorted(tmp_path.glob("c/*/*"))
    assert set(before) <= set(after)
    assert len(list(tmp_path.glob("c/prepared-*"))) == 2 and len(list(tmp_path.glob("c/features/*"))) == 2  # train, val
