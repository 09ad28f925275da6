"""What there is to say of one sub-metric of one plan: when, where, with whom, by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Point, Polygon

from openpair.datatypes import vehicle
from openpair.datatypes.columns import AgentCategory, BoxIndex, MapLayer, Protocol, StateIndex
from openpair.datatypes.scores import SHORT_NAMES, PlanScores
from openpair.datatypes.scoring_scene import PolygonSet, ScoringScene
from openpair.geometry.boxes import box_corners
from openpair.preparation.boxes import ego_center
from openpair.scoring.aggregation import ResultIndex
from openpair.scoring.build import DRIVABLE, STOPPED_TRACK_SPEED
from openpair.scoring.comfort import ComfortIndex
from openpair.scoring.comfort_values import comfort_values
from openpair.scoring.ego_areas import AreaIndex
from openpair.scoring.prepared import prepare
from openpair.simulation.reference import STEP_S

CORNER_NAMES = ("front left", "rear left", "rear right", "front right")
SIGNALS = {
    ComfortIndex.LONGITUDINAL_ACCELERATION: ("longitudinal acceleration", "m/s²"),
    ComfortIndex.LATERAL_ACCELERATION: ("lateral acceleration", "m/s²"),
    ComfortIndex.JERK: ("jerk", "m/s³"),
    ComfortIndex.LONGITUDINAL_JERK: ("longitudinal jerk", "m/s³"),
    ComfortIndex.YAW_ACCELERATION: ("yaw acceleration", "rad/s²"),
    ComfortIndex.YAW_RATE: ("yaw rate", "rad/s"),
}
DDC_WINDOW = 11
DDC_LIMITS_M = (2.0, 6.0)
LK_LIMIT_M, LK_STEPS = 0.5, 20
MIN_PROGRESS_M = 5.0


@dataclass(frozen=True)
class Finding:
    """One sub-metric of one plan.

    Attributes:
        name: the sub-metric.
        value: as it enters the score.
        own: before the human filter; equal to ``value`` in v1.1.
        text: why, one sentence.
        counts: False for what is reported only.
        step: when it happens first (steps of 0.1 s); None where nothing happens.
        track: the agent concerned, index into ``scene.tracks.tokens``; None where there is none.
        ahead_steps: TTC: so many steps later the ego, going straight on, would be there.
        marks: (n, 2) points to mark [m], global frame.
        span: steps (first, last) of a stretch to mark.
        red_light: index of the red connector concerned.
    """

    name: str
    value: float
    own: float
    text: str
    counts: bool = True
    step: int | None = None
    track: int | None = None
    ahead_steps: int = 0
    marks: NDArray[np.float64] | None = None
    span: tuple[int, int] | None = None
    red_light: int | None = None

    @property
    def short(self) -> str:
        return SHORT_NAMES[self.name]

    @property
    def forgiven(self) -> bool:
        """True where the human filter set it to 1."""
        return self.value == 1.0 and self.own == 0.0


def find(scene: ScoringScene, scores: PlanScores, name: str, value: float, own: float) -> Finding:
    """The finding of one sub-metric of plan 0 of ``scores``."""
    finders = {
        "no_at_fault_collisions": _collision,
        "drivable_area_compliance": _drivable_area,
        "driving_direction_compliance": _driving_direction,
        "traffic_light_compliance": _traffic_light,
        "ego_progress": _progress,
        "time_to_collision_within_bound": _time_to_collision,
        "comfort": _comfort,
        "history_comfort": _comfort,
        "lane_keeping": _lane_keeping,
        "two_frame_extended_comfort": _extended_comfort,
    }
    found = finders[name](scene, scores) if name in finders else {"text": f"{value:.4g}"}
    text = found.pop("text")
    if value == 1.0 and own == 0.0:
        text = f"{text}; forgiven, because the human's own is 0 here"
    return Finding(name, value, own, text, **found)


def seconds(step: float) -> str:
    """``1.3 s``."""
    return f"{step * STEP_S:.1f} s"


def ego_outline(states: NDArray[np.float64], step: int, forward_m: float = 0.0) -> NDArray[np.float64]:
    """(4, 2) corners of the ego box at a step, moved straight on: front left, rear left, rear right, front right."""
    x, y, heading = states[step, :3]
    reach = vehicle.REAR_AXLE_TO_CENTER_M + forward_m
    center_x, center_y = np.asarray(x + reach * np.cos(heading)), np.asarray(y + reach * np.sin(heading))
    return box_corners(center_x, center_y, np.asarray(heading), vehicle.LENGTH_M, vehicle.WIDTH_M)


def track_box(scene: ScoringScene, track: int, sample: int) -> NDArray[np.float64] | None:
    """(6,) box of an agent in a sample, None where it is absent."""
    tracks = scene.tracks
    rows = slice(int(tracks.frame_offset[sample]), int(tracks.frame_offset[sample + 1]))
    found = np.flatnonzero(tracks.track[rows] == track)
    return tracks.box[rows][found[0]] if len(found) else None


def track_outline(box: NDArray[np.float64]) -> Polygon:
    """An agent's box as a polygon."""
    return Polygon(box_corners(*box[: BoxIndex.HEIGHT]))


def track_name(scene: ScoringScene, track: int) -> str:
    """``vehicle 3f2a``: what it is and the head of its token."""
    token = scene.tracks.tokens[track]
    what = AgentCategory(int(scene.tracks.category[track])).navsim_name.replace("_", " ").replace("czone", "work zone")
    return f"{what} {token if len(token) <= 12 else token[:8] + '…'}"


def first_speed(scene: ScoringScene, track: int) -> float:
    """Speed [m/s] of an agent when it was first seen: by it the original tells who stands."""
    row = int(np.argmax(scene.tracks.track == track))
    return float(np.hypot(*scene.tracks.velocity[row]))


def polygon_list(polygons: PolygonSet) -> list[Polygon]:
    """Shapely polygons, with their holes."""
    rings = [polygons.xy[a:b] for a, b in zip(polygons.ring_offset[:-1], polygons.ring_offset[1:], strict=True)]
    bounds = zip(polygons.polygon_offset[:-1], polygons.polygon_offset[1:], strict=True)
    return [Polygon(rings[a], rings[a + 1 : b]) for a, b in bounds]


def _states(scores: PlanScores) -> NDArray[np.float64]:
    return scores.evidence["simulated_states"][0]


def _areas(scores: PlanScores, which: AreaIndex) -> NDArray[np.bool_]:
    return scores.evidence["ego_areas"][0, :, which]


def _speed(states: NDArray[np.float64], step: int) -> float:
    return float(np.hypot(states[step, StateIndex.VELOCITY_X], states[step, StateIndex.VELOCITY_Y]))


def _where(scores: PlanScores, step: int) -> str:
    """Why a contact beside the ego counts."""
    if _areas(scores, AreaIndex.MULTIPLE_LANES)[step]:
        return "while the ego is across lanes"
    if _areas(scores, AreaIndex.NON_DRIVABLE)[step]:
        return "while the ego is off the road"
    return "while the ego is in an intersection"


def _collision(scene: ScoringScene, scores: PlanScores) -> dict:
    time = float(scores.evidence["collision_time_idx"][0])
    if np.isinf(time):
        return {"text": "no collision that is the ego's fault"}
    step, track = int(time), int(scores.evidence["collision_track"][0])
    states, box = _states(scores), track_box(scene, track, step)
    assert box is not None
    outline = track_outline(box)
    corners = ego_outline(states, step)
    category, speed = AgentCategory(int(scene.tracks.category[track])), first_speed(scene, track)
    who = track_name(scene, track)
    if category.is_static or speed <= STOPPED_TRACK_SPEED:
        still = "stands" if category.is_static else "stood when first seen"
        how = f"the ego at {_speed(states, step):.1f} m/s hits {who}, which {still}"
    elif outline.intersects(LineString([corners[0], corners[3]])):
        how = f"the ego's front hits {who}, first seen at {speed:.1f} m/s"
    else:
        how = f"the ego's side touches {who} {_where(scores, step)}"
    half = "; half remains, since it is no road user" if category.is_static else ""
    return {"text": f"at {seconds(step)} {how}{half}", "step": step, "track": track}


def _time_to_collision(scene: ScoringScene, scores: PlanScores) -> dict:
    time = float(scores.evidence["ttc_time_idx"][0])
    if np.isinf(time):
        return {"text": "going straight on for 0.9 s, the ego would hit nothing ahead at any moment"}
    step, track = int(time), int(scores.evidence["ttc_track"][0])
    states = _states(scores)
    speed = _speed(states, step)
    look = 0
    for look in (0, 3, 6, 9):
        box = track_box(scene, track, step + look)
        moved = Polygon(ego_outline(states, step, speed * look * STEP_S))
        if box is not None and moved.intersects(track_outline(box)):
            break
    who = track_name(scene, track)
    when = f"{seconds(look)} later it would be in {who}" if look else f"it touches {who}"
    how = f"the ego goes {speed:.1f} m/s; straight on, {when}" if look else when
    return {
        "text": f"at {seconds(step)} {how}",
        "step": step,
        "track": track,
        "ahead_steps": look,
    }


def _drivable_area(scene: ScoringScene, scores: PlanScores) -> dict:
    off = _areas(scores, AreaIndex.NON_DRIVABLE)
    if not off.any():
        return {"text": "all corners stay on road, intersection or car park"}
    step = int(np.argmax(off))
    corners = ego_outline(_states(scores), step)
    layers = scene.drivable_map.layer
    ground = [
        polygon
        for polygon, layer in zip(polygon_list(scene.drivable_map.polygons), layers, strict=True)
        if MapLayer(int(layer)) in DRIVABLE
    ]
    outside = [i for i in range(4) if not any(polygon.contains(Point(corners[i])) for polygon in ground)]
    names = " and ".join(CORNER_NAMES[i] for i in outside) or "a"
    plural = "s leave" if len(outside) > 1 else " leaves"
    how_long = f"off it for {int(off.sum())} of {len(off)} steps"
    return {
        "text": f"at {seconds(step)} the {names} corner{plural} the drivable area; {how_long}",
        "step": step,
        "marks": corners[outside] if outside else corners,
    }


def _driving_direction(scene: ScoringScene, scores: PlanScores) -> dict:
    counts = scene.protocol is Protocol.V2_2
    states = _states(scores)
    centers = ego_center(states[:, : StateIndex.HEADING + 1])[:, :2]
    moved = np.append(0.0, np.hypot(*np.diff(centers, axis=0).T))
    against = _areas(scores, AreaIndex.ONCOMING).copy()
    if counts:
        against &= ~_areas(scores, AreaIndex.CENTER_IN_INTERSECTION)
    moved[~against] = 0.0
    sums = np.array([moved[max(0, t - DDC_WINDOW + 1) : t + 1].sum() for t in range(len(moved))])
    worst = float(sums.max())
    if worst <= 0.0:
        return {"text": "never outside the route's lanes", "counts": counts}
    if worst < DDC_LIMITS_M[0]:
        text = f"at most {worst:.1f} m outside the route's lanes within a second, less than {DDC_LIMITS_M[0]:.0f} m"
        return {"text": text, "counts": counts}
    step = int(np.argmax(sums >= DDC_LIMITS_M[0]))
    last = int(np.flatnonzero(moved)[-1])
    limit = DDC_LIMITS_M[1] if worst >= DDC_LIMITS_M[1] else DDC_LIMITS_M[0]
    return {
        "text": f"up to {worst:.1f} m outside the route's lanes within a second, {limit:.0f} m or more"
        f" (first past 2 m at {seconds(step)})",
        "counts": counts,
        "step": step,
        "span": (int(np.flatnonzero(moved)[0]), last),
    }


def _traffic_light(scene: ScoringScene, scores: PlanScores) -> dict:
    on_red = _areas(scores, AreaIndex.ON_RED_LIGHT)
    if not on_red.any() or scene.red_lights is None:
        return {"text": "never on a connector whose light is red"}
    step = int(np.argmax(on_red))
    ego = Polygon(ego_outline(_states(scores), step))
    active = np.flatnonzero(scene.red_lights.active[step])
    surfaces = polygon_list(scene.red_lights.polygons)
    light = next((int(i) for i in active if surfaces[i].intersects(ego)), int(active[0]))
    start = "stands on" if step == 0 else "enters"
    return {
        "text": f"at {seconds(step)} the ego {start} connector {scene.red_lights.tokens[light]}, whose light is red",
        "step": step,
        "red_light": light,
    }


def _progress(scene: ScoringScene, scores: PlanScores) -> dict:
    own = float(scores.evidence["progress_raw"][0])
    multiplier = float(scores.evidence["multiplier"][0])
    table = prepare(scene).raw.table
    reference, reference_multiplier = float(table[0, ResultIndex.PROGRESS]), float(table[0, ResultIndex.MULTIPLIER])
    best = max(own * multiplier, reference * reference_multiplier)
    if best <= MIN_PROGRESS_M:
        text = (
            f"{own:.1f} m along the centreline; not even the better of the plan and PDM-Closed is worth more than 5 m"
        )
        return {"text": text + (": does not count" if multiplier or scene.protocol is Protocol.V2_2 else "")}
    leader = "PDM-Closed" if reference * reference_multiplier >= own * multiplier else "the plan itself"
    faulty = f" (PDM-Closed's {reference:.1f} m count × {reference_multiplier:g})" if reference_multiplier < 1 else ""
    weighed = f" × {multiplier:g}" if multiplier < 1 and scene.protocol is Protocol.V1_1 else ""
    reached = own if scene.protocol is Protocol.V2_2 else own * multiplier
    share = f"{100 * reached / best:.0f} % of" if reached < best else "all of" if reached == best else "more than"
    return {"text": f"{own:.1f} m along the centreline{weighed}, {share} the {best:.1f} m by {leader}{faulty}"}


def _comfort(scene: ScoringScene, scores: PlanScores) -> dict:
    values = comfort_values(scene, _states(scores))
    broken = {which: signal for which, signal in values.items() if not signal.stays_within}
    if not broken:
        return {"text": "all accelerations, jerks and turning rates stay within their bounds"}
    said = []
    for which, signal in broken.items():
        name, unit = SIGNALS[which]
        worst = float(signal.values[signal.worst])
        bound = signal.low if worst <= signal.low else signal.high
        said.append(f"{name} {worst:+.2f} {unit} at {signal.times[signal.worst]:.1f} s (bound {bound:+.2f})")
    first = min(signal.times[signal.first_outside or 0] for signal in broken.values())
    past = "; the recorded past takes part" if first < 0 else ""
    return {"text": ", ".join(said) + past, "step": max(0, round(first / STEP_S))}


def _lane_keeping(scene: ScoringScene, scores: PlanScores) -> dict:
    off_m = scores.evidence["centerline_distance"][0]
    crossing = _areas(scores, AreaIndex.CENTER_IN_INTERSECTION)
    count, longest, start, verdict = 0, 0, 0, None
    for step in range(len(off_m)):
        if crossing[step]:
            continue
        start = step if count == 0 else start
        count = count + 1 if off_m[step] > LK_LIMIT_M else 0
        longest = max(longest, count)
        if count == LK_STEPS and verdict is None:
            verdict = (start, step)
    if verdict is not None:
        worst = int(np.argmax(np.where(crossing, -1.0, off_m)))
        return {
            "text": f"more than 0.5 m off the centreline for {LK_STEPS} steps on end, from {seconds(verdict[0])} to"
            f" {seconds(verdict[1])} (up to {off_m[worst]:.2f} m)",
            "step": verdict[1],
            "span": verdict,
        }
    if longest:
        return {"text": f"more than 0.5 m off the centreline for {longest} steps on end, fewer than {LK_STEPS}"}
    return {"text": "never more than 0.5 m off the centreline outside intersections"}


def _extended_comfort(scene: ScoringScene, scores: PlanScores) -> dict:
    return {"text": "needs the plan of a neighbouring frame; without one its weight drops out", "counts": False}


def union_of(polygons: list[Polygon]) -> shapely.Geometry:
    """Union of surfaces that touch, small gaps closed."""
    return shapely.union_all(shapely.buffer(polygons, 0.05, join_style="mitre")) if polygons else Polygon()
