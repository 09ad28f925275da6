"""One log in its compact stored form: integers, second differences, raw LZMA."""

from __future__ import annotations

import json
import lzma
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES = 40
"""Frames of a log, but for those of long routes."""
MAX_BLOCK_BYTES = 64 << 20
"""A block that unpacks to more is refused; the largest of the embedded world has some hundred kB."""
EGO_UNITS = (1000.0, 1000.0, 10000.0, 1000.0, 1000.0, 10000.0)
"""Ego columns x, y, heading, speed, acceleration, yaw rate: steps per m, rad, m/s, m/s^2, rad/s."""
AGENT_UNITS = (100.0, 100.0, 1000.0, 100.0)
"""Agent columns x, y, heading, speed: steps per m, rad, m/s."""
_FILTERS: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


@dataclass
class StoredAgent:
    """A moving road user of a log.

    Attributes:
        category: number of its AgentCategory.
        size_cm: length, width, height [cm].
        first: first frame in which it is seen.
        states: (F, 4) int64 x, y, heading, speed in AGENT_UNITS, town frame.
    """

    name: str
    category: int
    size_cm: tuple[int, int, int]
    first: int
    states: NDArray[np.int64]


@dataclass
class StoredLog:
    """A log of F frames at 2 Hz, town frame.

    Attributes:
        episode: which roadside objects stand around.
        start_step: 0.1 s step of the episode at which it starts.
        driver: driver class of the ego.
        route: roadblock and movement positions, alternating, a roadblock first.
        scenes: frame indices that are current frames of scenes.
        ego: (F, 6) int64 in EGO_UNITS.
        commands: (F,) driving commands.
        red: (S, F) bool by signalled path, in the order of :func:`signalled_paths`.
        agents: moving road users around.
    """

    name: str
    episode: int
    start_step: int
    driver: str
    route: list[int]
    scenes: list[int]
    ego: NDArray[np.int64]
    commands: NDArray[np.int64]
    red: NDArray[np.bool_]
    agents: list[StoredAgent] = field(default_factory=list)

    def encode(self) -> bytes:
        """Compact bytes."""
        head = {
            "name": self.name, "episode": self.episode, "start_step": self.start_step, "driver": self.driver,
            "route": self.route, "scenes": self.scenes, "commands": self.commands.tolist(), "signals": len(self.red),
            "agents": [[a.name, a.category, *a.size_cm, a.first, len(a.states)] for a in self.agents],
        }  # fmt: skip
        text = json.dumps(head, separators=(",", ":")).encode()
        columns = [_pack(self.ego, 2)]
        columns += [_pack_tracks([a.states for a in self.agents])]
        columns += [np.packbits(self.red).tobytes()]
        body = struct.pack("<4I", len(text), *map(len, columns)) + text + b"".join(columns)
        return lzma.compress(body, lzma.FORMAT_RAW, filters=_FILTERS)

    @staticmethod
    def decode(blob: bytes) -> StoredLog:
        """Inverse of :meth:`encode`."""
        body = unpacked(blob, raw=True)
        sizes = struct.unpack_from("<4I", body)
        parts, at = [], 16
        for size in sizes:
            parts.append(body[at : at + size])
            at += size
        head = json.loads(parts[0])
        frames = len(head["commands"])
        ego = _unpack(parts[1], frames, len(EGO_UNITS), 2)
        states = _unpack_tracks(parts[2], [a[6] for a in head["agents"]])
        agents = [
            StoredAgent(a[0], a[1], (a[2], a[3], a[4]), a[5], s) for a, s in zip(head["agents"], states, strict=True)
        ]
        bits = np.unpackbits(np.frombuffer(parts[3], np.uint8), count=head["signals"] * frames)
        red = bits.reshape(head["signals"], frames).astype(bool)
        return StoredLog(
            head["name"], head["episode"], head["start_step"], head["driver"], head["route"], head["scenes"],
            ego, np.array(head["commands"], dtype=np.int64), red, agents,
        )  # fmt: skip


def unpacked(blob: bytes, *, raw: bool = False) -> bytes:
    """Content of an LZMA block. Raises ValueError for one that is cut off, or unpacks to more than MAX_BLOCK_BYTES."""
    unpacker = (
        lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS) if raw else lzma.LZMADecompressor(lzma.FORMAT_AUTO)
    )
    data = unpacker.decompress(blob, max_length=MAX_BLOCK_BYTES)
    if not unpacker.eof and len(data) >= MAX_BLOCK_BYTES:
        raise ValueError(f"a block of more than {MAX_BLOCK_BYTES >> 20} MB")
    if not unpacker.eof and not raw:
        raise ValueError("a block that is cut off")
    return data


def _pack(table: NDArray[np.int64], order: int) -> bytes:
    """Columns of (T, C) as ``order``-th differences, 32 bit, low bytes of all values first."""
    padded = np.concatenate([np.zeros((order, table.shape[1]), np.int64), table])
    return _planes(np.diff(padded, order, axis=0).T.ravel())


def _unpack(data: bytes, rows: int, columns: int, order: int) -> NDArray[np.int64]:
    table = _from_planes(data).reshape(columns, rows).T
    for _ in range(order):
        table = np.cumsum(table, axis=0)
    return table


def _pack_tracks(tracks: list[NDArray[np.int64]]) -> bytes:
    """Positions as second differences, heading and speed as first; column by column over all tracks."""
    columns: list[list[NDArray[np.int64]]] = [[] for _ in AGENT_UNITS]
    for states in tracks:
        for c in range(len(AGENT_UNITS)):
            order = 2 if c < 2 else 1
            columns[c].append(np.diff(np.concatenate([np.zeros(order, np.int64), states[:, c]]), order))
    flat = [values for column in columns for values in column]
    return _planes(np.concatenate(flat) if flat else np.zeros(0, np.int64))


def _unpack_tracks(data: bytes, lengths: list[int]) -> list[NDArray[np.int64]]:
    values = _from_planes(data)
    total = sum(lengths)
    tracks, at = [], 0
    for length in lengths:
        states = np.stack([values[c * total + at : c * total + at + length] for c in range(len(AGENT_UNITS))], axis=-1)
        states = np.cumsum(states, axis=0)
        states[:, :2] = np.cumsum(states[:, :2], axis=0)
        tracks.append(states)
        at += length
    return tracks


def _planes(values: NDArray[np.int64]) -> bytes:
    zigzag = np.where(values < 0, -2 * values - 1, 2 * values).astype("<u4")
    return zigzag.view(np.uint8).reshape(-1, 4).T.tobytes()


def _from_planes(data: bytes) -> NDArray[np.int64]:
    planes = np.frombuffer(data, np.uint8).reshape(4, -1).T
    zigzag = np.ascontiguousarray(planes).view("<u4").ravel().astype(np.int64)
    return np.where(zigzag & 1, -(zigzag + 1) // 2, zigzag // 2)
