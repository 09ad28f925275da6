"""Intervals over seeds and logs, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from openpair.evaluation.statistics import bootstrap_by_log
from openpair.reproduction.statistics import bootstrap_seeds_and_logs, mean_over_seeds, paired_over_seeds

LOGS = ["a", "a", "b", "c"]


def test_mean_is_over_all_seeds_and_scenes() -> None:
    estimate = bootstrap_seeds_and_logs(np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]]), LOGS)
    assert estimate.mean == 0.5
    assert (estimate.num_seeds, estimate.num_scenes, estimate.num_logs) == (2, 4, 3)
    assert 0.0 <= estimate.low < 0.5 < estimate.high <= 1.0


def test_one_seed_gives_the_interval_by_log() -> None:
    values = np.random.default_rng(0).random(60)
    logs = [f"log-{i // 4}" for i in range(60)]
    ours, plain = bootstrap_seeds_and_logs(values[None], logs, seed=3), bootstrap_by_log(values, logs, seed=3)
    assert (ours.mean, ours.low, ours.high) == pytest.approx((plain.mean, plain.low, plain.high), abs=1e-12)
    assert ours.num_seeds == 1


def test_resamples_of_seeds_by_hand() -> None:
    """Scenes do not differ, so only seeds count: means of 2 draws of {0, 1} are 0, 0.5, 1 with 1/4, 1/2, 1/4."""
    values = np.array([[0.0] * 4, [1.0] * 4])
    estimate = bootstrap_seeds_and_logs(values, LOGS)
    assert (estimate.mean, estimate.low, estimate.high) == (0.5, 0.0, 1.0)


def test_resamples_of_logs_by_hand() -> None:
    """Seeds do not differ, so only logs count. Two logs with 1 and 3 scenes: a resample holds both (mean 3/4), or one
    of them twice (0 or 1), and each of these happens in a quarter of the draws."""
    values = np.tile([0.0, 1.0, 1.0, 1.0], (3, 1))
    estimate = bootstrap_seeds_and_logs(values, ["a", "b", "b", "b"])
    assert (estimate.mean, estimate.low, estimate.high) == (0.75, 0.0, 1.0)


def test_seeds_that_differ_widen_the_interval() -> None:
    logs = [f"log-{i}" for i in range(50)]
    scenes = np.random.default_rng(1).random(50)
    alike = bootstrap_seeds_and_logs(np.stack([scenes, scenes, scenes]), logs)
    apart = bootstrap_seeds_and_logs(np.stack([scenes - 0.2, scenes, scenes + 0.2]), logs)
    assert apart.mean == pytest.approx(alike.mean)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_undefined_values_are_in_no_mean_and_order_does_not_matter() -> None:
    values = np.array([[1.0, np.nan, 0.0, 1.0], [np.nan, np.nan, 0.5, 0.0]])
    estimate = bootstrap_seeds_and_logs(values, LOGS)
    assert estimate.mean == 2.5 / 5 and estimate.num_scenes == 3
    order = [3, 1, 0, 2]
    again = bootstrap_seeds_and_logs(values[:, order], [LOGS[i] for i in order])
    assert again == estimate
    nothing = bootstrap_seeds_and_logs(np.full((2, 4), np.nan), LOGS)
    assert np.isnan(nothing.mean) and nothing.num_scenes == nothing.num_seeds == 0


def test_one_log_has_no_interval() -> None:
    estimate = bootstrap_seeds_and_logs(np.array([[0.2, 0.4], [0.6, 0.8]]), ["a", "a"])
    assert estimate.mean == 0.5 and not estimate.has_interval


def test_differences_are_paired_by_seed_and_scene() -> None:
    """Scenes and seeds differ by far more than the agents; the difference is 0.1 everywhere, without any doubt."""
    second = np.array([[0.0, 0.9, 0.4, 0.2], [0.5, 0.3, 0.8, 0.1]])
    estimate = paired_over_seeds(second + 0.1, second, LOGS)
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((0.1, 0.1, 0.1))


def test_an_agent_without_seeds_is_compared_with_every_seed() -> None:
    human = np.array([[1.0, 1.0, 0.5, 0.5]])
    estimate = paired_over_seeds(np.array([[1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]]), human, LOGS)
    assert estimate.mean == 0.0 and estimate.num_seeds == 2
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_over_seeds(np.zeros((2, 4)), np.zeros((3, 4)), LOGS)


def test_figures_without_scenes_have_students_interval() -> None:
    """1, 2, 3: standard error 1 / sqrt(3), t of 97.5% with 2 degrees of freedom 4.3027."""
    estimate = mean_over_seeds([1.0, 2.0, 3.0])
    assert estimate.mean == 2.0 and estimate.num_seeds == 3
    assert estimate.high - 2.0 == pytest.approx(4.3027 / np.sqrt(3), abs=1e-4)
    assert not mean_over_seeds([1.0]).has_interval
    assert np.isnan(mean_over_seeds([]).mean)
