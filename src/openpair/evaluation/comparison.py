"""Two evaluations side by side: paired per scene, because scenes differ far more from each other than agents do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openpair.checksums import hash_files, read_sealed_json
from openpair.damage import reading
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES, metric_names
from openpair.errors import OpenPairError
from openpair.evaluation.records import (
    MAPPINGS_FILE,
    SCORES_FILE,
    SUMMARY_FILE,
    ScoreRow,
    read_scores,
    rows_of_agent,
)
from openpair.evaluation.statistics import Estimate, bootstrap_by_log, paired_difference

SCORE = "score"


@dataclass(frozen=True)
class Results:
    """What one ``openpair eval`` wrote.

    Attributes:
        folder: where it lies.
        rows: one per scene and agent; of a two-stage evaluation one per mapping and agent, both stages combined.
        summary: content of summary.json.
    """

    folder: Path
    rows: list[ScoreRow]
    summary: dict[str, Any]

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the agents, in the order they were given."""
        return tuple(dict.fromkeys(row.agent for row in self.rows))


@dataclass(frozen=True)
class MetricChange:
    """One sub-metric, or the score, over the scenes that both runs scored.

    Attributes:
        name: as in scores.csv.
        first, second: means of A and B with their intervals by log.
        difference: B minus A, paired per scene, with its interval by log; scenes where either value is undefined are
            left out.
    """

    name: str
    first: Estimate
    second: Estimate
    difference: Estimate


@dataclass(frozen=True)
class SceneChange:
    """One scene that both runs scored.

    Attributes:
        log, token: the scene.
        first, second: its scores in A and B.
        metrics: sub-metrics that differ: name -> (A, B).
    """

    log: str
    token: str
    first: float
    second: float
    metrics: dict[str, tuple[float, float]]

    @property
    def difference(self) -> float:
        return self.second - self.first


@dataclass(frozen=True)
class Comparison:
    """B against A, for one pair of agents.

    Attributes:
        protocol, score_name: which score.
        agents: (agent of A, agent of B).
        changes: the score first, then every sub-metric in published order.
        num_scenes: scenes that both runs scored; all means are over these alone.
        only_in: (scenes that only A was asked for, that only B was).
        failed_in: (scenes of both that failed in A alone, in B alone, in both).
        gains, losses: scenes by how much they changed, the greatest first.
        num_equal: scenes with the same score in both.
    """

    protocol: str
    score_name: str
    agents: tuple[str, str]
    changes: tuple[MetricChange, ...]
    num_scenes: int
    only_in: tuple[tuple[str, ...], tuple[str, ...]]
    failed_in: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    gains: tuple[SceneChange, ...]
    losses: tuple[SceneChange, ...]
    num_equal: int

    @property
    def score(self) -> MetricChange:
        return self.changes[0]


def read_results(folder: Path) -> Results:
    """Results of an evaluation. Raises OpenPairError for a folder without scores.csv and summary.json of one."""
    path = folder / SUMMARY_FILE
    if not path.exists():
        raise OpenPairError(
            f"there is no {SUMMARY_FILE}, so this is no folder of results",
            where=folder,
            fix="Name the --out folder of a finished 'openpair eval'",
        )
    with reading(path, "the summary of 'openpair eval'", fix="Copy it again, or evaluate again"):
        summary = read_sealed_json(path)
        missing = {"protocol", "variant", "dataset", "scenes"} - summary.keys()
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        summary.setdefault("files_sha256", {})  # results of older versions have none
        if not all(isinstance(summary[name], dict) for name in ("variant", "scenes", "files_sha256")):
            raise ValueError("its variant, scenes or files are of another kind")
    two_stages = summary["variant"].get("stages") == 2
    scores = folder / (MAPPINGS_FILE if two_stages else SCORES_FILE)
    rows = read_scores(scores)
    known = summary["files_sha256"].get(scores.name)
    if known not in (None, hash_files([scores])):
        raise OpenPairError(
            f"the file is not the one that {SUMMARY_FILE} was written with", where=scores, fix="Evaluate again"
        )
    return Results(folder, rows, summary)


def two_agents(results: Results, named: Sequence[str]) -> tuple[str, str]:
    """The two agents of one result that are compared: those named, or its only two. Raises OpenPairError otherwise."""
    chosen = tuple(named) or tuple(results.agents)
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise OpenPairError(
            "one result alone needs two agents",
            where=results.folder,
            fix=f"Name two with --agent: it has {', '.join(results.agents)}",
        )
    return chosen[0], chosen[1]


def check_comparable(first: Results, second: Results) -> None:
    """Raises OpenPairError unless both runs measured the same thing on the same data.

    The data's hash is compared where both runs were asked for the same scenes and none failed: only then it is over the
    same content.
    """
    for key, meaning in (("dataset", "datasets"), ("protocol", "protocols")):
        a, b = first.summary[key], second.summary[key]
        if a != b:
            raise OpenPairError(
                f"the results are of different {meaning}: {a} and {b}",
                where=f"{first.folder}, {second.folder}",
                fix="Numbers of different protocols or data are not comparable; evaluate both in the same way",
            )
    a, b = first.summary["variant"], second.summary["variant"]
    differing = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
    if differing:
        details = "; ".join(f"{key}: {a.get(key)!r} and {b.get(key)!r}" for key in differing)
        raise OpenPairError(
            f"the results are of different variants of the protocol ({details})",
            where=f"{first.folder}, {second.folder}",
            fix="Evaluate both with the same variant",
        )
    whole = first.summary["scenes"].get("failed") == second.summary["scenes"].get("failed") == 0
    same_scenes = {(row.log, row.token) for row in first.rows} == {(row.log, row.token) for row in second.rows}
    if whole and same_scenes and first.summary.get("data_sha256") != second.summary.get("data_sha256"):
        raise OpenPairError(
            "the scenes have the same tokens but another content (data_sha256 differs)",
            where=f"{first.folder}, {second.folder}",
            fix="Evaluate both on the same copy of the data",
        )


def pairs_of_agents(first: Results, second: Results, names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Which agent of A is compared with which of B.

    Args:
        names: none: agents of the same name, or the only agent of each; one: that agent of both; two: the first of A
            with the second of B.

    Raises OpenPairError where no pair follows from that.
    """
    if len(names) > 2:
        raise OpenPairError(
            f"{len(names)} agents were named", where="--agent", fix="Name one, or one of A and one of B"
        )
    if names:
        wanted = (names[0], names[-1])
        for results, name in zip((first, second), wanted, strict=True):
            if name not in results.agents:
                raise OpenPairError(
                    f"there are no results of '{name}'", where=results.folder, fix=f"It has {', '.join(results.agents)}"
                )
        return [wanted]
    common = [(name, name) for name in first.agents if name in second.agents]
    if common:
        return common
    if len(first.agents) == len(second.agents) == 1:
        return [(first.agents[0], second.agents[0])]
    raise OpenPairError(
        f"no agent is in both: {', '.join(first.agents)} and {', '.join(second.agents)}",
        where=f"{first.folder}, {second.folder}",
        fix="Say which to compare: --agent OF_A --agent OF_B",
    )


def compare(first: Results, second: Results, agents: tuple[str, str], *, seed: int = 0) -> Comparison:
    """Compare one agent of A with one of B. Both results must be comparable (:func:`check_comparable`)."""
    protocol = Protocol(first.summary["protocol"])
    own = [
        {(row.log, row.token): row for row in rows_of_agent(results.rows, agent)}
        for results, agent in zip((first, second), agents, strict=True)
    ]
    shared = [key for key in own[0] if key in own[1]]
    both = [(own[0][key], own[1][key]) for key in shared]
    scored = [(a, b) for a, b in both if not a.failed and not b.failed]
    logs = [a.log for a, _ in scored]
    changes = []
    for name in (SCORE, *metric_names(protocol)):
        values = np.array([[_value(a, name), _value(b, name)] for a, b in scored], np.float64).reshape(-1, 2)
        changes.append(
            MetricChange(
                name,
                bootstrap_by_log(values[:, 0], logs, seed=seed),
                bootstrap_by_log(values[:, 1], logs, seed=seed),
                paired_difference(values[:, 1], values[:, 0], logs, seed=seed),
            )
        )
    scenes = [_scene_change(a, b, metric_names(protocol)) for a, b in scored]
    return Comparison(
        protocol=protocol.value,
        score_name=str(first.summary.get("score_name", SCORE)),
        agents=agents,
        changes=tuple(changes),
        num_scenes=len(scored),
        only_in=(_tokens(own[0].keys() - own[1].keys()), _tokens(own[1].keys() - own[0].keys())),
        failed_in=(
            _tokens((a.log, a.token) for a, b in both if a.failed and not b.failed),
            _tokens((a.log, a.token) for a, b in both if b.failed and not a.failed),
            _tokens((a.log, a.token) for a, b in both if a.failed and b.failed),
        ),
        gains=tuple(sorted((s for s in scenes if s.difference > 0), key=lambda s: (-s.difference, s.token))),
        losses=tuple(sorted((s for s in scenes if s.difference < 0), key=lambda s: (s.difference, s.token))),
        num_equal=sum(s.difference == 0 for s in scenes),
    )


def change_text(scene: SceneChange) -> str:
    """The sub-metrics of a scene that changed: ``NC 0 -> 1, EP 0.71 -> 0.94``."""
    return ", ".join(f"{SHORT_NAMES[name]} {_short(a)} -> {_short(b)}" for name, (a, b) in scene.metrics.items())


def _scene_change(a: ScoreRow, b: ScoreRow, names: Sequence[str]) -> SceneChange:
    pairs = {name: (_value(a, name), _value(b, name)) for name in names}
    changed = {name: (x, y) for name, (x, y) in pairs.items() if x != y and not (math.isnan(x) and math.isnan(y))}
    return SceneChange(a.log, a.token, _value(a, SCORE), _value(b, SCORE), changed)


def _value(row: ScoreRow, name: str) -> float:
    if name == SCORE:
        return math.nan if row.score is None else row.score
    return row.metrics.get(name, math.nan)


def _tokens(keys: Any) -> tuple[str, ...]:
    return tuple(token for _, token in sorted(keys))


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
