"""``openpair bench``: measure speed. Each benchmark is a dataclass in a module of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from openpair.cli.bench_data import BenchData
from openpair.cli.bench_models import BenchModels
from openpair.cli.bench_navtrain import BenchNavtrain
from openpair.cli.bench_samplers import BenchSamplers
from openpair.cli.bench_score import BenchScore
from openpair.cli.bench_sensors import BenchSensors
from openpair.cli.bench_store import BenchStore

Benchmark = (
    Annotated[BenchScore, tyro.conf.subcommand("score", description=BenchScore.__doc__, prefix_name=False)]
    | Annotated[BenchStore, tyro.conf.subcommand("store", description=BenchStore.__doc__, prefix_name=False)]
    | Annotated[BenchData, tyro.conf.subcommand("data", description=BenchData.__doc__, prefix_name=False)]
    | Annotated[BenchNavtrain, tyro.conf.subcommand("navtrain", description=BenchNavtrain.__doc__, prefix_name=False)]
    | Annotated[BenchModels, tyro.conf.subcommand("models", description=BenchModels.__doc__, prefix_name=False)]
    | Annotated[BenchSamplers, tyro.conf.subcommand("samplers", description=BenchSamplers.__doc__, prefix_name=False)]
    | Annotated[BenchSensors, tyro.conf.subcommand("sensors", description=BenchSensors.__doc__, prefix_name=False)]
)
"""One entry a benchmark."""


@dataclass
class Bench:
    """Measure speed on this machine."""

    benchmark: Annotated[Benchmark, tyro.conf.arg(name="")]

    def run(self) -> int:
        return self.benchmark.run()
