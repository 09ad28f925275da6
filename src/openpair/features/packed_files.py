"""The compressed arrays of a feature store: scenes one after the other in files of ``packed/``, and where each lies.

``packed.npy`` has a row for each scene: number of its file, where in it the scene begins, and the size of each array
[bytes], which follow each other in the order of names. A file holds the scenes that one process built at a time, and is
named after the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from openpair.damage import reading
from openpair.files import whole_file

FOLDER: Final = "packed"
INDEX: Final = "packed.npy"
FILE, BEGIN, SIZES = 0, 1, 2
"""Columns of the index."""


def index_shape(count: int, names: Sequence[str]) -> tuple[int, int]:
    """Shape of the index of ``count`` scenes; it holds int64."""
    return count, SIZES + len(names)


class PackedFiles:
    """Compressed arrays of scenes.

    Args:
        folder: of the store.
        names: of the arrays, in the order in which they lie.
        index: what ``packed.npy`` holds; written to where it is writable.
        fix: what the user can do about damage.
    """

    def __init__(self, folder: Path, names: Sequence[str], index: NDArray[np.int64], *, fix: str) -> None:
        self._folder, self._names, self._index, self._fix = folder, tuple(names), index, fix
        self._files: dict[int, np.memmap[Any, Any]] = {}

    def write(self, scenes: Mapping[int, Sequence[bytes]]) -> None:
        """Keep row -> arrays of some scenes in a file of their own. Raises OpenPairError where it cannot be written."""
        if not scenes:
            return
        number = next(iter(scenes))
        begin = 0
        places = {}
        for row, parts in scenes.items():
            sizes = [len(part) for part in parts]
            places[row] = [number, begin, *sizes]
            begin += sum(sizes)
        with whole_file(self._path(number), size_bytes=begin) as file, file.open("wb") as stream:
            stream.writelines(part for parts in scenes.values() for part in parts)
        for row, place in places.items():
            self._index[row] = place

    def read(self, name: str, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """The bytes of an array of some scenes. Raises OpenPairError where they are not there."""
        return list(self._read(self._names.index(name), rows))

    def _read(self, column: int, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        for place in self._index[rows].tolist():
            path = self._path(place[FILE])
            with reading(path, "a file of the feature store", fix=self._fix):
                if place[FILE] not in self._files:
                    self._files[place[FILE]] = np.memmap(path, np.uint8, "r")
                file, sizes = self._files[place[FILE]], place[SIZES:]
                begin = place[BEGIN] + sum(sizes[:column])
                end = begin + sizes[column]
                if not 0 <= begin < end <= len(file):
                    raise ValueError(f"bytes {begin} to {end} of {len(file)}")
            yield file[begin:end]

    def _path(self, number: int) -> Path:
        return self._folder / FOLDER / f"{number:07}.bin"
