"""Closed loop: the agents of the comparison drive logs of the test towns, and long routes.

Everything lies in ``RUN/drives/SPLIT/seed-<k>``, as ``openpair drive`` writes it; agents that nothing is trained for
drive once, in ``RUN/drives/SPLIT/rules``. ``openpair view RUN/drives/SPLIT/seed-<k>`` plays the drives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openpair.configs.runs import BRANCH_FILES
from openpair.driving.records import DRIVES_CSV, DriveRow, read_drives
from openpair.driving.runner import DriveTask, run_drives
from openpair.driving.summary import EVENT_COUNTS, column
from openpair.errors import OpenPairError
from openpair.evaluation.sources import DatasetSource, parse_agents
from openpair.pools import Processes
from openpair.reproduction.agents import BASE, HUMAN, MODE_OF_AGENT, RULES
from openpair.reproduction.choices import Choices
from openpair.reproduction.scoring import seed_folder
from openpair.reproduction.seed_scores import SeedScores

DRIVES = "drives"
RULES_DRIVE = (f"{HUMAN}.human", f"{RULES}.pdm_closed")

DRIVING_SCORE = "driving_score"
MEANS = (
    DRIVING_SCORE,
    "success",
    "route_completion",
    "nuplan_score",
    "mean_plan_score",
    "mean_extended_comfort",
    "comfort",
)
"""Columns of drives.csv whose mean the page shows, all in [0, 1]."""

CLOSED_LOOP = "closed loop"
"""Stands for the protocol in result rows."""


def drive_all(
    run: Path,
    seeds: Sequence[int],
    choices: Choices,
    drives: Mapping[str, int | None],
    *,
    workers: int,
    on_progress: Callable[[str, str, int, int], None],
) -> None:
    """Drive, as far as it is not done yet.

    Args:
        run: run folder with trained and chosen planners.
        seeds: whose networks drive.
        choices: the control and the sequential scheme that drive.
        drives: split -> number of logs (None: all).
        workers: processes.
        on_progress: told (where, what, done, total).
    """
    for split, number in drives.items():
        folders = {"rules": [f"{name}={name.partition('.')[2]}" for name in RULES_DRIVE]}
        folders |= {f"seed-{seed}": learned_agents(run, seed, choices) for seed in seeds}
        for folder, specs in folders.items():
            task = DriveTask(DatasetSource("world", options={"split": split}), parse_agents(specs))
            told = partial(on_progress, f"{folder} {split}")
            out = run / DRIVES / split / folder
            run_drives(task, out, max_drives=number, pool=Processes(workers), on_progress=told)


def learned_agents(run: Path, seed: int, choices: Choices) -> list[str]:
    """Specifications of the trained agents that drive: ``<base>.<agent>=RUN/seed-<k>@<mode>``."""
    folder = seed_folder(run, seed).resolve()
    specs = [f"{BASE}.{agent}={folder}@{MODE_OF_AGENT[agent]}" for agent in ("il", choices.il_rwm, "pair")]
    return [*specs, f"{BASE}.{choices.sequential}={folder / BRANCH_FILES[choices.sequential]}"]


def driven_splits(run: Path) -> tuple[str, ...]:
    """Splits in which something drove to the end, in the order that the page shows them."""
    found = {path.parent.parent.name for path in (run / DRIVES).glob(f"*/*/{DRIVES_CSV}")}
    return tuple(sorted(found, key=lambda split: (split != "test", split)))


def read_drive_scores(run: Path, split: str, seeds: Sequence[int]) -> SeedScores:
    """Drives of all seeds side by side; a log is a scene.

    Raises OpenPairError where not all drove the same logs, and for a damaged table.
    """
    columns: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    seeds_of: dict[str, list[int]] = {}
    logs: list[list[str]] = []
    for seed, path in _tables(run / DRIVES / split, seeds):
        rows: dict[str, list[DriveRow]] = {}
        for row in read_drives(path):
            rows.setdefault(row.agent, []).append(row)
        for agent, own in rows.items():
            seeds_of.setdefault(agent, []).append(seed)
            logs.append([row.log for row in own])
            for name in (*MEANS, *EVENT_COUNTS):
                values = column(own, name)
                if name in EVENT_COUNTS:  # the page shows the share of drives that have one
                    values = np.where(np.isnan(values), values, values > 0)
                columns.setdefault((agent, name), []).append(values)
    if not logs or any(own != logs[0] for own in logs):
        where = run / DRIVES / split
        raise OpenPairError("the agents did not drive the same logs", where=where, fix="Delete it and drive again")
    names = tuple(logs[0])
    return SeedScores(
        CLOSED_LOOP,
        names,
        names,
        {agent: tuple(own) for agent, own in seeds_of.items()},
        {key: np.stack(values) for key, values in columns.items()},
        (),
    )


def _tables(folder: Path, seeds: Sequence[int]) -> Iterator[tuple[int, Path]]:
    """(seed, drives.csv) of those that there are; the agents by rule first, under the first seed."""
    places = [(seeds[0], folder / "rules"), *((seed, folder / f"seed-{seed}") for seed in seeds)]
    return ((seed, place / DRIVES_CSV) for seed, place in places if (place / DRIVES_CSV).exists())
