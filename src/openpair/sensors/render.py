"""Cameras and LiDAR of a scene's current frame, ray-cast from its map and agents.

The same renderer serves the embedded world and recorded drives that come without images. It is a pure function of the
scene: buildings, trees and textures depend on the map alone, colours of agents on their track tokens.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.datatypes.front_view import FRONT_VIEW, FRONT_VIEW_CROPS, RECORDED_SIZE
from openpair.datatypes.scene import Camera, Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.geometry.poses import global_to_local
from openpair.geometry.warp_runtime import start_warp
from openpair.sensors.agent_shapes import agent_primitives, braking
from openpair.sensors.ground import TEXEL_M
from openpair.sensors.kernels import camera, scan, shapes, texture
from openpair.sensors.primitives import Primitives, corners, joined, kernel_array
from openpair.sensors.rig import STANDARD_LIDAR, LidarSpec, front_cameras
from openpair.sensors.screen import Pinhole, bin_scan, bin_view
from openpair.sensors.town import Town, TownCache

SUN_GLOBAL: Final = (0.48, -0.52, 0.71)
"""Direction to the sun, global frame; south-east, fairly high."""
FAR_GROUND: Final = (15 << 11) | (30 << 5) | 12
"""Colour of ground too far away to have a texture, RGB 5-6-5."""

_CPU: Final = "cpu"


def camera_view(
    camera: Camera, window: tuple[float, float, float, float], size: tuple[int, int], column: int = 0
) -> Pinhole:
    """View of a part of a camera's image, rendered at another size.

    Args:
        camera: calibration at its recorded size; distortion is not rendered.
        window: left, top, right, bottom [px] of the part, at the recorded size.
        size: (width, height) [px] to render it at; pixel centres map as in an image that is cut out and resized.
        column: where the view's first column goes in the output.
    """
    k = camera.intrinsics
    scale = np.array([(window[2] - window[0]) / size[0], (window[3] - window[1]) / size[1]])
    first_px = np.array([window[0], window[1]]) + 0.5 * scale - 0.5
    focal, principal = np.array([k[0, 0], k[1, 1]]), np.array([k[0, 2], k[1, 2]])
    return Pinhole(
        origin=np.asarray(camera.translation, np.float64),
        axes=np.asarray(camera.rotation, np.float64),
        first=(first_px - principal) / focal,
        step=scale / focal,
        size=size,
        column=column,
    )


class Renderer:
    """Renders scenes one after another and keeps what they share: towns, ground tiles.

    Not for use from several threads at once; give each its own.
    """

    def __init__(self, max_towns: int = 8, max_tiles: int = 192) -> None:
        start_warp()
        self._cache = TownCache(max_towns, max_tiles)
        self._texels = kernel_array(self._cache.texels, wp.uint16, copy=False)

    # ------------------------------------------------------------------------------------------------- what is there

    def primitives(self, scene: Scene) -> Primitives:
        """(P,) all solids around the ego at the current frame, ego frame."""
        town = self._cache.town(scene.road_map)
        frame = scene.current
        center = frame.ego.pose[:2] - town.origin
        static = [town.scenery(center), town.signals.primitives(frame.traffic_lights, center, 120.0)]
        around = joined(static)
        to_ego(around, np.array([center[0], center[1], frame.ego.pose[2]]))
        return joined([agent_primitives(frame.agents, frame.ego.pose, braking(scene)), around])

    def _ground(self, town: Town, pose: NDArray[np.float64]) -> Any:
        center = pose[:2] - town.origin
        grid, corner = self._cache.ground_window(town, center, float(pose[2]))
        ground: Any = texture.Ground()
        ground.origin = wp.vec2(*(center - corner))
        ground.axis = wp.vec2(float(np.cos(pose[2])), float(np.sin(pose[2])))
        ground.grid = kernel_array(grid, wp.int32)
        ground.texels = self._texels
        ground.texel_m = TEXEL_M
        ground.far_color = FAR_GROUND
        return ground

    # ------------------------------------------------------------------------------------------------------- cameras

    def images(
        self, scene: Scene, views: tuple[Pinhole, ...], primitives: Primitives, *, smooth: bool = True
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Views side by side.

        Args:
            views: of equal height; each goes to its own ``column``.
            primitives: as :meth:`primitives` gives them.
            smooth: average four rays on the edges of objects.

        Returns:
            rgb (H, W, 3) uint8 and depth (H, W) float32 [m] along each view's optical axis, shapes.MISS for the sky.
        """
        town = self._cache.town(scene.road_map)
        pose = scene.current.ego.pose
        ground = self._ground(town, pose)
        height = views[0].size[1]
        width = max(view.column + view.size[0] for view in views)
        rgb = wp.empty((height, width, 3), dtype=wp.uint8, device=_CPU)
        depth = wp.empty((height, width), dtype=wp.float32, device=_CPU)
        seen = wp.empty((height, width), dtype=wp.int32, device=_CPU)
        points = corners(primitives)
        rows = kernel_array(primitives, shapes.Primitive)
        c, s = np.cos(pose[2]), np.sin(pose[2])
        sun = np.array([c * SUN_GLOBAL[0] + s * SUN_GLOBAL[1], c * SUN_GLOBAL[1] - s * SUN_GLOBAL[0], SUN_GLOBAL[2]])
        for view in views:
            bins = bin_view(view, points)
            window = _kernel_view(view, sun)
            shared = [window, rows, bins.near, bins.limits, bins.members, bins.counts, ground]
            dim = (view.size[1], view.size[0])
            wp.launch(camera.render_view, dim=dim, inputs=[*shared, rgb, depth, seen], device=_CPU)
            if smooth:
                wp.launch(camera.smooth_edges, dim=dim, inputs=[*shared, seen, rgb], device=_CPU)
        return rgb.numpy(), depth.numpy()

    # --------------------------------------------------------------------------------------------------------- LiDAR

    def lidar(self, primitives: Primitives, spec: LidarSpec = STANDARD_LIDAR) -> NDArray[np.float32]:
        """(P, 3) points [m] of one turn, ego frame, by azimuth, then from the lowest beam to the highest."""
        beams, headings = _directions(spec)
        origin = np.array(spec.position)
        bins = bin_scan(origin, primitives, spec.num_azimuths, spec.max_range_m)
        shape = (spec.num_azimuths, spec.num_beams)
        points = wp.empty((*shape, 3), dtype=wp.float32, device=_CPU)
        ranges = wp.empty(shape, dtype=wp.float32, device=_CPU)
        rows = kernel_array(primitives, shapes.Primitive)
        wp.launch(
            scan.scan,
            dim=shape,
            inputs=[
                wp.vec3(*origin),
                beams,
                headings,
                rows,
                bins.near,
                bins.limits,
                bins.members,
                bins.counts,
                spec.max_range_m,
            ],
            outputs=[points, ranges],
            device=_CPU,
        )
        hits = np.flatnonzero(ranges.numpy() < spec.max_range_m)
        return np.asarray(points.numpy().reshape(-1, 3).take(hits, axis=0))


def to_ego(primitives: Primitives, pose: NDArray[np.float64]) -> None:
    """Moves primitives, in place, from the frame of ``pose`` (3,) into the ego's."""
    xy = np.zeros((len(primitives), 3))
    xy[:, :2] = primitives["center"][:, :2]
    primitives["center"][:, :2] = global_to_local(xy, pose)[:, :2]
    c, s = np.cos(pose[2]), np.sin(pose[2])
    turned = primitives["axis"] @ np.array([[c, -s], [s, c]])
    primitives["axis"] = turned


def _kernel_view(view: Pinhole, sun: NDArray[np.float64]) -> Any:
    out: Any = camera.View()
    out.origin = wp.vec3(*view.origin)
    out.right, out.down, out.forward = (wp.vec3(*view.axes[:, i]) for i in range(3))
    out.first_u, out.first_v = float(view.first[0]), float(view.first[1])
    out.step_u, out.step_v = float(view.step[0]), float(view.step[1])
    out.width, out.height = view.size
    out.column = view.column
    out.sun = wp.vec3(*(sun / np.linalg.norm(sun)))
    return out


@lru_cache(maxsize=4)
def _directions(spec: LidarSpec) -> tuple[Any, Any]:
    """Cosine and sine of elevations and azimuths, as kernel arrays."""
    elevation = np.deg2rad(np.linspace(*spec.elevation_deg, spec.num_beams))
    azimuth = 2 * np.pi * np.arange(spec.num_azimuths) / spec.num_azimuths
    beams, headings = (np.stack([np.cos(a), np.sin(a)], axis=1).astype(np.float32) for a in (elevation, azimuth))
    return kernel_array(beams, wp.float32), kernel_array(headings, wp.float32)


@lru_cache(maxsize=1)
def default_renderer() -> Renderer:
    """The renderer that the functions below share within a process."""
    return Renderer()


def render_scene(
    scene: Scene,
    *,
    size: tuple[int, int] = (480, 270),
    depth: bool = False,
    cameras: bool = True,
    lidar: bool = True,
    renderer: Renderer | None = None,
) -> SensorFrame:
    """Front cameras (cam_l0, cam_f0, cam_r0) and LiDAR of the scene's current frame.

    Cameras have the frame's own calibrations where it brings some, else the standard rig's.

    Args:
        size: (width, height) [px] of each image; the field of view is that of the recorded 1920 x 1080.
        depth: add depth images [m], infinite for the sky.
        cameras, lidar: what to ray-cast; what is left out is None in the frame.
        renderer: keeps maps between calls; the process's own by default.

    Raises:
        OpenPairError: a size that is not positive.
    """
    _check_size(size)
    renderer = renderer or default_renderer()
    primitives = renderer.primitives(scene)
    images: dict[str, NDArray[np.uint8]] = {}
    depths: dict[str, NDArray[np.float32]] = {}
    for name, calibration in front_cameras(scene.current).items() if cameras else ():
        view = camera_view(calibration, (0, 0, *calibration.size), size)
        images[name], distance = renderer.images(scene, (view,), primitives)
        if depth:
            depths[name] = np.where(distance >= shapes.MISS, np.float32(np.inf), distance)
    points = renderer.lidar(primitives) if lidar else None
    return SensorFrame(images if cameras else None, points, depths if depth and cameras else None)


def render_front_view(
    scene: Scene,
    *,
    size: tuple[int, int],
    cameras: bool = True,
    lidar: bool = True,
    renderer: Renderer | None = None,
) -> SensorFrame:
    """The stitched front view, rendered straight at its final size, and the LiDAR: the fast way to features.

    Every output pixel looks along the ray that it would look along had the three images been rendered at 1920 x 1080,
    cropped, stitched and resized; it differs in what lies between those rays, which resizing would skip.

    Args:
        size: (width, height) [px] of the stitched image.
        cameras, lidar: what to ray-cast; what is left out is None in the frame.
        renderer: keeps maps between calls; the process's own by default.

    Returns:
        One image, named FRONT_VIEW, and the points, as far as they are asked for.

    Raises:
        OpenPairError: a size that is not positive.
    """
    _check_size(size)
    renderer = renderer or default_renderer()
    primitives = renderer.primitives(scene)
    images = None
    if cameras:
        rgb, _depth = renderer.images(scene, front_view_pinholes(scene, size), primitives)
        images = {FRONT_VIEW: rgb}
    return SensorFrame(images, renderer.lidar(primitives) if lidar else None)


def front_view_pinholes(scene: Scene, size: tuple[int, int]) -> tuple[Pinhole, ...]:
    """The three crops of the stitched front view at (width, height) [px], left to right.

    A column belongs to the camera on whose crop its centre falls, so any width works; widths that are multiples of 64
    have their seams exactly between two columns.
    """
    cameras = front_cameras(scene.current)
    scale = sum(crop.width for crop in FRONT_VIEW_CROPS) / size[0]
    views, start = [], 0.0
    for crop in FRONT_VIEW_CROPS:
        camera = cameras[crop.camera]
        zoom = camera.size[0] / RECORDED_SIZE[0], camera.size[1] / RECORDED_SIZE[1]
        first = int(np.ceil(start / scale - 0.5))
        stop = int(np.ceil((start + crop.width) / scale - 0.5))
        left = (crop.left + first * scale - start) * zoom[0]
        right = (crop.left + stop * scale - start) * zoom[0]
        if stop > first:
            window = (left, crop.top * zoom[1], right, crop.bottom * zoom[1])
            views.append(camera_view(camera, window, (stop - first, size[1]), first))
        start += crop.width
    return tuple(views)


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise OpenPairError(
            "an image needs a positive width and height", where=f"size {size}", fix="give two positive numbers"
        )
