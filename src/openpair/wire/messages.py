"""The messages of ``egodriver.proto``, made when the module is imported: nothing is generated, no tools are needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.errors import OpenPairError

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError as _error:
    raise OpenPairError(
        f"gRPC is not installed ({_error})", fix="Install the extra: pip install 'openpair[serve]'"
    ) from _error

SERVICE = "egodriver.EgodriverService"
RENDERER_FORMAT = "openpair-1"
MAX_MESSAGE_BYTES = 32 << 20
"""An uncompressed image of 4K takes 25 MB; nothing that is sent is larger."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
)


def _read_pool() -> tuple[Any, Any]:
    files = descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("egodriver.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool, pool.FindServiceByName(SERVICE)


_POOL, _SERVICE = _read_pool()


def message(name: str) -> Any:
    """The class of a message: ``message("DriveRequest")``."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"egodriver.{name}"))


def methods() -> dict[str, tuple[Any, Any]]:
    """Name of each method -> classes of its request and its answer."""
    return {
        method.name: (
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
        for method in _SERVICE.methods
    }


def stub(channel: grpc.Channel) -> dict[str, Any]:
    """Name of each method -> what calls it."""
    return {
        name: channel.unary_unary(
            f"/{SERVICE}/{name}", request_serializer=request.SerializeToString, response_deserializer=answer.FromString
        )
        for name, (request, answer) in methods().items()
    }


def trajectory(poses: NDArray[np.float64], times_us: Sequence[int]) -> Any:
    """Poses (n, 3) x [m], y [m], heading [rad] of the local frame at times as a Trajectory."""
    found = message("Trajectory")()
    for (x, y, heading), time_us in zip(poses.tolist(), times_us, strict=True):
        one = found.poses.add(timestamp_us=int(time_us))
        one.pose.vec.x, one.pose.vec.y = x, y
        one.pose.quat.w, one.pose.quat.z = np.cos(heading / 2), np.sin(heading / 2)
    return found


def planar(found: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Poses (n, 3) and times (n,) [us] of a Trajectory; height, roll and pitch are left out."""
    poses = np.zeros((len(found.poses), 3))
    for row, one in enumerate(found.poses):
        q = one.pose.quat
        heading = np.arctan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y**2 + q.z**2))
        poses[row] = one.pose.vec.x, one.pose.vec.y, heading
    return poses, np.array([one.timestamp_us for one in found.poses], np.int64)
