"""``openpair reproduce``: one seed at the smallest size, and published figures that anybody can make again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from openpair.cli.main import main
from openpair.configs.experiment import preset
from openpair.configs.runs import SEQUENTIAL_SCHEMES
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.chunk import Task
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import AgentSource, DatasetSource, parse_agents
from openpair.reproduction.settings import reproduction

DOCS = Path(__file__).parents[2] / "docs"
MAIN = {"il", "il_rwm", "sequential", "sequential_regularised", "iterative", "pair", "human", "human_pair"} | {
    "pair_best_of_6",
    "sequential_rwm",
    "il_rwm_untrained_tree",
    "constant_velocity",
    "pdm_closed",
}


def run(*args: object) -> int:
    """Exit status of a command."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(arg) for arg in args])
    return int(exit_info.value.code or 0)


def rows(path: Path) -> list[dict]:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished small reproduction of one seed."""
    out = tmp_path_factory.mktemp("reproduce")
    assert run("reproduce", "--size", "small", "--seeds", 0, "--out", out, "--workers", 1) == 0
    return out


def test_every_scheme_is_trained_chosen_scored_and_told(small: Path) -> None:
    main_rows = [row for row in rows(small / "results.json") if row["table"] == "main"]
    for protocol in ("v1.1", "v2.2"):
        assert {row["agent"] for row in main_rows if row["protocol"] == protocol} >= MAIN
    scores = [row for row in main_rows if row["metric"] == "score"]
    assert all(0 <= row["mean"] <= 100 and row["scenes"] == 8 for row in scores)
    assert any(row["metric"] == "two_frame_extended_comfort" for row in main_rows)
    tables = {row["table"] for row in rows(small / "results.json")}
    assert {"differences", "plug_in", "closed_loop_test"} <= tables
    driven = [row for row in rows(small / "results.json") if row["table"] == "closed_loop_test"]
    assert {row["agent"] for row in driven} >= {"human", "pdm_closed", "il", "il_rwm", "pair", "pair - il"}
    assert all(row["scenes"] == 1 for row in driven if row["metric"] == "driving_score")
    page = (small / "results.md").read_text()
    assert "## Closed loop" in page
    assert "openpair reproduce --size small --seeds 0" in page


def test_a_finished_run_is_not_trained_again_and_gives_the_same_page(small: Path) -> None:
    networks = sorted(small.glob("seed-0/*/*.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in networks}
    page = (small / "results.md").read_bytes()
    assert run("reproduce", "--size", "small", "--seeds", 0, "--out", small, "--workers", 1) == 0
    assert {path: path.stat().st_mtime_ns for path in networks} == before and len(networks) >= 6
    assert (small / "results.md").read_bytes() == page


def test_an_evaluation_drives_the_agents_of_the_results(small: Path) -> None:
    """Chosen temperature, bonuses, strength and memory included: planner.json of the run folder says them all."""
    main = {
        row["agent"]: row
        for row in rows(small / "results.json")
        if row["table"] == "main" and row["protocol"] == "v1.1" and row["metric"] == "score"
    }
    modes = {"pair": "", "il": "@il", "il_rwm_mild": "@il_rwm", "il_rwm_wide": "@il_rwm_wide"}
    modes |= {name: f"@{name}" for name in ("human_pair", "il_rwm_untrained_tree", "pair_best_of_6")}
    agents = parse_agents([f"{name}={small / 'seed-0'}{mode}" for name, mode in modes.items()])
    task = Task(DatasetSource("world", None, {"split": "test"}), agents, Protocol.V1_1, 0)
    summary = evaluate(task, workers=1, max_scenes=8).summary
    for name in modes:
        agent = summary.agent(name)
        assert agent.score.num_scenes == main[name]["scenes"] == 8
        assert 100 * agent.score.mean == pytest.approx(main[name]["mean"], abs=2e-4), name
        assert agent.uses_truth == (name == "pair_best_of_6")


def test_published_figures_of_agents_that_learn_nothing_come_out_again() -> None:
    """The whole test split: were world, preparation or scorer to change, docs/results.json would no longer hold."""
    published = {
        row["agent"]: row
        for row in rows(DOCS / "results.json")
        if row["table"] == "main" and row["protocol"] == "v1.1" and row["metric"] == "score"
    }
    names = ("human", "constant_velocity")
    agents = tuple(AgentSource(name, name) for name in names)
    task = Task(DatasetSource("world", None, {"split": "test"}), agents, Protocol.V1_1, 0)
    summary = evaluate(task, workers=1).summary
    for name in names:
        assert summary.agent(name).score.num_scenes == published[name]["scenes"]
        assert 100 * summary.agent(name).score.mean == pytest.approx(published[name]["mean"], abs=0.006)


def test_an_unknown_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reproduce", "--size", "huge") == 2
    assert "there is no size 'huge'" in capsys.readouterr().err


def test_a_budget_draws_out_every_training_and_nothing_else() -> None:
    usual, longer = reproduction("known"), reproduction("known", 10)
    assert (usual.budget, longer.budget) == (3, 10)
    for branch in ("imitation", "reinforcement", "reward_model", "correction", *SEQUENTIAL_SCHEMES):
        steps = getattr(usual.experiment, branch).steps, getattr(longer.experiment, branch).steps
        assert steps[1] * 3 == steps[0] * 10, branch
        same = replace(getattr(longer.experiment, branch), steps=steps[0])
        assert same == getattr(usual.experiment, branch)
    assert reproduction("gpu").experiment.imitation.steps == 10 * preset("demo").imitation.steps
    with pytest.raises(OpenPairError, match="a budget of 0"):
        reproduction("known", 0)
