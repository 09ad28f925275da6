"""navhard: recorded scenes, and for each the second-stage scenes that go on from where a plan might have led."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openpair.damage import cause_of, reading
from openpair.datasets.base import SceneKey, data_fingerprint
from openpair.datasets.environment import NavsimFolders, mapping_file
from openpair.datasets.navsim.dataset import NAMED_SPLITS, NavsimDataset
from openpair.datasets.navsim.scene_filter import SceneFilter, yaml_as_text
from openpair.datasets.navsim.sensor_files import read_sensors
from openpair.datasets.navsim.synthetic import FOLDER, read_synthetic_scene
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Frame, Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.scoring.epdms import StageMapping

if TYPE_CHECKING:
    from openpair.datasets.choice import SceneChoice

FUTURE_FRAMES = 8
"""Frames after the current one that two-stage sets have."""

MAPPING_KEYS = ("reactive_all_mapping", "all_mapping")
"""Entry of NAVSIM's train_test_split files that says which second-stage scenes follow which."""


def read_mappings(path: Path) -> tuple[StageMapping, ...]:
    """Which second-stage scenes follow which first-stage scenes.

    Args:
        path: NAVSIM's ``train_test_split/<name>.yaml`` with ``reactive_all_mapping`` (a list of [token, token of the
            frame before, list of pairs of second-stage tokens]); or the same list alone as .yaml or .json, where an
            entry may also be {"original", "previous", "pairs"}.

    Raises:
        OpenPairError: the file is missing or something else, or a scene occurs in two places.
    """
    with reading(path, "the file", fix="Name NAVSIM's train_test_split/<name>.yaml"):
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix == ".json" else yaml_as_text(text)
    if isinstance(content, dict):
        content = next((content[key] for key in MAPPING_KEYS if content.get(key)), None)
    if not isinstance(content, list) or not content:
        raise OpenPairError(
            "the file says nothing of which second-stage scenes follow which",
            where=path,
            fix="Name NAVSIM's train_test_split/<name>.yaml that holds reactive_all_mapping, not the scene filter",
        )
    try:
        mappings = tuple(_mapping_of(entry) for entry in content)
    except (KeyError, TypeError, ValueError) as error:
        raise OpenPairError(
            f"an entry of the mapping is not in NAVSIM's format ({cause_of(error)})", where=path
        ) from None
    seen: set[str] = set()
    for mapping in mappings:
        for token in mapping.tokens:
            if token in seen:
                raise OpenPairError(f"scene '{token}' occurs twice in the mapping", where=path)
            seen.add(token)
    return mappings


class TwoStageDataset:
    """First- and second-stage scenes of a set, mapping by mapping.

    Args:
        root: NAVSIM's data folder, as for :class:`~openpair.datasets.navsim.dataset.NavsimDataset`.
        mapping: file for :func:`read_mappings`.
        split: folder of the recorded logs below navsim_logs/, or NAVSIM's name of the set ("warmup_two_stage"); None =
            the only folder there is.
        second_stage: folder of the second stage; holds synthetic_scene_pickles/ and, for agents with sensors,
            sensor_blobs/; None = the folder below the root that is named as the set, or navhard_two_stage.
        index_folder: where the index of a large split is kept; None = the user's cache folder.

    Raises:
        OpenPairError: a folder is missing, or the mapping cannot be read. A scene that is missing fails when loaded.
    """

    name = "navsim"
    ray_cast = False

    @staticmethod
    def scene_options(root: Path | str | None, choice: SceneChoice) -> dict[str, Any]:
        """Options for what a command line chooses. Raises OpenPairError where no mapping is given or known."""
        if choice.tokens is not None:
            raise OpenPairError("the mapping names the scenes", where="--tokens", fix="Leave it out")
        if choice.max_scenes is not None:
            raise OpenPairError("the mapping names the scenes", where="--max-scenes", fix="Leave it out")
        mapping = choice.mapping
        if mapping is None and choice.split in NAMED_SPLITS:
            mapping = mapping_file(str(choice.split))
        if mapping is None:
            raise OpenPairError(
                "two stages need to know which second-stage scenes follow which",
                where="--mapping",
                fix="Name NAVSIM's train_test_split/<name>.yaml that holds reactive_all_mapping",
            )
        options = {"split": choice.split, "mapping": mapping, "second_stage": choice.second_stage}
        return {name: value for name, value in options.items() if value is not None}

    def __init__(
        self,
        root: Path | str | NavsimFolders | None = None,
        *,
        mapping: Path,
        split: str | None = None,
        second_stage: Path | None = None,
        index_folder: Path | None = None,
    ) -> None:
        self.mappings = read_mappings(mapping)
        firsts = tuple(token for mapping in self.mappings for token in (mapping.now, mapping.previous))
        self._first = NavsimDataset(
            root,
            split=split,
            scene_filter=SceneFilter(num_future_frames=FUTURE_FRAMES, frame_interval=1, tokens=firsts),
            index_folder=index_folder,
            missing="per_scene",
        )
        usual = split if split in NAMED_SPLITS else FOLDER.parent
        base = self._first.folders.logs.parent / usual if second_stage is None else Path(second_stage)
        self._pickles, self._sensors = base / FOLDER.name, base / "sensor_blobs"
        if not self._pickles.is_dir():
            raise OpenPairError(
                "there is no such folder of second-stage scenes",
                where=self._pickles,
                fix="Download navhard_two_stage, or name its folder",
            )
        log_of = {key.token: key.log_name for key in self._first.keys()}
        self._is_first = frozenset(firsts)
        self._earlier: set[str] = set()
        self._keys = tuple(
            SceneKey(log_of.get(mapping.now, ""), token) for mapping in self.mappings for token in mapping.tokens
        )

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[SceneKey]:
        """All scenes, mapping by mapping."""
        return self._keys

    def fingerprint(self) -> str:
        """Names the data: both stages' files by name, size and time, and the mapping."""
        pickles = [path for token in self._second_tokens() if (path := self._path(token)).is_file()]
        first = self._first.fingerprint()
        return data_fingerprint(pickles, [first, *(key.token for key in self._keys)])

    def load_scene(self, token: str) -> Scene:
        """A scene of either stage. Raises OpenPairError for an unknown token or a broken file."""
        if token in self._is_first or token in self._earlier:
            return self._first.load_scene(token)
        path = self._path(token)
        if not path.is_file():
            raise OpenPairError(f"there is no second-stage scene '{token}'", where=self._pickles)
        return self._with_sensors(read_synthetic_scene(path, self.load_map))

    def predecessor(self, token: str) -> str | None:
        """Token of the recorded frame before a first-stage scene; None for second-stage scenes, which have no log."""
        earlier = self._first.predecessor(token) if token in self._is_first else None
        if earlier is not None:
            self._earlier.add(earlier)
        return earlier

    def load_map(self, location: str) -> RoadMap:
        """The map of a location, shared by both stages."""
        return self._first.load_map(location)

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        """Front cameras and LiDAR of the current frame as stored. Raises OpenPairError for a missing file."""
        return read_sensors(scene.current, cameras=cameras, lidar=lidar)

    def _second_tokens(self) -> list[str]:
        return [key.token for key in self._keys if key.token not in self._is_first]

    def _path(self, token: str) -> Path:
        return self._pickles / f"{token}.pkl"

    def _with_sensors(self, scene: Scene) -> Scene:
        """Sensor files of the second stage lie in its own folder."""
        return replace(scene, frames=tuple(_absolute(frame, self._sensors) for frame in scene.frames))


def _absolute(frame: Frame, folder: Path) -> Frame:
    cameras = {
        name: camera if camera.image_path is None else replace(camera, image_path=str(folder / camera.image_path))
        for name, camera in frame.cameras.items()
    }
    lidar = None if frame.lidar_path is None else str(folder / frame.lidar_path)
    return replace(frame, cameras=cameras, lidar_path=lidar)


def _mapping_of(entry: Any) -> StageMapping:
    if isinstance(entry, dict):
        entry = [entry["original"], entry["previous"], entry["pairs"]]
    now, previous, pairs = entry
    second = tuple((_token(a), _token(b)) for a, b in pairs)
    if not second:
        raise ValueError(f"'{_token(now)}' has no second-stage scenes")
    return StageMapping(_token(now), _token(previous), second)


def _token(value: Any) -> str:
    if not isinstance(value, str) or not value.isalnum():
        raise ValueError("something that is no token")
    return value
