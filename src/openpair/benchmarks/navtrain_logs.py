"""Logs of navtrain's number and size, made up: for measuring what opening such a split costs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from openpair.datasets.navsim.scene_filter import SceneFilter
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import NUM_FUTURE_FRAMES, NUM_HISTORY_FRAMES
from openpair.errors import OpenPairError

NUM_LOGS: Final = 1192
NUM_TOKENS: Final = 103_288
"""Of navtrain, as NAVSIM's scene filter names them."""

USUAL_SECONDS: Final = 281
"""Length of a log whose name does not say it: navtrain's mean."""

LENGTH_STEP: Final = 200
"""Frames; logs of about the same length are made from the same frames."""

SPAN_OF_NAME: Final = re.compile(r"_(\d+)_(\d+)$")
PLACEHOLDER: Final = re.compile(rb"feedface([0-9a-f]{8})")
"""Token of a frame of the model log; its number follows."""


def made_up_filter() -> SceneFilter:
    """A scene filter of navtrain's size, for those who have not got NAVSIM's file."""
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, 2**63, NUM_TOKENS, np.uint64)
    names = tuple(f"2021.01.01.00.00.00_veh-00_{i:05d}_{i + USUAL_SECONDS:05d}" for i in range(NUM_LOGS))
    return SceneFilter(frame_interval=1, log_names=names, tokens=tuple(f"{int(token):016x}" for token in tokens))


def frames_of_log(name: str) -> int:
    """Frames at 2 Hz of a log whose name ends in its first and last second."""
    span = SPAN_OF_NAME.search(name)
    seconds = USUAL_SECONDS if span is None else int(span[2]) - int(span[1])
    return max(2 * seconds, NUM_HISTORY_FRAMES + NUM_FUTURE_FRAMES)


def write_logs(folder: Path, scene_filter: SceneFilter, objects: int) -> Iterator[int]:
    """Write every log of a filter, with its tokens spread evenly over the logs, and let go of the pages.

    Args:
        folder: of the split.
        scene_filter: names logs and tokens.
        objects: road users of a frame.

    Yields the bytes of each log.

    Raises:
        OpenPairError: the filter names no logs or no tokens, or more tokens than the logs have room for.
    """
    names, tokens = scene_filter.log_names, scene_filter.tokens
    if not names or not tokens:
        raise OpenPairError("the scene filter does not name both logs and tokens", where="--tokens")
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: tokens[i :: len(names)] for i, name in enumerate(names)}
    model, length = b"", 0
    for name in sorted(names, key=frames_of_log):
        wanted = -(-max(frames_of_log(name), len(own[name]) + scene_filter.num_frames) // LENGTH_STEP) * LENGTH_STEP
        if wanted != length:
            model, length = model_log(wanted, objects), wanted
        content = with_tokens(model, tokens_of_frames(name, length, own[name], scene_filter))
        write_uncached(folder / f"{name}.pkl", content)
        yield len(content)


def model_log(frames: int, objects: int) -> bytes:
    """A log pickle of so many frames, whose tokens are placeholders, from a scene of the embedded world."""
    from openpair.datasets.navsim.log_writer import dumps_for_numpy_1, log_rows
    from openpair.datasets.world.dataset import WorldDataset

    world = WorldDataset("test", max_scenes=1)
    recorded = world.load_scene(world.keys()[0].token).frames
    made = [
        replace(
            recorded[i % len(recorded)],
            token=f"feedface{i:08x}",
            agents=with_count(recorded[i % len(recorded)].agents, objects),
            ego=replace(recorded[i % len(recorded)].ego, timestamp_us=500_000 * i),
        )
        for i in range(frames)
    ]
    return dumps_for_numpy_1(log_rows("generated", made, map_location="us-ma-boston"))


def with_count(agents: Agents, count: int) -> Agents:
    """So many road users: the first ones, or copies under names of their own."""
    if not len(agents):
        return agents
    rows = np.arange(count) % len(agents)
    return Agents(
        track_tokens=tuple(f"{row:016x}" for row in range(count)),
        category=agents.category[rows],
        box=agents.box[rows],
        velocity=agents.velocity[rows],
        center_z=agents.center_z[rows],
    )


def tokens_of_frames(name: str, frames: int, wanted: Sequence[str], scene_filter: SceneFilter) -> list[bytes]:
    """A token for each frame of a log; those that are wanted stand where a whole scene is around them."""
    draw = np.random.default_rng(list(name.encode()))
    tokens = [f"{int(token):016x}".encode() for token in draw.integers(0, 2**63, frames, np.uint64)]
    first, last = scene_filter.num_history_frames - 1, frames - 1 - scene_filter.num_future_frames
    for position, token in zip(np.linspace(first, last, len(wanted)).astype(int), wanted, strict=True):
        tokens[position] = token.encode()
    return tokens


def with_tokens(model: bytes, tokens: list[bytes]) -> bytes:
    """The model log with these tokens in place of the placeholders."""
    return PLACEHOLDER.sub(lambda match: tokens[int(match[1], 16)], model)


def write_uncached(path: Path, content: bytes) -> None:
    """Write a file and, where the system can, let it leave memory, so that the next read is from disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        if hasattr(os, "posix_fadvise"):
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
