"""A planner as a server: AlpaSim's EgodriverService."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from openpair import __version__
from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S
from openpair.errors import OpenPairError
from openpair.geometry.poses import local_to_global
from openpair.ports import bind
from openpair.wire.messages import CHANNEL_OPTIONS, SERVICE, message, methods, trajectory
from openpair.wire.session import Session, missing

Plan = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float64]]
"""Sensors by name -> plan (8, 3), ego rear-axle frame."""

MAX_SESSIONS = 256
IDLE_S = 600.0
"""A session that nobody has called for so long may be dropped when there is no room for another."""

THREADS = 8
POSE_TIMES_US = tuple(round(1e6 * POSE_INTERVAL_S * k) for k in range(NUM_POSES + 1))


class Driver:
    """Answers the calls of EgodriverService. One plan is made at a time.

    Args:
        plan: the planner.
        reads: sensors that it reads.
        cameras: name of a camera on the wire -> our name of it.
        on_shut_down: called when a client asks to shut down; None refuses that.
    """

    def __init__(
        self,
        plan: Plan,
        reads: tuple[str, ...],
        cameras: Mapping[str, str] | None = None,
        on_shut_down: Callable[[], None] | None = None,
    ) -> None:
        self._plan, self._reads, self._cameras = plan, reads, dict(cameras or {})
        self._on_shut_down = on_shut_down
        self._sessions: dict[str, Session] = {}
        self._lock, self._planning = threading.Lock(), threading.Lock()

    def start_session(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Begin a drive; a session of this name must not be open."""
        name = request.session_uuid
        with self._lock:
            if not name or name in self._sessions:
                reason = f"session '{name}' is open already" if name else "the session has no session_uuid"
                context.abort(grpc.StatusCode.ALREADY_EXISTS if name else grpc.StatusCode.INVALID_ARGUMENT, reason)
            self._forget_idle()
            if len(self._sessions) >= MAX_SESSIONS:
                context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_SESSIONS} sessions are open; close some of them"
                )
            self._sessions[name] = Session()
        return message("SessionRequestStatus")()

    def close_session(self, request: Any, context: grpc.ServicerContext) -> Any:
        """End a drive."""
        self._session(request, context)
        with self._lock:
            self._sessions.pop(request.session_uuid, None)
        return message("Empty")()

    def submit_image_observation(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take an image; cameras that nothing reads are passed over."""
        session = self._session(request, context)
        image = request.camera_image
        camera = self._cameras.get(image.logical_id, image.logical_id)
        if camera in self._reads:
            with session.lock:
                session.see(camera, image.image_bytes)
        return message("Empty")()

    def submit_egomotion_observation(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take the ego's motion."""
        session = self._session(request, context)
        with session.lock:
            session.move(request)
        return message("Empty")()

    def submit_route(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take the route."""
        session = self._session(request, context)
        with session.lock:
            session.follow(request.route)
        return message("Empty")()

    def submit_recording_ground_truth(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What the recorded human drove: a driver does not look at it."""
        self._session(request, context)
        return message("Empty")()

    def drive(self, request: Any, context: grpc.ServicerContext) -> Any:
        """A plan from the newest observations, in the local frame: now, then every 0.5 s for 4 s."""
        session = self._session(request, context)
        with session.lock:
            if session.pose is None:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the session has sent no egomotion yet")
            assert session.pose is not None  # abort raises
            inputs, pose = session.inputs(request.renderer_data), session.pose
        lacks = missing(inputs, self._reads)
        if lacks:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, lacks)
        with self._planning:
            plan = np.asarray(self._plan(inputs), np.float64)
        if plan.shape != (NUM_POSES, 3) or not np.isfinite(plan).all():
            context.abort(grpc.StatusCode.INTERNAL, "the planner made no finite plan of 8 poses")
        poses = local_to_global(np.concatenate([np.zeros((1, 3)), plan]), pose)
        times = [request.time_now_us + ahead for ahead in POSE_TIMES_US]
        return message("DriveResponse")(trajectory=trajectory(poses, times))

    def get_version(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Who answers."""
        return message("VersionId")(version_id=f"openpair {__version__}")

    def shut_down(self, request: Any, context: grpc.ServicerContext) -> Any:
        """End the server, where that is allowed."""
        if self._on_shut_down is None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "this server is not shut down by its clients")
        else:
            self._on_shut_down()
        return message("Empty")()

    def _session(self, request: Any, context: grpc.ServicerContext) -> Session:
        with self._lock:
            session = self._sessions.get(request.session_uuid)
        if session is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no session '{request.session_uuid[:80]}'")
        assert session is not None
        session.used_at = time.monotonic()
        return session

    def _forget_idle(self) -> None:
        """Where there is no room for another session: drop those whose clients seem gone."""
        if len(self._sessions) >= MAX_SESSIONS:
            now = time.monotonic()
            for name in [name for name, one in self._sessions.items() if now - one.used_at > IDLE_S]:
                del self._sessions[name]


def _answering(method: Callable[[Any, grpc.ServicerContext], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Bad input and a planner that fails become a status with a sentence."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(request, context)
        except OpenPairError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Exception as error:
            if context.code() is not None:  # abort raises to end the call
                raise
            context.abort(grpc.StatusCode.INTERNAL, f"the planner failed: {type(error).__name__}: {error}")

    return answer


def serve(driver: Driver, host: str, port: int) -> tuple[grpc.Server, int]:
    """A running server and its port; port 0 takes a free one.

    Raises OpenPairError where the port is in use or not allowed, and where the address is not this machine's.
    """
    bind(host, port).close()  # says why a port cannot be had, which gRPC does not
    server = grpc.server(ThreadPoolExecutor(THREADS), options=CHANNEL_OPTIONS)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            _answering(getattr(driver, name)),
            request_deserializer=request.FromString,
            response_serializer=answer.SerializeToString,
        )
        for name, (request, answer) in methods().items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    name = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{name}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise OpenPairError(
            f"port {port} cannot be used on {host}", where="--port", fix="Choose another, or 0 for a free one"
        )
    server.start()
    return server, bound
