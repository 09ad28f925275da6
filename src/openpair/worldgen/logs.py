"""Cuts logs out of an episode: which drives, which frames, which agents, which lights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from openpair.datasets.world.log_store import AGENT_UNITS, EGO_UNITS, StoredAgent, StoredLog
from openpair.datasets.world.town_map import TownMap, signalled_paths
from openpair.datatypes.columns import NUM_FUTURE_FRAMES, NUM_HISTORY_FRAMES
from openpair.worldgen.demonstration import Drive, corners, repaired_drive, safe_area, touches
from openpair.worldgen.episode import Track
from openpair.worldgen.map_from_net import TownNumbers
from openpair.worldgen.recipes import TownRecipe
from openpair.worldgen.route import driving_command, given_route, place_of, route_centerline, route_steps
from openpair.worldgen.traffic import RawTraffic

FRAME_STEPS = 5
WARM_UP_STEPS = 200
SCENE_EVERY = 3
AGENT_RADIUS_M = 75.0
STRIDE_STEPS = 20
MIN_TRAVEL_M = 25.0
RED = frozenset("rus")
TURN_RAD = 0.6
"""A movement that changes direction by more than this is a turn."""
MAX_LATERAL, MAX_LONGITUDINAL = 4.5, 6.5
"""Accelerations that no drive of ours may exceed [m/s^2]: more is an artefact."""


@dataclass(frozen=True)
class Episode:
    """All of an episode that logs are cut from."""

    number: int
    raw: RawTraffic
    tracks: list[Track]
    category: NDArray[np.int64]
    boxes: NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A drive that could become a log, with what happens in it.

    Attributes:
        scenes: current frames of its usable scenes; standing: those among them in which the ego never moves.
        interest: how much there is to learn from it.
    """

    drive: Drive
    route: list[int]
    scenes: list[int]
    standing: list[int]
    interest: float


def candidates(
    episode: Episode,
    town: TownMap,
    numbers: TownNumbers,
    road: BaseGeometry,
    wanted: int,
    rng: np.random.Generator,
    recipe: TownRecipe,
) -> list[Candidate]:
    """Up to ``wanted`` usable drives of the episode's cars of ego size, with the length, turns and lights that the
    recipe asks for, tried in random order."""
    log_steps = recipe.log_frames * FRAME_STEPS
    inside = safe_area(road)
    shapely.prepare(road)
    starts = [
        (track, start)
        for track in episode.tracks
        if track.can_be_ego
        for start in range(max(WARM_UP_STEPS, track.first_step + 100), track.last_step - log_steps - 60, STRIDE_STEPS)
    ]
    progress: dict[str, NDArray[np.int64]] = {}
    found: list[Candidate] = []
    for i in rng.permutation(len(starts)):
        track, start = starts[int(i)]
        edges = episode.raw.routes[track.name.split(".")[0]]
        if track.name not in progress:
            progress[track.name] = route_steps([episode.raw.lane_names[lane] for lane in track.lane], edges)
        steps, first = progress[track.name], start - track.first_step
        moved = 0.0 if track.arc is None else float(track.arc[first + log_steps] - track.arc[first])
        if moved < MIN_TRAVEL_M or steps[first] < 0:
            continue
        route = given_route(edges, int(steps[first]), int(steps[first + log_steps]), town, numbers)
        if route is not None and not _is_varied(route, town, recipe):
            continue
        drive = None if route is None else repaired_drive(track, start, log_steps, inside)
        candidate = None if route is None or drive is None else _judge(drive, route, episode, road)
        if candidate is not None:
            found.append(candidate)
        if len(found) == wanted:
            break
    return found


def _is_varied(route: list[int], town: TownMap, recipe: TownRecipe) -> bool:
    """Whether a route has the turns and the lights that the recipe asks for."""
    paths = [town.movements[movement]["paths"] for movement in route[1::2]]
    turns = sum(abs(_turn(np.array(one[0]["line"], np.float64))) > TURN_RAD for one in paths)
    lights = sum(any(path["stop"] >= 0 for path in one) for one in paths)
    return turns >= recipe.min_turns and lights >= recipe.min_lights


def _turn(line: NDArray[np.float64]) -> float:
    """Change of direction [rad] from the first to the last piece of a line (N, 2)."""
    first, last = line[1] - line[0], line[-1] - line[-2]
    return float(np.arctan2(first[0] * last[1] - first[1] * last[0], first @ last))


def _judge(drive: Drive, route: list[int], episode: Episode, road: BaseGeometry) -> Candidate | None:
    pose, speed = drive.motion.pose, drive.motion.speed
    lateral = np.abs(speed * drive.motion.yaw_rate)
    if lateral.max() > MAX_LATERAL or np.abs(drive.motion.acceleration).max() > MAX_LONGITUDINAL:
        return None
    body = corners(pose)
    if not shapely.contains_xy(road, body[..., 0], body[..., 1]).all():
        return None
    if _hits(drive, episode).any():
        return None
    scenes, standing, interest = [], [], 0.0
    for frame in range(NUM_HISTORY_FRAMES - 1, len(pose) // FRAME_STEPS - NUM_FUTURE_FRAMES, SCENE_EVERY):
        window = slice(frame * FRAME_STEPS, frame * FRAME_STEPS + 41)
        moved = float(np.sum(np.abs(speed[window])) * 0.1)
        turn = abs(float(pose[window, 2][-1] - pose[window, 2][0]))
        scenes.append(frame)
        if moved < 0.5:
            standing.append(frame)
            continue
        interest += (
            1.0 + 0.7 * (turn > 0.35) + 0.8 * (speed[window].min() < 0.4 * speed[window][0]) * (speed[window][0] > 4)
        )
        interest += 0.8 * (speed[window][0] < 0.5)
    return Candidate(drive, route, scenes, standing, interest)


def _hits(drive: Drive, episode: Episode) -> NDArray[np.bool_]:
    """(T,) True where the ego touches anyone or anything."""
    pose, start = drive.motion.pose, drive.start_step
    hit = np.zeros(len(pose), dtype=bool)
    for other in episode.tracks:
        a, b = max(start, other.first_step), min(start + len(pose), other.last_step + 1)
        if other is drive.track or a >= b:
            continue
        center = other.center[a - other.first_step : b - other.first_step]
        mine = pose[a - start : b - start]
        if np.hypot(*(center[:, :2] - mine[:, :2]).T).min() < 12:
            size = np.broadcast_to([other.size.length, other.size.width], (len(center), 2))
            hit[a - start : b - start] |= touches(mine, np.column_stack([center, size]))
    for box in episode.boxes:
        if np.hypot(*(pose[:, :2] - box[:2]).T).min() < 8:
            hit |= touches(pose, np.broadcast_to(box[:5], (len(pose), 5)))
    return hit


def choose(found: list[Candidate], count: int, rng: np.random.Generator) -> list[Candidate]:
    """The most instructive candidates, with some chance, never two at the same time in the same car."""
    rank = np.array([c.interest - 1.5 * len(c.standing) for c in found]) + rng.uniform(0, 5, len(found))
    chosen: list[Candidate] = []
    for i in np.argsort(-rank, kind="stable"):
        drive = found[int(i)].drive
        clash = any(
            c.drive.track is drive.track and abs(c.drive.start_step - drive.start_step) < len(drive.motion.pose)
            for c in chosen
        )
        if not clash:
            chosen.append(found[int(i)])
        if len(chosen) == count:
            break
    return sorted(chosen, key=lambda c: (c.drive.start_step, c.drive.track.name))


def stored_log(
    name: str, candidate: Candidate, scenes: list[int], episode: Episode, town: TownMap, numbers: TownNumbers
) -> StoredLog:
    """A chosen drive as a log."""
    drive = candidate.drive
    frames = np.arange(len(drive.motion.pose) // FRAME_STEPS) * FRAME_STEPS
    pose, motion = drive.motion.pose[frames], drive.motion
    table = np.column_stack([pose, motion.speed[frames], motion.acceleration[frames], motion.yaw_rate[frames]])
    ego = np.round(table * np.array(EGO_UNITS)).astype(np.int64)
    first = drive.start_step - drive.track.first_step
    commands = np.empty(len(frames), dtype=np.int64)
    for f in range(len(frames)):
        place = place_of(episode.raw.lane_names[drive.track.lane[first + frames[f]]], numbers)
        line = np.zeros((0, 2)) if place is None else route_centerline(place, candidate.route, town)
        commands[f] = driving_command(pose[f], line)
    return StoredLog(
        name, episode.number, drive.start_step, drive.track.driver, candidate.route, scenes, ego, commands,
        _red_lights(drive, candidate.route, episode, town, numbers), _agents_around(drive, episode),
    )  # fmt: skip


def _red_lights(
    drive: Drive, route: list[int], episode: Episode, town: TownMap, numbers: TownNumbers
) -> NDArray[np.bool_]:
    """(S, F) red by signalled path.

    A light that the ego is just passing counts as not red for its own movement, from 0.2 s before a frame to 0.7 s
    after it: the driver passed on green or yellow, and the log's 2 Hz would say otherwise.
    """
    paths = signalled_paths(town)
    row = {path: i for i, path in enumerate(paths)}
    count = len(drive.motion.pose) // FRAME_STEPS
    red = np.zeros((len(paths), count), dtype=bool)
    steps = drive.start_step + np.arange(count) * FRAME_STEPS
    for (light, link), governed in numbers.light.items():
        states = episode.raw.lights[steps, episode.raw.light_names.index(light)]
        shown = np.array([state[link] in RED for state in states])
        for path in governed:
            red[row[path]] = shown
    bodies = shapely.polygons(corners(drive.motion.pose))
    for movement in route[1::2]:
        polygon = shapely.Polygon(np.array(town.movements[movement]["polygon"]) / 100).buffer(0.1)
        touches_now = np.pad(shapely.intersects(polygon, bodies), (2, 7))
        on_it = np.array([touches_now[f * FRAME_STEPS : f * FRAME_STEPS + 10].any() for f in range(count)])
        for p in range(len(town.movements[movement]["paths"])):
            if (movement, p) in row:
                red[row[(movement, p)], on_it] = False
    return red


def _agents_around(drive: Drive, episode: Episode) -> list[StoredAgent]:
    frames = drive.start_step + np.arange(len(drive.motion.pose) // FRAME_STEPS) * FRAME_STEPS
    ego_xy = drive.motion.pose[::FRAME_STEPS, :2]
    result = []
    for track in episode.tracks:
        if track is drive.track:
            continue
        at = frames - track.first_step
        known = (at >= 0) & (at < len(track.speed))
        center = track.center[np.clip(at, 0, len(track.speed) - 1)]
        seen = np.flatnonzero(known & (np.hypot(*(center[:, :2] - ego_xy).T) < AGENT_RADIUS_M))
        if len(seen) == 0:
            continue
        rows = slice(int(seen[0]), int(seen[-1]) + 1)
        table = np.column_stack([center[rows], track.speed[np.clip(at, 0, len(track.speed) - 1)][rows]])
        states = np.round(table * np.array(AGENT_UNITS)).astype(np.int64)
        size = track.size
        size_cm = (round(size.length * 100), round(size.width * 100), round(size.height * 100))
        result.append(StoredAgent(track.name, int(track.category), size_cm, rows.start, states))
    return sorted(result, key=lambda agent: (agent.category, agent.name))
