"""An agent that plans in another process: sends what it sees to a server of AlpaSim's EgodriverService."""

from __future__ import annotations

import secrets
from typing import Any

import cv2
import grpc
import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S
from openpair.datatypes.front_view import FRONT_CAMERAS
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.geometry.poses import global_to_local, wrap_angle
from openpair.wire.messages import CHANNEL_OPTIONS, RENDERER_FORMAT, message, planar, stub, trajectory

TIMEOUT_S = 120.0
IMAGE_SIZE = (960, 540)
"""(width, height) [px] of the images that are sent: half of the recorded ones."""

TIMES_US = 1e6 * POSE_INTERVAL_S * np.arange(NUM_POSES + 1)


class WireAgent:
    """A driver behind an address, as an agent of eval and drive. A session lasts as long as a log goes on.

    Args:
        address: ``grpc://HOST:PORT``.
        dataset: gives the sensors.
        name: in tables and files.

    Raises OpenPairError where nobody answers.
    """

    uses_truth = False

    def __init__(self, address: str, dataset: Dataset, name: str) -> None:
        self.name, self._dataset, self._address = name, dataset, address
        self._channel = grpc.insecure_channel(address.removeprefix("grpc://"), options=CHANNEL_OPTIONS)
        self._call = stub(self._channel)
        self._session, self._log, self._time_us = "", "", -1
        self._origin = np.zeros(3)
        self._ask("get_version", message("Empty")(), timeout_s=10.0)

    def plan(self, scene: Scene) -> NDArray[np.float64]:
        """(8, 3) plan, ego rear-axle frame. Raises OpenPairError where the driver fails or is gone."""
        self._follow(scene)
        sensors = self._dataset.load_sensors(scene, size=IMAGE_SIZE)
        for camera, image in (sensors.images or {}).items():
            if camera in FRONT_CAMERAS:
                self._send_image(camera, image, self._time_us)
        self._send_motion(scene)
        self._send_route(scene)
        request = message("DriveRequest")(
            session_uuid=self._session,
            time_now_us=self._time_us,
            time_query_us=self._time_us + int(TIMES_US[-1]),
            renderer_data=_renderer_data(scene, sensors),
        )
        answer = self._ask("drive", request)
        poses, times = planar(answer.trajectory)
        return plan_of(poses, times - self._time_us, self._local(scene.current.ego.pose[None])[0], self._address)

    def _follow(self, scene: Scene) -> None:
        """The scene's session: a new one for another log, or where time goes back."""
        time_us = scene.current.ego.timestamp_us
        if self._session and scene.log_name == self._log and time_us > self._time_us:
            self._time_us = time_us
            return
        if self._session:
            self._ask("close_session", message("DriveSessionCloseRequest")(session_uuid=self._session))
        self._session, self._log, self._time_us = secrets.token_hex(16), scene.log_name, time_us
        self._origin = np.array([*scene.current.ego.pose[:2], 0.0])
        self._ask("start_session", message("DriveSessionRequest")(session_uuid=self._session))

    def _local(self, poses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Global poses (n, 3) -> local frame: the session's start is its origin, so that float32 suffices."""
        return np.asarray(poses - self._origin)

    def _send_image(self, camera: str, image: NDArray[np.uint8], time_us: int) -> None:
        done, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise RuntimeError("OpenCV could not encode a PNG")
        request = message("RolloutCameraImage")(session_uuid=self._session)
        picture = request.camera_image
        picture.frame_start_us = picture.frame_end_us = time_us
        picture.logical_id, picture.image_bytes = camera, data.tobytes()
        self._ask("submit_image_observation", request)

    def _send_motion(self, scene: Scene) -> None:
        egos = [frame.ego for frame in scene.history]
        poses, times = self._local(np.stack([ego.pose for ego in egos])), [ego.timestamp_us for ego in egos]
        request = message("RolloutEgoTrajectory")(session_uuid=self._session, trajectory=trajectory(poses, times))
        for ego in egos:
            state = request.dynamic_states.add()
            state.linear_velocity.x, state.linear_velocity.y = ego.velocity
            state.linear_acceleration.x, state.linear_acceleration.y = ego.acceleration
        self._ask("submit_egomotion_observation", request)

    def _send_route(self, scene: Scene) -> None:
        """Centrelines of the route's lanes ahead, in the rig frame; nothing where the scene has no route."""
        request = message("RouteRequest")(session_uuid=self._session)
        request.route.timestamp_us = self._time_us
        for x, y in route_ahead(scene).tolist():
            request.route.waypoints.add(x=x, y=y)
        self._ask("submit_route", request)

    def _ask(self, method: str, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        try:
            return self._call[method](request, timeout=timeout_s)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            if code is grpc.StatusCode.UNAVAILABLE:
                raise OpenPairError(
                    "no driver answers", where=self._address, fix="Start one: openpair serve AGENT --port PORT"
                ) from error
            raise OpenPairError(f"{method}: {details} ({code.name.lower()})", where=self._address) from error


def plan_of(
    poses: NDArray[np.float64], after_us: NDArray[np.int64], now: NDArray[np.float64], address: str
) -> NDArray[np.float64]:
    """(8, 3) plan of an answer, at 0.5 s ... 4 s, ego rear-axle frame.

    Args:
        poses: (n, 3) local frame, in the order of time.
        after_us: (n,) their times after now [us].
        now: (3,) the ego, local frame.
        address: who answered.

    Raises OpenPairError for an answer that does not reach over 4 s, or is not finite.
    """
    if len(poses) < 2 or not np.isfinite(poses).all() or (np.diff(after_us) <= 0).any() or after_us[-1] < TIMES_US[-1]:
        raise OpenPairError("the driver's trajectory is no finite way over 4 s", where=address)
    own = global_to_local(poses, now)
    own[:, 2] = np.unwrap(own[:, 2])
    plan = np.stack([np.interp(TIMES_US[1:], after_us, column) for column in own.T], axis=1)
    plan[:, 2] = wrap_angle(plan[:, 2])
    return plan


def route_ahead(scene: Scene) -> NDArray[np.float64]:
    """(n, 2) x [m], y [m] of one lane of each block of the given route, ego rear-axle frame."""
    road_map, pose = scene.road_map, scene.current.ego.pose
    lines, before = [], None
    for block_id in scene.current.route_roadblock_ids:
        block = road_map.roadblocks.get(block_id)
        lanes = [road_map.lanes[i] for i in block.lane_ids if i in road_map.lanes] if block is not None else []
        if not lanes:
            continue
        lane = next((one for one in lanes if before is not None and before in one.incoming), lanes[0])
        before = lane.id
        lines.append(lane.baseline)
    if not lines:
        return np.zeros((0, 2))
    return np.asarray(global_to_local(np.concatenate(lines), pose)[:, :2])


def _renderer_data(scene: Scene, sensors: SensorFrame) -> bytes:
    extra = message("RendererData")(
        format=RENDERER_FORMAT, driving_command=[int(one) for one in scene.current.driving_command]
    )
    if sensors.lidar_points is not None:
        extra.lidar_points = np.ascontiguousarray(sensors.lidar_points, "<f4").tobytes()
    data: bytes = extra.SerializeToString()
    return data
