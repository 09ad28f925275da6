"""What an agent's networks think of a scene: the candidates by true and predicted score, the maps they see."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.scoring import score_prepared
from openpair.visualization.drawing import leaf_parts
from openpair.visualization.scene_data import leaf_data
from openpair.visualization.scene_view import ScoredPlan

if TYPE_CHECKING:
    from openpair.planning.scene_planner import ScenePlanner
    from openpair.viewer.book import Book

CLASS_COLOURS = np.array(
    [(236, 237, 234), (150, 158, 168), (224, 219, 205), (90, 130, 200), (169, 143, 90), (194, 72, 12), (176, 70, 143)],
    np.uint8,
)
"""Background, road, walkway, centreline, object, vehicle, pedestrian."""

AGENTS_KEPT = 4


@dataclass(frozen=True)
class Inside:
    """What a planner made of one scene.

    Attributes:
        plan: (8, 3) what it drives, ego rear-axle frame.
        root: (8, 3) the plan that its candidates grow around.
        leaves: all candidates, the root last, with true and predicted scores and sub-metrics.
        maps: (title, image (H, W, 3) RGB, forward is up) predicted and true semantic map and occupancy; empty for
            reward models without such heads.
    """

    plan: NDArray[np.float64]
    root: NDArray[np.float64]
    leaves: tuple[ScoredPlan, ...]
    maps: tuple[tuple[str, NDArray[np.uint8]], ...]


def look_inside(agent: ScenePlanner, dataset: Dataset, scene: Scene, prepared: ScoringScene) -> Inside:
    """Ask a planner's networks for one scene. Raises OpenPairError for a planner without a reward model."""
    import torch

    from openpair.planning.inputs import features_of
    from openpair.rewards.base import HEAD_NAMES, HEAD_OF_METRIC, RewardModel

    model = agent.planner.networks.reward_model
    if not isinstance(model, RewardModel) or agent.planner.config.candidates == "none":
        raise OpenPairError(f"'{agent.name}' plans without candidates, so there is nothing to choose between")
    choice = agent.choose([scene])
    config = agent.planner.networks.features
    with torch.no_grad():
        context = model.encode(features_of(dataset, [scene], config))
        rewards = model.score(context, choice.candidates)["sim_rewards"][0].double().numpy()
    candidates = choice.candidates[0].double().numpy()
    scores = score_prepared(prepared, candidates)
    heads = {metric: HEAD_NAMES.index(head) for metric, head in HEAD_OF_METRIC[prepared.protocol].items()}
    predicted = choice.predicted[0].sigmoid().tolist()
    leaves = tuple(
        ScoredPlan(
            label,
            candidates[i],
            float(scores.score[i]),
            {name: float(values[i]) for name, values in scores.metrics.items()},
            predicted[i],
            {metric: float(rewards[row, i]) for metric, row in heads.items()},
        )
        for i, label in enumerate(agent.planner.candidate_names(choice))
    )
    maps = _maps({name: value[0] for name, value in context.perception.items()}, scene, config)
    return Inside(choice.plan[0].double().numpy(), candidates[-1], leaves, maps)


def _maps(perception: dict[str, Any], scene: Scene, config: Any) -> tuple[tuple[str, NDArray[np.uint8]], ...]:
    """Predicted maps beside the true ones."""
    from openpair.features.forecast import future_occupancy
    from openpair.features.targets import bev_semantic_map

    maps: list[tuple[str, NDArray[np.uint8]]] = []
    if "bev_semantic_map" in perception:
        classes = perception["bev_semantic_map"].argmax(dim=0).numpy()
        maps.append(("map as predicted", _upright(CLASS_COLOURS[classes % len(CLASS_COLOURS)])))
        maps.append(("map, true", _upright(CLASS_COLOURS[bev_semantic_map(scene, config)])))
    if "future_occupancy" in perception and config.occupancy_cells:
        share = perception["future_occupancy"].sigmoid().amax(dim=0).numpy()
        maps.append(("where others will be within 4 s, predicted", _upright(_heat(share))))
        truth = future_occupancy(scene, config.occupancy_grid).max(axis=0) / 255.0
        maps.append(("the same, true", _upright(_heat(truth))))
    return tuple(maps)


def _upright(raster: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows run forward and columns to the left in a raster; in an image forward is up and left is left."""
    return np.ascontiguousarray(raster[::-1, ::-1])


def _heat(share: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(H, W) in [0, 1] -> (H, W, 3), light to dark red."""
    low, high = np.array([238.0, 239.0, 236.0]), np.array([160.0, 20.0, 40.0])
    return np.asarray(np.round(low + share[..., None] * (high - low)), np.uint8)


def png_data_uri(image: NDArray[np.uint8]) -> str:
    """``data:`` address of an RGB image (H, W, 3)."""
    done, encoded = cv2.imencode(".png", image[..., ::-1])
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


class Networks:
    """The networks of a book's agents, loaded when one is asked for.

    Args:
        book: whose agents.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._agent: Callable[[str], Any] = lru_cache(AGENTS_KEPT)(self._load)

    def look(self, token: str, key: str) -> dict[str, Any]:
        """Candidates and maps of one scene for the page.

        Raises OpenPairError for agents without networks, and for networks that are not there any more.
        """
        column = self._book.column(key)
        scene, prepared = self._book.scene_of(column, token)
        inside = look_inside(self._agent(key), self._book.dataset(column.result), scene, prepared)
        best = max(leaf.score for leaf in inside.leaves)
        chosen = max(inside.leaves, key=lambda leaf: leaf.predicted or 0.0)
        return {
            "leaves": [leaf_data(leaf) for leaf in inside.leaves],
            "parts": "".join(leaf_parts(inside.leaves)),
            "note": f"The reward model likes {chosen.label} best, which is worth {100 * chosen.score:.1f}; the best "
            f"candidate is worth {100 * best:.1f}: a regret of {100 * (best - chosen.score):.1f}.",
            "maps": [{"title": title, "src": png_data_uri(image)} for title, image in inside.maps],
        }

    def _load(self, key: str) -> Any:
        from openpair.evaluation.sources import AgentContext, parse_agent
        from openpair.planning.scene_planner import ScenePlanner

        column = self._book.column(key)
        if column.column.checkpoint is None:
            raise OpenPairError(f"'{column.label}' has no networks here")
        source = parse_agent(column.column.checkpoint)

        def prepare(scene: Scene) -> ScoringScene:
            return self._book.scene_of(column, scene.token)[1]

        seed = int(column.result.origin.seed)
        agent = source.build(AgentContext(self._book.dataset(column.result), prepare, seed))
        if not isinstance(agent, ScenePlanner):
            raise OpenPairError(f"'{column.label}' is no planner with networks of ours")
        return agent
