"""Reports of reward models against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from openpair.rewards.base import HEAD_NAMES
from openpair.rewards.calibration import (
    auc,
    expected_calibration_error,
    rank_correlation,
    ranks,
    reliability_table,
    reward_report,
    selection_regret,
)


def test_a_reliability_table_by_hand() -> None:
    predicted = torch.tensor([0.1, 0.3, 0.8, 1.0])
    truth = torch.tensor([0.0, 1.0, 1.0, 0.5])
    low, high = reliability_table(predicted, truth, num_bins=2)
    assert (low.low, low.high, low.count) == (0.0, 0.5, 2)
    assert (low.predicted, low.observed) == (pytest.approx(0.2), pytest.approx(0.5))
    assert (high.count, high.predicted, high.observed) == (2, pytest.approx(0.9), pytest.approx(0.75))
    assert expected_calibration_error([low, high]) == pytest.approx((2 * 0.3 + 2 * 0.15) / 4)


def test_a_value_between_two_bins_belongs_to_the_upper_one() -> None:
    counts = [row.count for row in reliability_table(torch.tensor([0.0, 0.5, 1.0]), torch.zeros(3), num_bins=2)]
    assert counts == [1, 2]


def test_empty_bins_say_so_and_cost_nothing() -> None:
    table = reliability_table(torch.tensor([0.95]), torch.tensor([0.95]))
    assert math.isnan(table[0].predicted) and table[0].count == 0
    assert expected_calibration_error(table) == pytest.approx(0.0)
    assert math.isnan(expected_calibration_error(reliability_table(torch.zeros(0), torch.zeros(0))))


def test_regret_is_what_the_choice_costs() -> None:
    predicted = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]])
    truth = torch.tensor([[0.4, 0.9, 0.1], [0.2, 0.7, 0.3]])
    torch.testing.assert_close(selection_regret(predicted, truth), torch.tensor([0.5, 0.0]))


def test_equal_values_share_their_rank() -> None:
    assert ranks(torch.tensor([0.5, 0.1, 0.5, 0.9])).tolist() == [1.5, 0.0, 1.5, 3.0]


def test_rank_correlation_by_hand() -> None:
    truth = torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 4)
    predicted = torch.tensor([[1.0, 2, 3, 4], [4.0, 3, 2, 1], [1.0, 2, 4, 3], [1.0, 1, 1, 1]])
    # One swapped pair of neighbours: 1 - 6 * 2 / (4 * 15).
    expected = torch.tensor([1.0, -1.0, 0.8], dtype=torch.float64)
    result = rank_correlation(predicted, truth)
    torch.testing.assert_close(result[:3], expected)
    assert math.isnan(result[3])


def test_auc_counts_pairs_and_half_of_ties() -> None:
    predicted = torch.tensor([0.9, 0.5, 0.5, 0.1])
    passed = torch.tensor([True, True, False, False])
    assert auc(predicted, passed) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert math.isnan(auc(predicted, torch.ones(4, dtype=torch.bool)))


def test_a_report_covers_the_heads_that_the_protocol_has() -> None:
    true_score = torch.tensor([[0.0, 1.0], [0.6, 0.6]])
    true_metrics = torch.full((2, 9, 2), torch.nan)
    true_metrics[:, HEAD_NAMES.index("NC")] = torch.tensor([[0.5, 1.0], [1.0, 1.0]])
    metrics = torch.full((2, 9, 2), 0.95)
    metrics[:, HEAD_NAMES.index("NC")] = torch.tensor([[0.35, 0.85], [0.85, 0.95]])
    value = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    report = reward_report(value, true_score, metrics, true_score, true_metrics)
    assert report.regret == pytest.approx(0.5)
    assert report.rank_correlation == pytest.approx(-1.0)  # the second set's truths are equal: not counted
    assert report.score.calibration_error == pytest.approx(0.0)
    assert list(report.sub_scores) == ["NC"]
    assert report.sub_scores["NC"].auc == 1.0
    assert report.sub_scores["NC"].calibration_error == pytest.approx((0.15 + 0.3 + 0.05) / 4)
