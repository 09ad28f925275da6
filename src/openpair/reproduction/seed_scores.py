"""Scores of all seeds side by side: a column is one agent's metric, seeds by scenes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError
from openpair.evaluation.records import ScoreRow, read_scores
from openpair.reproduction.agents import is_seedless
from openpair.reproduction.scoring import V1, scores_path

SCORE = "score"


@dataclass(frozen=True)
class SeedScores:
    """Scores under one protocol, filtered or not.

    Attributes:
        protocol: "v1.1", "v2.2" or "closed loop".
        logs: (S,) log of each scene.
        tokens: (S,) scenes, in the order of the dataset.
        seeds: agent -> seeds that it was scored with; one for agents that nothing is trained for.
        columns: (agent, metric) -> (K, S), rows as in ``seeds``; NaN where the scene failed or the metric is undefined.
        failures: (seed, row) of scenes that failed.
    """

    protocol: str
    logs: tuple[str, ...]
    tokens: tuple[str, ...]
    seeds: dict[str, tuple[int, ...]]
    columns: dict[tuple[str, str], NDArray[np.float64]]
    failures: tuple[tuple[int, ScoreRow], ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those of the columns; of PDM scores the score, then every sub-metric in published order."""
        return tuple(dict.fromkeys(metric for _, metric in self.columns))

    def column(self, agent: str, metric: str) -> NDArray[np.float64]:
        """(K, S) values of an agent. Raises KeyError for one that was not scored."""
        return self.columns[agent, metric]

    def paired(self, first: str, second: str, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns of two agents, row k of both from the same seed: the seeds that both have, or one row for an agent
        without seeds."""
        if is_seedless(first) or is_seedless(second):
            return self.column(first, metric), self.column(second, metric)
        common = [seed for seed in self.seeds[first] if seed in self.seeds[second]]
        rows = [[self.seeds[agent].index(seed) for seed in common] for agent in (first, second)]
        return self.column(first, metric)[rows[0]], self.column(second, metric)[rows[1]]

    def where(self, agent: str, low: float, high: float) -> NDArray[np.bool_]:
        """(S,) scenes in which an agent without seeds scores at least ``low`` and less than ``high``, in [0, 1]."""
        score = self.column(agent, SCORE)[0]
        return np.asarray((score >= low) & (score < high))

    def only(self, scenes: NDArray[np.bool_]) -> SeedScores:
        """The same over some of the scenes (S,)."""
        kept = np.flatnonzero(scenes)
        tokens = tuple(self.tokens[i] for i in kept)
        return SeedScores(
            self.protocol,
            tuple(self.logs[i] for i in kept),
            tokens,
            self.seeds,
            {key: values[:, kept] for key, values in self.columns.items()},
            tuple(failure for failure in self.failures if failure[1].token in tokens),
        )


def read_seed_scores(run: Path, seeds: Sequence[int], variant: str) -> SeedScores:
    """Scores of all seeds of a run. Raises OpenPairError where seeds were scored on different scenes."""
    return seed_scores({seed: read_scores(scores_path(run, seed, variant)) for seed in seeds}, where=run)


def seed_scores(rows_of: dict[int, list[ScoreRow]], where: Path | None = None) -> SeedScores:
    """Rows of each seed, side by side. Raises OpenPairError where seeds were scored on different scenes."""
    scenes = [list(dict.fromkeys((row.log, row.token) for row in rows)) for rows in rows_of.values()]
    if any(own != scenes[0] for own in scenes) or not scenes[0]:
        raise OpenPairError("the seeds were scored on different scenes", where=where, fix="Score all seeds again")
    index = {token: number for number, (_, token) in enumerate(scenes[0])}
    protocol = next(row.protocol for rows in rows_of.values() for row in rows)
    names = (SCORE, *metric_names(Protocol(protocol)))
    seeds: dict[str, list[int]] = {}
    columns: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    failures = []
    for seed, rows in rows_of.items():
        fresh: dict[str, list[ScoreRow]] = {}
        for row in rows:
            if not (is_seedless(row.agent) and row.agent in seeds):
                fresh.setdefault(row.agent, []).append(row)
        for agent, own in fresh.items():
            seeds.setdefault(agent, []).append(seed)
            values = np.full((len(names), len(index)), math.nan)
            for row in own:
                if row.score is None:
                    failures.append((seed, row))
                    continue
                values[:, index[row.token]] = [row.score, *(row.metrics[name] for name in names[1:])]
            for name, column in zip(names, values, strict=True):
                columns.setdefault((agent, name), []).append(column)
    return SeedScores(
        protocol,
        tuple(log for log, _ in scenes[0]),
        tuple(token for _, token in scenes[0]),
        {agent: tuple(own) for agent, own in seeds.items()},
        {key: np.stack(values) for key, values in columns.items()},
        tuple(failures),
    )


def scored_seeds(run: Path) -> tuple[int, ...]:
    """Seeds of a run that are scored. Raises OpenPairError where none is."""
    found = []
    for folder in run.glob("seed-*"):
        number = folder.name.removeprefix("seed-")
        if number.isdigit() and scores_path(run, int(number), V1).exists():
            found.append(int(number))
    if not found:
        raise OpenPairError("nothing is scored here", where=run, fix="Train, plan and score at least one seed")
    return tuple(sorted(found))
