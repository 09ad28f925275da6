"""The figures of ``openpair bench score``: what each is measured on, and how."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW, MANY, VOCABULARY = 16, 256, 8192
"""Candidates of one scene: a sampler's leaves, a large group, a whole trajectory vocabulary."""

SCENES_IN_BATCH, SCENES_IN_LARGE_BATCH = 16, 64

ORIGINAL_BUILD_MS = 400.0
"""What the original's metric cache takes for a scene at least (0.4 to 1.9 s)."""

Plans = NDArray[np.float64]


def timed_ms(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall-clock time and median processor time of this thread [ms], after one call to warm up."""
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        start_wall, start_cpu = time.perf_counter_ns(), time.thread_time_ns()
        work()
        cpu.append(time.thread_time_ns() - start_cpu)
        wall.append(time.perf_counter_ns() - start_wall)
    return statistics.median(wall) / 1e6, statistics.median(cpu) / 1e6


def candidates(plans: Plans, count: int) -> Plans:
    """``count`` different plans: the case's own first, then the same driven 10 % slower to 10 % faster."""
    own = plans[: min(count, len(plans))]
    rng = np.random.default_rng(0)
    more = plans[rng.integers(0, len(plans), count - len(own))] * rng.uniform(0.9, 1.1, (count - len(own), 1, 1))
    return np.concatenate([own, more])


def measure(cases: list[dict[str, NDArray]], protocol: str) -> dict[str, float]:
    """All figures of one protocol on golden cases."""
    from openpair.scoring import prepare_case, score_prepared

    scenes = [prepare_case(case, protocol) for case in cases]
    few = [candidates(case["trajs"], FEW) for case in cases]
    many = [candidates(case["trajs"], MANY) for case in cases]

    def fresh(index: int) -> None:
        score_prepared(prepare_case(cases[index], protocol), few[index])

    few_ms = [timed_ms(lambda s=s, p=p: score_prepared(s, p), 15) for s, p in zip(scenes, few, strict=True)]  # type: ignore[misc]
    many_ms = [timed_ms(lambda s=s, p=p: score_prepared(s, p), 5) for s, p in zip(scenes, many, strict=True)]  # type: ignore[misc]
    prepare_ms = [timed_ms(lambda c=case: prepare_case(c, protocol), 5) for case in cases]  # type: ignore[misc]
    fresh_ms = [timed_ms(lambda i=i: fresh(i), 5) for i in range(len(cases))]  # type: ignore[misc]
    return {
        "cases": len(cases),
        f"score_{FEW}_ms": median(few_ms, 0),
        f"score_{FEW}_cpu_ms": median(few_ms, 1),
        f"score_{MANY}_ms": median(many_ms, 0),
        f"score_{MANY}_cpu_ms": median(many_ms, 1),
        f"ratio_{MANY}_to_{FEW}": statistics.median(b[1] / a[1] for a, b in zip(few_ms, many_ms, strict=True)),
        "prepare_ms": median(prepare_ms, 0),
        "prepare_cpu_ms": median(prepare_ms, 1),
        f"prepare_and_score_{FEW}_ms": median(fresh_ms, 0),
        f"prepare_and_score_{FEW}_cpu_ms": median(fresh_ms, 1),
        **kept_figures(scenes, few),
        **vocabulary_figures(scenes, cases),
        **batch_figures(scenes, few),
        **thread_figures(scenes, few, many),
    }


def kept_figures(scenes: Sequence[Any], few: Sequence[Plans]) -> dict[str, float]:
    """What small calls gain by keeping memory and launches: with and without in turn, scene by scene."""
    from openpair.scoring import run, score_prepared

    kept: dict[int, list[float]] = {1: [], FEW: []}
    fresh: dict[int, list[float]] = {1: [], FEW: []}
    most = run.MAX_PLANS
    try:
        for scene, plans in zip(scenes, few, strict=True):
            for count in kept:
                for times, limit in ((fresh, 0), (kept, most)):
                    run.MAX_PLANS = limit
                    times[count].append(timed_ms(partial(score_prepared, scene, plans[:count]), 15)[1])
    finally:
        run.MAX_PLANS = most
    return {
        "score_1_cpu_ms": statistics.median(kept[1]),
        **{
            f"score_{count}_kept_over_fresh": statistics.median(np.divide(kept[count], fresh[count]).tolist())
            for count in kept
        },
    }


def over_yardstick(figures: dict[str, float]) -> dict[str, float]:
    """Figures with the processor time of the yardstick, measured now, and the scorer's times as multiples of it."""
    from openpair.benchmarks.yardstick import yardstick

    yardstick_ms = timed_ms(yardstick(), 201)[1]
    multiples = {
        f"score_{count}_over_yardstick": figures[f"score_{count}_cpu_ms"] / yardstick_ms
        for count in (FEW, MANY, VOCABULARY)
    }
    return {**figures, "yardstick_cpu_ms": yardstick_ms, **multiples}


def measure_on_cuda(cases: list[dict[str, NDArray]], protocol: str) -> dict[str, float]:
    """Figures of one protocol on the current CUDA device: wall-clock times until it is done, and how far scores and
    simulated positions are from the CPU's."""
    import torch

    from openpair.scoring import prepare_case, score_batch, score_prepared

    scenes = [prepare_case(case, protocol) for case in cases]

    def on_device(count: int) -> list[Any]:
        return [torch.from_numpy(candidates(case["trajs"], count)).cuda() for case in cases]

    def finished_ms(work: Callable[[], object], repeats: int) -> float:
        def finish() -> None:
            work()
            torch.cuda.synchronize()

        return timed_ms(finish, repeats)[0]

    def one_by_one(plans: list[Any], repeats: int) -> float:
        return statistics.median(
            finished_ms(partial(score_prepared, *case), repeats) for case in zip(scenes, plans, strict=True)
        )

    few, many = on_device(FEW), on_device(MANY)
    few_ms, many_ms = one_by_one(few, 15), one_by_one(many, 5)
    chosen = range(0, len(scenes), max(1, len(scenes) // 5))
    whole = {i: torch.from_numpy(candidates(cases[i]["trajs"], VOCABULARY)).cuda() for i in chosen}
    vocabulary_ms = [finished_ms(partial(score_prepared, scenes[i], whole[i]), 3) for i in chosen]
    spread = np.linspace(0, len(scenes) - 1, SCENES_IN_LARGE_BATCH).astype(int).tolist()
    batch_ms = finished_ms(lambda: score_batch([scenes[i] for i in spread], [few[i] for i in spread]), 7)
    differences = [_difference_from_cpu(scene, plans) for scene, plans in zip(scenes, many, strict=True)]
    return {
        "cases": len(cases),
        f"score_{FEW}_ms": few_ms,
        f"score_{MANY}_ms": many_ms,
        f"score_{VOCABULARY}_ms": statistics.median(vocabulary_ms),
        f"batch_of_{SCENES_IN_LARGE_BATCH}_scenes_per_scene_ms": batch_ms / len(spread),
        "greatest_difference_of_scores": max(score for score, _ in differences),
        "greatest_difference_of_positions_um": max(position for _, position in differences),
    }


def _difference_from_cpu(scene: Any, plans: Any) -> tuple[float, float]:
    """Greatest differences of scores, and of simulated positions [um], between CUDA plans and the same on the CPU."""
    from openpair.scoring import score_prepared

    there: Any = score_prepared(scene, plans)
    here = score_prepared(scene, plans.cpu().numpy())
    score = np.abs(there.score.cpu().numpy() - here.score).max()
    moved = there.evidence["simulated_states"].cpu().numpy() - here.evidence["simulated_states"]
    return float(score), float(1e6 * np.abs(moved[..., :2]).max())


def median(pairs: Sequence[tuple[float, float]], which: int) -> float:
    """Median of wall-clock (0) or processor (1) times."""
    return statistics.median(pair[which] for pair in pairs)


def vocabulary_figures(scenes: list[Any], cases: list[dict[str, NDArray]]) -> dict[str, float]:
    """A whole vocabulary of plans in one scene: time, memory, and how cost grows beyond a large group.

    Time is the median over five scenes, memory the most that one of them takes, results included.
    """
    from openpair.scoring import score_prepared

    chosen = range(0, len(scenes), max(1, len(scenes) // 5))
    large, all_times, grown = [], [], 0.0
    for index in chosen:
        group, vocabulary = (candidates(cases[index]["trajs"], count) for count in (MANY, VOCABULARY))
        large.append(timed_ms(lambda s=scenes[index], p=group: score_prepared(s, p), 5)[1])  # type: ignore[misc]
        grown = max(grown, extra_memory_mb(lambda s=scenes[index], p=vocabulary: score_prepared(s, p)))  # type: ignore[misc]
        all_times.append(timed_ms(lambda s=scenes[index], p=vocabulary: score_prepared(s, p), 3))  # type: ignore[misc]
    growth = statistics.median(whole[1] / part for whole, part in zip(all_times, large, strict=True))
    return {
        f"score_{VOCABULARY}_ms": median(all_times, 0),
        f"score_{VOCABULARY}_cpu_ms": median(all_times, 1),
        f"score_{VOCABULARY}_extra_memory_mb": grown,
        f"ratio_{VOCABULARY}_to_{MANY}_per_candidate": growth * MANY / VOCABULARY,
    }


def batch_figures(scenes: list[Any], plans: list[Plans]) -> dict[str, float]:
    """Several scenes at once: against one by one, four times as many scenes, and one large scene among small ones."""
    from openpair.scoring import score_batch, score_prepared
    from openpair.scoring.prepared import prepare
    from openpair.scoring.tables import join_scenes

    def together(chosen: Sequence[int]) -> float:
        return timed_ms(lambda: score_batch([scenes[i] for i in chosen], [plans[i] for i in chosen]), 7)[1]

    def apart(chosen: Sequence[int]) -> float:
        return timed_ms(lambda: [score_prepared(scenes[i], plans[i]) for i in chosen], 7)[1]

    spread = np.linspace(0, len(scenes) - 1, SCENES_IN_BATCH).astype(int).tolist()
    tables = [prepare(scene).tables for scene in scenes]
    by_size = sorted(range(len(scenes)), key=lambda i: tables[i].num_bytes)
    mixed = [*by_size[: SCENES_IN_BATCH - 1], by_size[-1]]
    batch, repeated = together(spread), together(spread * (SCENES_IN_LARGE_BATCH // SCENES_IN_BATCH))
    return {
        f"batch_of_{SCENES_IN_BATCH}_scenes_per_scene_cpu_ms": batch / len(spread),
        "same_scenes_one_by_one_per_scene_cpu_ms": apart(spread) / len(spread),
        f"ratio_{SCENES_IN_LARGE_BATCH}_to_{SCENES_IN_BATCH}_scenes_per_scene": repeated
        / batch
        * SCENES_IN_BATCH
        / SCENES_IN_LARGE_BATCH,
        "large_among_small_scenes_time_over_one_by_one": together(mixed) / apart(mixed),
        "large_among_small_scenes_memory_over_one_by_one": join_scenes([tables[i] for i in mixed]).num_bytes
        / sum(tables[i].num_bytes for i in mixed),
    }


def thread_figures(scenes: list[Any], few: list[Plans], many: list[Plans]) -> dict[str, float]:
    """How much sooner two threads finish the same work than one, beside what the machine gives to plain hashing."""
    from hashlib import sha256

    from openpair.scoring import score_prepared

    def score(scene: Any, plans: Plans) -> None:
        score_prepared(scene, plans)

    block = bytes(1 << 22)
    return {
        f"two_threads_speedup_{MANY}": two_threads(score, list(zip(scenes, many, strict=True))[:40]),
        f"two_threads_speedup_{FEW}": two_threads(score, list(zip(scenes, few, strict=True))),
        "two_threads_speedup_of_plain_hashing": two_threads(lambda data: sha256(data).digest(), [(block,)] * 16),
    }


def two_threads(work: Callable[..., object], items: list[tuple[Any, ...]], rounds: int = 7) -> float:
    """Shortest time of one thread over shortest time of two, each item being work(*item).

    Wall-clock time, but for the time that a thread stood in line for a processor: other programs must not count, while
    threads that wait for each other do. One and two threads by turns.
    """

    def finish(part: list[tuple[Any, ...]]) -> int:
        start, waited = time.perf_counter_ns(), in_line_ns()
        for item in part:
            work(*item)
        return time.perf_counter_ns() - start - (in_line_ns() - waited)

    alone, together = [], []
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(finish, (items[::2], items[1::2])))
        for _ in range(rounds):
            alone.append(finish(items))
            together.append(max(pool.map(finish, (items[::2], items[1::2]))))
    return min(alone) / min(together)


def in_line_ns() -> int:
    """How long this thread has been ready to run without getting a processor [ns]; 0 where no one tells."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1])  # Linux
    return 0


def store_figures(protocol: str, golden_logs: Path, limit: int) -> dict[str, float]:
    """The store of prepared scenes: of the golden logs where they are, else of the world in the package."""
    from openpair.benchmarks.store import measure as measure_store
    from openpair.datasets.choice import SceneChoice, choose_scenes
    from openpair.datatypes.columns import Protocol
    from openpair.evaluation.sources import DatasetSource

    root = golden_logs if golden_logs.is_dir() else None
    name, options = choose_scenes("navsim" if root else "world", root, SceneChoice())
    source = DatasetSource(name, root, options)
    tokens = [key.token for key in source.open().keys()]
    figures = measure_store(source, tokens[:: max(1, -(-len(tokens) // limit))], Protocol(protocol))
    figures["times_faster_to_build_than_the_original"] = ORIGINAL_BUILD_MS / figures["build_cpu_ms_per_scene"]
    return {f"store_{name}": value for name, value in figures.items()}


def extra_memory_mb(work: Callable[[], object]) -> float:
    """Greatest memory of this process during the work beyond what it held before [MB]; 0 where no one tells."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc: what was freed before must not serve the work unseen
    before = memory_mb("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew from here
    work()
    return max(0.0, memory_mb("VmHWM") - before)


def memory_mb(name: str) -> float:
    """Memory of this process, now (VmRSS) or at most so far (VmHWM) [MB]."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:")), 0.0)
