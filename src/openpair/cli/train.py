"""``openpair train``: train both branches at the same time, or one of them, or the reward model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from openpair.configs.experiment import BASES, ExperimentConfig, preset
from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.configs.runs import RunPlan
    from openpair.progress import ProgressView
    from openpair.training.data import DataSpec, StoreLocation

What = Literal["parallel", "il", "rl", "reward", "sequential", "sequential_regularised", "iterative"]


@dataclass(frozen=True)
class Train:
    """Train on a dataset.

    "parallel" trains the imitation and the reinforcement branch at the same time: a process each (and a device each,
    where there are several), or by turns with --interleave. Neither reads the other's weights. "il", "rl" and "reward"
    train one of them; "reward" needs a finished "rl" in the same folder. "sequential", "sequential_regularised" and
    "iterative" fine-tune the finished "il" itself, for comparison. The same command resumes an interrupted run.

    Every setting of the preset can be changed: --imitation.steps 5000, --reinforcement.advantage group_normalised.

    Example: openpair train parallel --out runs/a && openpair train reward --out runs/a
    """

    what: Annotated[What, tyro.conf.Positional]
    """What to train."""

    out: Path
    """Run folder: networks, states, learning curves."""

    preset: str = "demo"
    """Where the settings start from: demo, quick or published, with TransFuser, our tree and our reward model. Append
    _diffusiondrive; one of _parallel_ir (the published tree), _no_tree_offsets, _no_tree_whole, _group_12, _group_9,
    _group_5 (other sets of leaves); _rwm (the published reward model); or several, in order. Networks that installed
    packages register are appended by their names."""

    dataset: str = "world"
    """What kind of data: world, navsim, or another that is registered."""

    root: Path | None = None
    """Folder of the dataset; may be left out for the world that comes with OpenPaIR."""

    train_split: str | None = None
    """Part of the dataset to learn from. Default: train for the world; for navsim the only folder of logs there is."""

    tokens: Path | None = None
    """navsim: which scenes to learn from, as for 'openpair eval'."""

    validation_split: str | None = None
    """Part of the dataset to watch progress on; never learned from. Default: val for the world, none for navsim."""

    cache: Path | None = None
    """Folder for prepared scenes and features, that of 'openpair cache' too; default: OUT/data."""

    anchors: Path | None = None
    """DiffusionDrive: anchors of 'openpair fit-anchors'; default: fitted to the training scenes. Refused for policies
    that fit nothing to them."""

    devices: tuple[str, ...] = ()
    """Where to train; default: every CUDA device, else the CPU."""

    interleave: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """One process, by turns, instead of a process for each branch. The result is the same."""

    workers: int = 0
    """Processes that prepare data; 0 means one per CPU core."""

    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")] = field(default_factory=BASES["demo"])
    """The settings, from the preset."""

    @staticmethod
    def defaults(args: Sequence[str]) -> Train:
        """The command's defaults, with the settings of the preset that ``args`` ask for."""
        return Train("parallel", Path("runs/unnamed"), config=preset(option(args, "--preset") or "demo"))

    def run(self) -> int:
        """Prepare data, train, say where the networks are."""
        from openpair.configs.runs import BRANCH_FILES, SEQUENTIAL_SCHEMES, RunPlan
        from openpair.files import locked
        from openpair.progress import ProgressView
        from openpair.training.data import locate_predecessors, with_predecessors

        branches = ("il", "rl") if self.what == "parallel" else (self.what,)
        if self.what == "reward" and not (self.out / BRANCH_FILES["rl"]).exists():
            raise OpenPairError(
                "the reward model learns from leaves of a trained sampler, and there is none",
                where=self.out,
                fix=f"Run 'openpair train rl --out {self.out}' first",
            )
        if self.what in SEQUENTIAL_SCHEMES and not (self.out / BRANCH_FILES["il"]).exists():
            raise OpenPairError(
                "a sequential scheme fine-tunes a trained imitation policy, and there is none",
                where=self.out,
                fix=f"Run 'openpair train il --out {self.out}' first",
            )
        specs = self.data_specs()
        if self.config.extended_comfort_reward:
            specs = {name: with_predecessors(spec) for name, spec in specs.items()}
        with locked(self.out), ProgressView() as view:
            stores = build_stores(specs, self.config, self.cache or self.out / "data", self.workers, view)
            if self.config.extended_comfort_reward:
                stores = {name: locate_predecessors(specs[name], location) for name, location in stores.items()}
            plan = RunPlan(self.config, stores["train"], stores.get("validation"), self.out, self.anchors)
            train_branches(plan, branches, view, devices=self.devices, interleave=self.interleave)
        for branch in branches:
            print(self.out / BRANCH_FILES[branch])
        return 0

    def data_specs(self) -> dict[str, DataSpec]:
        """The training scenes and, where there are any, the validation scenes. Raises OpenPairError for a choice that
        the dataset does not offer."""
        from openpair.datasets.choice import SceneChoice, choose_scenes
        from openpair.datasets.registry import dataset_options, load_dataset_class
        from openpair.training.data import DataSpec

        countable = "max_scenes" in dataset_options(self.dataset)
        usual = getattr(load_dataset_class(self.dataset), "default_splits", {})
        root = None if self.root is None else str(self.root)

        def spec(use: str, split: str | None, tokens: Path | None, scenes: int | None) -> DataSpec:
            choice = SceneChoice(split, tokens, scenes if countable else None)
            name, options = choose_scenes(self.dataset, self.root, choice, use=use)
            return DataSpec(name, root, options)

        specs = {"train": spec("train", self.train_split, self.tokens, self.config.train_scenes)}
        if self.validation_split is not None or "validation" in usual:
            specs["validation"] = spec("validation", self.validation_split, None, self.config.validation_scenes)
        return specs


def build_stores(
    specs: Mapping[str, DataSpec], config: ExperimentConfig, folder: Path, workers: int, view: ProgressView
) -> dict[str, StoreLocation]:
    """Prepare the scenes of each split for training, on ``workers`` processes (0: one per core).

    Stores are named by what is in them: all splits, and what 'openpair cache' built, share the folder.
    """
    from openpair.training.data import build_training_data

    return {
        name: build_training_data(
            spec,
            folder,
            config.features,
            config.protocol,
            workers=workers or os.cpu_count() or 1,
            on_progress=partial(_show_build, view, name),
        )
        for name, spec in specs.items()
    }


def _show_build(view: ProgressView, split: str, what: str, done: int, total: int) -> None:
    view.update(f"{what} ({split})", done, total)


def train_branches(
    plan: RunPlan,
    branches: Sequence[str],
    view: ProgressView,
    *,
    devices: Sequence[str] = (),
    interleave: bool = False,
) -> None:
    """Train branches of a run at the same time; settings are kept in experiment.json and planner.json."""
    from openpair.checkpoints import to_plain
    from openpair.planning.planner_file import StoredPlanner
    from openpair.training.parallel import assign_devices, train_concurrently, train_interleaved

    plan.folder.mkdir(parents=True, exist_ok=True)
    from openpair.files import write_atomically

    write_atomically(plan.folder / "experiment.json", json.dumps(to_plain(plan.config), indent=2) + "\n")
    StoredPlanner(settings=plan.config.planner).write(plan.folder)
    starters = [plan.starter(branch) for branch in branches]
    jobs = assign_devices(branches, starters, devices or default_devices(), os.cpu_count() or 1)
    train = train_interleaved if interleave or len(jobs) == 1 else train_concurrently
    train(jobs, lambda p: view.update(p.branch, p.step, p.total_steps, shown_figures(p.figures)))


def option(args: Sequence[str], name: str) -> str | None:
    """Value of an option in a command line, before it is parsed."""
    for position, word in enumerate(args):
        if word == name and position + 1 < len(args):
            return args[position + 1]
        if word.startswith(f"{name}="):
            return word.split("=", 1)[1]
    return None


def default_devices() -> tuple[str, ...]:
    """Every CUDA device, else the CPU."""
    import torch

    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count())) or ("cpu",)


SHOWN_FIGURES = ("trajectory_l1", "leaf_score", "best_leaf_score", "sub_scores", "val_chosen_score", "val_distance_m")
"""Figures that the progress view shows where a branch has them."""


def shown_figures(figures: dict[str, float]) -> dict[str, float]:
    """The few figures of a branch that say how it goes."""
    return {name: figures[name] for name in SHOWN_FIGURES if name in figures}
