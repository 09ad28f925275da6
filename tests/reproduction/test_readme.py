"""What README says of three seeds stands in docs/results.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AGENTS = {
    "IL (TransFuser, small)": "il",
    "IL, fine-tuned by reinforcement (best of three schemes on validation)": "best",
    "IL + reward model, no tree (fair control)": "il_rwm",
    "PaIR + reward model": "pair",
    "human": "human",
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
    return text.partition("## What three seeds say")[2].partition("\n## ")[0]


def scores(rows: list[dict], protocol: str) -> dict[str, float]:
    """Agent of the main table -> score; "best" is the sequential scheme that beats PaIR's difference to it tells of."""
    main = [r for r in rows if r["table"] == "main" and r["protocol"] == protocol and r["metric"] == "score"]
    means = {row["agent"]: row["mean"] for row in main}
    differences = {
        r["agent"]: r["mean"]
        for r in rows
        if r["table"] == "differences" and r["protocol"] == protocol and r["metric"] == "score"
    }
    margin = differences["pair - best_sequential"]
    means["best"] = next(means[s] for s in SCHEMES if abs(differences[f"pair - {s}"] - margin) < 1e-9)
    return means


def test_every_row_of_the_table_is_in_the_results(rows: list[dict], section: str) -> None:
    told = re.findall(r"^\| \**([^|*]+?)\** \| (\d+\.\d) \| (\d+\.\d) \|$", section, flags=re.MULTILINE)
    assert [name for name, _, _ in told] == list(AGENTS)
    for name, *values in told:
        for value, protocol in zip(values, ("v1.1", "v2.2"), strict=True):
            assert float(value) == pytest.approx(scores(rows, protocol)[AGENTS[name]], abs=ROUNDING), name


def test_every_margin_of_the_text_is_in_the_results(rows: list[dict], section: str) -> None:
    told = [tuple(map(float, numbers)) for numbers in ESTIMATE.findall(" ".join(section.split()))]
    assert len(told) >= 4
    known = [(r["mean"], r["low"], r["high"]) for r in rows if r["table"] in ("differences", "plug_in")]
    for margin in told:
        near = [row for row in known if all(abs(a - b) < ROUNDING for a, b in zip(margin, row, strict=True))]
        assert near, f"README tells of {margin}, docs/results.json does not"


def test_the_number_of_targets_met_is_told(rows: list[dict], section: str) -> None:
    targets = [r for r in rows if r["table"] == "targets"]
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    assert f"{words[sum(r['met'] for r in targets)]} of {words[len(targets)].lower()} targets" in section
