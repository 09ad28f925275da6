"""``openpair reproduce``: the comparison of schemes, from nothing to docs/results.md."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Part = Literal["train", "ablate", "validate", "plan", "drive", "score", "report"]
PARTS: tuple[Part, ...] = ("train", "ablate", "validate", "plan", "drive", "score", "report")


@dataclass(frozen=True)
class Reproduce:
    """Train every scheme on the embedded world for several seeds, choose on the validation towns, judge on the test
    towns, and write the tables.

    Schemes: imitation alone; with a reward model over simple neighbours of its plan (the fair control) and over an
    untrained tree; fine-tuned by reinforcement, with and without a regulariser, and by turns; and in parallel (PaIR).
    The same trees and reward model also serve a second imitation policy, without retraining.

    Run the same command again to go on: what is trained or scored is kept.

    Writes RUN/seed-N/... (networks, and in planner.json how they plan: 'openpair eval --agent RUN/seed-N' drives PaIR),
    DOCS/results.md, DOCS/results.json and figures in DOCS/images.
    """

    out: Path = Path("runs/reproduce")
    """Run folder: data, networks, plans, scores."""

    docs: Path | None = None
    """Folder for results.md and results.json; default: OUT."""

    size: str = "world"
    """What is run: world (the published comparison; hours on 2 cores), known (networks that read the truth, trained
    three times as long; an hour a seed), gpu (sensors, ten times as long, with a corrector; for a GPU) or small (a
    minute; its figures mean nothing)."""

    budget: int | None = None
    """Train so many times as long as the demo; default: 1 (world), 3 (known)."""

    choices: Path | None = None
    """choices.json of another reproduction: plan as it does instead of choosing anew on the validation towns, and of
    the sequential schemes train the one that it chose."""

    trainings: tuple[Path, ...] = ()
    """Finished run folders of other budgets: the page shows how the answer depends on the length of training."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the experiment."""

    parts: tuple[Part, ...] = PARTS
    """Parts to do, in this order: train, ablate, validate, plan, drive (closed loop), score, report."""

    workers: int = 0
    """Processes; 0 means one per CPU core. Never changes a result."""

    devices: tuple[str, ...] = ()
    """Where to train; default: every CUDA device, else the CPU. Another kind of device gives other last digits."""

    def run(self) -> int:
        """Do the parts; say where the results are."""
        from openpair.files import locked
        from openpair.progress import ProgressView
        from openpair.reproduction.choices import Choices
        from openpair.reproduction.driver import Reproduction, all_parts
        from openpair.reproduction.settings import reproduction
        from openpair.training.parallel import default_devices

        config = reproduction(self.size, self.budget)
        workers = self.workers or os.cpu_count() or 1
        chosen = None if self.choices is None else Choices.read(self.choices)
        with locked(self.out), ProgressView() as view:
            devices = self.devices or default_devices()
            task = Reproduction(config, self.out, self.seeds, workers, view.update, devices, chosen)
            all_parts(task, self.parts)
        if "report" in self.parts:
            from openpair.reproduction.page import write_results

            docs = self.docs or self.out
            known = config.experiment.features.known
            written = write_results(
                self.out,
                docs,
                seeds=self.seeds,
                network_input="known" if known else "sensors",
                trainings=self.trainings,
            )
            print(written.page)
        return 0
