"""A folder of Argoverse 2 sensor logs as a :class:`~openpair.datasets.base.Dataset`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from openpair.datasets.argoverse2.cameras import read_cameras
from openpair.datasets.argoverse2.log_files import LogFiles, is_log_folder, read_log_files, read_sweep_times
from openpair.datasets.argoverse2.motion import AgentTracks, ego_poses, ego_state, highest_speed
from openpair.datasets.argoverse2.road_map import build_road_map
from openpair.datasets.argoverse2.route import Route, driving_command, match_route, route_blocks
from openpair.datasets.base import SceneKey, data_fingerprint
from openpair.datasets.navsim.logs import check_spacing
from openpair.datatypes.columns import NUM_FUTURE_FRAMES, NUM_HISTORY_FRAMES
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Camera, Frame, Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.folders import visible
from openpair.lru import LruCache
from openpair.sensors.render import render_scene

SWEEPS_PER_FRAME: Final = 5
"""Sweeps come at 10 Hz, frames at 2 Hz."""

DEFAULT_INTERVAL: Final = 5
PARITY_STARTS: Final = (15, 28, 41, 54, 67, 80, 92, 104)
"""Sweeps at which the published reference scores of these logs start."""

MPH: Final = 0.44704
"""Metres a second in a mile an hour."""

DEFAULT_LIMIT_MPH: Final = 25
_LIMIT_STEP_MPH: Final = 5
_LOGS_KEPT: Final = 3


@dataclass(frozen=True)
class ConvertedLog:
    """A log in NAVSIM's terms.

    Attributes:
        files: what was read.
        road_map: the map.
        route: lanes driven and beyond.
        tracks: the other road users.
        cameras: the log's own camera calibrations by Argoverse name; empty where it has none.
    """

    files: LogFiles
    road_map: RoadMap
    route: Route
    tracks: AgentTracks
    cameras: dict[str, Camera]

    def frame(self, sweep: int) -> Frame:
        """The frame of a sweep."""
        ego = ego_state(self.files, sweep)
        return Frame(
            token=sweep_token(self.files.log_id, sweep),
            ego=ego,
            agents=self.tracks.at(sweep),
            traffic_lights=(),
            route_roadblock_ids=route_blocks(self.road_map, self.route, sweep),
            driving_command=driving_command(self.road_map, self.route, sweep, ego.pose),
            cameras=self.cameras,
        )


class Argoverse2Dataset:
    """Scenes of Argoverse 2 sensor logs. Opening it reads time stamps; a log is converted when a scene asks for it.

    The logs' images are not used: cameras and LiDAR are ray-cast from map and boxes, by the same renderer as the
    embedded world's and with the same rig, so that an agent sees both alike.

    Args:
        root: folder with one folder per log, or a log folder itself.
        interval: a scene starts at every ``interval``-th sweep that has 1.5 s of past and 5 s of future.
        starts: sweeps that start a scene, too, where the log is long enough; the default contains the scenes of the
            published reference scores.

    Raises:
        OpenPairError: the folder is missing or holds no log.
    """

    name = "argoverse2"
    ray_cast = True

    def __init__(
        self, root: Path | str, *, interval: int | None = DEFAULT_INTERVAL, starts: Sequence[int] = PARITY_STARTS
    ) -> None:
        if interval is not None and interval < 1:
            raise OpenPairError(f"an interval of {interval} sweeps between scenes", fix="Use 1 or more")
        self.root = Path(root)
        self._folders = {folder.name: folder for folder in _log_folders(self.root)}
        self._scenes: dict[str, tuple[str, int]] = {}
        self._earlier: dict[str, tuple[str, int]] = {}
        for log_id, folder in self._folders.items():
            for sweep in scene_sweeps(len(read_sweep_times(folder)), interval, starts):
                self._scenes[sweep_token(log_id, sweep)] = (log_id, sweep)
        if not self._scenes:
            raise OpenPairError("no log is long enough for a scene (1.5 s of past, 5 s of future)", where=self.root)
        self._keys = tuple(SceneKey(log_id, token) for token, (log_id, _) in self._scenes.items())
        self._logs: LruCache[ConvertedLog] = LruCache(_LOGS_KEPT)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[SceneKey]:
        """All scenes, by log (sorted), then by time."""
        return self._keys

    def fingerprint(self) -> str:
        """Names the data: the logs' files by name, size and time, and the choice of scenes."""
        folders = self._folders.values()
        files = (path for folder in folders for path in (*folder.glob("*.feather"), *folder.glob("map/*")))
        return data_fingerprint(files, (key.token for key in self._keys))

    def sweep_of(self, token: str) -> int:
        """Sweep (10 Hz index in its log) at which a scene starts. Raises OpenPairError for an unknown token."""
        return self._locate(token)[1]

    def load_scene(self, token: str) -> Scene:
        """The scene of a token. Raises OpenPairError for an unknown token or a broken log."""
        log_id, sweep = self._locate(token)
        log = self.load_log(log_id)
        first = sweep - (NUM_HISTORY_FRAMES - 1) * SWEEPS_PER_FRAME
        last = sweep + NUM_FUTURE_FRAMES * SWEEPS_PER_FRAME
        frames = tuple(log.frame(i) for i in range(first, last + 1, SWEEPS_PER_FRAME))
        check_spacing(frames, self._folders[log_id])
        return Scene(
            dataset=self.name,
            log_name=log_id,
            road_map=log.road_map,
            frames=frames,
            current_index=NUM_HISTORY_FRAMES - 1,
        )

    def predecessor(self, token: str) -> str | None:
        """Token of the scene 0.5 s (5 sweeps) earlier in the same log; None where too little past is recorded, and for
        unknown tokens."""
        log_id, sweep = self._scenes.get(token, ("", 0))
        if sweep - SWEEPS_PER_FRAME < (NUM_HISTORY_FRAMES - 1) * SWEEPS_PER_FRAME:
            return None
        earlier = sweep_token(log_id, sweep - SWEEPS_PER_FRAME)
        if earlier not in self._scenes:
            self._earlier[earlier] = (log_id, sweep - SWEEPS_PER_FRAME)
        return earlier

    def load_log(self, log_id: str) -> ConvertedLog:
        """A converted log. Raises OpenPairError if it is unknown or broken."""
        if log_id not in self._folders:
            raise OpenPairError(f"there is no log '{log_id}'", where=self.root)
        return self._logs.get(log_id, lambda: convert_log(self._folders[log_id]))

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        """Ray-cast front cameras and LiDAR of the scene's current frame. Raises OpenPairError for a bad size."""
        return render_scene(scene, size=size, depth=depth, cameras=cameras, lidar=lidar)

    def _locate(self, token: str) -> tuple[str, int]:
        for scenes in (self._scenes, self._earlier):
            if token in scenes:
                return scenes[token]
        raise OpenPairError(
            f"there is no scene '{token}'",
            where=self.root,
            fix=f"The dataset has {len(self)} scenes of {len(self._folders)} logs",
        )


def convert_log(folder: Path) -> ConvertedLog:
    """Read and convert one log folder. Raises OpenPairError if a file is missing or broken."""
    try:
        files = read_log_files(folder)
    except OpenPairError as error:
        raise OpenPairError(
            error.what, where=error.where or folder, fix=error.fix or "Download the log again"
        ) from None
    limit = speed_limit_mph(highest_speed(files) / MPH) * MPH
    road_map = build_road_map(files.vector_map, files.log_id, limit, folder / "map")
    return ConvertedLog(
        files=files,
        road_map=road_map,
        route=match_route(road_map, ego_poses(files)),
        tracks=AgentTracks(files),
        cameras=read_cameras(folder),
    )


def speed_limit_mph(highest_mph: float) -> int:
    """The stand-in limit of a log: 25 mph, or the next multiple of 5 mph that the recorded drive keeps."""
    return max(DEFAULT_LIMIT_MPH, _LIMIT_STEP_MPH * math.ceil(highest_mph / _LIMIT_STEP_MPH))


def scene_sweeps(num_sweeps: int, interval: int | None, starts: Sequence[int]) -> list[int]:
    """Sweeps of a log at which scenes start, ascending."""
    first = (NUM_HISTORY_FRAMES - 1) * SWEEPS_PER_FRAME
    last = num_sweeps - 1 - NUM_FUTURE_FRAMES * SWEEPS_PER_FRAME
    regular = [] if interval is None else range(first, last + 1, interval)
    return sorted({*regular, *(sweep for sweep in starts if first <= sweep <= last)})


def sweep_token(log_id: str, sweep: int) -> str:
    """16 hex characters that follow from log and sweep."""
    return hashlib.sha256(f"argoverse2/{log_id}/{sweep}".encode()).hexdigest()[:16]


def _log_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise OpenPairError("there is no such dataset folder", where=root)
    if is_log_folder(root):
        return [root]
    folders = [folder for folder in visible(root.iterdir()) if folder.is_dir() and is_log_folder(folder)]
    if not folders:
        raise OpenPairError(
            "the folder holds no Argoverse 2 sensor log",
            where=root,
            fix="Point --root to the folder that holds the log folders (each with annotations.feather and map/)",
        )
    return folders
