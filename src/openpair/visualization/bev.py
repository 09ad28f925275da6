"""A scene from above as a compact SVG: map, agents, lights, plans. Forward is up, one unit is one metre.

Colours are CSS classes, so that a page can follow light and dark; :func:`svg_file` adds a style sheet of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from openpair.datatypes import vehicle
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import NUM_POSES, AgentCategory, BoxIndex
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene
from openpair.geometry.poses import local_to_global
from openpair.visualization.colours import score_colour
from openpair.visualization.gallery_scene import GalleryScene, ScoredPlan
from openpair.visualization.svg import element, geometry_path, line_path, number, smooth_path

SIMPLIFY_M = 0.06
AGENT_CLASS = {
    AgentCategory.VEHICLE: "car",
    AgentCategory.PEDESTRIAN: "ped",
    AgentCategory.BICYCLE: "bike",
}


@dataclass(frozen=True)
class View:
    """The piece of ground that is drawn, in the ego's rear-axle frame [m]."""

    ahead: float = 52.0
    behind: float = 14.0
    aside: float = 30.0

    @property
    def view_box(self) -> str:
        size = (-self.aside, -self.ahead, 2 * self.aside, self.ahead + self.behind)
        return " ".join(number(value) for value in size)


def view_for(plans: Sequence[NDArray[np.float64]]) -> View:
    """A view that shows all plans (8, 3) of a scene, of one shape for all scenes."""
    reach = max((float(plan[:, 0].max()) for plan in plans), default=0.0)
    ahead = float(np.clip(reach + 14.0, 40.0, 78.0))
    return View(ahead=ahead, behind=0.27 * ahead, aside=0.58 * ahead)


class GroundFrame:
    """Turns global coordinates into those of the drawing: x right, y down, the ego at (0, 0) heading up."""

    def __init__(self, ego_pose: NDArray[np.float64], view: View) -> None:
        self._pose = ego_pose
        self.heading = float(ego_pose[2])
        self.window = box(-view.aside, -view.ahead, view.aside, view.behind)
        radius = float(np.hypot(view.aside, view.ahead)) + 5.0
        self.neighbourhood = box(*(ego_pose[:2] - radius), *(ego_pose[:2] + radius))

    def points(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) global -> drawing."""
        c, s = np.cos(self._pose[2]), np.sin(self._pose[2])
        dx, dy = xy[:, 0] - self._pose[0], xy[:, 1] - self._pose[1]
        return np.stack([s * dx - c * dy, -c * dx - s * dy], axis=1)

    def clipped(self, geometry: BaseGeometry) -> BaseGeometry:
        """Global geometry -> drawing, cut at the window."""
        local = shapely.transform(geometry, self.points)
        if not local.is_valid:
            local = shapely.make_valid(local)
        return shapely.simplify(shapely.intersection(local, self.window), SIMPLIFY_M)

    def path(self, geometry: BaseGeometry) -> str:
        return geometry_path(self.clipped(geometry)) if geometry.intersects(self.neighbourhood) else ""


def draw_scene(item: GalleryScene, view: View | None = None) -> str:
    """``<svg>`` of a scene with its plans, to be placed in an HTML page.

    Candidates carry ``data-plan`` with their index, the IL plan ``il`` and the human's ``human``, so that a page can
    link them to a list.
    """
    plans = [plan for plan in (item.human, item.imitation, *item.candidates) if plan is not None]
    view = view or view_for([plan.plan for plan in plans])
    frame = GroundFrame(item.scene.current.ego.pose, view)
    parts = [
        *_map_parts(item.scene, frame),
        *_light_parts(item.scene, frame),
        *_agent_parts(item.scene, frame),
        *_plan_parts(item),
        _ego_part(),
        scale_bar(view),
    ]
    title = element("title", f"Scene {item.scene.token} from above, forward is up")
    return element("svg", [title, *parts], class_="bev", viewBox=view.view_box, role="img")


def svg_file(drawing: str) -> str:
    """A drawing as a file of its own: with name space and colours."""
    styled = drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="900" ', 1)
    head, rest = styled.split(">", 1)
    return f"{head}><style>{BEV_STYLE}</style>{rest}"


def _map_parts(scene: Scene, frame: GroundFrame) -> list[str]:
    road_map, route = scene.road_map, set(scene.current.route_roadblock_ids)
    near = frame.neighbourhood
    surfaces = [surface for surface in _surfaces(road_map) if surface.intersects(near)]
    drivable = shapely.union_all([surface.buffer(0.05) for surface in surfaces]) if surfaces else Polygon()
    on_route = [lane.polygon for lane in road_map.lanes.values() if lane.roadblock_id in route]
    walkways = list(road_map.walkways.values())
    lanes = [lane for lane in road_map.lanes.values() if not lane.is_connector and lane.polygon.intersects(near)]
    return [
        _shape(frame, walkways, "walk"),
        element("path", class_="road", d=frame.path(drivable)) if not drivable.is_empty else "",
        _shape(frame, on_route, "route"),
        _shape(frame, list(road_map.crosswalks.values()), "zebra"),
        element("path", class_="lanes", d="".join(frame.path(lane.polygon.boundary) for lane in lanes)),
    ]


def _surfaces(road_map: RoadMap) -> list[Polygon]:
    blocks = [block.polygon for block in road_map.roadblocks.values() if block.polygon is not None]
    lanes = [lane.polygon for lane in road_map.lanes.values()]
    areas = (road_map.intersections, road_map.carparks, road_map.drivable_areas)
    return [*blocks, *lanes, *(polygon for area in areas for polygon in area.values())]


def _shape(frame: GroundFrame, polygons: Sequence[Polygon], name: str) -> str:
    near = [polygon for polygon in polygons if polygon.intersects(frame.neighbourhood)]
    data = frame.path(shapely.union_all([polygon.buffer(0.02) for polygon in near])) if near else ""
    return element("path", class_=name, d=data) if data else ""


def _light_parts(scene: Scene, frame: GroundFrame) -> list[str]:
    """Connectors that show red: their centreline, and a bar where they begin."""
    lines, bars = [], []
    for connector_id, is_red in scene.current.traffic_lights:
        lane = scene.road_map.lanes.get(connector_id)
        if lane is None or not is_red:
            continue
        lines.append(frame.path(shapely.LineString(lane.baseline[:, :2])))
        x, y, heading = lane.baseline[0]
        across = 1.5 * np.array([-np.sin(heading), np.cos(heading)])
        bars.append(frame.path(shapely.LineString([np.array([x, y]) - across, np.array([x, y]) + across])))
    return [element("path", class_="red-path", d="".join(lines)), element("path", class_="red-bar", d="".join(bars))]


def _agent_parts(scene: Scene, frame: GroundFrame) -> list[str]:
    agents = scene.current.agents
    trails = _trails(scene)
    parts = [
        element("path", class_="trail", d="".join(frame.path(shapely.LineString(trail)) for trail in trails.values()))
    ]
    for index in range(len(agents)):
        category = AgentCategory(int(agents.category[index]))
        outline = frame.path(Polygon(_corners(agents, index)))
        if outline:
            parts.append(element("path", class_=f"agent {AGENT_CLASS.get(category, 'static')}", d=outline))
    return parts


def _trails(scene: Scene) -> dict[str, NDArray[np.float64]]:
    """(n, 2) recorded positions over the next 4 s of the agents that move by more than 1 m."""
    seen: dict[str, list[NDArray[np.float64]]] = {}
    for frame in (scene.current, *scene.future[:NUM_POSES]):
        for token, agent_box in zip(frame.agents.track_tokens, frame.agents.box, strict=True):
            seen.setdefault(token, []).append(agent_box[:2])
    trails = {token: np.stack(seen[token]) for token in scene.current.agents.track_tokens}
    return {token: xy for token, xy in trails.items() if len(xy) > 1 and np.ptp(xy, axis=0).max() > 1.0}


def _corners(agents: Agents, index: int) -> NDArray[np.float64]:
    """(5, 2) a box with a pointed front, so that one sees where it heads; global frame."""
    agent_box = agents.box[index]
    length, width = agent_box[BoxIndex.LENGTH] / 2, agent_box[BoxIndex.WIDTH] / 2
    nose = max(length - 0.5 * width, 0.5 * length)
    outline = np.array([[length, 0], [nose, width], [-length, width], [-length, -width], [nose, -width]])
    poses = np.concatenate([outline, np.zeros((5, 1))], axis=1)
    return local_to_global(poses, agent_box[: BoxIndex.HEADING + 1])[:, :2]


def _plan_parts(item: GalleryScene) -> list[str]:
    """Leaves first (low scores below high ones), then the chosen plan, and IL and human as thin lines on top of it."""
    order = sorted(range(len(item.candidates)), key=lambda i: np.nan_to_num(item.candidates[i].score, nan=-1.0))
    parts = [_plan_part(item.candidates[i], "leaf", str(i), score_colour(item.candidates[i].score)) for i in order]
    if item.chosen is not None:
        parts.append(element("path", class_="footprint", d=line_path(_footprint(item.chosen.plan[-1]), closed=True)))
        parts.append(_plan_part(item.chosen, "chosen", "chosen"))
        points, _ = plan_points(item.chosen.plan)
        dots = "".join(f"M{number(x)} {number(y)}h0" for x, y in points[1:])
        parts.append(element("path", class_="dots", d=dots))
    if item.imitation is not None:
        parts.append(_plan_part(item.imitation, "il", "il"))
    parts.append(_plan_part(item.human, "human", "human"))
    return parts


def _plan_part(plan: ScoredPlan, name: str, key: str, colour: str | None = None) -> str:
    path = smooth_path(*plan_points(plan.plan))
    style = None if colour is None else f"stroke:{colour}"
    return element("path", class_=f"plan {name}", data_plan=key, style=style, d=path)


def plan_points(plan: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(9, 2) points and directions of a plan in the drawing, from the ego's present place on."""
    poses = np.concatenate([np.zeros((1, 3)), plan])
    points = np.stack([-poses[:, 1], -poses[:, 0]], axis=1)
    directions = np.stack([-np.sin(poses[:, 2]), -np.cos(poses[:, 2])], axis=1)
    return points, directions


def _footprint(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 2) corners of the ego at a pose of a plan, in the drawing."""
    front, rear, side = vehicle.REAR_AXLE_TO_FRONT_M, -vehicle.REAR_AXLE_TO_REAR_M, vehicle.WIDTH_M / 2
    outline = np.array([[front, side, 0], [front, -side, 0], [rear, -side, 0], [rear, side, 0]])
    corners = local_to_global(outline, pose)
    return np.stack([-corners[:, 1], -corners[:, 0]], axis=1)


def _ego_part() -> str:
    here = np.zeros(3)
    nose = f"M-.75 {number(-vehicle.REAR_AXLE_TO_FRONT_M + 1.5)}h1.5"
    return element(
        "g",
        [
            element("path", class_="ego", d=line_path(_footprint(here), closed=True)),
            element("path", class_="ego-nose", d=nose),
        ],
    )


def scale_bar(view: View) -> str:
    x, y = -view.aside + 2.0, view.behind - 2.0
    label = element("text", "10 m", class_="scale-text", x=x + 5.0, y=y - 0.9)
    return element("path", class_="scale", d=f"M{number(x)} {number(y)}h10") + label


BEV_STYLE = """
.bev{background:#f3f4f1;display:block}.bev path{fill:none;stroke-linecap:round;stroke-linejoin:round}
.bev .walk{fill:#e8e6df}.bev .road{fill:#dcdfe3;fill-rule:evenodd}.bev .route{fill:#c9dcf5;fill-rule:evenodd}
.bev .zebra{fill:#fff;fill-opacity:.65}.bev .lanes{stroke:#fff;stroke-width:.16}
.bev .red-path{stroke:#d7263d;stroke-width:.5;stroke-opacity:.28}.bev .red-bar{stroke:#d7263d;stroke-width:.6}
.bev .trail{stroke:#5b6470;stroke-width:.22;stroke-dasharray:.5 .8;stroke-opacity:.75}
.bev .agent{stroke:#fff;stroke-width:.14}.bev .car{fill:#68717d}.bev .ped{fill:#b0468f}.bev .bike{fill:#7a5cc0}
.bev .static{fill:#a98f5a}.bev .ego{fill:#16324f;stroke:#fff;stroke-width:.2}.bev .ego-nose{stroke:#fff;stroke-width:.3}
.bev .plan{stroke-width:.42}.bev .leaf{stroke-opacity:.8}.bev .human{stroke:#111;stroke-dasharray:0 1;stroke-width:.5}
.bev .il{stroke:#8b3fd9;stroke-width:.5;stroke-dasharray:1.6 1.1}.bev .chosen{stroke:#0b62d6;stroke-width:1}
.bev .dots{stroke:#fff;stroke-width:.55}.bev .footprint{stroke:#0b62d6;stroke-width:.25;fill:#0b62d6;fill-opacity:.12}
.bev .scale{stroke:#5b6470;stroke-width:.3}
.bev .scale-text{font:2.1px system-ui,sans-serif;fill:#5b6470;text-anchor:middle}
"""
"""Light colours; the report overrides them in the dark."""
