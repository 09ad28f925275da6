"""From a scene (log frames and map) to a scoring scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.columns import NUM_HISTORY_FRAMES, Protocol
from openpair.datatypes.scene import Frame, Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.geometry.poses import global_to_local
from openpair.preparation.boxes import ego_center
from openpair.preparation.drivable import elements_around
from openpair.preparation.forecast import make_forecast
from openpair.preparation.ingredients import SceneIngredients, assemble
from openpair.preparation.lane_search import find_lane_path, find_starting_lane
from openpair.preparation.map_index import MapIndex, map_index
from openpair.preparation.observation import FUTURE_FRAMES, collect_sightings, without_initial_overlaps
from openpair.preparation.pdm_closed import drive_pdm_closed
from openpair.preparation.red_lights import collect_red_lights, red_connectors
from openpair.preparation.route import correct_route

PLAN_STEPS = slice(5, 41, 5)
"""Samples of the 0.1 s reference that a plan of 8 poses holds."""


def prepare_scene(scene: Scene, protocol: Protocol, *, carried_exemptions: set[str] | None = None) -> ScoringScene:
    """Everything the scorer needs of a scene, PDM-Closed's reference trajectory included.

    Args:
        scene: current frame, what follows (10 frames for v1.1, 8 for v2.2) and, for v2.2, three frames of past.
        protocol: which score it is for.
        carried_exemptions: None = every scene stands for itself. A set = do as the original does, which never
            forgets a track that once overlapped the ego: PDM-Closed leaves out the tracks of this set, and those
            that overlap the ego now are added to it. Hand the same set to scene after scene, in the original's order.

    Raises:
        OpenPairError: frames are missing, the route is empty or unknown to the map, the map has nothing there, or
            boxes, velocities or polygons cannot be used; it names scene and cause.
    """
    index = map_index(scene.road_map)
    return assemble(prepare_ingredients(index, scene, protocol, carried_exemptions=carried_exemptions), index.shapes)


def pdm_closed_plan(scene: Scene, protocol: Protocol = Protocol.V1_1) -> NDArray[np.float64]:
    """(8, 3) x [m], y [m], heading [rad], ego rear-axle frame: PDM-Closed's plan as an agent.

    Args:
        scene: only its current frame and its map are looked at.
        protocol: whose scorer chooses among the proposals.

    Raises:
        OpenPairError: as :func:`prepare_scene`.
    """
    index = map_index(scene.road_map)
    with _geometry_errors_named(scene):
        _check_ego(scene, [scene.current])
        collect_sightings([scene.current.agents], where=_name(scene))  # refuses what cannot be forecast
        poses = _Site(index, scene).reference(scene, protocol, set())
    return global_to_local(poses[PLAN_STEPS], scene.current.ego.pose)


def reference_plan(prepared: ScoringScene) -> NDArray[np.float64]:
    """(8, 3) ego rear-axle frame: the plan of PDM-Closed that a prepared scene holds."""
    return global_to_local(prepared.reference_states[PLAN_STEPS, :3], prepared.ego_state[:3])


def prepare_ingredients(
    index: MapIndex, scene: Scene, protocol: Protocol, *, carried_exemptions: set[str] | None = None
) -> SceneIngredients:
    """The compact form of :func:`prepare_scene`'s result; arguments and errors are the same."""
    with _geometry_errors_named(scene):
        return _prepare_ingredients(index, scene, protocol, carried_exemptions)


def _prepare_ingredients(
    index: MapIndex, scene: Scene, protocol: Protocol, carried_exemptions: set[str] | None
) -> SceneIngredients:
    _check_ego(scene, scene.frames)
    needed = FUTURE_FRAMES[protocol]
    if len(scene.future) < needed:
        raise OpenPairError(
            f"the scene has {len(scene.future)} frames after the current one; protocol {protocol.value} needs {needed}",
            where=_name(scene),
            fix="Choose scenes that do not end with their log",
        )
    replayed = scene.frames[scene.current_index : scene.current_index + needed + 1]
    sightings = collect_sightings([frame.agents for frame in replayed], where=_name(scene))
    is_v2 = protocol is Protocol.V2_2
    if is_v2:
        sightings = without_initial_overlaps(sightings, scene.current.ego.pose)
    site = _Site(index, scene)
    poses = site.reference(scene, protocol, set() if carried_exemptions is None else carried_exemptions)
    if is_v2 and len(scene.history) < NUM_HISTORY_FRAMES:
        raise OpenPairError(
            f"the scene has {len(scene.history)} frames up to the current one; protocol v2.2 needs 4",
            where=_name(scene),
            fix="Choose scenes that do not begin with their log",
        )
    past = scene.history[-NUM_HISTORY_FRAMES:]
    return SceneIngredients(
        token=scene.token,
        protocol=protocol,
        time_us=scene.current.ego.timestamp_us,
        ego_state=scene.current.ego.state_vector(),
        elements=site.elements,
        on_route=site.on_route,
        centerline_lanes=site.centerline_lanes,
        sightings=sightings,
        reference_poses=poses,
        red=collect_red_lights(index, replayed, scene.current.route_roadblock_ids) if is_v2 else None,
        human_trajectory=scene.human_trajectory() if is_v2 else None,
        past_time_us=np.array([frame.ego.timestamp_us for frame in past], np.int64) if is_v2 else None,
        past_states=np.stack([frame.ego.state_vector() for frame in past]) if is_v2 else None,
    )


class _Site:
    """Where the ego is on the map and where its route leads."""

    def __init__(self, index: MapIndex, scene: Scene) -> None:
        name = _name(scene)
        pose = scene.current.ego.pose
        self.index = index
        self.route = correct_route(index, pose, scene.current.route_roadblock_ids, where=name)
        self.route_lane_ids = [lane_id for block_id in self.route for lane_id in index.block(block_id).lane_ids]
        if not self.route_lane_ids:
            raise OpenPairError(
                "the blocks of the route have no lanes", where=name, fix="Repair the map or leave this scene out"
            )
        self.elements = elements_around(index, ego_center(pose), where=name)
        self.starting_lane = find_starting_lane(index, self.elements, pose, self.route_lane_ids)
        lane_path = find_lane_path(index, self.starting_lane, self.route, self.route_lane_ids)
        self.centerline_lanes = np.array([index.lane_element[lane_id] for lane_id in lane_path], np.int64)
        route_elements = np.concatenate([index.lane_elements[block_id] for block_id in self.route])
        self.on_route = np.isin(self.elements, route_elements)

    def reference(self, scene: Scene, protocol: Protocol, carried_exemptions: set[str]) -> NDArray[np.float64]:
        """(51, 3) PDM-Closed trajectory, global frame; adds to ``carried_exemptions``."""
        frame = scene.current
        red_ids = red_connectors(frame, set(self.route_lane_ids))
        forecast = make_forecast(
            frame.agents,
            frame.ego.pose,
            red_ids,
            self.index.lane_polygons(red_ids),
            carried_exemptions=carried_exemptions,
        )
        poses = drive_pdm_closed(
            frame.ego,
            token=scene.token,
            centerline=self.index.shapes.centerline(self.centerline_lanes),
            speed_limit=self.index.speed_limit_mps(self.starting_lane),
            forecast=forecast,
            drivable_map=self.index.shapes.drivable_map(self.elements, self.on_route),
            protocol=protocol,
        )
        carried_exemptions.update(token for token, out in zip(forecast.tokens, forecast.exempt, strict=True) if out)
        return poses


def _check_ego(scene: Scene, frames: Sequence[Frame]) -> None:
    for frame in frames:
        if not np.isfinite(frame.ego.state_vector()).all():
            raise OpenPairError(
                f"the ego state of frame {frame.token} is not finite", where=_name(scene), fix="Leave this scene out"
            )


@contextmanager
def _geometry_errors_named(scene: Scene) -> Iterator[None]:
    """Turn what the geometry library refuses (crossing outlines and the like) into an error that names the scene."""
    try:
        yield
    except shapely.errors.GEOSException as error:
        raise OpenPairError(
            f"a polygon of map {scene.road_map.name} cannot be used ({error})",
            where=_name(scene),
            fix="Repair the map or leave this scene out",
        ) from error


def _name(scene: Scene) -> str:
    return f"scene {scene.token} of log {scene.log_name}"
