"""Which scenes a report shows: chosen by rule, so that the gallery is neither all successes nor all failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openpair.evaluation.records import ScoreRow

BETTER, WORSE, RANDOM = "better", "worse", "random"


@dataclass(frozen=True)
class Example:
    """A scene to show.

    Attributes:
        log, token: the scene.
        kind: "better" (greatest gain of the first agent over the second), "worse" (greatest loss) or "random".
        difference: score of the first agent minus that of the second.
    """

    log: str
    token: str
    kind: str
    difference: float


def example_scenes(
    rows: Sequence[ScoreRow], first: str, second: str, *, per_kind: int = 4, seed: int = 0
) -> list[Example]:
    """Greatest gains, greatest losses and a random sample of ``first`` against ``second``.

    No scene twice; no two gains and no two losses from one log while other logs have some, for variety. Scenes without
    a difference count as neither gain nor loss. Scenes that either agent failed on are left out.
    """
    scores = {(row.agent, row.token): row for row in rows if row.score is not None}
    both = [
        (scores[first, token], scores[second, token])
        for token in dict.fromkeys(row.token for row in rows)
        if (first, token) in scores and (second, token) in scores
    ]
    differences = [(float(a.score or 0.0) - float(b.score or 0.0), a.log, a.token) for a, b in both]
    gains = sorted((d for d in differences if d[0] > 0), key=lambda d: (-d[0], d[2]))
    losses = sorted((d for d in differences if d[0] < 0), key=lambda d: (d[0], d[2]))
    chosen = [(BETTER, d) for d in _varied(gains, per_kind)] + [(WORSE, d) for d in _varied(losses, per_kind)]
    taken = {d[2] for _, d in chosen}
    rest = [d for d in differences if d[2] not in taken]
    order = np.random.default_rng(seed).permutation(len(rest))[:per_kind]
    chosen += [(RANDOM, rest[i]) for i in order]
    return [Example(log, token, kind, difference) for kind, (difference, log, token) in chosen]


def _varied(ranked: list[tuple[float, str, str]], count: int) -> list[tuple[float, str, str]]:
    """The first ``count``, preferring logs that have none yet."""
    logs: set[str] = set()
    fresh: list[tuple[float, str, str]] = []
    again: list[tuple[float, str, str]] = []
    for item in ranked:
        (again if item[1] in logs else fresh).append(item)
        logs.add(item[1])
    return (fresh + again)[:count]
