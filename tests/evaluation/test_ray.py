"""Work on a real Ray cluster of two workers, one of which is killed in the middle."""

import os
import signal
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from toy_town import ToySource, toy_prepare, toy_score

from openpair.cli.main import main
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.chunk import Task
from openpair.evaluation.records import SCORES_FILE
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import parse_agents
from openpair.pools import Ray

ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'openpair[ray]' to run this test")

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")
TASK = Task(ToySource((("one", 40), ("two", 40))), parse_agents(["human", "constant_velocity"]), Protocol.V1_1)
TASK = replace(TASK, prepare=toy_prepare, score=toy_score)


@pytest.fixture(scope="module")
def cluster():
    """Two workers that find this module; a busy machine may take its time to start them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "600")
        with Ray("local", 2) as pool:
            yield pool


@dataclass(frozen=True)
class KilledOnce:
    """Prepares scenes; kills its own process, without a word, when it first meets one of them."""

    folder: Path
    token: str

    def __call__(self, scene, protocol):
        flag = self.folder / "killed"
        if scene.token == self.token and not flag.exists():
            flag.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        with (self.folder / "workers").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return toy_prepare(scene, protocol)


def test_one_of_two_workers_is_killed_and_nothing_is_lost_or_scored_twice(cluster, tmp_path):
    task = replace(TASK, prepare=KilledOnce(tmp_path, "one-020"))
    result = evaluate(task, out_dir=tmp_path / "ray", pool=cluster)
    here = evaluate(TASK, out_dir=tmp_path / "here", workers=1)
    killed = (tmp_path / "killed").read_text()
    workers = set((tmp_path / "workers").read_text().split())
    assert str(os.getpid()) not in workers and killed in workers and len(workers) >= 2
    assert set(Counter((row.token, row.agent) for row in result.rows).values()) == {1}
    assert result.rows == here.rows and result.summary.scenes_scored == 80
    assert (tmp_path / "ray" / SCORES_FILE).read_bytes() == (tmp_path / "here" / SCORES_FILE).read_bytes()


@dataclass(frozen=True)
class KilledAlways:
    token: str

    def __call__(self, scene, protocol):
        if scene.token == self.token:
            os.kill(os.getpid(), signal.SIGKILL)
        return toy_prepare(scene, protocol)


def test_a_piece_that_kills_every_worker_ends_the_run_and_the_next_one_goes_on(cluster, tmp_path):
    from openpair.pools import WorkersDied

    with pytest.raises(WorkersDied, match="goes on from what is finished"):
        evaluate(replace(TASK, prepare=KilledAlways("two-039")), out_dir=tmp_path, pool=cluster)
    again = evaluate(TASK, out_dir=tmp_path, pool=cluster)
    assert again.summary.run["resumed_scenes"] > 0 and again.summary.scenes_scored == 80


def test_bad_input_reaches_the_user_as_it_is(cluster, tmp_path):
    broken = replace(TASK, agents=parse_agents(["human"]), prepare=toy_prepare)
    source = ToySource((("one", 3),), broken=("one-001",))
    result = evaluate(replace(broken, dataset=source), pool=cluster)
    assert result.exit_status() == 3 and "not complete" in result.summary.failures[0].reason

    def refuse():
        raise OpenPairError("the folder is not there", where="x")

    with pytest.raises(OpenPairError, match="not there"):
        list(cluster(refuse, {0: 1}))


@needs_golden
def test_the_same_commands_work_on_a_cluster(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("\n".join(np.load(GOLDEN / "golden" / "trajectories.npz")["token"][:20]))
    where = ["--dataset", "navsim", "--root", str(GOLDEN), "--tokens", str(tokens)]

    def call(*command: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main([*command])
        return int(stop.value.code or 0)

    assert call("cache", *where, "--ray", "local", "--out", str(tmp_path / "a")) == 0
    assert call("cache", *where, "--workers", "1", "--out", str(tmp_path / "b")) == 0
    a, b = (sorted(p for p in (tmp_path / x).rglob("*") if p.is_file()) for x in "ab")
    assert [p.read_bytes() for p in a] == [p.read_bytes() for p in b]
    prepared = ("--prepared", str(tmp_path / "a"))
    assert call("eval", *where, *prepared, "--ray", "local", "--out", str(tmp_path / "on_ray")) == 0
    assert call("eval", *where, "--workers", "1", "--out", str(tmp_path / "here")) == 0
    assert (tmp_path / "on_ray" / SCORES_FILE).read_bytes() == (tmp_path / "here" / SCORES_FILE).read_bytes()


def test_a_cluster_that_does_not_answer_is_bad_input():
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(OpenPairError, match="does not answer"), Ray("127.0.0.1:1"):
        pass
