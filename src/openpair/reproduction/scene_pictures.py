"""A few test scenes from above: what the human drove, what IL planned, the leaves, what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openpair.datasets.base import Dataset
from openpair.datatypes.columns import Protocol
from openpair.evaluation.examples import Example, example_scenes
from openpair.evaluation.records import read_scores
from openpair.preparation.prepare import prepare_scene
from openpair.reproduction.agents import BASE
from openpair.reproduction.plan_files import AgentPlans, read_agent_plans
from openpair.reproduction.scoring import PLANS, V1, scores_path, seed_folder
from openpair.scoring import score_prepared
from openpair.visualization.drawing import draw_scene, svg_file
from openpair.visualization.scene_view import scored_plans, view_scene

LEAVES = "leaves"
KIND_TITLES = {"better": "PaIR gains most over IL", "worse": "PaIR loses most against IL", "random": "drawn at random"}


@dataclass(frozen=True)
class ScenePicture:
    """A drawing of a scene.

    Attributes:
        caption: log, why it is shown, scores.
        drawing: text of an SVG file.
    """

    caption: str
    drawing: str


def scene_pictures(run: Path, seeds: Sequence[int], dataset: Dataset, *, per_kind: int) -> list[ScenePicture]:
    """Scenes of the first seed with IL and PaIR: greatest gains, greatest losses, some drawn at random; chosen by rule.

    Leaves come from ``seed-<k>/leaves/transfuser.pair.npz`` (poses (N, C, 8, 3)), or else are the six of best of 6.
    """
    for seed in seeds:
        folder = seed_folder(run, seed)
        paths = [folder / PLANS / f"{BASE}.{agent}.npz" for agent in ("il", "pair")]
        if not all(path.exists() for path in paths):
            continue
        il, pair = map(read_agent_plans, paths)
        candidates = (folder / LEAVES / f"{BASE}.pair.npz", folder / PLANS / f"{BASE}.pair_best_of_6.npz")
        leaves = next((read_agent_plans(path) for path in candidates if path.exists()), None)
        rows = [row for row in read_scores(scores_path(run, seed, V1)) if row.agent in (il.name, pair.name)]
        examples = example_scenes(rows, pair.name, il.name, per_kind=per_kind, seed=0)
        return [_picture(example, dataset, il, pair, leaves) for example in examples]
    return []


def _picture(
    example: Example, dataset: Dataset, il: AgentPlans, pair: AgentPlans, leaves: AgentPlans | None
) -> ScenePicture:
    scene = dataset.load_scene(example.token)
    prepared = prepare_scene(scene, Protocol.V1_1)
    own = None if leaves is None else leaves.of_token(example.token)
    leaf_names = [] if own is None else [str(i) for i in range(len(own))]
    candidates = () if own is None else scored_plans(leaf_names, own, score_prepared(prepared, own))
    plans = {
        "human": scene.human_trajectory(),
        "PaIR": pair.poses[pair.rows[example.token]][0],
        "IL": il.poses[il.rows[example.token]][0],
    }
    view = view_scene(prepared, list(plans.items()), surroundings=scene, leaves=candidates)
    scores = ", ".join(f"{plan.label} {100 * plan.explanation.score:.0f}" for plan in view.plans)
    title = f"{example.log}: {KIND_TITLES[example.kind]}"
    return ScenePicture(f"{title} ({scores})", svg_file(draw_scene(view)) + "\n")
