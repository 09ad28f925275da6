"""Paints the ground: asphalt, lane markings, crosswalks, kerbs, sidewalks, grass, in square tiles.

A tile is 512 x 512 texels of 12.5 cm (64 m) with four coarser levels, each half the size of the one before, all in
one row of 16-bit RGB (5-6-5): 0.7 MB.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.sensors.kernels import texture
from openpair.sensors.markings import WHITE, YELLOW, LaneMarkings
from openpair.sensors.surfaces import DRIVABLE_KINDS, SurfaceKind, Surfaces

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

KERB_M: Final = 0.25
SIDEWALK_M: Final = 2.2
STRIPE_M: Final = 0.5
"""Width of a zebra's stripes and of the gaps between them."""
STOP_LINE_M: Final = 0.4

_FINE: Final = 2
"""Paint is drawn on a grid twice as fine and averaged: smooth lines at any angle."""
_LINE_PX: Final = 3
"""Width of a lane marking on that grid: 0.19 m."""
_SHIFT: Final = 4
"""Fractional bits of the coordinates given to OpenCV: 1/16 texel."""


def paint_tile(surfaces: Surfaces, markings: LaneMarkings, ix: int, iy: int) -> NDArray[np.uint16]:
    """(TEXELS_PER_TILE,) texels of the tile whose lower left corner is (ix, iy) * TILE_M of the town frame."""
    corner = np.array([ix, iy]) * TILE_M - _PAD * TEXEL_M
    size = TILE_TEXELS + 2 * _PAD
    bounds = (corner[0], corner[1], corner[0] + size * TEXEL_M, corner[1] + size * TEXEL_M)
    road = np.zeros((size, size), np.uint8)
    tone = np.zeros((size, size), np.uint8)  # kind + 1 of what was painted last
    indices = surfaces.within(bounds)
    for i in indices[np.argsort(surfaces.kind[indices], kind="stable")]:
        kind = SurfaceKind(int(surfaces.kind[i]))
        if kind in DRIVABLE_KINDS or kind is SurfaceKind.WALKWAY:
            rings = [_texels(ring, corner) for ring in surfaces.rings[i]]
            cv2.fillPoly(tone, rings, int(kind) + 1, shift=_SHIFT)
            if kind in DRIVABLE_KINDS:
                cv2.fillPoly(road, rings, 1, shift=_SHIFT)
    coats = _areas(road, tone)
    corner = corner + _PAD * TEXEL_M
    layers = {color: np.zeros((_FINE * TILE_TEXELS, _FINE * TILE_TEXELS), np.uint8) for color in (WHITE, YELLOW)}
    for i in indices:
        if surfaces.kind[i] == SurfaceKind.CROSSWALK:
            _zebra(layers[WHITE], surfaces.rings[i][0] - corner)
        elif surfaces.kind[i] == SurfaceKind.STOP_LINE:
            _stop_line(layers[WHITE], surfaces.rings[i][0] - corner)
    for line in markings.within(bounds):
        points = _texels(line.points, corner, _FINE)
        cv2.polylines(layers[line.color], [points], False, 255, _LINE_PX, cv2.LINE_AA, _SHIFT)
    for color, layer in layers.items():
        cover = cv2.resize(layer, (TILE_TEXELS, TILE_TEXELS), interpolation=cv2.INTER_AREA)
        coats.append((color, cover * np.float32(1 / 255)))
    return pack(np.clip(_composed(coats) * _grain(), 0, 255).astype(np.uint8))


def pack(image: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """(512, 512, 3) RGB -> all levels of a tile in a row of 5-6-5 texels."""
    rows = []
    for level in range(texture.TEXTURE_LEVELS):
        if level:
            image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        c = image.astype(np.uint16)
        r, g, b = ((c[..., 0] * 31 + 127) // 255), ((c[..., 1] * 63 + 127) // 255), ((c[..., 2] * 31 + 127) // 255)
        rows.append(((r << 11) | (g << 5) | b).astype(np.uint16).ravel())
    return np.concatenate(rows)


def _texels(points: NDArray[np.float64], corner: NDArray[np.float64] | float, fine: int = 1) -> NDArray[np.int32]:
    """Town frame [m] -> OpenCV coordinates with fractional bits, on a grid ``fine`` times finer than the texels."""
    return np.round(((points - corner) * (fine / TEXEL_M) - 0.5) * (1 << _SHIFT)).astype(np.int32)


Coat = tuple[tuple[int, int, int], NDArray[np.float32]]
"""A colour and how much of each texel it covers, (512, 512) in 0..1."""


def _areas(road: NDArray[np.uint8], tone: NDArray[np.uint8]) -> list[Coat]:
    """Coats of the areas, the lowest first, with soft edges between them. Input with _PAD texels around the tile."""
    inner = np.s_[_PAD:-_PAD, _PAD:-_PAD]
    away = cv2.distanceTransform(1 - road, cv2.DIST_L2, 3)[inner].astype(np.float32) * np.float32(TEXEL_M)

    def soft(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(mask.astype(np.float32), (3, 3)), np.float32)[inner]

    sidewalk = np.clip((SIDEWALK_M - away) / (2 * TEXEL_M) + 0.5, 0, 1)
    walkway = soft(tone == SurfaceKind.WALKWAY + 1)
    return [
        (GRASS, np.ones_like(away)),
        (SIDEWALK, np.maximum(sidewalk, walkway)),
        (KERB, np.clip((KERB_M - away) / TEXEL_M + 0.5, 0, 1)),
        (ASPHALT, soft(road > 0)),
        (CARPARK, soft((tone == SurfaceKind.CARPARK + 1) & (road > 0))),
        (INTERSECTION, soft((tone == SurfaceKind.INTERSECTION + 1) & (road > 0))),
    ]


def _composed(coats: list[Coat]) -> NDArray[np.float32]:
    """(512, 512, 3) RGB of coats painted one over the other."""
    left = np.ones_like(coats[0][1])
    shares, colors = [], []
    for color, cover in reversed(coats):
        if cover.any():
            shares.append((left * cover).ravel())
            left = left * (1 - cover)
            colors.append(color)
    image = np.stack(shares, axis=1) @ np.array(colors, np.float32)
    return image.reshape(TILE_TEXELS, TILE_TEXELS, 3)


def _zebra(layer: NDArray[np.uint8], ring: NDArray[np.float64]) -> None:
    """Stripes across the walking direction, which is the longer side of the crosswalk. ``ring`` in the tile [m]."""
    (cx, cy), (w, h), angle = cv2.minAreaRect(ring[:, None].astype(np.float32))
    turn = np.deg2rad(angle)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    if w < h:
        along, across, w, h = across, along, h, w
    count = max(int(w / (2 * STRIPE_M)), 1)
    half_a, half_b = 0.5 * STRIPE_M * along, 0.46 * h * across
    for k in range(count):
        middle = np.array([cx, cy]) + ((k + 0.5) / count - 0.5) * w * along
        stripe = [
            middle - half_a - half_b,
            middle + half_a - half_b,
            middle + half_a + half_b,
            middle - half_a + half_b,
        ]
        cv2.fillConvexPoly(layer, _texels(np.stack(stripe), 0.0, _FINE), 255, cv2.LINE_AA, _SHIFT)


def _stop_line(layer: NDArray[np.uint8], ring: NDArray[np.float64]) -> None:
    """A bar along the longer side of the polygon, at most STOP_LINE_M wide: some maps give whole waiting areas."""
    (cx, cy), (w, h), angle = cv2.minAreaRect(ring[:, None].astype(np.float32))
    size = (max(w, h), min(w, h, STOP_LINE_M))
    turn = angle if w >= h else angle + 90.0
    box = cv2.boxPoints(((cx, cy), size, turn)).astype(np.float64)
    cv2.fillConvexPoly(layer, _texels(box, 0.0, _FINE), 255, cv2.LINE_AA, _SHIFT)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    """(512, 512, 1) brightness of fine grain and broad patches around 1; the same for all tiles, seamless."""
    rng = np.random.default_rng(20260313)
    total = np.ones((TILE_TEXELS, TILE_TEXELS), np.float32)
    for cells, strength in ((512, 0.035), (128, 0.025), (16, 0.030)):
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(coarse, 2, mode="wrap")
        scale = TILE_TEXELS // cells
        fine = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += strength * fine[2 * scale : 2 * scale + TILE_TEXELS, 2 * scale : 2 * scale + TILE_TEXELS]
    return total[..., None]
