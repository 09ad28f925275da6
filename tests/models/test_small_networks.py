"""The demo's networks: shapes, gradients, determinism, and what the samplers promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.samplers.base import Sampler
from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.kinematic_tree import KinematicTree
from openpair.samplers.parallel_ir import ParallelIR, ParallelIRConfig

BATCH = 3
ROOT = torch.stack(
    (
        torch.stack((torch.arange(1, 9) * 4.0, torch.zeros(8), torch.zeros(8)), dim=-1),
        torch.zeros(8, 3),
        torch.stack((torch.arange(1, 9) * 2.0, torch.arange(1, 9) * 0.1, torch.full((8,), 0.05)), dim=-1),
    )
)


def features(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "camera_feature": torch.rand(BATCH, 3, 64, 256, generator=generator),
        "lidar_feature": torch.rand(BATCH, 1, 128, 128, generator=generator),
        "status_feature": torch.rand(BATCH, 8, generator=generator),
    }


def targets() -> dict[str, Tensor]:
    return {
        "trajectory": ROOT,
        "agent_states": torch.rand(BATCH, 30, 5),
        "agent_labels": torch.rand(BATCH, 30) > 0.5,
        "bev_semantic_map": torch.randint(0, 7, (BATCH, 128, 128)),
    }


@pytest.fixture(scope="module", params=["kinematic", "parallel_ir"])
def sampler(request: pytest.FixtureRequest) -> Sampler:
    torch.manual_seed(0)
    if request.param == "kinematic":
        return KinematicTree(KinematicTreeConfig.small()).eval()
    return ParallelIR(ParallelIRConfig.small()).eval()


def test_every_parameter_of_the_small_policy_learns() -> None:
    policy = Transfuser(TransfuserConfig.small())
    terms = policy.loss(policy(**features()), targets())
    terms["loss"].backward()
    still = [name for name, p in policy.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert still == []


def test_trees_have_the_promised_shapes(sampler: Sampler) -> None:
    context = sampler.encode(features())
    tree = sampler.expand(context, ROOT, num_samples=4, sigma=0.5, generator=torch.Generator().manual_seed(1))
    nodes, leaves = sampler.layout.num_nodes, sampler.layout.num_leaves
    assert tree.leaves.shape == (BATCH, 4, leaves, 8, 3)
    assert tree.actions.shape == tree.mean.shape == (BATCH, 4, nodes, 2)
    assert tree.mean.requires_grad and not tree.leaves.requires_grad and not tree.actions.requires_grad
    assert sampler.log_prob(tree.mean, tree.actions, 0.5).shape == (BATCH, 4, nodes)
    assert sampler.path_sum(sampler.log_prob(tree.mean, tree.actions, 0.5)).shape == (BATCH, 4, leaves)
    assert sampler.prior_mean.shape == sampler.action_mask.shape == (nodes, 2)


def test_same_generator_same_trees(sampler: Sampler) -> None:
    context = sampler.encode(features())
    trees = [
        sampler.expand(context, ROOT, num_samples=2, sigma=0.8, generator=torch.Generator().manual_seed(7)).leaves
        for _ in range(2)
    ]
    assert torch.equal(*trees)


def test_means_of_taken_actions_come_out_again(sampler: Sampler) -> None:
    context = sampler.encode(features())
    tree = sampler.expand(context, ROOT, num_samples=3, sigma=0.8, generator=torch.Generator().manual_seed(2))
    again = sampler.evaluate_actions(context, tree)
    assert again.requires_grad
    assert torch.allclose(again, tree.mean, atol=1e-5)


def test_draws_differ_below_the_root_but_share_the_first_level_mean(sampler: Sampler) -> None:
    context = sampler.encode(features())
    tree = sampler.expand(context, ROOT, num_samples=2, sigma=0.8, generator=torch.Generator().manual_seed(3))
    first = sampler.layout.level == 0
    assert torch.equal(tree.mean[:, 0, first], tree.mean[:, 1, first])
    assert not torch.equal(tree.leaves[:, 0], tree.leaves[:, 1])


def test_log_probability_is_that_of_a_gaussian(sampler: Sampler) -> None:
    mean = torch.zeros(1, 1, sampler.layout.num_nodes, 2)
    actions = torch.full_like(mean, 0.3)
    expected = torch.distributions.Normal(mean, 0.7).log_prob(actions) * sampler.action_mask
    assert torch.allclose(sampler.log_prob(mean, actions, 0.7), expected.sum(-1), atol=1e-6)


def test_policy_gradient_reaches_the_samplers_own_encoder(sampler: Sampler) -> None:
    sampler.zero_grad()
    context = sampler.encode(features())
    tree = sampler.expand(context, ROOT, num_samples=2, sigma=0.8, generator=torch.Generator().manual_seed(4))
    sampler.log_prob(tree.mean, tree.actions, 0.8).sum().backward()
    encoder = [p.grad for name, p in sampler.named_parameters() if name.startswith("_backbone.image_stages.0")]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in encoder)


def test_perception_losses_of_the_sampler(sampler: Sampler) -> None:
    terms = sampler.perception_loss(sampler.encode(features()), targets())
    assert set(terms) == {"loss", "agent_class", "agent_box", "bev_ce"}
    expected = 10 * terms["agent_class"] + terms["agent_box"] + 10 * terms["bev_ce"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_neutral_actions_give_the_root_in_every_leaf() -> None:
    sampler = KinematicTree(replace(KinematicTreeConfig.small(), initial_bias=-1.0)).eval()
    component = sampler.prior_mean != 0
    neutral = torch.where(component, -40.0, 0.0).expand(BATCH, 1, -1, -1)
    tree = sampler.expand(sampler.encode(features()), ROOT, actions=neutral)
    assert (tree.leaves - ROOT[:, None, None]).abs().max() < 1e-3


def test_intentions_go_where_their_names_say() -> None:
    sampler = KinematicTree(replace(KinematicTreeConfig.small(), initial_bias=-1.0)).eval()
    actions = torch.where(sampler.prior_mean != 0, 1.0, 0.0).expand(BATCH, 1, -1, -1)
    leaves = sampler.expand(sampler.encode(features()), ROOT, actions=actions).leaves[0, 0]
    by_code = {"".join(map(str, code.tolist())): leaves[i, -1] for i, code in enumerate(sampler.layout.codes)}
    root = ROOT[0, -1]
    assert by_code["0011"][1] > root[1] + 0.5
    assert by_code["2211"][1] < root[1] - 0.5
    assert by_code["1111"][0] > root[0] + 3.0
    assert by_code["3333"][0] < root[0] - 3.0


def test_the_first_tree_stays_near_the_root() -> None:
    sampler = KinematicTree(KinematicTreeConfig.small()).eval()
    tree = sampler.expand(sampler.encode(features()), ROOT)
    assert (tree.mean - sampler.prior_mean).abs().max() < 0.5
    farthest_m = 0.5 * (0.5 * sampler.config.limits.brake_mps2) * 4.0**2  # half of the brakes for 4 s
    assert (tree.leaves - ROOT[:, None, None])[..., :2].norm(dim=-1).max() < farthest_m
