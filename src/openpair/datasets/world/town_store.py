"""One town in one file: map, roadside objects and logs, each compressed on its own, so that a log opens alone.

Layout: magic, length of the table of contents, table of contents (JSON), then the blocks it points to.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.damage import reading
from openpair.datasets.world.log_store import StoredLog, unpacked
from openpair.datasets.world.town_map import TownMap
from openpair.errors import OpenPairError

_AGAIN = "Install the package or build the world again; 'openpair world info --check' looks at every town"
MAGIC = b"OPWORLD1"
SUFFIX = ".town"


@dataclass
class StoredTown:
    """A town as it is kept on disk.

    Attributes:
        recipe: the TownRecipe as a dictionary, with the version of SUMO that ran it.
        path: file it was read from, for messages.
        roadside: per episode (K, 7) int64 category, x, y [cm], heading [mrad], length, width, height [cm].
        logs: encoded logs by name.
    """

    name: str
    map_blob: bytes
    roadside: list[NDArray[np.int64]]
    logs: dict[str, bytes]
    recipe: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def town_map(self) -> TownMap:
        """The map. Raises OpenPairError where it is damaged."""
        with reading(self.path, "the town's map", fix=_AGAIN):
            return TownMap.decode(self.map_blob)

    def log(self, name: str) -> StoredLog:
        """A log. Raises OpenPairError where it is damaged."""
        with reading(self.path, f"the town's log {name}", fix=_AGAIN):
            return StoredLog.decode(self.logs[name])

    def to_bytes(self) -> bytes:
        """The whole file."""
        roadside = lzma.compress(json.dumps([table.tolist() for table in self.roadside]).encode(), preset=9)
        blocks = {"map": self.map_blob, "roadside": roadside, **{f"log:{n}": b for n, b in self.logs.items()}}
        toc, at = {}, 0
        for name, block in blocks.items():
            toc[name] = [at, len(block)]
            at += len(block)
        head = json.dumps({"town": self.name, "recipe": self.recipe, "blocks": toc}, separators=(",", ":")).encode()
        return MAGIC + struct.pack("<I", len(head)) + head + b"".join(blocks.values())

    @staticmethod
    def from_file(path: Path, sha256: str | None = None) -> StoredTown:
        """Read a town. Raises OpenPairError for a missing or foreign file, and for one with another hash."""
        if not path.is_file():
            raise OpenPairError("there is no such town file", where=path, fix="install the package again")
        with reading(path, "the town file", fix=_AGAIN):
            data = path.read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            raise OpenPairError("the file is not a town of the embedded world", where=path)
        if sha256 not in (None, hashlib.sha256(data).hexdigest()):
            raise OpenPairError("the town is not what the index says", where=path, fix=_AGAIN)
        with reading(path, "the town file", fix=_AGAIN):
            (length,) = struct.unpack_from("<I", data, len(MAGIC))
            start = len(MAGIC) + 4 + length
            head = json.loads(data[len(MAGIC) + 4 : start])
            blocks = {name: data[start + at : start + at + size] for name, (at, size) in head["blocks"].items()}
            roadside = [np.array(t, dtype=np.int64).reshape(-1, 7) for t in json.loads(unpacked(blocks["roadside"]))]
            logs = {name[4:]: block for name, block in blocks.items() if name.startswith("log:")}
            return StoredTown(head["town"], blocks["map"], roadside, logs, head.get("recipe", {}), path)
