"""Learned reward models: losses on hand-computed cases, and what the pose-aware model promises."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.rewards.base import HEAD_NAMES, RewardModel, total_score
from openpair.rewards.candidate_geometry import footprint_points, motion_numbers, points_ahead
from openpair.rewards.pose_aware import PoseAwareRewardModel, look_up_in_time
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.rewards.reward_loss import calibration_loss, ranking_loss, sub_score_loss
from openpair.rewards.world_model import RewardWorldModel, RewardWorldModelConfig

BATCH, COUNT = 2, 5


def features() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "camera_feature": torch.rand(BATCH, 3, 64, 256, generator=generator),
        "lidar_feature": torch.rand(BATCH, 1, 128, 128, generator=generator),
        "status_feature": torch.rand(BATCH, 8, generator=generator),
    }


def candidates() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    speed = torch.rand(BATCH, COUNT, 1, generator=generator) * 10
    time = torch.arange(1, 9) * 0.5
    heading = (torch.rand(BATCH, COUNT, 1, generator=generator) - 0.5) * 0.2 * time
    return torch.stack((speed * time, heading * speed * time / 2, heading), dim=-1)


def candidate_targets() -> dict[str, Tensor]:
    metrics = torch.rand(BATCH, len(HEAD_NAMES), COUNT)
    metrics[:, HEAD_NAMES.index("LK")] = torch.nan
    return {"candidate_metrics": metrics, "candidate_scores": torch.rand(BATCH, COUNT)}


def perception_targets() -> dict[str, Tensor]:
    return {
        "agent_states": torch.rand(BATCH, 30, 5),
        "agent_labels": torch.rand(BATCH, 30) > 0.5,
        "bev_semantic_map": torch.randint(0, 7, (BATCH, 128, 128)),
        "future_occupancy": torch.randint(0, 255, (BATCH, 8, 64, 64), dtype=torch.uint8),
    }


@pytest.fixture(params=["pose_aware", "rwm"])
def model(request: pytest.FixtureRequest) -> RewardModel:
    torch.manual_seed(0)
    if request.param == "pose_aware":
        return PoseAwareRewardModel(PoseAwareConfig.small())
    return RewardWorldModel(RewardWorldModelConfig.small())


def test_total_of_v1_1_by_hand() -> None:
    rewards = torch.zeros(1, 9, 1)
    for name, value in {"NC": 1.0, "DAC": 0.5, "EP": 0.6, "TTC": 1.0, "HC": 0.5}.items():
        rewards[0, HEAD_NAMES.index(name)] = value
    assert total_score(rewards, Protocol.V1_1).item() == pytest.approx(0.5 * (5 * 0.6 + 5 + 2 * 0.5) / 12)


def test_total_of_v2_2_by_hand() -> None:
    rewards = torch.ones(1, 9, 1)
    rewards[0, HEAD_NAMES.index("TLC")] = 0.5
    rewards[0, HEAD_NAMES.index("EC")] = 0.0
    assert total_score(rewards, Protocol.V2_2).item() == pytest.approx(0.5 * 14 / 16)
    assert total_score(rewards, Protocol.V2_2, extended_comfort=False).item() == pytest.approx(0.5)


def test_unknown_sub_scores_do_not_count() -> None:
    targets = torch.tensor([[[1.0], [torch.nan]]])
    assert sub_score_loss(torch.zeros(1, 2, 1), targets).item() == pytest.approx(math.log(2))
    assert sub_score_loss(torch.zeros(1, 1, 1), torch.full((1, 1, 1), torch.nan)).item() == 0.0


def test_calibration_is_least_at_the_true_score() -> None:
    scores = torch.tensor([[0.3, 0.9]])
    at_truth = calibration_loss(scores.logit(), scores)
    assert at_truth < calibration_loss(torch.tensor([[0.4, 0.9]]).logit(), scores)


def test_ranking_is_zero_at_the_true_scores_and_grows_with_a_wrong_order() -> None:
    scores = torch.tensor([[0.2, 0.5, 0.9]])
    assert ranking_loss(scores.logit(), scores, 0.1).item() == pytest.approx(0.0, abs=1e-6)
    assert ranking_loss(scores.flip(-1).logit(), scores, 0.1).item() > 1.0


def test_footprint_and_way_ahead_of_a_car_that_drives_left() -> None:
    plan = torch.zeros(1, 1, 8, 3)
    plan[..., 1] = torch.arange(1, 9) * 2.0
    plan[..., 2] = math.pi / 2
    points = footprint_points(plan)[0, 0, 0]
    assert torch.allclose(points[0], torch.tensor([0.0, 2.0 + 1.461]), atol=1e-3)
    assert torch.allclose(points[1], torch.tensor([-2.297 / 2, 2.0 + 4.049]), atol=1e-3)
    ahead = points_ahead(plan, 1.0)[0, 0, 0, 0]
    assert torch.allclose(ahead, torch.tensor([0.0, 2.0 + 4.049 + 4.0]), atol=1e-3)


def test_motion_numbers_of_braking_straight() -> None:
    distance = torch.tensor([4.75, 9.0, 12.75, 16.0, 18.75, 21.0, 22.75, 24.0])
    plan = torch.stack((distance, torch.zeros(8), torch.zeros(8)), dim=-1)[None, None]
    status = torch.tensor([[0, 1, 0, 0, 10.0, 0, -1.0, 0]])
    numbers = motion_numbers(plan, status)[0, 0]
    assert numbers[0, 4] == pytest.approx(0.95)
    assert torch.allclose(numbers[1:, 5], torch.full((7,), -0.5), atol=1e-4)
    assert numbers[:, 6].abs().max() == 0.0


def test_outputs_have_the_promised_shapes(model: RewardModel) -> None:
    outputs = model.eval()(**features(), agent_trajectory=candidates())
    assert outputs["sim_rewards"].shape == outputs["reward_logits"].shape == (BATCH, 9, COUNT)
    assert outputs["sim_logits"].shape == (BATCH, 1, COUNT)
    assert torch.allclose(outputs["reward_logits"].sigmoid(), outputs["sim_rewards"], atol=1e-6)


def test_order_of_candidates_does_not_matter(model: RewardModel) -> None:
    model.eval()
    context = model.encode(features())
    order = torch.tensor([3, 1, 4, 0, 2])
    logits = model.score(context, candidates())["sim_logits"]
    permuted = model.score(context, candidates()[:, order])["sim_logits"]
    assert torch.allclose(permuted, logits[..., order], atol=1e-5)


def test_every_pose_is_looked_up_at_its_time_and_the_way_ahead_later() -> None:
    grid = BevGrid(x_min_m=-8.0, x_max_m=56.0, rows=64, columns=64)
    times = torch.arange(8.0)
    maps = times[None, :, None, None, None].expand(BATCH, 8, 1, 64, 64)
    here = torch.zeros(BATCH, COUNT, 8, 2, 2)
    seen = look_up_in_time(maps, [here, here[..., :1, :], here[..., :1, :]], grid)
    assert seen.shape == (BATCH, COUNT, 8, 4)
    expected = torch.stack([times, times, (times + 1).clamp(max=7), (times + 2).clamp(max=7)], dim=-1)
    torch.testing.assert_close(seen, expected.expand_as(seen))


def test_points_are_looked_up_where_they_are() -> None:
    grid = BevGrid(x_min_m=-8.0, x_max_m=56.0, rows=64, columns=64)
    rows = torch.arange(64.0)[:, None].expand(64, 64)  # cell i covers x from i - 8 to i - 7 m
    maps = rows.expand(1, 8, 1, 64, 64)
    x = torch.arange(8.0)[None, None, :, None] + torch.tensor([0.5, 10.5])
    groups = [torch.stack((x[..., k : k + 1], torch.zeros(1, 1, 8, 1)), dim=-1) for k in range(2)]
    seen = look_up_in_time(maps, groups, grid)[0, 0]
    torch.testing.assert_close(seen, torch.stack((torch.arange(8.0) + 8, torch.arange(8.0) + 18), dim=-1))


def test_a_pose_aware_score_does_not_depend_on_the_set() -> None:
    model = PoseAwareRewardModel().eval()
    context = model.encode(features())
    logits = model.score(context, candidates())["sim_logits"]
    assert torch.allclose(model.score(context, candidates()[:, :2])["sim_logits"], logits[..., :2], atol=1e-5)


def test_every_parameter_of_the_pose_aware_model_learns() -> None:
    torch.manual_seed(0)
    model = PoseAwareRewardModel()
    torch.nn.init.normal_(model.residual_head.weight, std=0.1)
    outputs = model(**features(), agent_trajectory=candidates())
    terms = model.loss(outputs, {**candidate_targets(), **perception_targets()})
    terms["loss"].backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert still == []


def test_missing_perception_targets_drop_their_terms(model: RewardModel) -> None:
    outputs = model(**features(), agent_trajectory=candidates())
    assert set(model.loss(outputs, candidate_targets())) == {"loss", "sub_scores", "calibration", "ranking"}


def test_it_learns_to_see_an_obstacle_where_and_when_the_candidate_is_there() -> None:
    """A block of LiDAR points on one side of the road: the candidate through it fails, the other one passes."""
    torch.manual_seed(0)
    model = PoseAwareRewardModel()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(2)

    def sample(batch: int) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
        side = torch.randint(0, 2, (batch,), generator=generator) * 2 - 1
        distance = torch.randint(6, 26, (batch,), generator=generator)
        lidar = torch.zeros(batch, 1, 128, 128)
        for b in range(batch):
            row, column = 16 + 2 * int(distance[b]), 64 + 8 * int(side[b])
            lidar[b, 0, row - 4 : row + 4, column - 3 : column + 3] = 1.0
        plans = torch.zeros(batch, 2, 8, 3)
        plans[..., 0] = torch.arange(1, 9) * 4.0
        plans[:, 0, :, 1], plans[:, 1, :, 1] = 4.0, -4.0
        scores = torch.stack((side < 0, side > 0), dim=1).float()
        metrics = torch.ones(batch, 9, 2)
        metrics[:, HEAD_NAMES.index("NC")] = scores
        inputs = {
            "camera_feature": torch.zeros(batch, 3, 64, 256),
            "lidar_feature": lidar,
            "status_feature": torch.zeros(batch, 8),
        }
        return inputs, plans, {"candidate_metrics": metrics, "candidate_scores": scores}

    for _ in range(15):
        inputs, plans, targets = sample(8)
        loss = model.loss(model(**inputs, agent_trajectory=plans), targets)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    inputs, plans, targets = sample(64)
    model.train()
    with torch.no_grad():
        chosen = model(**inputs, agent_trajectory=plans)["sim_logits"][:, 0].argmax(dim=1)
    assert (chosen == targets["candidate_scores"].argmax(dim=1)).float().mean() > 0.9


def test_a_map_that_does_not_line_up_is_refused() -> None:
    config = PoseAwareConfig.small()
    with pytest.raises(OpenPairError, match="lines up"):
        PoseAwareRewardModel(replace(config, trunk=replace(config.trunk, align_map=False)))
