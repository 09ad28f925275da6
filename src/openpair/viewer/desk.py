"""Everything that the page can ask for: the table, scenes or drives, sensors, what networks think, charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, lru_cache
from typing import Any

from openpair.datasets.happenings import happenings_mask
from openpair.errors import OpenPairError
from openpair.viewer.book import Book
from openpair.viewer.charts import Runs, chart_data
from openpair.viewer.drive_book import DriveBook
from openpair.viewer.inside import Networks
from openpair.viewer.result_table import ResultTable
from openpair.viewer.scan import SceneScan

ANSWERS_KEPT = 128


class Desk:
    """What is open, and answers about it; those that do not change are kept.

    Args:
        table: the rows.
        runs: training runs whose curves and calibration are shown.
    """

    def __init__(self, table: ResultTable, runs: Runs = ()) -> None:
        self.book, self.runs = table, runs
        self._scene: Callable[[str, tuple[str, ...]], dict[str, Any]] = lru_cache(ANSWERS_KEPT)(table.scene)

    def start(self) -> None:
        """Begin what goes on in the background."""

    def stop(self) -> None:
        """End what goes on in the background."""

    def waited_for(self) -> AbstractContextManager[None]:
        """While an answer is made, what goes on in the background steps aside."""
        return nullcontext()

    @cached_property
    def _table(self) -> dict[str, Any]:
        return self.book.table()

    def table(self) -> dict[str, Any]:
        """The table."""
        return self._table

    def scene(self, token: str, keys: Sequence[str]) -> dict[str, Any]:
        """One row in detail, with some agents."""
        return self._scene(token, tuple(keys))

    def happenings(self) -> dict[str, Any]:
        """What is known so far of what happens in the rows."""
        return {"masks": [0] * len(self.book.tokens), "done": True, "problem": ""}

    def masks(self, tokens: Sequence[str]) -> list[int]:
        """What happens in some rows, looked at now."""
        return [0] * len(tokens)

    def charts(self) -> dict[str, Any]:
        """Curves and calibration of training runs."""
        return chart_data(self.runs)

    def sensors(self, token: str, key: str, step: int) -> dict[str, Any]:
        """Sensors of a row; of a drive those of an agent at a step of 0.1 s."""
        raise NotImplementedError

    def camera(self, token: str) -> dict[str, Any] | None:
        """The camera image of a row for a file; None without one."""
        return None

    def inside(self, token: str, key: str) -> dict[str, Any]:
        """What an agent's networks think of a row."""
        raise OpenPairError("networks are asked for scenes alone", where=self.book.thing)


class SceneDesk(Desk):
    """A desk of scenes.

    Args:
        book: results with scenes.
        runs: training runs whose curves and calibration are shown.
        scan: looks through the scenes in the background.
    """

    def __init__(self, book: Book, runs: Runs = (), scan: SceneScan | None = None) -> None:
        super().__init__(book, runs)
        self.scenes = book
        self.scan = scan or SceneScan(book)
        self._inside: Callable[[str, str], dict[str, Any]] = lru_cache(ANSWERS_KEPT)(Networks(book).look)
        self._sensors: Callable[[str], dict[str, Any]] = lru_cache(ANSWERS_KEPT)(book.sensors)

    def start(self) -> None:
        self.scan.start()

    def stop(self) -> None:
        self.scan.stop()

    def waited_for(self) -> AbstractContextManager[None]:
        return self.scan.aside()

    def happenings(self) -> dict[str, Any]:
        return self.scan.state()

    def masks(self, tokens: Sequence[str]) -> list[int]:
        return [happenings_mask(self.scenes.loaded(token)) for token in tokens]

    def sensors(self, token: str, key: str = "", step: int = 0) -> dict[str, Any]:
        return self._sensors(token)

    def camera(self, token: str) -> dict[str, Any] | None:
        return self.scenes.camera(token)

    def inside(self, token: str, key: str) -> dict[str, Any]:
        return self._inside(token, key)


class DriveDesk(Desk):
    """A desk of drives.

    Args:
        book: folders of drives.
    """

    def __init__(self, book: DriveBook) -> None:
        super().__init__(book)
        self._camera: Callable[[str, str, int], dict[str, Any]] = lru_cache(ANSWERS_KEPT)(book.camera)

    def sensors(self, token: str, key: str, step: int) -> dict[str, Any]:
        return {"camera": self._camera(token, key, step)}
