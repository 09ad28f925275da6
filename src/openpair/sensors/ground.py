"""Paints the ground: asphalt, lane markings, crosswalks, kerbs, sidewalks, grass, in square tiles.

A tile is 512 x 512 texels of 12.5 cm (64 m) with four coarser levels, each half the size of the one before, all in
one row of 16-bit RGB (5-6-5): 0.7 MB.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.sensors.kernels import texture
from openpair.sensors.markings import WHITE, YELLOW, LaneMarkings, Marking
from openpair.sensors.surfaces import RASTER_SHIFT, SurfaceKind, Surfaces, raster, raster_points

TEXEL_M: Final = 0.125
TILE_TEXELS: Final = 1 << texture.TEXTURE_BITS
TILE_M: Final = TEXEL_M * TILE_TEXELS
TEXELS_PER_TILE: Final = sum((TILE_TEXELS >> level) ** 2 for level in range(texture.TEXTURE_LEVELS))

_PAD: Final = 32
"""Texels drawn around a tile, so that kerbs of roads next door are right."""

GRASS: Final = (108, 126, 74)
SIDEWALK: Final = (158, 155, 149)
KERB: Final = (188, 186, 180)
ASPHALT: Final = (82, 84, 88)
CARPARK: Final = (96, 95, 96)
INTERSECTION: Final = (77, 79, 83)

_SIDEWALK_SHADE, _KERB_SHADE, _CARPARK_SHADE, _ASPHALT_SHADE, _INTERSECTION_SHADE = 48, 96, 228, 248, 255
"""Areas are painted as one byte, their shade; grass is 0. Shades between two of them have a mixture of their colours,
so that a blur of the shades is a blur of the colours: they are ordered so that what lies side by side is near."""
_SHADE_OF: Final[dict[int, int]] = {
    SurfaceKind.WALKWAY: _SIDEWALK_SHADE,
    SurfaceKind.CARPARK: _CARPARK_SHADE,
    SurfaceKind.ROAD: _ASPHALT_SHADE,
    SurfaceKind.INTERSECTION: _INTERSECTION_SHADE,
}

KERB_M: Final = 0.25
SIDEWALK_M: Final = 2.2
STRIPE_M: Final = 0.5
"""Width of a zebra's stripes and of the gaps between them."""
STOP_LINE_M: Final = 0.4

_FINE: Final = 2
"""Paint is drawn on a grid twice as fine and averaged: smooth lines at any angle."""
_FINE_M: Final = TEXEL_M / _FINE
_LINE_PX: Final = 3
"""Width of a lane marking on that grid: 0.19 m."""
_GRAIN_ONE: Final = 128
"""Brightness 1 of the grain."""
_PACKED_SCALE: Final = np.array([31 / 32, 63 / 64, 31 / 32], np.float32) * np.float32(256 / 255)
"""Makes the upper 5, 6 and 5 bits of 0 .. 255 the levels that the kernels read."""
_HALF_STEPS: Final = np.array([4.0, 2.0, 4.0, 0.0])

Image = NDArray[Any]
"""(H, W) or (H, W, 3) uint8; what OpenCV takes and gives."""


def paint_tile(surfaces: Surfaces, markings: LaneMarkings, ix: int, iy: int) -> NDArray[np.uint16]:
    """(TEXELS_PER_TILE,) texels of the tile whose lower left corner is (ix, iy) * TILE_M of the town frame."""
    corner = np.array([ix, iy]) * TILE_M
    reach = _PAD * TEXEL_M
    bounds = (corner[0] - reach, corner[1] - reach, corner[0] + TILE_M + reach, corner[1] + TILE_M + reach)
    indices = surfaces.within(bounds)
    if not len(indices):
        return _meadow()
    image: Image = np.asarray(cv2.applyColorMap(_shades(surfaces, indices, corner - reach), _shade_colors()))
    _apply_paint(image, *_paint_layers(surfaces, indices, markings.within(bounds), corner))
    return _packed(image)


@lru_cache(maxsize=1)
def _meadow() -> NDArray[np.uint16]:
    """The tile of a place where the map shows nothing."""
    return _packed(cv2.applyColorMap(np.zeros((TILE_TEXELS, TILE_TEXELS), np.uint8), _shade_colors()))


def _packed(image: Image) -> NDArray[np.uint16]:
    """(512, 512, 3) RGB -> all levels of a tile in a row of 5-6-5 texels, with grain."""
    image = cv2.multiply(image, _grain(), scale=1 / _GRAIN_ONE)
    image = cv2.add(image, _HALF_STEPS)  # OpenCV cuts off the low bits: this rounds
    out = np.empty(TEXELS_PER_TILE, np.uint16)
    start = 0
    for level in range(texture.TEXTURE_LEVELS):
        if level:
            image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        texels = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR565)).view(np.uint16).ravel()
        out[start : start + texels.size] = texels
        start += texels.size
    return out


def _shades(surfaces: Surfaces, indices: NDArray[np.int64], corner: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(512, 512) shade of each texel's area, soft at the edges. ``corner`` lies _PAD texels outside the tile."""
    size = TILE_TEXELS + 2 * _PAD
    shade = np.zeros((size, size), np.uint8)
    kinds = surfaces.kind[indices].tolist()
    areas = sorted((kind, i) for kind, i in zip(kinds, indices.tolist(), strict=True) if kind in _SHADE_OF)
    for (kind, _), rings in zip(areas, surfaces.raster_rings([i for _, i in areas], corner, TEXEL_M), strict=True):
        cv2.fillPoly(shade, rings, _SHADE_OF[kind], shift=RASTER_SHIFT)
    _, road = cv2.threshold(shade, _KERB_SHADE, 255, cv2.THRESH_BINARY)
    half = cv2.resize(road, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    beside = _grown(half, round(SIDEWALK_M / (2 * TEXEL_M)))
    beside = cv2.convertScaleAbs(beside, alpha=_SIDEWALK_SHADE / 255)
    beside = cv2.resize(beside, (size, size), interpolation=cv2.INTER_LINEAR)
    kerb = cv2.convertScaleAbs(_grown(road, round(KERB_M / TEXEL_M)), alpha=_KERB_SHADE / 255)
    shade = cv2.max(cv2.max(shade, beside), kerb)
    return np.asarray(cv2.blur(shade, (3, 3))[_PAD:-_PAD, _PAD:-_PAD], np.uint8)


def _grown(mask: Image, cells: int) -> Image:
    """A mask widened by an octagon of radius ``cells``: close to a circle, and much cheaper than one."""
    square = round(0.414 * cells)
    mask = cv2.dilate(mask, np.ones((2 * square + 1, 2 * square + 1), np.uint8))
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=cells - square)


def _paint_layers(
    surfaces: Surfaces, indices: NDArray[np.int64], lines: list[Marking], corner: NDArray[np.float64]
) -> tuple[Image, Image]:
    """(512, 512) cover 0..255 of white and of yellow paint."""
    fine = (_FINE * TILE_TEXELS, _FINE * TILE_TEXELS)
    layers: dict[tuple[int, int, int], Image] = {color: np.zeros(fine, np.uint8) for color in (WHITE, YELLOW)}
    for i in indices:
        if surfaces.kind[i] == SurfaceKind.CROSSWALK:
            _zebra(layers[WHITE], surfaces.rings[i][0] - corner)
        elif surfaces.kind[i] == SurfaceKind.STOP_LINE:
            _stop_line(layers[WHITE], surfaces.rings[i][0] - corner)
    for color, layer in layers.items():
        points = raster_points([line.points for line in lines if line.color == color], corner, _FINE_M)
        if points:
            cv2.polylines(layer, points, False, 255, _LINE_PX, cv2.LINE_AA, RASTER_SHIFT)
    size = (TILE_TEXELS, TILE_TEXELS)
    white, yellow = (cv2.resize(layer, size, interpolation=cv2.INTER_AREA) for layer in layers.values())
    return white, yellow


def _apply_paint(image: Image, white: Image, yellow: Image) -> None:
    """Paints (512, 512, 3) RGB in place with (512, 512) covers; yellow lies on top."""
    white = cv2.multiply(white, 255 - yellow, scale=1 / 255)
    bare = 255 - white - yellow
    cv2.multiply(image, cv2.merge([bare, bare, bare]), image, scale=1 / 255)
    paint = [cv2.addWeighted(white, w / 255, yellow, y / 255, 0.0) for w, y in zip(WHITE, YELLOW, strict=True)]
    cv2.add(image, cv2.merge(paint), image)


@lru_cache(maxsize=1)
def _shade_colors() -> NDArray[np.uint8]:
    """(256, 1, 3) RGB of each shade."""
    stops = (0, _SIDEWALK_SHADE, _KERB_SHADE, _CARPARK_SHADE, _ASPHALT_SHADE, _INTERSECTION_SHADE)
    colors = (GRASS, SIDEWALK, KERB, CARPARK, ASPHALT, INTERSECTION)
    channels = [np.interp(np.arange(256), stops, channel) for channel in zip(*colors, strict=True)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)[:, None]


def _zebra(layer: NDArray[np.uint8], ring: NDArray[np.float64]) -> None:
    """Stripes across the walking direction, which is the longer side of the crosswalk. ``ring`` in the tile [m]."""
    (cx, cy), (w, h), angle = cv2.minAreaRect(ring[:, None].astype(np.float32))
    turn = np.deg2rad(angle)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    if w < h:
        along, across, w, h = across, along, h, w
    count = max(int(w / (2 * STRIPE_M)), 1)
    half_a, half_b = 0.5 * STRIPE_M * along, 0.46 * h * across
    stripe = np.stack([-half_a - half_b, half_a - half_b, half_a + half_b, -half_a + half_b])
    middles = np.array([cx, cy]) + (((np.arange(count) + 0.5) / count - 0.5) * w)[:, None] * along
    for corners in raster(middles[:, None] + stripe, 0.0, _FINE_M):
        cv2.fillConvexPoly(layer, corners, 255, cv2.LINE_AA, RASTER_SHIFT)


def _stop_line(layer: NDArray[np.uint8], ring: NDArray[np.float64]) -> None:
    """A bar along the longer side of the polygon, at most STOP_LINE_M wide: some maps give whole waiting areas."""
    (cx, cy), (w, h), angle = cv2.minAreaRect(ring[:, None].astype(np.float32))
    size = (max(w, h), min(w, h, STOP_LINE_M))
    turn = angle if w >= h else angle + 90.0
    box = cv2.boxPoints(((cx, cy), size, turn)).astype(np.float64)
    cv2.fillConvexPoly(layer, raster(box, 0.0, _FINE_M), 255, cv2.LINE_AA, RASTER_SHIFT)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.uint8]:
    """(512, 512, 3) grain and broad patches around _GRAIN_ONE * _PACKED_SCALE; the same for all tiles, seamless."""
    rng = np.random.default_rng(20260313)
    total = np.ones((TILE_TEXELS, TILE_TEXELS), np.float32)
    for cells, strength in ((512, 0.035), (128, 0.025), (16, 0.030)):
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(coarse, 2, mode="wrap")
        scale = TILE_TEXELS // cells
        fine = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += strength * fine[2 * scale : 2 * scale + TILE_TEXELS, 2 * scale : 2 * scale + TILE_TEXELS]
    return np.clip(np.round(total[..., None] * (_GRAIN_ONE * _PACKED_SCALE)), 0, 255).astype(np.uint8)
