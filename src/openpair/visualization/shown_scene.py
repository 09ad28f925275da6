"""A validation scene of a training run as a picture: the scene, its plans, candidates coloured by true score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.preparation.store import PreparedStore
from openpair.training.shown_scenes import ShownScene
from openpair.visualization.drawing import draw_scene
from openpair.visualization.raster import paint
from openpair.visualization.scene_view import ScoredPlan, view_scene


def draw_shown(scenes: PreparedStore, shown: ShownScene) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, from above. Raises OpenPairError for a scene that is not in the store, or cannot be scored."""
    leaves = [
        ScoredPlan(str(i), np.asarray(plan, np.float64), float(score))
        for i, (plan, score) in enumerate(zip(shown.candidates, shown.scores, strict=True))
    ]
    plans = [(label, np.asarray(plan, np.float64)) for label, plan in shown.plans.items()]
    return paint(draw_scene(view_scene(scenes.load(shown.token), plans, leaves=leaves)))
