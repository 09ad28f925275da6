"""Processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from openpair.pools.base import Item, OpenWorker, Result, Serial, WorkersDied, name_item
from openpair.pools.parents import end_with_parent

RESTARTS = 3


@dataclass(frozen=True)
class Processes:
    """So many processes of this machine; one alone works in this one.

    A worker that dies (killed, out of memory) costs what is not finished a new start, in fresh processes. Workers end
    with the process that started them.

    Attributes:
        workers: processes at most.
        restarts: how often workers may die before :class:`WorkersDied`.
    """

    workers: int
    restarts: int = RESTARTS

    def __call__(
        self, open_worker: Callable[[], Callable[[Item], Result]], items: Mapping[int, Item]
    ) -> Iterator[tuple[int, Result]]:
        """See :class:`~openpair.pools.base.Pool`."""
        left = dict(items)
        if min(self.workers, len(left)) <= 1:
            yield from Serial()(open_worker, left)
            return
        for attempt in range(self.restarts + 1):
            # Forked copies of a process with threads (torch, Warp) may hang; fresh processes do not.
            executor = ProcessPoolExecutor(
                min(self.workers, len(left)), get_context("spawn"), initializer=_start, initargs=(open_worker,)
            )
            try:
                numbers = {executor.submit(_work, item): number for number, item in left.items()}
                for future in as_completed(numbers):
                    number = numbers.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        raise
                    except Exception as error:
                        name_item(error, number)
                        raise
                    del left[number]
                    yield number, result
                return
            except BrokenProcessPool as error:
                if attempt == self.restarts:
                    raise WorkersDied(attempt + 1, len(left)) from error
            except BaseException:
                # Interrupted, or bad input: nobody waits for what the workers are still at.
                for process in list((executor._processes or {}).values()):
                    process.terminate()
                raise
            finally:
                executor.shutdown(wait=True, cancel_futures=True)


_open: OpenWorker | None = None
_opened: Callable[[Any], Any] | None = None


def _start(open_worker: OpenWorker) -> None:
    global _open  # noqa: PLW0603  one kind of work a process
    end_with_parent()
    _open = open_worker


def _work(item: Any) -> Any:
    """Opens the worker with the first item, so that what that raises reaches the caller."""
    global _opened  # noqa: PLW0603
    if _opened is None:
        assert _open is not None
        _opened = _open()
    return _opened(item)
