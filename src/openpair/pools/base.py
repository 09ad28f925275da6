"""What a pool is; the simplest one; how progress is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

OpenWorker = Callable[[], Callable[[Any], Any]]
"""Called once in each worker; gives what turns an item into its result. Travels by pickling."""

OnProgress = Callable[[str, int, int], None]
"""Told (what is being done, items done, items in all)."""


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody."""


class Pool(Protocol):
    """Computes pieces of work."""

    def __call__(
        self, open_worker: Callable[[], Callable[[Item], Result]], items: Mapping[int, Item]
    ) -> Iterator[tuple[int, Result]]:
        """(number, result) of every item, in any order, each once.

        Raises what an item, or opening a worker, raised, with the item's number as a note; :class:`WorkersDied` where
        workers are killed again and again. Closing the iterator stops the work.
        """
        ...


def name_item(error: BaseException, number: int) -> None:
    """Note on what an item raised which of them it was: tracebacks show it, messages stay as they are (Python 3.11)."""
    if hasattr(error, "add_note"):
        error.add_note(f"raised by piece of work {number}")


class WorkersDied(RuntimeError):
    """Workers were killed again and again. What is finished is kept for the next run."""

    def __init__(self, times: int, left: int) -> None:
        super().__init__(
            f"worker processes died {times} times, {left} pieces of work are left; most often memory ran out. "
            "Run the same command with fewer --workers: it goes on from what is finished."
        )


class Serial:
    """Works in this process, in order. A worker is opened at the first item."""

    def __call__(
        self, open_worker: Callable[[], Callable[[Item], Result]], items: Mapping[int, Item]
    ) -> Iterator[tuple[int, Result]]:
        """See :class:`Pool`."""
        if not items:
            return
        work = open_worker()
        for number, item in items.items():
            try:
                result = work(item)
            except Exception as error:
                name_item(error, number)
                raise
            yield number, result
