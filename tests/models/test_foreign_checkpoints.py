"""Checkpoints as people have them: wrapped, averaged, with foreign classes, and files that are none. Nothing runs."""

from __future__ import annotations

import argparse
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from openpair.checkpoints import load_checkpoint, load_released, own_names, read_state, read_weights, recognise
from openpair.cli.main import main
from openpair.errors import OpenPairError
from openpair.policies.transfuser import Transfuser

TELLING = "_trajectory_head._mlp.0.weight"
CASES = Path(__file__).parents[3] / "shared" / "cases" / "field"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Every parameter of the published TransFuser, as a view of one number: files stay small."""
    return {name: torch.zeros(()).expand(value.shape) for name, value in Transfuser().state_dict().items()}


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "model.", "agent.", "module._orig_mod.model.agent._transfuser_model.", "wrapped_by_us."],
)
def test_wrappers_are_taken_off(state: dict[str, Tensor], prefix: str) -> None:
    wrapped = {prefix + name: value for name, value in state.items()}
    wrapped["some_loss.weight"] = torch.ones(1)
    assert recognise(wrapped, where="here") == "transfuser"
    assert own_names(wrapped, Transfuser).keys() - {"some_loss.weight"} == state.keys()


def test_compiled_parts_within_the_network_are_unwrapped(state: dict[str, Tensor]) -> None:
    inner = {
        f"model.{name.replace('_trajectory_head.', '_trajectory_head._orig_mod.')}": v for name, v in state.items()
    }
    assert any("_orig_mod" in name for name in inner)
    load_released(inner, "transfuser")


@pytest.mark.parametrize("key", ["ema", "model_ema", "ema_state_dict"])
@pytest.mark.parametrize("nested", [False, True])
def test_averaged_parameters_go_before_the_others(tmp_path: Path, key: str, nested: bool) -> None:
    averaged: dict[str, Any] = {"module.a": torch.full((2,), 2.0), "n_averaged": torch.tensor(5)}
    content = {
        "epoch": 3,
        "model": {"a": torch.ones(2)},
        key: {"state_dict": averaged, "decay": 0.999} if nested else averaged,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
    }
    torch.save(content, tmp_path / "a.pt")
    weights = read_weights(tmp_path / "a.pt")
    assert torch.equal(weights.tensors["module.a"], torch.full((2,), 2.0))
    assert weights.taken_from == (f"{key}.state_dict" if nested else key)
    assert {"epoch", "model", "optimizer"} <= set(weights.left_out)


def test_averaged_parameters_within_one_state_dict_are_preferred() -> None:
    both = {f"model.{TELLING}": torch.ones(1), f"model_ema.{TELLING}": torch.zeros(1), "model.b": torch.ones(1)}
    assert own_names(both, Transfuser) == {TELLING: torch.zeros(1)}


class Bomb:
    """Would run code while it is unpickled, were it built."""

    def __init__(self, action: Callable[..., object], *args: object) -> None:
        self.action = (action, args)

    def __reduce__(self) -> tuple[Any, Any]:
        return self.action


def test_foreign_classes_are_named_and_not_built(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    content = {
        "state_dict": {
            "a": torch.arange(6.0).reshape(2, 3).T,
            "b": torch.nn.Parameter(torch.ones(2, dtype=torch.half)),
        },
        "hyper_parameters": argparse.Namespace(rate=np.float64(0.1), path=Path("x")),
        "numbers": np.arange(3),
        "bomb": Bomb(Path.touch, witness),
        "another": Bomb(exec, f"open({str(witness)!r}, 'w')"),
    }
    torch.save(content, tmp_path / "a.ckpt")
    weights = read_weights(tmp_path / "a.ckpt")
    assert not witness.exists()
    assert torch.equal(weights.tensors["a"], torch.arange(6.0).reshape(2, 3).T)
    assert weights.tensors["b"].dtype == torch.half
    assert set(weights.left_out) == {"hyper_parameters", "numbers", "bomb", "another"}
    assert {"argparse.Namespace", "builtins.exec"} <= set(weights.foreign)


def test_a_network_saved_whole_is_named(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pt")
    with pytest.raises(OpenPairError, match=r"no state dict; of torch.nn.modules.linear.Linear, "):
        read_state(tmp_path / "a.pt")


def test_what_a_file_holds_instead_of_parameters_is_named(tmp_path: Path) -> None:
    torch.save({"epoch": 1, "config": {"lr": 0.1}}, tmp_path / "a.pt")
    with pytest.raises(OpenPairError, match="no state dict; it holds epoch, config"):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"<html></html>", "web page"),
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00", "compressed archive"),
        (b"PK\x03\x04 cut short", "checkpoint cannot be read"),
    ],
)
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_other_things_are_called_what_they_are(tmp_path: Path, content: bytes, message: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(OpenPairError, match=message):
        read_state(path)


def test_a_torchscript_program_is_called_so(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "a.pt")
    with pytest.raises(OpenPairError, match="TorchScript"):
        read_state(tmp_path / "a.pt")


def _zip(path: Path, pickled: bytes, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/data.pkl", pickled)
        for name, content in records.items():
            archive.writestr(f"a/data/{name}", content)
    return path


def _pickled_tensor(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A state dict with one tensor over a storage of two numbers, as torch.save writes it."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", 2) if isinstance(thing, Storage) else None

    stream = io.BytesIO()
    rebuild = torch._utils._rebuild_tensor_v2  # type: ignore[attr-defined]
    Pickler(stream, protocol=2).dump({"a": Bomb(rebuild, Storage(), offset, size, stride, False, {})})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (1 << 40,), (1,)), (1, (2,), (1,)), (0, (2,), (1 << 60,)), (-1, (1,), (1,)), (0, (2,), (-1,))],
)
def test_tensors_beyond_what_is_stored_are_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    path = _zip(tmp_path / "a.pt", _pickled_tensor(offset, size, stride), {"0": bytes(8)})
    with pytest.raises(OpenPairError, match="checkpoint cannot be read"):
        read_state(path)
    good = _zip(tmp_path / "b.pt", _pickled_tensor(0, (2,), (1,)), {"0": bytes(8)})
    assert torch.equal(read_state(good)["a"], torch.zeros(2))


def test_bombs_are_refused(tmp_path: Path) -> None:
    memo = b"\x80\x02N" + b"r" + (1 << 31).to_bytes(4, "little") + b"."  # a memo of two thousand million entries
    with pytest.raises(OpenPairError):
        read_state(_zip(tmp_path / "memo.pt", memo, {}))
    with pytest.raises(OpenPairError, match="checkpoint cannot be read"):
        read_state(_zip(tmp_path / "array.pt", b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".", {}))
    with pytest.raises(OpenPairError, match="checkpoint cannot be read"):
        read_state(_zip(tmp_path / "zip.pt", bytes(1 << 24), {}, zipfile.ZIP_DEFLATED))
    deep = b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"Ns."  # a key that no stack can hash
    with pytest.raises(OpenPairError, match="no state dict"):
        read_state(_zip(tmp_path / "deep.pt", deep, {}))


def test_any_damage_is_one_sentence(tmp_path: Path) -> None:
    """Bytes changed anywhere: the same tensors, other numbers in them, or one error."""
    torch.save({"state_dict": {"a": torch.ones(2), "b": torch.zeros(3, 4)}, "x": argparse.Namespace()}, tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=random.integers(1, 4)):
            damaged[place] = random.integers(256)
        if random.random() < 0.2:
            damaged = damaged[: random.integers(len(whole))]
        (tmp_path / "b").write_bytes(damaged)
        try:
            read_state(tmp_path / "b")
        except OpenPairError:
            refused += 1
    assert refused > 100


@pytest.mark.skipif(not CASES.is_dir(), reason=f"there are no cases in {CASES}")
@pytest.mark.parametrize("options", [["--kind", "transfuser"], []])
def test_the_case_with_a_prefix_is_imported(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ours.safetensors"
    with pytest.raises(SystemExit) as finished:
        main(["import-checkpoint", str(CASES / "03_ddp_prefix.ckpt"), *options, "--out", str(out)])
    assert finished.value.code == 0
    assert "taken from: state_dict" in capsys.readouterr().out
    policy, info = load_checkpoint(out, "transfuser")
    assert info.kind == "transfuser" and isinstance(policy, Transfuser)
    assert policy.config.trunk.backbone.latent
    out.unlink()
