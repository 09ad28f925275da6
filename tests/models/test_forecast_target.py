"""Occupancy targets of the future."""

from __future__ import annotations

import numpy as np
import pytest

from openpair.datatypes.agents import Agents
from openpair.datatypes.bev_grid import BevGrid
from openpair.features.forecast import occupancy

GRID = BevGrid(-8.0, 56.0, -32.0, 32.0, 64, 64)


def agents(x: float, y: float, heading: float, length: float = 4.0, width: float = 2.0) -> Agents:
    box = np.array([[x, y, heading, length, width, 1.5]])
    return Agents(("a",), np.zeros(1, np.int64), box, np.zeros((1, 2)), np.zeros(1))


def test_a_box_covers_its_cells() -> None:
    raster = occupancy(agents(12.0, 3.0, 0.0), np.zeros(3), GRID)
    rows, columns = np.nonzero(raster > 127)
    assert (rows.min(), rows.max()) == (18, 21)
    assert (columns.min(), columns.max()) == (34, 35)


@pytest.mark.parametrize("heading", [0.0, 0.4, 1.1, 2.6])
def test_covered_area_is_that_of_the_box(heading: float) -> None:
    raster = occupancy(agents(20.3, -4.2, heading), np.zeros(3), GRID)
    assert raster.sum() / 255.0 == pytest.approx(8.0, rel=0.2)


def test_the_raster_is_in_the_frame_of_the_ego() -> None:
    ego = np.array([100.0, 50.0, np.pi / 2])
    raster = occupancy(agents(97.0, 62.0, np.pi / 2), ego, GRID)
    expected = occupancy(agents(12.0, 3.0, 0.0), np.zeros(3), GRID)
    assert np.abs(raster.astype(int) - expected.astype(int)).max() <= 64


def test_far_agents_and_no_agents_leave_it_empty() -> None:
    assert occupancy(agents(1e9, 0.0, 0.0), np.zeros(3), GRID).sum() == 0
    assert occupancy(Agents.empty(), np.zeros(3), GRID).sum() == 0
