"""From candidates to a plan: the best one, or their mean by predicted score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from openpair.checkpoints import from_plain, to_plain
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.planning.changes import PlannerChanges
from openpair.planning.config import MODES, PlannerConfig
from openpair.planning.judgement import JUDGED_NUMBERS
from openpair.planning.networks import TrainedNetworks
from openpair.planning.planner import Choice, Planner, PlanningBatch, blended, choose
from openpair.rewards.base import RewardContext, RewardModel
from openpair.rewards.pose_aware import PoseAwareRewardModel
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.samplers.base import Sampler, SamplerContext
from openpair.samplers.kinematic_config import KinematicTreeConfig


def straight(speed: float, heading: float = 0.0) -> Tensor:
    seconds = torch.arange(1, 9) * 0.5
    xy = speed * seconds[:, None] * torch.tensor([math.cos(heading), math.sin(heading)])
    return torch.cat((xy, torch.full((8, 1), heading)), dim=-1)


class GivenScores(RewardModel):
    """Thinks of the candidates what it is told to; of a single one, what it thinks of the previous plan."""

    kind = "given"

    def __init__(self, scores: list[float], of_previous: float = 0.5, *, sees_the_set: bool = False) -> None:
        super().__init__()
        self.config = None
        self.scores, self.of_previous = torch.tensor([scores]), torch.tensor([[of_previous]])
        self.sees_the_set = sees_the_set  # type: ignore[misc]

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        return RewardContext(features["status_feature"], features["status_feature"])

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        known = {1: self.of_previous, 2: self.scores, 3: torch.cat((self.of_previous, self.scores), dim=1)}
        scores = known[candidates.shape[1]].expand(len(candidates), -1)
        return {"sim_logits": scores.logit()[:, None]}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        pytest.fail("nobody trains it")


def plan(
    scores: list[float], temperature: float, previous: Tensor | None = None, of_previous: float = 0.5, **settings: Any
) -> Choice:
    root, faster = straight(4.0), straight(6.0)
    sees_the_set = settings.pop("sees_the_set", False)
    count = 1 if previous is None else len(previous)
    return choose(
        {"status_feature": torch.zeros(count, 8)},
        root.expand(count, -1, -1),
        lambda features, around: faster.expand(count, 1, -1, -1),
        GivenScores(scores, of_previous, sees_the_set=sees_the_set),
        PlannerConfig(temperature=temperature, **settings),
        previous,
    )


def test_without_blending_the_best_candidate_is_the_plan():
    choice = plan([0.8, 0.7], 0.0)
    torch.testing.assert_close(choice.plan[0], straight(6.0))
    assert int(choice.index) == 0


def test_candidates_that_are_valued_alike_are_met_in_the_middle():
    torch.testing.assert_close(plan([0.8, 0.8], 0.02).plan[0], straight(5.0))


def test_weights_are_those_of_the_softmax():
    # 0.02 apart at a temperature of 0.02: e to 1.
    share = math.e / (1 + math.e)
    choice = plan([0.82, 0.80], 0.02)
    torch.testing.assert_close(choice.plan[0], straight(4.0 + 2.0 * share), atol=1e-4, rtol=0)
    assert int(choice.index) == 0


def test_a_much_better_candidate_stands_alone():
    torch.testing.assert_close(plan([0.2, 0.9], 0.02).plan[0], straight(4.0))


@pytest.mark.parametrize("heading", [0.3, math.pi - 0.1])
def test_headings_are_averaged_round_the_circle(heading):
    left, right = straight(4.0, heading + 0.2), straight(4.0, heading - 0.2)
    mean = blended(torch.stack((left, right))[None], torch.zeros(1, 2), 0.05)[0]
    torch.testing.assert_close(mean[:, 2].cos(), torch.full((8,), math.cos(heading)))
    torch.testing.assert_close(mean[:, 2].sin(), torch.full((8,), math.sin(heading)))


def test_a_root_bonus_decides_between_candidates_that_are_valued_alike():
    torch.testing.assert_close(plan([0.80, 0.75], 0.0, root_bonus=0.1).plan[0], straight(4.0))
    choice = plan([0.80, 0.78], 0.02, root_bonus=0.02)
    torch.testing.assert_close(choice.plan[0], straight(5.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(choice.value, torch.tensor([[0.8, 0.8]]))


@pytest.mark.parametrize("sees_the_set", [False, True])
def test_the_previous_plan_is_a_candidate_where_there_is_one(sees_the_set):
    previous = torch.stack((straight(5.0), torch.full((8, 3), torch.nan)))
    kept = plan([0.8, 0.7], 0.0, previous, 0.75, previous_plan_bonus=0.1, sees_the_set=sees_the_set)
    torch.testing.assert_close(kept.plan, torch.stack((straight(5.0), straight(6.0))))
    assert kept.has_previous and kept.candidates.shape == (2, 3, 8, 3) and kept.value[1, 0] == -torch.inf
    too_bad = plan([0.8, 0.7], 0.0, previous, 0.75, previous_plan_bonus=0.02, sees_the_set=sees_the_set)
    torch.testing.assert_close(too_bad.plan, straight(6.0).expand(2, -1, -1))


def test_without_memory_and_without_a_previous_plan_nothing_is_added():
    assert plan([0.8, 0.7], 0.0, straight(5.0)[None], 0.9).candidates.shape[1] == 2
    nowhere = torch.full((1, 8, 3), torch.nan)
    assert plan([0.8, 0.7], 0.0, nowhere, 0.9, previous_plan_bonus=0.5).candidates.shape[1] == 2


def test_favourites_are_those_with_the_greatest_values():
    choice = plan([0.8, 0.7], 0.0, straight(5.0)[None], 0.75, previous_plan_bonus=0.0)
    torch.testing.assert_close(choice.favourites(2)[0], torch.stack((straight(6.0), straight(5.0))))


class SmallTree(Sampler):
    """Two leaves, whatever it is asked; counts how often it looks at a batch."""

    kind = "small"

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def encode(self, features: Mapping[str, Tensor], *, perceive: bool = True) -> SamplerContext:
        self.looks += 1
        return SamplerContext(features["status_feature"], features["status_feature"])

    def expand(self, context: SamplerContext, root: Tensor, **_: Any) -> Any:
        return SimpleNamespace(leaves=torch.stack((1.1 * root, 0.9 * root), dim=1)[:, None])


class Counting(GivenScores):
    """Likes plans the more, the farther they get; counts what it scores."""

    scored = 0

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        self.scored += 1
        return {"sim_logits": (candidates[..., -1, 0] / 100).clamp(0.01, 0.99).logit()[:, None]}


def test_planners_that_share_networks_run_them_once():
    tree, model = SmallTree(), Counting([])
    networks = TrainedNetworks(FeatureConfig.near(), sampler=tree, reward_model=model)
    batch = PlanningBatch({"status_feature": torch.zeros(1, 8)}, straight(4.0)[None])
    for bonus, temperature in ((0.0, 0.0), (0.1, 0.0), (0.2, 0.05)):
        config = PlannerConfig(root="human", root_bonus=bonus, temperature=temperature)
        Planner(networks, config).choose(batch)
    assert (tree.looks, model.scored) == (1, 1)
    Planner(networks, PlannerConfig(root="human", candidates="mild")).choose(batch)
    assert (tree.looks, model.scored) == (1, 2)


class Hastening(SmallTree):
    """Two leaves that are 1 m further along at every pose than the root, and 3 m further."""

    def mean_leaves(self, context: SamplerContext, root: Tensor, *, strength: float = 1.0) -> Tensor:
        return torch.stack([root + torch.tensor([strength * far, 0.0, 0.0]) for far in (1.0, 3.0)], dim=1)


def test_a_root_moves_to_the_mean_of_the_tree_around_it_as_often_as_is_set():
    networks = TrainedNetworks(FeatureConfig.near(), sampler=Hastening())
    batch = PlanningBatch({"status_feature": torch.zeros(1, 8)}, straight(4.0)[None])
    expected = {(0, 1.0): 0.0, (1, 1.0): 4 / 3, (3, 1.0): 4.0, (1, 0.75): 1.0}
    for (reroots, strength), far in expected.items():
        config = PlannerConfig(root="human", candidates="none", reroots=reroots, strength=strength)
        moved = Planner(networks, config).choose(batch).plan[0] - straight(4.0)
        torch.testing.assert_close(moved[:, 0], torch.full((8,), far), atol=1e-5, rtol=0)
    with pytest.raises(OpenPairError, match="lacks a sampler"):
        Planner(TrainedNetworks(FeatureConfig.near()), config)
    with pytest.raises(OpenPairError, match="the root moves -1 times"):
        PlannerConfig(reroots=-1)


def test_candidates_are_made_around_the_root_where_it_ends():
    networks = TrainedNetworks(FeatureConfig.near(), sampler=Hastening(), reward_model=Counting([]))
    batch = PlanningBatch({"status_feature": torch.zeros(1, 8)}, straight(4.0)[None])
    planner = Planner(networks, PlannerConfig(root="human", candidates="mild", reroots=1))
    choice = planner.choose(batch)
    torch.testing.assert_close(choice.candidates[0, -1, :, 0], straight(4.0)[:, 0] + 4 / 3)
    assert planner.candidate_names(choice)[-1] == "mean of the tree"


def test_changes_of_the_root_reach_the_tree_alone():
    settings = PlannerChanges(reroots=2, strength=0.5)
    assert MODES["pair"].changed(settings) == replace(MODES["pair"], reroots=2, strength=0.5)
    assert MODES["tree_mean"].changed(settings) == replace(MODES["tree_mean"], reroots=2, strength=0.5)
    assert MODES["il"].changed(settings) == MODES["il"]
    assert MODES["il_rwm_wide"].changed(settings).reroots == 0


def test_a_planner_says_what_it_lacks():
    networks = TrainedNetworks(FeatureConfig.near())
    with pytest.raises(OpenPairError, match="lacks a policy and a sampler and a reward model"):
        Planner(networks, PlannerConfig())
    with pytest.raises(OpenPairError, match="is not known"):
        human = Planner(networks, PlannerConfig(root="human", candidates="none"))
        human.choose(PlanningBatch({"status_feature": torch.zeros(1, 8)}))


def test_no_network_carries_a_setting_of_the_planner_and_old_files_stay_readable():
    for config, retired in ((PoseAwareConfig.small(), "blend"), (KinematicTreeConfig.small(), "strength")):
        assert not hasattr(config, retired)
        assert from_plain(type(config), {**to_plain(config), retired: 0.25}) == config


def test_the_corrector_has_the_last_word():
    """Whatever was chosen, the plan is the corrector's only leaf around it, and it knows what the model thinks."""
    model = PoseAwareRewardModel(PoseAwareConfig.small()).eval()
    judged: list[Tensor] = []

    class Slower(Sampler):
        kind = "slower"

        def encode(self, features: Mapping[str, Tensor], *, perceive: bool = True) -> SamplerContext:
            return SamplerContext(features["status_feature"], features["status_feature"])

        def expand(self, context: SamplerContext, root: Tensor, **settings: Any) -> Any:
            pytest.fail("its leaves are asked for")

        def mean_leaves(self, context: SamplerContext, root: Tensor, *, strength: float = 1.0) -> Tensor:
            assert context.judgement is not None
            judged.append(context.judgement(root))
            return ((1.0 - 0.5 * strength) * root)[:, None]

    networks = TrainedNetworks(FeatureConfig(), None, None, model, Slower())
    seen = {
        "camera_feature": torch.rand(1, 3, 64, 256),
        "lidar_feature": torch.rand(1, 1, 128, 128),
        "status_feature": torch.zeros(1, 8),
    }
    for share in (0.5, 1.0):
        config = PlannerConfig(root="human", candidates="wide", temperature=0.05)
        batch = PlanningBatch(seen, straight(4.0)[None])
        chosen = Planner(networks, config).choose(batch)
        corrected = Planner(networks, replace(config, correction=share)).choose(batch)
        torch.testing.assert_close(corrected.plan, (1.0 - 0.5 * share) * chosen.plan)
        assert torch.equal(corrected.candidates, chosen.candidates)
    assert judged[0].shape == (1, JUDGED_NUMBERS) and torch.equal(judged[0], judged[1])
    for lacks, what in (("corrector", "a corrector"), ("reward_model", "a reward model")):
        with pytest.raises(OpenPairError, match=what):
            Planner(replace(networks, **{lacks: None}), replace(config, candidates="none", correction=1.0))
    with pytest.raises(OpenPairError, match="correction is 2"):
        PlannerConfig(correction=2.0)
    with pytest.raises(OpenPairError, match="nothing corrects"):
        PlannerConfig(correction=1.0, best_of=6)
    assert MODES["pair_best_of_6"].changed(PlannerChanges(correction=1.0)).correction == 0.0
