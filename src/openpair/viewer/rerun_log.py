"""Scenes and drives for the Rerun viewer, in three dimensions (optional: pip install 'openpair[rerun]').

Everything lies in the ego's rear-axle frame at the start, x forward, y left, z up [m], the ground at z = 0; the
timeline ``time`` runs in seconds from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import AgentCategory, BoxIndex, StateIndex
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import SensorFrame
from openpair.errors import OpenPairError
from openpair.geometry.poses import global_to_local, local_to_global
from openpair.preparation.boxes import ego_center
from openpair.simulation.reference import NUM_STEPS, STEP_S
from openpair.viewer.book import Book
from openpair.viewer.drive_book import DriveBook
from openpair.viewer.result_table import ResultTable
from openpair.visualization.colours import Colour, drawing_colour
from openpair.visualization.drawing import AGENT_CLASS
from openpair.visualization.drive_account import account
from openpair.visualization.explanation import Explanation, combine
from openpair.visualization.filed_drive import FiledDrive
from openpair.visualization.scene_view import NUM_TONES, SceneView

SPAWN = "spawn"
"""Instead of a file: start the viewer."""

REACH_M = 100.0
SENSOR_STRIDE = 5
"""Drives: sensors every 0.5 s."""

TRAFFIC_STRIDE = 2
SENSOR_SIZE = (640, 360)

Pose = NDArray[np.float64]


class RerunLog:
    """Writes to one Rerun recording.

    Args:
        stream: ``rerun.RecordingStream``.
        origin: (3,) x [m], y [m], heading [rad] of the start's rear axle, global frame.
    """

    def __init__(self, stream: Any, origin: Pose) -> None:
        import rerun

        self._rerun, self._stream, self._origin = rerun, stream, origin
        self.static(["world"], rerun.ViewCoordinates.RIGHT_HAND_Z_UP)

    def static(self, path: Sequence[str], what: Any) -> None:
        """Log what holds at all times."""
        self._stream.log(list(path), what, static=True)

    def at(self, step: float, path: Sequence[str], what: Any) -> None:
        """Log what holds from a step of 0.1 s on."""
        self._stream.set_time("time", duration=STEP_S * step)
        self._stream.log(list(path), what)

    def local(self, poses: Pose) -> Pose:
        """Global poses (..., 3) in the start's frame."""
        return global_to_local(poses, self._origin)

    def map(self, road_map: RoadMap, way: Pose) -> None:
        """Edges and centrelines of lanes, crosswalks and walkways near a way (n, 3), global frame."""
        near = shapely.LineString(np.concatenate([way[:, :2], way[-1:, :2]])).buffer(REACH_M)
        lanes = [lane for lane in road_map.lanes.values() if lane.polygon.intersects(near)]
        layers = {
            "lane edges": ([np.asarray(lane.polygon.exterior.coords) for lane in lanes], "v-line"),
            "centerlines": ([lane.baseline for lane in lanes], "v-center"),
            "crosswalks": ([np.asarray(a.exterior.coords) for a in road_map.crosswalks.values()], "v-static"),
            "walkways": ([np.asarray(a.exterior.coords) for a in road_map.walkways.values()], "v-walk"),
        }
        for name, (lines, colour) in layers.items():
            seen = [line[:, :2] for line in lines if shapely.LineString(line[:, :2]).intersects(near)]
            self.static(["world", "map", name], self._lines(seen, _colour(colour), 0.05))

    def line(self, path: Sequence[str], poses: Pose, colour: Colour, step: float | None = None) -> None:
        """A line along poses (n, 3), global frame; from a step on, or at all times."""
        what = self._lines([poses[:, :2]], colour, 0.12)
        if step is None:
            self.static(path, what)
        else:
            self.at(step, path, what)

    def boxes(
        self, step: float, path: Sequence[str], box: Pose, colours: Sequence[Colour], names: Sequence[str]
    ) -> None:
        """Boxes (n, 6), BoxIndex, global frame, standing on the ground."""
        poses = self.local(box[:, : BoxIndex.HEADING + 1])
        half = box[:, [BoxIndex.LENGTH, BoxIndex.WIDTH, BoxIndex.HEIGHT]] / 2
        turn = np.zeros((len(box), 4))
        turn[:, 2], turn[:, 3] = np.sin(poses[:, 2] / 2), np.cos(poses[:, 2] / 2)
        centers = np.column_stack([poses[:, :2], half[:, 2]])
        what = self._rerun.Boxes3D(
            centers=centers, half_sizes=half, quaternions=turn, colors=colours, labels=names, show_labels=False
        )
        self.at(step, path, what)

    def ego(self, step: float, path: Sequence[str], pose: Pose, colour: Colour, name: str) -> None:
        """The ego's box with its rear axle at ``pose`` (3,), global frame."""
        box = np.array([[*ego_center(pose), vehicle.LENGTH_M, vehicle.WIDTH_M, vehicle.HEIGHT_M]])
        self.boxes(step, path, box, [colour], [name])

    def sensors(self, step: float, sensors: SensorFrame, pose: Pose) -> None:
        """Cameras, and the LiDAR of an ego whose rear axle is at ``pose`` (3,), global frame."""
        for name, image in (sensors.images or {}).items():
            self.at(step, ["cameras", name], self._rerun.Image(image).compress(jpeg_quality=80))
        if sensors.lidar_points is not None:
            points = np.array(sensors.lidar_points, np.float64)
            flat = np.column_stack([points[:, :2], np.zeros(len(points))])
            points[:, :2] = self.local(local_to_global(flat, pose))[:, :2]
            self.at(step, ["world", "LiDAR"], self._rerun.Points3D(points, radii=0.04, colors=_colour("v-trail")))

    def number(self, step: float, path: Sequence[str], value: float) -> None:
        """One value of a curve over time."""
        self.at(step, path, self._rerun.Scalars(float(value)))

    def said(self, step: float, path: Sequence[str], text: str) -> None:
        """A sentence at a moment."""
        self.at(step, path, self._rerun.TextLog(text, level="WARN"))

    def text(self, path: Sequence[str], lines: Sequence[str]) -> None:
        """A text beside the drawing."""
        self.static(path, self._rerun.TextDocument("\n".join(lines)))

    def _lines(self, lines: Sequence[Pose], colour: Colour, radius_m: float) -> Any:
        zeros = [np.zeros(len(line)) for line in lines]
        flat = [self.local(np.column_stack([line, z])) for line, z in zip(lines, zeros, strict=True)]
        for line in flat:
            line[:, 2] = 0.02
        return self._rerun.LineStrips3D(flat, colors=[colour] * len(flat), radii=[radius_m] * len(flat))


@contextmanager
def recording(target: Path, name: str, origin: Pose) -> Iterator[RerunLog]:
    """A recording that ends in a file (.rrd), or in a viewer that is started.

    Args:
        target: the file, or :data:`SPAWN`.
        name: shown by the viewer.
        origin: (3,) of the start, global frame.

    Raises OpenPairError where Rerun is not installed, its viewer does not start, or the file cannot be written.
    """
    stream = _stream(target, name)
    try:
        yield RerunLog(stream, origin)
    finally:
        stream.flush()
        stream.disconnect()


def _stream(target: Path, name: str) -> Any:
    try:
        import rerun
    except ImportError:
        raise OpenPairError(
            "Rerun is not installed", where="--rerun", fix="Install it: pip install 'openpair[rerun]'"
        ) from None
    if str(target) != SPAWN and target.suffix != ".rrd":
        raise OpenPairError(
            "the file is not .rrd", where=target, fix=f"Name it .rrd, or say '{SPAWN}' to start the viewer"
        )
    stream = rerun.RecordingStream("openpair", recording_id=None)
    try:
        if str(target) == SPAWN:
            stream.spawn()
        else:
            stream.save(target)
        stream.send_recording_name(name)
    except (OSError, RuntimeError) as error:
        raise OpenPairError(f"Rerun cannot write there ({error})", where=target, fix="Choose another place") from None
    return stream


def log_row(target: Path, book: ResultTable, token: str, keys: Sequence[str], *, sensors: bool) -> list[str]:
    """Write one row of a table of results; returns sentences on what is not in it.

    Args:
        target: as for :func:`recording`.
        book: scenes or drives.
        token: the scene or log.
        keys: agents.
        sensors: with cameras and LiDAR, where the dataset has some.

    Raises OpenPairError where the row cannot be loaded, and as :func:`recording`.
    """
    if isinstance(book, DriveBook):
        drives, missing = book.drives(token, keys)
        if not drives:
            raise OpenPairError("nobody drove this log", where=token, fix="Name another: --scene LOG")
        named = [(column.label, drive) for column, drive in drives]
        with recording(target, token, named[0][1].states[0, :3]) as log:
            log_drives(log, named, with_sensors=sensors)
        return [f"{label}: {reason}" for label, reason in missing]
    assert isinstance(book, Book)
    view, missing = book.view(token, keys)
    notes = [f"{label}: {reason}" for label, reason in missing]
    seen = None
    if sensors:
        try:
            seen = book.sensor_frame(token, SENSOR_SIZE)
        except OpenPairError as error:
            notes.append(f"without cameras and LiDAR: {error}")
    with recording(target, token, view.scene.ego_state[:3]) as log:
        log_scene(log, view, seen)
    return notes


def log_scene(log: RerunLog, view: SceneView, sensors: SensorFrame | None) -> None:
    """A scene over its 4 s: map, road users, plans and what the vehicle does with them, the score as it is lost."""
    scene, pose = view.scene, view.scene.ego_state[:3]
    states = [plan.explanation.states[:, : StateIndex.HEADING + 1] for plan in view.plans]
    if view.surroundings is not None:
        log.map(view.surroundings.road_map, np.concatenate([pose[None], *states]))
    log.line(["world", "route"], scene.centerline, _colour("v-route"))
    if sensors is not None:
        log.sensors(0, sensors, pose)
    tracks = scene.tracks
    for step in range(NUM_STEPS):
        rows = slice(int(tracks.frame_offset[step]), int(tracks.frame_offset[step + 1]))
        who = tracks.track[rows]
        colours = [_colour_of(int(tracks.category[track])) for track in who]
        log.boxes(step, ["world", "road users"], tracks.box[rows], colours, [tracks.tokens[track] for track in who])
    for plan, driven in zip(view.plans, states, strict=True):
        explanation, colour = plan.explanation, _tone(plan.tone)
        log.line(["world", plan.label, "plan"], local_to_global(explanation.plan, pose), colour)
        log.line(["world", plan.label, "motion"], driven, colour)
        for step in range(NUM_STEPS):
            log.ego(step, ["world", plan.label, "ego"], driven[step], colour, plan.label)
            log.number(step, ["speed [m/s]", plan.label], explanation.states[step, StateIndex.VELOCITY_X])
            log.number(step, ["score", plan.label], score_until(explanation, step))
        for finding in explanation.offences:
            log.said(finding.step or 0, ["offences", plan.label], f"{finding.short}: {finding.text}")
        lines = [f"{f.short} {f.value:.4g}: {f.text}" for f in explanation.findings]
        log.text(["reasons", plan.label], [explanation.headline(), "", *lines, "", *explanation.arithmetic()])


def score_until(explanation: Explanation, step: int) -> float:
    """The score if nothing were lost after a step of 0.1 s. What has no moment, such as progress, counts from the
    beginning."""
    values = {f.name: 1.0 if f.step is not None and f.step > step else f.value for f in explanation.findings}
    return combine(values, explanation.protocol)


def log_drives(log: RerunLog, drives: Sequence[tuple[str, FiledDrive]], *, with_sensors: bool) -> None:
    """Drives of one log from beginning to end; sensors are those of the first.

    Args:
        log: where to.
        drives: (label, drive) with a state each at least.
        with_sensors: cameras and LiDAR, where the dataset can show them at any pose.
    """
    first = drives[0][1]
    log.map(first.recording.road_map, np.concatenate([one.states[:, :3] for _, one in drives]))
    for index, (label, drive) in enumerate(drives):
        colour = _tone(index)
        log.line(["world", label, "way"], drive.states[:, :3], colour)
        if index == 0 or drive.traffic.answers_ego:
            users = ["world", "road users"] if not drive.traffic.answers_ego else ["world", label, "road users"]
            for step in range(0, len(drive.states), TRAFFIC_STRIDE):
                agents = drive.traffic.agents(drive.data["start_step"] + step)
                log.boxes(step, users, agents.box, [_colour_of(int(c)) for c in agents.category], agents.track_tokens)
        for step, state in enumerate(drive.states):
            log.ego(step, ["world", label, "ego"], state[:3], colour, label)
            log.number(step, ["speed [m/s]", label], state[StateIndex.VELOCITY_X])
        for plan in drive.data["plans"]:
            pose = drive.states[plan["step"], :3]
            poses = local_to_global(np.array(plan["poses"], np.float64), pose)
            log.line(["world", label, "plan"], np.concatenate([pose[None], poses]), colour, plan["step"])
            if plan["score"] is not None:
                log.number(plan["step"], ["plan score", label], plan["score"])
        told = account(drive)
        for event in told["events"]:
            log.said(event["step"], ["offences", label], f"{event['short']}: {event['text']}")
        log.text(["reasons", label], [told["headline"], "", *told["arithmetic"]])
    if with_sensors and first.dataset.ray_cast:
        for step in range(0, len(first.states), SENSOR_STRIDE):
            seen = first.dataset.load_sensors(first.scene(step), size=SENSOR_SIZE)
            log.sensors(step, seen, first.states[step, :3])


def _colour(name: str) -> Colour:
    """A colour of the drawings; the viewer is dark."""
    return drawing_colour(name, dark=True)


def _colour_of(category: int) -> Colour:
    return _colour(f"v-{AGENT_CLASS.get(AgentCategory(category), 'static')}")


def _tone(tone: int | None) -> Colour:
    return _colour("v-ink" if tone is None else f"v-t{tone % NUM_TONES}")
