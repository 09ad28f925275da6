"""docs/bring_your_own_policy.md runs as printed; whatever plans can be an agent, and the root of a tree."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from openpair.checkpoints import save_checkpoint
from openpair.cli.main import main
from openpair.datasets.registry import open_dataset
from openpair.errors import OpenPairError
from openpair.evaluation.plugins import agent_of
from openpair.evaluation.records import read_scores
from openpair.evaluation.sources import AgentContext, AgentSource, parse_agent
from openpair.features.config import FeatureConfig
from openpair.planning.network_files import REWARD_MODEL_FILE, SAMPLER_FILE
from openpair.planning.networks import features_note
from openpair.planning.scene_planner import ScenePlanner
from openpair.rewards.pose_aware import PoseAwareRewardModel
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.kinematic_tree import KinematicTree

PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own_policy.md"
SCENES = 3


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sampler and a reward model, untrained, and no policy."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    for file, network in (
        (SAMPLER_FILE, KinematicTree(KinematicTreeConfig.small())),
        (REWARD_MODEL_FILE, PoseAwareRewardModel(PoseAwareConfig.small())),
    ):
        save_checkpoint(folder / file, network, notes=features_note(FeatureConfig.near()))
    return folder


@pytest.fixture(scope="module")
def context() -> AgentContext:
    dataset = open_dataset("world", split="test", max_scenes=SCENES)
    return AgentContext(dataset, lambda scene: pytest.fail("these agents do not see the truth"), 0)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """The page's module, as a user saves it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    path = tmp_path / "my_policy.py"
    path.write_text(code)
    return path


def planner(spec: str, context: AgentContext) -> ScenePlanner:
    agent = parse_agent(spec).build(context)
    assert isinstance(agent, ScenePlanner)
    return agent


def test_the_page_runs_as_printed(policy_file: Path, run_folder: Path, tmp_path: Path) -> None:
    spec = f"{policy_file}:keep_going"
    arguments = ["--dataset", "world", "--max-scenes", str(SCENES), "--workers", "1", "--out", str(tmp_path / "out")]
    agents = ["--agent", spec, "--agent", f"pair={spec}+{run_folder}", "--agent", f"{spec}+{run_folder}@il_rwm"]
    with pytest.raises(SystemExit) as finished:
        main(["eval", *arguments, *agents])
    assert not finished.value.code
    rows = read_scores(tmp_path / "out" / "scores.csv")
    names = {"keep_going", "pair", f"keep_going+{run_folder.name}@il_rwm"}
    assert {row.agent for row in rows} == names and len(rows) == SCENES * len(names)
    assert all(row.score is not None for row in rows)


def test_a_registered_name_is_found(
    policy_file: Path, context: AgentContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    registered = toml.replace('[project.entry-points."openpair.agents"]', "[openpair.agents]").replace('"', "")
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(registered)
    monkeypatch.syspath_prepend(str(policy_file.parent))
    source = parse_agent("keep_going")
    scene = context.dataset.load_scene(context.dataset.keys()[0].token)
    plan = np.asarray(source.build(context).plan(scene))
    assert plan.shape == (8, 3)
    np.testing.assert_allclose(plan[:, 1:], 0)
    with pytest.raises(OpenPairError, match="Did you mean 'keep_going'"):
        parse_agent("keep_gong")


def test_candidates_grow_around_the_plan_of_the_file(context: AgentContext, run_folder: Path, tmp_path: Path) -> None:
    tokens = [key.token for key in context.dataset.keys()]
    poses = np.cumsum(np.random.default_rng(0).uniform(0.5, 2.0, (len(tokens), 8, 3)) * [1, 0, 0], axis=1)
    plans = tmp_path / "plans.npz"
    np.savez(plans, token=np.array(tokens), poses=poses)
    scene = context.dataset.load_scene(tokens[-1])
    choice = planner(f"{plans}+{run_folder}", context).choose([scene])
    np.testing.assert_allclose(choice.candidates[0, -1].numpy(), poses[-1], atol=1e-6)
    assert choice.candidates.shape == (1, 16, 8, 3)
    assert parse_agent(f"{plans}+{run_folder}").plans_path() == plans


def test_the_human_as_root_is_the_mode_of_that_name(context: AgentContext, run_folder: Path) -> None:
    scene = context.dataset.load_scene(context.dataset.keys()[0].token)
    one, other = (
        planner(spec, context).choose([scene]) for spec in (f"human+{run_folder}", f"{run_folder}@human_pair")
    )
    assert torch.equal(one.candidates, other.candidates) and torch.equal(one.plan, other.plan)


def test_the_hash_of_an_agent_changes_with_its_root(run_folder: Path) -> None:
    hashes = [
        parse_agent(spec).sha256() for spec in (str(run_folder), f"human+{run_folder}", f"pdm_closed+{run_folder}")
    ]
    assert len(set(hashes)) == 3


def test_functions_objects_and_files_are_agents(context: AgentContext, tmp_path: Path) -> None:
    scene = context.dataset.load_scene(context.dataset.keys()[0].token)
    expected = np.full((8, 3), 0.5)

    class Planner:
        def plan(self, scene: object) -> np.ndarray:
            return expected

    np.savez(tmp_path / "p.npz", token=np.array([scene.token]), poses=expected[None])
    for thing in (lambda scene: expected, Planner(), tmp_path / "p.npz"):
        agent = agent_of(thing, context, "mine")
        assert agent.name == "mine" and not agent.uses_truth
        np.testing.assert_array_equal(agent.plan(scene), expected)
    with pytest.raises(OpenPairError, match="a int, which does not plan"):
        agent_of(7, context, "mine")


def test_what_cannot_be_an_agent_is_refused_in_a_sentence(
    policy_file: Path, context: AgentContext, run_folder: Path
) -> None:
    with pytest.raises(OpenPairError, match="cannot be imported"):
        parse_agent(f"{policy_file}:drive_on").build(context)
    with pytest.raises(OpenPairError, match="neither a sampler nor a reward model"):
        parse_agent("human+constant_velocity")
    with pytest.raises(OpenPairError, match="has a root of its own"):
        parse_agent(f"constant_velocity+{run_folder}@human_pair").build(context)
    best = AgentSource("best", "checkpoint", run_folder, "pair_best_of_6", root=parse_agent("human"))
    with pytest.raises(OpenPairError, match="lets the true score pick"):
        AgentSource("nested", "checkpoint", run_folder, root=best).build(context)
