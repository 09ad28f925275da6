"""Folders of results as ``openpair eval`` writes them, with chosen scores."""

import json

import pytest

from openpair.cli.main import main
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.evaluation.records import MAPPINGS_FILE, SCORES_FILE, SUMMARY_FILE, ScoreRow, scores_csv


def row(log, token, agent, score, protocol=Protocol.V1_1, **metrics) -> ScoreRow:
    """A row whose sub-metrics are 1 (extended comfort undefined) unless given; a failed one for the score None."""
    place = ("toy", log, token, agent, protocol.value)
    if score is None:
        return ScoreRow(*place, error="broken")
    values = dict.fromkeys(metric_names(protocol), 1.0)
    if protocol is Protocol.V2_2:
        values["two_frame_extended_comfort"] = float("nan")
    return ScoreRow(*place, metrics={**values, **metrics}, score=score)


def write_results(folder, rows, **summary):
    """scores.csv and a summary.json; returns the folder."""
    folder.mkdir()
    protocol = Protocol(rows[0].protocol)
    for name in (SCORES_FILE, MAPPINGS_FILE):
        (folder / name).write_text(scores_csv(rows, protocol))
    failed = len({r.token for r in rows if r.failed})
    whole = {
        "protocol": protocol.value,
        "score_name": "PDMS",
        "variant": {"traffic": "log replay", "stages": 1},
        "dataset": "toy",
        "scenes": {"expected": len({r.token for r in rows}), "failed": failed},
        "data_sha256": "same",
        "seed": 0,
        "versions": {},
    }
    (folder / SUMMARY_FILE).write_text(json.dumps({**whole, **summary}))
    return folder


def call_compare(*arguments) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["compare", *map(str, arguments)])
    return int(stop.value.code or 0)
