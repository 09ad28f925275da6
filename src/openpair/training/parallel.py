"""Both branches at the same time: one process each, or by turns in one process.

Neither branch can read the other's weights: they live in different processes, or in different :class:`BranchRun`
objects that share nothing. Either way the result is that of training each branch alone.
"""

from __future__ import annotations

import queue
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.multiprocessing as mp

from openpair.errors import OpenPairError
from openpair.pools import end_with_parent
from openpair.threads import let_idle_threads_sleep
from openpair.training.loop import BranchRun, Listener, Progress, run_interleaved

Starter = Callable[[str, Listener], BranchRun]
"""Builds a run on a device ("cpu", "cuda:0"); must be picklable for concurrent jobs."""


@dataclass(frozen=True)
class BranchJob:
    """A branch to train.

    Attributes:
        name: of the branch.
        start: builds its run.
        device: where it trains.
        threads: CPU threads it may use; 0 leaves torch's default.
        after: names of jobs that must be done first.
    """

    name: str
    start: Starter
    device: str = "cpu"
    threads: int = 0
    after: tuple[str, ...] = ()


def assign_devices(
    names: Sequence[str], start: Sequence[Starter], devices: Sequence[str], cores: int
) -> list[BranchJob]:
    """Give each branch a device of its own where there are several, and its share of the cores on a CPU."""
    threads = max(cores // len(names), 1)
    return [
        BranchJob(name, starter, devices[i % len(devices)], threads)
        for i, (name, starter) in enumerate(zip(names, start, strict=True))
    ]


def default_devices() -> tuple[str, ...]:
    """Every CUDA device, else the CPU."""
    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count())) or ("cpu",)


def train_interleaved(jobs: Sequence[BranchJob], listener: Listener) -> None:
    """Train all jobs in this process, by turns, with the threads that each would have on its own.

    The number of threads decides in which order a CPU adds up, and so the last bits of a weight.
    """
    threads = torch.get_num_threads()
    try:
        if jobs[0].threads:
            torch.set_num_threads(jobs[0].threads)
        run_interleaved([job.start(job.device, listener) for job in jobs])
    finally:
        torch.set_num_threads(threads)


def train_concurrently(jobs: Sequence[BranchJob], listener: Listener, *, at_once: int = 0) -> None:
    """Train all jobs at the same time, one process each.

    Args:
        jobs: in order of preference; a job starts when those that it comes ``after`` are done.
        listener: told how far each is.
        at_once: so many processes at most; 0 for as many as there are jobs.

    Raises OpenPairError where a job fails; the others are stopped, and resume from their saved state next time.
    """
    let_idle_threads_sleep()
    context = mp.get_context("spawn")
    events: Any = context.Queue()
    waiting, running, done = list(jobs), dict[str, Any](), set[str]()
    unknown = {name for job in jobs for name in job.after} - {job.name for job in jobs}
    if unknown:
        raise ValueError(f"jobs wait for {', '.join(sorted(unknown))}, which nobody does")
    try:
        while waiting or running:
            for job in [job for job in waiting if done.issuperset(job.after)]:
                if at_once and len(running) >= at_once:
                    break
                waiting.remove(job)
                # Not daemonic: a branch may have processes of its own that read its batches.
                running[job.name] = context.Process(target=_work, args=(job, events), name=job.name)
                running[job.name].start()
            if not running:
                raise ValueError(f"{', '.join(job.name for job in waiting)} wait for each other")
            try:
                event = events.get(timeout=1.0)
            except queue.Empty:
                _raise_if_killed(list(running.values()))
                continue
            if isinstance(event, Progress):
                listener(event)
            elif isinstance(event, _Failed):
                raise event.error
            else:
                done.add(event.name)
                running.pop(event.name).join()
    finally:
        for worker in running.values():
            if worker.is_alive():
                worker.terminate()
            worker.join()


@dataclass(frozen=True)
class _Done:
    name: str


@dataclass(frozen=True)
class _Failed:
    error: Exception


def _work(job: BranchJob, events: Any) -> None:
    """Body of a worker process."""
    end_with_parent()
    try:
        if job.threads:
            torch.set_num_threads(job.threads)
        run_interleaved([job.start(job.device, events.put)])
        events.put(_Done(job.name))
    except OpenPairError as error:
        events.put(_Failed(error))
    except Exception:
        # The traceback itself cannot be pickled; its text can, and a programming error must be seen whole.
        events.put(_Failed(RuntimeError(f"branch {job.name} failed:\n{traceback.format_exc()}")))


def _raise_if_killed(workers: Sequence[Any]) -> None:
    """Raise where a worker died without a word (killed for memory, for instance)."""
    for worker in workers:
        if worker.exitcode not in (None, 0):
            raise OpenPairError(
                f"the process of branch {worker.name} was ended from outside (exit code {worker.exitcode})",
                fix="It may have run out of memory; run the same command again to resume",
            )
