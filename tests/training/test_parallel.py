"""Branches trained at the same time end exactly as branches trained alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_loop import LineBranch, start
from torch import equal

from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.training.config import LoopConfig
from openpair.training.loop import BranchRun, Listener, Progress
from openpair.training.parallel import BranchJob, train_concurrently, train_interleaved


def start_line(folder: Path, rate: float, device: str, listener: Listener) -> BranchRun:
    branch = LineBranch(folder.name, learning_rate=rate)
    return BranchRun(branch, folder, LoopConfig(save_every=30), "a", listener)


def test_two_processes_end_with_the_weights_of_one(tmp_path: Path) -> None:
    heard: list[Progress] = []
    names = ("left", "right")
    train_concurrently(
        [BranchJob(n, partial(start_line, tmp_path / "both" / n, 0.1), threads=1) for n in names], heard.append
    )
    train_interleaved([BranchJob("left", partial(start_line, tmp_path / "alone" / "left", 0.1))], heard.append)
    both = load_file(next((tmp_path / "both" / "left").glob("state-*.safetensors")))
    alone = load_file(next((tmp_path / "alone" / "left").glob("state-*.safetensors")))
    assert both.keys() == alone.keys()
    assert all(equal(both[k], alone[k]) for k in both)
    assert {event.branch for event in heard} == set(names)


def test_jobs_wait_for_those_they_come_after_and_for_a_free_place(tmp_path: Path) -> None:
    heard: list[Progress] = []
    jobs = [
        BranchJob(name, partial(start_line, tmp_path / name, 0.1), threads=1, after=after)
        for name, after in (("last", ("first", "second")), ("first", ()), ("second", ("first",)))
    ]
    train_concurrently(jobs, heard.append, at_once=2)
    finished = [event.branch for event in heard if event.step == event.total_steps]
    assert finished == ["first", "second", "last"]
    order = [event.branch for event in heard]
    assert order.index("second") > max(i for i, name in enumerate(order) if name == "first")
    with pytest.raises(ValueError, match="wait for each other"):
        train_concurrently([BranchJob("a", jobs[0].start, after=("a",))], heard.append)


def test_a_failing_branch_ends_the_run_with_its_own_words(tmp_path: Path) -> None:
    jobs = [
        BranchJob("good", partial(start_line, tmp_path / "good", 0.1), threads=1),
        BranchJob("bad", partial(start_line, tmp_path / "bad", float("inf")), threads=1),
    ]
    with pytest.raises(OpenPairError, match="branch bad: training diverged"):
        train_concurrently(jobs, lambda progress: None)


PARENT = """
import sys
from functools import partial
from pathlib import Path
if __name__ == "__main__":
    sys.path.insert(0, {tests!r})
    from openpair.training.parallel import BranchJob, train_concurrently
    from test_parallel import start_waiting
    jobs = [BranchJob(name, partial(start_waiting, Path({folder!r}) / name)) for name in ("il", "rl")]
    train_concurrently(jobs, print)
"""


def start_waiting(mark: Path, device: str, listener: Listener) -> BranchRun:
    """Writes its process, then waits."""
    write_atomically(mark, str(os.getpid()))
    time.sleep(120)
    raise AssertionError("outlived its parent")


def test_branches_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "branches"
    folder.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(tests=str(Path(__file__).parent), folder=str(folder)))
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    marks = [folder / "il", folder / "rl"]
    while not all(mark.exists() for mark in marks):
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    branches = [int(mark.read_text()) for mark in marks]
    parent.kill()
    parent.wait()
    while any(_is_running(pid) for pid in branches):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_start_listener_hears_where_a_resumed_run_stands(tmp_path: Path) -> None:
    heard: list[Progress] = []
    first = start(LineBranch(), tmp_path)
    while not first.done:
        first.advance()
    start_line_again = BranchRun(LineBranch(), tmp_path, LoopConfig(), "a", heard.append)
    assert start_line_again.done
    assert heard[0].step == heard[0].total_steps == 30
