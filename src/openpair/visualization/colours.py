"""Colours with a meaning: low scores are red, high ones teal, told apart by colour-blind eyes as well."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import ImageColor

from openpair.visualization.assets import colours_of, read_asset

Colour = tuple[int, int, int]
"""Red, green, blue."""

SCORE_STOPS = (
    (0.0, (192, 38, 52)),
    (0.35, (222, 104, 34)),
    (0.65, (214, 165, 32)),
    (0.85, (84, 160, 110)),
    (1.0, (8, 138, 134)),
)
"""(score, (red, green, blue)); linear in between."""


@cache
def drawing_colour(name: str, *, dark: bool = False) -> Colour:
    """A colour of the pages' drawings (``page/scene.css``), such as "v-car"."""
    red, green, blue = ImageColor.getrgb(colours_of(read_asset("scene.css"), dark=dark)[name])[:3]
    return red, green, blue


def score_colour(score: float) -> str:
    """``#rrggbb`` of a score in [0, 1]; grey where it is not a number."""
    if not np.isfinite(score):
        return "#8a8f98"
    positions = [stop for stop, _ in SCORE_STOPS]
    channels = [np.interp(score, positions, [colour[i] for _, colour in SCORE_STOPS]) for i in range(3)]
    return "#" + "".join(f"{round(float(channel)):02x}" for channel in channels)
