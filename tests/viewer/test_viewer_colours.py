"""Text of the pages stands out from what lies behind it (WCAG AA), and plans stay apart for colour-blind eyes."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from PIL import ImageColor

from openpair.viewer.page import served_style
from openpair.visualization.assets import read_asset

PAIR = re.compile(r"--([\w-]+):\s*light-dark\(([^,()]+),\s*([^()]+)\)")
AA_TEXT, AA_GRAPHICS = 4.5, 3.0

# Machado, Oliveira, Fernandes 2009 (severity 1): what eyes without one kind of cone see, in linear RGB.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def colours(dark: bool) -> dict[str, str]:
    """Variable -> colour of one of the two themes."""
    return {name: (night if dark else day).strip() for name, day, night in PAIR.findall(served_style())}


def linear(colour: str) -> np.ndarray:
    """(3,) linear RGB in [0, 1]."""
    values = np.array(ImageColor.getrgb(colour)[:3]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """WCAG 2: contrast ratio of two colours."""
    bright, dim = sorted((float(linear(one) @ [0.2126, 0.7152, 0.0722]) for one in (first, second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab of linear RGB."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_black_on_white_has_the_known_contrast() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21.0) and contrast("#777777", "#ffffff") == pytest.approx(
        4.48, abs=0.01
    )


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(dark: bool) -> None:
    known = colours(dark)
    for text, behind in itertools.product(("ink", "soft", "accent", "good", "bad", "part"), ("paper", "card", "tint")):
        assert contrast(known[text], known[behind]) >= AA_TEXT, (text, behind)
    assert contrast(known["accent"], known["accent-tint"]) >= AA_TEXT
    for line in range(6):  # lines of charts
        assert contrast(known[f"c{line}"], known["paper"]) >= AA_GRAPHICS, line


@pytest.mark.parametrize("dark", [False, True])
def test_plans_stand_out_from_the_ground_and_from_each_other(dark: bool) -> None:
    known = colours(dark)
    for tone in range(6):
        for behind in ("v-ground", "v-road", "v-route"):
            assert contrast(known[f"v-t{tone}"], known[behind]) >= AA_GRAPHICS, (tone, behind)
    # The first four are told apart by colour; all have dashes of their own besides.
    for seen in BLINDNESS.values():
        first = [lab(np.array(seen) @ linear(known[f"v-t{tone}"])) for tone in range(3)]
        assert all(np.linalg.norm(a - b) > 15 for a, b in itertools.combinations(first, 2))
    style = read_asset("scene.css")
    dashes = [re.search(rf"\.tone{tone} \.motion\{{stroke-dasharray:([^}}]+)\}}", style) for tone in range(1, 6)]
    assert all(dashes) and len({found.group(1) for found in dashes if found}) == 5
