"""Evaluate agents over a dataset, on many processes, resumable, with the same result for any number of them.

The scenes are cut into fixed chunks of neighbours of one log. A chunk is the unit of work, of progress and of
resuming; its rows do not depend on which process computes it or when.
"""

from __future__ import annotations

import itertools
import os
import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from openpair.datasets.base import Dataset, SceneKey
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.chunk import Chunk, ChunkEvaluator, Task, one_torch_thread
from openpair.evaluation.failures import exit_status
from openpair.evaluation.identity import is_resumable, request_of
from openpair.evaluation.judge import STAGES
from openpair.evaluation.plans_file import plans_path, read_plans, write_plans
from openpair.evaluation.prepared import PrepareFromStore
from openpair.evaluation.records import (
    MAPPINGS_FILE,
    PARTIAL_FILE,
    SCORES_FILE,
    SUMMARY_FILE,
    ChunkResult,
    PartialResults,
    ScoreRow,
    scores_csv,
)
from openpair.evaluation.result_folder import check_free
from openpair.evaluation.sources import planner_notes
from openpair.evaluation.summary import Summary, summarise, summary_json
from openpair.files import locked, write_atomically
from openpair.pools import OnProgress, Pool, Processes, silent
from openpair.scoring.epdms import StageMapping

SCENES_PER_CHUNK = 16
WHAT, FAILED = "evaluate", "failed scenes"


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        rows: one per scene and agent, scenes in the order of the dataset, agents in the order given.
        summary: what summary.json holds.
        seconds: wall time of this run; 0 chunks were left to do where it was resumed at its end.
    """

    rows: list[ScoreRow]
    summary: Summary
    seconds: float

    def exit_status(self, *, allow_failures: bool = False) -> int:
        """0 all scored, 3 scenes failed (0 where failures are allowed and something was scored)."""
        some_failed = any(row.failed for row in self.rows)
        return exit_status(some_failed=some_failed, nothing_done=self.nothing_scored, allow_failures=allow_failures)

    @property
    def nothing_scored(self) -> bool:
        """True where every scene failed."""
        return all(row.failed for row in self.rows)


def evaluate(
    task: Task,
    *,
    out_dir: Path | None = None,
    workers: int = 1,
    max_scenes: int | None = None,
    config: dict[str, Any] | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
    pool: Pool | None = None,
) -> Evaluation:
    """Score every agent on every scene of the dataset.

    Args:
        task: dataset, agents, protocol and seed.
        out_dir: where scores.csv and summary.json are written, both whole or not at all; None writes nothing.
            Where it holds unfinished results of the same request, they are taken up.
        workers: processes; 0 means one per CPU core. Never changes a result. Datasets and agents that cannot travel
            to another process are evaluated in this one.
        max_scenes: so many scenes alone, spread evenly over the dataset.
        config: settings to record in the summary.
        overwrite: replace results of another request in ``out_dir``.
        on_progress: told scenes done, and scenes that failed.
        pool: a cluster that works in place of processes of this machine.

    Raises OpenPairError for input that makes the whole evaluation impossible, and for a folder that holds results of
    another request. A scene that fails is a row with its reason.
    """
    started = time.perf_counter()
    if task.carry_exemptions and pool is not None:
        raise OpenPairError(
            "exemptions are carried from scene to scene in one process", where="--ray", fix="Leave one of the two out"
        )
    workers = _number_of_workers(task, workers)
    with nullcontext() if out_dir is None else locked(out_dir):
        dataset = task.dataset.open()
        keys, selection = scenes_to_evaluate(task, list(dataset.keys()), max_scenes)
        chunks = _chunks(task, dataset, keys)
        hashes = {source.name: source.sha256() for source in task.agents}
        request = request_of(task, dataset, keys, hashes)
        if out_dir is not None and not overwrite:
            check_free(out_dir, request)
        partial_results = PartialResults(out_dir if is_resumable(task) else None, request)
        finished = partial_results.finished
        resumed_scenes = sum(len(chunks[index]) for index in finished)
        todo = {index: chunk for index, chunk in enumerate(chunks) if index not in finished}
        # One worker is this process: it uses the dataset that is open, which may be one that cannot travel.
        open_worker = partial(_open_worker, task, dataset if pool is None and workers == 1 else None)
        with partial_results:
            _tell(on_progress, finished.values(), len(keys))
            for index, result in (Processes(workers) if pool is None else pool)(open_worker, todo):
                partial_results.add(index, result)
                _tell(on_progress, finished.values(), len(keys))
        ordered = [finished[index] for index in range(len(chunks))]
        rows = [row for chunk in ordered for row in chunk.rows]
        mapping_rows = {name: [row for chunk in ordered for row in chunk.mapping_rows.get(name, [])] for name in STAGES}
        seconds = time.perf_counter() - started
        summary = summarise(
            rows,
            mapping_rows=None if task.stages == 1 else mapping_rows,
            task=task,
            dataset_name=dataset.name,
            keys=keys,
            digests=[digest for chunk in ordered for digest in chunk.digests],
            selection=selection,
            truth_agents={name for chunk in ordered for name in chunk.truth_agents},
            checkpoint_hashes=hashes,
            config={**(config or {}), **planner_notes(task.agents, dataset, keys)},
            run={"seconds": round(seconds, 3), "workers": workers, "resumed_scenes": resumed_scenes},
        )
        if out_dir is not None:
            files = {SCORES_FILE: scores_csv(rows, task.protocol)}
            if task.stages == 2:
                files[MAPPINGS_FILE] = scores_csv(mapping_rows["combined"], task.protocol)
            for name, text in files.items():
                write_atomically(out_dir / name, text)
            _keep_plans(out_dir, ordered)
            write_atomically(out_dir / SUMMARY_FILE, summary_json(summary, files, request))
            (out_dir / PARTIAL_FILE).unlink(missing_ok=True)
    return Evaluation(rows, summary, seconds)


def _keep_plans(out_dir: Path, chunks: Sequence[ChunkResult]) -> None:
    """Write the plans that were scored, one file for each agent that planned something."""
    for agent in dict.fromkeys(name for chunk in chunks for name in chunk.plans):
        plans = {token: plan for chunk in chunks for token, plan in chunk.plans.get(agent, {}).items()}
        path = plans_path(out_dir, agent)
        if plans:
            write_plans(path, list(plans), np.array(list(plans.values())))
        else:
            path.unlink(missing_ok=True)  # of an earlier evaluation


def _tell(on_progress: OnProgress, finished: Iterable[ChunkResult], total: int) -> None:
    """Tells how many scenes are done and, if any, how many failed."""
    done = sum(len(chunk.digests) for chunk in finished)
    failed = {row.token for chunk in finished for row in chunk.rows if row.failed}
    on_progress(WHAT, done, total)
    if failed:
        on_progress(FAILED, len(failed), total)


def _chunks(task: Task, dataset: Dataset, keys: Sequence[SceneKey]) -> list[Chunk]:
    """The scenes of a task, and those that they are compared with, in units of work."""
    if task.stages == 2:
        return chunks_of_mappings(keys, mappings_of(dataset))
    if not task.predecessors:
        return cut_into_chunks(keys)
    if task.protocol is not Protocol.V2_2:
        raise OpenPairError(
            "extended comfort, which compares scenes, belongs to v2.2", where="--predecessors", fix="Leave it out"
        )
    every, uncounted = with_predecessors(keys, dataset)
    if isinstance(task.prepare, PrepareFromStore):
        task.prepare.check_holds(task.protocol, uncounted)
    return cut_into_chunks(every, uncounted)


def with_predecessors(keys: Sequence[SceneKey], dataset: Dataset) -> tuple[list[SceneKey], frozenset[str]]:
    """The scenes with, before each, the one half a second earlier where there is one; and tokens of those added.

    Raises OpenPairError for a dataset that does not know what is before a scene.
    """
    predecessor = getattr(dataset, "predecessor", None)
    if predecessor is None:
        raise OpenPairError(
            f"the dataset {dataset.name} does not know which scene is before which",
            where="--predecessors",
            fix="Leave it out",
        )
    chosen = {key.token for key in keys}
    every: list[SceneKey] = []
    for key in keys:
        earlier = predecessor(key.token) if key.log_name and not key.is_whole_log else None
        if earlier is not None and earlier not in chosen:
            every.append(SceneKey(key.log_name, earlier))
        every.append(key)
    return every, frozenset(key.token for key in every) - chosen


def cut_into_chunks(
    keys: Sequence[SceneKey], uncounted: frozenset[str] = frozenset(), size: int = SCENES_PER_CHUNK
) -> list[Chunk]:
    """Neighbouring scenes of one log, at most ``size`` together: one process reads a log and its map once."""
    chunks: list[Chunk] = []
    for _, of_log in itertools.groupby(keys, key=lambda key: key.log_name):
        own = list(of_log)
        for start in range(0, len(own), size):
            before = own[start - 1] if start else None
            chunks.append(Chunk(tuple(own[start : start + size]), before, uncounted=uncounted))
    return chunks


def mappings_of(dataset: Dataset) -> Sequence[StageMapping]:
    """Which scenes of a two-stage set follow which. Raises OpenPairError for a dataset of one stage."""
    mappings: Sequence[StageMapping] | None = getattr(dataset, "mappings", None)
    if mappings is None:
        raise OpenPairError(
            f"the dataset {dataset.name} has no second stage", where="--stages", fix="Give --mapping, or use --stages 1"
        )
    return mappings


def chunks_of_mappings(keys: Sequence[SceneKey], mappings: Sequence[StageMapping]) -> list[Chunk]:
    """One chunk for each mapping: its numbers follow from its own scenes alone."""
    by_token = {key.token: key for key in keys}
    return [
        Chunk(tuple(by_token[token] for token in mapping.tokens), mapping=mapping)
        for mapping in mappings
        if mapping.now in by_token
    ]


def scenes_to_evaluate(task: Task, keys: list[SceneKey], max_scenes: int | None = None) -> tuple[list[SceneKey], str]:
    """The scenes of a task and, in words, how they were selected.

    All scenes of the dataset; those that plans are given for, if an agent reads its plans from a file and the task does
    not ask for all scenes; of these ``max_scenes``, spread evenly, so that a small sample resembles the whole.

    Raises OpenPairError for a dataset without scenes and for plans of scenes that the dataset does not have.
    """
    if max_scenes is not None and max_scenes < 1:
        raise OpenPairError(f"{max_scenes} scenes cannot be evaluated", where="--max-scenes", fix="Give 1 or more")
    if not keys:
        place = task.dataset.root or task.dataset.name
        raise OpenPairError("the dataset has no scenes", where=place, fix="Check --root and --split")
    if task.stages == 2:
        return _whole_mappings(task, keys, max_scenes)
    chosen, selection = keys, f"all {len(keys)} of the dataset"
    planned: set[str] = set()
    for source in task.agents:
        if (path := source.plans_path()) is not None:
            plans = read_plans(path)
            if any(key.is_whole_log for key in keys):  # a plan may be for a scene of a broken log: it fails by itself
                keys = with_unknown(keys, plans.tokens)
            plans.check_tokens_known(key.token for key in keys)
            planned.update(plans.tokens)
    if planned and not task.all_scenes and len(planned) < len(keys):
        chosen = [key for key in keys if key.token in planned or key.is_whole_log]
        selection = f"the {len(chosen)} that plans are given for, of {len(keys)} of the dataset"
    whole_logs = [key for key in chosen if key.is_whole_log]
    if max_scenes is not None and max_scenes < len(chosen):
        chosen = [key for key in chosen if not key.is_whole_log]
        max_scenes = min(max_scenes, len(chosen))
        step = (len(chosen) - 1) / max(max_scenes - 1, 1)
        selection = f"{max_scenes}, spread evenly over {selection.removeprefix('all ')}"
        chosen = [chosen[round(i * step)] for i in range(max_scenes)] + whole_logs
    if whole_logs:
        selection += f"; {len(whole_logs)} logs cannot be read and count as one failed scene each"
    return chosen, selection


def with_unknown(keys: list[SceneKey], tokens: Sequence[str]) -> list[SceneKey]:
    """The keys, and one without a log for each token that is not among them."""
    known = {key.token for key in keys}
    return keys + [SceneKey("", token) for token in tokens if token not in known]


def _whole_mappings(task: Task, keys: list[SceneKey], max_scenes: int | None) -> tuple[list[SceneKey], str]:
    """Two stages: all scenes; a sample would cut mappings in two."""
    if task.protocol is not Protocol.V2_2:
        raise OpenPairError("two stages belong to v2.2", where="--protocol", fix="Use --protocol v2.2")
    if max_scenes is not None:
        raise OpenPairError("a two-stage set is evaluated whole", where="--max-scenes", fix="Leave it out")
    for source in task.agents:
        if (path := source.plans_path()) is not None:
            read_plans(path).check_tokens_known(key.token for key in keys)
    return keys, f"all {len(keys)} of both stages"


def _number_of_workers(task: Task, workers: int) -> int:
    """Processes to use: those asked for, one per core for 0; 1 where order matters or the task cannot travel."""
    if workers < 0:
        raise OpenPairError(f"there cannot be {workers} workers", where="--workers", fix="Give 0 for one per core")
    workers = workers or os.cpu_count() or 1
    if workers == 1 or task.carry_exemptions:
        return 1
    try:
        pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError):
        return 1
    return workers


def _open_worker(task: Task, dataset: Dataset | None) -> Callable[[Chunk], ChunkResult]:
    """What a worker does with chunks."""
    evaluator = ChunkEvaluator.start(task, dataset)

    def run(chunk: Chunk) -> ChunkResult:
        with one_torch_thread(task.agents):
            return evaluator.run(chunk)

    return run
