"""curve.jsonl: the figures that a branch logged while it learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openpair.damage import reading

CURVE_FILE = "curve.jsonl"


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Logged points of a branch, oldest first: dictionaries with "step" and figures.

    A torn last line is left out: the process was killed while writing it, and those steps are done again. Raises
    OpenPairError for a line that is damaged otherwise.
    """
    path = folder / CURVE_FILE
    if not path.exists():
        return []
    with reading(path, "the curve", fix="Remove the file: only what was logged so far is lost"):
        lines = path.read_text(encoding="utf-8").split("\n")
        return [_point(line) for line in lines[:-1]]  # after the last line feed there is nothing, or a torn line


def _point(line: str) -> dict[str, Any]:
    """One logged point. Raises ValueError for a line that is none."""
    point = json.loads(line)
    if not isinstance(point, dict) or type(point.get("step")) is not int:
        raise ValueError("a line is no logged point")
    return point
