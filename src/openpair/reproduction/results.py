"""Rows of docs/results.json: every mean and every difference of a run, with its interval, in percent points."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from openpair.reproduction.agents import BASE, HUMAN, LABELS, RULES, split_name
from openpair.reproduction.choices import Choices, Tables
from openpair.reproduction.scoring import UNFILTERED, V1, V2
from openpair.reproduction.seed_scores import SCORE, SeedScores
from openpair.reproduction.statistics import (
    SeedEstimate,
    bootstrap_seeds_and_logs,
    mean_over_seeds,
    paired_over_seeds,
)
from openpair.reproduction.targets import TARGETS, Target, plug_in_target

NetworkInput = Literal["sensors", "known"]
"""What networks read: sensors, or the truth without vision."""

BEST_SEQUENTIAL = "best_sequential"
BAD_PDMS, BAD_EPDMS = 0.85, 0.80
"""The human drives badly where his own score is below."""

HUMAN_NAME = f"{HUMAN}.human"
PLUG_IN_AGENTS = ("il", "il_rwm", "il_rwm_mild", "il_rwm_wide", "pair", "pair_best_of_6")
DIFFERENCES = (
    ("pair", "il"),
    ("pair", "il_rwm"),
    ("pair", "il_rwm_untrained_tree"),
    ("tree_mean", "il"),
    ("pair", BEST_SEQUENTIAL),
    ("pair", "sequential"),
    ("pair", "sequential_regularised"),
    ("pair", "iterative"),
    ("pair", "sequential_rwm"),
    ("il_rwm", "il"),
    ("sequential", "il"),
    ("sequential_regularised", "il"),
    ("iterative", "il"),
    ("human_pair", "human"),
)
"""Pairs of the table of differences: first minus second."""

DRIVE_TABLE = "closed_loop_"
"""Tables of closed loop begin so; the split follows."""

DRIVE_DIFFERENCES = (("pair", "il"), ("pair", "il_rwm"), ("pair", BEST_SEQUENTIAL), ("pair", "human"))
TRAINING = "training"
TRAINED_AGENTS = (
    "il",
    "tree_mean",
    BEST_SEQUENTIAL,
    "il_rwm",
    "il_rwm_untrained_tree",
    "pair",
    "sequential_rwm",
    "human_pair",
)
TRAINED_DIFFERENCES = (("pair", "il_rwm"), ("pair", "il_rwm_untrained_tree"), ("pair", "sequential_rwm"))

PLUG_IN_DIFFERENCES = (("pair", "il"), ("pair", "il_rwm"), ("il_rwm", "il"))


@dataclass(frozen=True)
class ResultRow:
    """One figure.

    Attributes:
        table: which table it belongs to.
        agent: whose it is, or ``a - b`` for a difference.
        base: the policy it starts from; "human" for the human's plan, "rules" for planners by rule.
        protocol: "v1.1" or "v2.2".
        metric: "score" or a sub-metric by its long name.
        mean, low, high: mean and 95% interval, in percent points (``drift_m``: metres); NaN where undefined.
        seeds: seeds in the mean.
        scenes: scenes in the mean; None for figures of validation towns, which are kept as means alone.
        target: the bar, in the table "targets".
        budget: length of training, in multiples of the demo's, in the table "training".
    """

    table: str
    agent: str
    base: str
    protocol: str
    metric: str
    mean: float
    low: float
    high: float
    seeds: int
    scenes: int | None
    target: Target | None = None
    budget: int | None = None

    @property
    def estimate(self) -> SeedEstimate:
        """The figure as an estimate."""
        return SeedEstimate(self.mean, self.low, self.high, self.scenes or 0, 0, self.seeds)

    @property
    def is_met(self) -> bool:
        """Table "targets": whether the bar is reached."""
        return self.target is not None and self.target.is_met(self.estimate)


@dataclass(frozen=True)
class Evidence:
    """All that rows are made from.

    Attributes:
        scores: by variant (v1.1, v2.2, v2.2-unfiltered), all seeds.
        choices: what the validation towns chose; None where nothing was chosen yet.
        validation: figures of the validation towns by seed.
        drives: split -> drives in closed loop, all seeds.
        trainings: length of training -> evidence of a reproduction that trained so long; this one among them.
    """

    scores: Mapping[str, SeedScores]
    choices: Choices | None
    validation: Mapping[int, Tables]
    drives: Mapping[str, SeedScores] = field(default_factory=dict)
    trainings: Mapping[int, Evidence] = field(default_factory=dict)

    def name_of(self, agent: str, base: str = BASE) -> str | None:
        """``<base>.<agent>`` in the scores of an agent as tables name it; None where it was not scored."""
        if agent == "il_rwm":
            agent = "" if self.choices is None else self.choices.il_rwm
        if agent == BEST_SEQUENTIAL:
            agent = "" if self.choices is None else self.choices.sequential
        return next((name for name in (f"{base}.{agent}", *_elsewhere(agent)) if name in self.scores[V1].seeds), None)

    def plug_ins(self) -> tuple[str, ...]:
        """Bases of further imitation policies."""
        bases = dict.fromkeys(split_name(name)[0] for name in self.scores[V1].seeds)
        return tuple(sorted(base for base in bases if base not in (BASE, HUMAN, RULES)))


def _elsewhere(agent: str) -> tuple[str, ...]:
    """Names of agents that start from no policy's plan."""
    return (f"{HUMAN}.{agent}", f"{RULES}.{agent}") if agent in ("human", "human_pair", *RULE_AGENTS) else ()


RULE_AGENTS = ("constant_velocity", "pdm_closed")


def result_rows(evidence: Evidence) -> list[ResultRow]:
    """All rows, table by table."""
    v1, v2, unfiltered = (evidence.scores[variant] for variant in (V1, V2, UNFILTERED))
    rows = main_rows("main", evidence, (v1, v2))
    rows += further_rows(evidence)
    rows += target_rows(evidence)
    for first, second in DIFFERENCES:
        rows += difference_rows("differences", evidence, (v1, v2), first, second)
    for base in evidence.plug_ins():
        rows += main_rows("plug_in", evidence, (v1, v2), PLUG_IN_AGENTS, base)
        for first, second in PLUG_IN_DIFFERENCES:
            rows += difference_rows("plug_in", evidence, (v1, v2), first, second, base)
    for table, scores, low, high in (
        ("human_bad_v1", v1, -math.inf, BAD_PDMS),
        ("human_bad_v2", v2, -math.inf, BAD_EPDMS),
        ("human_good", v1, BAD_PDMS, math.inf),
        ("human_good", v2, BAD_EPDMS, math.inf),
    ):
        part = scores.only(scores.where(HUMAN_NAME, low, high))
        rows += main_rows(table, evidence, (part,), ("human", "human_pair"))
        rows += difference_rows(table, evidence, (part,), "human_pair", "human")
    rows += main_rows("unfiltered", evidence, (unfiltered,))
    rows += drive_rows(evidence)
    rows += training_rows(evidence)
    return rows + validation_rows(evidence.validation)


def drive_rows(evidence: Evidence) -> list[ResultRow]:
    """Closed loop: means and shares of drives with an event, and differences, in a table for each split."""
    rows = []
    for split, scores in evidence.drives.items():
        table = f"{DRIVE_TABLE}{split}"
        rows += main_rows(table, evidence, (scores,))
        for first, second in DRIVE_DIFFERENCES:
            rows += difference_rows(table, evidence, (scores,), first, second)
    return rows


def training_rows(evidence: Evidence) -> list[ResultRow]:
    """PDMS of agents by length of training; none where one length alone was trained."""
    if len(evidence.trainings) < 2:
        return []
    return [
        replace(row, budget=budget)
        for budget, own in sorted(evidence.trainings.items())
        for row in (
            *main_rows(TRAINING, own, (own.scores[V1],), TRAINED_AGENTS),
            *(r for pair in TRAINED_DIFFERENCES for r in difference_rows(TRAINING, own, (own.scores[V1],), *pair)),
        )
        if row.metric == SCORE
    ]


def main_rows(
    table: str,
    evidence: Evidence,
    scores: Iterable[SeedScores],
    agents: Sequence[str] = tuple(LABELS),
    base: str = BASE,
) -> list[ResultRow]:
    """Score and sub-metrics of agents, as far as they were scored."""
    rows = []
    for own in scores:
        for agent in agents:
            name = evidence.name_of(agent, base)
            if name is not None and name in own.seeds:
                rows += _rows_of(table, own, name, agent)
    return rows


def further_rows(evidence: Evidence) -> list[ResultRow]:
    """Agents of the main base that the main table has no place for."""
    known = {evidence.name_of(agent) for agent in LABELS}
    further = [n for n in evidence.scores[V1].seeds if n not in known and split_name(n)[0] in (BASE, HUMAN, RULES)]
    return [
        row
        for variant in (V1, V2)
        for name in sorted(further)
        for row in _rows_of("further", evidence.scores[variant], name, split_name(name)[1])
    ]


def difference_rows(
    table: str, evidence: Evidence, scores: Iterable[SeedScores], first: str, second: str, base: str = BASE
) -> list[ResultRow]:
    """``first - second`` for score and sub-metrics, paired per seed and scene; nothing where one was not scored."""
    names = evidence.name_of(first, base), evidence.name_of(second, base)
    if names[0] is None or names[1] is None:
        return []
    rows = []
    for own in (own for own in scores if {names[0], names[1]} <= own.seeds.keys()):
        for metric in own.metrics:
            pair = own.paired(names[0], names[1], metric)
            estimate = paired_over_seeds(*pair, own.logs)
            rows.append(_row(table, f"{first} - {second}", split_name(names[0])[0], own.protocol, metric, estimate))
    return [row for row in rows if row.scenes]


def targets_of(evidence: Evidence) -> tuple[Target, ...]:
    """All targets; that of the second policy stands for each that was run, or for one that was not."""
    plug_ins = evidence.plug_ins() or ("a second policy",)
    return (*TARGETS[:4], *map(plug_in_target, plug_ins), *TARGETS[4:])


def target_rows(evidence: Evidence) -> list[ResultRow]:
    """The measured difference of each target whose agents were scored."""
    rows = []
    for target in targets_of(evidence):
        scores = evidence.scores[target.protocol]
        if target.scenes == "human_good":
            scores = scores.only(scores.where(HUMAN_NAME, BAD_PDMS, math.inf))
        found = difference_rows("targets", evidence, (scores,), target.first, target.second, target.base)
        rows += [replace(row, target=target) for row in found if row.metric == target.metric]
    return rows


VALIDATION = "validation_"


def validation_rows(validation: Mapping[int, Tables]) -> list[ResultRow]:
    """Figures of the validation towns: means over seeds. Ablations and reward model keep their names."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for tables in validation.values():
        for table, named in tables.items():
            for name, figures in named.items():
                for metric, value in figures.items():
                    values.setdefault((table, name, metric), []).append(float(value))
    rows = []
    for (table, name, metric), own in values.items():
        shown = table if table.startswith(("ablation", "reward_model")) else f"{VALIDATION}{table}"
        base, dot, agent = name.partition(".")
        is_agent = bool(dot) and " " not in base
        place = (shown, agent if is_agent else name, base if is_agent else BASE, V1, metric)
        rows.append(_row(*place, mean_over_seeds(own), factor=1.0))
    return rows


def results_json(rows: Sequence[ResultRow], network_input: NetworkInput = "sensors") -> str:
    """Text of results.json: one row a line, each with what the networks read as ``input``. Rows of the table "targets"
    have ``bar``, ``good`` and ``met`` besides."""
    lines = (json.dumps(_plain(row) | {"input": network_input}, allow_nan=False) for row in rows)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _plain(row: ResultRow) -> dict[str, Any]:
    names = ("table", "agent", "base", "protocol", "metric", "mean", "low", "high", "seeds", "scenes")
    plain: dict[str, Any] = {name: getattr(row, name) for name in names}
    plain |= {n: round(plain[n], 4) if math.isfinite(plain[n]) else None for n in ("mean", "low", "high")}
    if row.target is not None:
        scenes = {"only": row.target.scenes} if row.target.scenes != "all" else {}
        plain |= {"bar": row.target.bar, "good": row.target.good, "met": row.is_met, **scenes}
    if row.budget is not None:
        plain["budget"] = row.budget
    return plain


def _rows_of(table: str, scores: SeedScores, name: str, agent: str) -> list[ResultRow]:
    """Score and sub-metrics of one agent; nothing where it was scored on no scene."""
    base = split_name(name)[0]
    rows = []
    for metric in scores.metrics:
        estimate = bootstrap_seeds_and_logs(scores.column(name, metric), scores.logs)
        rows.append(_row(table, agent, base, scores.protocol, metric, estimate))
    return [row for row in rows if row.scenes]


def _row(
    table: str,
    agent: str,
    base: str,
    protocol: str,
    metric: str,
    estimate: SeedEstimate,
    *,
    factor: float = 100.0,
) -> ResultRow:
    return ResultRow(
        table,
        agent,
        base,
        protocol,
        metric,
        factor * estimate.mean,
        factor * estimate.low,
        factor * estimate.high,
        estimate.num_seeds,
        estimate.num_scenes or None,
    )


def find(rows: Iterable[ResultRow], **wanted: Any) -> list[ResultRow]:
    """Rows whose fields have some values: ``find(rows, table="main", metric=SCORE)``."""
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]


def not_run(evidence: Evidence) -> list[str]:
    """Agents that tables have a place for and that were not scored, as ``<base>.<agent>``."""
    missing = [f"{BASE}.{agent}" for agent in LABELS if evidence.name_of(agent) is None]
    for base in evidence.plug_ins() or ("a second policy",):
        missing += [f"{base}.{a}" for a in ("il", "il_rwm", "pair") if evidence.name_of(a, base) is None]
    return missing
