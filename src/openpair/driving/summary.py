"""summary.json of drives: what was driven, by whom, how it ended, means with intervals by log."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.checksums import sealed_json
from openpair.driving.records import SCORES, DriveRow
from openpair.evaluation.sources import AgentSource
from openpair.evaluation.statistics import bootstrap_by_log, paired_difference
from openpair.evaluation.summary import null_nan, versions

EVENT_COUNTS = ("at_fault_collisions", "off_road", "wrong_way", "red_lights")


def summarise(
    rows: Sequence[DriveRow],
    agents: Sequence[AgentSource],
    *,
    config: dict[str, Any],
    seed: int,
    data_sha256: str,
    hashes: dict[str, str | None],
    run: dict[str, Any],
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        rows: by log, then by agent.
        agents: in the order given.
        config: how it was driven.
        hashes: of the files that agents were read from.
        run: wall time and the like: what may differ between two runs of the same drives.
    """
    own = {agent.name: [row for row in rows if row.agent == agent.name] for agent in agents}
    score = {name: column(of_agent, "driving_score") for name, of_agent in own.items()}
    logs = [row.log for row in next(iter(own.values()))]
    names = list(own)
    failures = [{"log": row.log, "agent": row.agent, "reason": row.error} for row in rows if row.failed]
    return {
        **config,
        "drives": {
            "expected": len(rows),
            "scored": len(rows) - len(failures),
            "failed": len(failures),
            "failures": failures,
        },
        "agents": {agent.name: _of_agent(own[agent.name], agent, hashes.get(agent.name), seed) for agent in agents},
        "differences": [
            {"agent": b, "minus": a, "driving_score": asdict(paired_difference(score[b], score[a], logs, seed=seed))}
            for i, a in enumerate(names)
            for b in names[i + 1 :]
        ],
        "seed": seed,
        "data_sha256": data_sha256,
        "versions": versions(),
        "run": run,
    }


def _of_agent(rows: list[DriveRow], agent: AgentSource, sha256: str | None, seed: int) -> dict[str, Any]:
    logs = [row.log for row in rows]
    driven = [row for row in rows if not row.failed]
    return {
        "kind": agent.kind,
        "checkpoint_sha256": sha256,
        "drives_scored": len(driven),
        "drives_failed": len(rows) - len(driven),
        "ends": dict(sorted(Counter(row.end for row in rows).items())),
        "drives_with": {name: sum(bool(getattr(row, name)) for row in driven) for name in EVENT_COUNTS},
        "means": {name: asdict(bootstrap_by_log(column(rows, name), logs, seed=seed)) for name in SCORES},
    }


def column(rows: Sequence[DriveRow], name: str) -> NDArray[np.float64]:
    """(n,) values of a column, NaN where unknown and where the drive failed."""
    values = [None if row.failed else getattr(row, name) for row in rows]
    return np.array([math.nan if value is None else value for value in values], np.float64)


def summary_json(summary: dict[str, Any]) -> str:
    """Text of summary.json, with its checksum. Undefined numbers are null."""
    return sealed_json(null_nan(summary), end="\n", indent=2, allow_nan=False).decode()


def data_hash(fingerprint: str, logs: Sequence[str]) -> str:
    """Hash of the data and of the choice of logs."""
    return hashlib.sha256("\n".join([fingerprint, *logs]).encode()).hexdigest()
