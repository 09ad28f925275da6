"""``openpair score``: score plans of golden cases, and of NAVSIM's metric caches."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.files import made, whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openpair.datatypes.scores import PlanScores
    from openpair.datatypes.scoring_scene import ScoringScene

EXIT_SOME_FAILED = 3
CASE, CACHE = ".npz", ".pkl"


@dataclass
class Score:
    """Score plans exactly as NAVSIM does, and print a table.

    A case (.npz with arrays in_* and trajs) holds its own plans. Metric caches of NAVSIM (.pkl) hold none: --plans
    gives them. With --out each case also gives OUT/CASE.npz with arrays out_*.

    Exit status: 0 all scored, 2 bad input or nothing could be scored, 3 some could not be scored; they are named and
    leave no file.

    Example: openpair score CASE.npz --protocol v2.2

    Example: openpair score METRIC_CACHE_FOLDER --plans PLANS.npz --json
    """

    cases: tyro.conf.Positional[tuple[Path, ...]]
    """Cases (.npz), metric caches (.pkl), or folders of them."""

    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o", "--output"])] = None
    """Folder for arrays of each case; made if it is not there."""

    plans: Path | None = None
    """Plans for metric caches (.npz: token (N,), poses (N, 8, 3)). Caches that it has no plan for are left out."""

    protocol: Literal["v1.1", "v2.2"] = "v1.1"
    """Score of cases: v1.1 gives PDMS, v2.2 gives EPDMS. A metric cache says itself which it is for."""

    strict: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Mend the original's slips (docs/scoring.md). Such scores are not to be compared with published ones."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table: a list with token, plan, score and sub-metrics."""

    def run(self) -> int:
        """Score, print, return the exit status."""
        from contextlib import nullcontext

        from rich.console import Console
        from rich.progress import track

        files = list(self._files())
        self._check(files)
        rows: list[dict[str, Any]] = []
        failed: list[OpenPairError] = []
        with nullcontext() if self.out is None else made(self.out):
            for file in track(files, "scoring", console=Console(stderr=True), disable=not sys.stderr.isatty()):
                try:
                    rows += self._scored(file)
                except OpenPairError as error:
                    failed.append(error)
        if len(failed) == len(files) == 1:
            raise failed[0]
        if self.json:
            print(json.dumps(rows, indent=2))
        elif rows:
            print_scores(rows)
        for reason in failed:
            print(f"openpair score: {reason}", file=sys.stderr)
        done = len(files) - len(failed)
        if not self.json:
            variant = f"{self.protocol}, strict" if self.strict else self.protocol
            place = "" if self.out is None else f" -> {self.out}"
            print(f"{done} of {len(files)} cases scored ({variant}){place}")
        if failed:
            return EXIT_SOME_FAILED if done else 2
        return 0

    def _files(self) -> Iterator[Path]:
        """The files that are named, and those below the folders that are."""
        for path in self.cases:
            if not path.is_dir():
                yield path
                continue
            found = sorted(file for file in path.rglob("*") if file.suffix in (CASE, CACHE))
            if not found:
                raise OpenPairError("the folder holds no cases (.npz) and no metric caches (.pkl)", where=path)
            if self.plans is not None:
                from openpair.evaluation.plans_file import read_plans

                known = set(read_plans(self.plans).tokens)
                # NAVSIM keeps the cache of a scene as LOG/TYPE/TOKEN/metric_cache.pkl
                found = [file for file in found if file.suffix == CASE or file.parent.name in known]
            yield from found

    def _check(self, files: list[Path]) -> None:
        if not files:
            raise OpenPairError(
                "no case was given", fix="Name a case (.npz), a metric cache (.pkl) or a folder of them"
            )
        names = [file.name for file in files if file.suffix == CASE]
        twice = next((name for name in names if names.count(name) > 1), None)
        if self.out is not None and twice is not None:
            raise OpenPairError(
                "two cases have the same file name and would overwrite each other's results",
                where=twice,
                fix="Score them into different folders",
            )
        if self.plans is None and any(file.suffix == CACHE for file in files):
            raise OpenPairError("metric caches hold no plans", where="--plans", fix="Give a file of plans (.npz)")

    def _scored(self, file: Path) -> list[dict[str, Any]]:
        """A row for each plan of a case or cache; arrays of a case go to ``out``."""
        from openpair.scoring import score_prepared

        scene, plans = self._cache(file) if file.suffix == CACHE else self._case(file)
        if self.out is not None and file.suffix == CASE:
            write_arrays(file, scene, plans, self.out, strict=self.strict)
        return score_rows(scene.token, score_prepared(scene, plans, strict=self.strict))

    def _case(self, file: Path) -> tuple[ScoringScene, NDArray[np.floating]]:
        from openpair.scoring import read_case
        from openpair.scoring.cases import scene_from_case

        arrays = read_case(file)
        if "trajs" not in arrays:
            raise OpenPairError("the case has no plans (array 'trajs')", where=file, fix="Give a case with plans")
        return scene_from_case(arrays, Protocol(self.protocol), token=file.stem), arrays["trajs"]

    def _cache(self, file: Path) -> tuple[ScoringScene, NDArray[np.floating]]:
        from openpair.datasets.navsim.metric_cache import read_metric_cache
        from openpair.evaluation.plans_file import read_plans

        assert self.plans is not None
        scene = read_metric_cache(file)
        return scene, read_plans(self.plans).plan_of(scene.token)[None]


def write_arrays(
    case: Path, scene: ScoringScene, plans: NDArray[np.floating], out: Path, *, strict: bool = False
) -> None:
    """Write the arrays of a case under the golden names, whole or not at all."""
    from openpair.scoring.golden_arrays import golden_arrays

    target = out / case.name
    if target.resolve() == case.resolve():
        raise OpenPairError("the result would overwrite the case itself", where=case, fix="Choose another folder")
    results = golden_arrays(scene, plans, strict=strict)
    with whole_file(target) as part, part.open("wb") as file:
        np.savez_compressed(file, **results)  # type: ignore[arg-type]


def score_rows(token: str, scores: PlanScores) -> list[dict[str, Any]]:
    """One row for each plan: token, number, score and sub-metrics in [0, 1]; None where undefined."""
    columns = {"score": scores.score, **scores.metrics}
    return [
        {"token": token, "plan": plan}
        | {name: None if np.isnan(values[plan]) else float(values[plan]) for name, values in columns.items()}
        for plan in range(len(scores))
    ]


def print_scores(rows: list[dict[str, Any]]) -> None:
    """Print a table, numbers in percent."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from openpair.datatypes.scores import SHORT_NAMES

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        table.add_column(SHORT_NAMES.get(name, name), justify="left" if name == "token" else "right", no_wrap=True)
    for row in rows:
        cells = ["-" if row.get(name) is None else f"{100 * row[name]:.1f}" for name in names[2:]]
        table.add_row(row["token"], str(row["plan"]), *cells)
    console = Console()
    console.print(table) if console.is_terminal else Console(width=1000).print(table)
