"""``openpair bench models``: latency, training rate and operations of every network, on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from openpair.checkpoints import NETWORKS
from openpair.cli.bench_models_targets import Target, markdown, measure_targets, replace_section
from openpair.cli.bench_networks import example_inputs, fresh_network
from openpair.errors import OpenPairError


@dataclass
class BenchModels:
    """Measure the networks: latency per scene, training rate, operations.

    Attributes:
        networks: which; all unless said.
        size: "published" or "small" (the demo's).
        batch: scenes at once.
        repeats: the fastest of so many runs counts.
        threads: CPU threads.
        device: "cpu" or "cuda".
        train: also measure a training step's forward and backward pass (small networks only by default).
        targets: also measure what the released pipeline saves against its plain evaluation.
        report: Markdown file whose section "Models" is written anew with these figures.
    """

    networks: tuple[str, ...] = field(default_factory=lambda: tuple(NETWORKS))
    size: Literal["published", "small"] = "published"
    batch: tuple[int, ...] = (1,)
    repeats: int = 3
    threads: int = 1
    device: str = "cpu"
    train: bool = False
    targets: bool = True
    report: Path | None = None

    def run(self) -> int:
        """Print the tables; write the report."""
        torch.set_num_threads(self.threads)
        if self.report is not None and not self.targets:
            raise OpenPairError("a report holds the targets", where="--report", fix="leave --no-targets out")
        table = Table(title=f"{self.size} networks, {self.device}, {self.threads} thread(s)")
        for heading in ("network", "parameters", "batch", "GFLOP / scene", "ms / scene", "training scenes / s"):
            table.add_column(heading, justify="left" if heading == "network" else "right")
        for row in self.rows():
            table.add_row(*row)
        Console().print(table)
        if self.targets:
            targets = measure_targets(self.size, self.device, self._fastest)
            Console().print(_targets_table(targets))
            if self.report is not None:
                heading = f"{self.size.capitalize()} sizes, one scene, {self.device}, {self.threads} thread(s)"
                text = self.report.read_text() if self.report.exists() else "# Performance\n"
                self.report.write_text(replace_section(text, markdown(targets, heading)))
        return 0

    def rows(self) -> list[tuple[str, ...]]:
        """One row per network and batch size. Raises OpenPairError for unknown networks and absent devices."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise OpenPairError("there is no CUDA device", where="--device", fix="use --device cpu")
        out: list[tuple[str, ...]] = []
        for kind in self.networks:
            network = fresh_network(kind, self.size)
            if network is None:
                continue
            network = network.to(self.device)
            parameters = f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M"
            for batch in self.batch:
                inputs = {k: v.to(self.device) for k, v in example_inputs(network, batch).items()}
                flops, seconds = self._infer(network, inputs)
                trained = f"{batch / self._train(network, inputs):.1f}" if self.train else "-"
                out.append(
                    (
                        kind,
                        parameters,
                        str(batch),
                        f"{flops / batch / 1e9:.2f}",
                        f"{seconds / batch * 1e3:.1f}",
                        trained,
                    )
                )
        return out

    def _infer(self, network: torch.nn.Module, inputs: dict[str, Tensor]) -> tuple[float, float]:
        network.eval()
        counter = FlopCounterMode(display=False)
        with counter:
            network(**inputs)
        with torch.no_grad():
            return float(counter.get_total_flops()), self._fastest(lambda: network(**inputs))

    def _train(self, network: torch.nn.Module, inputs: dict[str, Tensor]) -> float:
        network.train()

        def step() -> None:
            outputs = network(**inputs)
            floating = [v.float().square().mean() for v in outputs.values() if v.requires_grad]
            cast(Tensor, sum(floating)).backward()
            network.zero_grad(set_to_none=True)

        return self._fastest(step)

    def _fastest(self, call: Callable[[], Any]) -> float:
        """Seconds of the fastest of some calls, after one that warms up.

        With one thread on the CPU the process's own time counts, which other programs do not lengthen.
        """
        clock = time.process_time if self.device == "cpu" and self.threads == 1 else time.perf_counter
        call()
        best = float("inf")
        for _ in range(self.repeats):
            self._wait()
            start = clock()
            call()
            self._wait()
            best = min(best, clock() - start)
        return best

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def _targets_table(targets: list[Target]) -> Table:
    table = Table(title="the released pipeline against its plain evaluation, one scene")
    for heading in ("part", "plainly, ms", "ours, ms", "ratio", "target", "GFLOP ratio", "difference"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for t in targets:
        figures = (f"{t.plain_s * 1e3:.1f}", f"{t.ours_s * 1e3:.1f}", f"{t.ratio:.2f}", f"{t.limit:.2f}")
        table.add_row(t.what, *figures, f"{t.ours_flops / t.plain_flops:.2f}", f"{t.difference:.1e}")
    return table
