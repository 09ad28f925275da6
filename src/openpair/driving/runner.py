"""Many drives: by a pool, resumable, with the same result for any number of workers."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from openpair import __version__
from openpair.datasets.base import Dataset
from openpair.datatypes.columns import Protocol
from openpair.driving.driven_scenes import DrivenScenes
from openpair.driving.judge import judge
from openpair.driving.loop import AGENT_FAILED, drive
from openpair.driving.plan_scores import PreparedOnTheWay, score_plans
from openpair.driving.reactive import ReactiveRailTraffic
from openpair.driving.recording import Recording, log_names, read_recording
from openpair.driving.records import (
    DRIVES_CSV,
    DRIVES_FOLDER,
    FORMAT,
    SUMMARY_JSON,
    DriveRow,
    check_file_names,
    drive_file,
    drive_row,
    drives_csv,
    file_name,
    read_drive_file,
    row_of,
)
from openpair.driving.summary import data_hash, summarise, summary_json
from openpair.driving.traffic import ReplayedTraffic, Traffic
from openpair.errors import OpenPairError, did_you_mean
from openpair.evaluation.agents import Agent
from openpair.evaluation.chunk import one_torch_thread
from openpair.evaluation.failures import describe
from openpair.evaluation.sources import BUILT_IN_AGENTS, RECORDED, AgentContext, AgentSource, DatasetSource
from openpair.files import locked, write_atomically
from openpair.pools import OnProgress, Pool, Serial, silent
from openpair.simulation.reference import NUM_STEPS, STEP_S

TRAFFIC: dict[str, Callable[[Recording], Traffic]] = {"replay": ReplayedTraffic, "reactive": ReactiveRailTraffic}
WHAT = "drive logs"
NOT_STARTED = "not_started"
"""End of a drive in a log that cannot be read."""

NOT_JUDGED = "not_judged"
"""End of a drive that could not be simulated or judged: a fault of ours, and no score."""

ROAD_READERS = (*BUILT_IN_AGENTS, RECORDED)
"""Agents that look at no sensors."""


@dataclass(frozen=True)
class DriveTask:
    """Everything a process needs to drive logs; travels to workers by pickling.

    Attributes:
        dataset, agents: who drives where.
        traffic: "replay" or "reactive".
        replan_s: time from one plan to the next [s].
        protocol: which PDM score the plans get.
        seed: of agents that draw at random, and of intervals.
    """

    dataset: DatasetSource
    agents: tuple[AgentSource, ...]
    traffic: str = "replay"
    replan_s: float = 0.5
    protocol: Protocol = Protocol.V1_1
    seed: int = 0

    @property
    def replan_steps(self) -> int:
        return round(self.replan_s / STEP_S)


@dataclass(frozen=True)
class Driven:
    """Finished drives.

    Attributes:
        rows: by log, then by agent.
        summary: what summary.json holds.
    """

    rows: list[DriveRow]
    summary: dict[str, Any]

    @property
    def failed(self) -> list[DriveRow]:
        return [row for row in self.rows if row.failed]


def run_drives(
    task: DriveTask,
    out_dir: Path,
    *,
    max_drives: int | None = None,
    only: Sequence[str] = (),
    pool: Pool | None = None,
    config: dict[str, Any] | None = None,
    on_progress: OnProgress = silent,
) -> Driven:
    """Let every agent drive every log; write drives.csv, summary.json and one file for each drive.

    What an earlier, interrupted run of the same drives finished is taken up.

    Args:
        task: what to drive.
        out_dir: folder of the results.
        max_drives: so many logs alone, spread evenly over the dataset.
        only: names of the logs to drive; all where it is empty.
        pool: who works; this process by default.
        config: further settings to record.
        on_progress: told after every log.

    Raises OpenPairError for input that makes all drives impossible. A drive that fails is a row with its reason.
    """
    started = time.perf_counter()
    check_task(task)
    dataset = task.dataset.open()
    check_agents(task.agents, dataset)
    logs = logs_to_drive(named_logs(log_names(dataset), only), max_drives)
    names = [source.name for source in task.agents]
    check_file_names(logs, names)
    hashes = {source.name: source.sha256() for source in task.agents}
    data = data_hash(dataset.fingerprint(), logs)
    fingerprint = _fingerprint(task, data, hashes)
    folder = out_dir / DRIVES_FOLDER
    with locked(out_dir), locked(folder):
        finished = finished_rows(folder, fingerprint)
        todo = {i: log for i, log in enumerate(logs) if any((log, name) not in finished for name in names)}
        done = len(logs) - len(todo)
        on_progress(WHAT, done, len(logs))
        for _, files in (pool or Serial())(partial(open_driver, task, fingerprint), todo):
            for name, text in files.items():
                write_atomically(folder / name, text)
                row = row_of(json.loads(text))
                finished[(row.log, row.agent)] = row
            done += 1
            on_progress(WHAT, done, len(logs))
        rows = [finished[(log, name)] for log in logs for name in names]
        summary = summarise(
            rows,
            task.agents,
            config={**_settings(task), **(config or {})},
            seed=task.seed,
            data_sha256=data,
            hashes=hashes,
            run={"seconds": round(time.perf_counter() - started, 3), "resumed_logs": len(logs) - len(todo)},
        )
        write_atomically(out_dir / DRIVES_CSV, drives_csv(rows))
        write_atomically(out_dir / SUMMARY_JSON, summary_json(summary))
    return Driven(rows, summary)


def check_task(task: DriveTask) -> None:
    """Raises OpenPairError for settings that nobody can drive by."""
    if task.traffic not in TRAFFIC:
        raise OpenPairError(
            f"there is no traffic '{task.traffic}'", where="--traffic", fix=f"Use {' or '.join(TRAFFIC)}"
        )
    if not 1 <= task.replan_steps < NUM_STEPS or abs(task.replan_s - task.replan_steps * STEP_S) > 1e-9:
        raise OpenPairError(
            f"a plan cannot be renewed every {task.replan_s:g} s",
            where="--replan",
            fix="Give a multiple of 0.1 s, from 0.1 to 4",
        )


def check_agents(agents: Sequence[AgentSource], dataset: Dataset) -> None:
    """Raises OpenPairError for an agent that cannot drive in this dataset, with the reason."""
    for agent in agents:
        if agent.plans_path() is not None:
            raise OpenPairError(
                "a file of plans knows recorded scenes alone, and a driven ego is soon in others",
                where=agent.name,
                fix="Drive with the agent that made the plans",
            )
        if not dataset.ray_cast and agent.kind not in ROAD_READERS and agent.ready is None:
            raise OpenPairError(
                f"it may look at sensors, and the recorded sensors of {dataset.name} cannot follow a car that leaves "
                "the recorded path",
                where=agent.name,
                fix=f"Drive in the world, or drive {', '.join(ROAD_READERS)} here",
            )


def logs_to_drive(logs: Sequence[str], max_drives: int | None) -> list[str]:
    """All logs, or some, spread evenly. Raises OpenPairError where none is left."""
    if max_drives is not None and max_drives < 1:
        raise OpenPairError(f"{max_drives} logs cannot be driven", where="--max-drives", fix="Give 1 or more")
    if not logs:
        raise OpenPairError(
            "no log holds a whole scene, so there is nothing to drive",
            where="--dataset",
            fix="Check --root and --split, or choose longer logs",
        )
    if max_drives is None or max_drives >= len(logs):
        return list(logs)
    return [logs[i] for i in np.linspace(0, len(logs) - 1, max_drives).round().astype(int)]


def named_logs(logs: Sequence[str], only: Sequence[str]) -> Sequence[str]:
    """Those that are asked for, in the order of the dataset. Raises OpenPairError for one that there is not."""
    for name in only:
        if name not in logs:
            fix = f"{did_you_mean(name, logs)}There are {len(logs)} logs"
            raise OpenPairError(f"there is no log '{name}'", where="--log", fix=fix)
    return [log for log in logs if not only or log in only]


def finished_rows(folder: Path, fingerprint: str) -> dict[tuple[str, str], DriveRow]:
    """(log, agent) -> row of every drive that is finished already.

    Raises OpenPairError for a folder that holds drives of other settings, and for a file that is damaged.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        data = read_drive_file(path)
        if data["fingerprint"] != fingerprint:
            raise OpenPairError(
                "the folder holds drives of other agents, data or settings",
                where=folder,
                fix="Choose another --out, or delete the folder",
            )
        row = row_of(data)
        found[(row.log, row.agent)] = row
    return found


def open_driver(task: DriveTask, fingerprint: str) -> Callable[[str], dict[str, str]]:
    """What turns the name of a log into the files of its drives, by name."""
    dataset = task.dataset.open()
    prepare = PreparedOnTheWay(task.protocol)
    seen = DrivenScenes(dataset)
    agents = [source.build(AgentContext(seen, prepare, task.seed)) for source in task.agents]
    for agent in agents:
        if agent.uses_truth:
            raise OpenPairError(
                "it lets the true score pick its plan, which a driving car does not know",
                where=agent.name,
                fix="Drive with another mode",
            )

    def run(log_name: str) -> dict[str, str]:
        with one_torch_thread(task.agents):
            return _drive_log(task, fingerprint, dataset, agents, seen, prepare, log_name)

    return run


def _drive_log(
    task: DriveTask,
    fingerprint: str,
    dataset: Dataset,
    agents: Sequence[Agent],
    seen: DrivenScenes,
    prepare: PreparedOnTheWay,
    log_name: str,
) -> dict[str, str]:
    try:
        recording = read_recording(dataset, log_name)
    except Exception as error:  # nobody can drive this log; the others go on
        rows = [DriveRow(log_name, agent.name, error=describe(error), end=NOT_STARTED) for agent in agents]
        return {file_name(row.log, row.agent): _empty_file(row, fingerprint) for row in rows}
    files = {}
    for agent in agents:
        try:
            traffic = TRAFFIC[task.traffic](recording)
            driven = drive(recording, agent, traffic, replan_steps=task.replan_steps, seen=seen)
            plans = score_plans(driven, prepare, task.protocol)
            judgement = None if driven.end == AGENT_FAILED else judge(driven)
            row = drive_row(driven, judgement, plans)
            text = drive_file(driven, row, judgement, plans, fingerprint)
        except Exception as error:  # this drive has no score; the others go on
            text = _empty_file(DriveRow(log_name, agent.name, error=describe(error), end=NOT_JUDGED), fingerprint)
        files[file_name(log_name, agent.name)] = text
    return files


def _empty_file(row: DriveRow, fingerprint: str) -> str:
    data = {"format": FORMAT, "fingerprint": fingerprint, "row": asdict(row)}
    return json.dumps(data, separators=(",", ":")) + "\n"


def _settings(task: DriveTask) -> dict[str, Any]:
    return {
        "dataset": task.dataset.name,
        "split": task.dataset.options.get("split"),
        "traffic": task.traffic,
        "replan_s": task.replan_s,
        "protocol_of_plan_scores": task.protocol.value,
    }


def _fingerprint(task: DriveTask, data: str, hashes: dict[str, str | None]) -> str:
    """Hash of what must be equal for finished drives to be taken up. Agents built in memory are never the same."""
    once = secrets.token_hex(8) if any(source.ready is not None for source in task.agents) else ""
    agents = [[a.name, a.kind, str(a.path), a.mode, a.entry, repr(a.changes), hashes[a.name]] for a in task.agents]
    settings = [__version__, once, data, agents, _settings(task), task.seed]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()
