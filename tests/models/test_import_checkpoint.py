"""Released checkpoints become ours by one command, or one sentence says why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import model_goldens as golden
import pytest
import torch
from torch import Tensor

from openpair.checkpoints import from_plain, load_checkpoint
from openpair.cli.main import main
from openpair.features.config import FeatureConfig


def import_state(folder: Path, state: Mapping[str, Tensor], kind: str) -> tuple[Path, int]:
    """Save as Lightning does, import, and remove the source: these files are large."""
    source, out = folder / "released.ckpt", folder / "ours.safetensors"
    torch.save({"epoch": 7, "state_dict": dict(state)}, source)
    with pytest.raises(SystemExit) as finished:
        main(["import-checkpoint", str(source), "--kind", kind, "--out", str(out)])
    source.unlink()
    return out, int(finished.value.code or 0)


@golden.needs_goldens
def test_an_imported_network_is_the_released_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeded = golden.seeded_state("diffusiondrive")
    released = {f"agent._transfuser_model.{name}": value for name, value in seeded.items()}
    released["agent._transfuser_model._spare_head.bias"] = torch.zeros(3)
    out, status = import_state(tmp_path, released, "diffusiondrive")
    assert status == 0
    assert "left out: 1 (_spare_head.bias)" in capsys.readouterr().out
    network, info = load_checkpoint(out, "diffusiondrive")
    out.unlink()
    assert from_plain(FeatureConfig, json.loads(info.notes["features"])) == FeatureConfig.published()
    state = network.state_dict()
    assert state.keys() == seeded.keys()
    assert all(torch.equal(state[name], value) for name, value in seeded.items())


@golden.needs_goldens
def test_a_checkpoint_with_other_parameters_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {f"agent.WoTE_model.{name}": value for name, value in golden.seeded_state("rwm").items()}
    del state["agent.WoTE_model.reward_trunk.0.bias"]
    state["agent.WoTE_model.reward_trunk.0.weight"] = torch.zeros(2, 2)
    state["agent.WoTE_model.stranger"] = torch.zeros(1)
    out, status = import_state(tmp_path, state, "rwm")
    assert status == 2 and not out.exists()
    complaint = capsys.readouterr().err
    assert "1 missing (reward_trunk.0.bias)" in complaint
    assert "1 unexpected (stranger)" in complaint
    assert "(2, 2) instead of (128, 256)" in complaint
    assert "released.ckpt" in complaint and "Traceback" not in complaint
