"""``openpair score``: score the plans of golden cases and write arrays under the golden names."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.files import whole_file

EXIT_SOME_FAILED = 3


@dataclass
class Score:
    """Score the plans of golden cases exactly as NAVSIM does.

    Each case (.npz with ``in_*`` arrays and ``trajs``) gives OUT_DIR/<case>.npz with ``out_*`` arrays. A case that
    cannot be scored is named on the terminal and leaves no file; the others are still scored (status 3), and where
    none could be scored the status is 2.
    """

    cases: tyro.conf.Positional[tuple[Path, ...]]
    """Case files (.npz)."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the results; made if it is not there."""

    protocol: Literal["v1.1", "v2.2"] = "v1.1"
    """v1.1 gives PDMS, v2.2 gives EPDMS."""

    strict: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Mend the original's slips (docs/scoring.md). Such scores are not to be compared with published ones."""

    def run(self) -> int:
        from rich.console import Console
        from rich.progress import track

        if not self.cases:
            raise OpenPairError("no case was given", fix="Name at least one case file (.npz)")
        names = [case.name for case in self.cases]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise OpenPairError(
                "two cases have the same file name and would overwrite each other's results",
                where=twice,
                fix="Score them into different folders",
            )
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OpenPairError(
                f"the output folder cannot be made ({error.strerror})", where=self.output, fix="Choose another folder"
            ) from error
        failed: list[OpenPairError] = []
        console = Console(stderr=True)
        for case in track(self.cases, "scoring", console=console, disable=not sys.stderr.isatty()):
            try:
                score_case(case, Protocol(self.protocol), self.output, strict=self.strict)
            except OpenPairError as error:
                failed.append(error)
        if len(failed) == 1 and len(self.cases) == 1:
            raise failed[0]
        for reason in failed:
            print(f"openpair score: {reason}", file=sys.stderr)
        done = len(self.cases) - len(failed)
        variant = f"{self.protocol}, strict" if self.strict else self.protocol
        print(f"{done} of {len(self.cases)} cases scored ({variant}) -> {self.output}")
        if failed:
            return EXIT_SOME_FAILED if done else 2
        return 0


def score_case(case: Path, protocol: Protocol, output: Path, *, strict: bool = False) -> None:
    """Score one case and write its result file whole or not at all."""
    from openpair.scoring import read_case
    from openpair.scoring.cases import scene_from_case
    from openpair.scoring.golden_arrays import golden_arrays

    arrays = read_case(case)
    if "trajs" not in arrays:
        raise OpenPairError("the case has no plans (array 'trajs')", where=case, fix="Give a golden case of the score")
    scene = scene_from_case(arrays, protocol, token=case.stem)
    results = golden_arrays(scene, arrays["trajs"], strict=strict)
    target = output / f"{case.stem}.npz"
    if target.resolve() == case.resolve():
        raise OpenPairError("the result would overwrite the case itself", where=case, fix="Choose another folder")
    with whole_file(target) as part, part.open("wb") as file:
        np.savez_compressed(file, **results)  # type: ignore[arg-type]
