"""Drawings of scenes as pixels, for what takes no SVG.

Paints what :mod:`openpair.visualization.drawing` writes, with the rules of ``page/scene.css``: groups, text, and paths
of M, l, h, c and z. Labels have no outline and another font.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from openpair.visualization.style_rules import Names, style_of

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Points = NDArray[np.float64]

SUPERSAMPLING = 2
SUBPIXEL_BITS = 4
CURVE_PARTS = np.linspace(0.0, 1.0, 9)[1:, None]

_COMMAND = re.compile(r"([MlhcZz])([^MlhcZz]*)")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")


def paint(drawing: str, *, width: int = 600) -> Image:
    """A drawing of a scene, ``width`` pixels wide."""
    root = ElementTree.fromstring(drawing)
    left, top, across, down = map(float, root.attrib["viewBox"].split())
    scale = SUPERSAMPLING * width / across
    height = round(down * width / across)
    canvas = _Canvas(np.empty((SUPERSAMPLING * height, SUPERSAMPLING * width, 3), np.uint8), scale)
    own = _names(root)
    canvas.pixels[:] = ImageColor.getrgb(style_of([own], {})["background"])
    to_pixels = np.array([[scale, 0.0, -left * scale], [0.0, scale, -top * scale]])
    for child in root:
        _paint_element(canvas, child, [own], to_pixels)
    return np.asarray(cv2.resize(canvas.pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class _Canvas:
    """Pixels that are painted on.

    Attributes:
        pixels: (H, W, 3) RGB.
        scale: pixels in a metre of the drawing.
    """

    pixels: Image
    scale: float

    def fill(self, curves: Sequence[Points], colour: str, opacity: float) -> None:
        """Surfaces within curves (n, 2) [px], by the rule "evenodd"."""

        def draw(mask: NDArray[np.uint8], origin: Points) -> None:
            cv2.fillPoly(mask, [_fixed(curve - origin) for curve in curves], 255, cv2.LINE_AA, SUBPIXEL_BITS)

        self._blend(curves, 1.0, colour, opacity, draw)

    def stroke(self, curves: Sequence[Points], width: float, colour: str, opacity: float) -> None:
        """Lines along curves (n, 2) [px], ``width`` pixels wide, with round ends."""
        thickness = max(round(width), 1)

        def draw(mask: NDArray[np.uint8], origin: Points) -> None:
            fixed = [_fixed(curve - origin) for curve in curves]
            cv2.polylines(mask, fixed, False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)

        self._blend(curves, thickness, colour, opacity, draw)

    def write(self, text: str, place: Points, size: float, anchor: str, colour: str) -> None:
        """Text beside a place [px], ``size`` pixels high."""
        font, thickness = cv2.FONT_HERSHEY_SIMPLEX, SUPERSAMPLING
        scale = 0.7 * size / cv2.getTextSize("H", font, 1.0, thickness)[0][1]
        length = cv2.getTextSize(text, font, scale, thickness)[0][0]
        start = place[0] - length * {"middle": 0.5, "end": 1.0}.get(anchor, 0.0)
        at = (round(start), round(float(place[1])))
        cv2.putText(self.pixels, text, at, font, scale, ImageColor.getrgb(colour)[:3], thickness, cv2.LINE_AA)

    def _blend(self, curves: Sequence[Points], margin: float, colour: str, opacity: float, draw: Draw) -> None:
        """Lay a colour over the pixels that ``draw`` marks, in the part of the canvas where the curves are."""
        every = np.concatenate(curves)
        limits = np.array(self.pixels.shape[1::-1])
        low = np.clip(np.floor(every.min(axis=0) - margin), 0, limits).astype(int)
        high = np.clip(np.ceil(every.max(axis=0) + margin) + 1, 0, limits).astype(int)
        if (high <= low).any():
            return
        mask = np.zeros((high - low)[::-1], np.uint8)
        draw(mask, low.astype(np.float64))
        part = self.pixels[low[1] : high[1], low[0] : high[0]]
        share = (opacity / 255.0) * mask[..., None].astype(np.float32)
        part[:] = np.rint(part + share * (np.array(ImageColor.getrgb(colour)[:3], np.float32) - part))


class Draw(Protocol):
    """Marks pixels with 255 in a mask whose first pixel is at ``origin`` [px]."""

    def __call__(self, mask: NDArray[np.uint8], origin: Points) -> None: ...


def _paint_element(canvas: _Canvas, item: ElementTree.Element, above: list[Names], to_pixels: Points) -> None:
    path = [*above, _names(item)]
    style = style_of(path, item.attrib)
    if style.get("display") == "none" or style.get("visibility") == "hidden":
        return
    to_pixels = _placed(to_pixels, style.get("transform", ""))
    if item.tag == "g":
        for child in item:
            _paint_element(canvas, child, path, to_pixels)
    elif item.tag == "path":
        curves = [curve @ to_pixels[:, :2].T + to_pixels[:, 2] for curve in path_curves(item.get("d", ""))]
        _paint_path(canvas, curves, style)
    elif item.tag == "text":
        place = to_pixels @ [float(style["x"]), float(style["y"]), 1.0]
        size = float(_NUMBER.findall(style.get("font", style.get("font-size", "")))[0])
        canvas.write(item.text or "", place, canvas.scale * size, style.get("text-anchor", ""), style["fill"])


def _paint_path(canvas: _Canvas, curves: list[Points], style: Mapping[str, str]) -> None:
    fill, stroke = style.get("fill", "none"), style.get("stroke", "none")
    if curves and fill != "none":
        canvas.fill(curves, fill, float(style.get("fill-opacity", 1.0)))
    if curves and stroke != "none":
        pattern = style.get("stroke-dasharray", "none")
        lengths = [] if pattern == "none" else [canvas.scale * float(number) for number in pattern.split()]
        lines = [dash for curve in curves for dash in dashes(curve, lengths)] if lengths else curves
        width = canvas.scale * float(style.get("stroke-width", 1.0))
        canvas.stroke(lines, width, stroke, float(style.get("stroke-opacity", 1.0)))


def path_curves(data: str) -> list[Points]:
    """Curves (n, 2) of path data; one that ends with z returns to its first point."""
    curves: list[list[Points]] = []
    for command, text in _COMMAND.findall(data):
        values = np.array([float(number) for number in _NUMBER.findall(text)])
        if command == "M":
            curves.append([values])
            continue
        curve = curves[-1]
        here = curve[-1]
        if command == "h":
            curve.append(here + np.array([values[0], 0.0]))
        elif command == "l":
            curve.append(here + values)
        elif command == "c":
            first, second, end = values.reshape(3, 2)
            t = CURVE_PARTS
            curve.extend(here + 3 * t * (1 - t) ** 2 * first + 3 * t**2 * (1 - t) * second + t**3 * end)
        else:
            curve.append(curve[0])
    return [np.array(curve) for curve in curves]


def dashes(curve: Points, lengths: Sequence[float]) -> Iterator[Points]:
    """The drawn pieces of a curve (n, 2): ``lengths`` are by turns of a dash and of a gap, again and again."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    begin, number = 0.0, 0
    while begin <= along[-1] and sum(lengths) > 0:
        end = begin + lengths[number % len(lengths)]
        if number % 2 == 0:
            inside = along[(along > begin) & (along < end)]
            at = np.array([begin, *inside, min(end, along[-1])])
            yield np.stack([np.interp(at, along, curve[:, axis]) for axis in range(2)], axis=1)
        begin, number = end, number + 1


def _names(item: ElementTree.Element) -> Names:
    return frozenset([item.tag, *(f".{name}" for name in item.get("class", "").split())])


def _placed(to_pixels: Points, transform: str) -> Points:
    """``to_pixels`` (2, 3) after ``translate(x y) rotate(degrees)``."""
    if not transform:
        return to_pixels
    x, y, degrees = map(float, _NUMBER.findall(transform))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return to_pixels @ np.array([[c, -s, x], [s, c, y], [0.0, 0.0, 1.0]])


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.rint(points * 2**SUBPIXEL_BITS).astype(np.int32)
