"""Colours with a meaning: low scores are red, high ones teal, told apart by colour-blind eyes as well."""

from __future__ import annotations

import numpy as np

SCORE_STOPS = (
    (0.0, (192, 38, 52)),
    (0.35, (222, 104, 34)),
    (0.65, (214, 165, 32)),
    (0.85, (84, 160, 110)),
    (1.0, (8, 138, 134)),
)
"""(score, (red, green, blue)); linear in between."""


def score_colour(score: float) -> str:
    """``#rrggbb`` of a score in [0, 1]; grey where it is not a number."""
    if not np.isfinite(score):
        return "#8a8f98"
    positions = [stop for stop, _ in SCORE_STOPS]
    channels = [np.interp(score, positions, [colour[i] for _, colour in SCORE_STOPS]) for i in range(3)]
    return "#" + "".join(f"{round(float(channel)):02x}" for channel in channels)
