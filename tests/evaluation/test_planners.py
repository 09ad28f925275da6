"""Trained planners as agents: settings beside the networks, changes on the command line, the previous plan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from openpair.checkpoints import save_checkpoint
from openpair.cli.main import main
from openpair.datasets.base import SceneKey
from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.evaluation.records import read_scores
from openpair.evaluation.sources import AgentContext, AgentSource, parse_agent, parse_agents, planner_notes
from openpair.features.config import FeatureConfig
from openpair.planning.changes import PlannerChanges
from openpair.planning.memory import driven_on, ego_motion
from openpair.planning.network_files import POLICY_FILE, REWARD_MODEL_FILE, SAMPLER_FILE
from openpair.planning.networks import features_note
from openpair.planning.planner_file import StoredPlanner
from openpair.planning.scene_planner import ScenePlanner
from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.rewards.pose_aware import PoseAwareRewardModel
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.kinematic_tree import KinematicTree

SCENES = 3
KEEPS_GOING = PlannerChanges(previous_plan_bonus=1.0)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained networks of a whole planner."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    for file, network in (
        (POLICY_FILE, Transfuser(TransfuserConfig.small())),
        (SAMPLER_FILE, KinematicTree(KinematicTreeConfig.small())),
        (REWARD_MODEL_FILE, PoseAwareRewardModel(PoseAwareConfig.small())),
    ):
        save_checkpoint(folder / file, network, notes=features_note(FeatureConfig.near()))
    return folder


def context(dataset: WorldDataset) -> AgentContext:
    return AgentContext(dataset, lambda scene: pytest.fail("these agents do not see the truth"), 0)


def built(source: AgentSource, dataset: WorldDataset) -> ScenePlanner:
    agent = source.build(context(dataset))
    assert isinstance(agent, ScenePlanner)
    return agent


@pytest.fixture(scope="module")
def dataset() -> WorldDataset:
    return WorldDataset("test", max_scenes=SCENES)


def test_the_previous_plan_is_that_of_the_preceding_scene_without_memory(
    run_folder: Path, dataset: WorldDataset
) -> None:
    (source,) = parse_agents([str(run_folder)], changes=KEEPS_GOING)
    planner, alone = built(source, dataset), built(parse_agent(str(run_folder)), dataset)
    scenes = [dataset.load_scene(key.token) for key in dataset.keys()]
    plans, without = planner.plan_batch(scenes), alone.plan_batch(scenes)
    known = [dataset.predecessor(scene.token) for scene in scenes]
    assert any(known) and not all(known)
    for scene, token, plan, forgetful in zip(scenes, known, plans, without, strict=True):
        if token is None:
            np.testing.assert_allclose(plan, forgetful, atol=1e-4)
            continue
        earlier = dataset.load_scene(token)
        motion = ego_motion(earlier, scene)
        assert motion is not None
        previous = torch.from_numpy(alone.plan(earlier)).float()[None]
        np.testing.assert_allclose(plan, driven_on(previous, torch.from_numpy(motion)[None])[0], atol=1e-4)
        np.testing.assert_allclose(planner.plan(earlier), alone.plan(earlier), atol=1e-4)  # it has no memory itself


def test_a_preceding_scene_that_cannot_be_loaded_fails_the_scene_where_memory_is_on(run_folder: Path) -> None:
    class Broken(WorldDataset):
        def load_scene(self, token: str) -> Scene:
            if token not in {key.token for key in self.keys()}:
                raise OpenPairError("the log ends here")
            return super().load_scene(token)

    broken = Broken("test", max_scenes=SCENES)
    scene = broken.load_scene(next(key.token for key in broken.keys() if broken.predecessor(key.token)))
    assert built(parse_agent(str(run_folder)), broken).plan(scene).shape == (8, 3)
    (source,) = parse_agents([str(run_folder)], changes=KEEPS_GOING)
    with pytest.raises(OpenPairError, match=r"preceding scene.*the log ends here"):
        built(source, broken).plan(scene)


def test_plans_of_a_file_know_nothing_of_scenes_before(run_folder: Path, dataset: WorldDataset, tmp_path: Path) -> None:
    tokens = [key.token for key in dataset.keys()]
    np.savez(tmp_path / "p.npz", token=np.array(tokens), poses=np.cumsum(np.ones((SCENES, 8, 3)) * [2, 0, 0], axis=1))
    (source,) = parse_agents([f"{tmp_path / 'p.npz'}+{run_folder}"], changes=KEEPS_GOING)
    assert not source.planner()[1].remembers
    assert built(source, dataset).plan_batch([dataset.load_scene(token) for token in tokens]).shape == (SCENES, 8, 3)


def test_settings_and_changes_are_a_part_of_the_agent(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for path in run_folder.iterdir():
        (folder / path.name).symlink_to(path)
    source = parse_agent(str(folder))
    hashes = [source.sha256()]
    StoredPlanner(settings=PlannerChanges(temperature=0.05)).write(folder)
    hashes += [source.sha256(), *(s.sha256() for s in parse_agents([str(folder)], changes=KEEPS_GOING))]
    assert len(set(hashes)) == 3
    assert source.planner()[1].temperature == 0.05
    StoredPlanner("il_rwm_wide").write(folder)
    assert source.planner()[0] == "il_rwm_wide" and source.planner()[1].candidates == "wide"
    (folder / "planner.json").write_text("{")
    with pytest.raises(OpenPairError, match=r"planner\.json: the planner's settings cannot be read"):
        source.planner()


def test_an_evaluation_says_how_it_planned(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agents = ["--agent", str(run_folder), "--agent", f"{run_folder}@il", "--agent", "constant_velocity"]
    given = ["--dataset", "world", "--max-scenes", str(SCENES), "--workers", "1", "--out", str(tmp_path / "out")]
    changes = ["--planner.temperature", "0.03", "--planner.previous-plan-bonus", "0.5"]
    with pytest.raises(SystemExit) as finished:
        main(["eval", *given, *agents, *changes])
    assert not finished.value.code
    planners = json.loads((tmp_path / "out" / "summary.json").read_text())["config"]["planners"]
    assert set(planners) == {run_folder.name, f"{run_folder.name}@il"}
    pair = planners[run_folder.name]
    assert (pair["mode"], pair["temperature"], pair["previous_plan_bonus"]) == ("pair", 0.03, 0.5)
    world = WorldDataset("test", max_scenes=SCENES)
    assert pair["scenes_with_previous_plan"] == sum(world.predecessor(key.token) is not None for key in world.keys())
    assert planners[f"{run_folder.name}@il"]["scenes_with_previous_plan"] == 0
    assert all(row.score is not None for row in read_scores(tmp_path / "out" / "scores.csv"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as finished:
        main(["eval", *given, *agents, "--planner.temprature", "0.03"])
    assert finished.value.code == 2 and "--planner.temperature" in capsys.readouterr().err
    with pytest.raises(SystemExit) as finished:
        main(["eval", *given, *agents, "--planner.previous-plan-bonus", "never"])
    assert finished.value.code == 2


def test_notes_of_scenes_without_a_log_count_none(run_folder: Path) -> None:
    (source,) = parse_agents([str(run_folder)], changes=KEEPS_GOING)
    notes = planner_notes([source], WorldDataset("test"), [SceneKey("", "0" * 16)])
    assert notes["planners"][source.name]["scenes_with_previous_plan"] == 0
    assert planner_notes([parse_agent("human")], WorldDataset("test"), []) == {}
