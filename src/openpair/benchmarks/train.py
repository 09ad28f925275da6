"""``openpair bench train``: how fast the networks of a preset train, and what a step waits for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from openpair.benchmarks.table import machine
from openpair.errors import OpenPairError


@dataclass
class BenchTrain:
    """Measure a step of training of each network: scenes per second, and where the time goes.

    Scenes are those of the embedded world, at the preset's sizes. Reported of each network: scenes/s; seconds a step,
    and processor time of all threads; the share of a step spent on reading data and on the exact reward; on a GPU the
    share in which it is busy (the rest waits for the host); and the arithmetic of a step, as a share of what a large
    matrix product reaches on the device.

    Example: openpair bench train --preset demo --branches il rl
    """

    preset: str = "demo"
    """As for 'openpair train'."""

    device: str = "cpu"
    """cpu or cuda."""

    branches: tuple[str, ...] = ("il", "rl", "reward")
    """Networks that are measured."""

    steps: int = 5
    """Steps that are measured, after two that are not."""

    scenes: int = 0
    """Scenes to prepare; 0 takes a batch of the largest branch."""

    batch_size: int = 0
    """Scenes of a step; 0 takes the preset's."""

    threads: int = 0
    """CPU threads; 0 takes torch's choice."""

    cache: Path | None = None
    """Folder for prepared scenes; default: a temporary one."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Prepare, train, print."""
        unknown = [branch for branch in self.branches if branch not in ("il", "rl", "reward")]
        if unknown:
            raise OpenPairError(
                f"there is no network '{unknown[0]}' to measure", where="--branches", fix="Give il, rl or reward"
            )
        if self.threads < 0:
            raise OpenPairError(f"{self.threads} threads", where="--threads", fix="Give 1 or more, or 0")
        if self.steps < 1:
            raise OpenPairError(f"{self.steps} steps cannot be measured", where="--steps", fix="Give 1 or more")
        from openpair.benchmarks.train_figures import measure

        figures = measure(self)
        if self.json:
            print(json.dumps({"machine": machine(self.device), "preset": self.preset, "networks": figures}, indent=1))
        else:
            print(as_text(self.preset, figures))
        return 0


def as_text(preset: str, figures: dict[str, dict[str, Any]]) -> str:
    """The figures as a table, one network a column."""
    names = list(dict.fromkeys(name for column in figures.values() for name in column))
    lines = [f"{preset:<28}" + "".join(f"{branch:>12}" for branch in figures)]
    for name in names:
        cells = (f"{column[name]:>12.4g}" if name in column else f"{'':>12}" for column in figures.values())
        lines.append(f"{name:<28}" + "".join(cells))
    return "\n".join(lines)
