"""Scores of plan files: those of ``openpair eval``, with extended comfort, resumable, failures named."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_run import SCENES, SmallRun

from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.agents import PdmClosedAgent, PlansFileAgent
from openpair.evaluation.chunk import Chunk, ChunkEvaluator, Task
from openpair.evaluation.plans_file import read_plans, write_plans
from openpair.evaluation.records import ScoreRow, read_scores
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import DatasetSource, ready_agent
from openpair.preparation.prepare import prepare_scene
from openpair.reproduction.plan_files import read_agent_plans
from openpair.reproduction.scoring import UNFILTERED, V1, V2, score_seed, scores_path
from openpair.scoring import score_prepared

EC = "two_frame_extended_comfort"


def rows_of(run: SmallRun, variant: str, seed: int = 0) -> dict[tuple[str, str], ScoreRow]:
    rows = read_scores(scores_path(run.folder, seed, variant))
    return {(row.agent, row.token): row for row in rows}


@pytest.mark.parametrize(("variant", "human_filter"), [(V1, True), (V2, True), (UNFILTERED, False)])
def test_scores_are_those_of_an_evaluation(small_run: SmallRun, variant: str, human_filter: bool) -> None:
    rows = rows_of(small_run, variant)
    protocol = Protocol(variant[:4])
    names = ("transfuser.il", "transfuser.pair")
    files = [small_run.folder / "seed-0" / "plans" / f"{name}.npz" for name in names]
    agents = [
        *(PlansFileAgent(read_plans(path), name) for path, name in zip(files, names, strict=True)),
        PdmClosedAgent(lambda scene: prepare_scene(scene, protocol), name="rules.pdm_closed"),
    ]
    keys = small_run.dataset.keys()
    log = keys[3].log_name
    source = DatasetSource("world", ready=small_run.dataset)
    task = Task(source, tuple(map(ready_agent, agents)), protocol, human_filter=human_filter)
    evaluated = ChunkEvaluator.start(task).run(Chunk(tuple(key for key in keys if key.log_name == log))).rows
    compared = 0
    for row in evaluated:
        ours = rows.get((row.agent, row.token))
        if ours is not None:
            np.testing.assert_equal((ours.score, ours.metrics), (row.score, row.metrics))
            compared += 1
    assert compared >= len(agents)


def test_extended_comfort_is_known_wherever_half_a_second_before_is(small_run: SmallRun) -> None:
    rows = rows_of(small_run, V2)
    chosen = {key.token for key in small_run.dataset.chosen_keys()}
    assert {token for _, token in rows} == chosen
    for (_, token), row in rows.items():
        assert math.isnan(row.metrics[EC]) == (small_run.dataset.predecessor(token) is None)


@pytest.mark.parametrize("variant", [V1, V2])
def test_the_truth_picks_the_best_of_six(small_run: SmallRun, variant: str) -> None:
    protocol = Protocol(variant)
    plans = read_agent_plans(small_run.folder / "seed-0" / "plans" / "transfuser.pair_best_of_6.npz")
    rows = rows_of(small_run, variant)
    for key in small_run.dataset.chosen_keys():
        scene = prepare_scene(small_run.dataset.load_scene(key.token), protocol)
        six = score_prepared(scene, plans.poses[plans.rows[key.token]])
        best = int(six.score.argmax())
        row = rows["transfuser.pair_best_of_6", key.token]
        assert {name: row.metrics[name] for name in six.metrics if name != EC} == {
            name: values[best] for name, values in six.metrics.items() if name != EC
        }
        assert variant == V2 or row.score == six.score.max()


def test_unfiltered_scores_forgive_nothing(small_run: SmallRun) -> None:
    filtered, unfiltered = rows_of(small_run, V2), rows_of(small_run, UNFILTERED)
    one_plan = [key for key in filtered if "best_of" not in key[0]]
    scores = np.array([[filtered[key].score, unfiltered[key].score] for key in one_plan], float)
    assert (scores[:, 1] <= scores[:, 0]).all()


def copy_of(run: SmallRun, folder: Path) -> Path:
    """Seed 0 of a run, to be changed; prepared scenes stay where they are."""
    shutil.copytree(run.folder / "seed-0", folder / "seed-0")
    return folder


def score_again(run: SmallRun, folder: Path) -> set[str]:
    """Score a copy; returns what had to be done."""
    told: set[str] = set()
    stores = run.folder / "data"
    score_seed(folder, 0, spec=SCENES, stores=stores, on_progress=lambda what, done, total: told.add(what))
    return {what for what in told if what.startswith("score")}


def test_nothing_is_scored_twice(small_run: SmallRun, tmp_path: Path) -> None:
    folder = copy_of(small_run, tmp_path)
    before = {path.name: path.read_bytes() for path in (folder / "seed-0" / "scores").iterdir()}
    assert score_again(small_run, folder) == set()
    # One agent less is one agent less, without any scoring; the same agent again gives the same bytes.
    plans = folder / "seed-0" / "plans" / "transfuser.pair.npz"
    data = plans.read_bytes()
    plans.unlink()
    assert score_again(small_run, folder) == set()
    assert all(row.agent != "transfuser.pair" for row in read_scores(scores_path(folder, 0, V1)))
    plans.write_bytes(data)
    assert score_again(small_run, folder) == {"score v1.1", "score v2.2"}
    assert {path.name: path.read_bytes() for path in (folder / "seed-0" / "scores").iterdir()} == before


def test_a_damaged_file_is_made_again(small_run: SmallRun, tmp_path: Path) -> None:
    folder = copy_of(small_run, tmp_path)
    path = scores_path(folder, 0, UNFILTERED)
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    assert score_again(small_run, folder) == {"score v2.2"}
    assert path.read_bytes() == whole


def test_missing_plans_fail_with_a_reason_and_never_count_as_zero(small_run: SmallRun, tmp_path: Path) -> None:
    folder = copy_of(small_run, tmp_path)
    path = folder / "seed-0" / "plans" / "transfuser.il.npz"
    plans = read_agent_plans(path)
    world = small_run.dataset
    lacking = next(key.token for key in world.chosen_keys() if world.predecessor(key.token))
    follower = next(key.token for key in world.chosen_keys() if world.predecessor(key.token) and key.token != lacking)
    without = {lacking, world.predecessor(follower)}
    kept = [token for token in plans.rows if token not in without]
    write_plans(path, kept, np.stack([plans.poses[plans.rows[token], 0] for token in kept]))
    score_again(small_run, folder)
    rows = {(row.agent, row.token): row for row in read_scores(scores_path(folder, 0, V2))}
    assert rows["transfuser.il", lacking].failed and "no plan of this scene" in rows["transfuser.il", lacking].error
    assert "half a second before" in rows["transfuser.il", follower].error
    assert not rows["transfuser.pair", lacking].failed
    v1 = {(row.agent, row.token): row for row in read_scores(scores_path(folder, 0, V1))}
    assert v1["transfuser.il", lacking].failed and not v1["transfuser.il", follower].failed


def test_plans_that_cannot_be_used_are_refused(small_run: SmallRun, tmp_path: Path) -> None:
    folder = tmp_path / "seed-0" / "plans"
    with pytest.raises(OpenPairError, match="no plans here"):
        score_seed(tmp_path, 0, spec=SCENES)
    write_plans(folder / "transfuser.il.npz", ["0" * 16], np.zeros((1, 8, 3)))
    with pytest.raises(OpenPairError, match="scenes that are not evaluated"):
        score_seed(tmp_path, 0, spec=SCENES)
    for tokens, poses, match in (
        (["a"], np.zeros((1, 7, 3)), "poses of shape"),
        (["a", "a"], np.zeros((2, 8, 3)), "more than once"),
        (["a"], np.full((1, 8, 3), np.nan), "NaN"),
    ):
        write_plans(folder / "transfuser.il.npz", tokens, poses)
        with pytest.raises(OpenPairError, match=match):
            read_agent_plans(folder / "transfuser.il.npz")
    write_plans(tmp_path / "nameless.npz", ["a"], np.zeros((1, 8, 3)))
    with pytest.raises(OpenPairError, match="does not say whose"):
        read_agent_plans(tmp_path / "nameless.npz")


@pytest.mark.parametrize("protocol", [Protocol.V1_1, Protocol.V2_2])
def test_eval_gives_the_same_rows(small_run: SmallRun, protocol: Protocol) -> None:
    """The command for everyone: one plan a scene from a file, and rules; predecessors compared with, not counted."""
    ours = rows_of(small_run, protocol.value)
    dataset = WorldDataset(**SCENES.options)
    path = small_run.folder / "seed-0" / "plans" / "transfuser.pair.npz"
    agents = [
        PlansFileAgent(read_plans(path), "transfuser.pair"),
        PdmClosedAgent(lambda scene: prepare_scene(scene, protocol), name="rules.pdm_closed"),
    ]
    task = Task(
        DatasetSource("world", ready=dataset),
        tuple(map(ready_agent, agents)),
        protocol,
        predecessors=protocol is Protocol.V2_2,
    )
    rows = evaluate(task).rows
    assert len(rows) == 2 * len(dataset.keys())
    for row in rows:
        expected = ours[row.agent, row.token]
        np.testing.assert_equal((row.score, row.metrics), (expected.score, expected.metrics))
    if protocol is Protocol.V2_2:
        assert sum(not math.isnan(row.metrics[EC]) for row in rows) > len(agents)
