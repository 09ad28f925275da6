"""Results of drives: rows of drives.csv, and one compact file for each drive."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.checksums import read_sealed_json, sealed_json
from openpair.damage import reading
from openpair.datatypes.columns import BoxIndex, StateIndex
from openpair.driving.judge import Judgement
from openpair.driving.loop import Drive
from openpair.driving.plan_scores import PlanScore, mean_known
from openpair.driving.recording import START_STEP
from openpair.errors import OpenPairError
from openpair.simulation.reference import STEP_S

DRIVES_CSV, SUMMARY_JSON, DRIVES_FOLDER = "drives.csv", "summary.json", "drives"
FORMAT = 1
MAX_NAME_BYTES = 200
"""Of a drive's file: what file systems allow (255), less the ending of a file that is being written."""

TRAFFIC_STRIDE = 2
"""Steps between two moments of the traffic on file: 0.2 s."""


@dataclass(frozen=True)
class DriveRow:
    """One drive of one agent. Scores of a drive that failed are None: a failure is never a 0.

    Attributes:
        log, agent: what was driven by whom.
        driving_score ... mean_plan_score: see :class:`~openpair.driving.judge.Judgement`; mean PDM score of the plans.
        seconds: how long it drove [s].
        error: why it failed; empty where it did not.
        success ... comfort: further scores of the judgement.
        mean_extended_comfort: share of consecutive plans that agree; None without such a pair.
        plans, plans_scored: plans made, and those of them that have a PDM score.
        end: why the drive ended.
    """

    log: str
    agent: str
    driving_score: float | None = None
    route_completion: float | None = None
    at_fault_collisions: int | None = None
    off_road: int | None = None
    wrong_way: int | None = None
    red_lights: int | None = None
    nuplan_score: float | None = None
    mean_plan_score: float | None = None
    seconds: float = 0.0
    error: str = ""
    success: float | None = None
    efficiency: float | None = None
    progress: float | None = None
    time_to_collision: float | None = None
    speed_limit: float | None = None
    comfort: float | None = None
    mean_extended_comfort: float | None = None
    plans: int = 0
    plans_scored: int = 0
    end: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.error)


COLUMNS = tuple(field.name for field in fields(DriveRow))
COUNTS = ("at_fault_collisions", "off_road", "wrong_way", "red_lights", "plans", "plans_scored")
TEXTS = ("log", "agent", "error", "end")
SCORES = tuple(name for name in COLUMNS if name not in (*COUNTS[4:], *TEXTS))
"""Columns that have a mean."""


def drive_row(drive: Drive, judgement: Judgement | None, plans: list[PlanScore]) -> DriveRow:
    """The row of a drive; ``judgement`` is None where it failed."""
    place: dict[str, Any] = {"log": drive.recording.log_name, "agent": drive.agent, "seconds": round(drive.seconds, 1)}
    counts: dict[str, Any] = {
        "plans": len(plans),
        "plans_scored": sum(plan.score is not None for plan in plans),
        "end": drive.end,
    }
    if judgement is None:
        return DriveRow(**place, **counts, error=drive.error)
    names = set(COLUMNS) & {field.name for field in fields(Judgement)}
    scores = {name: getattr(judgement, name) for name in names}
    if math.isnan(judgement.efficiency):
        scores["efficiency"] = None
    return DriveRow(
        **place,
        **counts,
        **scores,
        mean_plan_score=mean_known([plan.score for plan in plans]),
        mean_extended_comfort=mean_known([plan.extended_comfort for plan in plans]),
    )


def drives_csv(rows: Iterable[DriveRow]) -> str:
    """Text of drives.csv. Numbers have all their digits; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = {**asdict(row), "error": " ".join(row.error.split())}
        writer.writerow(["" if cell is None else cell for cell in cells.values()])
    return text.getvalue()


def read_drives(path: Path) -> list[DriveRow]:
    """Rows of a drives.csv. Raises OpenPairError for a file that is not one."""
    fix = "Copy it again, or drive again"
    with reading(path, "the table of drives", fix=fix), path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise OpenPairError("this is not a drives.csv of 'openpair drive'", where=path)
        return [DriveRow(**{name: _value(name, cell) for name, cell in cells.items()}) for cells in reader]


def _value(name: str, cell: str) -> Any:
    if name in TEXTS:
        return cell
    if cell == "":
        return None
    return int(cell) if name in COUNTS else float(cell)


def check_file_names(logs: Sequence[str], agents: Sequence[str]) -> None:
    """Raises OpenPairError where two drives would have files of one name, and for names that no file can have."""
    taken: dict[str, str] = {}
    for agent in agents:
        for log in logs:
            name = file_name(log, agent)
            if name in taken:
                raise OpenPairError(
                    f"the drives of '{taken[name]}' and '{agent}' would be files of the same name, '{name}'",
                    where="--agent",
                    fix="Name them apart: --agent NAME=AGENT",
                )
            if len(name.encode()) > MAX_NAME_BYTES:
                raise OpenPairError(
                    f"the name is too long for a file: {agent[:40]} ...",
                    where="--agent",
                    fix="Give a short one: --agent NAME=AGENT",
                )
            taken[name] = agent


def file_name(log: str, agent: str) -> str:
    """Name of a drive's file: agents may be called after paths."""
    safe = "".join(c if c.isalnum() or c in "-_.@+" else "_" for c in f"{log}__{agent}")
    return f"{safe}.json"


def drive_file(
    drive: Drive, row: DriveRow, judgement: Judgement | None, plans: list[PlanScore], fingerprint: str
) -> str:
    """Text of a drive's file: what a viewer needs beside the dataset.

    ``ego``: x, y [m], heading [rad], speed [m/s], acceleration [m/s^2], steering angle [rad] every 0.1 s, global frame,
    from ``start_step`` (0.1 s since the log's first frame) on. ``plans``: step since the start, poses (8, 3) in the
    ego's frame of that moment, PDM score. ``traffic``: vehicles that answered the ego, every 0.2 s; absent where the
    recording was replayed. ``events``: step since the start, kind, what it is about.
    """
    columns = [
        StateIndex.X,
        StateIndex.Y,
        StateIndex.HEADING,
        StateIndex.VELOCITY_X,
        StateIndex.ACCELERATION_X,
        StateIndex.STEERING_ANGLE,
    ]
    score = {plan.step: plan for plan in plans}
    data: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "row": asdict(row),
        "dataset": drive.recording.dataset,
        "map": drive.recording.road_map.name,
        "traffic_mode": drive.traffic.name,
        "step_s": STEP_S,
        "start_step": START_STEP,
        "ego": _rounded(drive.states[:, columns], 4),
        "plans": [
            {
                "step": plan.step - START_STEP,
                "poses": _rounded(plan.poses, 3),
                "score": score[plan.step].score if plan.step in score else None,
                "extended_comfort": score[plan.step].extended_comfort if plan.step in score else None,
                "error": score[plan.step].error if plan.step in score else "",
            }
            for plan in drive.planned
        ],
        "events": [] if judgement is None else [asdict(event) for event in judgement.events],
        "uncomfortable": [] if judgement is None else list(judgement.uncomfortable),
    }
    if drive.traffic.answers_ego:
        data["traffic"] = _traffic(drive)
    return sealed_json(data, end="\n", separators=(",", ":"), allow_nan=False).decode()


def _traffic(drive: Drive) -> list[dict[str, Any]]:
    frames = []
    standing = len(drive.recording.roadside)
    for step in range(START_STEP, drive.last_step + 1, TRAFFIC_STRIDE):
        agents = drive.traffic.agents(step)
        count = len(agents) - standing
        frames.append(
            {
                "step": step - START_STEP,
                "tracks": list(agents.track_tokens[:count]),
                "category": agents.category[:count].tolist(),
                "box": _rounded(agents.box[:count, : BoxIndex.HEIGHT], 2),
            }
        )
    return frames


def read_drive_file(path: Path) -> dict[str, Any]:
    """The content of a drive's file. Raises OpenPairError for a file that is not one."""
    with reading(path, "the file of a drive", fix="Delete it and drive again"):
        data = read_sealed_json(path)
        if data["format"] != FORMAT:
            raise OpenPairError(f"this is format {data['format']} of a drive, not {FORMAT}", where=path)
        row_of(data)
        data["fingerprint"]
        return data


def row_of(data: dict[str, Any]) -> DriveRow:
    """The row that a drive's file holds."""
    return DriveRow(**data["row"])


def _rounded(values: NDArray[np.float64], decimals: int) -> list[Any]:
    rounded: list[Any] = np.round(values, decimals).tolist()
    return rounded
