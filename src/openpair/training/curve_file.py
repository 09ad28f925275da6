"""curve.jsonl: the figures that a branch logged while it learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CURVE_FILE = "curve.jsonl"


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Logged points of a branch, oldest first: dictionaries with "step" and figures. A torn last line is left out."""
    path = folder / CURVE_FILE
    points: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                points.append(json.loads(line))
            except json.JSONDecodeError:
                break  # the process was killed while writing it; those steps are done again
    return points
