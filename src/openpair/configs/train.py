"""Train an experiment: prepare its data, then train its branches. ``openpair train`` and ``openpair.train``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from openpair.checkpoints import to_plain
from openpair.configs.dry_run import Estimate, try_out
from openpair.configs.experiment import ExperimentConfig, preset
from openpair.configs.runs import BRANCH_FILES, MADE_OF, SEQUENTIAL_SCHEMES, RunPlan, branch_settings
from openpair.damage import reading
from openpair.datasets.choice import SceneChoice, choose_scenes
from openpair.datasets.registry import dataset_options, load_dataset_class
from openpair.errors import OpenPairError
from openpair.files import locked, write_atomically
from openpair.planning.planner_file import StoredPlanner
from openpair.training.data import (
    DataSpec,
    StoreLocation,
    build_training_data,
    locate_predecessors,
    with_predecessors,
)
from openpair.training.division import divide_ranks, split_for
from openpair.training.figure_log import LogKind, check_log
from openpair.training.loop import Listener, run_interleaved
from openpair.training.parallel import assign_devices, default_devices, train_concurrently, train_interleaved
from openpair.training.ranks import Ranks
from openpair.training.rendezvous import World, joined, read_launch

OnEstimate = Callable[[Estimate], None]
"""Told what a branch needs, in a dry run."""

OnBuild = Callable[[str, str, int, int], None]
"""Told (split, what is being built, scenes done, scenes in all)."""

SETTINGS_FILE = "experiment.json"
"""Below the run folder: the settings of the experiment."""

BRANCHES = ("parallel", "il", "rl", "reward", "correction", *SEQUENTIAL_SCHEMES)
"""What can be trained; "parallel" is "il" and "rl" at the same time."""


def train(
    what: str,
    out: Path | str,
    config: ExperimentConfig | str = "demo",
    *,
    dataset: str = "world",
    root: Path | str | None = None,
    train_split: str | None = None,
    tokens: Path | None = None,
    validation_split: str | None = None,
    cache: Path | str | None = None,
    anchors: Path | None = None,
    devices: Sequence[str] = (),
    interleave: bool = False,
    workers: int = 0,
    ranks: Sequence[str] = (),
    micro_batch: int = 0,
    log: LogKind = "none",
    on_estimate: OnEstimate | None = None,
    on_build: OnBuild = lambda split, what, done, total: None,
    listener: Listener = lambda progress: None,
) -> dict[str, Path]:
    """Train a branch, or both at the same time; the same call resumes an interrupted run.

    In processes that torchrun starts, each is a rank: the ranks of a branch divide every batch between them, and rank 0
    alone prepares data and writes. The result does not depend on their number.

    Args:
        what: "parallel" (both branches), "il" (imitation), "rl" (the tree), "reward" (the reward model; needs "rl" in
            the same folder), "correction" (of what the reward model chooses; needs "reward"), or a sequential scheme
            (needs "il").
        out: run folder. Data is prepared below it once; networks, states and learning curves are written there.
        config: an experiment, or the name of a preset ("demo", "quick", "published" ...).
        dataset: "world", "navsim", or another that is registered.
        root: folder of the dataset; None for the world of the package.
        train_split: part of the dataset to learn from; None takes "train" of the world, and navsim's only folder.
        tokens: navsim: file of the scenes to learn from (a scene filter or a list of tokens).
        validation_split: part to validate on, never learned from; None takes "val" of the world, and none of navsim.
        cache: folder for prepared scenes and features; None takes OUT/data.
        anchors: DiffusionDrive: file of anchors; None fits them to the training scenes.
        devices: where to train; none takes every CUDA device, else the CPU.
        interleave: "parallel" in this process, by turns, instead of one process a branch. The result is the same.
        workers: processes that prepare data; 0 means one per CPU core.
        ranks: "parallel" on ranks: how many each branch gets, as in ("il=3", "rl=5"); none takes what ends first.
        micro_batch: at most so many scenes at once on each device: gradients of several passes are added; 0 for all.
        log: "tensorboard" or "wandb": figures go there too, beside the curve files.
        on_estimate: a dry run: two steps of each branch alone, of which nothing is kept; told what they need.
        on_build: told how far the data is.
        listener: told how far each branch is (:class:`~openpair.training.loop.Progress`).

    Returns:
        Branch -> file of its finished network.

    Raises:
        OpenPairError: an unknown branch or preset, a branch whose predecessor is not there, data that cannot be read,
            training that diverges.
    """
    if what not in BRANCHES:
        raise OpenPairError(f"there is no branch '{what}'", where="train", fix=f"Give one of {', '.join(BRANCHES)}")
    folder = Path(out)
    experiment = preset(config) if isinstance(config, str) else config
    branches = ("il", "rl") if what == "parallel" else (what,)

    def prepare() -> RunPlan:
        _check_order(what, folder)
        check_log(log)
        specs = data_specs(
            experiment, dataset, root, train_split=train_split, tokens=tokens, validation_split=validation_split
        )
        stores = build_stores(specs, experiment, folder / "data" if cache is None else Path(cache), workers, on_build)
        validation = stores.get("validation")
        return RunPlan(experiment, stores["train"], validation, folder, anchors, micro_batch=micro_batch, log=log)

    launch = read_launch()
    if launch is None:
        if ranks:
            raise OpenPairError("there is one process", where="--ranks", fix="Start several with torchrun")
        with locked(folder):
            plan = prepare()
            if on_estimate is not None:
                for branch in branches:
                    on_estimate(try_out(plan, branch, (devices or default_devices())[0], listener))
            else:
                train_branches(plan, branches, listener, devices=devices, interleave=interleave)
    else:
        settings: dict[str, object] = {
            "what they train": what,
            "run folder": str(folder),
            "settings": settings_hash(experiment),
        }
        settings |= {"--ranks": " ".join(ranks), "--micro-batch": micro_batch}
        with joined(launch, devices, settings) as world, locked(folder) if launch.rank == 0 else nullcontext():
            train_on_ranks(
                world,
                branches,
                experiment,
                prepare,
                listener,
                ranks=ranks,
                micro_batch=micro_batch,
                on_estimate=on_estimate,
            )
    return {branch: folder / BRANCH_FILES[branch] for branch in branches}


def settings_hash(config: ExperimentConfig) -> str:
    """A few digits that change with any setting of an experiment."""
    return hashlib.sha256(json.dumps(to_plain(config)).encode()).hexdigest()[:8]


def train_on_ranks(
    world: World,
    branches: Sequence[str],
    config: ExperimentConfig,
    prepare: Callable[[], RunPlan],
    listener: Listener,
    *,
    ranks: Sequence[str] = (),
    micro_batch: int = 0,
    on_estimate: OnEstimate | None = None,
) -> None:
    """This rank's share of a run: it trains one of the branches, with the other ranks of that branch.

    Args:
        world: all ranks.
        branches: that are trained at the same time.
        config: the experiment.
        prepare: makes the data ready; called on rank 0.
        listener: told how far a branch is, on the rank that leads it.
        ranks, micro_batch, on_estimate: see :func:`train`.

    Raises OpenPairError for ranks or data that do not fit, and what training raises.
    """
    everyone = world.everyone
    loads = {branch: branch_settings(config, branch) for branch in branches}
    batch_sizes = {branch: settings.batch_size for branch, settings in loads.items()}
    scenes = {branch: settings.batch_size * settings.steps for branch, settings in loads.items()}
    members = divide_ranks(branches, everyone.size, batch_sizes, scenes, ranks)
    for branch in branches:
        split_for(Ranks(0, len(members[branch])), batch_sizes[branch], micro_batch).check(batch_sizes[branch])
    groups = {branch: world.group(members[branch]) for branch in branches}
    mine, group = next((branch, group) for branch, group in groups.items() if group is not None)
    plan = everyone.of_leader(prepare() if everyone.leads else None)
    assert plan is not None
    everyone.agree(
        _data_seen(plan),
        "does not see the prepared data",
        where=plan.train.prepared.parent,
        fix="Give a folder that all machines see (--cache)",
    )
    plan = replace(plan, ranks=group)
    if on_estimate is not None:
        estimate = try_out(plan, mine, world.device, listener)
        if plan.ranks.leads:
            on_estimate(estimate)
        return
    if everyone.leads:
        write_settings(plan)
    run_interleaved([plan.starter(mine)(world.device, listener)])


def _data_seen(plan: RunPlan) -> str:
    """What this rank reads where the data should be: its fingerprint, or what is wrong."""
    try:
        return " ".join(split.fingerprint() for split in plan.open() if split is not None)
    except OpenPairError as error:
        return f"nothing ({error})"


LEARNS_FROM = {
    "reward": "the reward model learns from leaves of a trained sampler",
    "correction": "the corrector learns from what a trained reward model chooses",
    **dict.fromkeys(SEQUENTIAL_SCHEMES, "a sequential scheme fine-tunes a trained imitation policy"),
}
"""Why a branch needs the one that it is made of."""


def _check_order(what: str, folder: Path) -> None:
    """Raise where a branch needs another one that is not finished."""
    needed = MADE_OF.get(what)
    if needed is not None and not (folder / BRANCH_FILES[needed]).exists():
        raise OpenPairError(
            f"{LEARNS_FROM[what]}, and there is none",
            where=folder,
            fix=f"Run 'openpair train {needed} --out {folder}' first",
        )


def data_specs(
    config: ExperimentConfig,
    dataset: str = "world",
    root: Path | str | None = None,
    *,
    train_split: str | None = None,
    tokens: Path | None = None,
    validation_split: str | None = None,
) -> dict[str, DataSpec]:
    """The scenes that an experiment reads: "train" and, where there are any, "validation".

    Raises OpenPairError for a choice that the dataset does not offer.
    """
    countable = "max_scenes" in dataset_options(dataset)
    usual = getattr(load_dataset_class(dataset), "default_splits", {})
    place = None if root is None else Path(root)

    def spec(use: str, split: str | None, listed: Path | None, scenes: int | None) -> DataSpec:
        choice = SceneChoice(split, listed, scenes if countable else None)
        name, options = choose_scenes(dataset, place, choice, use=use)
        return DataSpec(name, None if place is None else str(place), options)

    specs = {"train": spec("train", train_split, tokens, config.train_scenes)}
    if validation_split is not None or "validation" in usual:
        specs["validation"] = spec("validation", validation_split, None, config.validation_scenes)
    return specs


def build_stores(
    specs: Mapping[str, DataSpec],
    config: ExperimentConfig,
    folder: Path,
    workers: int,
    on_build: OnBuild = lambda split, what, done, total: None,
) -> dict[str, StoreLocation]:
    """Prepare the scenes of each split for training, on ``workers`` processes (0: one per core).

    All splits share the folder, since stores are named by data and choice of scenes: what ``openpair cache`` wrote
    there is found.
    """
    if config.extended_comfort_reward:
        specs = {name: with_predecessors(spec) for name, spec in specs.items()}
    stores = {
        name: build_training_data(
            spec,
            folder,
            config.features,
            config.protocol,
            workers=workers or os.cpu_count() or 1,
            on_progress=partial(on_build, name),
        )
        for name, spec in specs.items()
    }
    if config.extended_comfort_reward:
        stores = {name: locate_predecessors(specs[name], location) for name, location in stores.items()}
    return stores


def write_settings(plan: RunPlan) -> None:
    """Keep the settings of a run in its folder."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    keep_settings(plan.config, plan.folder)
    StoredPlanner.of_experiment(plan.config.planner).write(plan.folder)


def train_branches(
    plan: RunPlan,
    branches: Sequence[str],
    listener: Listener,
    *,
    devices: Sequence[str] = (),
    interleave: bool = False,
) -> None:
    """Train branches of a run at the same time; settings are kept in experiment.json and planner.json."""
    write_settings(plan)
    starters = [plan.starter(branch) for branch in branches]
    jobs = assign_devices(branches, starters, devices or default_devices(), torch.get_num_threads())
    run = train_interleaved if interleave or len(jobs) == 1 else train_concurrently
    run(jobs, listener)


def keep_settings(config: ExperimentConfig, folder: Path) -> None:
    """Write the settings beside the networks of a run."""
    write_atomically(folder / SETTINGS_FILE, json.dumps(to_plain(config), indent=2) + "\n")


def check_same_settings(config: ExperimentConfig, folder: Path) -> None:
    """Raises OpenPairError where a run folder holds networks of other settings: nothing of it is to be replaced."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return
    with reading(path, "the settings of the run"):
        held = json.loads(path.read_text(encoding="utf-8"))
    asked = json.loads(json.dumps(to_plain(config)))
    name = held.get("name", "unknown") if isinstance(held, dict) else "unknown"
    if not isinstance(held, dict) or held | {"planner": None} != asked | {"planner": None}:  # it decides no training
        raise OpenPairError(
            f"the folder holds a run with other settings (preset {name})",
            where=folder,
            fix="Choose another --out, or delete the folder",
        )
