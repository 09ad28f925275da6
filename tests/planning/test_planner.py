"""From candidates to a plan: the best one, or their mean by predicted score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from openpair.planning.planner import blended, choose
from openpair.rewards.base import RewardContext, RewardModel
from openpair.rewards.pose_aware import PoseAwareConfig
from openpair.rewards.world_model import RewardWorldModelConfig


def straight(speed: float, heading: float = 0.0) -> Tensor:
    seconds = torch.arange(1, 9) * 0.5
    xy = speed * seconds[:, None] * torch.tensor([math.cos(heading), math.sin(heading)])
    return torch.cat((xy, torch.full((8, 1), heading)), dim=-1)


@dataclass(frozen=True)
class GivenScoresConfig:
    blend: float = 0.0


class GivenScores(RewardModel):
    """Thinks of the candidates what it is told to."""

    kind = "given"

    def __init__(self, scores: list[float], blend: float) -> None:
        super().__init__()
        self.config = GivenScoresConfig(blend)
        self.scores = torch.tensor([scores])

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        return RewardContext(features["status_feature"], features["status_feature"])

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        return {"sim_logits": self.scores.logit()[:, None]}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        pytest.fail("nobody trains it")


def plan(scores: list[float], blend: float) -> Any:
    root, faster = straight(4.0), straight(6.0)
    return choose(
        {"status_feature": torch.zeros(1, 8)},
        root[None],
        lambda features, around: faster[None, None],
        GivenScores(scores, blend),
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


def test_only_our_small_model_blends():
    assert PoseAwareConfig.small().blend > 0
    assert PoseAwareConfig.published().blend == 0
    assert not hasattr(RewardWorldModelConfig.published(), "blend")
