"""Every branch trains on a CUDA device, two at a time on one, and ends with weights that a CPU reads."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from openpair.checkpoints import load_checkpoint
from openpair.cli.main import main
from openpair.configs.runs import BRANCH_FILES, SEQUENTIAL_SCHEMES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def train(out: Path, what: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", what, "--preset", "quick", "--out", str(out), "--devices", "cuda:0"])
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which everything was trained on the first CUDA device."""
    out = tmp_path_factory.mktemp("cuda") / "run"
    for what in ("parallel", "reward", *SEQUENTIAL_SCHEMES):
        train(out, what)
    return out


@pytest.mark.parametrize("branch", ["il", "rl", "reward", *SEQUENTIAL_SCHEMES])
def test_a_branch_ends_with_finite_weights_that_a_cpu_reads(run: Path, branch: str) -> None:
    network = load_checkpoint(run / BRANCH_FILES[branch])[0]
    assert all(not p.is_cuda and bool(p.isfinite().all()) for p in network.parameters())


def test_curves_are_finite(run: Path) -> None:
    for branch in ("il", "rl", "reward"):
        lines = [json.loads(line) for line in (run / branch / "curve.jsonl").read_text().splitlines()]
        assert lines and all(math.isfinite(value) for line in lines for value in line.values())


def test_what_is_trained_is_left_as_it_is(run: Path) -> None:
    before = {branch: load_file(run / BRANCH_FILES[branch]) for branch in ("il", "rl")}
    train(run, "parallel")
    for branch, weights in before.items():
        again = load_file(run / BRANCH_FILES[branch])
        assert all(torch.equal(again[name], value) for name, value in weights.items())
