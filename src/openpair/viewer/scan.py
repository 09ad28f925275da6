"""Looks through all scenes in the background for what happens in them, and remembers it on the disk."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from openpair import __version__
from openpair.datasets.environment import cache_folder
from openpair.datasets.happenings import HAPPENINGS, happenings_mask
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.viewer.book import Book

PAUSE_S = 0.02
"""Rest after each scene while the page asks for something: what a reader waits for goes first."""

MAPS_KNOWN_AFTER = 24
"""So many logs in a row that bring no new map end the search for maps."""

GOLDEN = (math.sqrt(5) - 1) / 2

UNREADABLE = (OpenPairError, OSError, ValueError, KeyError)
"""What a scene raises that cannot be loaded: opening it on the page says why."""


class SceneScan:
    """Goes through the scenes of a book once.

    Args:
        book: whose scenes.
        folder: where findings are kept between runs; None = the user's cache folder.
    """

    def __init__(self, book: Book, folder: Path | None = None) -> None:
        self._book = book
        self._folder = folder or cache_folder() / "scenes"
        self._masks: dict[str, int] = {}
        self._problem = ""
        self._stop = threading.Event()
        self._busy = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="scene scan", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End at the next scene."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While somebody waits for a scene, the scan does not begin another."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def run(self) -> None:
        """Look through all scenes that are not known yet. A dataset that cannot be opened ends it with a reason."""
        try:
            self._book.warm_up()
            self._open_maps()
            path = self._path()
            self._masks.update(_read(path))
            todo = [token for token in self._book.tokens if token not in self._masks]
            for token in todo:
                if self._pause():
                    return
                self._masks[token] = self._mask(token)
            if todo:
                write_atomically(path, json.dumps(self._masks))
        except OpenPairError as error:
            self._problem = str(error)

    def _open_maps(self) -> None:
        """Prepare a scene on each map: opening a map takes several times as long as showing a scene on it."""
        first = {log: token for token, log in zip(reversed(self._book.tokens), reversed(self._book.logs), strict=True)}
        in_turn = sorted(enumerate(first.values()), key=lambda item: item[0] * GOLDEN % 1.0)  # far apart at first
        maps: set[int] = set()
        nothing_new = 0
        for _, token in in_turn:
            if nothing_new == MAPS_KNOWN_AFTER or self._pause():
                return
            nothing_new += 1
            with suppress(*UNREADABLE):
                road_map = id(self._book.loaded(token).road_map)
                if road_map not in maps:
                    self._book.visit(token)
                    maps.add(road_map)
                    nothing_new = 0

    def _pause(self) -> bool:
        """Wait while the page asks for something. True where the scan is to end."""
        while self._busy and not self._stop.is_set():
            time.sleep(PAUSE_S)
        return self._stop.is_set()

    def _mask(self, token: str) -> int:
        """Bits of :data:`HAPPENINGS`; 0 for a scene that cannot be read, whose row in the table says why."""
        try:
            return happenings_mask(self._book.loaded(token))
        except UNREADABLE:
            return 0

    def _path(self) -> Path:
        prints = [self._book.dataset(result).fingerprint() for result in self._book.results]
        meanings = [[name, happening.meaning] for name, happening in HAPPENINGS.items()]
        text = json.dumps([__version__, meanings, sorted(set(prints))])
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"

    def state(self) -> dict[str, Any]:
        """``masks`` in the order of the book's scenes (None where not known yet), whether it is done, a problem."""
        masks = [self._masks.get(token) for token in self._book.tokens]
        done = self._thread is None or not self._thread.is_alive()
        return {"masks": masks, "done": done, "problem": self._problem}


def _read(path: Path) -> dict[str, int]:
    """What was kept; nothing where there is no such file, or it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(token): int(mask) for token, mask in data.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
