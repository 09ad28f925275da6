"""Results of another request are never replaced silently; a failed start leaves nothing behind."""

import json
from dataclasses import replace

import pytest
from evaluation_results import call_compare, row, write_results
from toy_town import ToySource, toy_prepare, toy_score

from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.chunk import Task
from openpair.evaluation.records import SUMMARY_FILE
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import AgentSource, parse_agents
from openpair.files import locked

HUMAN = Task(ToySource((("log", 3),)), parse_agents(["human"]), Protocol.V1_1, prepare=toy_prepare, score=toy_score)
VELOCITY = replace(HUMAN, agents=parse_agents(["constant_velocity"]))


def test_the_same_request_goes_on_in_its_folder(tmp_path):
    first = evaluate(HUMAN, out_dir=tmp_path / "out")
    assert evaluate(HUMAN, out_dir=tmp_path / "out").rows == first.rows


@pytest.mark.parametrize(
    ("task", "options", "what"),
    [
        (VELOCITY, {}, "other agents"),
        (replace(HUMAN, seed=1), {}, "other seed"),
        (HUMAN, {"max_scenes": 2}, "other scenes"),
        (replace(HUMAN, dataset=ToySource((("log", 4),))), {}, "other data, scenes"),
    ],
)
def test_another_request_is_refused_unless_it_may_overwrite(tmp_path, task, options, what):
    evaluate(HUMAN, out_dir=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(OpenPairError, match=f"holds results of {what}"):
        evaluate(task, out_dir=tmp_path, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    evaluate(task, out_dir=tmp_path, overwrite=True, **options)
    assert (tmp_path / "scores.csv").read_bytes() != before["scores.csv"] or what == "other seed"


def test_results_that_do_not_say_what_made_them_are_refused(tmp_path):
    evaluate(HUMAN, out_dir=tmp_path)
    summary = json.loads((tmp_path / SUMMARY_FILE).read_text())
    del summary["request"]
    (tmp_path / SUMMARY_FILE).write_text(json.dumps(summary))
    with pytest.raises(OpenPairError, match="unknown request"):
        evaluate(HUMAN, out_dir=tmp_path)


def test_a_failed_start_leaves_no_folder(tmp_path):
    with pytest.raises(OpenPairError):
        evaluate(
            replace(HUMAN, agents=(AgentSource("x", "checkpoint", tmp_path / "no"),)), out_dir=tmp_path / "a" / "b"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with locked(tmp_path / "a" / "b"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert not any((tmp_path / "a").iterdir())


def test_a_file_of_another_comparison_is_refused(tmp_path, capsys):
    rows = [row("log", "t", "mine", 0.5), row("log", "t", "other", 0.75)]
    a, b = write_results(tmp_path / "a", rows), write_results(tmp_path / "b", rows)
    out = tmp_path / "out.json"
    assert call_compare(a, b, "--out", out) == 0
    assert call_compare(a, b, "--out", out) == 0
    assert call_compare(b, a, "--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert json.loads(out.read_text())["a"]["folder"] == str(a)
    assert call_compare(b, a, "--out", out, "--overwrite") == 0
    assert json.loads(out.read_text())["a"]["folder"] == str(b)
