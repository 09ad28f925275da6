"""``openpair bench score``: how fast plans are scored."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from openpair.errors import OpenPairError

DEFAULT_FOLDERS = (Path("../shared/golden/pdm"), Path("tests/data/golden/pdm"))
"""Looked for from the working directory when no case is named."""

FEW, MANY, VOCABULARY = 16, 256, 8192
"""Candidates of one scene: a sampler's leaves, a large group, a whole trajectory vocabulary."""

SCENES_IN_BATCH = 16


@dataclass
class BenchScore:
    """Measure simulation and scoring of plans on golden cases: one thread, after warm-up, medians over the cases."""

    cases: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Golden cases (.npz) or folders of them; default: the golden cases beside or in the repository."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    limit: int = 200
    """Measure at most this many cases of each protocol, evenly chosen."""

    def run(self) -> int:
        from openpair.scoring.cases import case_protocol, read_case

        files = find_cases(self.cases)
        by_protocol: dict[str, list[dict[str, NDArray]]] = {}
        for file in files:
            case = read_case(file)
            if "trajs" in case and "in_version" in case:
                by_protocol.setdefault(case_protocol(case).value, []).append(case)
        if not by_protocol:
            raise OpenPairError(
                "no golden case was found",
                where=", ".join(map(str, self.cases)) or None,
                fix="Name golden cases (.npz)",
            )
        results: dict[str, Any] = {"machine": machine()}
        for protocol in sorted(by_protocol):
            chosen = by_protocol[protocol]
            step = max(1, -(-len(chosen) // self.limit))
            results[protocol] = measure(chosen[::step], protocol)
        print(json.dumps(results, indent=2) if self.json else as_table(results))
        return 0


def find_cases(named: tuple[Path, ...]) -> list[Path]:
    """The case files named, in the folders named, or in the first default folder that is there."""
    places = named or next(((folder,) for folder in DEFAULT_FOLDERS if folder.is_dir()), ())
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise OpenPairError("there is no such file or folder", where=place)
        files += sorted(place.rglob("*.npz")) if place.is_dir() else [place]
    return files


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    import warp

    from openpair import __version__

    processor = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpu_info.read_text().splitlines() if "model name" in line]
        processor = f"{names[0]} ({len(names)} logical cores)" if names else processor
    return {"processor": processor, "device": "cpu, 1 thread", "openpair": __version__, "warp": warp.__version__}


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


def candidates(plans: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """``count`` different plans: the case's own first, then the same driven 10 % slower to 10 % faster."""
    own = plans[: min(count, len(plans))]
    rng = np.random.default_rng(0)
    more = plans[rng.integers(0, len(plans), count - len(own))] * rng.uniform(0.9, 1.1, (count - len(own), 1, 1))
    return np.concatenate([own, more])


def measure(cases: list[dict[str, NDArray]], protocol: str) -> dict[str, float]:
    """All figures of one protocol."""
    from openpair.scoring import prepare_case, score_batch, score_prepared

    scenes = [prepare_case(case, protocol) for case in cases]
    few = [candidates(case["trajs"], FEW) for case in cases]
    many = [candidates(case["trajs"], MANY) for case in cases]

    def fresh(index: int) -> None:
        score_prepared(prepare_case(cases[index], protocol), few[index])

    few_ms = [timed_ms(lambda s=s, p=p: score_prepared(s, p), 15) for s, p in zip(scenes, few, strict=True)]  # type: ignore[misc]
    many_ms = [timed_ms(lambda s=s, p=p: score_prepared(s, p), 5) for s, p in zip(scenes, many, strict=True)]  # type: ignore[misc]
    prepare_ms = [timed_ms(lambda c=case: prepare_case(c, protocol), 5) for case in cases]  # type: ignore[misc]
    fresh_ms = [timed_ms(lambda i=i: fresh(i), 5) for i in range(len(cases))]  # type: ignore[misc]

    block = scenes[:SCENES_IN_BATCH]
    batch_ms = timed_ms(lambda: score_batch(block, few[: len(block)]), 5)
    apart_ms = timed_ms(lambda: [score_prepared(s, p) for s, p in zip(block, few, strict=False)], 5)

    vocabulary = candidates(cases[0]["trajs"], VOCABULARY)
    before = resident_mb()
    vocabulary_ms = timed_ms(lambda: score_prepared(scenes[0], vocabulary), 3)
    grown = max(0.0, peak_mb() - before)

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
        f"batch_of_{len(block)}_scenes_per_scene_ms": batch_ms[0] / len(block),
        "same_scenes_one_by_one_per_scene_ms": apart_ms[0] / len(block),
        f"score_{VOCABULARY}_ms": vocabulary_ms[0],
        f"score_{VOCABULARY}_cpu_ms": vocabulary_ms[1],
        f"score_{VOCABULARY}_extra_memory_mb": grown,
        "two_threads_speedup": two_threads(scenes, many),
        "two_threads_speedup_of_plain_hashing": hashing_on_two_threads(),
    }


def median(pairs: list[tuple[float, float]], which: int) -> float:
    """Median of wall-clock (0) or processor (1) times."""
    return statistics.median(pair[which] for pair in pairs)


def two_threads(scenes: list[Any], plans: list[NDArray[np.float64]]) -> float:
    """How much sooner two threads finish the same work than one."""
    from openpair.scoring import score_prepared

    work = list(zip(scenes, plans, strict=True))[:40]

    def finish(part: list[Any]) -> None:
        for scene, candidates_of_scene in part:
            score_prepared(scene, candidates_of_scene)

    with ThreadPoolExecutor(2) as pool:
        alone = timed_ms(lambda: finish(work), 3)[0]
        together = timed_ms(lambda: list(pool.map(finish, (work[::2], work[1::2]))), 3)[0]
    return alone / together


def hashing_on_two_threads() -> float:
    """The same for work that needs neither Python nor shared memory: what this machine can give at this moment."""
    from hashlib import sha256

    block = bytes(1 << 24)
    with ThreadPoolExecutor(2) as pool:
        alone = timed_ms(lambda: [sha256(block).digest() for _ in range(4)], 3)[0]
        together = timed_ms(lambda: list(pool.map(lambda _: sha256(block).digest(), range(4))), 3)[0]
    return alone / together


def resident_mb() -> float:
    """Memory of this process now [MB]; 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 / 1e6 if status.is_file() else 0.0


def peak_mb() -> float:
    """Greatest memory of this process so far [MB]."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def as_table(results: dict[str, Any]) -> str:
    """Text of the figures, one protocol a column."""
    protocols = [key for key in results if key != "machine"]
    names = list(results[protocols[0]])
    width = max(map(len, names))
    lines = [f"{name:<10} {value}" for name, value in results["machine"].items()]
    lines += ["", f"{'':<{width}}" + "".join(f"{protocol:>10}" for protocol in protocols)]
    for name in names:
        lines.append(f"{name:<{width}}" + "".join(f"{results[p].get(name, float('nan')):>10.3f}" for p in protocols))
    return "\n".join(lines)
