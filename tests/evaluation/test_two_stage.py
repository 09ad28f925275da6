"""Two stages with traffic that answers, against the original's tables; broken mappings; resuming."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from openpair.cli.main import main
from openpair.datasets.navsim.two_stage import read_mappings
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError
from openpair.evaluation import reactive
from openpair.evaluation.chunk import Task
from openpair.evaluation.records import MAPPINGS_FILE, PartialResults, read_scores
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import DatasetSource, parse_agents

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")
MAPPING = GOLDEN / "golden" / "two_stage" / "mapping.json"
NAMES = (*metric_names(Protocol.V2_2), "score")


def source(tmp_path: Path, mapping: Path = MAPPING, **options) -> DatasetSource:
    options = {"mapping": mapping, "index_folder": tmp_path / "index", **options}
    return DatasetSource("navsim_two_stage", GOLDEN, options)


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    golden = np.load(GOLDEN / "golden" / "two_stage" / "trajectories.npz")
    for column in range(2):
        np.savez(folder / f"table{column}.npz", token=golden["token"], poses=golden["table"][:, column])
    return parse_agents(["constant_velocity", *(str(folder / f"table{column}.npz") for column in range(2))])


@pytest.fixture(scope="module")
def evaluation(agents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_stage")
    task = Task(source(folder), agents, Protocol.V2_2, stages=2)
    return evaluate(task, out_dir=folder / "out"), folder / "out"


def golden_table(agent: str) -> dict[str, dict[str, str]]:
    with (GOLDEN / "golden" / "two_stage" / f"{agent}.csv").open(newline="") as stream:
        return {row["token"]: row for row in csv.DictReader(stream)}


def test_every_number_equals_the_original(evaluation):
    compared = 0
    for row in evaluation[0].rows:
        golden = golden_table(row.agent)[row.token]
        assert not row.failed, row.error
        stage = "_stage_two" if len(row.token) == 17 else "_stage_one"
        for name, value in row.metrics.items():
            assert value == pytest.approx(float(golden[name + stage]), rel=0, abs=1e-9), (row.token, row.agent, name)
        assert row.score == pytest.approx(float(golden["score"]), rel=0, abs=1e-9), (row.token, row.agent)
        compared += 1
    assert compared == 3 * 24


def test_means_over_mappings_equal_the_original(evaluation):
    for agent in evaluation[0].summary.agents:
        golden = golden_table(agent.name)
        assert agent.score.mean == pytest.approx(float(golden["extended_pdm_score_combined"]["score"]), rel=0, abs=1e-9)
        assert (agent.score.num_scenes, agent.scenes_scored) == (3, 24)
        for stage in ("stage_one", "stage_two"):
            row = golden[f"extended_pdm_score_{stage}"]
            for name in NAMES:
                theirs = float(row["score" if name == "score" else f"{name}_{stage}"])
                assert agent.stages[stage][name] == pytest.approx(theirs, rel=0, abs=1e-9), (agent.name, stage, name)


def test_files_say_what_was_done(evaluation):
    summary = json.loads((evaluation[1] / "summary.json").read_text())
    assert summary["variant"]["stages"] == 2 and "IDM" in summary["variant"]["traffic"]
    assert summary["scenes"]["expected"] == summary["scenes"]["scored"] == 24
    mappings = read_scores(evaluation[1] / MAPPINGS_FILE)
    assert len(mappings) == 9 and {len(row.token) for row in mappings} == {16}
    table0 = [row.score for row in mappings if row.agent == "table0"]
    assert np.mean(table0) == pytest.approx(summary["agents"]["table0"]["score"]["mean"])


def test_the_answer_of_traffic_matters(evaluation, agents, tmp_path, monkeypatch):
    """With recorded traffic the numbers are others: these goldens do test the traffic."""

    def replayed(traffic, agents, replay, ego_states):
        return replay

    monkeypatch.setattr(reactive, "reactive_tracks", replayed)
    other = evaluate(Task(source(tmp_path), agents, Protocol.V2_2, stages=2))
    differing = [a.token for a, b in zip(evaluation[0].rows, other.rows, strict=True) if a.metrics != b.metrics]
    assert len(differing) >= 5


def test_a_missing_scene_fails_its_mapping_and_no_other(agents, tmp_path):
    folder = tmp_path / "navhard"
    shutil.copytree(GOLDEN / "navhard_two_stage", folder, copy_function=shutil.copyfile)
    (folder / "synthetic_scene_pickles" / "fd1463b3a1ed2c501.pkl").unlink()
    task = Task(source(tmp_path, second_stage=folder), agents[:1], Protocol.V2_2, stages=2)
    result = evaluate(task, out_dir=tmp_path / "out")
    assert result.exit_status() == 3
    assert [f.token for f in result.summary.failures] == ["fd1463b3a1ed2c501"]
    failed = [row for row in read_scores(tmp_path / "out" / MAPPINGS_FILE) if row.failed]
    assert [row.token for row in failed] == ["c61e77c8f1ac7da8"] and "fd1463b3a1ed2c501" in failed[0].error
    assert result.summary.agents[0].score.num_scenes == 2


def test_humans_have_no_second_stage(tmp_path):
    task = Task(source(tmp_path), parse_agents(["human"]), Protocol.V2_2, stages=2)
    result = evaluate(task)
    assert result.summary.scenes_failed == 18 and result.summary.agents[0].score.num_scenes == 0
    assert "no human drove on" in result.summary.failures[0].reason


def test_unfinished_mappings_are_taken_up(agents, tmp_path):
    task = Task(source(tmp_path), agents[:1], Protocol.V2_2, stages=2)
    whole = evaluate(task, out_dir=tmp_path / "out")
    from openpair.evaluation.records import ChunkResult

    with PartialResults(tmp_path, {"data": "x"}) as partial:
        partial.add(0, ChunkResult(whole.rows[:8], [""] * 8, (), {"combined": whole.rows[:1]}))
    with PartialResults(tmp_path, {"data": "x"}) as again:
        assert again.finished[0].mapping_rows == {"combined": whole.rows[:1]}


def entries() -> list:
    return [[m["original"], m["previous"], m["pairs"]] for m in json.loads(MAPPING.read_text())]


def test_mappings_are_read_as_navsim_writes_them(tmp_path):
    import yaml

    path = tmp_path / "navhard_two_stage.yaml"
    path.write_text(yaml.safe_dump({"data_split": "test", "reactive_all_mapping": entries()}))
    assert read_mappings(path) == read_mappings(MAPPING)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("data_split: test\n", "says nothing of which"),
        ("reactive_all_mapping:\n- [a1, b1, []]\n", "no second-stage scenes"),
        ("reactive_all_mapping:\n- [a1, b1, [[c1, c1]]]\n", "occurs twice"),
        ("reactive_all_mapping:\n- [a1, b1]\n", "not in NAVSIM's format"),
        ("reactive_all_mapping:\n- [../a, b1, [[c1, d1]]]\n", "something that is no token"),
        ("a: [", "cannot be read"),
    ],
)
def test_broken_mappings_are_refused(tmp_path, content, complaint):
    path = tmp_path / "mapping.yaml"
    path.write_text(content)
    with pytest.raises(OpenPairError, match=complaint):
        read_mappings(path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--protocol", "v1.1"), "v2.2"),
        (("--protocol", "v2.2"), "--mapping"),
        (("--protocol", "v2.2", "--mapping", MAPPING, "--max-scenes", 3), "evaluated whole"),
        (("--protocol", "v2.2", "--mapping", MAPPING, "--second-stage", "/nowhere"), "second-stage scenes"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(tmp_path, capsys, arguments, complaint):
    command = ["eval", "--dataset", "navsim", "--root", GOLDEN, "--stages", 2, "--out", tmp_path / "out", *arguments]
    with pytest.raises(SystemExit) as stop:
        main([str(part) for part in command])
    assert stop.value.code == 2 and complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
