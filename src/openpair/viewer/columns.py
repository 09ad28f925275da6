"""What a result says, as columns over scenes: one agent's scores, sub-metrics and plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES, metric_names
from openpair.evaluation.records import ScoreRow
from openpair.visualization.glossary import Term, formula, glossary

PlansReader = Callable[[], dict[str, NDArray[np.float64]]]
"""Reads token -> (C, 8, 3) plans; C > 1 where the true score picks."""


@dataclass(frozen=True)
class DataOrigin:
    """Where the scenes of a result come from.

    Attributes:
        dataset: "world", "navsim" ...; empty where the result does not say.
        split: part of it.
        root: its folder, as the result names it; None for the embedded world.
        config: settings of the evaluation, as in summary.json.
        stages: 1, or 2 for a two-stage set.
        seed: of agents that draw at random.
    """

    dataset: str
    split: str | None = None
    root: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    stages: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Measure:
    """What is measured: one score, and the values it is made of.

    Attributes:
        score: name of the score.
        shorts: full name -> short name of each value, in the order of the tables.
        formula: how the values become the score.
        terms: the values in words.
    """

    score: str
    shorts: dict[str, str]
    formula: str
    terms: tuple[Term, ...]


@cache
def pdm_measure(protocol: Protocol) -> Measure:
    """PDMS or EPDMS with its sub-metrics."""
    name = "PDMS" if protocol is Protocol.V1_1 else "EPDMS"
    shorts = {metric: SHORT_NAMES[metric] for metric in metric_names(protocol)}
    return Measure(name, shorts, formula(protocol), glossary(protocol))


@dataclass(frozen=True, eq=False)
class AgentColumn:
    """One agent of a result.

    Attributes:
        agent: its name.
        scores: (S,) in [0, 1], NaN where the scene failed or was not asked.
        metrics: full name of a value -> (S,) in [0, 1], NaN where undefined.
        errors: scene index -> why it failed.
        uses_truth: True where the true score picks the plan.
        read_plans: its plans; None where the result has none.
        checkpoint: run folder or file that it was read from; None for others.
    """

    agent: str
    scores: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    errors: dict[int, str]
    uses_truth: bool = False
    read_plans: PlansReader | None = None
    checkpoint: str | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """One result: scenes (or drives) and agents.

    Attributes:
        name: for readers.
        folder: where it lies.
        protocol: which PDM score; of drives that of the plans made on the way.
        human_filter: v2.2: whether the human filter was on.
        origin: where its scenes come from.
        logs, tokens: (S,) the scenes; of drives the towns, and the logs that were driven.
        columns: one per agent.
        note: one more sentence for readers, or "".
        measure: what is measured.
    """

    name: str
    folder: Path
    protocol: Protocol
    human_filter: bool
    origin: DataOrigin
    logs: tuple[str, ...]
    tokens: tuple[str, ...]
    columns: tuple[AgentColumn, ...]
    measure: Measure
    note: str = ""


def agent_columns(
    rows: Sequence[ScoreRow],
    protocol: Protocol,
    *,
    plans: Callable[[str], PlansReader | None] = lambda agent: None,
    truth_agents: frozenset[str] = frozenset(),
    checkpoints: dict[str, str] | None = None,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[AgentColumn, ...]]:
    """Logs and tokens of the scenes (S,), and one column per agent, of the rows of a scores.csv."""
    index: dict[str, int] = {}
    logs: list[str] = []
    for row in rows:
        if row.token not in index:
            index[row.token] = len(index)
            logs.append(row.log)
    by_agent: dict[str, list[ScoreRow]] = {}
    for row in rows:
        by_agent.setdefault(row.agent, []).append(row)
    names = metric_names(protocol)
    columns = []
    for agent, own in by_agent.items():
        places = np.array([index[row.token] for row in own])
        values = np.full((1 + len(names), len(index)), np.nan)
        values[:, places] = [
            [np.nan if row.score is None else row.score for row in own],
            *([row.metrics.get(name, np.nan) for row in own] for name in names),
        ]
        columns.append(
            AgentColumn(
                agent,
                values[0],
                dict(zip(names, values[1:], strict=True)),
                {index[row.token]: row.error or "it was not scored" for row in own if row.failed},
                agent in truth_agents,
                plans(agent),
                (checkpoints or {}).get(agent),
            )
        )
    return tuple(logs), tuple(index), tuple(columns)
