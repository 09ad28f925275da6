"""Evaluate agents over a dataset, on many processes, resumable, with the same result for any number of them.

The scenes are cut into fixed chunks of neighbours of one log. A chunk is the unit of work, of progress and of
resuming; its rows do not depend on which process computes it or when.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import pickle
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from openpair import __version__
from openpair.datasets.base import Dataset, SceneKey
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.evaluation.chunk import STAGES, Chunk, ChunkEvaluator, Task, one_torch_thread
from openpair.evaluation.plans_file import read_plans
from openpair.evaluation.progress import EvaluationProgress
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
from openpair.evaluation.sources import planner_notes
from openpair.evaluation.summary import Summary, summarise, summary_json
from openpair.files import write_atomically
from openpair.pools import Pool, WorkersDied
from openpair.scoring.epdms import StageMapping

SCENES_PER_CHUNK = 16
MAX_POOL_RESTARTS = 3

EXIT_OK = 0
EXIT_NOTHING_SCORED = 2
EXIT_SOME_FAILED = 3


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
        """0 all scored, 2 nothing could be scored, 3 some scenes failed (0 where failures are allowed)."""
        if all(row.failed for row in self.rows):
            return EXIT_NOTHING_SCORED
        if any(row.failed for row in self.rows) and not allow_failures:
            return EXIT_SOME_FAILED
        return EXIT_OK


def evaluate(
    task: Task,
    *,
    out_dir: Path | None = None,
    workers: int = 1,
    max_scenes: int | None = None,
    config: dict[str, Any] | None = None,
    show_progress: bool = True,
    pool: Pool | None = None,
) -> Evaluation:
    """Score every agent on every scene of the dataset.

    Args:
        task: dataset, agents, protocol and seed.
        out_dir: where scores.csv and summary.json are written, both whole or not at all; None writes nothing.
        workers: processes; 0 means one per CPU core. Never changes a result. Datasets and agents that cannot travel
            to another process are evaluated in this one.
        max_scenes: so many scenes alone, spread evenly over the dataset.
        config: settings to record in the summary.
        show_progress: draw a progress bar on the terminal.
        pool: a cluster that works in place of processes of this machine.

    Raises OpenPairError for input that makes the whole evaluation impossible. A scene that fails is a row with its
    reason.
    """
    started = time.perf_counter()
    if task.carry_exemptions and pool is not None:
        raise OpenPairError(
            "exemptions are carried from scene to scene in one process", where="--ray", fix="Leave one of the two out"
        )
    workers = _number_of_workers(task, workers)
    dataset = task.dataset.open()
    keys, selection = scenes_to_evaluate(task, list(dataset.keys()), max_scenes)
    chunks = cut_into_chunks(keys) if task.stages == 1 else chunks_of_mappings(keys, mappings_of(dataset))
    hashes = {source.name: source.sha256() for source in task.agents}
    partial, created = _open_partial(out_dir, _fingerprint(task, keys, hashes))
    finished = {} if partial is None else partial.finished
    resumed_scenes = sum(len(chunks[index]) for index in finished)
    try:
        todo = {index: chunk for index, chunk in enumerate(chunks) if index not in finished}
        with EvaluationProgress(len(keys), done=resumed_scenes, show=show_progress) as progress:
            for row in (row for chunk in finished.values() for row in chunk.rows):
                progress.note(row)
            for index, result in _compute(task, dataset, todo, workers, pool):
                finished[index] = result
                if partial is not None:
                    partial.add(index, result)
                progress.advance(len(chunks[index]), result.rows)
    except BaseException as error:
        if partial is not None and out_dir is not None:
            partial.close(delete=not partial.finished or isinstance(error, OpenPairError))
            if created and not any(out_dir.iterdir()):
                out_dir.rmdir()
        raise
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
    if partial is not None and out_dir is not None:
        write_atomically(out_dir / SCORES_FILE, scores_csv(rows, task.protocol))
        if task.stages == 2:
            write_atomically(out_dir / MAPPINGS_FILE, scores_csv(mapping_rows["combined"], task.protocol))
        write_atomically(out_dir / SUMMARY_FILE, summary_json(summary))
        partial.close(delete=True)
    return Evaluation(rows, summary, seconds)


def cut_into_chunks(keys: Sequence[SceneKey], size: int = SCENES_PER_CHUNK) -> list[Chunk]:
    """Neighbouring scenes of one log, at most ``size`` together: one process reads a log and its map once."""
    chunks: list[Chunk] = []
    for _, of_log in itertools.groupby(keys, key=lambda key: key.log_name):
        own = list(of_log)
        for start in range(0, len(own), size):
            chunks.append(Chunk(tuple(own[start : start + size]), own[start - 1] if start else None))
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


def _fingerprint(task: Task, keys: Sequence[SceneKey], hashes: dict[str, str | None]) -> str:
    """Hash of what must be equal for unfinished results to be taken up again.

    An agent built in memory has no file to recognise it by, and what scenes carry on to the next ones is in no file:
    such unfinished results are never taken up.
    """
    once = task.carry_exemptions or any(source.ready is not None for source in task.agents)
    settings = {
        "once": secrets.token_hex(8) if once else "",
        "version": __version__,
        "dataset": [task.dataset.name, str(task.dataset.root), repr(sorted(task.dataset.options.items()))],
        "agents": [[a.name, a.kind, str(a.path), a.mode, a.entry, hashes[a.name]] for a in task.agents],
        "protocol": task.protocol.value,
        "human_filter": task.human_filter,
        "stages": task.stages,
        "seed": task.seed,
        "scenes": [[key.log_name, key.token] for key in keys],
    }
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def _compute(
    task: Task, dataset: Dataset, todo: dict[int, Chunk], workers: int, pool: Pool | None
) -> Iterator[tuple[int, ChunkResult]]:
    """Results of chunks, in any order, from this process, from several, or from a cluster."""
    if pool is not None:
        yield from pool(partial(_open_worker, task), todo)
        return
    workers = min(workers, len(todo))
    if workers <= 1:
        yield from _compute_here(task, dataset, todo)
    else:
        yield from _compute_in_pool(task, todo, workers)


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


def _compute_here(task: Task, dataset: Dataset, todo: dict[int, Chunk]) -> Iterator[tuple[int, ChunkResult]]:
    if not todo:
        return
    evaluator = ChunkEvaluator.start(task, dataset)
    with one_torch_thread():
        for index, chunk in todo.items():
            yield index, evaluator.run(chunk)


def _compute_in_pool(task: Task, todo: dict[int, Chunk], workers: int) -> Iterator[tuple[int, ChunkResult]]:
    """A killed worker (out of memory, say) breaks the pool: a new one takes the chunks that are left."""
    left = dict(todo)
    for attempt in range(MAX_POOL_RESTARTS + 1):
        # Forked copies of a process with threads (torch, Warp) may hang; fresh processes do not.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(task,))
        try:
            futures: dict[Future[ChunkResult], int] = {}
            for index, chunk in left.items():
                futures[pool.submit(_run_in_worker, chunk)] = index
            pending = set(futures)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    del left[futures[future]]
                    yield futures[future], result
            return
        except BrokenProcessPool as error:
            if attempt == MAX_POOL_RESTARTS:
                raise WorkerDied(len(left)) from error
        except BaseException:
            # Interrupted, or bad input: nobody waits for what the workers are still at.
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class WorkerDied(WorkersDied):
    """Worker processes were killed again and again. What is finished is kept for the next run."""

    def __init__(self, chunks_left: int) -> None:
        super().__init__(
            f"worker processes died {MAX_POOL_RESTARTS + 1} times, {chunks_left} chunks are left; most often memory "
            "ran out. Run the same command with fewer --workers: it goes on from what is finished."
        )


def _open_worker(task: Task) -> Callable[[Chunk], ChunkResult]:
    """What a worker of a cluster does with chunks."""
    evaluator = ChunkEvaluator.start(task)

    def run(chunk: Chunk) -> ChunkResult:
        with one_torch_thread():
            return evaluator.run(chunk)

    return run


_task: Task | None = None
_evaluator: ChunkEvaluator | None = None


def _start_worker(task: Task) -> None:
    global _task  # noqa: PLW0603  one worker process evaluates one task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles the interrupt


def _run_in_worker(chunk: Chunk) -> ChunkResult:
    """Opens dataset and agents with the first chunk, so that bad input is raised here and reaches the parent."""
    global _evaluator  # noqa: PLW0603
    if _evaluator is None:
        if _task is None:
            raise RuntimeError("the worker was not started with a task")
        _evaluator = ChunkEvaluator.start(_task)
    with one_torch_thread():
        return _evaluator.run(chunk)


def _open_partial(out_dir: Path | None, fingerprint: str) -> tuple[PartialResults | None, bool]:
    """Unfinished results of the folder, taken up or begun, and whether the folder was made for them."""
    if out_dir is None:
        return None, False
    created = not out_dir.is_dir()
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        return PartialResults(out_dir / PARTIAL_FILE, fingerprint), created
    except OSError as error:
        raise OpenPairError(f"cannot write there ({error})", where=out_dir, fix="Choose another --out") from error
