"""Which scenes of the logs are meant: NAVSIM's scene filters and plain lists of tokens."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from openpair.damage import reading
from openpair.datatypes.columns import NUM_FUTURE_FRAMES, NUM_HISTORY_FRAMES
from openpair.errors import OpenPairError


@dataclass(frozen=True)
class SceneFilter:
    """Cuts scenes out of logs as NAVSIM does.

    Windows of ``num_history_frames + num_future_frames`` frames start at every ``frame_interval``-th frame of a log;
    a scene's token is that of the window's last history frame.

    Attributes:
        num_history_frames: frames up to and including the current one.
        num_future_frames: frames after it.
        fewest_future_frames: so few are enough where the log ends; None = all of them. No entry of NAVSIM's files.
        frame_interval: frames between the starts of two windows; None = windows do not overlap.
        has_route: leave out scenes whose current frame has no route.
        max_scenes: stop after this many.
        log_names: only these logs; None = all.
        tokens: only these scenes; None = all.
        include_synthetic_scenes: the set has second-stage scenes, too.
        synthetic_scene_tokens: only these second-stage scenes; None = all.
        all_mapping: (original tokens) -> pairs of second-stage tokens of the two stages' groups, where given.
    """

    num_history_frames: int = NUM_HISTORY_FRAMES
    num_future_frames: int = NUM_FUTURE_FRAMES
    frame_interval: int | None = None
    has_route: bool = True
    max_scenes: int | None = None
    log_names: tuple[str, ...] | None = None
    tokens: tuple[str, ...] | None = None
    include_synthetic_scenes: bool = False
    synthetic_scene_tokens: tuple[str, ...] | None = None
    all_mapping: Any = None
    fewest_future_frames: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("num_history_frames", 1), ("num_future_frames", 0)):
            if getattr(self, name) < least:
                raise OpenPairError(f"a scene filter with {name} = {getattr(self, name)}", fix=f"Use {least} or more")
        for name in ("frame_interval", "max_scenes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OpenPairError(f"a scene filter with {name} = {value}", fix="Use 1 or more, or null")

    @property
    def num_frames(self) -> int:
        """Frames of a scene."""
        return self.num_history_frames + self.num_future_frames

    @property
    def fewest_frames(self) -> int:
        """Frames of a scene at the end of its log."""
        fewest = self.num_future_frames if self.fewest_future_frames is None else self.fewest_future_frames
        return self.num_history_frames + fewest

    @property
    def interval(self) -> int:
        """Frames between the starts of two windows."""
        return self.num_frames if self.frame_interval is None else self.frame_interval

    @staticmethod
    def of_tokens(tokens: Iterable[str]) -> SceneFilter:
        """The scenes of a list of tokens, wherever in a log they are.

        How many future frames are enough depends on what they are for: none for planning, 8 for v2.2, 10 for v1.1.
        """
        return SceneFilter(frame_interval=1, tokens=tuple(tokens), fewest_future_frames=0)


def read_scene_filter(path: Path) -> SceneFilter:
    """A scene filter from a file.

    Args:
        path: NAVSIM's ``.yaml``; or a list of tokens: ``.csv`` with a column ``token``, or ``.txt`` with one a line.

    Raises:
        OpenPairError: the file is missing, of another kind, or holds something else.
    """
    with reading(path, "the scene filter", fix=_LISTS):
        text = path.read_text(encoding="utf-8-sig")
    if path.suffix in (".yaml", ".yml"):
        with reading(path, "the YAML of the scene filter", fix=_LISTS):
            values = _read_flat_yaml(text, path)
        return _filter_of_mapping(values, path)
    if path.suffix == ".csv":
        with reading(path, "the list of scenes", fix=_LISTS):
            rows = list(csv.DictReader(text.splitlines()))
        if not rows or "token" not in rows[0]:
            raise OpenPairError("the list of scenes has no column 'token'", where=path)
        short = [number for number, row in enumerate(rows, start=2) if not (row["token"] or "").strip()]
        if short:
            raise OpenPairError(f"line {short[0]} of the list of scenes has no token", where=path)
        return SceneFilter.of_tokens(dict.fromkeys(row["token"].strip() for row in rows))
    if path.suffix == ".txt":
        return SceneFilter.of_tokens(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    raise OpenPairError("a list of scenes of unknown kind", where=path, fix="Use .yaml, .csv or .txt")


_KNOWN_KEYS: Final = frozenset(SceneFilter.__dataclass_fields__) - {"fewest_future_frames"}
_TEXT_LISTS: Final = ("log_names", "tokens", "synthetic_scene_tokens")
_UNUSED_KEYS: Final = frozenset(
    {"_target_", "_convert_", "reactive_synthetic_initial_tokens", "non_reactive_synthetic_initial_tokens"}
)
_LIST_HEAD: Final = re.compile(r"['\"]?(\w+)['\"]?:\s*")
_PLAIN_ITEM: Final = re.compile(r"\s*-\s+(?:'([^'\\]*)'|\"([^\"\\]*)\"|([\w.\-]+))\s*")


_LISTS: Final = "Give NAVSIM's scene filter (.yaml), or tokens as .csv with a column 'token' or as .txt, one a line"
_FLAGS: Final = ("has_route", "include_synthetic_scenes")
_FLAG_VALUES: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NULLS: Final = ("", "null", "~")


def _filter_of_mapping(values: dict[str, Any], path: Path) -> SceneFilter:
    unknown = sorted(values.keys() - _KNOWN_KEYS - _UNUSED_KEYS)
    if unknown or not values.keys() & _KNOWN_KEYS:
        raise OpenPairError(
            f"not a NAVSIM scene filter (unknown entries: {', '.join(unknown) or 'none, but no known one either'})",
            where=path,
        )
    return SceneFilter(**{key: _value_of(key, value, path) for key, value in values.items() if key in _KNOWN_KEYS})


def _value_of(key: str, value: Any, path: Path) -> Any:
    """What an entry means; YAML's scalars come as text, so that a token of digits stays one."""
    if isinstance(value, str) and value.lower() in _NULLS:
        return None
    if key in _TEXT_LISTS:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif key in _FLAGS:
        if isinstance(value, str) and value.lower() in _FLAG_VALUES:
            return _FLAG_VALUES[value.lower()]
    elif key.startswith(("num_", "max_", "frame_")):
        if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,9}", value):
            return int(value)
    else:
        return value
    shown = f"'{value[:80]}'" if isinstance(value, str) else f"a {type(value).__name__}"
    raise OpenPairError(f"the entry '{key}' of the scene filter is {shown}, which it cannot be", where=path)


def _read_flat_yaml(text: str, path: Path) -> dict[str, Any]:
    """A YAML mapping whose long lists hold plain text.

    YAML readers take seconds for the hundred thousand tokens of navtrain, so top-level entries that are lists of plain
    items are split by lines; all other entries go through the YAML reader.
    """
    values: dict[str, Any] = {}
    rest: list[str] = []
    for block in re.split(r"(?m)^(?=[^\s#\-])", text):
        head, _, body = block.partition("\n")
        key = _LIST_HEAD.fullmatch(head)
        items = _plain_items(body) if key else None
        if key is None or items is None:
            rest.append(block)
        else:
            values[key[1]] = items
    others = yaml_as_text("".join(rest))
    if not isinstance(others, dict | None) or not all(isinstance(key, str) for key in others or ()):
        raise OpenPairError("not a NAVSIM scene filter", where=path)
    return {**(others or {}), **values}


def yaml_as_text(text: str) -> Any:
    """A YAML document whose scalars are all text: a token like 0123 or 12e5 is no number. Raises yaml.YAMLError."""
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    content = yaml.load(text, Loader=loader)
    return None if content == "" else content


def _plain_items(body: str) -> list[str] | None:
    """Items of a YAML list of plain text, one a line; None for anything else."""
    items = []
    for line in body.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _PLAIN_ITEM.fullmatch(line)
        if match is None:
            return None
        items.append(next(group for group in match.groups() if group is not None))
    return items or None
