"""Point-in-polygon and box tests against shapely, on touching and random shapes."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import warp as wp
from numpy.typing import NDArray
from straight_road import polygons as rings_to_polygons
from straight_road import rectangle

from openpair.datatypes.columns import MapLayer
from openpair.datatypes.scoring_scene import DrivableMap, PolygonSet
from openpair.geometry.warp_runtime import MODULE_OPTIONS, start_warp
from openpair.scoring.arrays import MapArrays
from openpair.scoring.boxes import boxes_touch, segment_touches_box
from openpair.scoring.build import build_map
from openpair.scoring.devices import fill_struct
from openpair.scoring.overlap import touching_boxes
from openpair.scoring.polygons import contains

wp.set_module_options(MODULE_OPTIONS)


@wp.kernel
def contains_kernel(area: MapArrays, points: wp.array(dtype=wp.vec2d), result: wp.array2d(dtype=wp.bool)):
    p, i = wp.tid()
    result[p, i] = contains(area, p, points[i][0], points[i][1])


@wp.kernel
def boxes_kernel(
    a: wp.array(dtype=wp.vec4d),
    half_a: wp.array(dtype=wp.vec2d),
    b: wp.array(dtype=wp.vec4d),
    half_b: wp.array(dtype=wp.vec2d),
    result: wp.array(dtype=wp.bool),
):
    i = wp.tid()
    result[i] = boxes_touch(a[i], half_a[i][0], half_a[i][1], b[i], half_b[i])


@wp.kernel
def segments_kernel(
    ends: wp.array(dtype=wp.vec4d),
    b: wp.array(dtype=wp.vec4d),
    half_b: wp.array(dtype=wp.vec2d),
    result: wp.array(dtype=wp.bool),
):
    i = wp.tid()
    e = ends[i]
    result[i] = segment_touches_box(e[0], e[1], e[2], e[3], b[i], half_b[i][0], half_b[i][1])


def inside(areas: PolygonSet, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(P, N) strictly inside? Polygons keep their order, since they are all of one kind."""
    start_warp()
    count = len(areas)
    layer = np.full(count, MapLayer.LANE)
    table = build_map(DrivableMap(areas, layer, ("",) * count, np.ones(count, bool)), np.zeros(2))
    result = np.zeros((count, len(points)), bool)
    wp.launch(
        contains_kernel,
        dim=result.shape,
        inputs=[
            fill_struct(MapArrays, table, "cpu"),
            wp.array(np.ascontiguousarray(points), dtype=wp.vec2d, device="cpu"),
            wp.array(result, dtype=wp.bool, device="cpu", copy=False),
        ],
        device="cpu",
    )
    return result


def star(rng: np.random.Generator, corners: int) -> NDArray[np.float64]:
    """A random star-shaped ring around the origin, on a coarse lattice so that points can lie on its edges."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    ring = np.round(rng.uniform(2, 10, corners)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) * 2) / 2
    return np.concatenate([ring, ring[:1]])


@pytest.mark.parametrize("seed", range(5))
def test_points_in_polygons_agree_with_shapely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rings = []
    while len(rings) < 20:
        ring = star(rng, int(rng.integers(3, 60)))
        if shapely.Polygon(ring).is_valid:
            rings.append(ring)
    lattice = np.stack(np.meshgrid(np.arange(-11, 11.5, 0.5), np.arange(-11, 11.5, 0.5)), axis=-1).reshape(-1, 2)
    points = np.concatenate([lattice, rng.uniform(-11, 11, (500, 2))])
    result = inside(rings_to_polygons(rings), points)
    for row, ring in zip(result, rings, strict=True):
        np.testing.assert_array_equal(row, shapely.contains_xy(shapely.Polygon(ring), points))


def test_boundaries_corners_and_holes_are_outside() -> None:
    outer, hole = rectangle(0, 0, 10, 10), rectangle(4, 4, 6, 6)
    areas = PolygonSet(np.concatenate([outer, hole]), np.array([0, 5, 10]), np.array([0, 2]))
    points = np.array(
        [[5, 5], [4, 5], [5, 4], [4, 4], [0, 0], [0, 5], [5, 10], [10, 10], [3.999, 5], [6.001, 6], [9, 4]]
    )
    assert inside(areas, points)[0].tolist() == [False] * 8 + [True, True, True]


def box_polygon(box: NDArray[np.float64], half: NDArray[np.float64]) -> shapely.Polygon:
    along, left = half[0] * box[2:], half[1] * np.array([-box[3], box[2]])
    return shapely.Polygon([box[:2] + i * along + j * left for i, j in ((1, 1), (-1, 1), (-1, -1), (1, -1))])


def random_boxes(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    heading = rng.uniform(-np.pi, np.pi, count)
    return (
        np.concatenate([rng.uniform(-5, 5, (count, 2)), np.cos(heading)[:, None], np.sin(heading)[:, None]], axis=1),
        rng.uniform(0.2, 3.0, (count, 2)),
    )


def launch(kernel: wp.Kernel, *inputs: NDArray[np.float64]) -> NDArray[np.bool_]:
    start_warp()
    result = np.zeros(len(inputs[0]), bool)
    kinds = {4: wp.vec4d, 2: wp.vec2d}
    arrays = [wp.array(np.ascontiguousarray(x), dtype=kinds[x.shape[1]], device="cpu") for x in inputs]
    wp.launch(
        kernel,
        dim=len(result),
        inputs=[*arrays, wp.array(result, dtype=wp.bool, device="cpu", copy=False)],
        device="cpu",
    )
    return result


def test_boxes_agree_with_shapely() -> None:
    rng = np.random.default_rng(7)
    a, half_a = random_boxes(rng, 2000)
    b, half_b = random_boxes(rng, 2000)
    half_a[::5, 0] = 0.0  # segments, such as the front edge
    result = launch(boxes_kernel, a, half_a, b, half_b)
    expected = []
    for i in range(len(a)):
        first = box_polygon(a[i], half_a[i])
        if half_a[i, 0] == 0.0:
            first = shapely.LineString([first.exterior.coords[0], first.exterior.coords[2]])
        expected.append(shapely.intersects(first, box_polygon(b[i], half_b[i])))
    np.testing.assert_array_equal(result, expected)
    assert 200 < result.sum() < 1800


def test_touching_boxes_count() -> None:
    unit = np.array([1.0, 1.0])
    here, there = np.array([[0.0, 0.0, 1.0, 0.0]]), np.array([[2.0, 0.0, 1.0, 0.0]])
    assert launch(boxes_kernel, here, unit[None], there, unit[None])[0]
    assert not launch(boxes_kernel, here, unit[None], there + np.array([1e-9, 0, 0, 0]), unit[None])[0]
    assert touching_boxes(
        np.zeros(3), np.array([[2.0, 2.0, 0.0], [2.0, 2.1, 0.0]]), unit, np.ones((2, 2))
    ).tolist() == [
        True,
        False,
    ]


def test_segments_agree_with_shapely() -> None:
    rng = np.random.default_rng(3)
    boxes, half = random_boxes(rng, 2000)
    ends = rng.uniform(-6, 6, (2000, 4))
    result = launch(segments_kernel, ends, boxes, half)
    expected = [
        shapely.intersects(shapely.LineString(ends[i].reshape(2, 2)), box_polygon(boxes[i], half[i]))
        for i in range(len(ends))
    ]
    np.testing.assert_array_equal(result, expected)
    assert 200 < result.sum() < 1800
