"""Checkpoints: released files under all their names, our own round trip, and everything that is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import model_goldens as golden
import pytest
import torch
from torch import Tensor

from openpair.checkpoints import (
    build_network,
    from_plain,
    load_checkpoint,
    load_released,
    read_state,
    save_checkpoint,
    to_plain,
)
from openpair.checksums import read_sealed_json
from openpair.errors import OpenPairError
from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.kinematic_tree import KinematicTree
from openpair.samplers.parallel_ir import ParallelIRConfig


@pytest.fixture(scope="module")
def policy() -> Transfuser:
    torch.manual_seed(0)
    return Transfuser(TransfuserConfig.small())


def test_round_trip_keeps_parameters_configuration_and_figures(tmp_path: Path, policy: Transfuser) -> None:
    save_checkpoint(tmp_path / "il.safetensors", policy, seed=3, metrics={"distance_m": 1.5}, notes={"data": "world"})
    loaded, info = load_checkpoint(tmp_path / "il.safetensors", "transfuser")
    assert info.config == policy.config and info.seed == 3 and info.metrics == {"distance_m": 1.5}
    assert info.versions["torch"] and info.notes == {"data": "world"}
    assert not loaded.training
    for name, value in policy.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize(
    "config",
    [
        TransfuserConfig.published_latent(),
        ParallelIRConfig.published(),
        replace(KinematicTreeConfig.small(), initial_bias=-1, codes=("0000", "1111")),
        PoseAwareConfig.small(),
    ],
    ids=lambda config: type(config).__name__,
)
def test_configurations_survive_json(config: object) -> None:
    assert from_plain(type(config), json.loads(json.dumps(to_plain(config)))) == config


def test_a_checkpoint_of_another_network_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "tree.safetensors", KinematicTree(KinematicTreeConfig.small()))
    with pytest.raises(OpenPairError, match=r"of 'kinematic', not of 'transfuser'"):
        load_checkpoint(tmp_path / "tree.safetensors", "transfuser")


def test_missing_and_damaged_files_are_named(tmp_path: Path, policy: Transfuser) -> None:
    path = tmp_path / "il.safetensors"
    with pytest.raises(OpenPairError, match="JSON is missing"):
        load_checkpoint(path)
    save_checkpoint(path, policy)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(OpenPairError, match="checkpoint cannot be read"):
        load_checkpoint(path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(OpenPairError, match="JSON cannot be read"):
        load_checkpoint(path)


def test_a_configuration_with_a_foreign_field_is_damaged(tmp_path: Path, policy: Transfuser) -> None:
    path = tmp_path / "il.safetensors"
    save_checkpoint(path, policy)
    record = read_sealed_json(path.with_suffix(".json"))
    record["config"]["wings"] = 2
    path.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(OpenPairError, match="no wings"):
        load_checkpoint(path)


def test_files_that_would_run_code_are_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("code from the file ran",)

    path = tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": Bomb()}))
    with pytest.raises(OpenPairError, match="the checkpoint cannot be read"):
        read_state(path)


def test_lightning_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, path)
    assert torch.equal(read_state(path)["a"], torch.ones(2))


def test_unknown_kinds_and_wrong_configurations_are_refused() -> None:
    with pytest.raises(OpenPairError, match="no network 'resnet'"):
        build_network("resnet")
    with pytest.raises(OpenPairError, match="does not configure"):
        build_network("transfuser", ParallelIRConfig.small())


@golden.needs_goldens
@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        ("transfuser", "agent._transfuser_model."),
        ("parallel_ir", "_transfuser_model."),
        ("rwm", "agent.WoTE_model."),
        ("rwm", ""),
    ],
)
def test_released_checkpoints_load_under_their_prefixes(kind: str, prefix: str) -> None:
    seeded = golden.seeded_state(kind)
    released = {prefix + name: value for name, value in seeded.items()}
    if kind == "parallel_ir":
        added = golden.read_json("listings/parallel_ir.json")["keys_added_by_first_forward"]
        released |= {prefix + name: torch.zeros(1) for name in added}
        assert len(released) == 849
    network = load_released(released, kind)
    assert not network.training
    assert all(torch.equal(network.state_dict()[name], value) for name, value in seeded.items())


@golden.needs_goldens
def test_what_differs_from_the_network_is_named() -> None:
    state: dict[str, Tensor] = dict(golden.seeded_state("rwm"))
    state["stranger"] = torch.zeros(1)
    del state["reward_trunk.0.bias"]
    state["reward_trunk.0.weight"] = torch.zeros(2, 2)
    with pytest.raises(OpenPairError) as caught:
        load_released(state, "rwm")
    message = str(caught.value)
    assert "1 missing (reward_trunk.0.bias)" in message
    assert "1 unexpected (stranger)" in message
    assert "reward_trunk.0.weight (2, 2) instead of (128, 256)" in message


def test_files_that_do_not_belong_together_are_noticed(tmp_path: Path, policy: Transfuser) -> None:
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "a.safetensors", policy)
    save_checkpoint(tmp_path / "b.safetensors", Transfuser(TransfuserConfig.small()))
    (tmp_path / "b.json").write_bytes((tmp_path / "a.json").read_bytes())
    with pytest.raises(OpenPairError, match="not those that were saved with the JSON"):
        load_checkpoint(tmp_path / "b.safetensors")


def test_parameters_that_are_nan_are_refused(tmp_path: Path, policy: Transfuser) -> None:
    broken = Transfuser(policy.config)
    with torch.no_grad():
        broken._status_encoding.bias[0] = torch.nan
    save_checkpoint(tmp_path / "a.safetensors", broken)
    with pytest.raises(OpenPairError, match=r"1 parameters hold NaN \(_status_encoding.bias\)"):
        load_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"kind": "resnet"}, "unknown network 'resnet'"),
        ({"config": []}, "cannot be read"),
        ({"config": None}, "cannot be read"),
        ({"notes": 3}, "cannot be read"),
        ({"kind": "kinematic"}, "cannot be read"),
        ({"config": {"is": "TransfuserConfig", "trunk": {"is": "TrunkConfig", "heads": 0}}}, "cannot be built"),
    ],
)
def test_jsons_of_something_else_are_one_sentence(
    tmp_path: Path, policy: Transfuser, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "il.safetensors"
    save_checkpoint(path, policy)
    record = read_sealed_json(path.with_suffix(".json"))
    path.with_suffix(".json").write_text(json.dumps({**record, **change}))
    with pytest.raises(OpenPairError, match=message):
        load_checkpoint(path)
