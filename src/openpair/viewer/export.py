"""Chosen scenes as one file: the same page, with its data inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.viewer.desk import Desk
from openpair.viewer.page import exported_page
from openpair.viewer.result_table import Column, ResultTable


def export_scenes(
    desk: Desk, path: Path, tokens: Sequence[str], keys: Sequence[str], *, title: str, cameras: bool = True
) -> int:
    """Write a page with some scenes and the plans of some agents; returns its size [bytes].

    Args:
        desk: what is open.
        path: the file.
        tokens: scenes, in the order of the table.
        keys: agents that are drawn; the table has all of them.
        title: heading of the page.
        cameras: with camera images, where the dataset has some.

    Raises OpenPairError for scenes that cannot be drawn, and where the file cannot be written.
    """
    if not tokens:
        raise OpenPairError("no scenes are chosen", where="--export", fix="Name some: --scene TOKEN")
    scenes = {token: _scene(desk, token, keys, cameras) for token in tokens}
    page = exported_page(
        title,
        {
            "table": desk.book.table(tokens),
            "scenes": scenes,
            "happenings": {"masks": desk.masks(tokens), "done": True, "problem": ""},
            "charts": desk.charts(),
        },
    )
    write_atomically(path, page)
    return len(page.encode())


def _scene(desk: Desk, token: str, keys: Sequence[str], cameras: bool) -> dict[str, Any]:
    data = desk.book.scene(token, keys)
    return {**data, "camera": desk.camera(token)} if cameras else data


def telling_scenes(book: ResultTable, first: Column, second: Column | None, count: int) -> list[str]:
    """Tokens of the scenes that say most of two agents: the greatest losses of the first against the second, then its
    greatest gains, half each; without a second, its lowest scores."""
    scores = [_score(first, i) for i in range(len(book.tokens))]
    if second is None:
        known = sorted((score, i) for i, score in enumerate(scores) if score is not None)
        return [book.tokens[i] for _, i in known[:count]]
    others = [_score(second, i) for i in range(len(book.tokens))]
    gains = sorted(
        (a - b, i) for i, (a, b) in enumerate(zip(scores, others, strict=True)) if a is not None and b is not None
    )
    losses = [i for gain, i in gains if gain < 0][: (count + 1) // 2]
    wins = [i for gain, i in reversed(gains) if gain > 0][: count - len(losses)]
    chosen = [*losses, *wins] or [i for _, i in gains[:count]]
    return [book.tokens[i] for i in chosen]


def _score(column: Column, place: int) -> float | None:
    row = int(column.rows[place])
    score = float(column.column.scores[row]) if row >= 0 else float("nan")
    return None if math.isnan(score) else score
