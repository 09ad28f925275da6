"""A few words of SVG: numbers, paths, elements. Written by hand, a drawing is small and follows the page's colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import shapely
from numpy.typing import NDArray

Points = NDArray[np.float64]


def number(value: float, digits: int = 2) -> str:
    """Shortest text of a number with at most ``digits`` decimals: ``"12.3"``, ``"-.5"``, ``"0"``."""
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text in ("-0", ""):
        return "0"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def line_path(points: Points, *, closed: bool = False) -> str:
    """Path data through points (n, 2); relative moves keep it short."""
    rounded: Points = np.asarray(points, dtype=np.float64).round(2)
    return _path(rounded, closed)


def _path(rounded: Points, closed: bool) -> str:
    if closed and len(rounded) > 1 and (rounded[0] == rounded[-1]).all():
        rounded = rounded[:-1]
    steps = rounded[1:] - rounded[:-1]
    moved = "".join([f"l{_pair(step)}" for step in steps.tolist() if step[0] or step[1]])
    return f"M{_pair(rounded[0].tolist())}{moved}{'z' if closed else ''}"


def geometry_paths(geometries: NDArray[np.object_]) -> list[str]:
    """Path data of each of some polygons, lines or collections, holes included (fill rule evenodd); empty for an empty
    one."""
    data = [""] * len(geometries)
    parts, owner = shapely.get_parts(geometries, return_index=True)
    kind = shapely.get_type_id(parts)
    areas = kind == shapely.GeometryType.POLYGON
    lines = (kind == shapely.GeometryType.LINESTRING) | (kind == shapely.GeometryType.LINEARRING)
    rings, of_area = shapely.get_rings(parts[areas], return_index=True)
    for closed, curves, owners in ((True, rings, owner[areas][of_area]), (False, parts[lines], owner[lines])):
        points = np.round(shapely.get_coordinates(curves), 2)
        ends = np.cumsum(shapely.get_num_coordinates(curves)).tolist()
        for begin, end, i in zip([0, *ends], ends, owners.tolist(), strict=False):
            if end - begin > (3 if closed else 1):
                data[i] += _path(points[begin:end], closed)
    return data


def smooth_path(points: Points, directions: Points) -> str:
    """Path data of a smooth curve.

    Args:
        points: (n, 2) where it passes.
        directions: (n, 2) unit vectors it is tangent to, forward or backward.
    """
    text = f"M{_pair(points[0])}"
    for i in range(len(points) - 1):
        chord = points[i + 1] - points[i]
        length = float(np.hypot(*chord))
        if length < 0.02:
            continue
        sign = 1.0 if float(chord @ (directions[i] + directions[i + 1])) >= 0 else -1.0
        handle = sign * length / 3.0
        controls = (handle * directions[i], chord - handle * directions[i + 1], chord)
        text += "c" + " ".join(_pair(control) for control in controls)
        # Relative commands add up rounded steps; a plan has 8 of them, the error stays below a pixel.
    return text


def element(tag: str, content: str | Iterable[str] = "", **attributes: object) -> str:
    """One element; ``class_`` becomes ``class`` and ``data_x`` becomes ``data-x``; None leaves an attribute out."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = "".join(f' {key}="{escape(_value(value), quote=True)}"' for key, value in named.items())
    inner = content if isinstance(content, str) else "".join(content)
    return f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>"


def _value(value: object) -> str:
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)


def _pair(point: Sequence[float] | Points) -> str:
    x, y = number(point[0]), number(point[1])
    return f"{x}{y}" if y.startswith("-") else f"{x} {y}"
