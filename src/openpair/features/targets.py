"""What the networks are trained to give: the human plan, the vehicles around, a semantic map of the ground ahead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from openpair.datatypes.columns import AgentCategory, BoxIndex
from openpair.datatypes.scene import Frame, Scene
from openpair.features.config import NUM_AGENT_STATES, FeatureConfig
from openpair.geometry.poses import global_to_local

ROAD, WALKWAY, CENTERLINE, STATIC_OBJECT, VEHICLE, PEDESTRIAN = 1, 2, 3, 4, 5, 6
"""Classes of the semantic map, in the order of painting: later ones lie on top. 0 is background."""

CENTERLINE_M: Final = 0.5
"""Width of a painted centreline: 2 pixels of the published map."""

_OBJECT_CLASSES: Final = (
    (
        STATIC_OBJECT,
        (
            AgentCategory.CZONE_SIGN,
            AgentCategory.BARRIER,
            AgentCategory.TRAFFIC_CONE,
            AgentCategory.GENERIC_OBJECT,
        ),
    ),
    (VEHICLE, (AgentCategory.VEHICLE,)),
    (PEDESTRIAN, (AgentCategory.PEDESTRIAN,)),
)


def trajectory_target(scene: Scene) -> NDArray[np.float32]:
    """(8, 3) float32 x [m], y [m], heading [rad] of the human's next 4 s, ego rear-axle frame."""
    return scene.human_trajectory().astype(np.float32)


def agent_targets(frame: Frame, config: FeatureConfig) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vehicles within ``config.agent_range_m`` of the LiDAR histogram's centre in x and y, those near the ego first.

    Returns:
        states: (num_agents, 5) float32 x [m], y [m], heading [rad], length, width [m], ego frame; zeros where none.
        labels: (num_agents,) bool, True where there is a vehicle.
    """
    states = np.zeros((config.num_agents, NUM_AGENT_STATES), np.float32)
    labels = np.zeros(config.num_agents, bool)
    box = _local_boxes(frame, (AgentCategory.VEHICLE,))
    reach = config.agent_range_m
    from_center = np.abs(box[:, :2] - (config.lidar_center_x_m, 0.0))
    box = box[(from_center <= reach).all(axis=1)].astype(np.float32)
    nearest = np.argsort(np.linalg.norm(box[:, :2], axis=1), kind="stable")[: config.num_agents]
    states[: len(nearest)] = box[nearest, :NUM_AGENT_STATES]
    labels[: len(nearest)] = True
    return states, labels


def bev_semantic_map(scene: Scene, config: FeatureConfig) -> NDArray[np.uint8]:
    """Semantic map of the ground ahead of the ego.

    Pixel (i, j) covers x = x_min + i * pixel .. and y = (j - columns / 2) * pixel ..: row 0 of the published map lies
    at the rear axle, column 0 farthest to the right. Vertices are truncated towards zero to whole pixels before
    painting, holes of polygons are painted over; both as the published targets have them.

    Returns:
        (bev_rows, bev_columns) uint8 class of each pixel.
    """
    import cv2

    frame = scene.current
    # OpenCV paints with x to the right: columns are x, rows are y, and the image is turned afterwards
    canvas = np.zeros((config.bev_columns, config.bev_rows), np.uint8)
    pose = frame.ego.pose
    reach = config.bev_radius_m
    # a square along the axes of the map, not a circle: so the original looks for what is near
    patch = shapely.box(pose[0] - reach, pose[1] - reach, pose[0] + reach, pose[1] + reach)
    shapely.prepare(patch)
    road_map = scene.road_map

    def near(polygons: Iterable[Polygon]) -> list[bool]:
        return list(shapely.intersects(patch, np.array(list(polygons), dtype=object)))

    lanes = list(compress(road_map.lanes.values(), near(lane.polygon for lane in road_map.lanes.values())))
    roads = [lane.polygon for lane in lanes if not lane.is_connector]
    roads += compress(road_map.intersections.values(), near(road_map.intersections.values()))
    walkways = list(compress(road_map.walkways.values(), near(road_map.walkways.values())))
    for label, polygons in ((ROAD, roads), (WALKWAY, walkways)):
        parts = [part for polygon in polygons for part in getattr(polygon, "geoms", (polygon,))]
        layer = np.zeros_like(canvas)
        for exterior in _local_pixels([shapely.get_coordinates(part.exterior) for part in parts], pose, config):
            cv2.fillPoly(layer, [exterior], 1)
        canvas[layer > 0] = label
    layer = np.zeros_like(canvas)
    width = max(round(CENTERLINE_M / config.bev_pixel_m), 1)
    baselines = _local_pixels([lane.baseline[:, :2] for lane in lanes], pose, config)
    cv2.polylines(layer, baselines, False, 1, thickness=width)
    canvas[layer > 0] = CENTERLINE
    for label, categories in _OBJECT_CLASSES:
        layer = np.zeros_like(canvas)
        for corners in _pixels(box_corners(_local_boxes(frame, categories)), config):
            cv2.fillPoly(layer, [corners], 1)
        canvas[layer > 0] = label
    return np.ascontiguousarray(canvas.T)


def box_corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A, 6) boxes -> (A, 4, 2) corners front left, rear left, rear right, front right [m], same frame."""
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * 0.5
    local = signs * box[:, None, BoxIndex.LENGTH : BoxIndex.WIDTH + 1]
    c, s = np.cos(box[:, None, BoxIndex.HEADING]), np.sin(box[:, None, BoxIndex.HEADING])
    x = box[:, None, BoxIndex.X] + c * local[..., 0] - s * local[..., 1]
    y = box[:, None, BoxIndex.Y] + s * local[..., 0] + c * local[..., 1]
    return np.stack([x, y], axis=-1)


def _local_boxes(frame: Frame, categories: tuple[AgentCategory, ...]) -> NDArray[np.float64]:
    """(n, 6) boxes of some categories in the ego frame."""
    box = np.array(frame.agents.box[np.isin(frame.agents.category, categories)])
    box[:, :3] = global_to_local(box[:, :3], frame.ego.pose)
    return box


def _local_pixels(
    parts: Sequence[NDArray[np.float64]], pose: NDArray[np.float64], config: FeatureConfig
) -> list[NDArray[np.int32]]:
    """Point lists (n, 2), global -> OpenCV points, all of them in one go."""
    if not parts:
        return []
    stops = np.cumsum([len(part) for part in parts]).tolist()
    poses = np.zeros((stops[-1], 3))
    poses[:, :2] = np.concatenate(parts)
    pixels = _pixels(global_to_local(poses, pose)[:, :2], config)
    return [pixels[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _pixels(points: NDArray[np.float64], config: FeatureConfig) -> NDArray[np.int32]:
    """(..., 2) ego frame [m] -> (..., 2) OpenCV points (x = row of the map, y = column of the map)."""
    first = np.array([config.bev_x_min_m, 0.0])
    pixels = (points - first) / config.bev_pixel_m + np.array([0.0, config.bev_columns // 2])
    return pixels.astype(np.int32)
