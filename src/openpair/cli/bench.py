"""``openpair bench``: measure speed. Each benchmark is a dataclass in a module of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from openpair.benchmarks.data import BenchData
from openpair.benchmarks.models import BenchModels
from openpair.benchmarks.navtrain import BenchNavtrain
from openpair.benchmarks.samplers import BenchSamplers
from openpair.benchmarks.score import BenchScore
from openpair.benchmarks.sensors import BenchSensors
from openpair.benchmarks.startup import BenchStartup
from openpair.benchmarks.store import BenchStore
from openpair.benchmarks.view import BenchView

Benchmark = (
    Annotated[BenchScore, tyro.conf.subcommand("score", description=BenchScore.__doc__, prefix_name=False)]
    | Annotated[BenchStore, tyro.conf.subcommand("store", description=BenchStore.__doc__, prefix_name=False)]
    | Annotated[BenchData, tyro.conf.subcommand("data", description=BenchData.__doc__, prefix_name=False)]
    | Annotated[BenchNavtrain, tyro.conf.subcommand("navtrain", description=BenchNavtrain.__doc__, prefix_name=False)]
    | Annotated[BenchModels, tyro.conf.subcommand("models", description=BenchModels.__doc__, prefix_name=False)]
    | Annotated[BenchSamplers, tyro.conf.subcommand("samplers", description=BenchSamplers.__doc__, prefix_name=False)]
    | Annotated[BenchSensors, tyro.conf.subcommand("sensors", description=BenchSensors.__doc__, prefix_name=False)]
    | Annotated[BenchView, tyro.conf.subcommand("view", description=BenchView.__doc__, prefix_name=False)]
    | Annotated[BenchStartup, tyro.conf.subcommand("startup", description=BenchStartup.__doc__, prefix_name=False)]
)
"""One entry a benchmark."""


@dataclass
class Bench:
    """Measure speed on this machine."""

    benchmark: Annotated[Benchmark, tyro.conf.arg(name="")]

    def run(self) -> int:
        return self.benchmark.run()
