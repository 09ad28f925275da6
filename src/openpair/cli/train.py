"""``openpair train``: train both branches at the same time, or one of them, or the reward model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from openpair.configs.experiment import BASES, ExperimentConfig, preset

if TYPE_CHECKING:
    from openpair.progress import ProgressView
    from openpair.training.loop import Progress

What = Literal["parallel", "il", "rl", "reward", "correction", "sequential", "sequential_regularised", "iterative"]


@dataclass(frozen=True)
class Train:
    """Train on a dataset.

    "parallel" trains the imitation and the reinforcement branch at the same time: each in its own process, and on its
    own device where there are several, or by turns with --interleave. Neither reads the other's weights.

    "il", "rl", "reward" and "correction" train one network; "reward" needs a finished "rl" in the same folder,
    "correction" a finished "reward". "sequential", "sequential_regularised" and "iterative" fine-tune the finished "il"
    itself, for comparison. The same command resumes an interrupted run.

    Several processes, on one machine or more, divide every batch between them: torchrun --nproc-per-node 8 -m openpair
    train il ... (docs/training_at_scale.md).

    Every setting of the preset can be changed: --imitation.steps 5000, --reinforcement.advantage group_normalised.

    Example: openpair train parallel --out runs/a && openpair train reward --out runs/a
    """

    MAIN_OPTIONS: ClassVar = (
        "out",
        "preset",
        "input",
        "dataset",
        "root",
        "train_split",
        "validation_split",
        "cache",
        "devices",
    )

    what: Annotated[What, tyro.conf.Positional]
    """What to train."""

    out: Path
    """Run folder: networks, states, learning curves."""

    preset: str = "demo"
    """Where the settings start from: demo, quick or published, with TransFuser, our tree and our reward model. Append
    _diffusiondrive; one of _parallel_ir (the published tree), _no_tree_offsets, _no_tree_whole, _group_12, _group_9,
    _group_5 (other sets of leaves); _rwm (the published reward model); or several, in order; and at the end _known (no
    sensors, see --input) or _camera (no LiDAR). Networks that installed packages register are appended by their
    names."""

    input: Literal["sensors", "known"] = "sensors"
    """What networks read: sensors, or the truth (agents, lanes, lights, edges of the road), without vision and at a
    small part of the cost. "known" is the same as _known at the end of the preset."""

    dataset: str = "world"
    """What kind of data: world, navsim, or another that is registered."""

    root: Path | None = None
    """Folder of the dataset; may be left out for the world that comes with OpenPaIR."""

    train_split: str | None = None
    """Part of the dataset to learn from. Default: train for the world; for navsim the only folder of logs there is."""

    tokens: Path | None = None
    """navsim: which scenes to learn from, as for 'openpair eval'."""

    validation_split: str | None = None
    """Part of the dataset to validate on; never learned from. Default: val for the world, none for navsim."""

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

    ranks: tuple[str, ...] = ()
    """parallel under torchrun: processes of each branch, as in 'il=3 rl=5'; default: the division that ends first."""

    micro_batch: int = 0
    """At most so many scenes at once on each device; a step's gradients are then added over several passes. 0: all."""

    log: Literal["none", "tensorboard", "wandb"] = "none"
    """Where figures go, beside OUT/BRANCH/curve.jsonl: losses, scores, gradient norm, learning rate, steps a second;
    and pictures of a few validation trees from above."""

    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Prepare everything, do two steps of each branch, say how much memory, disk and time it needs, and keep nothing of
    the steps."""

    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")] = field(default_factory=BASES["demo"])
    """The settings, from the preset."""

    @staticmethod
    def defaults(args: Sequence[str]) -> Train:
        """The command's defaults, with the settings of the preset that ``args`` ask for."""
        name = option(args, "--preset") or "demo"
        if option(args, "--input") == "known" and not name.endswith("_known"):
            name += "_known"
        return Train("parallel", Path("runs/unnamed"), config=preset(name))

    def run(self) -> int:
        """Prepare data, train, say where the networks are."""
        from rich.console import Console

        from openpair.configs.train import train
        from openpair.progress import ProgressView

        leads = os.environ.get("RANK", "0") == "0"
        # Of several ranks one may draw bars; others that lead a branch print lines.
        console = None if leads else Console(stderr=True, force_terminal=False)
        with _said_why_stopped(leads), ProgressView(console) as view:
            files = train(
                self.what,
                self.out,
                self.config,
                dataset=self.dataset,
                root=self.root,
                train_split=self.train_split,
                tokens=self.tokens,
                validation_split=self.validation_split,
                cache=self.cache,
                anchors=self.anchors,
                devices=self.devices,
                interleave=self.interleave,
                workers=self.workers,
                ranks=self.ranks,
                micro_batch=self.micro_batch,
                log=self.log,
                on_estimate=(lambda estimate: print(estimate.sentence())) if self.dry_run else None,
                on_build=partial(show_build, view),
                listener=partial(show_branch, view),
            )
        for file in files.values() if leads and not self.dry_run else ():
            print(file)
        return 0


@contextmanager
def _said_why_stopped(speaks: bool) -> Iterator[None]:
    """Says in one sentence why the command ends where SIGTERM, and nothing else, ends it."""
    try:
        yield
    except SystemExit as stop:
        from openpair.training.loop import TERMINATED

        if speaks and stop.code == TERMINATED:
            print("openpair train: stopped by SIGTERM; run the same command again to go on.", file=sys.stderr)
        raise


def show_build(view: ProgressView, split: str, what: str, done: int, total: int) -> None:
    """How far the data of a split is."""
    view.update(f"{what} ({split})", done, total)


def show_branch(view: ProgressView, progress: Progress) -> None:
    """How far a branch is, with the few figures that say how it goes."""
    view.update(progress.branch, progress.step, progress.total_steps, shown_figures(progress.figures))


def option(args: Sequence[str], name: str) -> str | None:
    """Value of an option in a command line, before it is parsed."""
    for position, word in enumerate(args):
        if word == name and position + 1 < len(args):
            return args[position + 1]
        if word.startswith(f"{name}="):
            return word.split("=", 1)[1]
    return None


SHOWN_FIGURES = ("trajectory_l1", "leaf_score", "best_leaf_score", "sub_scores", "val_chosen_score", "val_distance_m")
"""Figures that the progress view shows where a branch has them."""


def shown_figures(figures: dict[str, float]) -> dict[str, float]:
    """The few figures of a branch that say how it goes."""
    return {name: figures[name] for name in SHOWN_FIGURES if name in figures}
