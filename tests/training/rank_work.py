"""What each of two ranks does in test_ranks.py: trains every branch, resumes a run, and loses the other one."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from openpair.configs.experiment import ExperimentConfig, NetworkConfig, preset
from openpair.configs.runs import RunPlan
from openpair.errors import OpenPairError
from openpair.training.loop import BranchRun, run_interleaved
from openpair.training.rendezvous import joined, read_launch

KNOWN = ("il", "rl", "reward", "sequential", "iterative", "correction")
SENSORS = ("il", "rl", "reward")
RESUMED = ("il", "rl")
RESUMED_AT = 10
"""Half of imitation's steps."""


def experiment(name: str) -> ExperimentConfig:
    """A preset with as many steps as comparisons need, with every part of the losses, and float32 everywhere."""
    config = preset(name)
    known = name == "quick_known"
    steps = {"il": 20, "rl": 5, "reward": 8, "sequential": 4, "iterative": 2, "correction": 2}
    if not known:  # each step costs as much as all of the others
        steps = dict.fromkeys(SENSORS, 2)
    fine_tuning = {"precision": "float32", "kl_weight": 0.1, "imitation_weight": 0.1}
    return replace(
        config,
        networks=config.networks if known else without_agents(config.networks),
        imitation=replace(config.imitation, precision="float32", steps=steps["il"]),
        reinforcement=replace(
            config.reinforcement,
            precision="float32",
            steps=steps["rl"],
            updates_per_batch=2 if known else 1,
            imitation_weight=0.01,
        ),
        reward_model=replace(
            config.reward_model, precision="float32", steps=steps["reward"], refreshes=1 if known else 0
        ),
        correction=replace(config.correction, precision="float32", steps=steps.get("correction", 1)),
        sequential=replace(config.sequential, steps=steps.get("sequential", 1), **fine_tuning),
        iterative=replace(config.iterative, steps=steps.get("iterative", 1), **fine_tuning),
        loop=replace(config.loop, log_every=1, save_every=RESUMED_AT),
    )


def without_agents(networks: NetworkConfig) -> NetworkConfig:
    """The matching of agents jumps where two costs are alike, as they are before training: networks that do without."""
    parts: Any = {name: getattr(networks, name) for name in ("policy", "sampler", "reward_model")}
    trunks = {k: replace(v.trunk, agent_class_weight=0.0, agent_box_weight=0.0) for k, v in parts.items()}
    return replace(networks, **{k: replace(v, trunk=trunks[k]) for k, v in parts.items()})


def start(plan: RunPlan, branch: str) -> BranchRun:
    """The run of a branch on one thread, which decides in which order a CPU adds up."""
    torch.set_num_threads(1)
    return plan.starter(branch)("cpu", lambda progress: None)


def train(plan: RunPlan, branches: Sequence[str], *, until: int | None = None) -> None:
    """Train branches, each to its end or to a step."""
    for branch in branches:
        run = start(plan, branch)
        if until is None:
            run_interleaved([run])
        while until is not None and run.next_step < until:
            run.advance()


def train_half(plan: RunPlan, branches: Sequence[str]) -> None:
    """Train branches, each to half of its steps, and save it there."""
    for branch in branches:
        run = start(plan, branch)
        while run.next_step < run.branch.total_steps // 2:
            run.advance()
        run.save()


def main(plans: dict[str, RunPlan]) -> None:
    """Everything that two ranks do, in the order of the dictionary that test_ranks.py makes."""
    launch = read_launch()
    assert launch is not None
    try:
        with joined(launch, ("cpu",), {"number": launch.rank}):
            raise AssertionError("ranks that differ were not refused")
    except OpenPairError as error:
        print(error, file=sys.stderr)
    except SystemExit as silent:
        assert launch.rank == 1 and silent.code == 2
    os.environ["MASTER_PORT"] = os.environ["SECOND_PORT"]
    try:
        with joined(launch, ("cpu",), {"number": 1}) as world:
            plans = {name: replace(plan, ranks=world.everyone) for name, plan in plans.items()}
            train(plans["known"], KNOWN[:2])
            train(plans["after"], KNOWN[2:-1])
            train(plans["last"], KNOWN[-1:])
            train(plans["sensors"], SENSORS[:-1])
            train(plans["sensors, last"], SENSORS[-1:])
            train(plans["from one"], RESUMED)
            train_half(plans["to one"], RESUMED)
            run = start(plans["killed"], "il")
            while not run.done:
                run.advance()
                if run.next_step == RESUMED_AT + 1 and launch.rank == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
    except OpenPairError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(pickle.loads(Path(sys.argv[1]).read_bytes()))
