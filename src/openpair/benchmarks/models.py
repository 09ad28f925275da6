"""``openpair bench models``: latency, training rate and operations of every network, on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openpair.kinds import network_kinds
from openpair.nn.inference_mode import InferenceMode


@dataclass
class BenchModels:
    """Measure the networks: latency per scene, operations, what each way to run them changes.

    Attributes:
        networks: which; all unless said.
        size: "published" or "small" (the demo's).
        batch: scenes at once.
        modes: ways to run them. "plain": as trained; "optimised": batch norms folded, channels side by side, oneDNN;
            "bfloat16": autocast; "compiled": torch.compile (takes minutes, needs a C++ compiler on a CPU);
            "compiled-bfloat16": both.
        repeats: the fastest of so many runs counts.
        threads: CPU threads.
        device: "cpu", "cuda" or both; all that there are unless said.
        train: also measure a training step's forward and backward pass.
        targets: also measure what the released pipeline saves against its plain evaluation.
        report: Markdown file whose section "Models" is written anew with these figures.
    """

    networks: tuple[str, ...] = field(default_factory=network_kinds)
    size: Literal["published", "small"] = "published"
    batch: tuple[int, ...] = (1, 16)
    modes: tuple[InferenceMode, ...] = ("plain", "optimised")
    repeats: int = 3
    threads: int = 1
    device: tuple[Literal["cpu", "cuda"], ...] = ()
    train: bool = False
    targets: bool = True
    report: Path | None = None

    def run(self) -> int:
        """Print the tables; write the report."""
        from openpair.benchmarks.models_figures import run

        run(self)
        return 0
