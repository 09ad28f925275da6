"""The built-in agents and files of plans."""

from pathlib import Path

import numpy as np
import pytest
from toy_town import SPEED_MPS, toy_prepare, toy_scene

from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.agents import (
    ConstantVelocityAgent,
    HumanAgent,
    PdmClosedAgent,
    PlansFileAgent,
    check_plan,
)
from openpair.evaluation.plans_file import read_plans
from openpair.evaluation.sources import parse_agent, parse_agents

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")


@needs_golden
def test_human_and_constant_velocity_plans_equal_the_original():
    from openpair.datasets.navsim.logs import read_log
    from openpair.datatypes.scene import Scene

    golden = np.load(GOLDEN / "golden" / "trajectories.npz")
    row = {token: i for i, token in enumerate(golden["token"].tolist())}
    checked = 0
    for path in sorted((GOLDEN / "navsim_logs" / "mini").glob("*.pkl")):
        log = read_log(path)
        frames = [log.frame(i) for i in range(len(log))]
        for i, frame in enumerate(frames):
            if frame.token in row:
                scene = Scene("navsim", path.stem, None, tuple(frames[i - 3 : i + 11]))
                constant, human = ConstantVelocityAgent().plan(scene), HumanAgent().plan(scene)
                np.testing.assert_array_equal(constant, golden["constant_velocity"][row[frame.token]])
                np.testing.assert_allclose(human, golden["human"][row[frame.token]], rtol=0, atol=1e-8)
                checked += 1
    assert checked == len(row) == 105


def test_pdm_closed_is_the_reference_at_whole_half_seconds():
    agent = PdmClosedAgent(lambda scene: toy_prepare(scene, Protocol.V1_1))  # its reference drives 10 m/s straight on
    expected = np.stack([5.0 * np.arange(1, 9), np.zeros(8), np.zeros(8)], axis=1)
    np.testing.assert_allclose(agent.plan(toy_scene("log", "t", 0)), expected, atol=1e-12)


def test_the_human_drives_the_recorded_future():
    plan = HumanAgent().plan(toy_scene("log", "t", 0))
    np.testing.assert_allclose(plan[:, 0], 0.5 * SPEED_MPS * np.arange(1, 9))


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [(np.zeros((7, 3)), "shape"), (np.zeros((8, 2)), "shape"), (np.full((8, 3), np.nan), "NaN")],
)
def test_a_plan_of_wrong_shape_or_without_numbers_is_refused(plan, complaint):
    with pytest.raises(OpenPairError, match=complaint):
        check_plan(plan, agent="mine")


def write_plans(path: Path, **arrays) -> Path:
    defaults = {"token": np.array(["a", "b"]), "poses": np.zeros((2, 8, 3))}
    np.savez(path, **{k: v for k, v in {**defaults, **arrays}.items() if v is not None})
    return path


def test_plans_are_found_by_token(tmp_path):
    poses = np.random.default_rng(0).normal(size=(2, 8, 3)).astype(np.float32)
    agent = PlansFileAgent(read_plans(write_plans(tmp_path / "p.npz", poses=poses)))
    np.testing.assert_array_equal(agent.plan(toy_scene("log", "b", 0)), poses[1])
    with pytest.raises(OpenPairError, match="no plan for this scene"):
        agent.plan(toy_scene("log", "c", 0))


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"poses": None}, "'poses' is missing"),
        ({"token": None}, "'token' is missing"),
        ({"poses": np.zeros((2, 8, 2))}, r"shape \(2, 8, 2\)"),
        ({"poses": np.zeros((3, 8, 3))}, r"shape \(3, 8, 3\)"),
        ({"poses": np.array([["x"]])}, "'poses' is <U1"),
        ({"token": np.array([1, 2])}, "'token' is int64"),
        ({"token": np.array(["a", "a"])}, "more than once"),
        ({"poses": np.concatenate([np.zeros((1, 8, 3)), np.full((1, 8, 3), np.nan)])}, "first for token b"),
        ({"token": np.array([], dtype="U1"), "poses": np.zeros((0, 8, 3))}, "holds no plans"),
        ({"token": np.array([{}, {}], dtype=object)}, "cannot be read"),
    ],
)
def test_a_file_of_plans_with_a_fault_is_refused_with_a_sentence(tmp_path, arrays, complaint):
    with pytest.raises(OpenPairError, match=complaint):
        read_plans(write_plans(tmp_path / "plans.npz", **arrays))


def test_a_truncated_or_foreign_file_of_plans_is_refused(tmp_path):
    whole = write_plans(tmp_path / "whole.npz").read_bytes()
    cut = tmp_path / "cut.npz"
    for content in (whole[: len(whole) // 2], b"", b"no archive at all"):
        cut.write_bytes(content)
        with pytest.raises(OpenPairError, match="cannot be read"):
            read_plans(cut)


def test_plans_for_unknown_tokens_are_refused(tmp_path):
    plans = read_plans(write_plans(tmp_path / "p.npz"))
    plans.check_tokens_known(["a", "b", "c"])
    with pytest.raises(OpenPairError, match=r"1 of 2 plans .* \(b\)"):
        plans.check_tokens_known(["a"])


def test_agents_are_named_on_the_command_line(tmp_path):
    plans = write_plans(tmp_path / "mine.npz")
    run = tmp_path / "run"
    run.mkdir()
    assert parse_agent("human").kind == "human"
    assert (parse_agent(str(plans)).kind, parse_agent(str(plans)).name) == ("plans", "mine")
    assert parse_agent(f"other={plans}").name == "other"
    checkpoint = parse_agent(f"{run}@il")
    assert (checkpoint.kind, checkpoint.path, checkpoint.mode, checkpoint.name) == ("checkpoint", run, "il", "run@il")


def test_a_name_that_is_no_agent_gets_a_suggestion():
    with pytest.raises(OpenPairError, match="Did you mean 'human'"):
        parse_agent("humn")


def test_two_agents_of_one_name_and_no_agent_at_all_are_refused():
    with pytest.raises(OpenPairError, match="two agents are called 'human'"):
        parse_agents(["human", "human"])
    with pytest.raises(OpenPairError, match="no agent is given"):
        parse_agents([])
