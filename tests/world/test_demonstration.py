"""Repairs and checks of demonstrations."""

from __future__ import annotations

import numpy as np
import shapely

from openpair.worldgen.demonstration import EGO_BODY, MARGIN_M, corners, keep_on_road, safe_area, touches
from openpair.worldgen.motion import drag, path_through


def test_touching_boxes_agree_with_polygons() -> None:
    rng = np.random.default_rng(3)
    pose = np.column_stack([rng.uniform(-4, 4, (400, 2)), rng.uniform(-4, 4, 400)])
    boxes = np.column_stack([rng.uniform(-4, 4, (400, 2)), rng.uniform(-4, 4, 400), rng.uniform(0.3, 8, (400, 2))])
    bodies = shapely.polygons(corners(pose))
    others = []
    for x, y, heading, length, width in boxes:
        box = shapely.box(-length / 2, -width / 2, length / 2, width / 2)
        others.append(shapely.affinity.translate(shapely.affinity.rotate(box, heading, (0, 0), use_radians=True), x, y))
    expected = shapely.intersects(bodies, others)
    assert 50 < expected.sum() < 350
    assert np.array_equal(touches(pose, boxes), expected)


def test_kerb_cut_is_repaired() -> None:
    """A path 0.9 m too far right on an 8 m wide road comes back by as much as the kerb asks for."""
    road = shapely.box(-50, -2.0, 150, 6.0)
    x = np.linspace(0, 100, 401)
    path, _ = path_through(np.column_stack([x, -0.9 * np.exp(-(((x - 50) / 8) ** 2))]))
    repaired = keep_on_road(path, safe_area(road))
    assert repaired is not None
    heading = drag(repaired, EGO_BODY)
    rear = repaired.xy - EGO_BODY.lead * np.column_stack([np.cos(heading), np.sin(heading)])
    body = corners(np.column_stack([rear, heading]))[40:]
    assert body[..., 1].min() >= -2.0 + MARGIN_M - 1e-9
    assert np.abs(repaired.xy[:60, 1]).max() < 0.05, "nothing moves where nothing is wrong"


def test_hopeless_path_is_given_up() -> None:
    path, _ = path_through(np.column_stack([np.linspace(0, 60, 200), np.zeros(200)]))
    assert keep_on_road(path, safe_area(shapely.box(-50, 2.5, 150, 9))) is None
