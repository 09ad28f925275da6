"""Writes the stored world in NAVSIM's own format, so that every NAVSIM tool can read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from openpair.datasets.navsim.log_writer import write_log
from openpair.datasets.navsim.map_writer import write_maps
from openpair.datasets.navsim.maps import LOCATIONS
from openpair.datasets.world.dataset import SPLITS, WorldDataset
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.pools import OnProgress, silent

WHAT: Final = "logs"


@dataclass(frozen=True)
class Part:
    """A folder of the unpacked world: up to four towns of one split, each under one of NAVSIM's location names.

    Attributes:
        folder: path below the output folder ("train-00").
        location: town -> location name.
    """

    folder: str
    split: str
    location: dict[str, str]


def parts_of(world: WorldDataset) -> list[Part]:
    """How the towns of a split are spread over folders."""
    towns = world.town_names()
    groups = [towns[i : i + len(LOCATIONS)] for i in range(0, len(towns), len(LOCATIONS))]
    return [
        Part(f"{world.split}-{i:02d}", world.split, dict(zip(group, LOCATIONS, strict=False)))
        for i, group in enumerate(groups)
    ]


def unpack_world(
    out: Path, *, root: Path | None = None, splits: tuple[str, ...] = SPLITS, on_progress: OnProgress = silent
) -> list[Part]:
    """Write the world below ``out`` in NAVSIM's format.

    Each ``<split>-<number>`` folder is a dataset of its own: ``navsim_logs/<split>/*.pkl``, ``maps/`` and
    ``scene_filter.yaml`` with the scenes; ``hydra/`` holds the same filter and a train_test_split for NAVSIM's scripts,
    as a folder of ``hydra.searchpath``. Logs that are there already are kept, so that an interrupted run goes on.

    Args:
        out: folder to write to.
        root: folder of the world; None for the one that comes with the package.
        splits: which splits.
        on_progress: told after every log.

    Raises:
        OpenPairError: no world at ``root``, or ``out`` cannot be written to.
    """
    worlds = {split: WorldDataset(split, root) for split in splits}
    total, done = sum(len(world.log_names()) for world in worlds.values()), 0
    parts = []
    try:
        for world in worlds.values():
            for part in parts_of(world):
                parts.append(part)
                done = _write_part(out / part.folder, part, world, done, lambda n: on_progress(WHAT, n, total))
    except OSError as error:
        raise OpenPairError(f"cannot write here ({error.strerror})", where=out, fix="Choose another folder") from error
    return parts


def _write_part(folder: Path, part: Part, world: WorldDataset, done: int, tell: Callable[[int], None]) -> int:
    maps = {}
    for log_name in world.log_names():
        town = world.town_of_log(log_name)
        if town not in part.location:
            continue
        location = part.location[town]
        path = folder / "navsim_logs" / part.split / f"{log_name}.pkl"
        if location not in maps or not path.is_file():
            frames, maps[location] = world.load_log(log_name)
            if not path.is_file():
                write_log(path, frames, map_location=location, vehicle_name=town)
        done += 1
        tell(done)
    write_maps(folder / "maps", maps)
    tokens = [key.token for key in world.keys() if world.town_of_log(key.log_name) in part.location]
    write_atomically(folder / "scene_filter.yaml", _filter_yaml(tokens))
    write_split(folder, hydra_name(part), part.split, tokens)
    write_atomically(folder / "towns.json", json.dumps(part.location, indent=1) + "\n")
    return done


def write_split(folder: Path, name: str, logs: str, tokens: Sequence[str]) -> None:
    """A train_test_split for NAVSIM's scripts and the scene filter that it names, below ``folder/hydra``.

    Args:
        folder: of the part.
        name: of both, for ``train_test_split=NAME``.
        logs: folder of the logs below navsim_logs/.
        tokens: of the scenes.
    """
    hydra = folder / "hydra" / "train_test_split"
    (hydra / "scene_filter").mkdir(parents=True, exist_ok=True)
    write_atomically(hydra / f"{name}.yaml", f"defaults:\n  - scene_filter: {name}\n\ndata_split: {logs}\n")
    write_atomically(hydra / "scene_filter" / f"{name}.yaml", _filter_yaml(tokens))


def hydra_name(part: Part) -> str:
    """Name of a part's split and scene filter in Hydra's configuration; a hyphen would be read as minus there."""
    return "world_" + part.folder.replace("-", "_")


def _filter_yaml(tokens: Sequence[str]) -> str:
    """NAVSIM's scene filter for these tokens."""
    lines = [
        "_target_: navsim.common.dataclasses.SceneFilter",
        "_convert_: 'all'",
        "num_history_frames: 4",
        "num_future_frames: 10",
        "frame_interval: 1",
        "has_route: true",
        "max_scenes: null",
        "log_names: null",
        "tokens:",
    ]
    return "\n".join([*lines, *(f"  - '{token}'" for token in tokens)]) + "\n"
