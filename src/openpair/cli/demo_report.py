"""The demo's report: scores, what their differences say, how it drives, scene by scene."""

from __future__ import annotations

from pathlib import Path

from openpair.cli.demo_story import Story
from openpair.datasets.world.dataset import WorldDataset
from openpair.evaluation.examples import Example, example_scenes
from openpair.evaluation.runner import Evaluation
from openpair.planning.scene_planner import load_planner
from openpair.preparation.prepare import prepare_scene
from openpair.sensors.render import render_scene
from openpair.viewer.book import Book
from openpair.viewer.charts import runs_of
from openpair.viewer.desk import SceneDesk
from openpair.viewer.export import export_scenes
from openpair.viewer.inside import look_inside
from openpair.viewer.results import open_results
from openpair.visualization.report import write_report
from openpair.visualization.report_data import Comparison, ReportData, difference, verdict
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


COMPARISONS = (
    Comparison("pair", "il", "Does reinforcement with the reward model improve on imitation?"),
    Comparison("pair", "il_rwm", "Does reinforcement add anything to a reward model over mild neighbours?"),
    Comparison("pair", "il_rwm_wide", "Does reinforcement add anything to a reward model over wide neighbours?"),
    Comparison("human_pair", "human", "Does it correct the human?"),
)
"""Those of agents that were evaluated are shown."""

CONTROLS = ("il_rwm", "il_rwm_wide")


def write_demo_report(story: Story, evaluation: Evaluation, path: Path, *, per_kind: int) -> str:
    """Write the report of a finished demo as one HTML file, and its scenes as another beside it.

    Returns the address of the scene where PaIR loses most to imitation; that of the page where it never loses.
    """
    summary = evaluation.summary
    evaluated = {agent.name for agent in summary.agents}
    examples = example_scenes(evaluation.rows, "pair", "il", per_kind=per_kind, seed=story.seed)
    data = ReportData(
        title=story.title,
        headline=_headline(evaluation),
        paragraphs=(story.about, _over_control(evaluation)),
        evaluation=summary,
        labels=LABELS,
        descriptions=dict(story.descriptions),
        comparisons=tuple(item for item in COMPARISONS if {item.first, item.second} <= evaluated),
        branches=story.branches,
        scenes=tuple(_gallery_scene(story, example) for example in examples),
        made=story.made,
        limits=story.limits,
        method="pair",
        warning=story.warning,
        scenes_link=SCENES_PAGE if examples else "",
    )
    write_report(data, path)
    return _write_scenes(path.parent, examples, story.title)


def _write_scenes(out: Path, examples: list[Example], title: str) -> str:
    """The page of the examples, with IL, PaIR and the human; returns the address to begin with."""
    path = out / SCENES_PAGE
    if not examples:
        return str(path)
    book = Book(open_results(out), lambda origin, protocol: WorldDataset("test"))
    desk = SceneDesk(book, runs_of(out))
    keys = [f"0.{name}" for name in ("pair", "il", "human")]
    export_scenes(desk, path, [example.token for example in examples], keys, title=title)
    worst = min(examples, key=lambda example: example.difference)
    return f"{path}#scene={worst.token}" if worst.difference < 0 else str(path)


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


def _over_control(evaluation: Evaluation) -> str:
    """PaIR against the better of the fair controls that were evaluated."""
    evaluated = [agent.name for agent in evaluation.summary.agents]
    control = max((name for name in CONTROLS if name in evaluated), key=lambda name: _mean(evaluation, name))
    better = "the better control" if set(CONTROLS) <= set(evaluated) else "it"
    over_control = difference(evaluation.summary, "pair", control)
    words = {"higher": "is above", "lower": "is below", "no clear difference": "cannot be told from"}.get(
        verdict(over_control), "stands beside"
    )
    return (
        f"The fair control gives the same reward model 15 simple neighbours of the IL plan. PaIR {words} {better}, "
        f"{LABELS[control]} ({100 * _mean(evaluation, control):.1f}; difference {100 * over_control.mean:+.1f}, 95% "
        f"interval {100 * over_control.low:+.1f} to {100 * over_control.high:+.1f})."
    )


def _mean(evaluation: Evaluation, name: str) -> float:
    return next(agent.score.mean for agent in evaluation.summary.agents if agent.name == name)


def _gallery_scene(story: Story, example: Example) -> GalleryScene:
    """One scene with human, IL plan, leaves and driven plan, all exactly scored."""
    dataset = WorldDataset("test")
    scene = dataset.load_scene(example.token)
    agent = load_planner(story.networks, mode="pair", dataset=dataset, name="pair")
    prepared = prepare_scene(scene, story.protocol)
    inside = look_inside(agent, dataset, scene, prepared)
    plans = [("human", scene.human_trajectory()), (LABELS["pair"], inside.plan), (LABELS["il"], inside.root)]
    return GalleryScene(
        view_scene(prepared, plans, surroundings=scene, leaves=inside.leaves),
        title=f"{example.log}: {KIND_TITLES[example.kind]} ({100 * example.difference:+.0f})",
        log=example.log,
        tags=(example.kind,),
        sensors=render_scene(scene, size=GALLERY_IMAGE),
    )
