"""Pools: the same results whoever works, dead workers, and workers that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openpair.errors import OpenPairError
from openpair.pools import Pool, Processes, Serial, WorkersDied
from pool_work import KilledAt, open_failing, open_names, open_squares, refuse

POOLS = [Serial(), Processes(1), Processes(2)]
ITEMS = {number: number + 1 for number in range(20)}


@pytest.mark.parametrize("pool", POOLS)
def test_every_item_has_one_result_whoever_works(pool: Pool) -> None:
    results = list(pool(open_squares, ITEMS))
    assert len(results) == len(ITEMS)
    assert dict(results) == {number: item * item for number, item in ITEMS.items()}


def test_nothing_to_do_opens_no_worker() -> None:
    for pool in POOLS:
        assert list(pool(refuse, {})) == []


def test_a_worker_is_opened_once_and_one_alone_works_here() -> None:
    assert {pid for _, pid in Processes(1)(open_names, ITEMS)} == {os.getpid()}
    elsewhere = {pid for _, pid in Processes(2)(open_names, ITEMS)}
    assert os.getpid() not in elsewhere and 1 <= len(elsewhere) <= 2


@pytest.mark.parametrize("pool", POOLS)
def test_errors_reach_the_caller_as_they_are(pool: Pool) -> None:
    with pytest.raises(OpenPairError, match="x: the folder is not there"):
        list(pool(refuse, ITEMS))
    with pytest.raises(ZeroDivisionError, match="seven") as raised:
        list(pool(open_failing, ITEMS))
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__ == ["raised by piece of work 6"]


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    results = list(Processes(2)(KilledAt(tmp_path, 5), ITEMS))
    assert sorted(results) == [(number, item) for number, item in ITEMS.items()]
    assert (tmp_path / "5").stat().st_size == 2


def test_workers_that_die_again_and_again_end_the_run_in_one_sentence(tmp_path: Path) -> None:
    finished = {}
    with pytest.raises(WorkersDied, match=r"died 2 times, \d+ pieces of work are left.*goes on from what is finished"):
        for number, item in Processes(2, restarts=1)(KilledAt(tmp_path, 20, always=True), ITEMS):
            finished[number] = item
    assert 19 not in finished
    left = {number: item for number, item in ITEMS.items() if number not in finished and item != 20}
    assert dict(Processes(2)(KilledAt(tmp_path, 0), left)) == left


PARENT = """
import sys
from pathlib import Path
if __name__ == "__main__":
    sys.path.insert(0, {tests!r})
    from openpair.pools import Processes
    from pool_work import Waiting
    list(Processes(2)(Waiting(Path({folder!r})), {{0: 0, 1: 1}}))
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path: Path, end: signal.Signals) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(tests=str(Path(__file__).parent), folder=str(folder)))
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    _wait_until(lambda: len([path for path in folder.iterdir() if path.suffix != ".tmp"]) == 2)
    workers = [int(path.read_text()) for path in folder.iterdir()]
    assert all(map(_is_running, workers))
    parent.send_signal(end)
    parent.wait()
    _wait_until(lambda: not any(map(_is_running, workers)))


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
