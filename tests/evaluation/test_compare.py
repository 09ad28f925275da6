"""``openpair compare``: pairs, refusals, what cannot be overlooked."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from evaluation_results import call_compare, row, write_results

from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.comparison import (
    change_text,
    check_comparable,
    compare,
    pairs_of_agents,
    read_results,
)
from openpair.evaluation.statistics import paired_difference


def rows_of(scores: dict[str, float | None], agent: str, log_of=lambda token: token[:2], **metrics):
    return [row(log_of(token), token, agent, score, **metrics) for token, score in scores.items()]


@pytest.fixture
def two_runs(tmp_path):
    """Twelve scenes of three logs; B is better in four, worse in one, failed on one, and lacks one."""
    tokens = [f"l{log}-{i}" for log in range(3) for i in range(4)]
    a = {token: 0.5 for token in tokens}
    b = {token: 0.5 + (0.1 * i if i < 5 else 0.0) for i, token in enumerate(tokens)}
    b[tokens[7]], b[tokens[8]] = 0.2, None
    del b[tokens[11]]
    first = write_results(tmp_path / "a", rows_of(a, "x"))
    second = write_results(tmp_path / "b", rows_of(b, "x"))
    return read_results(first), read_results(second)


def test_only_scenes_that_both_scored_count_and_the_others_are_named(two_runs):
    result = compare(*two_runs, ("x", "x"), seed=3)
    assert result.num_scenes == 10
    assert result.only_in == (("l2-3",), ())
    assert result.failed_in == ((), ("l2-0",), ())
    assert [s.token for s in result.gains] == ["l1-0", "l0-3", "l0-2", "l0-1"]
    assert [s.token for s in result.losses] == ["l1-3"]
    assert result.num_equal == 5
    assert result.score.difference.mean == pytest.approx((0.1 + 0.2 + 0.3 + 0.4 - 0.3) / 10)
    assert result.score.first.mean == pytest.approx(0.5)


def test_the_interval_is_that_of_paired_differences_by_log(two_runs):
    result = compare(*two_runs, ("x", "x"), seed=3)
    logs = ["l0"] * 4 + ["l1"] * 4 + ["l2"] * 2
    difference = np.array([0, 0.1, 0.2, 0.3, 0.4, 0, 0, -0.3, 0, 0])
    expected = paired_difference(0.5 + difference, np.full(10, 0.5), logs, seed=3)
    got = result.score.difference
    assert (got.low, got.high, got.num_logs) == pytest.approx((expected.low, expected.high, 3))
    assert got.low < got.mean < got.high


def test_undefined_sub_metrics_are_in_no_mean(tmp_path):
    defined = dict(two_frame_extended_comfort=1.0)
    a = [row("l0", "t0", "x", 0.5, Protocol.V2_2, **defined), row("l1", "t1", "x", 0.5, Protocol.V2_2)]
    b = [
        row("l0", "t0", "x", 0.7, Protocol.V2_2, two_frame_extended_comfort=0.0),
        row("l1", "t1", "x", 0.7, Protocol.V2_2),
    ]
    first = read_results(write_results(tmp_path / "a", a, protocol="v2.2"))
    second = read_results(write_results(tmp_path / "b", b, protocol="v2.2"))
    result = compare(first, second, ("x", "x"))
    comfort = {change.name: change for change in result.changes}["two_frame_extended_comfort"]
    assert (comfort.difference.num_scenes, comfort.difference.mean) == (1, -1.0)
    assert change_text(result.gains[0]) == "EC 1 -> 0" and change_text(result.gains[1]) == ""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (dict(protocol="v2.2"), "different protocols: v1.1 and v2.2"),
        (dict(dataset="world"), "different datasets"),
        (dict(variant={"traffic": "log replay", "stages": 2}), "stages: 1 and 2"),
        (dict(data_sha256="other"), "another content"),
    ],
)
def test_what_is_not_comparable_is_refused(tmp_path, change, complaint, capsys):
    rows = rows_of({"l0-0": 0.5, "l1-0": 0.4}, "x")
    other = [replace(r, protocol="v2.2") for r in rows] if "protocol" in change else rows
    first, second = write_results(tmp_path / "a", rows), write_results(tmp_path / "b", other, **change)
    with pytest.raises(OpenPairError, match=complaint):
        check_comparable(read_results(first), read_results(second))
    assert call_compare(first, second) == 2
    assert complaint in capsys.readouterr().err


def test_agents_are_paired_by_name_or_as_asked(tmp_path):
    both = rows_of({"l0-0": 0.5}, "x") + rows_of({"l0-0": 0.6}, "y")
    first = read_results(write_results(tmp_path / "a", both))
    second = read_results(write_results(tmp_path / "b", rows_of({"l0-0": 0.5}, "z") + rows_of({"l0-0": 0.1}, "y")))
    assert pairs_of_agents(first, second) == [("y", "y")]
    assert pairs_of_agents(first, second, ["x", "z"]) == [("x", "z")]
    with pytest.raises(OpenPairError, match="no results of 'x'"):
        pairs_of_agents(first, second, ["x"])
    alone = read_results(write_results(tmp_path / "c", rows_of({"l0-0": 0.5}, "w")))
    with pytest.raises(OpenPairError, match="no agent is in both"):
        pairs_of_agents(first, alone)


def test_the_command_prints_and_writes_all_of_it(two_runs, tmp_path, capsys):
    out = tmp_path / "compared.json"
    assert call_compare(two_runs[0].folder, two_runs[1].folder, "--out", out, "--scenes", 2) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "1 scenes only in A, in no mean: l2-3" in text and "FAILED in B alone" in text
    assert "greatest gains: +40.0 50.0 -> 90.0 l1-0" in text and "l0-2" not in text
    data = json.loads(out.read_text())["comparisons"][0]
    assert data["scenes_compared"] == 10 and len(data["better"]) == 4 and data["failed_in_b"] == ["l2-0"]
    assert data["metrics"]["score"]["b_minus_a"]["mean"] == pytest.approx(0.07)


def test_nothing_in_common_is_status_2_and_folders_must_be_results(tmp_path, capsys):
    first = write_results(tmp_path / "a", rows_of({"l0-0": 0.5}, "x"))
    second = write_results(tmp_path / "b", rows_of({"l0-1": 0.5}, "x"))
    assert call_compare(first, second) == 2
    assert "no scene was scored in both" in capsys.readouterr().err
    (tmp_path / "c").mkdir()
    assert call_compare(first, tmp_path / "c") == 2
    assert "no summary.json" in capsys.readouterr().err
    (tmp_path / "c" / "summary.json").write_text("[1]")
    assert call_compare(first, tmp_path / "c") == 2
    assert math.isnan(compare(read_results(first), read_results(second), ("x", "x")).score.difference.mean)


def test_scores_that_do_not_belong_to_their_summary_are_noticed(tmp_path, capsys):
    from test_runner import toy_task

    from openpair.evaluation.runner import evaluate

    for name in "ab":
        evaluate(toy_task(), out_dir=tmp_path / name)
    assert call_compare(tmp_path / "a", tmp_path / "b") == 0
    scores = tmp_path / "b" / "scores.csv"
    scores.write_text(scores.read_text().replace(",0.8,\n", ",0.9,\n"))
    assert call_compare(tmp_path / "a", tmp_path / "b") == 2
    assert "not the one that summary.json was written with" in capsys.readouterr().err
