"""A drive as a small animation: bird's eye view beside the front camera.

Pixels, because an animated image needs them; what is drawn, its colours and how far one sees are those of the pages
(:mod:`openpair.visualization.drive_drawing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datatypes.columns import AgentCategory, BoxIndex, StateIndex
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.files import whole_file
from openpair.geometry.boxes import box_corners
from openpair.geometry.poses import global_to_local, local_to_global
from openpair.preparation.boxes import ego_corners
from openpair.visualization.colours import Colour, drawing_colour
from openpair.visualization.drawing import AGENT_CLASS, stop_bar
from openpair.visualization.drive_drawing import FOLLOWED
from openpair.visualization.filed_drive import FiledDrive

FRAME_STRIDE = 2
"""One picture for every 0.2 s."""

PX_PER_M = 5.0
HEIGHT_PX = round((FOLLOWED.ahead + FOLLOWED.behind) * PX_PER_M)
BEV_PX = round(2 * FOLLOWED.aside * PX_PER_M)
CAMERA_PX = 480

SUBPIXEL_BITS = 4
GROUND, ROAD, ON_ROUTE, LANE_LINE = map(drawing_colour, ("v-ground", "v-road", "v-route", "v-line"))
RED, STATIC, TEXT, EGO = map(drawing_colour, ("v-red", "v-static", "v-t5", "v-t0"))
AGENT_COLOUR: dict[AgentCategory, Colour] = {
    category: drawing_colour(f"v-{name}") for category, name in AGENT_CLASS.items()
}
EVENT_SECONDS = 1.5
"""How long an event is shown."""

Image = NDArray[np.uint8]


def pictures(drive: FiledDrive) -> Iterator[Image]:
    """(H, W, 3) RGB, one for every 0.2 s of the drive."""
    view = BirdsEye(drive.recording.road_map)
    for index in range(0, len(drive.states), FRAME_STRIDE):
        scene = drive.scene(index)
        plans = [plan for plan in drive.data["plans"] if plan["step"] <= index]
        bev = view.draw(scene, plans[-1] if plans else None, drive.states, index)
        whole = bev if not drive.dataset.ray_cast else np.concatenate([_camera(drive.dataset, scene), bev], axis=1)
        yield _captioned(drive, whole, index)


def _camera(dataset: Dataset, scene: Scene) -> Image:
    sensors = dataset.load_sensors(scene, size=(CAMERA_PX, HEIGHT_PX), lidar=False)
    assert sensors.images is not None
    return sensors.images["cam_f0"]


def _captioned(drive: FiledDrive, picture: Image, index: int) -> Image:
    """With a line below: who drives, time, speed, what has just happened."""
    caption = np.full((24, picture.shape[1], 3), 255, np.uint8)
    speed = 3.6 * drive.states[index, StateIndex.VELOCITY_X]
    recent = [e for e in drive.data["events"] if 0 <= index - e["step"] <= 10 * EVENT_SECONDS]
    text = f"{drive.data['row']['agent']}   {0.1 * index:4.1f} s   {speed:3.0f} km/h"
    _write(caption, text, 6, TEXT)
    if recent:
        kind = recent[-1]["kind"].replace("_", " ")
        _write(caption, kind, picture.shape[1] - 110, RED)
    return np.concatenate([picture, caption])


class BirdsEye:
    """Draws scenes of one town from above, the ego heading up."""

    def __init__(self, road_map: RoadMap) -> None:
        self._lanes = list(road_map.lanes.values())
        areas = [*road_map.intersections.values(), *road_map.carparks.values()]
        blocks = [block.polygon for block in road_map.roadblocks.values() if block.polygon is not None]
        self._surfaces = [*blocks, *areas, *(lane.polygon for lane in self._lanes)]
        self._surface_tree = shapely.STRtree(self._surfaces)
        self._lane_tree = shapely.STRtree([lane.polygon for lane in self._lanes])

    def draw(self, scene: Scene, plan: dict[str, Any] | None, states: NDArray[np.float64], index: int) -> Image:
        """(H, W, 3): map, lights, others, the way so far, the plan and the ego at ``states[index]``."""
        picture = np.empty((HEIGHT_PX, BEV_PX, 3), np.uint8)
        picture[:] = GROUND
        pose = scene.current.ego.pose
        around = shapely.Point(pose[:2]).buffer(1.2 * HEIGHT_PX / PX_PER_M)
        for number in self._surface_tree.query(around):
            _fill(picture, _xy(self._surfaces[number]), pose, ROAD)
        near = [self._lanes[number] for number in np.sort(self._lane_tree.query(around))]
        route = set(scene.current.route_roadblock_ids)
        for lane in near:
            if lane.roadblock_id in route:
                _fill(picture, _xy(lane.polygon), pose, ON_ROUTE)
        for lane in near:
            if not lane.is_connector:
                _line(picture, _xy(lane.polygon), pose, LANE_LINE, 1)
        lanes = {lane.id: lane for lane in near}
        for lane_id, is_red in scene.current.traffic_lights:
            if is_red and lane_id in lanes:
                _line(picture, stop_bar(lanes[lane_id]), pose, RED, 2)
        _line(picture, states[: index + 1, :2], pose, EGO, 1)
        for category, box in zip(scene.current.agents.category, scene.current.agents.box, strict=True):
            corners = box_corners(box[0], box[1], box[2], box[BoxIndex.LENGTH], box[BoxIndex.WIDTH])
            _fill(picture, corners, pose, AGENT_COLOUR.get(AgentCategory(int(category)), STATIC))
        if plan is not None:
            start = states[plan["step"], : StateIndex.HEADING + 1]
            poses = local_to_global(np.array([[0.0, 0.0, 0.0], *plan["poses"]]), start)
            _line(picture, poses[:, :2], pose, EGO, 2)
        _fill(picture, ego_corners(pose), pose, EGO)
        return picture


def write_video(path: Path, drive: FiledDrive) -> None:
    """Write the animation of a drive as WebP. Raises OpenPairError for a drive in which nothing was driven."""
    from PIL import Image as Pillow

    if len(drive.states) < 2:
        raise OpenPairError("nothing was driven, so that nothing can be shown", where=path.stem)
    frames = [Pillow.fromarray(picture) for picture in pictures(drive)]
    with whole_file(path) as part:
        frames[0].save(
            part,
            format="WEBP",
            save_all=True,
            append_images=frames[1:],
            duration=100 * FRAME_STRIDE,
            loop=0,
            quality=55,
            method=4,
        )


def _xy(polygon: shapely.Polygon) -> NDArray[np.float64]:
    return np.asarray(shapely.get_coordinates(polygon.exterior))


def _pixels(points: NDArray[np.float64], pose: NDArray[np.float64]) -> NDArray[np.int32]:
    """Global (n, 2) [m] -> pixels in fixed-point coordinates."""
    local = global_to_local(np.concatenate([points, np.zeros((len(points), 1))], axis=1), pose)
    column = BEV_PX / 2 - local[:, 1] * PX_PER_M
    row = (FOLLOWED.ahead - local[:, 0]) * PX_PER_M
    return np.rint(np.stack([column, row], axis=1) * 2**SUBPIXEL_BITS).astype(np.int32)


def _fill(picture: Image, points: NDArray[np.float64], pose: NDArray[np.float64], colour: Colour) -> None:
    cv2.fillPoly(picture, [_pixels(points, pose)], colour, cv2.LINE_AA, SUBPIXEL_BITS)


def _line(picture: Image, points: NDArray[np.float64], pose: NDArray[np.float64], colour: Colour, width: int) -> None:
    cv2.polylines(picture, [_pixels(points, pose)], False, colour, width, cv2.LINE_AA, SUBPIXEL_BITS)


def _write(picture: Image, text: str, column: int, colour: Colour) -> None:
    cv2.putText(picture, text, (column, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
