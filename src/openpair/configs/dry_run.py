"""A training run tried out: two steps of a branch, and from them its memory, disk and time."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from openpair.configs.runs import BRANCH_FILES, RunPlan
from openpair.training.loop import BranchRun, Listener

FOLDER = ".dry-run"
"""In the run folder, while it lasts."""


@dataclass(frozen=True)
class Estimate:
    """What a branch needs, by its second step.

    Attributes:
        branch: its name.
        device: where it ran.
        steps: that it takes in all.
        batch_size: scenes of a step, on all ranks.
        step_s: time of the second step [s].
        memory_bytes: greatest memory on this rank: of the GPU, or of the process on a CPU.
        disk_bytes: saved state (twice, while it is replaced) and finished network.
        free_bytes: free where the run folder lies.
    """

    branch: str
    device: str
    steps: int
    batch_size: int
    step_s: float
    memory_bytes: int
    disk_bytes: int
    free_bytes: int

    def sentence(self) -> str:
        """All of it on a line."""
        gb = 1e-9
        return (
            f"{self.branch}: {self.steps} steps of {self.batch_size} scenes at {self.batch_size / self.step_s:.1f} "
            f"scenes/s take {self.steps * self.step_s / 3600:.1f} h, validation not counted; "
            f"memory on {self.device} {self.memory_bytes * gb:.2f} GB; "
            f"disk {self.disk_bytes * gb:.2f} GB of {self.free_bytes * gb:.0f} GB free"
        )


def try_out(plan: RunPlan, branch: str, device: str, listener: Listener) -> Estimate:
    """Start a branch, do two steps, and throw away what they left. Raises what starting and training raise."""
    with _apart(plan) as apart:
        run = apart.starter(branch)(device, listener)
        on_cuda = torch.device(device).type == "cuda"
        step_s = second_step_s(run, device)
        state = sum(tensor.nbytes for tensor in run.branch.state_tensors().values())
        network = sum(tensor.nbytes for tensor in run.branch.network.state_dict().values())
        memory = torch.cuda.max_memory_allocated(device) if on_cuda else _process_memory()
        plan.ranks.of_leader(None)  # the folder is there until all are done
    return Estimate(
        branch,
        device,
        run.branch.total_steps,
        run.branch.config.batch_size,
        step_s,
        memory,
        2 * state + network,
        shutil.disk_usage(plan.folder).free,
    )


def second_step_s(run: BranchRun, device: str) -> float:
    """Do two steps of a branch that has just been started; time of the second [s], when all is warm."""
    times = [time.perf_counter()]
    for step in range(2):
        run.branch.step(step)
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter())
    return times[2] - times[1]


@contextmanager
def _apart(plan: RunPlan) -> Iterator[RunPlan]:
    """The run in a folder of its own, which sees the finished networks of the real one."""
    folder = plan.folder.resolve() / FOLDER
    if plan.ranks.leads:
        shutil.rmtree(folder, ignore_errors=True)
        for file in BRANCH_FILES.values():
            finished = plan.folder.resolve() / file
            if finished.exists():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                for path in (finished, finished.with_suffix(".json")):
                    (folder / file).with_name(path.name).symlink_to(path)
    plan.ranks.of_leader(None)
    try:
        yield replace(plan, folder=folder)
    finally:
        if plan.ranks.leads:
            shutil.rmtree(folder, ignore_errors=True)


def _process_memory() -> int:
    """Greatest memory of this process so far [bytes]."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if os.uname().sysname == "Darwin" else kilobytes * 1024
