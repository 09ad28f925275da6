"""``openpair.show``: a scene with plans inside a notebook, drawn and explained as everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.preparation.prepare import prepare_scene
from openpair.visualization.scene_page import scene_page
from openpair.visualization.scene_view import HUMAN, SceneView, view_scene

HEIGHT_PX = 760


class Shown:
    """What a notebook shows inline; ``page`` is the HTML, ``view`` what is drawn.

    The page lies in a frame of its own without access to the notebook.
    """

    def __init__(self, view: SceneView, page: str, height_px: int) -> None:
        self.view, self.page, self._height_px = view, page, height_px

    def _repr_html_(self) -> str:
        return (
            f'<iframe sandbox="allow-scripts" style="width:100%;height:{self._height_px}px;border:0" '
            f'title="Scene {escape(self.view.scene.token)}" srcdoc="{escape(self.page)}"></iframe>'
        )


def show(
    scene: Scene | ScoringScene,
    plans: Mapping[str, NDArray[np.floating]] | NDArray[np.floating] | None = None,
    *,
    protocol: Protocol | str = Protocol.V1_1,
    height_px: int = HEIGHT_PX,
) -> Shown:
    """Draw a scene with plans, play it, and say where each loses points.

    Args:
        scene: a dataset's scene, or one that is prepared for scoring.
        plans: name -> (8, 3) x [m], y [m], heading [rad] at 0.5 s ... 4.0 s, ego rear-axle frame; or one such plan, or
            several (N, 8, 3). A dataset's scene adds the human's plan where nobody is called ``human``.
        protocol: which score, for a dataset's scene.
        height_px: height of the frame.

    Raises OpenPairError for plans of another shape or with values that are not finite.
    """
    surroundings = scene if isinstance(scene, Scene) else None
    prepared = prepare_scene(scene, Protocol(protocol)) if isinstance(scene, Scene) else scene
    named = _named(plans)
    if surroundings is not None and HUMAN not in named and not surroundings.is_synthetic:
        named[HUMAN] = surroundings.human_trajectory()
    if not named:
        raise OpenPairError("there is no plan to show", where="plans", fix="Give a plan (8, 3), or several by name")
    view = view_scene(prepared, list(named.items()), surroundings=surroundings)
    return Shown(view, scene_page(view, log="" if surroundings is None else surroundings.log_name), height_px)


def _named(plans: Mapping[str, NDArray[np.floating]] | NDArray[np.floating] | None) -> dict[str, NDArray[np.float64]]:
    if plans is None:
        return {}
    if isinstance(plans, Mapping):
        return {name: np.asarray(plan, np.float64) for name, plan in plans.items()}
    array = np.asarray(plans, np.float64)
    if array.ndim == 2:
        return {"plan": array}
    return {f"plan {i}": plan for i, plan in enumerate(array)}
