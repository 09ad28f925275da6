"""A folder of NAVSIM data as a :class:`~openpair.datasets.base.Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from openpair.datasets.base import SceneKey, data_fingerprint
from openpair.datasets.environment import NavsimFolders, cache_folder, navsim_folders, scene_filter_file
from openpair.datasets.navsim.log_index import LogIndex, build_index
from openpair.datasets.navsim.logs import RawLog, check_spacing, read_log
from openpair.datasets.navsim.maps import map_path, read_map
from openpair.datasets.navsim.scene_filter import SceneFilter, read_scene_filter
from openpair.datasets.navsim.sensor_files import read_sensors
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.folders import visible
from openpair.lru import LruCache
from openpair.pools import OnProgress, silent

if TYPE_CHECKING:
    from openpair.datasets.choice import SceneChoice

LOGS_KEPT: Final = 3
"""Unpickled logs in memory; a real one takes some 30 MB."""

MAPS_KEPT: Final = 4

BROKEN_SHOWN: Final = 3
"""Broken logs whose reasons stand in one message."""

NAMED_SPLITS: Final = {
    "navtrain": "trainval",
    "navtest": "test",
    "navmini": "mini",
    "navhard_two_stage": "test",
    "warmup_two_stage": "test",
    "warmup_test_e2e": "mini",
}
"""Folder of logs of the splits that NAVSIM defines by scene filters."""


class NavsimDataset:
    """Scenes of one split. Opening it reads the index of its logs; a log or a map is read when a scene asks for it.

    Args:
        root: folder that holds navsim_logs/<split>/, maps/ and, for agents with sensors, sensor_blobs/<split>/;
            or its parts one by one; None = where NAVSIM's environment variables say.
        split: folder below navsim_logs/, or a split as NAVSIM names it ("navtrain"), which is a folder and a filter;
            None = the only folder there is.
        scene_filter: which scenes, or the file that says so (NAVSIM's YAML, or a list of tokens as .csv or .txt);
            None = that of a named split, else every window of 4 + 10 frames, without overlap, that has a route.
        index_folder: where the index of a large split is kept; None = the user's cache folder.
        on_progress: told while new logs are read.
        missing: what happens to tokens and logs that the filter names but the folder lacks, and to logs that cannot
            be read. "error": the dataset does not open. "per_scene": the tokens stay among the keys (without a log
            name) and fail when they are loaded, so that an evaluation lists and counts them; a broken log whose tokens
            no filter names stays as one key.
        name: name of the dataset in scenes and tables.

    Raises:
        OpenPairError: a folder, a split or a log that the filter names is missing, or a token is not found.
    """

    ray_cast = False
    two_stage = "navsim_two_stage"

    @staticmethod
    def scene_options(root: Path | str | None, choice: SceneChoice) -> dict[str, Any]:
        """Options for what a command line chooses; without a list of tokens that is every scene the logs hold.

        Raises OpenPairError for a file of tokens that cannot be read, and for choices that belong to two stages.
        """
        if choice.mapping is not None or choice.second_stage is not None:
            raise OpenPairError("a mapping belongs to two stages", where="--mapping", fix="Add --stages 2")
        if choice.max_scenes is not None:
            raise OpenPairError(
                "a number of scenes cannot be asked for", where="--max-scenes", fix="Leave it out, or give --tokens"
            )
        chosen = choice.tokens
        folders = navsim_folders(None if root is None else Path(root))
        if chosen is None and is_named_filter(folders, choice.split):
            chosen = scene_filter_file(str(choice.split))
        scene_filter = SceneFilter(frame_interval=1) if chosen is None else read_scene_filter(chosen)
        options = {"split": choice.split, "scene_filter": scene_filter, "missing": "per_scene"}
        return {name: value for name, value in options.items() if value is not None}

    def __init__(
        self,
        root: Path | str | NavsimFolders | None = None,
        *,
        split: str | None = None,
        scene_filter: SceneFilter | Path | str | None = None,
        index_folder: Path | None = None,
        on_progress: OnProgress = silent,
        missing: Literal["error", "per_scene"] = "error",
        name: str = "navsim",
    ) -> None:
        self.name = name
        self.folders = root if isinstance(root, NavsimFolders) else navsim_folders(None if root is None else Path(root))
        if scene_filter is None and is_named_filter(self.folders, split):
            scene_filter = scene_filter_file(str(split))
        self.split = _choose_split(self.folders.logs, split)
        if scene_filter is None:
            scene_filter = SceneFilter()
        self.scene_filter = (
            scene_filter if isinstance(scene_filter, SceneFilter) else read_scene_filter(Path(scene_filter))
        )
        self._missing = missing
        self._log_folder = self.folders.logs / self.split
        paths = self._log_paths()
        kept = cache_folder() if index_folder is None else index_folder
        index = build_index(paths, kept, keep_broken=missing == "per_scene", on_progress=on_progress)
        self._broken = {f"{name}.pkl": reason for name, reason in index.broken.items()}
        if len(self._broken) == len(paths):
            raise OpenPairError(f"none of the {len(paths)} logs can be read; {next(iter(self._broken.values()))}")
        self._index = index
        self._scenes = _select(index, self.scene_filter)
        self._log_number = {log_name: number for number, log_name in enumerate(index.log_names)}
        self._earlier: dict[str, tuple[str, int]] = {}
        self._twice = _tokens_twice(index)
        self._logs: LruCache[RawLog] = LruCache(LOGS_KEPT)
        self._maps: LruCache[RoadMap] = LruCache(MAPS_KEPT)
        known = tuple(SceneKey(log_name, token) for token, (log_name, _) in self._scenes.items())
        self._keys = known + tuple(SceneKey("", token) for token in self._unknown_tokens()) + self._whole_logs()

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[SceneKey]:
        """All scenes, by log (sorted), then by time."""
        return self._keys

    def fingerprint(self) -> str:
        """Names the data: logs and maps by name, size and time, and the choice of scenes."""
        names = {log_name for log_name, _ in self._scenes.values()}
        logs = {self._log_folder / f"{name}.pkl" for name in names}
        return data_fingerprint([*logs, *self.folders.maps.glob("*/*/map.gpkg")], (key.token for key in self._keys))

    def load_scene(self, token: str) -> Scene:
        """The scene of a token, or of a :meth:`predecessor`. Raises OpenPairError for an unknown token or a broken log
        or map."""
        if token in self._broken:
            raise OpenPairError(f"none of the log's scenes can be read; {self._broken[token]}")
        known = token in self._scenes or token in self._earlier
        if not known and self._broken:
            raise OpenPairError(
                f"there is no scene '{token}' in the logs that can be read, and {len(self._broken)} cannot be: "
                f"{'; '.join(list(self._broken.values())[:BROKEN_SHOWN])}",
            )
        if not known:
            raise OpenPairError(
                f"there is no scene '{token}': {_why_absent(self._index, self.scene_filter, token)}",
                where=self._log_folder,
                fix="Check token, split and filter",
            )
        if token in self._twice:
            raise OpenPairError(
                f"the token '{token}' stands on {' and on '.join(self._twice[token])}: nobody knows which is meant",
                where=self._log_folder,
                fix="Remove the log that is there twice, or convert the log again",
            )
        log_name, current = self._scenes[token] if token in self._scenes else self._earlier[token]
        log = self._log(log_name)
        first = current - self.scene_filter.num_history_frames + 1
        last = min(first + self.scene_filter.num_frames, len(log)) - 1
        sensor_root = self.folders.sensor_blobs / self.split
        if last - first + 1 < self.scene_filter.fewest_frames or log.token(current) != token:
            raise OpenPairError("the log changed since the dataset was opened", where=log.path, fix="Run it again")
        frames = tuple(log.frame(i, sensor_root) for i in range(first, last + 1))
        check_spacing(frames, log.path)
        return Scene(
            dataset=self.name,
            log_name=log_name,
            road_map=self.load_map(log.map_location),
            frames=frames,
            current_index=self.scene_filter.num_history_frames - 1,
        )

    def predecessor(self, token: str) -> str | None:
        """Token of the frame before a scene's current one, whether or not the filter lets it through; None where the
        log holds too little history for a scene, and for unknown tokens."""
        log_name, current = self._scenes.get(token, ("", 0))
        if current < self.scene_filter.num_history_frames:
            return None
        start = int(self._index.offset[self._log_number[log_name]])
        earlier: str = self._index.tokens[start + current - 1].decode()
        if earlier not in self._scenes:
            self._earlier[earlier] = (log_name, current - 1)
        return earlier

    def load_map(self, location: str) -> RoadMap:
        """The map of a location. Raises OpenPairError if it is missing or broken."""
        return self._maps.get(
            location,
            lambda: read_map(map_path(self.folders.maps, location, self.folders.map_version), location),
        )

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        """Recorded front cameras and LiDAR of the scene's current frame, at their own size and without depth.

        Raises:
            OpenPairError: a file is missing or damaged.
        """
        return read_sensors(scene.current, cameras=cameras, lidar=lidar)

    def _log(self, log_name: str) -> RawLog:
        return self._logs.get(log_name, lambda: read_log(self._log_folder / f"{log_name}.pkl"))

    def _log_paths(self) -> list[Path]:
        found = {path.stem: path for path in visible(self._log_folder.glob("*.pkl"))}
        wanted = self.scene_filter.log_names
        if wanted is None:
            if not found:
                raise OpenPairError("the folder holds no logs (*.pkl)", where=self._log_folder)
            return [found[name] for name in sorted(found)]
        missing = [name for name in wanted if name not in found]
        if len(missing) == len(set(wanted)):
            raise OpenPairError(
                f"none of the {len(missing)} logs of the scene filter is here (the first is {wanted[0]})"
                if wanted
                else "the scene filter names no log",
                where=self._log_folder,
                fix="Check that split and scene filter belong together",
            )
        if missing and self._missing == "error":
            raise OpenPairError(
                f"{len(missing)} of the {len(set(wanted))} logs of the scene filter are missing, such as {missing[0]}",
                where=self._log_folder,
                fix="Download the whole split, or take a filter that names what is there",
            )
        return [found[name] for name in sorted(set(wanted)) if name in found]

    def _whole_logs(self) -> tuple[SceneKey, ...]:
        """A key for each broken log, unless the filter names the tokens that are looked for."""
        if self.scene_filter.tokens is not None and self.scene_filter.max_scenes is None:
            return ()
        return tuple(SceneKey(Path(file).stem, file, is_whole_log=True) for file in self._broken)

    def _unknown_tokens(self) -> list[str]:
        """Tokens of the filter that no log holds; raises OpenPairError unless they may fail one by one."""
        wanted = self.scene_filter.tokens
        if wanted is None or self.scene_filter.max_scenes is not None:
            return []
        unknown = [token for token in wanted if token not in self._scenes]
        if unknown and (self._missing == "error" or len(unknown) == len(wanted)):
            raise OpenPairError(
                f"{len(unknown)} of the {len(wanted)} tokens of the scene filter are not in the logs, such as "
                f"'{unknown[0]}'",
                where=self._log_folder,
                fix="Check that split and scene filter belong together, and its frame_interval and has_route",
            )
        return unknown


def is_named_filter(folders: NavsimFolders, split: str | None) -> bool:
    """True for a split that NAVSIM defines by a scene filter, unless a folder of logs has that name."""
    return split in NAMED_SPLITS and not (folders.logs / split).is_dir()


def _choose_split(logs: Path, split: str | None) -> str:
    """Name of the split; raises OpenPairError if it is missing or cannot be guessed."""
    splits = [path.name for path in visible(logs.iterdir()) if path.is_dir()]
    if split is None:
        if len(splits) == 1:
            return splits[0]
        what = f"there are several splits: {', '.join(splits)}" if splits else "there is no split folder"
        raise OpenPairError(what, where=logs, fix="Choose one with --split" if splits else "Expected <split>/*.pkl")
    if split not in splits and NAMED_SPLITS.get(split) in splits:
        return NAMED_SPLITS[split]
    if split not in splits:
        close = get_close_matches(split, splits, n=1)
        hint = f"Did you mean '{close[0]}'" if close else f"There are: {', '.join(splits) or 'none'}"
        raise OpenPairError(f"there is no split '{split}'", where=logs, fix=hint)
    return split


def _why_absent(index: LogIndex, scene_filter: SceneFilter, token: str) -> str:
    """Why a token is no scene: no frame has it, frames around it are missing, or the filter leaves it out."""
    found = np.flatnonzero(index.tokens == token.encode())
    if not len(found):
        return "no frame of the logs has this token"
    log = int(np.searchsorted(index.offset, found[0], side="right")) - 1
    before = int(found[0] - index.offset[log])
    after = int(index.offset[log + 1] - found[0]) - 1
    place = f"frame {before} of log {index.log_names[log]}"
    needed_before = scene_filter.num_history_frames - 1
    needed_after = scene_filter.fewest_frames - scene_filter.num_history_frames
    if before < needed_before or after < needed_after:
        return (
            f"{place} has {before} frames before it and {after} after it; a scene needs {needed_before} and "
            f"{needed_after}"
        )
    if scene_filter.has_route and not index.has_route[found[0]]:
        return f"{place} has no route"
    return f"{place} is left out by the filter"


def _tokens_twice(index: LogIndex) -> dict[str, list[str]]:
    """Places of every token that stands on several frames."""
    if len(set(index.tokens.tolist())) == len(index.tokens):
        return {}
    order = np.argsort(index.tokens, kind="stable")
    ordered = index.tokens[order]
    again = ordered[1:] == ordered[:-1]
    places: dict[str, list[str]] = {}
    for row in np.flatnonzero(np.append(again, False) | np.append(False, again)):
        log = int(np.searchsorted(index.offset, order[row], side="right")) - 1
        place = f"frame {int(order[row] - index.offset[log])} of log {index.log_names[log]}"
        places.setdefault(ordered[row].decode(), []).append(place)
    return places


def _select(index: LogIndex, scene_filter: SceneFilter) -> dict[str, tuple[str, int]]:
    """Token -> (log name, position of the current frame) of every scene that the filter lets through."""
    admitted = np.ones(len(index.tokens), dtype=bool)
    if scene_filter.has_route:
        admitted &= index.has_route
    if scene_filter.tokens is not None:
        wanted = {token.encode() for token in scene_filter.tokens}
        admitted &= np.fromiter((token in wanted for token in index.tokens.tolist()), bool, len(index.tokens))
    scenes: dict[str, tuple[str, int]] = {}
    for log, log_name in enumerate(index.log_names):
        start, end = int(index.offset[log]), int(index.offset[log + 1])
        first = np.arange(0, end - start - scene_filter.fewest_frames + 1, scene_filter.interval)
        current = first + scene_filter.num_history_frames - 1
        current = current[admitted[start + current]]
        for position, token in zip(current.tolist(), index.tokens[start + current].tolist(), strict=True):
            scenes[token.decode()] = (log_name, position)
            if scene_filter.max_scenes is not None and len(scenes) >= scene_filter.max_scenes:
                return scenes
    return scenes
