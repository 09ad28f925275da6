"""The runner: rows, failures, resuming, workers, files."""

import csv
import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from toy_town import Interrupting, ToySource, toy_prepare, toy_score

from openpair.checksums import read_sealed_json
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError
from openpair.evaluation import runner
from openpair.evaluation.agents import CheckpointAgent
from openpair.evaluation.chunk import Task
from openpair.evaluation.records import PARTIAL_FILE, read_scores
from openpair.evaluation.runner import SCENES_PER_CHUNK, evaluate
from openpair.evaluation.sources import parse_agents, ready_agent

LOGS = (("log-a", 20), ("log-b", 5), ("log-c", 18))
NAMES = ["human", "constant_velocity", "pdm_closed"]


def toy_task(**changes) -> Task:
    task = Task(ToySource(LOGS), parse_agents(NAMES), Protocol.V1_1, seed=1, prepare=toy_prepare, score=toy_score)
    return replace(task, **changes)


def run(task: Task, out: Path | None = None, **options):
    return evaluate(task, out_dir=out, **options)


def test_every_scene_and_agent_has_a_row_with_known_scores():
    rows = run(toy_task()).rows
    assert [(r.token, r.agent) for r in rows[:3]] == [("log-a-000", name) for name in NAMES]
    assert len(rows) == 43 * 3
    # 8 m/s for 4 s are 32 of 40 m; the reference drives all 40.
    assert {r.agent: r.score for r in rows} == {"human": 0.8, "constant_velocity": 0.8, "pdm_closed": 1.0}


def test_the_files_keep_the_contract(tmp_path):
    evaluation = run(toy_task(), tmp_path / "out", config={"note": "toy"})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["plans", "scores.csv", "summary.json"]
    with (tmp_path / "out" / "scores.csv").open(newline="") as stream:
        table = list(csv.reader(stream))
    assert table[0] == ["dataset", "log", "token", "agent", "protocol", *metric_names(Protocol.V1_1), "score", "error"]
    assert table[1] == [
        "toy",
        "log-a",
        "log-a-000",
        "human",
        "v1.1",
        "1.0",
        "1.0",
        "0.8",
        "1.0",
        "1.0",
        "1.0",
        "0.8",
        "",
    ]
    assert len(table) == 1 + len(evaluation.rows)
    assert read_scores(tmp_path / "out" / "scores.csv") == evaluation.rows
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["protocol"] == "v1.1" and summary["score_name"] == "PDMS" and summary["dataset"] == "toy"
    assert summary["scenes"] == {
        "selection": "all 43 of the dataset",
        "expected": 43,
        "scored": 43,
        "failed": 0,
        "failures": [],
    }
    assert summary["agents"]["human"]["score"]["mean"] == pytest.approx(0.8)
    assert summary["agents"]["human"]["score"]["num_logs"] == 3
    assert summary["agents"]["human"]["uses_truth"] is False
    assert summary["seed"] == 1 and summary["config"] == {"note": "toy"}
    assert len(summary["data_sha256"]) == 64 and summary["versions"]["openpair"]
    pair = next(d for d in summary["differences"] if (d["agent"], d["minus"]) == ("pdm_closed", "human"))
    assert pair["score"]["mean"] == pytest.approx(0.2)


def test_a_scene_that_cannot_be_loaded_is_listed_and_never_a_zero(tmp_path):
    evaluation = run(toy_task(dataset=ToySource(LOGS, broken=("log-a-007",))), tmp_path / "out")
    failed = [row for row in evaluation.rows if row.token == "log-a-007"]
    assert [row.score for row in failed] == [None] * 3
    assert all("frames of this scene are not complete" in row.error for row in failed)
    summary = evaluation.summary
    assert (summary.scenes_expected, summary.scenes_scored, summary.scenes_failed) == (43, 42, 1)
    assert summary.failures[0].agents == tuple(NAMES)
    assert summary.agent("human").scenes_failed == 1
    assert summary.agent("human").score.mean == pytest.approx(0.8)  # not 0.8 * 42 / 43
    assert evaluation.exit_status() == 3
    assert evaluation.exit_status(allow_failures=True) == 0
    line = next(r for r in csv.DictReader((tmp_path / "out" / "scores.csv").open()) if r["token"] == "log-a-007")
    assert line["score"] == "" and line["no_at_fault_collisions"] == "" and "not complete" in line["error"]


def test_an_agent_that_fails_takes_no_other_with_it():
    def plan(scene):
        if scene.token == "log-b-002":
            return np.full((8, 3), np.nan)
        if scene.token == "log-b-003":
            raise ZeroDivisionError("a fault in the agent")
        return scene.human_trajectory()

    agents = (*parse_agents(["human"]), ready_agent(CheckpointAgent(plan, "mine")))
    evaluation = run(toy_task(agents=agents))
    errors = {(r.token, r.agent): r.error for r in evaluation.rows if r.failed}
    assert set(errors) == {("log-b-002", "mine"), ("log-b-003", "mine")}
    assert "NaN" in errors["log-b-002", "mine"]
    assert "ZeroDivisionError at test_runner.py" in errors["log-b-003", "mine"]
    assert evaluation.summary.agent("human").scenes_scored == 43
    assert evaluation.exit_status() == 3


def test_nothing_scored_is_status_3_with_the_reasons_listed(tmp_path):
    tokens = tuple(f"log-b-{i:03d}" for i in range(5))
    evaluation = run(toy_task(dataset=ToySource((("log-b", 5),), broken=tokens)), tmp_path / "out")
    assert evaluation.exit_status() == evaluation.exit_status(allow_failures=True) == 3
    assert len(evaluation.summary.failures) == 5
    assert math.isnan(evaluation.summary.agent("human").score.mean)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["agents"]["human"]["score"]["mean"] is None


def test_any_number_of_workers_gives_the_same_files(tmp_path):
    task = toy_task(dataset=ToySource(LOGS, broken=("log-c-001",)))
    one, two = tmp_path / "one", tmp_path / "two"
    run(task, one, workers=1)
    run(task, two, workers=2)
    assert (one / "scores.csv").read_bytes() == (two / "scores.csv").read_bytes()
    first, second = (read_sealed_json(d / "summary.json") for d in (one, two))
    assert first.pop("run")["workers"] == 1 and second.pop("run")["workers"] == 2
    assert first == second


def test_bad_input_met_by_a_worker_reaches_the_user_and_leaves_nothing(tmp_path):
    plans = tmp_path / "plans.npz"
    np.savez(plans, token=np.array(["log-a-000"]), poses=np.full((1, 8, 3), np.nan))
    with pytest.raises(OpenPairError, match="NaN"):
        run(toy_task(agents=parse_agents([str(plans)])), tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()


def test_plans_for_scenes_that_do_not_exist_are_refused_before_anything_is_written(tmp_path):
    plans = tmp_path / "plans.npz"
    np.savez(plans, token=np.array(["nowhere"]), poses=np.zeros((1, 8, 3)))
    with pytest.raises(OpenPairError, match="tokens that the dataset does not have"):
        run(toy_task(agents=parse_agents([str(plans)])), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(toy_task(), whole)
    with pytest.raises(KeyboardInterrupt):
        run(toy_task(score=Interrupting(stop_at=30)), out)
    assert [p.name for p in out.iterdir()] == [PARTIAL_FILE]  # no scores.csv, not even a part of one
    with (out / PARTIAL_FILE).open("a") as stream:
        stream.write('{"chunk": 3, "rows": [{"datas')  # a write cut short by a kill
    rest = Interrupting(stop_at=10_000)
    evaluation = run(toy_task(score=rest), out)
    # Chunks of at most 16 scenes of one log: 16, 4, 5, 16, 2. The 30th scene is in the fourth, so 25 were done.
    assert evaluation.summary.run["resumed_scenes"] == 25
    assert rest.count == 43 - 25
    assert (out / "scores.csv").read_bytes() == (whole / "scores.csv").read_bytes()
    assert not (out / PARTIAL_FILE).exists()


def test_partial_results_of_another_evaluation_are_not_taken_over(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(toy_task(score=Interrupting(stop_at=30)), tmp_path)
    with pytest.raises(OpenPairError, match="unfinished results of other seed"):
        run(toy_task(seed=2), tmp_path)
    evaluation = run(toy_task(seed=2), tmp_path, overwrite=True)
    assert evaluation.summary.run["resumed_scenes"] == 0
    assert not (tmp_path / PARTIAL_FILE).exists()


def test_agents_built_in_memory_are_never_resumed_and_stay_in_their_process(tmp_path):
    agents = (ready_agent(CheckpointAgent(lambda scene: scene.human_trajectory(), "net")),)
    with pytest.raises(KeyboardInterrupt):
        run(toy_task(agents=agents, score=Interrupting(stop_at=30)), tmp_path)
    changed = (ready_agent(CheckpointAgent(lambda scene: 0.5 * scene.human_trajectory(), "net")),)
    evaluation = run(toy_task(agents=changed), tmp_path, workers=2)
    assert evaluation.summary.run["resumed_scenes"] == 0 and evaluation.summary.run["workers"] == 1
    assert {row.score for row in evaluation.rows} == {0.4}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OpenPairError, match="Choose another"):
            run(toy_task(), out)


def kill_once(prepared, plans, **options):
    """Kills its own process the first time, as running out of memory would."""
    import os
    import signal

    flag = Path(os.environ["TOY_KILL_FLAG"])
    if prepared.token == "log-c-004" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return toy_score(prepared, plans)


def test_a_killed_worker_loses_nothing_and_scores_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_KILL_FLAG", str(tmp_path / "killed"))
    evaluation = run(toy_task(score=kill_once), tmp_path / "out", workers=2)
    assert (tmp_path / "killed").exists()
    assert [(r.token, r.agent, r.score) for r in evaluation.rows] == [
        (r.token, r.agent, r.score) for r in run(toy_task()).rows
    ]


scored_here = []


def held_score(prepared, plans, **options):
    """Scores as many scenes as the largest chunk has, in each process, then waits to be interrupted."""
    scored_here.append(prepared)
    if len(scored_here) > SCENES_PER_CHUNK:
        time.sleep(120)
    return toy_score(prepared, plans)


INTERRUPTED = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
sys.path.insert(0, {folder!r})
if __name__ == "__main__":
    from test_runner import held_score, run, toy_task
    try:
        run(toy_task(score=held_score), Path({out!r}), workers=2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_an_interrupt_stops_workers_at_once_and_keeps_what_is_finished(tmp_path):
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(INTERRUPTED.format(folder=str(Path(__file__).parent), out=str(out)))
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240  # a busy machine takes its time to start processes
    while time.monotonic() < deadline:  # until a chunk is finished: the header and one line
        if (out / PARTIAL_FILE).exists() and len((out / PARTIAL_FILE).read_text().splitlines()) >= 2:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert [p.name for p in out.iterdir()] == [PARTIAL_FILE]
    evaluation = run(toy_task(), out, workers=2)
    assert evaluation.summary.run["resumed_scenes"] > 0
    assert evaluation.rows == run(toy_task()).rows


def test_best_of_n_takes_the_true_best_and_says_so():
    def candidates(scene):
        human = scene.human_trajectory()
        return np.stack([human * [0.5, 1, 1], human * [1.1, 1, 1], human + np.array([0, 2.0, 0])])

    best = CheckpointAgent(lambda scene: candidates(scene)[0], "best_of_3", uses_truth=True, candidates=candidates)
    evaluation = run(toy_task(agents=(*parse_agents(["human"]), ready_agent(best))))
    assert evaluation.summary.agent("best_of_3").uses_truth
    assert evaluation.summary.agent("best_of_3").score.mean == pytest.approx(0.88)  # 35.2 of 40 m, inside the lane
    assert all("best_of_3" not in (a, b) for a, b, _ in evaluation.summary.differences)


def test_batches_are_planned_at_once_and_one_bad_scene_does_not_spoil_them():
    sizes = []

    def batch(scenes):
        sizes.append(len(scenes))
        if any(scene.token == "log-b-001" for scene in scenes):
            raise RuntimeError("this batch fails")
        return np.stack([scene.human_trajectory() for scene in scenes])

    def single(scene):
        if scene.token == "log-b-001":
            raise OpenPairError("the image is missing", where=scene.token)
        return scene.human_trajectory()

    agent = CheckpointAgent(single, "net", batch_pipeline=batch)
    evaluation = run(toy_task(agents=(ready_agent(agent),)))
    assert sizes == [16, 4, 5, 16, 2]
    assert [r.token for r in evaluation.rows if r.failed] == ["log-b-001"]


def test_the_data_hash_sees_a_change_of_the_data(monkeypatch):
    before = run(toy_task()).summary.data_sha256
    assert before == run(toy_task()).summary.data_sha256
    monkeypatch.setattr("toy_town.SPEED_MPS", 8.001)
    assert before != run(toy_task()).summary.data_sha256


def test_max_scenes_are_spread_evenly_and_must_be_positive():
    tokens = [row.token for row in run(toy_task(), max_scenes=4).rows[::3]]
    assert tokens == ["log-a-000", "log-a-014", "log-c-003", "log-c-017"]  # scenes 0, 14, 28 and 42 of 43
    assert len(run(toy_task(), max_scenes=1).rows) == 3
    with pytest.raises(OpenPairError, match="max-scenes"):
        run(toy_task(), max_scenes=0)


def test_a_dataset_without_scenes_is_refused():
    with pytest.raises(OpenPairError, match="no scenes"):
        run(toy_task(dataset=ToySource(())))


def test_chunks_hold_neighbours_of_one_log():
    chunks = runner.cut_into_chunks(ToySource(LOGS).open().keys())
    assert [len(chunk) for chunk in chunks] == [16, 4, 5, 16, 2]
    assert all(len({key.log_name for key in chunk.keys}) == 1 for chunk in chunks)
    assert [chunk.before and chunk.before.token for chunk in chunks] == [None, "log-a-015", None, None, "log-c-015"]


@dataclass(frozen=True)
class KnownBefore:
    """The toy town, which knows what is before a scene: one second apart, so that no pair is compared."""

    logs: tuple = (("log-a", 20),)
    name: str = "toy"
    root: None = None
    options: dict = field(default_factory=dict)

    def open(self):
        dataset = ToySource(self.logs).open()
        dataset.predecessor = lambda token: None if token.endswith("000") else f"before-{int(token[-3:]) - 1:03d}"
        return dataset


def test_predecessors_stand_before_their_scenes_and_are_not_counted():
    dataset = KnownBefore().open()
    keys = dataset.keys()[:3]
    every, uncounted = runner.with_predecessors(keys, dataset)
    assert [key.token for key in every] == ["log-a-000", "before-000", "log-a-001", "before-001", "log-a-002"]
    assert {key.log_name for key in every} == {"log-a"} and uncounted == {"before-000", "before-001"}
    chunks = runner.cut_into_chunks(every, uncounted, size=4)
    assert [[key.token for key in chunk.counted] for chunk in chunks] == [["log-a-000", "log-a-001"], ["log-a-002"]]
    assert [len(chunk) for chunk in chunks] == [2, 1] and chunks[1].before.token == "before-001"
    dataset.predecessor = lambda token: "log-a-000" if token == "log-a-001" else None
    assert runner.with_predecessors(keys, dataset) == (list(keys), frozenset())  # one that counts anyway


def test_predecessors_belong_to_v2_and_to_data_that_know_them():
    with pytest.raises(OpenPairError, match=r"belongs to v2\.2"):
        run(toy_task(dataset=KnownBefore(), predecessors=True))
    with pytest.raises(OpenPairError, match="does not know which scene is before which"):
        run(toy_task(protocol=Protocol.V2_2, predecessors=True))
