"""Means and intervals, by examples computed by hand."""

import itertools

import numpy as np
import pytest

from openpair.evaluation.statistics import bootstrap_by_log, paired_difference


def test_the_mean_is_over_scenes_not_over_logs():
    estimate = bootstrap_by_log(np.array([1.0, 1.0, 1.0, 0.0]), ["a", "a", "a", "b"], seed=0)
    assert estimate.mean == 0.75
    assert (estimate.num_scenes, estimate.num_logs) == (4, 2)


def test_the_interval_is_that_of_all_resamples_of_logs():
    # Three logs of sums 3, 1, 0 and sizes 3, 2, 1: 27 equally likely resamples, all enumerated here.
    values = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    logs = ["a", "a", "a", "b", "b", "c"]
    sums, sizes = {"a": 3, "b": 1, "c": 0}, {"a": 3, "b": 2, "c": 1}
    exact = [sum(sums[k] for k in draw) / sum(sizes[k] for k in draw) for draw in itertools.product("abc", repeat=3)]
    estimate = bootstrap_by_log(values, logs, seed=3, num_resamples=20_000)
    # P(all a) = P(all c) = 1/27 = 3.7%: above the tails of 2.5%, so the ends are exactly these resamples.
    assert (estimate.low, estimate.high) == (min(exact), max(exact)) == (0.0, 1.0)


def test_equal_logs_have_an_interval_of_width_zero():
    estimate = bootstrap_by_log(np.array([0.5, 0.7, 0.7, 0.5]), ["a", "a", "b", "b"], seed=0)
    assert estimate.low == pytest.approx(0.6) and estimate.high == pytest.approx(0.6)


def test_scenes_of_one_log_are_not_taken_for_independent():
    rng = np.random.default_rng(0)
    level = np.repeat(rng.uniform(size=8), 50)  # 8 logs whose scenes agree
    by_log = bootstrap_by_log(level, [f"log{i // 50}" for i in range(400)], seed=0)
    by_scene = bootstrap_by_log(level, [f"scene{i}" for i in range(400)], seed=0)
    assert by_log.high - by_log.low > 4 * (by_scene.high - by_scene.low)


def test_one_log_gives_no_interval():
    estimate = bootstrap_by_log(np.array([0.2, 0.4]), ["a", "a"], seed=0)
    assert estimate.mean == pytest.approx(0.3)
    assert not estimate.has_interval


def test_nothing_gives_no_number():
    estimate = bootstrap_by_log(np.array([np.nan]), ["a"], seed=0)
    assert np.isnan(estimate.mean) and estimate.num_scenes == 0


def test_undefined_values_are_left_out_and_counted():
    estimate = bootstrap_by_log(np.array([1.0, np.nan, 0.0]), ["a", "a", "b"], seed=0)
    assert estimate.mean == 0.5 and estimate.num_scenes == 2


def test_the_order_of_scenes_does_not_matter_and_the_seed_does():
    rng = np.random.default_rng(1)
    values, logs = rng.uniform(size=60), [f"log{i % 7}" for i in range(60)]
    shuffled = rng.permutation(60)
    first = bootstrap_by_log(values, logs, seed=5)
    assert first == bootstrap_by_log(values[shuffled], [logs[i] for i in shuffled], seed=5)
    assert first.low != bootstrap_by_log(values, logs, seed=6).low


def test_a_paired_difference_knows_that_scenes_are_the_same():
    rng = np.random.default_rng(2)
    base, logs = rng.uniform(size=40), [f"log{i // 4}" for i in range(40)]
    difference = paired_difference(base + 0.05, base, logs, seed=0)
    assert difference.mean == pytest.approx(0.05)
    assert difference.low == pytest.approx(0.05) and difference.high == pytest.approx(0.05)


def test_a_pair_leaves_out_scenes_that_one_agent_failed_on():
    difference = paired_difference(np.array([1.0, np.nan, 0.5]), np.array([0.0, 1.0, 0.5]), ["a", "b", "c"], seed=0)
    assert difference.mean == 0.5 and difference.num_scenes == 2


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="2 logs"):
        bootstrap_by_log(np.zeros(3), ["a", "b"], seed=0)
    with pytest.raises(ValueError, match="same scenes"):
        paired_difference(np.zeros(3), np.zeros(2), ["a", "b"], seed=0)
