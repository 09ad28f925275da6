"""``openpair bench sensors``: time ray casting and feature extraction on one core."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from openpair.errors import OpenPairError

IMAGE_SIZES = ((480, 270), (1920, 1080))
"""(width, height) [px] of three separate images."""


@dataclass(frozen=True)
class BenchSensors:
    """Time cameras, LiDAR, features and targets over a few scenes, in milliseconds of processor time on one core.

    Example: openpair bench sensors --json
    """

    dataset: str = "world"
    """Where the scenes come from; all are ray-cast."""

    root: Path | None = None
    """Folder of the dataset; may be left out for the world that comes with OpenPaIR."""

    scenes: int = 8
    """Scenes, spread evenly over the dataset."""

    repeats: int = 5
    """Times each is measured; the fastest counts."""

    json: bool = field(default=False)
    """Print one JSON object instead of a table."""

    def run(self) -> int:
        """Measure, print."""
        if self.scenes < 1 or self.repeats < 1:
            raise OpenPairError("scenes and repeats must be positive", where="openpair bench sensors")
        figures = measure(self.dataset, self.root, self.scenes, self.repeats)
        if self.json:
            print(json.dumps(figures, indent=1))
        else:
            print_table(figures)
        return 0


def measure(dataset: str, root: Path | None, num_scenes: int, repeats: int) -> dict[str, Any]:
    """Median over scenes of the fastest of ``repeats`` runs, by what was measured [ms of processor time]."""
    from openpair import __version__
    from openpair.datasets.registry import open_dataset
    from openpair.features import FeatureConfig
    from openpair.features.build import encode_features, encode_targets
    from openpair.sensors import RENDERER_VERSION
    from openpair.sensors.render import Renderer, render_front_view, render_scene

    source = open_dataset(dataset, root)
    keys = source.keys()
    if not keys:
        raise OpenPairError("the dataset holds no scenes", where=root)
    picked = [keys[i].token for i in np.linspace(0, len(keys) - 1, min(num_scenes, len(keys))).astype(int)]
    scenes = [source.load_scene(token) for token in picked]
    renderer = Renderer()
    rows: dict[str, list[float]] = {}
    published, demo = FeatureConfig.published(), FeatureConfig.demo()
    render_front_view(scenes[0], size=(8, 8), renderer=Renderer())  # compiles the kernels, once per machine
    first = []
    for scene in scenes:
        start = time.process_time()
        render_front_view(scene, size=demo.camera_size, renderer=renderer)
        first.append(1e3 * (time.process_time() - start))

        def add(name: str, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
            best, result = fastest(partial(work, *args, **options), repeats)
            rows.setdefault(name, []).append(best)
            return result

        add("lidar 64 x 1024", renderer.lidar, renderer.primitives(scene))
        small = add("front view 256 x 64 + lidar", render_front_view, scene, size=demo.camera_size, renderer=renderer)
        large = small
        for size in IMAGE_SIZES:
            name = f"3 cameras {size[0]} x {size[1]} + lidar"
            large = add(name, render_scene, scene, size=size, renderer=renderer)
        for name, sensors, config in (("demo", small, demo), ("published", large, published)):
            add(f"features {name}", encode_features, scene, sensors, config)
            add(f"targets {name}", encode_targets, scene, config)
    return {
        "dataset": dataset,
        "scenes": len(scenes),
        "repeats": repeats,
        "median_ms": {name: round(float(np.median(values)), 3) for name, values in rows.items()},
        "max_ms": {name: round(max(values), 3) for name, values in rows.items()},
        "first_frame_of_a_town_max_ms": round(max(first), 1),
        "openpair": __version__,
        "renderer_version": RENDERER_VERSION,
        "machine": platform.processor() or platform.machine(),
    }


def fastest(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Least processor time of some runs [ms], and what the last one returned."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        best = min(best, 1e3 * (time.process_time() - start))
    return best, result


def print_table(figures: dict[str, Any]) -> None:
    """The figures as a table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{figures['scenes']} scenes of {figures['dataset']}, one core, ms of processor time")
    table.add_column("what")
    table.add_column("median", justify="right")
    table.add_column("slowest scene", justify="right")
    for name, value in figures["median_ms"].items():
        table.add_row(name, f"{value:.2f}", f"{figures['max_ms'][name]:.2f}")
    table.add_row("first frame in a new place", "", f"{figures['first_frame_of_a_town_max_ms']:.0f}")
    Console().print(table)
