"""The loop that every branch runs through: steps, logging, validation, saving, resuming."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.training.averaging import WeightAverage
from openpair.training.branch import Branch, Figures
from openpair.training.config import LoopConfig
from openpair.training.curve_file import CURVE_FILE, read_curve
from openpair.training.figure_log import FigureLog, NoLog
from openpair.training.shown_scenes import DrawShown
from openpair.training.snapshots import BEST, is_better, keep_snapshot
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


TERMINATED = 128 + signal.SIGTERM
"""Exit status of a training run that was told to stop."""

NAMED_TOKENS = 8
"""So many scenes of a step that diverged are named in the sentence."""

DIVERGED_FILE = "diverged.txt"
"""Tokens of all scenes of the step that diverged."""

Listener = Callable[[Progress], None]


class BranchRun:
    """One branch on its way through its steps; :meth:`advance` does one step, so several runs can be interleaved.

    Args:
        branch: what is trained.
        folder: its run folder.
        config: how often it logs, validates and saves.
        fingerprint: of all that decides its weights.
        listener: told how far it is.
        log: where its figures go, beside the curve file.
        draw: draws validation scenes for the log; None draws none.
    """

    def __init__(
        self,
        branch: Branch,
        folder: Path,
        config: LoopConfig,
        fingerprint: str,
        listener: Listener,
        log: FigureLog | None = None,
        draw: DrawShown | None = None,
    ) -> None:
        self.branch = branch
        self.folder = folder
        self.config = config
        self.fingerprint = fingerprint
        self.listener = listener
        self.ranks = branch.split.ranks
        if config.average:
            branch.average = WeightAverage(branch.network, config.average)
        start = load_state(folder, branch, fingerprint=fingerprint)
        self.ranks.agree(
            start.next_step,
            "sees another saved state",
            where=folder,
            fix="Put the run folder where all ranks see it",
        )
        self.next_step, self.seconds = start.next_step, start.seconds
        self._pending: list[Figures] = [dict(figures) for figures in start.pending]
        self._last: dict[str, float] = {}
        self._best: float | None = None
        self._figure_log = NoLog() if log is None else log
        self._draw = draw
        self._since_log = time.perf_counter(), self.next_step
        self._saved_at = time.monotonic()
        self._curve = folder / CURVE_FILE
        if self.ranks.leads:
            folder.mkdir(parents=True, exist_ok=True)
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
        seed = zlib.crc32(f"{self.fingerprint}/{self.branch.name}/{self.next_step}".encode())
        torch.manual_seed(seed)
        if torch.cuda.is_available() and not self.ranks.alone:
            torch.cuda.manual_seed(seed + self.ranks.index)  # its dropout is not drawn for the whole batch
        try:
            figures = self.branch.step(self.next_step)
        except OpenPairError:
            self._settle()  # divergence is the cause of whatever it leads to
            raise
        self._pending.append(figures)
        if self.branch.average is not None:
            self.branch.average.update(self.next_step)
        self.next_step += 1
        last = self.done
        if last or self.next_step % self.config.log_every == 0:
            self._log(mean_figures(self._settle()))
            self._log_speed()
            self._pending = []
        if last or (self.config.validate_every and self.next_step % self.config.validate_every == 0):
            self._settle()
            self._validate()
        self.seconds += time.perf_counter() - started
        waited = self.ranks.leads and time.monotonic() - self._saved_at > self.config.save_seconds
        if last or waited or self.next_step % self.config.save_every == 0:
            self.save()
        if last and self.ranks.leads:
            with self._averaged():
                self.branch.export(self.folder, {**self._last, "train_seconds": self.seconds})
        if last:
            self._figure_log.close()
            self.ranks.of_leader(None)  # no rank goes on before the network is there
        self._report()

    def save(self) -> None:
        """Save the state, on the rank that writes. Raises OpenPairError on divergence: such a state is not kept."""
        pending = self._settle()
        if self.ranks.leads:
            save_state(
                self.folder,
                self.branch,
                ResumePoint(self.next_step, self.seconds, pending),
                fingerprint=self.fingerprint,
            )
        self._saved_at = time.monotonic()

    def _averaged(self) -> AbstractContextManager[None]:
        """The network has its averaged weights in this context, where the run keeps them."""
        return nullcontext() if self.branch.average is None else self.branch.average.applied()

    def _validate(self) -> None:
        """Log the figures of the validation scenes, and keep the network where it is to be kept."""
        name = f"val_{self.branch.best_figure}"
        with self._averaged():
            best = self._best
            self._log({f"val_{k}": v for k, v in self.branch.validate().items()})
            if not self.ranks.leads:
                return
            self._show()
            keep_snapshot(self.branch, self.folder, self.next_step, self._last, self.config)
            if self.config.keep_best and name in self._last and is_better(self.branch, self._last[name], best):
                self.branch.export(self.folder / BEST, dict(self._last))

    def _show(self) -> None:
        """Give pictures of a few validation scenes to the log, where they are drawn."""
        if self._draw is not None:
            pictures = {f"scene_{i}": self._draw(scene) for i, scene in enumerate(self.branch.shown_scenes())}
            self._figure_log.show(self.next_step, pictures)

    def _settle(self) -> list[dict[str, float]]:
        """The pending figures as numbers, for which a GPU is waited for. Raises OpenPairError on divergence."""
        pending = as_numbers(self._pending)
        self._pending = [dict(figures) for figures in pending]
        for step, figures in enumerate(pending, self.next_step - len(pending)):
            bad = [name for name, value in figures.items() if not math.isfinite(value)]
            if bad:
                raise OpenPairError(
                    f"training diverged at step {step}: {', '.join(bad)} is not finite; {self._scenes_of(step)}",
                    where=f"branch {self.branch.name}",
                    fix="Lower the learning rate; the last saved state is from before the divergence",
                )
        return pending

    def _scenes_of(self, step: int) -> str:
        """The scenes of a step: in words, and in a file of the run folder where they are many."""
        tokens = self.branch.tokens_of(step)
        if len(tokens) <= NAMED_TOKENS:
            return f"its scenes are {', '.join(tokens)}"
        path = self.folder / DIVERGED_FILE
        if self.ranks.leads:
            write_atomically(path, "".join(f"{token}\n" for token in tokens))
        return f"its {len(tokens)} scenes are {', '.join(tokens[:NAMED_TOKENS])} ... (all in {path})"

    def _log(self, figures: dict[str, float]) -> None:
        if not figures:
            return
        self._take(figures)
        if not self.ranks.leads:
            return
        with self._curve.open("a") as stream:
            stream.write(json.dumps({"step": self.next_step, **figures}) + "\n")
        self._figure_log.write(self.next_step, figures)

    def _log_speed(self) -> None:
        """Steps a second since this was last asked, validation and saving included; no part of the curve, which is the
        same wherever a run was interrupted."""
        now, (before, step) = time.perf_counter(), self._since_log
        self._since_log = now, self.next_step
        if self.ranks.leads:
            self._figure_log.write(self.next_step, {"steps_per_s": (self.next_step - step) / (now - before)})

    def _take(self, figures: Mapping[str, float]) -> None:
        """Remember the latest figures, and the best of the one that says which network is best."""
        self._last.update(figures)
        value = figures.get(f"val_{self.branch.best_figure}")
        if value is not None and is_better(self.branch, value, self._best):
            self._best = value

    def _forget_after(self, step: int) -> None:
        """Drop curve points of steps that will be done again, and remember the latest of those that stay."""
        kept = [point for point in read_curve(self.folder) if point["step"] <= step]
        for point in kept:
            self._take({k: v for k, v in point.items() if k != "step"})
        write_atomically(self._curve, "".join(json.dumps(point) + "\n" for point in kept))

    def _report(self) -> None:
        if not self.ranks.leads:
            return
        self.listener(Progress(self.branch.name, self.next_step, self.branch.total_steps, dict(self._last)))


def as_numbers(rows: Sequence[Figures]) -> list[dict[str, float]]:
    """Figures of steps as numbers: all tensors among them, of one device, are read at once."""
    tensors = [value for row in rows for value in row.values() if isinstance(value, Tensor)]
    numbers = iter(torch.stack([t.detach().float().reshape(()) for t in tensors]).tolist() if tensors else [])
    return [{k: next(numbers) if isinstance(v, Tensor) else v for k, v in row.items()} for row in rows]


def mean_figures(figures: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every figure over the steps that report it."""
    names = dict.fromkeys(name for step in figures for name in step)
    return {n: sum(f[n] for f in figures if n in f) / sum(n in f for f in figures) for n in names}


def run_interleaved(runs: list[BranchRun]) -> None:
    """Advance all runs by turns until each is done: always the one that has done the smaller share of its steps.

    SIGTERM is obeyed after the step that is under way, on any rank: states are saved, and SystemExit is raised with
    status 143.
    """
    with sigterm_noted() as is_asked:
        while pending := [run for run in runs if not run.done]:
            run = min(pending, key=lambda run: run.next_step / run.branch.total_steps)
            run.advance()
            if run.ranks.any(is_asked()):
                for unfinished in runs:
                    if not unfinished.done:
                        unfinished.save()
                raise SystemExit(TERMINATED)


@contextmanager
def sigterm_noted() -> Iterator[Callable[[], bool]]:
    """SIGTERM, which a cluster sends before it ends a job, is noted; gives whether it has come.

    Outside of the main thread, where Python handles no signals, it has not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    come: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: come.append(number))
    try:
        yield lambda: bool(come)
    finally:
        signal.signal(signal.SIGTERM, before)
