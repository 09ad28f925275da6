"""``openpair demo``: the whole way on the embedded world, from nothing to a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from openpair.cli.train import option, show_branch, show_build
from openpair.configs.experiment import ExperimentConfig, preset
from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.cli.demo_steps import Steps
    from openpair.cli.demo_story import Story
    from openpair.evaluation.chunk import Task
    from openpair.evaluation.runner import Evaluation
    from openpair.progress import ProgressView

BASELINES = ("human", "constant_velocity", "pdm_closed")
PLANNERS = ("il", "il_rwm", "il_rwm_wide", "pair", "human_pair", "pair_best_of_6")
"""Rows of the results table: baselines, then ways to plan with the trained networks."""

TOUR = "tour"
"""Preset that trains nothing: the networks of the package plan."""

TOUR_BASELINES = ("human", "constant_velocity")
TOUR_PLANNERS = ("il", "il_rwm_wide", "pair", "human_pair")
DEFAULT = "demo_known"
"""Preset of a demo that nothing else is asked of. Of a tour seed and protocol alone are used."""

DEFAULT_CONFIG = partial(preset, DEFAULT)
FEW_TEST_SCENES = 40
"""Of a tour and of quick."""

KINDS_OF_EXAMPLES = 3
"""Greatest gains, greatest losses, random scenes: what the report shows --gallery of each."""

NETWORKS = "run"
"""Run folder below OUT."""


@dataclass(frozen=True)
class Demo:
    """Train both branches side by side, the reward model and the corrector, evaluate them in unseen towns, and write a
    report.

    Networks read the truth (agents, lanes, lights, edges of the road); with --preset demo they see cameras and LiDAR.
    Needs no data and no GPU: everything happens on the embedded world that comes with OpenPaIR. With --preset tour
    nothing is trained: the networks of the package plan 40 scenes, in a minute or two. The same command resumes an
    interrupted demo.

    Writes OUT/report.html and OUT/scenes.html (each one file, opens offline), OUT/scores.csv, OUT/summary.json and, in
    OUT/run, the networks that it trained.

    Example: openpair demo --preset tour
    """

    out: Path = Path("demo")
    """Folder for everything the demo writes; default of a tour: tour."""

    preset: str = DEFAULT
    """What is trained: demo_known (networks read the truth), demo (they see cameras and LiDAR, which takes three times
    as long), quick or quick_known (minutes, learns nothing), or tour (nothing is trained)."""

    test_scenes: int | None = None
    """Evaluate at most so many scenes of the test towns; default: all, and 40 for tour and quick."""

    gallery: int = 4
    """Scenes of each kind (greatest gains, greatest losses, random) in the report."""

    workers: int = 0
    """Processes that prepare data and evaluate; 0 means one per CPU core."""

    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace results of other test scenes in OUT. Networks with other settings are never replaced."""

    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")] = field(default_factory=DEFAULT_CONFIG)
    """The settings, from the preset."""

    @staticmethod
    def defaults(args: Sequence[str]) -> Demo:
        """The command's defaults, with the settings of the preset that ``args`` ask for."""
        name = option(args, "--preset") or DEFAULT
        few = FEW_TEST_SCENES if name == TOUR or name.startswith("quick") else None
        if name == TOUR:
            return Demo(out=Path(TOUR), config=preset(DEFAULT), test_scenes=few)
        return Demo(config=preset(name), test_scenes=few)

    def run(self) -> int:
        """Do everything; print the table and where the report is."""
        from openpair.files import locked
        from openpair.progress import ProgressView

        if self.preset == TOUR:
            self._check_tour()
        with locked(self.out), ProgressView() as view:
            finish = self._tour(view) if self.preset == TOUR else self._train(view)
        return finish()

    def _tour(self, view: ProgressView) -> Callable[[], int]:
        """Evaluate the networks of the package, and write the report. Returns what is left to print."""
        from openpair.cli.demo_steps import Step, Steps
        from openpair.cli.demo_story import tour_story
        from openpair.planning.pretrained import FOLDER, PRETRAINED

        task = self._task(TOUR_BASELINES, TOUR_PLANNERS, FOLDER)
        everything = len(task.dataset.open().keys())
        steps = Steps(
            (
                Step(f"plan and score {self._count(everything)} scenes with the networks of the package"),
                Step("write the report"),
            ),
            view.say,
        )
        # Named as --agent names them: 'openpair view' finds the networks by that.
        named = [*TOUR_BASELINES, *(f"{name}={PRETRAINED}@{name}" for name in TOUR_PLANNERS)]
        evaluation = self._evaluate(task, steps, view, {"preset": TOUR, "agents": named})
        with steps.step():
            story = tour_story(
                self.config.protocol, self.config.seed, evaluation.summary, all_scenes=everything, seconds=steps.seconds
            )
            return self._report(task, story, evaluation, steps)

    def _train(self, view: ProgressView) -> Callable[[], int]:
        """Train, evaluate, and write the report. Returns what is left to print."""
        from openpair.cli.demo_steps import Step, Steps, groups_of, learned, scenes_line
        from openpair.cli.demo_story import trained_story
        from openpair.configs.runs import RunPlan
        from openpair.configs.train import build_stores, check_same_settings, data_specs, train_branches

        config = self.config
        specs = data_specs(config)
        check_same_settings(config, self.out / NETWORKS)
        self._check_free()
        task = self._task(BASELINES, PLANNERS, self.out / NETWORKS)
        test_scenes = self._count(len(task.dataset.open().keys()))
        what = "prepare scenes" if config.features.known else "prepare scenes and render their sensors"
        groups = groups_of(config)
        names = (
            f"{what}: at most {config.train_scenes} to learn from, {config.validation_scenes} to validate on",
            f"train imitation ({config.imitation.steps} steps) and reinforcement ({config.reinforcement.steps} steps) "
            "side by side",
            f"train the reward model ({config.reward_model.steps} steps)",
            *(
                [f"train the corrector, by reinforcement ({config.correction.steps} steps)"]
                if ("correction",) in groups
                else []
            ),
            f"evaluate {len(task.agents)} agents on {test_scenes} scenes",
            "write the report",
        )
        seconds: Sequence[float | None] = self._estimates(test_scenes, view) or [None] * len(names)
        steps = Steps([Step(*step) for step in zip(names, seconds, strict=True)], view.say)
        with steps.step():
            stores = build_stores(specs, config, self.out / "data", self.workers, partial(show_build, view))
        plan = RunPlan(config, stores["train"], stores["validation"], self.out / NETWORKS)
        view.say(scenes_line(plan))
        for branches in groups:
            with steps.step():
                train_branches(plan, branches, partial(show_branch, view))
            for line in learned(plan.folder, branches):
                view.say(line)
        evaluation = self._evaluate(task, steps, view, {"preset": config.name})
        with steps.step():
            story = trained_story(plan, evaluation.summary, seconds=steps.seconds)
            return self._report(task, story, evaluation, steps)

    def _estimates(self, test_scenes: int, view: ProgressView) -> Sequence[float]:
        """About how long each step of a training takes; nothing for one that is short, or done already."""
        from openpair.cli.demo_probe import estimates, is_worthwhile, probe

        folder, cores = self.out / NETWORKS, os.cpu_count() or 1
        if not is_worthwhile(self.config, folder):
            return ()
        view.say("measuring how fast this machine is, for the estimates ...")
        speed = probe(self.config, partial(self._task, BASELINES, PLANNERS), cores)
        reported = KINDS_OF_EXAMPLES * self.gallery
        workers = self.workers or cores
        return estimates(self.config, folder, speed, test_scenes=test_scenes, reported=reported, workers=workers)

    def _evaluate(self, task: Task, steps: Steps, view: ProgressView, config: dict[str, Any]) -> Evaluation:
        from openpair.cli.demo_steps import scores_line
        from openpair.evaluation.runner import evaluate

        with steps.step():
            evaluation = evaluate(
                task,
                out_dir=self.out,
                workers=self.workers or os.cpu_count() or 1,
                max_scenes=self.test_scenes,
                config=config,
                overwrite=self.overwrite,
                on_progress=view.update,
            )
        view.say(scores_line(evaluation, ("constant_velocity", "il", "pair", "human")))
        return evaluation

    def _report(self, task: Task, story: Story, evaluation: Evaluation, steps: Steps) -> Callable[[], int]:
        """Write the report. Returns what prints the table and where the report is, and gives the exit status."""
        from openpair.cli.demo_report import write_demo_report
        from openpair.cli.demo_steps import minutes
        from openpair.evaluation.chunk import one_torch_thread
        from openpair.evaluation.tables import print_table, results_table

        report = self.out / "report.html"
        with one_torch_thread(task.agents):  # as fast as several, which wait for each other where others work too
            worst = write_demo_report(story, evaluation, report, per_kind=self.gallery)

        def finish() -> int:
            print_table(results_table(evaluation.summary))
            print(f"report: {report}   ({minutes(steps.seconds)})")
            print(f"every scene: openpair view {self.out}   where PaIR loses most to imitation: {worst}")
            return evaluation.exit_status()

        return finish

    def _task(self, baselines: Sequence[str], planners: Sequence[str], networks: Path, town: str | None = None) -> Task:
        """The evaluation of some agents in the test towns, or in one of them."""
        from openpair.evaluation.chunk import Task
        from openpair.evaluation.sources import AgentSource, DatasetSource

        agents = (
            *(AgentSource(name, name) for name in baselines),
            *(AgentSource(name, "checkpoint", networks, name) for name in planners),
        )
        options = {"split": "test"} | ({} if town is None else {"towns": [town]})
        return Task(DatasetSource("world", None, options), agents, self.config.protocol, self.config.seed)

    def _count(self, everything: int) -> int:
        """Test scenes that are evaluated, of so many."""
        return min(self.test_scenes or everything, everything)

    def _check_free(self) -> None:
        """Raises OpenPairError before a training whose results could not be written in the end."""
        from openpair.evaluation.records import SUMMARY_FILE

        if (self.out / SUMMARY_FILE).exists() and not (self.out / NETWORKS).exists() and not self.overwrite:
            raise OpenPairError(
                "the folder holds other results", where=self.out, fix="Choose another --out, or add --overwrite"
            )

    def _check_tour(self) -> None:
        """Raises OpenPairError for settings of a training, which a tour has none of."""
        usual = preset(DEFAULT)
        if self.config != replace(usual, seed=self.config.seed, protocol=self.config.protocol):
            raise OpenPairError(
                "a tour trains nothing: of the settings it takes --seed and --protocol alone",
                where="--preset tour",
                fix="Leave the others out, or choose another preset",
            )
