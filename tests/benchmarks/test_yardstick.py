"""The yardstick of ``openpair bench score`` is a fixed piece of work, and times are multiples of it."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import contains_xy
from shapely.geometry import Polygon

from openpair.benchmarks.score_figures import FEW, MANY, VOCABULARY, over_yardstick
from openpair.benchmarks.yardstick import EDGES, POINTS, yardstick


def test_its_result_is_that_of_shapely() -> None:
    angle = 2 * np.pi * np.arange(EDGES) / EDGES
    radius = np.where(np.arange(EDGES) % 2 == 0, 30.0, 15.0)
    star = Polygon(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1))
    points = np.random.default_rng(0).uniform(-30.0, 30.0, (POINTS, 2))
    expected = contains_xy(star, points)
    assert 0.2 < expected.mean() < 0.8
    assert np.array_equal(yardstick()() == 1, expected)


def test_times_are_given_as_multiples_of_it() -> None:
    times = {f"score_{count}_cpu_ms": float(count) for count in (FEW, MANY, VOCABULARY)}
    figures = over_yardstick(times)
    assert figures["yardstick_cpu_ms"] > 0
    assert figures["score_16_over_yardstick"] * figures["yardstick_cpu_ms"] == pytest.approx(16.0)
    assert figures["score_8192_over_yardstick"] == pytest.approx(512 * figures["score_16_over_yardstick"])
