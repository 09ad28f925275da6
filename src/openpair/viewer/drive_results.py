"""Opens folders of ``openpair drive``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openpair.checksums import read_sealed_json
from openpair.damage import reading
from openpair.datatypes.columns import Protocol
from openpair.driving.records import DRIVES_CSV, DRIVES_FOLDER, SUMMARY_JSON, DriveRow, file_name, read_drives
from openpair.errors import OpenPairError
from openpair.viewer.columns import AgentColumn, DataOrigin, Measure, Result
from openpair.visualization.drive_account import FORMULA, SCORE_NAME, VALUES, drive_glossary

DRIVE_MEASURE = Measure(SCORE_NAME, {value.name: value.short for value in VALUES}, FORMULA, drive_glossary())


def is_drives(path: Path) -> bool:
    """Whether a folder holds drives, finished or not."""
    return path.is_dir() and ((path / DRIVES_CSV).is_file() or (path / DRIVES_FOLDER).is_dir())


def open_drives(folder: Path) -> Result:
    """The drives of a folder: one row a log, one column an agent.

    Raises OpenPairError for a folder that is half written, and for files that are damaged or of another version.
    """
    if not (folder / DRIVES_CSV).is_file() or not (folder / SUMMARY_JSON).is_file():
        raise OpenPairError(
            "the drives are not finished: drives.csv or summary.json is missing",
            where=folder,
            fix="Run the same 'openpair drive' again: it goes on where it was interrupted",
        )
    rows = read_drives(folder / DRIVES_CSV)
    with reading(folder / SUMMARY_JSON, "the summary", fix="Drive again"):
        summary = read_sealed_json(folder / SUMMARY_JSON)
        protocol = Protocol(summary["protocol_of_plan_scores"])
        origin = DataOrigin(
            str(summary["dataset"]), summary.get("split"), summary.get("root"), summary, 1, int(summary["seed"] or 0)
        )
    logs = tuple(dict.fromkeys(row.log for row in rows))
    agents = tuple(dict.fromkeys(row.agent for row in rows))
    place = {log: i for i, log in enumerate(logs)}
    columns = tuple(_column(agent, [row for row in rows if row.agent == agent], place) for agent in agents)
    traffic = str(summary.get("traffic", "replay"))
    note = "the traffic answers the ego" if traffic == "reactive" else ""
    towns = tuple(log.rpartition("-")[0] if origin.dataset == "world" else "" for log in logs)
    name = folder.resolve().name
    return Result(name, folder, protocol, True, origin, towns, logs, columns, DRIVE_MEASURE, note)


def drive_path(folder: Path, log: str, agent: str) -> Path:
    """The file of one drive."""
    return folder / DRIVES_FOLDER / file_name(log, agent)


def _column(agent: str, rows: list[DriveRow], place: dict[str, int]) -> AgentColumn:
    values = np.full((1 + len(VALUES), len(place)), np.nan)
    for row in rows:
        cells = [row.driving_score, *(value.of(row) for value in VALUES)]
        values[:, place[row.log]] = [np.nan if cell is None or row.failed else cell for cell in cells]
    metrics = {value.name: values[1 + i] for i, value in enumerate(VALUES)}
    return AgentColumn(agent, values[0], metrics, {place[row.log]: row.error for row in rows if row.failed})
