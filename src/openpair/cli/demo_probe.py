"""How long the steps of the demo will take on this machine, from a few seconds of each kind of work."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from openpair.cli.demo_steps import branches_of
from openpair.configs.dry_run import second_step_s
from openpair.configs.experiment import ExperimentConfig
from openpair.configs.runs import BRANCH_FILES, RunPlan, branch_settings
from openpair.configs.train import build_stores, data_specs, write_settings
from openpair.datasets.world.dataset import DATA_DIR, read_index
from openpair.evaluation.chunk import Task
from openpair.evaluation.runner import evaluate
from openpair.training.curve_file import read_curve
from openpair.training.data import StoreLocation
from openpair.training.loop import Progress
from openpair.training.parallel import default_devices

BATCH = 8
"""Scenes of the steps that are measured, at most; a whole batch takes as many times longer as it is larger."""

EVALUATED = 12
"""Scenes that are evaluated."""

REPORTED_OVER_EVALUATED = 8.0
"""A scene of the report costs so many evaluated ones: its candidates are scored, its sensors are rendered twice."""

WORTHWHILE_STEPS = 100
"""Shorter trainings are done as soon as measured."""


@dataclass(frozen=True)
class Speed:
    """What this machine needs [s].

    Attributes:
        data: to prepare a scene and render its sensors, one process.
        scene_steps: branch -> a step for each scene of its batch, with the branch's share of the cores.
        candidates: to propose and score the reward model's candidates of a scene, all cores.
        evaluated: to plan and score a scene for all agents, one process.
    """

    data: float
    scene_steps: dict[str, float]
    candidates: float
    evaluated: float


def is_worthwhile(config: ExperimentConfig, folder: Path) -> bool:
    """Whether so much is left to train in a run folder that measuring first is worth its time."""
    return sum(steps_left(config, folder).values()) >= WORTHWHILE_STEPS


def steps_left(config: ExperimentConfig, folder: Path) -> dict[str, int]:
    """Branch -> steps that it has not logged yet in a run folder; 0 where its network is finished."""
    left = {}
    for branch in branches_of(config):
        steps = branch_settings(config, branch).steps
        done = max((int(point["step"]) for point in read_curve(folder / branch)), default=0)
        left[branch] = 0 if (folder / BRANCH_FILES[branch]).exists() else steps - done
    return left


def probe(config: ExperimentConfig, task_of: Callable[[Path, str], Task], cores: int) -> Speed:
    """Do a little of everything, in a folder that is thrown away.

    Args:
        config: the experiment.
        task_of: (run folder, town) -> the evaluation of its agents in that test town.
        cores: that work at a time.
    """
    with tempfile.TemporaryDirectory(prefix="openpair-probe-") as name:
        plan, data_s = _small_plan(config, Path(name))
        device, threads = default_devices()[0], torch.get_num_threads()
        steps = {}
        try:
            torch.set_num_threads(max(cores // 2, 1))  # the two branches share the cores
            for branch in ("il", "rl"):
                steps[branch] = _step_seconds(plan, branch, device)
            torch.set_num_threads(threads)
            candidates_s = _candidate_seconds(plan, device)
            for branch in branches_of(config):
                if branch not in steps:
                    steps[branch] = _step_seconds(plan, branch, device)
        finally:
            torch.set_num_threads(threads)
        write_settings(plan)
        return Speed(data_s, steps, candidates_s, _evaluated_seconds(task_of(plan.folder, _town("test"))))


def estimates(
    config: ExperimentConfig, folder: Path, speed: Speed, *, test_scenes: int, reported: int, workers: int
) -> tuple[float, ...]:
    """Seconds of each step of the demo, in order: data, both branches, reward model, perhaps the corrector,
    evaluation, report.

    Args:
        config: the experiment.
        folder: run folder; what is done there already is not counted.
        speed: of this machine.
        test_scenes: that are evaluated.
        reported: scenes of the report.
        workers: processes that prepare and evaluate.
    """
    left = steps_left(config, folder)
    learned_from, validated_on = (len(spec.open().keys()) for spec in data_specs(config).values())
    training = {
        branch: n * int(branch_settings(config, branch).batch_size) * speed.scene_steps[branch]
        for branch, n in left.items()
    }
    return (
        (learned_from + validated_on) * speed.data / workers,
        max(training["il"], training["rl"]),
        training["reward"] + (learned_from + validated_on) * speed.candidates if left["reward"] else 0.0,
        *([training["correction"]] if "correction" in training else []),
        test_scenes * speed.evaluated / workers,
        reported * REPORTED_OVER_EVALUATED * speed.evaluated,
    )


def _small_plan(config: ExperimentConfig, folder: Path) -> tuple[RunPlan, float]:
    """A run on one batch of scenes of one town, and what such a scene takes to prepare and to render [s]."""
    count = max(batch_size(config, branch) for branch in branches_of(config))
    town, spec = _town("train"), data_specs(config)["train"]

    def build(scenes: int) -> tuple[StoreLocation, float]:
        options = {**spec.options, "towns": [town], "max_scenes": scenes}
        started = time.perf_counter()
        stores = build_stores({"train": replace(spec, options=options)}, config, folder / "data", workers=1)
        return stores["train"], time.perf_counter() - started

    build(1)  # kernels are compiled, if they never were
    _, few_s = build(2)
    store, all_s = build(count + 2)
    small = replace(
        config,
        imitation=replace(config.imitation, batch_size=batch_size(config, "il")),
        reinforcement=replace(config.reinforcement, batch_size=batch_size(config, "rl")),
        reward_model=replace(config.reward_model, batch_size=batch_size(config, "reward")),
        correction=replace(config.correction, batch_size=batch_size(config, "correction")),
    )
    return RunPlan(small, store, None, folder / "run"), max(all_s - few_s, 0.0) / count


def batch_size(config: ExperimentConfig, branch: str) -> int:
    """Scenes of the steps of a branch that are measured."""
    return min(int(branch_settings(config, branch).batch_size), BATCH)


def _town(split: str) -> str:
    """The first town of a split: scenes of one town are as near to each other as those of a long run."""
    return next(str(town["name"]) for town in read_index(DATA_DIR)["towns"] if town["split"] == split)


def _step_seconds(plan: RunPlan, branch: str, device: str) -> float:
    """A step of a branch, for each of its scenes [s]. Its network stays in the run folder, for those that need one."""
    run = plan.starter(branch)(device, _quiet)
    step_s = second_step_s(run, device)
    run.branch.export(plan.folder / branch, {})
    return step_s / branch_settings(plan.config, branch).batch_size


def _candidate_seconds(plan: RunPlan, device: str) -> float:
    """Proposing and scoring the candidates of a scene [s]: the reward model's first start makes them, others do not."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        plan.starter("reward")(device, _quiet)
        times.append(time.perf_counter() - started)
    return max(times[0] - times[1], 0.0) / len(plan.train.open().tokens)


def _evaluated_seconds(task: Task) -> float:
    """Evaluating a scene [s], without what a start costs: from the first progress to the last."""
    seen: list[tuple[float, int]] = []
    evaluate(task, max_scenes=EVALUATED, on_progress=lambda what, done, total: seen.append((time.perf_counter(), done)))
    (began, first), (ended, last) = next(one for one in seen if one[1]), seen[-1]
    return (ended - began) / max(last - first, 1)


def _quiet(progress: Progress) -> None:
    pass
