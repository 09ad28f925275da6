"""The demo's report: what was trained, how it went, how it drives, scene by scene."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from openpair.checkpoints import read_info
from openpair.configs.runs import BRANCH_FILES, RunPlan
from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.columns import Protocol
from openpair.evaluation.examples import Example, example_scenes
from openpair.evaluation.runner import Evaluation
from openpair.planning.config import ABOUT
from openpair.planning.scene_planner import load_planner
from openpair.preparation.prepare import prepare_scene
from openpair.sensors.render import render_scene
from openpair.training.curve_file import read_curve
from openpair.viewer.book import Book
from openpair.viewer.charts import runs_of
from openpair.viewer.desk import SceneDesk
from openpair.viewer.export import export_scenes
from openpair.viewer.inside import look_inside
from openpair.viewer.results import open_results
from openpair.visualization.report import write_report
from openpair.visualization.report_data import (
    BranchCurves,
    Comparison,
    CurvePanel,
    ReportData,
    Series,
    difference,
    verdict,
)
from openpair.visualization.scene_view import GalleryScene, view_scene

LABELS = {
    "human": "human",
    "constant_velocity": "constant velocity",
    "pdm_closed": "PDM-Closed (sees boxes and map)",
    "il": "IL",
    "il_rwm": "IL + reward model (mild)",
    "il_rwm_wide": "IL + reward model (wide)",
    "pair": "PaIR + reward model",
    "human_pair": "human + PaIR",
    "pair_best_of_6": "PaIR, best of 6",
}

GALLERY_IMAGE = (384, 216)

KIND_TITLES = {
    "better": "PaIR gains most over IL",
    "worse": "PaIR loses most against IL",
    "random": "a scene drawn at random",
}


SCENES_PAGE = "scenes.html"
"""Beside the report: its scenes in a table, as 'openpair view' shows them."""


def write_demo_report(plan: RunPlan, evaluation: Evaluation, path: Path, *, seconds: float, per_kind: int) -> str:
    """Write the report of a finished demo as one HTML file, and its scenes as another beside it.

    Returns the address of the scene where PaIR loses most to imitation; that of the page where it never loses.
    """
    summary = evaluation.summary
    examples = example_scenes(evaluation.rows, "pair", "il", per_kind=per_kind, seed=plan.config.seed)
    data = ReportData(
        title="OpenPaIR demo",
        headline=_headline(evaluation),
        paragraphs=_paragraphs(plan, evaluation),
        evaluation=summary,
        labels=LABELS,
        descriptions=ABOUT,
        comparisons=(
            Comparison("pair", "il", "Does the RL branch with the reward model improve on imitation?"),
            Comparison("pair", "il_rwm", "Does the tree add anything to a reward model over simple neighbours?"),
            Comparison("pair", "il_rwm_wide", "The same against wider neighbours?"),
            Comparison("human_pair", "human", "Does it correct the human?"),
        ),
        branches=_curves(plan.folder),
        scenes=tuple(_gallery_scene(plan.folder, example) for example in examples),
        made=_made(plan, seconds),
        limits=(
            "A small simulated world and networks of about a million parameters trained for minutes: the figures say "
            "whether the method works here, not how it does on recorded data.",
            "One seed. Intervals come from resampling logs; they do not cover the randomness of training.",
        ),
        method="pair",
        warning=_warning(plan, summary.scenes_expected),
        scenes_link=SCENES_PAGE if examples else "",
    )
    write_report(data, path)
    return _write_scenes(path.parent, examples)


def _write_scenes(out: Path, examples: list[Example]) -> str:
    """The page of the examples, with IL, PaIR and the human; returns the address to begin with."""
    path = out / SCENES_PAGE
    if not examples:
        return str(path)
    book = Book(open_results(out), lambda origin, protocol: WorldDataset("test"))
    desk = SceneDesk(book, runs_of(out))
    keys = [f"0.{name}" for name in ("pair", "il", "human")]
    export_scenes(desk, path, [example.token for example in examples], keys, title="OpenPaIR demo")
    worst = min(examples, key=lambda example: example.difference)
    return f"{path}#scene={worst.token}" if worst.difference < 0 else str(path)


def _warning(plan: RunPlan, scenes: int) -> str:
    """What stands above the report of networks that were hardly trained."""
    if not plan.config.name.startswith("quick"):
        return ""
    steps = sum(_steps(plan).values())
    return (
        f"Nothing was learned here. The preset '{plan.config.name}' trains for {steps} steps in all and evaluates "
        f"{scenes} scenes, to show that everything works; its figures mean nothing. 'make demo' trains for real."
    )


def _headline(evaluation: Evaluation) -> str:
    """PaIR against IL in one sentence; where constant velocity is as good, that alone is said."""
    means = {agent.name: agent.score.mean for agent in evaluation.summary.agents}
    if not means["pair"] > means["constant_velocity"]:
        return (
            f"PaIR with the reward model reaches {100 * means['pair']:.1f} {evaluation.summary.score_name}, no more "
            f"than constant velocity ({100 * means['constant_velocity']:.1f}), which looks at nothing: these networks "
            "have not learned to drive."
        )
    gain = difference(evaluation.summary, "pair", "il")
    words = {
        "higher": "more than imitation alone",
        "lower": "less than imitation alone",
        "no clear difference": "no clear difference to imitation alone",
        "not tested": "beside imitation alone",
    }[verdict(gain)]
    return (
        f"PaIR with the reward model reaches {100 * means['pair']:.1f} {evaluation.summary.score_name} in towns it has "
        f"never seen, {words} ({100 * means['il']:.1f}; difference {100 * gain.mean:+.1f}, 95% interval "
        f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f})."
    )


def _paragraphs(plan: RunPlan, evaluation: Evaluation) -> tuple[str, ...]:
    control = max(("il_rwm", "il_rwm_wide"), key=lambda name: _mean(evaluation, name))
    over_control = difference(evaluation.summary, "pair", control)
    words = {"higher": "is above", "lower": "is below", "no clear difference": "cannot be told from"}.get(
        verdict(over_control), "stands beside"
    )
    return (
        "An imitation policy and a reinforcement sampler were trained side by side on the training towns, neither "
        "reading the other's weights; then a reward model on exactly scored candidates. All plans were scored by the "
        f"exact {evaluation.summary.score_name} of NAVSIM {evaluation.summary.protocol} in the test towns.",
        f"The fair control gives the same reward model 15 simple neighbours of the IL plan. PaIR {words} the better "
        f"control, {LABELS[control]} ({100 * _mean(evaluation, control):.1f}; difference "
        f"{100 * over_control.mean:+.1f}, 95% interval {100 * over_control.low:+.1f} to "
        f"{100 * over_control.high:+.1f}).",
    )


def _mean(evaluation: Evaluation, name: str) -> float:
    return next(agent.score.mean for agent in evaluation.summary.agents if agent.name == name)


def _curves(folder: Path) -> tuple[BranchCurves, ...]:
    def series(branch: str, figure: str, label: str, *, dashed: bool = False) -> Series:
        points = [(p["step"], p[figure]) for p in read_curve(folder / branch) if figure in p]
        return Series(label, [x for x, _ in points], [y for _, y in points], dashed=dashed)

    return (
        BranchCurves(
            "Imitation branch",
            "Learns the human's plan, the agents and the map around.",
            (
                CurvePanel(
                    "Distance to the human's plan",
                    "step",
                    "m",
                    (
                        series("il", "val_distance_m", "validation towns, mean over 4 s"),
                        series("il", "val_end_distance_m", "validation towns, at 4 s"),
                    ),
                ),
                CurvePanel("Loss", "step", "", (series("il", "trajectory_l1", "plan (L1, training)"),)),
            ),
        ),
        BranchCurves(
            "Reinforcement branch",
            "Grows trees around moved human plans; GRPO on exact scores.",
            (
                CurvePanel(
                    "Scores of the tree",
                    "step",
                    "score",
                    (
                        series("rl", "val_best_of_tree", "best of leaves and root, validation"),
                        series("rl", "val_leaf_score", "mean leaf, validation"),
                        series("rl", "val_root_score", "root, validation", dashed=True),
                    ),
                    percent=True,
                ),
                CurvePanel(
                    "Scores while exploring",
                    "step",
                    "score",
                    (
                        series("rl", "best_leaf_score", "best leaf, training"),
                        series("rl", "leaf_score", "mean leaf, training"),
                        series("rl", "human_score", "human, training", dashed=True),
                    ),
                    percent=True,
                ),
            ),
        ),
        BranchCurves(
            "Reward model",
            "Learns the sub-scores of candidates from the sensors.",
            (
                CurvePanel(
                    "Score of the chosen candidate",
                    "step",
                    "score",
                    (
                        series("reward", "val_best_score", "best of the set, validation", dashed=True),
                        series("reward", "val_chosen_score", "chosen, validation"),
                        series("reward", "val_root_score", "root, validation", dashed=True),
                    ),
                    percent=True,
                ),
                CurvePanel("Loss", "step", "", (series("reward", "sub_scores", "sub-scores (training)"),)),
            ),
        ),
    )


def _gallery_scene(folder: Path, example: Example) -> GalleryScene:
    """One scene with human, IL plan, leaves and driven plan, all exactly scored."""
    dataset = WorldDataset("test")
    scene = dataset.load_scene(example.token)
    agent = load_planner(folder, mode="pair", dataset=dataset, name="pair")
    prepared = prepare_scene(scene, Protocol.V1_1)
    inside = look_inside(agent, dataset, scene, prepared)
    plans = [("human", scene.human_trajectory()), (LABELS["pair"], inside.plan), (LABELS["il"], inside.root)]
    return GalleryScene(
        view_scene(prepared, plans, surroundings=scene, leaves=inside.leaves),
        title=f"{example.log}: {KIND_TITLES[example.kind]} ({100 * example.difference:+.0f})",
        log=example.log,
        tags=(example.kind,),
        sensors=render_scene(scene, size=GALLERY_IMAGE),
    )


def _made(plan: RunPlan, seconds: float) -> tuple[tuple[str, str], ...]:
    infos = {branch: read_info(plan.folder / BRANCH_FILES[branch]) for branch in ("il", "rl", "reward")}
    train, validation = plan.open()
    minutes = {branch: info.metrics.get("train_seconds", 0.0) / 60 for branch, info in infos.items()}
    return (
        ("command", "make demo" if plan.config.name == "demo" else f"openpair demo --preset {plan.config.name}"),
        ("seed", str(plan.config.seed)),
        ("scenes", f"{len(train.tokens)} training, {len(validation.tokens) if validation else 0} validation"),
        ("left out", "; ".join(f"{t}: {r}" for t, r in train.failures().items()) or "none"),
        ("steps", ", ".join(f"{b} {n}" for b, n in _steps(plan).items())),
        ("training", ", ".join(f"{branch} {value:.1f} min" for branch, value in minutes.items())),
        ("this run", f"{seconds / 60:.1f} min"),
        ("data hash", train.fingerprint()),
        (
            "machine",
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        ),
        ("versions", ", ".join(f"{k} {v}" for k, v in infos["il"].versions.items())),
    )


def _steps(plan: RunPlan) -> dict[str, int]:
    config = plan.config
    return {"il": config.imitation.steps, "rl": config.reinforcement.steps, "reward": config.reward_model.steps}
