"""``openpair bench score``: how fast plans are scored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from numpy.typing import NDArray

from openpair.benchmarks.table import as_table, machine
from openpair.errors import OpenPairError

DEFAULT_FOLDERS = (Path("../shared/golden/pdm"), Path(__file__).parent / "cases")
"""The first that is there is taken when no case is named: all golden cases beside the repository, or the package's."""

GOLDEN_LOGS = Path("../shared/golden/navsim")
"""NAVSIM logs whose prepared scenes are stored; the world in the package where they are absent."""

TARGETS: dict[str, dict[str, float]] = {
    "at most": {
        "score_16_cpu_ms": 3.0,
        "ratio_256_to_16": 16.0,  # as many times as there are candidates
        "score_8192_cpu_ms": 1000.0,
        "score_8192_extra_memory_mb": 500.0,
        "ratio_8192_to_256_per_candidate": 1.1,
        "ratio_64_to_16_scenes_per_scene": 1.1,
        "large_among_small_scenes_time_over_one_by_one": 2.0,
        "large_among_small_scenes_memory_over_one_by_one": 2.0,
        "store_scene_kb": 60.0,
        "store_load_cpu_ms": 0.3,
    },
    "at least": {"two_threads_speedup_256": 1.7, "store_times_faster_to_build_than_the_original": 5.0},
}
"""What we hold ourselves to, of either protocol unless below."""

OWN_TARGETS = {("v1.1", "score_16_cpu_ms"): 2.0}


@dataclass
class BenchScore:
    """Measure simulation and scoring of plans on golden cases: one thread, after warm-up, medians over the cases.

    Processor times (cpu) leave out what other programs take; the others are wall-clock times. Machines differ by a
    factor of four, so times of the scorer are also given as multiples of a yardstick, a fixed kernel of the same kind
    that is timed in the same run. Figures that miss their target are named at the end. On CUDA plans lie on the device
    before and scores after, and every figure is a wall-clock time until the device is done, beside the greatest
    difference from the CPU's scores.
    """

    cases: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Golden cases (.npz) or folders of them; default: all golden cases beside the repository, else the few
    in the package."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    limit: int = 200
    """Measure at most this many cases of each protocol, evenly chosen."""

    store: bool = True
    """Measure the store of prepared scenes, too (on the CPU alone)."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where plans are simulated and scored."""

    def run(self) -> int:
        from openpair.benchmarks.score_figures import measure, measure_on_cuda, over_yardstick, store_figures
        from openpair.scoring.cases import case_protocol, read_case

        if self.device == "cuda":
            _require_cuda()
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
        results: dict[str, Any] = {"machine": machine(self.device)}
        for protocol in sorted(by_protocol):
            chosen = by_protocol[protocol]
            step = max(1, -(-len(chosen) // self.limit))
            if self.device == "cuda":
                results[protocol] = measure_on_cuda(chosen[::step], protocol)
                continue
            results[protocol] = over_yardstick(measure(chosen[::step], protocol))
            if self.store:
                results[protocol] |= store_figures(protocol, GOLDEN_LOGS, limit=64)
        if self.device == "cpu":
            results["float32"] = FLOAT32
            results["missed"] = missed(results)
        print(json.dumps(results, indent=2) if self.json else as_table(results))
        return 0


def _require_cuda() -> None:
    import torch  # seconds that the CPU's figures need not wait for

    if not torch.cuda.is_available():
        raise OpenPairError("there is no CUDA device", where="--device", fix="Use --device cpu")


def find_cases(named: tuple[Path, ...]) -> list[Path]:
    """The case files named, in the folders named, or in the first default folder that is there."""
    places = named or next(((folder,) for folder in DEFAULT_FOLDERS if folder.is_dir()), ())
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise OpenPairError("there is no such file or folder", where=place)
        files += sorted(place.rglob("*.npz")) if place.is_dir() else [place]
    return files


FLOAT32 = "not offered: it flips nothing and gains nothing on a CPU (docs/scoring.md, Speed)"


def missed(results: dict[str, Any]) -> list[str]:
    """The figures that miss their target, in words."""
    found = []
    for protocol, figures in results.items():
        for bound, targets in TARGETS.items():
            for name, common in targets.items():
                target = OWN_TARGETS.get((protocol, name), common)
                value = figures.get(name) if isinstance(figures, dict) else None
                if value is not None and (value > target if bound == "at most" else value < target):
                    found.append(f"{protocol} {name} is {value:.3g}, not {bound} {target:g}")
    return found
