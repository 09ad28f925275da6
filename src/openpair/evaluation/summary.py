"""summary.json: what was evaluated, under which protocol, how completely, and with which means."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from openpair import __version__
from openpair.checksums import sealed_json
from openpair.datasets.base import SceneKey
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.evaluation.records import REQUEST, ScoreRow, rows_of_agent
from openpair.evaluation.statistics import Estimate, bootstrap_by_log, paired_difference

if TYPE_CHECKING:
    from openpair.evaluation.chunk import Task

SCORE_NAMES = {Protocol.V1_1: "PDMS", Protocol.V2_2: "EPDMS"}


@dataclass(frozen=True)
class AgentSummary:
    """Results of one agent.

    Attributes:
        name: its name.
        kind: what it was read as ("human", "plans", "checkpoint" ...).
        uses_truth: True where the true score picked the plan.
        checkpoint_sha256: hash of the file or folder it was read from, if any.
        scenes_scored, scenes_failed: they add up to the scenes expected.
        score: mean score with its interval by log, over the scenes scored.
        metrics: the same for every sub-metric (undefined values left out; ``num_scenes`` says how many count).
        stages: two stages only: means of score and sub-metrics over mappings, for "stage_one" and "stage_two". There
            ``score`` and ``metrics`` are of both stages combined, over mappings: ``num_scenes`` counts mappings.
    """

    name: str
    kind: str
    uses_truth: bool
    checkpoint_sha256: str | None
    scenes_scored: int
    scenes_failed: int
    score: Estimate
    metrics: dict[str, Estimate]
    stages: dict[str, dict[str, float]] | None = None


@dataclass(frozen=True)
class Failure:
    """A scene that could not be scored; ``agents`` names those it concerns."""

    log: str
    token: str
    agents: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Summary:
    """Content of summary.json.

    Attributes:
        protocol: "v1.1" or "v2.2".
        score_name: "PDMS" or "EPDMS".
        variant: which conventions of the protocol were used.
        dataset, split: what was evaluated.
        seed: seed of agents and of the bootstrap.
        selection: which scenes were asked for, in words.
        scenes_expected: how many that are.
        scenes_scored: scenes that every agent was scored on.
        scenes_failed: scenes that at least one agent failed on. None of them counts as 0; each is listed.
        failures: each with its reason.
        agents: results by agent, in the order given.
        differences: (agent, other, score difference) paired per scene, for agents that do not use the truth.
        data_sha256: hash of the scenes' content (ego, agents, lights, routes, maps).
        versions: OpenPaIR, Python, numpy, torch ...
        config: settings of the run.
        run: facts that may differ from run to run (seconds, workers).
    """

    protocol: str
    score_name: str
    variant: dict[str, Any]
    dataset: str
    split: str | None
    seed: int
    selection: str
    scenes_expected: int
    scenes_scored: int
    scenes_failed: int
    failures: list[Failure]
    agents: list[AgentSummary]
    differences: list[tuple[str, str, Estimate]]
    data_sha256: str
    versions: dict[str, str]
    config: dict[str, Any]
    run: dict[str, Any]

    def agent(self, name: str) -> AgentSummary:
        """Results of one agent. Raises KeyError for an unknown name."""
        for agent in self.agents:
            if agent.name == name:
                return agent
        raise KeyError(name)


def summarise(
    rows: Sequence[ScoreRow],
    *,
    task: Task,
    mapping_rows: dict[str, list[ScoreRow]] | None = None,
    dataset_name: str,
    keys: Sequence[SceneKey],
    digests: Sequence[str],
    selection: str,
    truth_agents: set[str],
    checkpoint_hashes: dict[str, str | None],
    config: dict[str, Any],
    run: dict[str, Any],
) -> Summary:
    """Summary of the rows of a finished evaluation.

    ``digests`` (S,) hash the scenes' content, in order of ``keys``. Two stages: ``mapping_rows`` hold what mappings
    gave; means are over mappings then.
    """
    averaged = rows if mapping_rows is None else mapping_rows["combined"]
    by_agent = {source.name: rows_of_agent(averaged, source.name) for source in task.agents}
    logs = [row.log for row in next(iter(by_agent.values()))]
    agents = []
    for source in task.agents:
        own = by_agent[source.name]
        failed = sum(row.failed for row in rows_of_agent(rows, source.name))
        agents.append(
            AgentSummary(
                name=source.name,
                kind=source.kind,
                uses_truth=source.name in truth_agents,
                checkpoint_sha256=checkpoint_hashes.get(source.name),
                scenes_scored=len(keys) - failed,
                scenes_failed=failed,
                score=bootstrap_by_log(_column(own, "score"), logs, seed=task.seed),
                metrics={
                    name: bootstrap_by_log(_column(own, name), logs, seed=task.seed)
                    for name in metric_names(task.protocol)
                },
                stages=None if mapping_rows is None else _stage_means(mapping_rows, source.name, task.protocol),
            )
        )
    fair = [source.name for source in task.agents if source.name not in truth_agents]
    scores = {name: _column(by_agent[name], "score") for name in fair}
    differences = [
        (later, earlier, paired_difference(scores[later], scores[earlier], logs, seed=task.seed))
        for i, earlier in enumerate(fair)
        for later in fair[i + 1 :]
    ]
    failed_tokens = {row.token for row in rows if row.failed}
    return Summary(
        protocol=task.protocol.value,
        score_name=SCORE_NAMES[task.protocol],
        variant=_variant(task),
        dataset=dataset_name,
        split=task.dataset.options.get("split"),
        seed=task.seed,
        selection=selection,
        scenes_expected=len(keys),
        scenes_scored=len(keys) - len(failed_tokens),
        scenes_failed=len(failed_tokens),
        failures=_failures(rows),
        agents=agents,
        differences=differences,
        data_sha256=_data_hash(keys, digests),
        versions=versions(),
        config=config,
        run=run,
    )


def summary_json(
    summary: Summary, files: Mapping[str, str] | None = None, request: Mapping[str, str] | None = None
) -> str:
    """Text of summary.json, with its checksum. Undefined numbers are null.

    Args:
        summary: its content.
        files: name -> text of the files that belong to it; their hashes are kept, so that others are noticed.
        request: hashes of what decided the results, by which the same request is known.
    """
    data = asdict(summary)
    data["files_sha256"] = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in (files or {}).items()}
    data[REQUEST] = dict(request or {})
    scenes = {"selection": data.pop("selection")}
    scenes |= {name: data.pop(f"scenes_{name}") for name in ("expected", "scored", "failed")}
    agents = {agent.pop("name"): agent for agent in data.pop("agents")}
    differences = [{"agent": a, "minus": b, "score": estimate} for a, b, estimate in data.pop("differences")]
    head = {name: data.pop(name) for name in ("protocol", "score_name", "variant", "dataset", "split")}
    scenes["failures"] = data.pop("failures")
    data = {**head, "scenes": scenes, "agents": agents, "differences": differences, **data}
    return sealed_json(null_nan(data), end="\n", indent=2, allow_nan=False).decode()


def versions() -> dict[str, str]:
    """Versions of what computes a score."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"openpair": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "shapely", "torch", "warp-lang"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _variant(task: Task) -> dict[str, Any]:
    """Conventions of a protocol on which papers differ."""
    traffic = "log replay" if task.stages == 1 else "vehicles answer the plan (IDM), in both stages"
    variant: dict[str, Any] = {"traffic": traffic, "stages": task.stages}
    if task.carry_exemptions:
        variant["exemptions"] = "carried from scene to scene, in this order, as one process of the original does"
    if task.protocol is Protocol.V2_2:
        variant["human_filter"] = task.human_filter
        variant["issue_151"] = "fixed: the score follows from the filtered sub-metrics"
        before = "half a second before, evaluated or not" if task.predecessors else "before"
        variant["extended_comfort"] = (
            f"against the same agent's plan of the scene {before}; dropped where there is none"
            if task.stages == 1
            else "between the two scenes of each pair, entered in both"
        )
    return variant


def _stage_means(
    mapping_rows: dict[str, list[ScoreRow]], agent: str, protocol: Protocol
) -> dict[str, dict[str, float]]:
    """Means over the mappings that were scored, stage by stage."""
    means = {}
    for stage in ("stage_one", "stage_two"):
        own = [row for row in rows_of_agent(mapping_rows[stage], agent) if not row.failed]
        names = ("score", *metric_names(protocol))
        means[stage] = {name: float(_column(own, name).mean()) if own else math.nan for name in names}
    return means


def _column(rows: Sequence[ScoreRow], name: str) -> np.ndarray:
    """(S,) values of a column, NaN where the scene failed or the value is undefined."""
    if name == "score":
        return np.array([math.nan if row.score is None else row.score for row in rows])
    return np.array([row.metrics.get(name, math.nan) for row in rows])


def _failures(rows: Sequence[ScoreRow]) -> list[Failure]:
    """Failed rows, those of one scene with the same reason together."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.failed:
            grouped.setdefault((row.log, row.token, row.error), []).append(row.agent)
    return [Failure(log, token, tuple(agents), reason) for (log, token, reason), agents in grouped.items()]


def _data_hash(keys: Sequence[SceneKey], digests: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for key, scene_digest in zip(keys, digests, strict=True):
        digest.update(f"{key.log_name}/{key.token}:{scene_digest}\n".encode())
    return digest.hexdigest()


def null_nan(value: Any) -> Any:
    """Nested data with null for numbers that JSON cannot hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: null_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [null_nan(item) for item in value]
    return value
