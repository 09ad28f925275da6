"""Everything that the page can ask for: the table, scenes, sensors, what networks think, charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, lru_cache
from typing import Any

from openpair.viewer.book import Book
from openpair.viewer.charts import Runs, chart_data
from openpair.viewer.inside import Networks
from openpair.viewer.scan import SceneScan

ANSWERS_KEPT = 128


class Desk:
    """What is open, and answers about it; those that do not change are kept.

    Args:
        book: results with scenes.
        runs: training runs whose curves and calibration are shown.
        scan: looks through the scenes in the background.
    """

    def __init__(self, book: Book, runs: Runs = (), scan: SceneScan | None = None) -> None:
        self.book, self.runs = book, runs
        self.scan = scan or SceneScan(book)
        self._scene: Callable[[str, tuple[str, ...]], dict[str, Any]] = lru_cache(ANSWERS_KEPT)(book.scene)
        self.inside: Callable[[str, str], dict[str, Any]] = lru_cache(ANSWERS_KEPT)(Networks(book).look)
        self.sensors: Callable[[str], dict[str, Any]] = lru_cache(ANSWERS_KEPT)(book.sensors)

    def waited_for(self) -> AbstractContextManager[None]:
        """While an answer is made, the scan in the background steps aside."""
        return self.scan.aside()

    @cached_property
    def _table(self) -> dict[str, Any]:
        return self.book.table()

    def table(self) -> dict[str, Any]:
        """The table of scenes."""
        return self._table

    def scene(self, token: str, keys: Sequence[str]) -> dict[str, Any]:
        """One scene with the plans of some agents."""
        return self._scene(token, tuple(keys))

    def happenings(self) -> dict[str, Any]:
        """What is known so far of what happens in the scenes."""
        return self.scan.state()

    def charts(self) -> dict[str, Any]:
        """Curves and calibration of training runs."""
        return chart_data(self.runs)
