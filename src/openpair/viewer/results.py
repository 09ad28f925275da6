"""Opens results of eval, compare, demo and reproduce, and folders of NAVSIM's CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.damage import reading
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError
from openpair.evaluation.comparison import read_results
from openpair.evaluation.plans_file import plans_path, read_plans
from openpair.evaluation.records import PARTIAL_FILE, SCORES_FILE, SUMMARY_FILE, ScoreRow, read_scores
from openpair.viewer.columns import DataOrigin, PlansReader, Result, agent_columns, pdm_measure
from openpair.viewer.drive_results import is_drives

RUN_FOLDER = "run"
AVERAGES = ("average", "average_all_frames", "extended_pdm_score_combined", "extended_pdm_score_stage_one")
_KNOWN = (
    "a folder of 'openpair eval', 'demo' or 'reproduce', a run of 'openpair train', a file of 'compare --out', or "
    "NAVSIM's CSV files"
)


def open_results(path: Path, *, protocol: Protocol | None = None, dataset: str | None = None) -> list[Result]:
    """The results at a path.

    Args:
        path: folder of a result, or the file that ``openpair compare --out`` wrote.
        protocol: which score of a reproduction, which has both; None takes v1.1.
        dataset: where the scenes of NAVSIM's CSV files are; None = "navsim".

    Raises OpenPairError for a path that is no result, and for one that is half written or of another version.
    """
    if path.is_file() and path.suffix == ".json":
        return _compared(path)
    if not path.exists():
        raise OpenPairError("there is no such result", where=path, fix="Check the path")
    if not path.is_dir():
        raise OpenPairError("this is no result; its folder may be one", where=path, fix=f"Name {_KNOWN}")
    if (path / SUMMARY_FILE).is_file() and (path / SCORES_FILE).is_file():
        return [_evaluation(path)]
    if (path / PARTIAL_FILE).is_file() or (path / SCORES_FILE).is_file():
        raise OpenPairError(
            "the evaluation is not finished: there is no summary.json yet",
            where=path,
            fix="Run the same command again: it goes on where it was interrupted",
        )
    if any(path.glob("seed-*")):
        return _reproduction(path, protocol or Protocol.V1_1)
    if is_drives(path):
        raise OpenPairError(
            "these are drives, and the others are scenes", where=path, fix="Look at drives with a command of their own"
        )
    if any(path.glob("*.csv")):
        return [
            _navsim_csv(file, path, dataset or "navsim")
            for file in sorted(path.glob("*.csv"))
            if not file.name.startswith(".")
        ]
    raise OpenPairError("this is no folder of results", where=path, fix=f"Name {_KNOWN}")


def _evaluation(folder: Path) -> Result:
    """A folder of ``openpair eval`` or ``openpair demo``."""
    summary = read_results(folder).summary
    try:
        protocol = Protocol(summary["protocol"])
        agents = dict(summary["agents"])
        truth = frozenset(name for name, about in agents.items() if about.get("uses_truth"))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise OpenPairError(
            "the summary is of another version of OpenPaIR", where=folder / SUMMARY_FILE, fix="Evaluate again"
        ) from None
    rows = read_scores(folder / SCORES_FILE)
    config = summary.get("config") or {}

    def plans(agent: str) -> PlansReader | None:
        return _plans_in(plans_path(folder, agent))

    logs, tokens, columns = agent_columns(
        rows, protocol, plans=plans, truth_agents=truth, checkpoints=_checkpoints(folder, agents, config)
    )
    without = [c.agent for c in columns if c.read_plans is None and agents.get(c.agent, {}).get("kind") not in PLANNED]
    note = f"no plans were kept of {', '.join(without)}: scores alone" if without else ""
    variant = summary["variant"]
    root = config.get("root")
    stages, seed = int(variant.get("stages", 1)), int(summary.get("seed") or 0)
    origin = DataOrigin(summary["dataset"], summary.get("split"), root, config, stages, seed)
    return Result(
        folder.resolve().name,
        folder,
        protocol,
        bool(variant.get("human_filter", True)),
        origin,
        logs,
        tokens,
        columns,
        pdm_measure(protocol),
        note,
    )


PLANNED = ("human", "constant_velocity", "pdm_closed")
"""Kinds of agents whose plans follow from the scene."""


def _plans_in(path: Path) -> PlansReader | None:
    """Reads a file of plans when they are asked for; None where there is none."""
    if not path.is_file():
        return None

    @cache
    def read() -> dict[str, NDArray[np.float64]]:
        plans = read_plans(path)
        return {token: plan[None] for token, plan in zip(plans.tokens, plans.poses, strict=True)}

    return read


def _checkpoints(folder: Path, agents: dict[str, Any], config: dict[str, Any]) -> dict[str, str]:
    """Agent -> ``FOLDER@MODE`` that it was read from: the demo's own run, or what --agent said."""
    networks = folder / RUN_FOLDER
    if networks.is_dir() and "preset" in config:
        return {name: f"{networks}@{name}" for name, about in agents.items() if about.get("kind") == "checkpoint"}
    found = {}
    for spec in config.get("agents") or ():
        name, _, what = str(spec).rpartition("=")
        path, _, mode = what.rpartition("@") if "@" in what else (what, "", "")
        label = Path(path).name + (f"@{mode}" if mode else "")
        if agents.get(name or label, {}).get("kind") == "checkpoint":
            found[name or label] = what
    return found


def _compared(path: Path) -> list[Result]:
    """The two results that ``openpair compare --out FILE.json`` compared."""
    with reading(path, "the file of 'openpair compare --out'", fix=f"Name {_KNOWN}"):
        data = json.loads(path.read_text(encoding="utf-8"))
        folders = [Path(data[side]["folder"]) for side in ("a", "b")]
    found = []
    for folder in folders:
        beside = folder if folder.is_dir() else path.parent / folder
        if not beside.is_dir():
            raise OpenPairError(
                f"the result '{folder}' that was compared is not there", where=path, fix="Name the two folders"
            )
        found.append(_evaluation(beside))
    return found


def _reproduction(run: Path, protocol: Protocol) -> list[Result]:
    """Every scored seed of ``openpair reproduce``."""
    # Here alone: these modules import torch, which takes memory that other results do not need.
    from openpair.reproduction.scoring import PLANS, scores_path, seed_folder
    from openpair.reproduction.seed_scores import scored_seeds

    results = []
    for seed in scored_seeds(run):
        path = scores_path(run, seed, protocol.value)
        if not path.is_file():
            raise OpenPairError(f"seed {seed} has no scores of {protocol.value} yet", where=run, fix="Let it finish")
        folder = seed_folder(run, seed)
        rows = read_scores(path)
        truth = frozenset(row.agent for row in rows if "best_of" in row.agent)
        plans: Callable[[str], PlansReader | None] = partial(_reproduced_plans, folder / PLANS)
        networks = {"transfuser.pair": f"{folder}@pair"} if (folder / "reward").is_dir() else {}
        logs, tokens, columns = agent_columns(rows, protocol, plans=plans, truth_agents=truth, checkpoints=networks)
        origin = DataOrigin("world", "test")
        results.append(
            Result(f"seed {seed}", folder, protocol, True, origin, logs, tokens, columns, pdm_measure(protocol))
        )
    return results


def _reproduced_plans(folder: Path, agent: str) -> PlansReader | None:
    path = folder / f"{agent}.npz"
    if not path.is_file():
        return None

    @cache
    def read() -> dict[str, NDArray[np.float64]]:
        from openpair.reproduction.plan_files import read_agent_plans

        plans = read_agent_plans(path)
        return {token: plans.poses[row] for token, row in plans.rows.items()}

    return read


def _navsim_csv(path: Path, folder: Path, dataset: str) -> Result:
    """One table of NAVSIM's own evaluation, and the plans beside it (FILE.npz), if there are any."""
    with reading(path, "the table"), path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        header = set(reader.fieldnames or ())
        protocol = next((p for p in (Protocol.V2_2, Protocol.V1_1) if set(metric_names(p)[:-1]) <= header), None)
        if protocol is None or not {"token", "score"} <= header:
            raise OpenPairError(
                "this is no table of NAVSIM's evaluation (token, valid, sub-metrics, score)", where=path
            )
        rows = []
        for cells in reader:
            token = cells["token"]
            if token in AVERAGES or not token:
                continue
            rows.append(_navsim_row(cells, token, path, protocol, dataset))
    if not rows:
        raise OpenPairError("the table has no scenes", where=path)
    beside = path.with_suffix(".npz")
    logs, tokens, columns = agent_columns(rows, protocol, plans=lambda _: _plans_in(beside))
    return Result(path.stem, folder, protocol, True, DataOrigin(dataset), logs, tokens, columns, pdm_measure(protocol))


def _navsim_row(cells: dict[str, str], token: str, path: Path, protocol: Protocol, dataset: str) -> ScoreRow:
    try:
        numbers = {name: float(cells[name]) if cells.get(name) else np.nan for name in metric_names(protocol)}
        score = float(cells["score"]) if cells["score"] else None
    except ValueError as error:
        raise OpenPairError(f"a value of scene {token} is no number ({error})", where=path) from None
    failed = score is None or cells.get("valid", "True").lower() in ("false", "0")
    place = (dataset, cells.get("log_name") or "", token, path.stem, protocol.value)
    if failed:
        return ScoreRow(*place, error="NAVSIM's table says that it is not valid")
    return ScoreRow(*place, metrics=numbers, score=score)
