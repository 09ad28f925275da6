"""Markings, tiles and scenery follow from the map."""

from __future__ import annotations

import numpy as np
import shapely
from toy_scene import street

from openpair.datatypes.road_map import Lane
from openpair.sensors.ground import TEXEL_M, TILE_TEXELS, paint_tile
from openpair.sensors.markings import DASH_M, GAP_M, WHITE, YELLOW, LaneMarkings, dashes, lane_borders
from openpair.sensors.primitives import corners
from openpair.sensors.scenery import CLEARANCE_M
from openpair.sensors.surfaces import DRIVABLE_KINDS, map_surfaces
from openpair.sensors.town import Town

EVERYWHERE = (-1e4, -1e4, 1e4, 1e4)


def test_borders_of_a_bent_lane_lie_half_a_width_to_each_side() -> None:
    angle = np.linspace(0, np.pi / 2, 40)
    line = np.stack([30 * np.sin(angle), 30 - 30 * np.cos(angle), angle], axis=1)
    inner = np.stack([28 * np.sin(angle), 30 - 28 * np.cos(angle)], axis=1)
    outer = np.stack([32 * np.sin(angle), 30 - 32 * np.cos(angle)], axis=1)
    lane = Lane("a", False, "A", shapely.Polygon(np.concatenate([inner, outer[::-1]])), line)
    borders = lane_borders(lane)
    assert borders is not None
    _, left, right, _ = borders
    np.testing.assert_allclose(np.hypot(left[:, 0], left[:, 1] - 30), 28, atol=0.02)
    np.testing.assert_allclose(np.hypot(right[:, 0], right[:, 1] - 30), 32, atol=0.02)


def test_dashed_between_lanes_yellow_towards_oncoming_white_outside() -> None:
    markings = LaneMarkings(street(), np.zeros(2)).within(EVERYWHERE)
    yellow = [m for m in markings if m.color == YELLOW]
    white = [m for m in markings if m.color == WHITE]
    assert {round(float(m.points[:, 1].mean()), 2) for m in yellow} == {-0.12, 0.12}
    assert {round(float(m.points[:, 1].mean()), 2) for m in white} == {-6.88, -3.5, 3.5, 6.88}
    inner = [m for m in white if abs(m.points[:, 1].mean()) < 5]
    assert all(np.ptp(m.points[:, 0]) <= DASH_M + 1e-6 for m in inner)
    assert len(inner) == 2 * round(120 / (DASH_M + GAP_M))  # each line is drawn once, not once per lane
    assert all(np.ptp(m.points[:, 0]) > 115 for m in yellow)


def test_dashes_follow_the_line() -> None:
    line = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    cut = dashes(line)
    assert len(cut) == 3
    lengths = [float(np.hypot(*np.diff(d, axis=0).T).sum()) for d in cut]
    np.testing.assert_allclose(lengths, [3.0, 3.0, 1.5])
    np.testing.assert_allclose(cut[1][0], [10.0, 0.5])


def unpacked(tile: np.ndarray) -> np.ndarray:
    """(512, 512, 3) RGB of a tile's finest level."""
    c = tile[: TILE_TEXELS**2].astype(int).reshape(TILE_TEXELS, TILE_TEXELS)
    return np.stack([(c >> 11) / 31, ((c >> 5) & 63) / 63, (c & 31) / 31], axis=-1)


def test_a_tile_shows_grass_asphalt_paint_and_zebra_where_the_map_has_them() -> None:
    town = street()
    surfaces = map_surfaces(town)
    assert surfaces.origin.tolist() == [-60.0, -10.0]
    image = unpacked(paint_tile(surfaces, LaneMarkings(town, surfaces.origin), 1, 0))

    def at(x: float, y: float) -> np.ndarray:
        column = int((x + 60.0 - 64.0) / TEXEL_M)
        return np.asarray(image[int((y + 10.0) / TEXEL_M), column])

    gray, grass, yellow = at(20.3, -1.75), at(20.3, 15.0), at(20.3, -0.12)
    assert np.ptp(gray) < 0.08 and gray.mean() < 0.45
    assert grass[1] > grass[2] + 0.1
    assert yellow[0] > yellow[2] + 0.3
    zebra = image[int(10.0 / TEXEL_M) - 48 : int(10.0 / TEXEL_M) + 48, int((57.5 - 4.0) / TEXEL_M)].mean(axis=1)
    assert 0.35 < (zebra > 0.6).mean() < 0.65


def test_scenery_keeps_off_the_road_and_is_the_same_each_time() -> None:
    town = Town(street())
    center = np.array([60.0, 10.0])
    scenery = town.scenery(center)
    assert len(scenery) > 50
    again = Town(street()).scenery(center)
    assert scenery.tobytes() == again.tobytes()
    surfaces = town.surfaces
    road = shapely.union_all(
        [
            shapely.Polygon(rings[0])
            for rings, k in zip(surfaces.rings, surfaces.kind, strict=True)
            if k in DRIVABLE_KINDS
        ]
    )
    for box in corners(scenery[scenery["material"] == 4]):  # facades
        footprint = shapely.MultiPoint(box[:, :2]).convex_hull
        assert footprint.distance(road) > CLEARANCE_M - 1.0
