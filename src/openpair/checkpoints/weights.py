"""Parameters by name from whatever people call a checkpoint: safetensors or PyTorch, bare or below other names."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from openpair.checkpoints.torch_file import StoredTensor, TorchFile
from openpair.damage import reading
from openpair.errors import OpenPairError

EMA_KEYS = ("ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "ema", "shadow")
STATE_KEYS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "params")
"""Below which names files keep their parameters. The averaged ones, where there are any, are those one drives with."""

DEPTH = 4
"""Names within names that are looked through."""

PEEK_BYTES = 512


@dataclass(frozen=True)
class Weights:
    """Parameters of a file.

    Attributes:
        tensors: by the names that they have there.
        taken_from: where in the file they lie ("state_dict", "model_ema"); empty for a bare state dict.
        left_out: what the file holds besides, by name.
        foreign: classes that the file names, none of which was built.
    """

    tensors: dict[str, Tensor]
    taken_from: str = ""
    left_out: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def read_state(path: Path) -> dict[str, Tensor]:
    """Parameters by name of a file: :func:`read_weights` without the rest."""
    return read_weights(path).tensors


def read_weights(path: Path) -> Weights:
    """Parameters by name from a PyTorch or safetensors file, without executing anything from it.

    Files of training frameworks keep them below a name; averaged parameters (EMA) go before the others. What is no
    tensor is left out and named.

    Raises OpenPairError for a missing, truncated or foreign file, and for one without parameters.
    """
    if not path.is_file():
        raise OpenPairError("there is no such checkpoint file", where=path, fix="Check the path")
    fix = "Give a complete file of plain tensors (torch.save of a state dict, or safetensors); code in it is not run"
    with reading(path, "the checkpoint", fix=fix):
        _refuse_other_things(path)
        if path.suffix == ".safetensors":
            return Weights(load_file(path))
        if zipfile.is_zipfile(path):
            file = TorchFile(path)
            return _found(file.content, path, file)
        return _found(torch.load(path, map_location="cpu", weights_only=True), path)


def _refuse_other_things(path: Path) -> None:
    """Raise OpenPairError for files that downloads leave in a checkpoint's place."""
    with path.open("rb") as stream:
        head = stream.read(PEEK_BYTES)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise OpenPairError("the file is empty", where=path, fix="Download it again")
    if text.startswith(b"version https://git-lfs"):
        raise OpenPairError(
            "this is a Git LFS pointer, not the checkpoint itself",
            where=path,
            fix="Run 'git lfs pull' where it is from",
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise OpenPairError(
            "this is a web page that was saved in place of the checkpoint",
            where=path,
            fix="Download the file itself, not the page that shows it; it may need a login",
        )
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")):
        raise OpenPairError("this is a compressed archive", where=path, fix="Unpack it and give the file inside")


def _found(content: Any, path: Path, file: TorchFile | None = None) -> Weights:
    """The parameters in what a file holds. Raises OpenPairError where there are none."""
    foreign = () if file is None else file.foreign
    place, state = _search(content, DEPTH)
    if state is None:
        held = f"it holds {', '.join(map(str, list(content)[:6]))}" if isinstance(content, dict) and content else ""
        classes = f"of {', '.join(foreign[:3])}, which are not built" if foreign else ""
        raise OpenPairError(
            f"the file holds no state dict{'; ' if held or classes else ''}{' '.join(filter(None, (held, classes)))}",
            where=path,
            fix="Save network.state_dict() with torch.save, or as safetensors",
        )
    tensors = {str(name): value for name, value in state.items() if _is_tensor(value)}
    left_out = [f"{place[-1]}.{name}" if place else str(name) for name, value in state.items() if not _is_tensor(value)]
    if place and isinstance(content, dict):
        left_out += [str(name) for name in content if name != place[0]]
    built = {name: _built(value, file) for name, value in tensors.items()}
    return Weights(built, ".".join(place), tuple(left_out), foreign)


def _search(content: Any, depth: int) -> tuple[tuple[str, ...], Mapping[Any, Any] | None]:
    """Where the state dict lies, and the dictionary itself; None where there is none."""
    if not isinstance(content, dict) or depth == 0:
        return (), None
    for key in (*EMA_KEYS, *STATE_KEYS):
        if isinstance(content.get(key), dict):
            place, state = _search(content[key], depth - 1)
            if state is not None:
                return (key, *place), state
    return (), content if any(map(_is_tensor, content.values())) else None


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (Tensor, StoredTensor))


def _built(value: Tensor | StoredTensor, file: TorchFile | None) -> Tensor:
    if isinstance(value, Tensor):
        return value
    assert file is not None
    return file.tensor(value)
