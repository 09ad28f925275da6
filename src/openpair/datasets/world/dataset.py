"""``WorldDataset``: scenes straight from the stored towns, nothing unpacked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from openpair.checksums import read_sealed_json
from openpair.damage import reading
from openpair.datasets.base import SceneKey
from openpair.datasets.world.log_store import AGENT_UNITS, EGO_UNITS, StoredLog
from openpair.datasets.world.town_map import TownMap, block_ids, path_ids, road_map, signalled_paths
from openpair.datasets.world.town_store import SUFFIX, StoredTown
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import NUM_FUTURE_FRAMES, NUM_HISTORY_FRAMES
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Frame, Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle

DATA_DIR = Path(__file__).parent / "data"
_AGAIN = "Install the package or build the world again; 'openpair world info --check' looks at every town"
INDEX_NAME = "index.json"
SPLITS = ("train", "val", "test")
LONG = "long"
"""Split of the long routes, which lie in a folder of their own: to be driven (docs/closed_loop.md)."""
LIGHT_RADIUS_M = 90.0
ROADSIDE_RADIUS_M = 60.0
FRAME_US = 500_000
EPOCH_US = 1_620_000_000_000_000
_OPEN_LOGS = 64
_OPEN_TOWNS = 64


class OpenTown:
    """A town with everything its logs share, decoded once."""

    def __init__(self, stored: StoredTown) -> None:
        self.stored = stored
        town = self.stored.town_map()
        self.origin = np.array(town.origin_m, dtype=np.float64)
        self.road_map: RoadMap = road_map(town)
        self.block_ids, self.movement_ids = block_ids(town)
        paths, lines = path_ids(town), signalled_paths(town)
        self.signal_ids = [paths[m][p] for m, p in lines]
        self.signal_xy = np.array([_start(town, m, p) for m, p in lines]).reshape(-1, 2) + self.origin
        self.roadside = [self._roadside(table, k) for k, table in enumerate(self.stored.roadside)]

    def _roadside(self, table: NDArray[np.int64], episode: int) -> Agents:
        box = table[:, 1:] / np.array([100, 100, 1000, 100, 100, 100])
        box[:, :2] += self.origin
        names = tuple(_hex(f"{self.stored.name}/{episode}/roadside/{i}") for i in range(len(table)))
        return Agents(names, table[:, 0].copy(), box, np.zeros((len(box), 2)), box[:, 5] / 2)


class WorldDataset:
    """The embedded world as a :class:`~openpair.datasets.base.Dataset`.

    Args:
        split: "train", "val", "test", or "all" for these three; "long": routes of more than a minute in further towns.
        root: folder of a built world; None for the one that comes with the package.
        towns: keep these towns alone.
        max_scenes: keep this many scenes, spread evenly over the split.
        predecessors: add, to each of these scenes, the one half a second earlier in the same log, where its history is
            recorded: two-frame extended comfort compares plans of both.

    Raises:
        OpenPairError: unknown split or town, missing or foreign index.
    """

    name = "world"
    ray_cast = True
    default_splits: ClassVar = {"train": "train", "validation": "val", "test": "test"}

    def __init__(
        self,
        split: str = "train",
        root: Path | str | None = None,
        towns: Sequence[str] | None = None,
        max_scenes: int | None = None,
        predecessors: bool = False,
    ) -> None:
        self.root = (DATA_DIR / LONG if split == LONG else DATA_DIR) if root is None else Path(root)
        self.split = split
        if split not in (*SPLITS, "all", LONG):
            raise OpenPairError(f"the world has no split '{split}'", fix=f"use one of {', '.join(SPLITS)}, all, {LONG}")
        index = read_index(self.root)
        self._content_hash = str(index["hash"])
        picked = [town for town in index["towns"] if split in (town["split"], "all")]
        if towns is not None:
            unknown = set(towns) - {town["name"] for town in picked}
            if unknown:
                raise OpenPairError(f"split '{split}' has no town {', '.join(sorted(unknown))}", where=self.root)
            picked = [town for town in picked if town["name"] in towns]
        self._sha256: dict[str, str] = {town["name"]: town["sha256"] for town in picked}
        self._town_of = {log: town["name"] for town in picked for log in town["logs"]}
        self._place: dict[str, tuple[str, str, int]] = {}
        self._earlier: set[str] = set()
        keys = []
        for town in picked:
            for log, frames in town["logs"].items():
                for frame in frames:
                    token = scene_token(log, frame)
                    self._place[token] = (town["name"], log, frame)
                    keys.append(SceneKey(log, token))
        if max_scenes is not None and max_scenes < len(keys):
            keys = [keys[i] for i in np.linspace(0, len(keys) - 1, max_scenes).round().astype(int)]
        self._chosen = tuple(keys)
        self._keys = self._with_predecessors(keys) if predecessors else self._chosen
        self._town = lru_cache(maxsize=_OPEN_TOWNS)(self._open_town)
        self._frames = lru_cache(maxsize=_OPEN_LOGS)(self._decode_frames)

    def keys(self) -> Sequence[SceneKey]:
        """All scenes of the split, by town, log and time."""
        return self._keys

    def chosen_keys(self) -> Sequence[SceneKey]:
        """The scenes that were asked for: those of :meth:`keys` without added predecessors."""
        return self._chosen

    def predecessor(self, token: str) -> str | None:
        """Token of the scene 0.5 s earlier in the same log; None where too little history is recorded, and for scenes
        that are predecessors themselves.

        Raises OpenPairError for an unknown token.
        """
        town, log, frame = self._find(token)
        if frame < NUM_HISTORY_FRAMES or token in self._earlier:
            return None
        earlier = scene_token(log, frame - 1)
        if earlier not in self._place:
            self._place[earlier] = (town, log, frame - 1)
            self._earlier.add(earlier)
        return earlier

    def predecessors(self) -> dict[str, str | None]:
        """Each of the :meth:`chosen_keys` with its :meth:`predecessor`."""
        return {key.token: self.predecessor(key.token) for key in self._chosen}

    def __len__(self) -> int:
        return len(self._keys)

    def fingerprint(self) -> str:
        """Names the data: the world's own content hash and the choice of scenes."""
        chosen = "\n".join(key.token for key in self._keys)
        return hashlib.sha256(f"{self._content_hash}\n{chosen}".encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Travels to worker processes without its caches."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_town", "_frames")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._town = lru_cache(maxsize=_OPEN_TOWNS)(self._open_town)
        self._frames = lru_cache(maxsize=_OPEN_LOGS)(self._decode_frames)

    def load_scene(self, token: str) -> Scene:
        """The scene of a token, or of a :meth:`predecessor`. Raises OpenPairError for an unknown one."""
        town_name, log, frame = self._find(token)
        frames = self._frames(town_name, log)
        window = frames[frame - NUM_HISTORY_FRAMES + 1 : frame + NUM_FUTURE_FRAMES + 1]
        if len(window) < NUM_HISTORY_FRAMES + NUM_FUTURE_FRAMES:
            raise OpenPairError(
                f"the index names frame {frame} of log {log} as a scene, too near to its end", fix=_AGAIN
            )
        return Scene(self.name, log, self._town(town_name).road_map, window, NUM_HISTORY_FRAMES - 1)

    def log_names(self) -> tuple[str, ...]:
        """Logs of the split that hold at least one scene, in order."""
        return tuple(self._town_of)

    def town_names(self) -> tuple[str, ...]:
        """Towns of the split, in order."""
        return tuple(dict.fromkeys(self._town_of.values()))

    def town_of_log(self, log_name: str) -> str:
        """The town in which a log was driven. Raises OpenPairError for an unknown log."""
        if log_name not in self._town_of:
            raise OpenPairError(f"there is no log '{log_name}'", where=f"world, split '{self.split}'")
        return self._town_of[log_name]

    def road_map(self, town_name: str) -> RoadMap:
        """The map of a town. Raises OpenPairError for one that is not in the split."""
        if town_name not in self.town_names():
            raise OpenPairError(f"there is no town '{town_name}'", where=f"world, split '{self.split}'")
        return self._town(town_name).road_map

    def load_log(self, log_name: str) -> tuple[tuple[Frame, ...], RoadMap]:
        """All frames of a log, and its town. Raises OpenPairError for an unknown log."""
        town_name = self.town_of_log(log_name)
        return self._frames(town_name, log_name), self._town(town_name).road_map

    def load_whole_log(self, log_name: str) -> tuple[tuple[Frame, ...], Agents]:
        """A log for a car that leaves the recorded path: frames with every light of the town and the moving road users
        alone, and the roadside objects of the whole town. Raises OpenPairError for an unknown log."""
        town = self._town(self.town_of_log(log_name))
        log = town.stored.log(log_name)
        return decode_frames(town, log, light_radius_m=np.inf, roadside_radius_m=0.0), town.roadside[log.episode]

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        """Cameras and LiDAR of the scene's current frame, ray-cast at ``size`` (width, height)."""
        from openpair.sensors.render import render_scene

        return render_scene(scene, size=size, depth=depth, cameras=cameras, lidar=lidar)

    def _find(self, token: str) -> tuple[str, str, int]:
        """Town, log and current frame of a scene."""
        if token not in self._place:
            raise OpenPairError(f"no scene has the token '{token}'", where=f"world, split '{self.split}'")
        return self._place[token]

    def _with_predecessors(self, keys: Sequence[SceneKey]) -> tuple[SceneKey, ...]:
        """The scenes and those half a second before them, each once, in order of time within a log."""
        order: dict[str, dict[int, str]] = {}
        for key in keys:
            _, log, frame = self._place[key.token]
            frames = order.setdefault(log, {})
            earlier = self.predecessor(key.token)
            if earlier is not None:
                frames[frame - 1] = earlier
            frames[frame] = key.token
        return tuple(SceneKey(log, frames[frame]) for log, frames in order.items() for frame in sorted(frames))

    def _open_town(self, name: str) -> OpenTown:
        path = self.root / f"{name}{SUFFIX}"
        stored = StoredTown.from_file(path, self._sha256[name])
        with reading(path, "the town", fix=_AGAIN):
            return OpenTown(stored)

    def _decode_frames(self, town_name: str, log_name: str) -> tuple[Frame, ...]:
        town = self._town(town_name)
        with reading(self.root / f"{town_name}{SUFFIX}", f"log {log_name}", fix=_AGAIN):
            return decode_frames(town, town.stored.log(log_name))


def read_index(root: Path) -> dict[str, Any]:
    """The index of a world folder. Raises OpenPairError where there is none."""
    path = root / INDEX_NAME
    if not path.is_file():
        raise OpenPairError(
            "there is no world here", where=root, fix="give the folder that 'openpair world build' wrote"
        )
    with reading(path, "the index of the world", fix="Install the package or build the world again"):
        index = read_sealed_json(path)
        _check_index(index)
    return index


def _check_index(index: dict[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError for an index that is laid out otherwise."""
    _ = index["hash"], index["sumo"]
    for town in index["towns"]:
        if town["split"] not in (*SPLITS, LONG) or not all(isinstance(town[name], str) for name in ("name", "sha256")):
            raise ValueError("a town without name, split or hash")
        if Path(town["name"]).name != town["name"]:
            raise ValueError("a town whose name is a path")
        for frames in town["logs"].values():
            if not all(type(frame) is int and frame >= NUM_HISTORY_FRAMES - 1 for frame in frames):
                raise ValueError("a scene outside its log")


def verify_files(root: Path) -> None:
    """Compare every town of a world with the hash in its index. Raises OpenPairError for the first that differs."""
    for town in read_index(root)["towns"]:
        path = root / f"{town['name']}{SUFFIX}"
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != town["sha256"]:
            raise OpenPairError("the town is not what the index says", where=path, fix="Install or build it again")


def scene_token(log_name: str, frame: int) -> str:
    """Token of a frame: 16 hex characters."""
    return _hex(f"{log_name}/{frame}")


def decode_frames(
    town: OpenTown,
    log: StoredLog,
    *,
    light_radius_m: float = LIGHT_RADIUS_M,
    roadside_radius_m: float = ROADSIDE_RADIUS_M,
) -> tuple[Frame, ...]:
    """All frames of a stored log, UTM metres, with the lights and roadside objects this near to the ego."""
    ego = log.ego / np.array(EGO_UNITS)
    ego[:, :2] += town.origin
    ego[:, 2] = wrap_angle(ego[:, 2])
    route = tuple(town.movement_ids[g] if i % 2 else town.block_ids[g] for i, g in enumerate(log.route))
    start_us = EPOCH_US + int(hashlib.sha1(log.name.encode()).hexdigest()[:6], 16) * 1_000_000
    agents = _agents_by_frame(town, log, roadside_radius_m)
    commands = np.eye(4, dtype=np.int64)[log.commands]
    frames = []
    for f in range(len(log.ego)):
        x, y, heading, speed, acceleration, yaw_rate = ego[f]
        near = np.hypot(*(town.signal_xy - ego[f, :2]).T) < light_radius_m
        state = EgoState(
            start_us + f * FRAME_US,
            np.array([x, y, heading]),
            np.array([speed, 0.0]).astype(np.float32).astype(np.float64),
            np.array([acceleration, speed * yaw_rate]).astype(np.float32).astype(np.float64),
        )
        lights = tuple((town.signal_ids[i], bool(log.red[i, f])) for i in np.flatnonzero(near))
        frames.append(Frame(scene_token(log.name, f), state, agents[f], lights, route, commands[f], {}))
    return tuple(frames)


def _agents_by_frame(town: OpenTown, log: StoredLog, roadside_radius_m: float) -> list[Agents]:
    ego_xy = log.ego[:, :2] / EGO_UNITS[0] + town.origin
    roadside = town.roadside[log.episode]
    near = np.hypot(*(roadside.box[:, None, :2] - ego_xy[None]).transpose(2, 0, 1)) < roadside_radius_m
    moving = _moving_agents(town, log)
    result = []
    for f in range(len(log.ego)):
        still = np.flatnonzero(near[:, f])
        names, category, box, velocity = moving[f]
        names += tuple(roadside.track_tokens[i] for i in still)
        category = np.concatenate([category, roadside.category[still]])
        box = np.concatenate([box, roadside.box[still]])
        velocity = np.concatenate([velocity, roadside.velocity[still]])
        result.append(Agents(names, category, box, velocity, box[:, 5] / 2))
    return result


Moving = tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
"""Names, categories (n,), boxes (n, 6) and velocities (n, 2) of road users at one moment."""


def _moving_agents(town: OpenTown, log: StoredLog) -> list[Moving]:
    """The moving road users of each frame, in the order of the log."""
    tables = [np.zeros((0, len(AGENT_UNITS)), np.int64), *(agent.states for agent in log.agents)]
    table = np.concatenate(tables) / np.array(AGENT_UNITS)
    table[:, :2] += town.origin
    table[:, 2] = wrap_angle(table[:, 2])
    velocity = table[:, 3:] * np.stack([np.cos(table[:, 2]), np.sin(table[:, 2])], axis=-1)
    lengths = [len(agent.states) for agent in log.agents]
    who = np.repeat(np.arange(len(log.agents)), lengths)
    size = np.array([agent.size_cm for agent in log.agents]).reshape(-1, 3) / 100
    category = np.array([agent.category for agent in log.agents], np.int64)
    box = np.concatenate([table[:, :3], size[who]], axis=1)
    frame = np.concatenate([np.arange(0), *(np.arange(a.first, a.first + len(a.states)) for a in log.agents)])
    names = [_hex(f"{log.name}/{agent.name}") for agent in log.agents]
    order = np.argsort(frame, kind="stable")
    result: list[Moving] = []
    for rows in np.split(order, np.searchsorted(frame[order], np.arange(1, len(log.ego)))):
        agents = who[rows]
        result.append((tuple(names[i] for i in agents), category[agents], box[rows], velocity[rows]))
    return result


def _start(town: TownMap, movement: int, path: int) -> NDArray[np.float64]:
    start: NDArray[np.float64] = np.array(town.movements[movement]["paths"][path]["line"][0]) / 100
    return start


def _hex(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()[:16]
