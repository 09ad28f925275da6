"""What the workers of the pools' tests do: importable in fresh processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from openpair.errors import OpenPairError


def square(item: int) -> int:
    return item * item


def open_squares() -> Callable[[int], int]:
    return square


def open_names() -> Callable[[int], int]:
    """Every item is answered with the number of its process, which is opened once."""
    opened = os.getpid()
    return lambda item: opened


def refuse() -> Callable[[int], int]:
    raise OpenPairError("the folder is not there", where="x")


def fail_at_seven(item: int) -> int:
    if item == 7:
        raise ZeroDivisionError("seven")
    return item


def open_failing() -> Callable[[int], int]:
    return fail_at_seven


class KilledAt:
    """Kills its own process at an item: once, or always."""

    def __init__(self, folder: Path, item: int, *, always: bool = False) -> None:
        self.folder, self.item, self.always = folder, item, always

    def __call__(self) -> Callable[[int], int]:
        return self.work

    def work(self, item: int) -> int:
        with (self.folder / f"{item}").open("a") as begun:
            begun.write("x")
        if item == self.item and (self.always or (self.folder / f"{item}").stat().st_size == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return item


class Waiting:
    """Writes its process into a folder, then waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> Callable[[int], int]:
        return self.work

    def work(self, item: int) -> int:
        (self.folder / f"{item}.tmp").write_text(str(os.getpid()))
        (self.folder / f"{item}.tmp").rename(self.folder / f"{item}")
        time.sleep(120)
        return item
