"""``openpair bench navtrain``: what opening a split of navtrain's size costs, the first time and afterwards."""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from openpair.benchmarks.table import machine
from openpair.errors import OpenPairError

SPLIT = "trainval"
MAX_BYTES_A_FRAME = 40_000
RUSAGE_UNITS_IN_MB = 1e6 if sys.platform == "darwin" else 1e3


@dataclass
class BenchNavtrain:
    """Measure how long a split of navtrain's size takes to open, and how much memory.

    Logs of navtrain's number, names, tokens and lengths are made up in a temporary folder (some 10 GB) and deleted in
    the end. Each opening is a fresh process that reads the scene filter, indexes the logs or reads the index, and lists
    the scenes; its time counts from its first import. Logs leave memory when they are written, so that the first
    opening reads them from disk.

    Example: openpair bench navtrain --tokens navtrain.yaml
    """

    tokens: Path | None = None
    """NAVSIM's scene filter of navtrain (.yaml); default: made-up names and tokens, as many."""

    objects: int = 64
    """Road users of a frame."""

    folder: Path | None = None
    """Where the logs are written; default: the system's folder for temporary files."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Write the logs, open them three times, print the figures."""
        from openpair.benchmarks.navtrain_logs import frames_of_log, made_up_filter, write_logs
        from openpair.datasets.navsim.scene_filter import read_scene_filter
        from openpair.progress import ProgressView

        if self.objects < 1:
            raise OpenPairError(f"there cannot be {self.objects} road users", where="--objects", fix="Give 1 or more")
        scene_filter = made_up_filter() if self.tokens is None else read_scene_filter(self.tokens)
        names = scene_filter.log_names or ()
        needed = sum(map(frames_of_log, names)) * MAX_BYTES_A_FRAME * min(1, self.objects / 100)
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            root = Path(temporary)
            free = shutil.disk_usage(root).free
            if free < needed:
                raise OpenPairError(
                    f"{needed / 1e9:.0f} GB of disk are needed, {free / 1e9:.0f} GB are free",
                    where=root,
                    fix="Choose another --folder",
                )
            (root / "maps").mkdir()
            (root / "filter.yaml").write_text(filter_text(names, scene_filter.tokens or ()))
            sizes = []
            with ProgressView() as view:
                for size in write_logs(root / "navsim_logs" / SPLIT, scene_filter, self.objects):
                    sizes.append(size)
                    view.update("write logs", len(sizes), len(names))
            chosen = root / "filter.yaml" if self.tokens is None else self.tokens
            openings = [open_in_new_process(root, chosen) for _ in range(3)]
        first, second, third = openings
        later = min(second, third, key=lambda opening: opening["seconds"])
        figures: dict[str, str | float] = {
            "machine": machine()["processor"],
            "logs": len(names),
            "logs_gb": sum(sizes) / 1e9,
            "scenes": int(first["scenes"]),
            "first_open_s": first["seconds"],
            "first_open_cpu_s": first["cpu_s"],
            "first_open_memory_mb": first["memory_mb"],
            "later_open_s": later["seconds"],
            "later_open_memory_mb": later["memory_mb"],
        }
        print(json.dumps(figures, indent=2) if self.json else figures_text(figures))
        return 0


def filter_text(names: tuple[str, ...], tokens: tuple[str, ...]) -> str:
    """A scene filter as NAVSIM writes it."""
    lists = [
        f"{key}:\n" + "".join(f"  - '{item}'\n" for item in items)
        for key, items in (("log_names", names), ("tokens", tokens))
    ]
    return "frame_interval: 1\nhas_route: true\n" + "".join(lists)


def open_in_new_process(root: Path, scene_filter: Path) -> dict[str, float]:
    """What :func:`open_once` measures, in a fresh interpreter."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(open_once, root, scene_filter).result()


def open_once(root: Path, scene_filter: Path) -> dict[str, float]:
    """Open the split as 'openpair eval' does.

    Returns seconds; cpu_s of this process and its workers; memory_mb: the greatest this process had, plus as often as
    there may be workers what the greatest of them had; scenes.
    """
    start = time.perf_counter()
    from openpair.datasets.navsim.dataset import NavsimDataset
    from openpair.datasets.navsim.log_index import number_of_readers

    dataset = NavsimDataset(root, split=SPLIT, scene_filter=scene_filter, index_folder=root, missing="per_scene")
    scenes = len(dataset.keys())
    seconds = time.perf_counter() - start
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sizes = [path.stat().st_size for path in (root / "navsim_logs" / SPLIT).iterdir()]
    count = number_of_readers(sizes, multiprocessing.cpu_count())
    return {
        "seconds": seconds,
        "cpu_s": own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime,
        "memory_mb": peak_memory_mb() + count * workers.ru_maxrss / RUSAGE_UNITS_IN_MB,
        "scenes": scenes,
    }


def peak_memory_mb() -> float:
    """The most memory that this process has held; Linux counts that of the starting process into ``ru_maxrss``."""
    status = Path("/proc/self/status")
    if status.is_file():
        peak = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        if peak:
            return int(peak[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RUSAGE_UNITS_IN_MB


def figures_text(figures: dict[str, str | float]) -> str:
    """One figure a line."""
    width = max(map(len, figures))
    return "\n".join(
        f"{name:<{width}}  {value:.2f}" if isinstance(value, float) else f"{name:<{width}}  {value}"
        for name, value in figures.items()
    )
