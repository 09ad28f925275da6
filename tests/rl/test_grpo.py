"""The GRPO loss against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from openpair.datatypes.tree import layout_from_codes
from openpair.rl.advantages import sum_over_descendants
from openpair.rl.grpo import adapt_kl_weight, clipped_surrogate, explore_sigma, steered_kl_weight


@pytest.mark.parametrize(("ratio", "advantage", "expected"), [(1.5, 1.0, -1.2), (1.5, -1.0, 1.5), (0.5, -1.0, 0.8)])
def test_the_ratio_is_clipped_only_where_clipping_is_pessimistic(
    ratio: float, advantage: float, expected: float
) -> None:
    old = torch.zeros(1, 1, 1)
    new = torch.full((1, 1, 1), math.log(ratio))
    assert clipped_surrogate(new, old, torch.full((1, 1, 1), advantage), 0.2).item() == pytest.approx(expected)


def test_the_gradient_of_a_node_is_the_sum_of_the_advantages_below_it() -> None:
    layout = layout_from_codes(["00", "01", "10"])
    advantage = torch.tensor([[[1.0, 2.0, 4.0]]])
    node_log_prob = torch.zeros(1, 1, layout.num_nodes, requires_grad=True)
    log_prob = node_log_prob[..., layout.leaf_nodes].sum(-1)
    clipped_surrogate(log_prob, log_prob.detach(), advantage, 0.2).backward()
    assert node_log_prob.grad is not None
    expected = -sum_over_descendants(advantage, layout.leaf_nodes, layout.num_nodes) / layout.num_leaves
    torch.testing.assert_close(node_log_prob.grad, expected)


def test_the_kl_weight_follows_the_kl() -> None:
    assert adapt_kl_weight(0.1, kl=0.5, target=0.1) == pytest.approx(0.15)
    assert adapt_kl_weight(0.1, kl=0.01, target=0.1) == pytest.approx(0.1 / 1.5)
    assert adapt_kl_weight(0.1, kl=0.1, target=0.1) == 0.1
    assert adapt_kl_weight(9.9, kl=5.0, target=0.1) == 10.0


def test_a_steered_kl_weight_settles_where_the_policy_answers_late() -> None:
    """A policy whose KL follows 0.3 / weight over tens of updates: steps of 1.5 overshoot, steering comes to rest."""

    def weights(change: Callable[[float, float], float]) -> list[float]:
        weight, kl, seen = 0.001, 0.0, []
        for _ in range(1500):
            kl += (0.3 / weight - kl) / 40
            weight = change(weight, kl)
            seen.append(weight)
        return seen

    steered = weights(lambda weight, kl: steered_kl_weight(weight, kl, 3.0, gain=0.01))
    stepped = weights(lambda weight, kl: adapt_kl_weight(weight, kl, 3.0))
    assert steered[-1] == pytest.approx(0.1, rel=0.01) and max(steered) < 0.3
    assert max(stepped) > 1.0 and stepped[-1] != pytest.approx(0.1, rel=0.1)
    assert steered_kl_weight(9.99, 1e9, 3.0, gain=0.1) == 10.0 and steered_kl_weight(1e-4, 0.0, 3.0, gain=0.1) == 1e-4


def test_exploration_shrinks_from_start_to_end() -> None:
    assert explore_sigma(0, 11, 0.8, 0.2) == pytest.approx(0.8)
    assert explore_sigma(5, 11, 0.8, 0.2) == pytest.approx(0.4)
    assert explore_sigma(10, 11, 0.8, 0.2) == pytest.approx(0.2)
    assert explore_sigma(99, 11, 0.8, 0.2) == pytest.approx(0.2)
