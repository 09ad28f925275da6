"""A scoring scene in its compact form: keyframes and numbers of map elements instead of samples and polygons.

Preparation makes ingredients; :func:`assemble` unfolds them. The store keeps ingredients, so that a stored scene and a
freshly prepared one are equal to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol, StateIndex
from openpair.datatypes.scoring_scene import RedLights, ScoringScene
from openpair.preparation.map_shapes import MapShapes
from openpair.preparation.observation import SAMPLES_PER_FRAME, Sightings, replay_tracks
from openpair.preparation.polygons import take_polygons

REFERENCE_INTERVAL_US = 100_000


@dataclass(frozen=True)
class RedKeyframes:
    """Red lane connectors of the given route at 2 Hz.

    Attributes:
        elements: (n,) int64 numbers of map elements.
        active: (F, n) bool.
    """

    elements: NDArray[np.int64]
    active: NDArray[np.bool_]


@dataclass(frozen=True)
class SceneIngredients:
    """Everything of a scoring scene that its town's :class:`MapShapes` does not hold.

    Attributes:
        token, protocol, time_us, ego_state: as in :class:`ScoringScene`.
        elements: (n,) int64 numbers of the drivable map's elements.
        on_route: (n,) bool, True for lanes and lane connectors of the corrected route.
        centerline_lanes: (k,) int64 numbers of the lanes whose baselines make the centreline.
        sightings: the other road users at 2 Hz; v2.2: without those that touch the ego at t = 0.
        reference_poses: (51, 3) PDM-Closed trajectory every 0.1 s, global frame.
        red: v2.2 only.
        human_trajectory, past_time_us, past_states: v2.2 only, as in :class:`ScoringScene`.
    """

    token: str
    protocol: Protocol
    time_us: int
    ego_state: NDArray[np.float64]
    elements: NDArray[np.int64]
    on_route: NDArray[np.bool_]
    centerline_lanes: NDArray[np.int64]
    sightings: Sightings
    reference_poses: NDArray[np.float64]
    red: RedKeyframes | None = None
    human_trajectory: NDArray[np.float64] | None = None
    past_time_us: NDArray[np.int64] | None = None
    past_states: NDArray[np.float64] | None = None


def assemble(ingredients: SceneIngredients, shapes: MapShapes) -> ScoringScene:
    """The scoring scene of some ingredients and the shapes of their town."""
    count = len(ingredients.reference_poses)
    reference_states = np.zeros((count, len(StateIndex)))
    reference_states[:, : StateIndex.HEADING + 1] = ingredients.reference_poses
    return ScoringScene(
        token=ingredients.token,
        protocol=ingredients.protocol,
        time_us=ingredients.time_us,
        ego_state=ingredients.ego_state,
        drivable_map=shapes.drivable_map(ingredients.elements, ingredients.on_route),
        centerline=shapes.centerline(ingredients.centerline_lanes),
        tracks=replay_tracks(ingredients.sightings),
        reference_time_us=ingredients.time_us + REFERENCE_INTERVAL_US * np.arange(count),
        reference_states=reference_states,
        red_lights=None if ingredients.red is None else replay_red_lights(ingredients.red, shapes),
        human_trajectory=ingredients.human_trajectory,
        past_time_us=ingredients.past_time_us,
        past_states=ingredients.past_states,
    )


def replay_red_lights(red: RedKeyframes, shapes: MapShapes) -> RedLights:
    """Red connectors at 10 Hz. Sample j shows the lights of frame floor(j / 5): lights do not change in between."""
    frame_of_sample = np.arange(SAMPLES_PER_FRAME * (len(red.active) - 1) + 1) // SAMPLES_PER_FRAME
    return RedLights(
        tokens=tuple([shapes.tokens[e] for e in red.elements.tolist()]),
        polygons=take_polygons(shapes.polygons, red.elements),
        active=red.active[frame_of_sample],
    )
