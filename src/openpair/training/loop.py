"""The loop that every branch runs through: steps, logging, validation, saving, resuming."""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.training.branch import Branch
from openpair.training.config import LoopConfig
from openpair.training.curve_file import CURVE_FILE, read_curve
from openpair.training.state import ResumePoint, load_state, save_state


@dataclass(frozen=True)
class Progress:
    """What a running branch tells about itself.

    Attributes:
        branch: name of the branch.
        step: steps done.
        total_steps: steps to do.
        figures: latest figures, by name.
    """

    branch: str
    step: int
    total_steps: int
    figures: dict[str, float]


Listener = Callable[[Progress], None]


class BranchRun:
    """One branch on its way through its steps; :meth:`advance` does one step, so several runs can be interleaved."""

    def __init__(self, branch: Branch, folder: Path, config: LoopConfig, fingerprint: str, listener: Listener) -> None:
        self.branch = branch
        self.folder = folder
        self.config = config
        self.fingerprint = fingerprint
        self.listener = listener
        start = load_state(folder, branch, fingerprint=fingerprint)
        self.next_step, self.seconds = start.next_step, start.seconds
        self._pending = start.pending
        self._last: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._curve = folder / CURVE_FILE
        self._forget_after(self.next_step)
        self._report()

    @property
    def done(self) -> bool:
        return self.next_step >= self.branch.total_steps

    def advance(self) -> None:
        """Do one step, with whatever logging, validation and saving falls due. Raises OpenPairError on divergence."""
        started = time.perf_counter()
        # Dropout draws from torch's global generator: seeded step by step, it depends neither on what else runs in this
        # process nor on where the run was resumed.
        torch.manual_seed(zlib.crc32(f"{self.fingerprint}/{self.branch.name}/{self.next_step}".encode()))
        figures = self.branch.step(self.next_step)
        bad = [name for name, value in figures.items() if not math.isfinite(value)]
        if bad:
            raise OpenPairError(
                f"training diverged at step {self.next_step}: {', '.join(bad)} is not finite",
                where=f"branch {self.branch.name}",
                fix="Lower the learning rate; the last saved state is from before the divergence",
            )
        self._pending.append(figures)
        self.next_step += 1
        last = self.done
        if last or self.next_step % self.config.log_every == 0:
            self._log(mean_figures(self._pending))
            self._pending = []
        if last or (self.config.validate_every and self.next_step % self.config.validate_every == 0):
            self._log({f"val_{k}": v for k, v in self.branch.validate().items()})
        self.seconds += time.perf_counter() - started
        if last or self.next_step % self.config.save_every == 0:
            point = ResumePoint(self.next_step, self.seconds, self._pending)
            save_state(self.folder, self.branch, point, fingerprint=self.fingerprint)
        if last:
            self.branch.export(self.folder, {**self._last, "train_seconds": self.seconds})
        self._report()

    def _log(self, figures: dict[str, float]) -> None:
        if not figures:
            return
        self._last.update(figures)
        with self._curve.open("a") as stream:
            stream.write(json.dumps({"step": self.next_step, **figures}) + "\n")

    def _forget_after(self, step: int) -> None:
        """Drop curve points of steps that will be done again, and remember the latest of those that stay."""
        kept = [point for point in read_curve(self.folder) if point["step"] <= step]
        for point in kept:
            self._last.update({k: v for k, v in point.items() if k != "step"})
        write_atomically(self._curve, "".join(json.dumps(point) + "\n" for point in kept))

    def _report(self) -> None:
        self.listener(Progress(self.branch.name, self.next_step, self.branch.total_steps, dict(self._last)))


def mean_figures(figures: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every figure over the steps that report it."""
    names = dict.fromkeys(name for step in figures for name in step)
    return {n: sum(f[n] for f in figures if n in f) / sum(n in f for f in figures) for n in names}


def run_interleaved(runs: list[BranchRun]) -> None:
    """Advance all runs by turns until each is done: always the one that has done the smaller share of its steps."""
    while pending := [run for run in runs if not run.done]:
        min(pending, key=lambda run: run.next_step / run.branch.total_steps).advance()
