"""Figures of ``openpair bench models``: every network run in every way, and the tables."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from openpair.benchmarks.models_targets import Target, markdown, measure_targets, replace_section
from openpair.benchmarks.networks import count_operations, example_inputs, fresh_network
from openpair.errors import OpenPairError
from openpair.nn.inference import prepared_for_inference
from openpair.nn.inference_mode import InferenceMode

if TYPE_CHECKING:
    from openpair.benchmarks.models import BenchModels

MAIN_OUTPUTS = ("best_trajectory", "trajectory", "selected", "sim_logits")
"""What a network is for: plans [m, rad] or values of candidates. The first that it has is compared."""


@dataclass(frozen=True)
class Row:
    """One network, run one way.

    Attributes:
        network, device, batch, mode: what was run, where, how many scenes at once, how.
        parameters: of the network.
        gflop: operations per scene [1e9], as the plain network does them.
        seconds: per scene.
        difference: greatest difference of the main output from the plain network's.
        training_rate: scenes per second of forward and backward passes; None where not measured.
    """

    network: str
    device: str
    batch: int
    mode: InferenceMode
    parameters: int
    gflop: float
    seconds: float
    difference: float
    training_rate: float | None

    def cells(self) -> tuple[str, ...]:
        """As text, in the order of :data:`HEADINGS`."""
        rate = "" if self.training_rate is None else f"{self.training_rate:.1f}"
        what = (self.network, f"{self.parameters / 1e6:.1f} M", self.device, str(self.batch), self.mode)
        return (*what, f"{self.gflop:.1f}", f"{self.seconds * 1e3:.1f}", f"{self.difference:.1e}", rate)


WIDTH = 110
"""Narrower tables would cut figures short."""

HEADINGS = ("network", "parameters", "device", "batch", "mode", "GFLOP / scene", "ms / scene", "error", "training / s")


def run(bench: BenchModels) -> None:
    """Print the tables; write the report."""
    torch.set_num_threads(bench.threads)
    if bench.report is not None and not bench.targets:
        raise OpenPairError("a report holds the targets", where="--report", fix="leave --no-targets out")
    rows = measure(bench)
    console = Console(width=max(WIDTH, Console().width))
    console.print(_rows_table(rows, f"{bench.size} networks, {bench.threads} thread(s)"))
    if bench.targets:
        targets = {device: measure_targets(bench.size, device, _fastest_on(bench, device)) for device in devices(bench)}
        for device, found in targets.items():
            console.print(_targets_table(found, device))
        if bench.report is not None:
            text = bench.report.read_text() if bench.report.exists() else "# Performance\n"
            bench.report.write_text(replace_section(text, report_section(bench, rows, targets)))


def devices(bench: BenchModels) -> tuple[str, ...]:
    """Where to measure. Raises OpenPairError for a device that is absent."""
    there = ("cpu", *(("cuda",) if torch.cuda.is_available() else ()))
    for device in bench.device:
        if device not in there:
            raise OpenPairError("there is no CUDA device", where="--device", fix="use --device cpu")
    return bench.device or there


def measure(bench: BenchModels) -> list[Row]:
    """A row per network, device, batch size and mode. Raises OpenPairError for unknown networks."""
    out: list[Row] = []
    for kind in bench.networks:
        network = fresh_network(kind, bench.size)
        if network is None:
            continue
        for device in devices(bench):
            out.extend(_rows_on(bench, kind, network.to(device), device))
    return out


def _rows_on(bench: BenchModels, kind: str, network: nn.Module, device: str) -> list[Row]:
    fastest = _fastest_on(bench, device)
    parameters = sum(p.numel() for p in network.parameters())
    prepared = {mode: prepared_for_inference(network, mode) for mode in bench.modes}
    out = []
    for batch in bench.batch:
        inputs = {name: value.to(device) for name, value in example_inputs(network, batch).items()}
        operations, expected = count_operations(lambda inputs=inputs: network(**inputs))  # type: ignore[misc]
        for mode, ready in prepared.items():
            with torch.no_grad():
                error = difference(ready(**inputs), expected)
                seconds = fastest(lambda ready=ready, inputs=inputs: ready(**inputs)) / batch  # type: ignore[misc]
            rate = batch / _train(network, inputs, fastest) if bench.train and mode == "plain" else None
            out.append(Row(kind, device, batch, mode, parameters, operations / batch / 1e9, seconds, error, rate))
    return out


def _train(network: nn.Module, inputs: dict[str, Tensor], fastest: Callable[[Callable[[], Any]], float]) -> float:
    network.train()

    def step() -> None:
        outputs = network(**inputs)
        floating = [v.float().square().mean() for v in outputs.values() if v.requires_grad]
        cast(Tensor, sum(floating)).backward()
        network.zero_grad(set_to_none=True)

    seconds = fastest(step)
    network.eval()
    return seconds


def _fastest_on(bench: BenchModels, device: str) -> Callable[[Callable[[], Any]], float]:
    """Seconds of the fastest of some calls, after one that warms up.

    With one thread on the CPU the process's own time counts, which other programs hardly lengthen.
    """
    clock = time.process_time if device == "cpu" and bench.threads == 1 else time.perf_counter

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def fastest(call: Callable[[], Any]) -> float:
        call()
        best = float("inf")
        for _ in range(bench.repeats):
            wait()
            start = clock()
            call()
            wait()
            best = min(best, clock() - start)
        return best

    return fastest


def difference(outputs: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Greatest absolute difference of the main output."""
    name = next(name for name in MAIN_OUTPUTS if name in expected)
    return float((outputs[name].float() - expected[name].float()).abs().max())


def report_section(bench: BenchModels, rows: Sequence[Row], targets: dict[str, list[Target]]) -> str:
    """The section of docs/performance.md."""
    parts = [
        "## Models",
        "",
        f"`openpair bench models {_options(bench)}` writes this section. {bench.size.capitalize()} sizes, random "
        f"parameters, {bench.threads} CPU thread(s), {processor()}, torch {torch.__version__.split('+')[0]}.",
        "",
        "What evaluating the released pipeline cleverly saves: the same graphs with the same parameters, evaluated "
        "plainly and as OpenPaIR evaluates them, one after the other in one process.",
        "",
    ]
    for device, found in targets.items():
        parts.append(markdown(found, f"One scene, {device}:"))
    parts += [
        "Each network alone. Error: greatest difference of its main output (plans in m and rad, values of candidates "
        "in logits) from the plain network's. DiffusionDrive's is the likeliest of 20 plans: where two are about as "
        "likely, bfloat16 may choose the other, metres away. Random parameters; with others errors are others.",
        "",
        f"| {' | '.join(HEADINGS[: 9 if bench.train else 8])} |",
        "|---|" + "---:|" * (8 if bench.train else 7),
        *(f"| {' | '.join(row.cells()[: 9 if bench.train else 8])} |" for row in rows),
    ]
    return "\n".join(parts) + "\n"


def _options(bench: BenchModels) -> str:
    """Options that a reader has to give to get these figures."""
    chosen = {"networks": bench.networks, "batch": bench.batch, "modes": bench.modes, "device": bench.device}
    usual = type(bench)()
    given = [f"--{name} {' '.join(map(str, v))} " for name, v in chosen.items() if v != getattr(usual, name)]
    return f"{''.join(given)}--report docs/performance.md"


def processor() -> str:
    """The CPU in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _rows_table(rows: Sequence[Row], title: str) -> Table:
    table = Table(title=title)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("network", "device", "mode") else "right")
    for row in rows:
        table.add_row(*row.cells())
    return table


def _targets_table(targets: list[Target], device: str) -> Table:
    table = Table(title=f"the released pipeline against its plain evaluation, one scene, {device}")
    for heading in ("part", "plainly, ms", "ours, ms", "ratio", "target", "GFLOP ratio", "difference"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for t in targets:
        figures = (f"{t.plain_s * 1e3:.1f}", f"{t.ours_s * 1e3:.1f}", f"{t.ratio:.2f}", f"{t.limit:.2f}")
        table.add_row(t.what, *figures, f"{t.ours_flops / t.plain_flops:.2f}", f"{t.difference:.1e}")
    return table
