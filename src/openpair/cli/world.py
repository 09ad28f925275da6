"""``openpair world``: look at the embedded world, write it as NAVSIM data, build worlds of your own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from openpair.errors import OpenPairError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Info:
    """List towns, logs and scenes of a world, and what happens in them."""

    root: Path | None = None
    """Folder of a built world; left out: the one that comes with OpenPaIR."""

    check: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also compare every town with the hash in the index."""

    def run(self) -> int:
        """Print the table."""
        from rich.console import Console
        from rich.table import Table

        from openpair.datasets.world.dataset import DATA_DIR, read_index, verify_files

        root = DATA_DIR if self.root is None else self.root
        index = read_index(root)
        if self.check:
            verify_files(root)
        table = Table(title=f"World at {root}", caption=f"built with SUMO {index['sumo']}, hash {index['hash'][:16]}")
        for name in ("split", "towns", "logs", "scenes", "kB"):
            table.add_column(name, justify="left" if name == "split" else "right")
        for split in SPLITS:
            towns = [town for town in index["towns"] if town["split"] == split]
            scenes = sum(len(frames) for town in towns for frames in town["logs"].values())
            size = sum((root / f"{town['name']}.town").stat().st_size for town in towns) // 1000
            logs = sum(len(town["logs"]) for town in towns)
            table.add_row(split, str(len(towns)), str(logs), str(scenes), str(size))
        console = Console()
        console.print(table)
        for split in SPLITS:
            names = [town["name"] for town in index["towns"] if town["split"] == split]
            console.print(f"[bold]{split}[/]: {', '.join(names)}")
        if self.check:
            console.print("Every town is what the index says.")
        return 0


@dataclass(frozen=True)
class Unpack:
    """Write the world in NAVSIM's format: logs, maps and a scene filter.

    NAVSIM knows four location names, so a split becomes several folders OUT/<split>-<number> with up to four towns
    each; every one of them is a dataset of its own for --dataset navsim and for NAVSIM's own tools.
    """

    out: Path
    """Folder to write to."""

    root: Path | None = None
    """Folder of a built world; left out: the one that comes with OpenPaIR."""

    splits: tuple[Split, ...] = SPLITS
    """Which splits."""

    def run(self) -> int:
        """Write, say where."""
        from openpair.datasets.world.unpack import unpack_world
        from openpair.progress import ProgressView

        with ProgressView() as view:
            parts = unpack_world(self.out, root=self.root, splits=self.splits, on_progress=view.update)
        for part in parts:
            towns = ", ".join(f"{town} as {location}" for town, location in part.location.items())
            print(f"{self.out / part.folder}: {towns}")
        return 0


@dataclass(frozen=True)
class Build:
    """Simulate towns with Eclipse SUMO. The same seed gives the same bytes; needs pip install 'openpair[world]'.

    The same command resumes an interrupted build.
    """

    out: Path
    """Folder for the towns and their index."""

    seed: int = 20
    """Another seed gives other towns; 20 is the world that comes with OpenPaIR."""

    long: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Build the towns of the long routes (split long: 60 s to drive, turns, lights) instead."""

    towns: tuple[str, ...] = ()
    """Build only these towns."""

    workers: int = 0
    """Processes; 0 means one per CPU core. Never changes a result."""

    def run(self) -> int:
        """Build, print the hash."""
        import os

        from openpair.progress import ProgressView
        from openpair.worldgen.build import build_world
        from openpair.worldgen.catalogue import default_recipes, long_recipes

        recipes = long_recipes(self.seed) if self.long else default_recipes(self.seed)
        unknown = sorted(set(self.towns) - {recipe.name for recipe in recipes})
        if unknown:
            names = ", ".join(recipe.name for recipe in recipes)
            raise OpenPairError(f"there is no town '{unknown[0]}'", fix=f"The towns are {names}")
        recipes = [recipe for recipe in recipes if not self.towns or recipe.name in self.towns]
        with ProgressView() as view:
            index = build_world(recipes, self.out, workers=self.workers or os.cpu_count() or 1, on_progress=view.update)
        scenes = sum(len(frames) for town in index["towns"] for frames in town["logs"].values())
        print(f"{self.out}: {len(recipes)} towns, {scenes} scenes, hash {index['hash']}")
        return 0


@dataclass(frozen=True)
class Materialise:
    """Write cameras and LiDAR as files (1080p JPEG, PCD) beside the unpacked logs, about 1 MB a frame.

    OpenPaIR itself ray-casts them when a scene is loaded and needs no files; NAVSIM's own tools do.
    """

    out: Path
    """The folder that was given to 'openpair world unpack'."""

    root: Path | None = None
    """Folder of a built world; left out: the one that comes with OpenPaIR."""

    split: Split = "test"
    """Which split."""

    history: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also the three frames before each scene's current one."""

    max_scenes: int | None = None
    """Only this many scenes, spread evenly over the split, each with its preceding scene: NAVSIM's v2.2 scripts need
    such pairs for two-frame extended comfort, and fail without any."""

    def run(self) -> int:
        """Render and write."""
        from openpair.datasets.world.materialise import materialise_world
        from openpair.progress import ProgressView

        with ProgressView() as view:
            written = materialise_world(
                self.out, self.split, root=self.root, history=self.history, max_scenes=self.max_scenes,
                on_progress=view.update,
            )  # fmt: skip
        print(f"{self.out}: {written} frames written")
        return 0
