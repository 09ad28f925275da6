"""Matching and losses of the perception heads on hand-computed cases."""

from __future__ import annotations

import math

import pytest
import torch

from openpair.nn.perception_loss import agent_loss, bev_semantic_loss, match_agents


def two_agents() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two predictions, one true agent that the second prediction is nearer to."""
    states = torch.tensor([[[10.0, 0.0, 0.0, 4.0, 2.0], [5.0, 1.0, 0.5, 4.0, 2.0]]])
    logits = torch.zeros(1, 2)
    target_states = torch.tensor([[[5.0, 0.0, 0.0, 5.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]]])
    target_labels = torch.tensor([[True, False]])
    return states, logits, target_states, target_labels


def test_the_nearer_prediction_gets_the_agent() -> None:
    assert match_agents(*two_agents()).tolist() == [[1, 0]]


def test_class_and_box_loss_of_matched_pairs() -> None:
    class_loss, box_loss = agent_loss(*two_agents())
    assert class_loss.item() == pytest.approx(math.log(2))
    assert box_loss.item() == pytest.approx(1.0 + 0.5 + 1.0)


def test_box_loss_is_zero_without_agents() -> None:
    states, logits, target_states, target_labels = two_agents()
    _, box_loss = agent_loss(states, logits, target_states, torch.zeros_like(target_labels))
    assert box_loss.item() == 0.0


def test_bev_loss_of_a_uniform_guess_is_log_of_the_number_of_classes() -> None:
    assert bev_semantic_loss(torch.zeros(1, 7, 2, 2), torch.zeros(1, 2, 2)).item() == pytest.approx(math.log(7))
