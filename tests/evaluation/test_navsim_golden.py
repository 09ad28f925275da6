"""The whole path, logs and maps in, tables out, against the tables of the original evaluator."""

import csv
import json
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from openpair.cli.main import main
from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.scene_filter import SceneFilter
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.datatypes.scores import metric_names
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.evaluation import runner
from openpair.evaluation.chunk import Task
from openpair.evaluation.prepared import PrepareFromStore
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import DatasetSource, parse_agents
from openpair.preparation.prepare import prepare_scene
from openpair.preparation.store_build import build_store

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")

TABLES = ("table0", "table1", "table2", "table3")
CARRIED = {"8cee95964dc6b01a"}
"""Scenes whose original v1.1 scores depend on the scenes before them in the same process."""


@pytest.fixture(scope="module")
def tokens() -> tuple[str, ...]:
    with (GOLDEN / "golden" / "scenes.csv").open(newline="") as stream:
        return tuple(row["token"] for row in csv.DictReader(stream))


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    golden = np.load(GOLDEN / "golden" / "trajectories.npz")
    for column, name in enumerate(TABLES):
        np.savez(folder / f"{name}.npz", token=golden["token"], poses=golden["table"][:, column])
    return parse_agents(["human", "constant_velocity", *(str(folder / f"{name}.npz") for name in TABLES)])


def golden_table(version: str, agent: str) -> dict[str, dict[str, str]]:
    with (GOLDEN / "golden" / "scores" / version / f"{agent}.csv").open(newline="") as stream:
        return {row["token"]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def dataset(tokens, tmp_path_factory) -> NavsimDataset:
    scene_filter = SceneFilter(frame_interval=1, tokens=tokens)
    return NavsimDataset(GOLDEN, scene_filter=scene_filter, index_folder=tmp_path_factory.mktemp("index"))


@dataclass
class PrepareOnce:
    """Prepares each scene once for all tests; with ``carried`` as the original does, scene after scene."""

    carried: set[str] | None
    known: dict[tuple[str, Protocol], ScoringScene] = field(default_factory=dict)

    def __call__(self, scene: Scene, protocol: Protocol) -> ScoringScene:
        key = scene.token, protocol
        if key not in self.known:
            self.known[key] = prepare_scene(scene, protocol, carried_exemptions=self.carried)
        return self.known[key]


@pytest.fixture(scope="module")
def as_original() -> dict[Protocol, PrepareOnce]:
    return {protocol: PrepareOnce(set()) for protocol in Protocol}


def evaluate_golden(dataset, agents, protocol: Protocol, prepare, **options):
    task = Task(DatasetSource("navsim", ready=dataset), agents, protocol, prepare=prepare, **options)
    return evaluate(task)


def deviations(evaluation, protocol: Protocol, version: str = "") -> dict[str, float]:
    """Greatest deviation of any number from the original's, by token."""
    greatest: dict[str, float] = {}
    for agent in {row.agent for row in evaluation.rows}:
        golden = golden_table(version or protocol.value, agent)
        rows = [row for row in evaluation.rows if row.agent == agent]
        assert {row.token for row in rows} == set(golden)
        for row in rows:
            assert not row.failed, row.error
            ours = {**row.metrics, "score": row.score}
            for name in (*metric_names(protocol), "score"):
                theirs = golden[row.token][name]
                if theirs == "":
                    assert np.isnan(ours[name]), (row.token, agent, name)
                    continue
                off = np.inf if np.isnan(ours[name]) else abs(ours[name] - float(theirs))
                greatest[row.token] = max(greatest.get(row.token, 0.0), off)
    return greatest


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_number_equals_the_original(dataset, agents, protocol, as_original):
    evaluation = evaluate_golden(dataset, agents, protocol, as_original[protocol])
    assert evaluation.summary.scenes_scored == 105
    worst = deviations(evaluation, protocol)
    assert max(worst.values()) < 1e-9, {token: off for token, off in worst.items() if off >= 1e-9}


def test_without_the_human_filter_as_well(dataset, agents, as_original):
    evaluation = evaluate_golden(dataset, agents, Protocol.V2_2, as_original[Protocol.V2_2], human_filter=False)
    assert max(deviations(evaluation, Protocol.V2_2, "v2.2_nofilter").values()) < 1e-9
    assert evaluation.summary.variant["human_filter"] is False


def test_where_chunks_are_cut_does_not_matter_to_extended_comfort(dataset, agents, as_original, monkeypatch):
    whole = evaluate_golden(dataset, agents[:2], Protocol.V2_2, as_original[Protocol.V2_2])
    monkeypatch.setattr(runner, "cut_into_chunks", partial(runner.cut_into_chunks, size=2))
    cut = evaluate_golden(dataset, agents[:2], Protocol.V2_2, as_original[Protocol.V2_2])
    assert repr(cut.rows) == repr(whole.rows)  # repr: NaN equals NaN
    assert sum(not np.isnan(row.metrics["two_frame_extended_comfort"]) for row in cut.rows) == 140


def test_prepared_scenes_from_a_store_give_the_same_scores(tokens, agents, tmp_path):
    chosen = tokens[:6]
    scene_filter = SceneFilter(frame_interval=1, tokens=chosen)
    dataset = NavsimDataset(GOLDEN, scene_filter=scene_filter, index_folder=tmp_path / "index")
    build_store(tmp_path / "store", lambda: dataset, Protocol.V1_1, source="golden")
    task = Task(DatasetSource("navsim", ready=dataset), agents[:2], Protocol.V1_1)
    stored = replace(task, prepare=PrepareFromStore(tmp_path / "store"))
    assert evaluate(stored).rows == evaluate(task).rows
    with pytest.raises(OpenPairError, match=r"prepared for protocol v1\.1"):
        PrepareFromStore(tmp_path / "store").open(Protocol.V2_2)
    scene = dataset.load_scene(chosen[0])
    moved = replace(scene.current, ego=replace(scene.current.ego, velocity=scene.current.ego.velocity + 1))
    other = replace(scene, frames=(*scene.frames[:3], moved, *scene.frames[4:]))
    with pytest.raises(OpenPairError, match="prepared from other data"):
        stored.prepare(other, Protocol.V1_1)


def test_a_scene_stands_for_itself_unless_asked_otherwise(dataset, agents):
    evaluation = evaluate_golden(dataset, agents, Protocol.V1_1, prepare_scene)
    different = {token for token, off in deviations(evaluation, Protocol.V1_1).items() if off >= 1e-9}
    assert different == CARRIED


@pytest.mark.parametrize(
    ("options", "version", "different"),
    [
        (("--protocol", "v1.1"), "v1.1", {"8cee95964dc6b01a"}),
        (("--protocol", "v2.2"), "v2.2", {"8cee95964dc6b01a", "7f52322d61844ce4"}),
    ],
)
def test_exemptions_are_carried_from_scene_to_scene_on_request(tmp_path, monkeypatch, options, version, different):
    """The original's order-dependence as an option of the command: with it, no scene differs from its tables."""
    monkeypatch.setattr("openpair.datasets.navsim.dataset.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(runner, "cut_into_chunks", partial(runner.cut_into_chunks, size=2))
    plans = tmp_path / "table1.npz"
    trajectories = np.load(GOLDEN / "golden" / "trajectories.npz")
    np.savez(plans, token=trajectories["token"], poses=trajectories["table"][:, 1])

    def run(name: str, *more: str) -> dict[str, float]:
        out = tmp_path / name
        where = ["--dataset", "navsim", "--root", str(GOLDEN), "--tokens", str(GOLDEN / "golden" / "scenes.csv")]
        with pytest.raises(SystemExit) as stop:
            main(["eval", *where, "--agent", str(plans), *options, *more, "--out", str(out)])
        assert not stop.value.code
        with (out / "scores.csv").open(newline="") as stream:
            return {row["token"]: float(row["score"]) for row in csv.DictReader(stream)}

    golden = {token: float(row["score"]) for token, row in golden_table(version, "table1").items()}
    alone, carried = run("alone", "--workers", "1"), run("carried", "--workers", "2", "--carry-exemptions")
    assert carried == pytest.approx(golden, rel=0, abs=1e-9)
    assert {token for token in golden if abs(alone[token] - golden[token]) > 1e-9} == different
    variants = [json.loads((tmp_path / name / "summary.json").read_text())["variant"] for name in ("alone", "carried")]
    assert "exemptions" not in variants[0] and "carried" in variants[1]["exemptions"]


def test_what_goes_against_carried_exemptions_is_refused(dataset, agents, tmp_path, capsys):
    def pool(open_worker, items):
        raise AssertionError("nothing is handed out")

    with pytest.raises(OpenPairError, match="in one process"):
        evaluate_golden_on(pool, dataset, agents)
    where = ["--dataset", "navsim", "--root", str(GOLDEN), "--out", str(tmp_path / "out"), "--carry-exemptions"]
    for more in (["--prepared", str(tmp_path)], ["--protocol", "v2.2", "--stages", "2", "--mapping", "m.yaml"]):
        with pytest.raises(SystemExit) as stop:
            main(["eval", *where, *more])
        assert stop.value.code == 2 and "every scene stands for itself" in capsys.readouterr().err


def evaluate_golden_on(pool, dataset, agents):
    task = Task(DatasetSource("navsim", ready=dataset), agents, Protocol.V1_1, carry_exemptions=True)
    return evaluate(task, pool=pool)
