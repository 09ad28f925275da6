"""A drive as a small animation: bird's eye view beside the front camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex, StateIndex
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene
from openpair.driving.observation import Observer
from openpair.driving.recording import START_STEP, Recording, joined
from openpair.driving.records import TRAFFIC_STRIDE
from openpair.driving.route_line import RouteLine
from openpair.driving.traffic import ReplayedTraffic, Traffic
from openpair.errors import OpenPairError
from openpair.files import whole_file
from openpair.geometry.boxes import box_corners
from openpair.geometry.poses import global_to_local, local_to_global
from openpair.preparation.boxes import ego_corners

FRAME_STRIDE = 2
"""One picture for every 0.2 s."""

HEIGHT_PX, CAMERA_PX, BEV_PX = 270, 480, 300
PX_PER_M = 5.0
EGO_ROW = 0.72
"""Where the ego is in the bird's eye view, from the top."""

SUBPIXEL_BITS = 4
Colour = tuple[int, int, int]
GROUND: Colour = (243, 244, 241)
ROAD: Colour = (220, 223, 227)
ON_ROUTE: Colour = (201, 220, 245)
LANE_LINE: Colour = (255, 255, 255)
RED: Colour = (215, 38, 61)
PLAN: Colour = (11, 98, 214)
WAY: Colour = (22, 50, 79)
EGO: Colour = (22, 50, 79)
TEXT: Colour = (40, 46, 54)
AGENT_COLOUR: dict[AgentCategory, Colour] = {
    AgentCategory.VEHICLE: (104, 113, 125),
    AgentCategory.PEDESTRIAN: (176, 70, 143),
    AgentCategory.BICYCLE: (122, 92, 192),
}
STATIC: Colour = (169, 143, 90)
EVENT_SECONDS = 1.5
"""How long an event is shown."""

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class FiledTraffic:
    """The traffic of a drive, from its file."""

    recording: Recording
    frames: list[dict[str, Any]]
    name: ClassVar[str] = "reactive"
    answers_ego: ClassVar[bool] = True

    def agents(self, step: int) -> Agents:
        """Everyone at the newest step on file."""
        if step < START_STEP:
            return self.recording.agents(step)
        frame = self.frames[min((step - START_STEP) // TRAFFIC_STRIDE, len(self.frames) - 1)]
        box = np.array(frame["box"], np.float64).reshape(-1, BoxIndex.HEIGHT)
        count = len(box)
        height = np.full((count, 1), 1.6)
        moving = Agents(
            tuple(frame["tracks"]),
            np.array(frame["category"], np.int64),
            np.concatenate([box, height], axis=1),
            np.zeros((count, 2)),
            np.full(count, 0.8),
        )
        return joined(moving, self.recording.roadside)

    def advance(self, step: int, ego: NDArray[np.float64]) -> None:
        """It has all happened."""


@dataclass(frozen=True)
class FiledDrive:
    """A drive to be shown.

    Attributes:
        data: content of its file.
        recording: the log it was driven in.
        dataset: gives the camera.
    """

    data: dict[str, Any]
    recording: Recording
    dataset: Dataset

    @cached_property
    def states(self) -> NDArray[np.float64]:
        """(n, 11) as far as the file has them."""
        ego = np.array(self.data["ego"], np.float64)
        states = np.zeros((len(ego), len(StateIndex)))
        states[:, : StateIndex.HEADING + 1] = ego[:, :3]
        states[:, StateIndex.VELOCITY_X], states[:, StateIndex.ACCELERATION_X] = ego[:, 3], ego[:, 4]
        return states

    @cached_property
    def observer(self) -> Observer:
        traffic: Traffic = ReplayedTraffic(self.recording)
        if "traffic" in self.data:
            traffic = FiledTraffic(self.recording, self.data["traffic"])
        line = RouteLine(self.recording.human_poses[START_STEP:, : StateIndex.HEADING])
        return Observer(self.recording, traffic, line)

    def frames(self) -> Iterator[Image]:
        """(H, W, 3) RGB, one for every 0.2 s of the drive."""
        view = BirdsEye(self.recording.road_map)
        for index in range(0, len(self.states), FRAME_STRIDE):
            scene = self.observer.scene(START_STEP + index, self.states[: index + 1])
            plans = [plan for plan in self.data["plans"] if plan["step"] <= index]
            bev = view.draw(scene, plans[-1] if plans else None, self.states, index)
            picture = bev if not self.dataset.ray_cast else np.concatenate([self._camera(scene), bev], axis=1)
            yield self._captioned(picture, index)

    def _camera(self, scene: Scene) -> Image:
        sensors = self.dataset.load_sensors(scene, size=(CAMERA_PX, HEIGHT_PX), lidar=False)
        assert sensors.images is not None
        return sensors.images["cam_f0"]

    def _captioned(self, picture: Image, index: int) -> Image:
        """With a line below: who drives, time, speed, what has just happened."""
        caption = np.full((24, picture.shape[1], 3), 255, np.uint8)
        speed = 3.6 * self.states[index, StateIndex.VELOCITY_X]
        recent = [e for e in self.data["events"] if 0 <= index - e["step"] <= 10 * EVENT_SECONDS]
        text = f"{self.data['row']['agent']}   {0.1 * index:4.1f} s   {speed:3.0f} km/h"
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
        starts = {lane.id: lane.baseline[0] for lane in near}
        for lane_id, is_red in scene.current.traffic_lights:
            if is_red and lane_id in starts:
                stop, heading = starts[lane_id][:2], starts[lane_id][2]
                across = 1.5 * np.array([-np.sin(heading), np.cos(heading)])
                _line(picture, np.stack([stop - across, stop + across]), pose, RED, 2)
        _line(picture, states[: index + 1, :2], pose, WAY, 1)
        for category, box in zip(scene.current.agents.category, scene.current.agents.box, strict=True):
            corners = box_corners(box[0], box[1], box[2], box[BoxIndex.LENGTH], box[BoxIndex.WIDTH])
            _fill(picture, corners, pose, AGENT_COLOUR.get(AgentCategory(int(category)), STATIC))
        if plan is not None:
            start = states[plan["step"], : StateIndex.HEADING + 1]
            poses = local_to_global(np.array([[0.0, 0.0, 0.0], *plan["poses"]]), start)
            _line(picture, poses[:, :2], pose, PLAN, 2)
        _fill(picture, ego_corners(pose), pose, EGO)
        return picture


def write_video(path: Path, drive: FiledDrive) -> None:
    """Write the animation of a drive as WebP. Raises OpenPairError for a drive in which nothing was driven."""
    from PIL import Image as Pillow

    if "ego" not in drive.data or len(drive.data["ego"]) < 2:
        raise OpenPairError("nothing was driven, so that nothing can be shown", where=path.stem)
    pictures = [Pillow.fromarray(frame) for frame in drive.frames()]
    with whole_file(path) as part:
        pictures[0].save(
            part,
            format="WEBP",
            save_all=True,
            append_images=pictures[1:],
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
    row = EGO_ROW * HEIGHT_PX - local[:, 0] * PX_PER_M
    return np.rint(np.stack([column, row], axis=1) * 2**SUBPIXEL_BITS).astype(np.int32)


def _fill(picture: Image, points: NDArray[np.float64], pose: NDArray[np.float64], colour: Colour) -> None:
    cv2.fillPoly(picture, [_pixels(points, pose)], colour, cv2.LINE_AA, SUBPIXEL_BITS)


def _line(picture: Image, points: NDArray[np.float64], pose: NDArray[np.float64], colour: Colour, width: int) -> None:
    cv2.polylines(picture, [_pixels(points, pose)], False, colour, width, cv2.LINE_AA, SUBPIXEL_BITS)


def _write(picture: Image, text: str, column: int, colour: Colour) -> None:
    cv2.putText(picture, text, (column, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
