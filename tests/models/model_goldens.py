"""Golden inputs, weights and outputs of the published networks (see ../shared/golden/models)."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "golden" / "models"

needs_goldens = pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/golden/models is not there")


@lru_cache
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_recipe", FOLDER / "recipe.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_json(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


@lru_cache
def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@lru_cache
def seeded_state(name: str) -> dict[str, Tensor]:
    listing = read_json(f"listings/{name}.json")
    return {k: torch.from_numpy(np.asarray(v)) for k, v in recipe().weights(listing["tensors"]).items()}


def inputs() -> dict[str, Tensor]:
    return {k: torch.from_numpy(v) for k, v in recipe().inputs().items()}


def targets() -> dict[str, Tensor]:
    return {k: torch.from_numpy(v) for k, v in arrays("train_targets.npz").items()}


def assert_same_state_names(module: nn.Module, name: str) -> None:
    listing = {e["key"]: tuple(e["shape"]) for e in read_json(f"listings/{name}.json")["tensors"]}
    ours = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    assert ours == listing


def assert_close(name: str, key: str, value: Tensor) -> None:
    """Compare with the golden at ten times its float32-float64 difference, at least 1e-5."""
    tolerance = max(1e-5, 10 * read_json(f"{name}_tolerance.json")[key]["max_abs_f32_minus_f64"])
    expected = arrays(f"{name}.npz")[key]
    assert value.shape == expected.shape
    difference = np.abs(value.detach().numpy() - expected).max()
    assert difference <= tolerance, f"{key}: differs by {difference:.2e}, tolerance {tolerance:.1e}"


def stage_sample(x: Tensor) -> Tensor:
    """The strides at which inner maps are stored."""
    c, h, w = x.shape[1:]
    return x[:, :: max(c // 8, 1), :: max(h // 4, 1), :: max(w // 8, 1)]


@contextmanager
def captured(module: nn.Module, path: str) -> Iterator[list[Any]]:
    """Outputs of a submodule during the block."""
    seen: list[Any] = []
    handle = module.get_submodule(path).register_forward_hook(lambda _m, _i, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()
