"""What must be known of every log before any is read: tokens in order, and which frames have a route.

Reading all logs of navtrain takes a minute; the index takes a moment. It is kept beside the user's other caches and
renewed for logs whose size or date changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from openpair.damage import is_damage
from openpair.datasets.navsim.skim import skim_log
from openpair.errors import OpenPairError
from openpair.files import whole_file
from openpair.pools import OnProgress, Processes, silent

WHAT: Final = "read logs"
LOGS_PER_BATCH: Final = 4
_FORMAT = 3
_SAVED_FROM_LOGS = 32
"""Fewer logs are read in less time than it takes to explain where the index is."""
MAX_TOKEN_CHARACTERS = 100
"""NAVSIM's tokens have 16 or 17."""
_NO_TOKENS = np.zeros(0, "S1")

_MEMORY_FOR_READING = 800e6
_MEMORY_OF_A_READER = 50e6
_MEMORY_PER_FILE_BYTE = 4.0
"""[bytes] All readers together stay below the first; one takes the second and so much of the log it is at."""


@dataclass(frozen=True)
class LogIndex:
    """Frames of all logs, one after the other.

    Attributes:
        log_names: (L,) file stems, sorted.
        offset: (L+1,) int64: frames of log l are [offset[l], offset[l+1]).
        tokens: (F,) bytes, token of every frame.
        has_route: (F,) bool, True where the frame names a route.
        broken: log name -> why the file cannot be read; such logs have no frames here.
    """

    log_names: tuple[str, ...]
    offset: NDArray[np.int64]
    tokens: NDArray[np.bytes_]
    has_route: NDArray[np.bool_]
    broken: dict[str, str] = field(default_factory=dict)


def build_index(
    paths: list[Path],
    cache_folder: Path | None,
    *,
    keep_broken: bool = False,
    on_progress: OnProgress = silent,
) -> LogIndex:
    """Index of log files, read from the cache where it is up to date.

    Args:
        paths: log files, sorted.
        cache_folder: where the index is kept; None keeps none.
        keep_broken: a log that cannot be read is named in the index, with the reason, instead of raising. It is not
            kept in the cache: the next call tries it again.
        on_progress: told while logs are read; not told where all of them are known.

    Raises:
        OpenPairError: a log cannot be read, and ``keep_broken`` is not set.
    """
    kept = len(paths) >= _SAVED_FROM_LOGS and cache_folder is not None
    file = _cache_file(paths, cache_folder) if kept and cache_folder is not None else None
    known = _load(file) if file is not None else {}
    entries = {}
    for path in paths:
        if path.stem in known and known[path.stem].stamp == _stamp_or_none(path):
            entries[path.stem] = known[path.stem]
    stale = [path for path in paths if path.stem not in entries]
    if stale:
        on_progress(WHAT, 0, len(stale))
        for done, entry in enumerate(_read_entries(stale, keep_broken), start=1):
            entries[entry.name] = entry
            on_progress(WHAT, done, len(stale))
    ordered = [entries[path.stem] for path in paths if not entries[path.stem].error]
    if file is not None and any(not entries[path.stem].error for path in stale):
        _save(file, ordered)
    lengths = [len(entry.tokens) for entry in ordered]
    return LogIndex(
        log_names=tuple(entry.name for entry in ordered),
        offset=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tokens=np.concatenate([entry.tokens for entry in ordered]) if ordered else _NO_TOKENS,
        has_route=np.concatenate([entry.has_route for entry in ordered]) if ordered else np.zeros(0, bool),
        broken={name: entry.error for name, entry in sorted(entries.items()) if entry.error},
    )


@dataclass(frozen=True)
class LogEntry:
    """Index of one log.

    Attributes:
        name: file stem.
        stamp: (size [bytes], date of change [ns]) of the file that was read.
        tokens: (F,) bytes.
        has_route: (F,) bool.
        error: why the file cannot be read; empty for a good one.
    """

    name: str
    stamp: tuple[int, int]
    tokens: NDArray[np.bytes_]
    has_route: NDArray[np.bool_]
    error: str = ""


def read_entry(path: Path) -> LogEntry:
    """Index of one log file. Raises OpenPairError if it is not a log."""
    rows = skim_log(path)
    tokens = [row["token"] for row in rows]
    odd = [i for i, token in enumerate(tokens) if not is_token(token)]
    if odd:
        raise OpenPairError(
            f"the token of frame {odd[0]} is not plain text of 1 to {MAX_TOKEN_CHARACTERS} characters", where=path
        )
    has_route = np.array([len(row["roadblock_ids"]) > 0 for row in rows], dtype=bool)
    return LogEntry(path.stem, _stamp(path), np.array([token.encode() for token in tokens]), has_route)


def is_token(token: object) -> bool:
    """True for text that can name a scene."""
    return isinstance(token, str) and 0 < len(token) <= MAX_TOKEN_CHARACTERS and token.isascii() and token.isprintable()


def _read_or_explain(path: Path) -> LogEntry:
    """Index of one log file, or an entry without frames that says why there is none."""
    try:
        return read_entry(path)
    except OpenPairError as error:
        return LogEntry(path.stem, (0, 0), _NO_TOKENS, np.zeros(0, bool), error=str(error))


def _read_entries(paths: list[Path], keep_broken: bool) -> Iterator[LogEntry]:
    """Entries in any order. A worker process reads alone: the others have datasets of their own."""
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    workers = 1 if parent_process() is not None else number_of_readers(sizes, os.cpu_count() or 1)
    batches = {begin: paths[begin : begin + LOGS_PER_BATCH] for begin in range(0, len(paths), LOGS_PER_BATCH)}
    for _, entries in Processes(workers)(partial(_open_reader, keep_broken), batches):
        yield from entries


def _open_reader(keep_broken: bool) -> Callable[[list[Path]], list[LogEntry]]:
    """What a worker does with batches of logs."""
    read = _read_or_explain if keep_broken else read_entry
    return lambda paths: [read(path) for path in paths]


def number_of_readers(sizes: list[int], cores: int) -> int:
    """Processes that read logs of these sizes [bytes]: one a core, as far as memory allows if all are at large logs."""
    if not sizes:
        return 1
    fitting = int(_MEMORY_FOR_READING / (_MEMORY_OF_A_READER + _MEMORY_PER_FILE_BYTE * max(sizes)))
    return max(1, min(cores, len(sizes) // 8, fitting))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise OpenPairError(f"the log cannot be read ({error.strerror})", where=path) from None
    return status.st_size, status.st_mtime_ns


def _stamp_or_none(path: Path) -> tuple[int, int] | None:
    try:
        return _stamp(path)
    except OpenPairError:
        return None  # reading it will say why


def _cache_file(paths: list[Path], folder: Path) -> Path:
    place = str(paths[0].parent.resolve()).encode()
    return folder / "navsim_index" / f"{hashlib.sha256(place).hexdigest()[:16]}.npz"


def _load(file: Path) -> dict[str, LogEntry]:
    """Entries of a kept index; none if it is absent, damaged or of another version: it can be made again."""
    try:
        with np.load(file, allow_pickle=False) as data:
            if int(data["format"]) != _FORMAT:
                return {}
            names, stamps, offset = data["names"].tolist(), data["stamps"].tolist(), data["offset"].tolist()
            tokens, has_route = data["tokens"], data["has_route"]
            return {
                name: LogEntry(name, (stamp[0], stamp[1]), tokens[a:b], has_route[a:b])
                for name, stamp, a, b in zip(names, stamps, offset[:-1], offset[1:], strict=True)
            }
    except Exception as error:
        if not is_damage(error):
            raise
        return {}


def _save(file: Path, entries: list[LogEntry]) -> None:
    """Write the index whole or not at all; a folder that cannot be written only costs time next time."""
    try:
        with whole_file(file) as part, part.open("wb") as stream:
            np.savez(
                stream,
                format=_FORMAT,
                names=np.array([entry.name for entry in entries]),
                stamps=np.array([entry.stamp for entry in entries], dtype=np.int64),
                offset=np.concatenate([[0], np.cumsum([len(entry.tokens) for entry in entries])]),
                tokens=np.concatenate([entry.tokens for entry in entries]),
                has_route=np.concatenate([entry.has_route for entry in entries]),
            )
    except OpenPairError:
        return
