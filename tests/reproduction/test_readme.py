"""What README says of three seeds stands in docs/results.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AGENTS = {
    "human": "human",
    "constant velocity": "constant_velocity",
    "PDM-Closed (sees boxes and map)": "pdm_closed",
    "IL (TransFuser, small)": "il",
    "IL, fine-tuned by reinforcement (best of three schemes on validation)": "best",
    "the same + reward model": "sequential_rwm",
    "IL + reward model, no tree (fair control)": "il_rwm",
    "PaIR + reward model": "pair",
    "human + PaIR": "human_pair",
    "PaIR, best of 6 by the true score †": "pair_best_of_6",
}
COLUMNS = {
    "PDMS": ("v1.1", "score"),
    "EPDMS": ("v2.2", "score"),
    "NC": ("v1.1", "no_at_fault_collisions"),
    "DAC": ("v1.1", "drivable_area_compliance"),
    "EP": ("v1.1", "ego_progress"),
    "TTC": ("v1.1", "time_to_collision_within_bound"),
    "C": ("v1.1", "comfort"),
    "EC": ("v2.2", "two_frame_extended_comfort"),
}
SCHEMES = ("sequential", "sequential_regularised", "iterative")
ESTIMATE = re.compile(r"(-?\d+\.\d) \[(-?\d+\.\d), (-?\d+\.\d)\]")
ROUNDING = 0.0501


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    found: list[dict] = json.loads((ROOT / "docs" / "results.json").read_text())
    return found


@pytest.fixture(scope="module")
def section() -> str:
    text = (ROOT / "README.md").read_text()
    return text.partition("## What was measured")[2].partition("\n## ")[0]


def best_scheme(rows: list[dict]) -> str:
    """The sequential scheme that PaIR's difference to the best one tells of."""
    differences = {
        r["agent"]: r["mean"]
        for r in rows
        if r["table"] == "differences" and r["protocol"] == "v1.1" and r["metric"] == "score"
    }
    margin = differences["pair - best_sequential"]
    return next(s for s in SCHEMES if abs(differences[f"pair - {s}"] - margin) < 1e-9)


def test_every_row_of_the_table_is_in_the_results(rows: list[dict], section: str) -> None:
    lines = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    header, _, *told = lines
    assert header[1:] == list(COLUMNS)
    assert [name for name, *_ in told] == list(AGENTS)
    main = {(r["agent"], r["protocol"], r["metric"]): r["mean"] for r in rows if r["table"] == "main"}
    for name, *values in told:
        agent = best_scheme(rows) if AGENTS[name] == "best" else AGENTS[name]
        for value, column in zip(values, COLUMNS.values(), strict=True):
            assert float(value) == pytest.approx(main[(agent, *column)], abs=ROUNDING), (name, column)


def test_every_margin_of_the_text_is_in_the_results(rows: list[dict], section: str) -> None:
    told = [tuple(map(float, numbers)) for numbers in ESTIMATE.findall(" ".join(section.split()))]
    assert len(told) >= 4
    without_vision = json.loads((ROOT / "docs" / "known-results.json").read_text())
    every = (*rows, *without_vision)
    tables = ("differences", "plug_in", "training", "closed_loop_test")
    known = [(r["mean"], r["low"], r["high"]) for r in every if r["table"] in tables]
    for margin in told:
        near = [row for row in known if all(abs(a - b) < ROUNDING for a, b in zip(margin, row, strict=True))]
        assert near, f"README tells of {margin}, neither docs/results.json nor docs/known-results.json does"


DRIVERS = {
    "human": "human",
    "PDM-Closed (sees boxes and map)": "pdm_closed",
    "IL": "il",
    "IL, fine-tuned by reinforcement (iterative, best on validation)": "iterative",
    "IL + reward model, no tree (fair control)": "il_rwm",
    "PaIR + reward model": "pair",
}
DRIVEN = {
    "driving score": "driving_score",
    "success": "success",
    "route": "route_completion",
    "PDMS of plans": "mean_plan_score",
    "collision": "at_fault_collisions",
    "off road": "off_road",
    "wrong way": "wrong_way",
    "red light": "red_lights",
}


def test_the_table_of_drives_is_in_the_results() -> None:
    section = (ROOT / "README.md").read_text().partition("\n## Closed loop")[2].partition("\n## ")[0]
    lines = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    header, _, *told = lines
    assert header[1:] == list(DRIVEN) and [name for name, *_ in told] == list(DRIVERS)
    rows = json.loads((ROOT / "docs" / "known-results.json").read_text())
    driven = {(r["agent"], r["metric"]): r for r in rows if r["table"] == "closed_loop_test"}
    for name, *values in told:
        for value, metric in zip(values, DRIVEN.values(), strict=True):
            assert float(value) == pytest.approx(driven[DRIVERS[name], metric]["mean"], abs=ROUNDING), (name, metric)
    margins = [(r["mean"], r["low"], r["high"]) for r in driven.values()]
    for margin in (tuple(map(float, numbers)) for numbers in ESTIMATE.findall(" ".join(section.split()))):
        assert any(all(abs(a - b) < ROUNDING for a, b in zip(margin, row, strict=True)) for row in margins), margin


def test_the_number_of_targets_met_is_told(rows: list[dict], section: str) -> None:
    targets = [r for r in rows if r["table"] == "targets"]
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    assert f"{words[sum(r['met'] for r in targets)]} of {words[len(targets)].lower()} targets" in section
