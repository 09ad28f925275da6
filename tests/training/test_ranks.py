"""Two processes that train together do what one does: losses, pools, validation; and what happens where one is lost."""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import rank_work
import torch
from rank_work import KNOWN, RESUMED, SENSORS, experiment
from safetensors.torch import load_file

from openpair.configs.dry_run import try_out
from openpair.configs.runs import RunPlan
from openpair.configs.train import build_stores
from openpair.errors import OpenPairError
from openpair.training.branch import BatchSplit
from openpair.training.curve_file import read_curve
from openpair.training.data import DataSpec
from openpair.training.division import divide_ranks, split_for
from openpair.training.ranks import ALONE, Ranks
from openpair.training.rendezvous import Launch, device_of, joined, read_launch


@dataclass(frozen=True)
class Runs:
    """Plans by name, all trained; how two ranks ended, and what they said."""

    plans: dict[str, RunPlan]
    alone: dict[str, RunPlan]
    status: tuple[int, int]
    said: tuple[str, str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Every branch, trained by one process and by two."""
    folder = tmp_path_factory.mktemp("ranks")
    threads = torch.get_num_threads()
    known, sensors = (plan_of(name, folder) for name in ("quick_known", "quick"))
    alone = {"known": replace(known, folder=folder / "1"), "sensors": replace(sensors, folder=folder / "1s")}
    names = ("known", "after", "last", "from one", "to one", "killed")
    plans = {name: replace(known, folder=folder / name) for name in names}
    plans |= {name: replace(sensors, folder=folder / name) for name in ("sensors", "sensors, last")}
    # Branches of other branches start from the same bits, which two ranks do not give.
    needed = {"after": ("known", "il", "rl"), "last": ("known", "reward"), "sensors, last": ("sensors", "rl")}
    try:
        rank_work.train_half(plans["from one"], RESUMED)
        rank_work.train(alone["known"], KNOWN)
        rank_work.train(alone["sensors"], SENSORS)
        for name, (source, *branches) in needed.items():
            for branch in branches:
                shutil.copytree(alone[source].folder / branch, plans[name].folder / branch)
        status, said = two_ranks(plans, folder)
        rank_work.train(plans["to one"], RESUMED)
        rank_work.train(plans["killed"], ("il",))
    finally:
        torch.set_num_threads(threads)
    return Runs(plans, alone, status, said)


def plan_of(name: str, folder: Path) -> RunPlan:
    counts = {"train": 8, "val": 5} if name == "quick_known" else {"train": 4, "val": 2}
    specs = {
        split: DataSpec(options={"split": part, "max_scenes": counts[part]})
        for split, part in (("train", "train"), ("validation", "val"))
    }
    config = experiment(name)
    # Validation batches hold one scene more than half of them: two batches, of which each rank takes one.
    config = replace(config, imitation=replace(config.imitation, batch_size=2)) if name == "quick_known" else config
    stores = build_stores(specs, config, folder / "data", 1)
    return RunPlan(config, stores["train"], stores["validation"], folder)


def two_ranks(plans: dict[str, RunPlan], folder: Path) -> tuple[tuple[int, int], tuple[str, str]]:
    """Exit statuses and messages of two processes of rank_work.py."""
    (folder / "plans").write_bytes(pickle.dumps(plans))
    launch = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    launch["SECOND_PORT"] = str(free_port())
    ranks = [
        subprocess.Popen(
            [sys.executable, rank_work.__file__, str(folder / "plans")],
            env={**os.environ, **launch, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = tuple(rank.communicate(timeout=600)[1] for rank in ranks)
    return (ranks[0].returncode, ranks[1].returncode), (said[0], said[1])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def differences(run: Path, other: Path) -> dict[str, float]:
    """Greatest difference of every figure over two curves, in units of the figure where it is above 1."""
    curve, reference = read_curve(run), read_curve(other)
    assert [point.keys() for point in curve] == [point.keys() for point in reference]
    worst: dict[str, float] = {}
    for point, expected in zip(curve, reference, strict=True):
        for name, value in expected.items():
            worst[name] = max(worst.get(name, 0.0), abs(point[name] - value) / max(abs(value), 1.0))
    return worst


@pytest.mark.parametrize("branch", KNOWN)
def test_every_branch_has_the_losses_of_one_process(runs: Runs, branch: str) -> None:
    plan = runs.plans[{"il": "known", "rl": "known", "correction": "last"}.get(branch, "after")]
    worst = differences(plan.folder / branch, runs.alone["known"].folder / branch)
    norm = worst.pop("gradient_norm")
    assert max(worst.values()) < 1e-5, worst
    assert norm < 1e-3


def test_batch_norm_takes_the_statistics_of_all_ranks(runs: Runs) -> None:
    worst = differences(runs.plans["sensors"].folder / "il", runs.alone["sensors"].folder / "il")
    assert worst["trajectory_l1"] < 1e-5 and worst["bev_ce"] < 1e-5, worst
    ours, theirs = (
        load_file(next((plan.folder / "il").glob("state-*.safetensors")))
        for plan in (runs.plans["sensors"], runs.alone["sensors"])
    )
    means = [name for name in ours if name.endswith("running_mean")]
    assert means
    assert all(torch.allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-4) for name in means)


@pytest.mark.parametrize("branch", SENSORS[1:])
def test_networks_with_sensors_have_the_losses_of_one_process(runs: Runs, branch: str) -> None:
    plan = runs.plans["sensors" if branch == "rl" else "sensors, last"]
    worst = differences(plan.folder / branch, runs.alone["sensors"].folder / branch)
    compared = {name: value for name, value in worst.items() if not name.startswith(("agent_", "gradient_norm"))}
    assert compared and max(compared.values()) < 1e-5, worst


@pytest.mark.parametrize(("name", "other"), [("after", "known"), ("sensors, last", "sensors")])
def test_the_candidate_pool_is_the_same(runs: Runs, name: str, other: str) -> None:
    pools = [sorted((plan.folder / "reward").glob("pool-*")) for plan in (runs.plans[name], runs.alone[other])]
    assert len(pools[0]) == 2 and [p.name for p in pools[0]] == [p.name for p in pools[1]]
    for ours, theirs in zip(*pools, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    ("name", "branch"),
    [*((name, branch) for name in ("from one", "to one") for branch in RESUMED), ("killed", "il")],
)
def test_a_run_goes_on_with_another_number_of_ranks(runs: Runs, name: str, branch: str) -> None:
    worst = differences(runs.plans[name].folder / branch, runs.alone["known"].folder / branch)
    worst.pop("gradient_norm")
    assert max(worst.values()) < 1e-5, worst


def test_ranks_that_differ_are_refused_by_rank_0_alone(runs: Runs) -> None:
    assert "ranks differ (number): rank 0 has 0, rank 1 on" in runs.said[0]
    assert "differ" not in runs.said[1]


def test_a_rank_that_dies_ends_the_run_with_one_sentence(runs: Runs) -> None:
    assert runs.status == (2, -9)
    assert "another rank of this training has ended" in runs.said[0] and "run the same command again" in runs.said[0]
    assert "Traceback" not in runs.said[0] + runs.said[1]


def test_a_dry_run_leaves_nothing(runs: Runs) -> None:
    plan = replace(runs.alone["known"], micro_batch=1)
    before = sorted(plan.folder.rglob("*"))
    estimate = try_out(plan, "sequential", "cpu", lambda progress: None)
    assert sorted(plan.folder.rglob("*")) == before
    state = next((plan.folder / "sequential").glob("state-*.safetensors")).stat().st_size
    assert estimate.steps == 4 and estimate.disk_bytes == pytest.approx(2.33 * state, rel=0.1)
    assert "scenes/s" in estimate.sentence() and estimate.memory_bytes > 1e8


def test_gradients_of_micro_batches_add_up(runs: Runs, tmp_path: Path) -> None:
    for branch in ("sequential", "il"):
        plan = replace(runs.alone["known"], folder=tmp_path / branch, micro_batch=1)
        if branch == "sequential":  # it starts from the finished policy
            shutil.copytree(runs.alone["known"].folder / "il", plan.folder / "il")
        rank_work.train(plan, (branch,), until=6 if branch == "il" else 2)
        ours, theirs = read_curve(plan.folder / branch), read_curve(runs.alone["known"].folder / branch)
        for point, expected in zip(ours, theirs, strict=False):
            assert point == pytest.approx(expected, rel=1e-5, abs=1e-5), point["step"]


def test_ranks_are_divided_between_branches() -> None:
    batches, scenes = {"il": 128, "rl": 64}, {"il": 1000, "rl": 1000}
    divide = divide_ranks(("il", "rl"), 8, batches, scenes, ())
    assert {branch: len(ranks) for branch, ranks in divide.items()} == {"il": 4, "rl": 4}
    assert divide_ranks(("il", "rl"), 3, batches, scenes, ()) == {"il": [0], "rl": [1, 2]}
    assert divide_ranks(("il", "rl"), 3, batches, scenes, ("il=2", "rl=1")) == {"il": [0, 1], "rl": [2]}
    for given, reason in ((("il=2",), "does not divide"), (("il=2", "reward=1"), "is no number of ranks")):
        with pytest.raises(OpenPairError, match=reason):
            divide_ranks(("il", "rl"), 3, batches, scenes, given)
    with pytest.raises(OpenPairError, match="1 ranks cannot train 2 branches"):
        divide_ranks(("il", "rl"), 1, batches, scenes, ())
    with pytest.raises(OpenPairError, match="cannot be divided so"):
        divide_ranks(("il", "rl"), 4, {"il": 5, "rl": 7}, scenes, ())


def test_batches_that_cannot_be_split_are_refused() -> None:
    with pytest.raises(OpenPairError, match="16 scenes cannot be divided by 3 ranks"):
        BatchSplit(Ranks(0, 3)).check(16)
    assert split_for(ALONE, 12, 5).micro_batches == 3
    assert split_for(Ranks(0, 2), 12, 5).micro_batches == 2
    assert split_for(ALONE, 12, 0).micro_batches == 1


def test_what_a_launcher_leaves_out_is_named() -> None:
    launch = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    assert read_launch({}) is None
    assert read_launch({**launch, "WORLD_SIZE": "1"}) is None
    assert read_launch(launch) == Launch(0, 2, 0, 2, "localhost:29500")
    with pytest.raises(OpenPairError, match="MASTER_PORT is not set"):
        read_launch({name: value for name, value in launch.items() if name != "MASTER_PORT"})
    with pytest.raises(OpenPairError, match="RANK is 'two'"):
        read_launch({**launch, "RANK": "two"})
    with pytest.raises(SystemExit):  # rank 0 says it
        read_launch({**launch, "RANK": "1", "MASTER_PORT": "none"})
    with pytest.raises(OpenPairError, match="2 ranks on one machine have only 1 devices"):
        device_of(Launch(0, 2, 0, 2, ""), ("cuda:0",))


def test_ranks_that_do_not_come_are_not_waited_for() -> None:
    launch = Launch(0, 2, 0, 2, "")
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in address.items():
            patch.setenv(name, value)
        with (
            pytest.raises(OpenPairError, match="the 2 ranks did not meet within 1 s"),
            joined(launch, ("cpu",), {}, limit_s=1.0),
        ):
            pass
