"""``openpair demo``: the whole way on the embedded world, from sensors to a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from openpair.cli.train import option, show_branch, show_build
from openpair.configs.experiment import BASES, ExperimentConfig, preset

if TYPE_CHECKING:
    from openpair.evaluation.sources import AgentSource

BASELINES = ("human", "constant_velocity", "pdm_closed")
PLANNERS = ("il", "il_rwm", "il_rwm_wide", "pair", "human_pair", "pair_best_of_6")
"""Rows of the results table: baselines, then ways to plan with the trained networks."""

QUICK_TEST_SCENES = 40

NETWORKS = "run"
"""Run folder below OUT."""


@dataclass(frozen=True)
class Demo:
    """Train both branches side by side and the reward model, evaluate them in unseen towns, and write a report.

    Needs no data and no GPU: everything happens on the embedded world that comes with OpenPaIR. The same command
    resumes an interrupted demo.

    Writes OUT/report.html and OUT/scenes.html (each one file, opens offline), OUT/scores.csv, OUT/summary.json and, in
    OUT/run, the networks.
    """

    out: Path = Path("demo")
    """Folder for everything the demo writes."""

    preset: str = "demo"
    """Size of the experiment: demo (learns to drive) or quick (a few minutes; learns nothing)."""

    test_scenes: int | None = None
    """Evaluate at most so many scenes of the test towns; default: all, and 40 for quick."""

    gallery: int = 4
    """Scenes of each kind (greatest gains, greatest losses, random) in the report."""

    workers: int = 0
    """Processes that prepare data and evaluate; 0 means one per CPU core."""

    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace results of other test scenes in OUT. Networks with other settings are never replaced."""

    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")] = field(default_factory=BASES["demo"])
    """The settings, from the preset."""

    @staticmethod
    def defaults(args: Sequence[str]) -> Demo:
        """The command's defaults, with the settings of the preset that ``args`` ask for."""
        config = preset(option(args, "--preset") or "demo")
        return Demo(config=config, test_scenes=QUICK_TEST_SCENES if config.name.startswith("quick") else None)

    def run(self) -> int:
        """Do everything; print the table and where the report is."""
        from openpair.cli.demo_report import write_demo_report
        from openpair.cli.demo_steps import Steps, learned, minutes, scores_line
        from openpair.configs.runs import RunPlan
        from openpair.configs.train import build_stores, check_same_settings, data_specs, train_branches
        from openpair.evaluation.chunk import Task
        from openpair.evaluation.runner import evaluate
        from openpair.evaluation.sources import DatasetSource
        from openpair.evaluation.tables import print_table, results_table
        from openpair.files import locked
        from openpair.progress import ProgressView

        config = self.config
        specs = data_specs(config)
        check_same_settings(config, self.out / NETWORKS)
        task = Task(DatasetSource("world", None, {"split": "test"}), self._agents(), config.protocol, config.seed)
        test_scenes = len(task.dataset.open().keys())
        with locked(self.out), ProgressView() as view:
            steps = Steps(
                (
                    f"prepare scenes and render their sensors: at most {config.train_scenes} to learn from, "
                    f"{config.validation_scenes} to validate on",
                    f"train imitation ({config.imitation.steps} steps) and reinforcement "
                    f"({config.reinforcement.steps} steps) side by side",
                    f"train the reward model ({config.reward_model.steps} steps)",
                    f"evaluate {len(task.agents)} agents on {min(self.test_scenes or test_scenes, test_scenes)} scenes",
                    "write the report",
                ),
                view.say,
            )
            with steps.step():
                stores = build_stores(specs, config, self.out / "data", self.workers, partial(show_build, view))
            plan = RunPlan(config, stores["train"], stores["validation"], self.out / NETWORKS)
            for branches in (("il", "rl"), ("reward",)):
                with steps.step():
                    train_branches(plan, branches, partial(show_branch, view))
                for line in learned(plan.folder, branches):
                    view.say(line)
            with steps.step():
                evaluation = evaluate(
                    task,
                    out_dir=self.out,
                    workers=self.workers or os.cpu_count() or 1,
                    max_scenes=self.test_scenes,
                    config={"preset": config.name},
                    overwrite=self.overwrite,
                    on_progress=view.update,
                )
            view.say(scores_line(evaluation, ("constant_velocity", "il", "pair", "human")))
            report = self.out / "report.html"
            with steps.step():
                worst = write_demo_report(plan, evaluation, report, seconds=steps.seconds, per_kind=self.gallery)
        print_table(results_table(evaluation.summary))
        print(f"report: {report}   ({minutes(steps.seconds)})")
        print(f"every scene: openpair view {self.out}   where PaIR loses most to imitation: {worst}")
        return evaluation.exit_status()

    def _agents(self) -> tuple[AgentSource, ...]:
        from openpair.evaluation.sources import AgentSource

        baselines = tuple(AgentSource(name, name) for name in BASELINES)
        planners = tuple(AgentSource(name, "checkpoint", self.out / NETWORKS, name) for name in PLANNERS)
        return baselines + planners
