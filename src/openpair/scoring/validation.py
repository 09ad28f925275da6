"""Checks of plans and scenes before they are scored: bad input is named, never scored."""

from __future__ import annotations

from typing import Any

import numpy as np

from openpair.datatypes.columns import NUM_POSES, MapLayer, StateIndex
from openpair.datatypes.scoring_scene import PolygonSet, ScoringScene
from openpair.errors import OpenPairError
from openpair.scoring.run import REQUIRED_SAMPLES
from openpair.simulation.reference import NUM_STEPS


def check_plans(plans: Any, where: str) -> None:
    """Plans must be numbers (N, 8, 3), N >= 1, in a numpy array or a torch tensor."""
    numeric = plans.dtype.kind in "fiu" if isinstance(plans, np.ndarray) else hasattr(plans, "is_complex")
    if not numeric or (not isinstance(plans, np.ndarray) and plans.is_complex()):
        what = f"an array of {plans.dtype}" if hasattr(plans, "dtype") else f"a {type(plans).__name__}"
        raise OpenPairError(
            f"the trajectories are {what}, not numbers in a numpy array or a torch tensor",
            where=where,
            fix="Give 8 poses x, y, heading at 0.5 s .. 4.0 s in the ego frame for each plan",
        )
    if plans.ndim != 3 or tuple(plans.shape[1:]) != (NUM_POSES, 3) or plans.shape[0] == 0:
        raise OpenPairError(
            f"the trajectories have shape {tuple(plans.shape)}, not (N, {NUM_POSES}, 3) with N >= 1",
            where=where,
            fix="Give 8 poses x, y, heading at 0.5 s .. 4.0 s in the ego frame for each plan",
        )


def check_finite(values: np.ndarray, what: str, where: str) -> None:
    """All numbers must be finite."""
    if not np.isfinite(values).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise OpenPairError(
            f"{what} hold a value that is not finite at index {bad}",
            where=where,
            fix="Remove or repair the entry; it cannot be scored",
        )


def check_scene(scene: ScoringScene) -> None:
    """Everything that the scorer reads must be present, shaped as documented and finite."""
    where = f"scene {scene.token}"

    def require(condition: bool, what: str, fix: str = "Prepare the scene again") -> None:
        if not condition:
            raise OpenPairError(what, where=where, fix=fix)

    require(scene.ego_state.shape == (len(StateIndex),), f"the ego state has shape {scene.ego_state.shape}, not (11,)")
    check_finite(scene.ego_state, "the ego state's numbers", where)

    areas = scene.drivable_map
    require(len(areas.polygons) > 0, "the map is empty: no polygon within 100 m of the ego", "Check the map's position")
    require(
        len(areas.layer) == len(areas.polygons) == len(areas.tokens) == len(areas.on_route),
        "the map's layers, ids and polygons differ in number",
    )
    check_polygons(areas.polygons, "map polygon", areas.tokens, where)
    is_lane = np.isin(areas.layer, (MapLayer.LANE, MapLayer.LANE_CONNECTOR))
    require(bool(is_lane.any()), "the map has no lane within 100 m of the ego", "Check the map's lanes")

    line = scene.centerline
    require(line.ndim == 2 and len(line) >= 2 and line.shape[1] >= 2, "the centreline has fewer than two points")
    check_finite(line, "the centreline's points", where)
    require(bool((np.diff(line[:, :2], axis=0) != 0).any()), "the centreline has no length", "Check the route")

    check_tracks(scene, where)

    times, states = scene.reference_time_us, scene.reference_states
    require(
        states.ndim == 2 and states.shape == (len(times), len(StateIndex)) and len(times) >= 2,
        f"the PDM-Closed trajectory has shape {states.shape} for {len(times)} times",
    )
    check_finite(states, "the PDM-Closed trajectory's states", where)
    require(bool((np.diff(times) > 0).all()), "the PDM-Closed trajectory's times do not increase")
    check_v2(scene, where)


def check_polygons(polygons: PolygonSet, what: str, tokens: tuple[str, ...], where: str) -> None:
    """Rings must be closed, have three corners at least and enclose an area."""
    check_finite(polygons.xy, f"the {what}s' vertices", where)
    starts, ends = polygons.ring_offset[:-1], polygons.ring_offset[1:]
    consistent = (
        polygons.ring_offset[-1] == len(polygons.xy)
        and polygons.polygon_offset[-1] == len(starts)
        and (np.diff(polygons.polygon_offset) >= 1).all()
    )
    if not consistent:
        raise OpenPairError(
            f"the offsets of the {what}s do not fit their vertices", where=where, fix="Prepare it again"
        )
    too_short = ends - starts < 4
    bad = too_short
    if not too_short.any():
        bad = (polygons.xy[starts] != polygons.xy[ends - 1]).any(axis=1)
        x, y = (polygons.xy - polygons.xy[0]).T
        cross = np.append(x[:-1] * y[1:] - x[1:] * y[:-1], 0.0)
        cross[ends - 1] = 0.0
        bad |= np.add.reduceat(cross, starts) == 0.0
    if bad.any():
        polygon = int(np.searchsorted(polygons.polygon_offset, np.argmax(bad), side="right") - 1)
        raise OpenPairError(
            f"{what} '{tokens[polygon]}' is degenerate: a ring is open, has fewer than 3 corners or encloses nothing",
            where=where,
            fix="Repair or drop the polygon",
        )


def check_tracks(scene: ScoringScene, where: str) -> None:
    """Unique tokens, one box a sample, finite numbers, positive sizes, enough samples."""
    tracks = scene.tracks
    samples = len(tracks.frame_offset) - 1
    if samples < REQUIRED_SAMPLES[scene.protocol]:
        raise OpenPairError(
            f"agents are given for {samples} samples; {scene.protocol.value} reads {REQUIRED_SAMPLES[scene.protocol]}",
            where=where,
            fix="Prepare the scene for this protocol",
        )
    if len(set(tracks.tokens)) != len(tracks.tokens):
        seen: set[str] = set()
        twice = next(token for token in tracks.tokens if token in seen or seen.add(token))  # type: ignore[func-returns-value]
        raise OpenPairError(f"track token '{twice}' appears twice", where=where, fix="Give each agent its own token")
    rows = len(tracks.track)
    if tracks.frame_offset[-1] != rows or len(tracks.box) != rows or len(tracks.velocity) != rows:
        raise OpenPairError("the agents' rows and offsets differ in number", where=where, fix="Prepare it again")
    if rows and (tracks.track.min() < 0 or tracks.track.max() >= len(tracks.tokens)):
        raise OpenPairError("an agent's row names a track that is not there", where=where, fix="Prepare it again")
    for values, what in ((tracks.box, "box"), (tracks.velocity, "velocity")):
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            sample = int(np.searchsorted(tracks.frame_offset, row, side="right")) - 1
            raise OpenPairError(
                f"agent '{tracks.tokens[tracks.track[row]]}' has a {what} that is not finite in sample {sample}",
                where=where,
                fix="Repair or drop the agent",
            )
    if rows and not (tracks.box[:, 3:5] > 0).all():
        row = int(np.argmin((tracks.box[:, 3:5] > 0).all(axis=1)))
        raise OpenPairError(
            f"agent '{tracks.tokens[tracks.track[row]]}' has a box without length or width",
            where=where,
            fix="Repair or drop the agent",
        )
    frame = np.repeat(np.arange(samples), np.diff(tracks.frame_offset))
    cell = tracks.track * samples + frame
    counts = np.bincount(cell, minlength=1)
    if rows and counts.max() > 1:
        track, sample = divmod(int(counts.argmax()), samples)
        raise OpenPairError(
            f"agent '{tracks.tokens[track]}' has two boxes in sample {sample}", where=where, fix="Keep one of them"
        )


def check_v2(scene: ScoringScene, where: str) -> None:
    """Red lights, the human's plan and the past, where given."""
    lights = scene.red_lights
    if lights is not None and lights.tokens:
        if lights.active.shape != (NUM_STEPS, len(lights.tokens)) or len(lights.polygons) != len(lights.tokens):
            raise OpenPairError("red lights, polygons and steps differ in number", where=where, fix="Prepare it again")
        check_polygons(lights.polygons, "red connector", lights.tokens, where)
    if scene.human_trajectory is not None:
        check_plans(scene.human_trajectory[None], f"{where}, human trajectory")
        check_finite(scene.human_trajectory, "the human's poses", where)
    if scene.past_states is not None:
        times = scene.past_time_us
        fits = times is not None and scene.past_states.shape == (len(times), len(StateIndex)) and len(times) >= 2
        if not fits or times is None or not (np.diff(times) > 0).all():
            raise OpenPairError("the past's states and times do not fit", where=where, fix="Prepare it again")
        check_finite(scene.past_states, "the past's states", where)
