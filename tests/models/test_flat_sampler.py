"""The sampler without a tree: shapes, bounds, and what it does not look at."""

from __future__ import annotations

import pytest
import torch
from sampler_inputs import BATCH, ROOT, features

from openpair.datatypes.tree import flat_layout
from openpair.errors import OpenPairError
from openpair.samplers.flat import FlatSampler, start_actions, straight_on
from openpair.samplers.flat_config import FlatSamplerConfig


@pytest.fixture(scope="module", params=["root", "straight"])
def sampler(request: pytest.FixtureRequest) -> FlatSampler:
    torch.manual_seed(0)
    config = FlatSamplerConfig.small()
    return FlatSampler(config if request.param == "root" else config.whole()).eval()


def test_a_flat_layout_has_a_node_per_leaf() -> None:
    layout = flat_layout(3)
    assert (layout.num_nodes, layout.num_leaves) == (3, 3)
    assert layout.leaf_nodes.tolist() == [[0], [1], [2]]
    assert layout.parent.tolist() == [-1, -1, -1]
    with pytest.raises(ValueError, match="at least one leaf"):
        flat_layout(0)


def test_it_keeps_the_promises_of_a_sampler(sampler: FlatSampler) -> None:
    context = sampler.encode(features())
    draws = [
        sampler.expand(context, ROOT, num_samples=3, sigma=0.5, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    ]
    tree = draws[0]
    assert tree.leaves.shape == (BATCH, 3, 15, 8, 3)
    assert tree.actions.shape == tree.mean.shape == (BATCH, 3, 15, 8)
    assert torch.equal(tree.leaves, draws[1].leaves)
    assert tree.mean.requires_grad and not tree.leaves.requires_grad and not tree.actions.requires_grad
    log_prob = sampler.log_prob(tree.mean, tree.actions, 0.5)
    assert log_prob.shape == (BATCH, 3, 15)
    assert torch.equal(sampler.path_sum(log_prob), log_prob)
    assert sampler.kl(tree.mean, tree.mean, 0.5).abs().max() == 0
    assert torch.allclose(sampler.evaluate_actions(context, tree), tree.mean, atol=1e-5)
    assert sampler.perception_loss(sampler.encode(features(), perceive=False), {})["loss"] == 0


def test_policy_gradient_reaches_the_samplers_own_encoder(sampler: FlatSampler) -> None:
    sampler.zero_grad()
    tree = sampler.expand(sampler.encode(features()), ROOT, sigma=0.8, generator=torch.Generator().manual_seed(4))
    sampler.log_prob(tree.mean, tree.actions, 0.8).sum().backward()
    encoder = [p.grad for name, p in sampler.named_parameters() if name.startswith("_backbone.image_stages.0")]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in encoder)


def test_leaves_differ_from_the_start_and_start_at_the_prior(sampler: FlatSampler) -> None:
    tree = sampler.expand(sampler.encode(features()), ROOT)
    assert (tree.mean - sampler.prior_mean).abs().max() < 0.5
    ends = tree.leaves[0, 0, :, -1, :2]
    apart = torch.cdist(ends, ends) + 1e3 * torch.eye(15)
    assert apart.min() > 0.2
    assert ends[:, 0].max() - ends[:, 0].min() > 10.0
    assert ends[:, 1].max() > 0.3 > -0.3 > ends[:, 1].min()


def test_start_actions_cover_faster_and_slower_left_and_right() -> None:
    for number in (4, 9, 15):
        config = FlatSamplerConfig(num_leaves=number)
        start = start_actions(config)
        assert start.shape == (number, 8)
        for column, spread in zip((0, 4), config.start_spread, strict=True):
            assert start[:, column].abs().max() <= spread
            assert start[:, column].max() > 0.2 * spread and start[:, column].min() < -0.2 * spread


def test_no_offset_gives_the_reference(sampler: FlatSampler) -> None:
    none = torch.zeros(BATCH, 1, 15, 8)
    leaves = sampler.expand(sampler.encode(features()), ROOT, actions=none).leaves
    reference = ROOT if sampler.config.reference == "root" else straight_on(features()["status_feature"])
    assert (leaves - reference[:, None, None]).abs().max() < 1e-3


def test_whole_trajectories_do_not_look_at_the_root() -> None:
    torch.manual_seed(0)
    whole = FlatSampler(FlatSamplerConfig.small().whole()).eval()
    context = whole.encode(features())
    assert torch.equal(whole.expand(context, ROOT).leaves, whole.expand(context, torch.zeros_like(ROOT)).leaves)
    with pytest.raises(OpenPairError, match="carry no gradient"):
        whole.leaves_of(ROOT, torch.zeros(BATCH, 1, 15, 8))


def test_whole_trajectories_can_stop_turn_and_pull_away() -> None:
    whole = FlatSampler(FlatSamplerConfig.small().whole()).eval()
    context = whole.encode(features())
    actions = torch.zeros(BATCH, 1, 15, 8)
    actions[:, :, 0, :4] = -3.0
    actions[:, :, 1, 4:] = 3.0
    actions[:, :, 2, :4] = 3.0
    leaves = whole.expand(context, ROOT, actions=actions).leaves[:, 0]
    assert (leaves[0, 0, -1] - leaves[0, 0, -2])[:2].norm() < 0.1
    assert leaves[0, 1, -1, 1] > 20.0 and leaves[0, 1, -1, 2] > 0.8
    assert leaves[1, 2, -1, 0] > 15.0 and leaves[1, 0, -1].abs().max() < 1e-3


def test_offsets_carry_gradient_to_the_actions() -> None:
    flat = FlatSampler(FlatSamplerConfig.small()).eval()
    actions = torch.full((BATCH, 1, 15, 8), 0.1, requires_grad=True)
    flat.leaves_of(ROOT, actions)[..., 0].sum().backward()
    assert actions.grad is not None and actions.grad[..., :4].abs().min() > 0
