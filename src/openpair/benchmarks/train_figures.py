"""Figures of ``openpair bench train``: steps of the branches' own code, with their parts timed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from openpair.benchmarks.networks import OperationCounter
from openpair.configs.experiment import ExperimentConfig, preset
from openpair.configs.runs import RunPlan, branch_settings
from openpair.configs.train import build_stores
from openpair.training.branch import Branch
from openpair.training.data import DataSpec
from openpair.training.optimiser import computes_bfloat16

if TYPE_CHECKING:
    from openpair.benchmarks.train import BenchTrain

Value = TypeVar("Value")

WARM_UP = 2
"""Steps before those that are measured."""

MATRIX = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices whose product says what a device reaches."""


def measure(bench: BenchTrain) -> dict[str, dict[str, Any]]:
    """Figures of each network by name."""
    threads = torch.get_num_threads()
    torch.set_num_threads(bench.threads or threads)
    try:
        return _measure(bench)
    finally:
        torch.set_num_threads(threads)


def _measure(bench: BenchTrain) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary:
        plan = _plan(bench, Path(temporary))
        if "reward" in bench.branches:  # it learns from the leaves of a sampler: an untrained one serves
            run = plan.starter("rl")(bench.device, lambda progress: None)
            run.branch.export(run.folder, {})
        return {branch: _figures(bench, plan, branch) for branch in bench.branches}


def _plan(bench: BenchTrain, folder: Path) -> RunPlan:
    config = preset(bench.preset)
    if bench.batch_size:
        config = _with_batch(config, bench.batch_size)
    scenes = bench.scenes or max(branch_settings(config, branch).batch_size for branch in bench.branches)
    specs = {"train": DataSpec(options={"split": "train", "max_scenes": scenes})}
    stores = build_stores(specs, config, bench.cache or folder / "data", 0)
    return RunPlan(config, stores["train"], None, folder)


def _with_batch(config: ExperimentConfig, size: int) -> ExperimentConfig:
    return replace(
        config,
        imitation=replace(config.imitation, batch_size=size),
        reinforcement=replace(config.reinforcement, batch_size=size),
        reward_model=replace(config.reward_model, batch_size=size),
    )


def _figures(bench: BenchTrain, plan: RunPlan, name: str) -> dict[str, Any]:
    branch = plan.starter(name)(bench.device, lambda progress: None).branch
    on_cuda = torch.device(bench.device).type == "cuda"
    for step in range(WARM_UP):
        branch.step(step)
    spent = {"data": 0.0, "reward": 0.0}
    with (
        _timed(branch.loader, "batch", spent, "data"),
        _timed(getattr(branch, "reward", None), "score", spent, "reward"),
    ):
        _finish(bench.device)
        started, processor_started = time.perf_counter(), time.process_time()
        for step in range(WARM_UP, WARM_UP + bench.steps):
            branch.step(step)
        _finish(bench.device)
        seconds, processor_s = time.perf_counter() - started, time.process_time() - processor_started
    precision = branch_settings(plan.config, name).precision
    rate = _operations(branch, WARM_UP + bench.steps, on_cuda) * bench.steps / seconds
    figures = {
        "scenes/s": branch.config.batch_size * bench.steps / seconds,
        "s a step": seconds / bench.steps,
        "processor s a step": processor_s / bench.steps,
        "share waiting for data": spent["data"] / seconds,
        "share waiting for reward": spent["reward"] / seconds,
        "operations a second, 1e12": rate / 1e12,
        "share of a matrix product": rate / _reached(bench.device, precision),
    }
    if on_cuda:
        figures["share the GPU is busy"] = _busy(branch, WARM_UP + bench.steps + 1, bench.device)
        figures["GPU memory, GB"] = torch.cuda.max_memory_allocated(bench.device) / 1e9
    return figures


@contextmanager
def _timed(owner: Any, method: str, spent: dict[str, float], what: str) -> Iterator[None]:
    """Time spent in a method of an object, while the block lasts; of None, nothing."""
    if owner is None:
        yield
        return
    call: Callable[..., Any] = getattr(owner, method)

    def timed(*args: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(*args, **options)
        finally:
            spent[what] += time.perf_counter() - started

    setattr(owner, method, timed)
    try:
        yield
    finally:
        delattr(owner, method)


def _operations(branch: Branch, step: int, on_cuda: bool) -> float:
    """Floating-point operations of a step. On a GPU the backward pass, which runs in another thread, counts twice the
    forward pass, as it does for products of matrices."""
    with OperationCounter() as counter:
        branch.step(step)
    return float(counter.total) * (3 if on_cuda else 1)


def _busy(branch: Branch, step: int, device: str) -> float:
    """Share of a step in which the GPU computes."""
    from torch.profiler import ProfilerActivity, profile

    _finish(device)
    started = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        branch.step(step)
        _finish(device)
    seconds = time.perf_counter() - started
    return sum(float(event.self_device_time_total) for event in seen.key_averages()) * 1e-6 / seconds


def _reached(device: str, precision: str) -> float:
    """Floating-point operations a second of a large matrix product on a device."""
    kind = torch.device(device).type
    size = MATRIX["cuda" if kind == "cuda" else "cpu"]
    half = precision == "bfloat16" and computes_bfloat16(kind)
    matrix = torch.rand(size, size, device=device, dtype=torch.bfloat16 if half else torch.float32)
    matrix @ matrix
    _finish(device)
    started = time.perf_counter()
    for _ in range(5):
        matrix @ matrix
    _finish(device)
    return 5 * 2 * size**3 / (time.perf_counter() - started)


def _finish(device: str) -> None:
    """Wait for all that was asked of a GPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
