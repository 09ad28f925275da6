"""``openpair bench models``: latency, training rate and operations of every network, on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from openpair.checkpoints import NETWORKS, build_network
from openpair.datatypes.bev_grid import BevGrid
from openpair.errors import OpenPairError
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler
from openpair.samplers.parallel_ir import ALL_CODES, ParallelIR

NUM_CANDIDATES = 16


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
    """

    networks: tuple[str, ...] = field(default_factory=lambda: tuple(NETWORKS))
    size: Literal["published", "small"] = "published"
    batch: tuple[int, ...] = (1,)
    repeats: int = 3
    threads: int = 1
    device: str = "cpu"
    train: bool = False

    def run(self) -> int:
        """Print the table."""
        torch.set_num_threads(self.threads)
        table = Table(title=f"{self.size} networks, {self.device}, {self.threads} thread(s)")
        for heading in ("network", "parameters", "batch", "GFLOP / scene", "ms / scene", "training scenes / s"):
            table.add_column(heading, justify="left" if heading == "network" else "right")
        for row in self.rows():
            table.add_row(*row)
        Console().print(table)
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
            if isinstance(network, ParallelIR):
                out.append(self._full_tree(network))
        return out

    def _infer(self, network: torch.nn.Module, inputs: dict[str, Tensor]) -> tuple[float, float]:
        network.eval()
        counter = FlopCounterMode(display=False)
        with counter:
            network(**inputs)
        with torch.no_grad():
            return float(counter.get_total_flops()), self._fastest(lambda: network(**inputs))

    def _full_tree(self, network: ParallelIR) -> tuple[str, ...]:
        """The tree alone with all 85 parents, against the parents that its leaves need."""
        inputs = {k: v.to(self.device) for k, v in example_inputs(network, 1).items()}
        root = inputs.pop("expert_feature")
        with torch.no_grad():
            network.eval()
            context = network.encode(inputs)
            needed = self._fastest(lambda: network.grow(context, root))
            codes = network.config.codes
            network.set_codes(ALL_CODES)
            every = self._fastest(lambda: network.grow(context, root))
            network.set_codes(codes)
        return ("  its tree alone", "", "1", "", f"{needed * 1e3:.1f}", f"all 256 leaves: {every * 1e3:.1f} ms")

    def _train(self, network: torch.nn.Module, inputs: dict[str, Tensor]) -> float:
        network.train()

        def step() -> None:
            outputs = network(**inputs)
            floating = [v.float().square().mean() for v in outputs.values() if v.requires_grad]
            cast(Tensor, sum(floating)).backward()
            network.zero_grad(set_to_none=True)

        return self._fastest(step)

    def _fastest(self, call: Callable[[], Any]) -> float:
        """Seconds of the fastest of some calls, after one that warms up."""
        call()
        best = float("inf")
        for _ in range(self.repeats):
            self._wait()
            start = time.perf_counter()
            call()
            self._wait()
            best = min(best, time.perf_counter() - start)
        return best

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def fresh_network(kind: str, size: str) -> torch.nn.Module | None:
    """A network with random parameters; None where a kind has no such size."""
    if kind not in NETWORKS:
        raise OpenPairError(
            f"there is no network '{kind}'", where="--networks", fix=f"choose from {', '.join(NETWORKS)}"
        )
    preset = getattr(NETWORKS[kind][1], size, None)
    return None if preset is None else build_network(kind, preset())


def example_inputs(network: torch.nn.Module, batch: int) -> dict[str, Tensor]:
    """Random inputs of the right shapes, by name."""
    config: Any = network.config
    backbone = config.trunk.backbone if hasattr(config, "trunk") else config.backbone
    grid: BevGrid = backbone.lidar_grid
    height = {1: 64, 2: 128}[backbone.stem_stride] if hasattr(backbone, "stem_stride") else 256
    inputs = {
        "camera_feature": torch.rand(batch, 3, height, 4 * height),
        "lidar_feature": torch.rand(batch, backbone.lidar_channels, grid.rows, grid.columns),
        "status_feature": torch.rand(batch, 8),
    }
    plan = torch.stack((torch.arange(1, 9) * 3.0, torch.zeros(8), torch.zeros(8)), dim=-1)
    if isinstance(network, Sampler):
        inputs["expert_feature"] = plan.expand(batch, -1, -1)
    elif isinstance(network, RewardModel):
        inputs["agent_trajectory"] = plan.expand(batch, NUM_CANDIDATES, -1, -1)
    else:
        assert isinstance(network, ImitationPolicy)
    return inputs
