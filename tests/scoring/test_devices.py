"""What can be checked of the CUDA path without a GPU: code generation for CUDA, and torch memory on the CPU."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
import warp as wp
from scoring_golden import IN_REPOSITORY, load

from openpair.geometry.warp_runtime import start_warp
from openpair.scoring import prepare_case, run, score_prepared
from openpair.scoring.devices import Room
from openpair.scoring.prepared import prepare


@pytest.mark.parametrize("module", ["openpair.simulation.kernels", "openpair.scoring.kernels"])
def test_kernels_compile_for_cuda(module: str, tmp_path: Path) -> None:
    start_warp()
    if not hasattr(wp, "compile_aot_module"):
        pytest.skip("this version of Warp does not compile modules ahead of time")
    if not wp.get_cuda_toolkit_version():
        pytest.skip("this build of Warp has no CUDA compiler")
    wp.compile_aot_module(module, arch=80, module_dir=tmp_path, use_ptx=True)
    (ptx,) = tmp_path.glob("*.ptx")
    assert ".target sm_80" in ptx.read_text()


@pytest.mark.parametrize("version", ["v1/case006", "v2/case065"])
def test_torch_memory_gives_the_same_scores(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = load(IN_REPOSITORY / f"{version}.npz")
    scene = prepare_case(case, "v1.1" if version.startswith("v1") else "v2.2")
    prepare(scene)
    expected = score_prepared(scene, case["trajs"])
    monkeypatch.setattr(run, "Room", functools.partial(Room, torch_memory=True))
    monkeypatch.setattr(run, "MAX_PLANS", 0)  # small calls would keep their own memory
    actual = score_prepared(scene, case["trajs"])
    assert isinstance(actual.score, torch.Tensor)
    np.testing.assert_array_equal(actual.score.numpy(), expected.score)
    for name, values in expected.evidence.items():
        np.testing.assert_array_equal(actual.evidence[name].numpy(), values, err_msg=name)
    for name, values in expected.metrics.items():
        np.testing.assert_array_equal(actual.metrics[name].numpy(), values, err_msg=name)
