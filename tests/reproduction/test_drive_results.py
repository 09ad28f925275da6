"""Closed loop and length of training as rows of results.json, and their sections of the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openpair.driving.records import DriveRow, drives_csv
from openpair.errors import OpenPairError
from openpair.reproduction.choices import Choices
from openpair.reproduction.drives import driven_splits, read_drive_scores
from openpair.reproduction.page_drives import drives_section
from openpair.reproduction.page_rows import PageInput
from openpair.reproduction.page_training import training_panels, training_section
from openpair.reproduction.results import Evidence, find, result_rows
from openpair.reproduction.scoring import UNFILTERED, V1, V2
from openpair.reproduction.seed_scores import SeedScores
from openpair.visualization.charts import line_chart

LOGS = ("a", "b", "c", "d")
CHOICES = Choices(il_rwm="il_rwm_wide", sequential="iterative")
DRIVE = DriveRow(
    log="",
    agent="",
    route_completion=1.0,
    at_fault_collisions=0,
    off_road=0,
    wrong_way=0,
    red_lights=0,
    nuplan_score=0.8,
    mean_plan_score=0.9,
    success=1.0,
    comfort=1.0,
)


def write_drives(run: Path, folder: str, scores: dict[str, list[float | None]], logs: tuple[str, ...] = LOGS) -> None:
    """A drives.csv: driving scores of agents by log; None for a drive that failed. Below 0.5: a collision."""
    rows = []
    for agent, own in scores.items():
        for log, score in zip(logs, own, strict=True):
            if score is None:
                rows.append(DriveRow(log, agent, error="broken", end="agent failed"))
                continue
            hit = 2 if score < 0.5 else 0
            rows.append(replace(DRIVE, log=log, agent=agent, driving_score=score, at_fault_collisions=hit))
    path = run / "drives" / "test" / folder / "drives.csv"
    path.parent.mkdir(parents=True)
    path.write_text(drives_csv(rows))


def pdm_scores(values: dict[str, list[float]], protocol: str = V1) -> SeedScores:
    """Scores of one seed on four scenes."""
    columns = {(agent, "score"): np.array([own]) for agent, own in values.items()}
    return SeedScores(protocol, LOGS, LOGS, dict.fromkeys(values, (0,)), columns, ())


def evidence_of(il: float, pair: float) -> Evidence:
    scores = pdm_scores({"human.human": [0.9] * 4, "transfuser.il": [il] * 4, "transfuser.pair": [pair] * 4})
    return Evidence({variant: scores for variant in (V1, V2, UNFILTERED)}, CHOICES, {})


@pytest.fixture()
def run(tmp_path: Path) -> Path:
    write_drives(tmp_path, "rules", {"human.human": [1.0, 1.0, 1.0, 1.0]})
    write_drives(tmp_path, "seed-0", {"transfuser.il": [0.2, 0.4, None, 1.0], "transfuser.pair": [1.0, 0.6, 0.8, 1.0]})
    write_drives(tmp_path, "seed-1", {"transfuser.il": [0.4, 0.4, 0.6, 1.0], "transfuser.pair": [1.0, 0.8, 0.8, 1.0]})
    return tmp_path


def page_of(evidence: Evidence) -> PageInput:
    return PageInput(evidence, result_rows(evidence), (0, 1), [], {}, {}, {}, "known", 3)


def test_drives_of_all_seeds_are_paired_by_log_and_failed_ones_are_in_no_mean(run: Path) -> None:
    assert driven_splits(run) == ("test",)
    scores = read_drive_scores(run, "test", (0, 1))
    rows = result_rows(replace(evidence_of(0.7, 0.8), drives={"test": scores}))

    def mean(agent: str, metric: str) -> float:
        (row,) = find(rows, table="closed_loop_test", agent=agent, metric=metric)
        return row.mean

    assert mean("il", "driving_score") == pytest.approx(100 * (0.2 + 0.4 + 1.0 + 0.4 + 0.4 + 0.6 + 1.0) / 7)
    assert mean("il", "at_fault_collisions") == pytest.approx(100 * 4 / 7), "share of drives that have one"
    assert mean("pair - il", "driving_score") == pytest.approx(100 * (0.8 + 0.2 + 0.6 + 0.4 + 0.2) / 7)
    (human,) = find(rows, table="closed_loop_test", agent="human", metric="driving_score")
    assert (human.seeds, human.scenes) == (1, 4)
    page = drives_section(page_of(replace(evidence_of(0.7, 0.8), drives={"test": scores})))
    assert "4 drives of 18 s, 2 seeds." in page and "PaIR + reward model over IL" in page


def test_seeds_that_drove_other_logs_are_refused(run: Path) -> None:
    write_drives(run, "seed-2", {"transfuser.il": [1.0] * 4}, logs=("a", "b", "c", "e"))
    with pytest.raises(OpenPairError, match="same logs"):
        read_drive_scores(run, "test", (0, 1, 2))


def test_agents_by_length_of_training() -> None:
    longer = replace(evidence_of(0.7, 0.8), trainings={3: evidence_of(0.7, 0.8), 10: evidence_of(0.8, 0.95)})
    rows = result_rows(longer)
    found = {(row.agent, row.budget): row.mean for row in find(rows, table="training")}
    assert found["il", 3] == pytest.approx(70) and found["pair", 10] == pytest.approx(95)
    page = training_section(page_of(longer))
    assert "| 3x (1 seed) | 10x (1 seed) |" in page and "95.0" in page
    alone, chosen = training_panels(rows, CHOICES)
    assert list(alone.series[0].x) == [3.0, 10.0] and chosen.log_x
    chart = line_chart(chosen)
    assert ">3</text>" in chart and ">10</text>" in chart, "a tick at every length"


def test_one_length_of_training_has_no_section() -> None:
    assert training_section(page_of(evidence_of(0.7, 0.8))) == ""
