"""A planner in another process: what is sent arrives, drives are the same, failures are sentences."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_road import recording

pytest.importorskip("grpc", reason="gRPC is not installed (extra serve)")

import grpc

from openpair.cli.main import main
from openpair.datatypes.front_view import FRONT_CAMERAS
from openpair.datatypes.scene import SensorFrame
from openpair.driving.loop import AGENT_FAILED, drive
from openpair.driving.traffic import ReplayedTraffic
from openpair.errors import OpenPairError
from openpair.evaluation.agents import ConstantVelocityAgent
from openpair.evaluation.sources import AgentContext, parse_agent
from openpair.interop.planner import constant_velocity
from openpair.wire import messages
from openpair.wire.client import WireAgent, plan_of
from openpair.wire.messages import message
from openpair.wire.server import Driver, serve
from openpair.wire.session import command_of


class Sensors:
    """A dataset that sees noise."""

    name, ray_cast = "small", True

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.frame = SensorFrame(
            {name: random.integers(0, 256, (54, 96, 3), dtype=np.uint8) for name in FRONT_CAMERAS},
            random.normal(size=(20, 3)).astype(np.float32),
        )

    def load_sensors(self, scene: object, **options: object) -> SensorFrame:
        return self.frame


class Recorder:
    """A planner that keeps what it was handed, and fails when it is told to."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.fails_at = 10**9
        self.answer: Callable[[Mapping[str, Any]], np.ndarray] = constant_velocity

    def __call__(self, inputs: Mapping[str, Any]) -> np.ndarray:
        self.seen.append(dict(inputs))
        if len(self.seen) > self.fails_at:
            raise RuntimeError("out of ideas")
        return self.answer(inputs)


@pytest.fixture
def planner() -> Recorder:
    return Recorder()


@pytest.fixture
def address(planner: Recorder) -> Iterator[str]:
    server, port = serve(Driver(planner, (*FRONT_CAMERAS, "lidar")), "127.0.0.1", 0)
    yield f"grpc://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture
def call(address: str) -> Iterator[dict[str, Any]]:
    with grpc.insecure_channel(address.removeprefix("grpc://"), options=messages.CHANNEL_OPTIONS) as channel:
        yield messages.stub(channel)


def built(address: str) -> WireAgent:
    agent = parse_agent(f"far={address}").build(AgentContext(Sensors(), lambda scene: None, 0))  # type: ignore
    assert isinstance(agent, WireAgent)
    return agent


def test_a_drive_over_the_wire_is_the_drive_of_the_planner(address: str, planner: Recorder) -> None:
    log = recording(frames=16)
    far, dataset = built(address), Sensors()
    over = drive(log, far, ReplayedTraffic(log))
    here = drive(log, ConstantVelocityAgent(), ReplayedTraffic(log))
    assert over.agent == "far" and len(over.planned) == 12
    np.testing.assert_allclose(over.states[:, :3], here.states[:, :3], atol=1e-3)
    first, scene = planner.seen[0], over.planned[0].scene
    assert dataset.frame.images is not None and dataset.frame.lidar_points is not None
    for name in FRONT_CAMERAS:
        np.testing.assert_array_equal(first[name], dataset.frame.images[name])
    np.testing.assert_array_equal(first["lidar"], dataset.frame.lidar_points)
    np.testing.assert_array_equal(first["driving_command"], scene.current.driving_command)
    np.testing.assert_allclose(first["velocity"], scene.current.ego.velocity, atol=1e-6)
    np.testing.assert_allclose(first["acceleration"], scene.current.ego.acceleration, atol=1e-6)
    # a second drive of the same log is a session of its own
    again = drive(log, far, ReplayedTraffic(log))
    np.testing.assert_array_equal(again.states, over.states)


def test_a_planner_that_fails_ends_the_drive_with_its_reason(address: str, planner: Recorder) -> None:
    planner.fails_at = 3
    log = recording(frames=16)
    finished = drive(log, built(address), ReplayedTraffic(log))
    assert finished.end == AGENT_FAILED and len(finished.planned) == 3
    assert "after 1.5 s" in finished.error and "the planner failed: RuntimeError: out of ideas" in finished.error
    planner.fails_at = 10**9
    planner.answer = lambda inputs: np.full((8, 3), np.nan)
    finished = drive(log, built(address), ReplayedTraffic(log))
    assert "the planner made no finite plan" in finished.error


def refused(method: Callable[[Any], Any], request: Any, code: str, said: str) -> None:
    with pytest.raises(grpc.RpcError) as error:
        method(request)
    assert error.value.code().name == code and said in error.value.details()  # type: ignore[attr-defined]


def png(width: int, height: int, claimed: int) -> bytes:
    """A PNG whose head claims another width."""
    data = bytearray(cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes())
    data[16:20] = struct.pack(">I", claimed)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_bad_calls_are_refused_in_a_sentence(call: dict[str, Any], planner: Recorder) -> None:
    begin = message("DriveSessionRequest")
    refused(call["start_session"], begin(), "INVALID_ARGUMENT", "no session_uuid")
    call["start_session"](begin(session_uuid="a"))
    refused(call["start_session"], begin(session_uuid="a"), "ALREADY_EXISTS", "'a' is open already")
    refused(call["drive"], message("DriveRequest")(session_uuid="b"), "NOT_FOUND", "there is no session 'b'")
    refused(call["drive"], message("DriveRequest")(session_uuid="a"), "FAILED_PRECONDITION", "no egomotion yet")

    def image(data: bytes) -> Any:
        request = message("RolloutCameraImage")(session_uuid="a")
        request.camera_image.logical_id, request.camera_image.image_bytes = "cam_f0", data
        return request

    see = call["submit_image_observation"]
    refused(see, image(b"no image"), "INVALID_ARGUMENT", "image of cam_f0: the bytes are neither a PNG nor a JPEG")
    refused(see, image(png(8, 2000, 8000)), "INVALID_ARGUMENT", "8000 x 2000 pixels is too large")
    refused(see, image(png(8, 2000, 1 << 24)), "INVALID_ARGUMENT", "far too many pixels")
    refused(see, image(bytes(messages.MAX_MESSAGE_BYTES)), "RESOURCE_EXHAUSTED", "larger than max")
    other = image(b"whatever")
    other.camera_image.logical_id = "camera_that_nobody_reads"
    see(other)

    motion = message("RolloutEgoTrajectory")(session_uuid="a")
    motion.trajectory.poses.add().pose.vec.x = float("nan")
    refused(call["submit_egomotion_observation"], motion, "INVALID_ARGUMENT", "not finite")
    motion.trajectory.poses[0].pose.vec.x = 1.0
    motion.dynamic_states.add()
    motion.dynamic_states.add()
    refused(call["submit_egomotion_observation"], motion, "INVALID_ARGUMENT", "do not belong together")
    del motion.dynamic_states[1]
    call["submit_egomotion_observation"](motion)
    refused(call["drive"], message("DriveRequest")(session_uuid="a"), "FAILED_PRECONDITION", "reads cam_l0, cam_f0")
    route = message("RouteRequest")(session_uuid="a")
    route.route.waypoints.add(x=float("inf"))
    refused(call["submit_route"], route, "INVALID_ARGUMENT", "not finite")
    refused(call["shut_down"], message("Empty")(), "PERMISSION_DENIED", "not shut down by its clients")
    call["submit_recording_ground_truth"](message("GroundTruthRequest")(session_uuid="a"))
    call["close_session"](message("DriveSessionCloseRequest")(session_uuid="a"))
    refused(call["close_session"], message("DriveSessionCloseRequest")(session_uuid="a"), "NOT_FOUND", "no session")
    assert call["get_version"](message("Empty")()).version_id.startswith("openpair ") and not planner.seen


def test_addresses_that_are_taken_dead_or_none(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(OpenPairError, match=rf"port {port} cannot be used on 127.0.0.1 \(Address already in use\)"):
        serve(Driver(constant_velocity, ()), "127.0.0.1", port)
    with pytest.raises(OpenPairError, match="no driver answers"):
        built("grpc://127.0.0.1:9")
    with pytest.raises(OpenPairError, match="'grpc://here' is no address"):
        parse_agent("grpc://here")
    for arguments, said in (
        (["human"], "a server is sent sensors alone"),
        (["constant_velocity", "--camera", "wide"], "'wide' maps no camera"),
        (["constant_velocity", "--port", str(port)], f"port {port} cannot be used"),
        (["constant_velocity", "--port", "70000"], "port must be 0-65535"),
        (["constant_velocity", "--host", "192.0.2.1"], "--host 192.0.2.1: this machine has no such address"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["serve", *arguments])
        assert ended.value.code == 2 and said in capsys.readouterr().err


def test_an_answer_that_is_no_plan_is_refused() -> None:
    times = np.arange(9) * 500_000
    way = np.stack([np.arange(9.0), np.zeros(9), np.zeros(9)], axis=1)
    plan = plan_of(way, times, np.array([0.0, 0.0, 0.0]), "far")
    np.testing.assert_allclose(plan, way[1:])
    dense = np.stack([np.interp(np.arange(81) / 10, np.arange(9), way[:, 0]), *np.zeros((2, 81))], axis=1)
    np.testing.assert_allclose(plan_of(dense, np.arange(81) * 50_000, np.zeros(3), "far"), way[1:], atol=1e-9)
    for poses, after in ((way[:8], times[:8]), (way * np.nan, times), (way, times[::-1])):
        with pytest.raises(OpenPairError, match="no finite way over 4 s"):
            plan_of(poses, after, np.zeros(3), "far")


def test_the_command_follows_from_the_route() -> None:
    ahead = np.stack([np.arange(-5.0, 60.0), np.zeros(65)], axis=1)
    bend = np.stack([ahead[:, 0], np.maximum(ahead[:, 0] - 10, 0) * 0.5], axis=1)
    assert command_of(ahead).tolist() == [0, 1, 0, 0]
    assert command_of(bend).tolist() == [1, 0, 0, 0]
    assert command_of(bend * [1, -1]).tolist() == [0, 0, 1, 0]
    assert command_of(np.zeros((0, 2))).tolist() == [0, 0, 0, 1]


def test_the_compiled_messages_are_those_of_the_text() -> None:
    """Names and numbers of all fields: the file of descriptors follows the .proto."""
    text = Path(messages.__file__).with_name("egodriver.proto").read_text()
    text = re.sub(r"//[^\n]*", "", text)
    written = {(name, int(number)) for name, number in re.findall(r"(\w+) = (\d+);", text)}
    names = re.findall(r"message (\w+) \{", text)
    classes = [message(name) for name in names if name != "CameraImage"]
    classes.append(message("RolloutCameraImage").CameraImage)
    assert written == {(field.name, field.number) for one in classes for field in one.DESCRIPTOR.fields}
    assert set(messages.methods()) == set(re.findall(r"rpc (\w+)\(", text))
