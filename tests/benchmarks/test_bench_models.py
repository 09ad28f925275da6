"""The benchmark of the networks, and what it claims: the same results with less work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from openpair.benchmarks.models import BenchModels
from openpair.benchmarks.models_figures import measure, report_section
from openpair.benchmarks.models_targets import measure_targets, replace_section, tree_leaves
from openpair.benchmarks.networks import count_operations
from openpair.errors import OpenPairError
from openpair.kinds import network_kinds
from openpair.samplers.parallel_ir import ParallelIR, ParallelIRConfig


def test_every_small_network_is_measured_in_every_mode() -> None:
    bench = BenchModels(size="small", batch=(1, 2), repeats=1, device=("cpu",))
    rows = measure(bench)
    assert list(dict.fromkeys(row.network for row in rows)) == list(network_kinds())
    assert {(row.batch, row.mode) for row in rows} == {(b, m) for b in (1, 2) for m in ("plain", "optimised")}
    assert all(row.gflop > 0 and row.seconds > 0 and row.training_rate is None for row in rows)
    assert max(row.difference for row in rows) < 1e-4
    section = report_section(bench, rows, {})
    assert section.startswith("## Models") and all(f"| {kind} |" in section for kind in network_kinds())


def test_training_is_measured_on_request() -> None:
    (row,) = measure(BenchModels(networks=("transfuser",), size="small", batch=(1,), modes=("plain",), train=True))
    assert row.training_rate is not None and row.training_rate > 0


def test_unknown_networks_and_absent_devices_are_refused() -> None:
    with pytest.raises(OpenPairError, match="no network 'vgg'"):
        measure(BenchModels(networks=("vgg",)))
    if not torch.cuda.is_available():
        with pytest.raises(OpenPairError, match="no CUDA device"):
            measure(BenchModels(device=("cuda",)))


def test_operations_are_counted_by_hand() -> None:
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
    attention = torch.nn.MultiheadAttention(16, 2, batch_first=True).eval()
    x = torch.rand(1, 5, 16)
    operations, out = count_operations(lambda: convolution(torch.rand(2, 3, 4, 6)))
    assert operations == 2 * (2 * 8 * 4 * 6) * (3 * 3 * 3) and out.shape == (2, 8, 4, 6)
    projections, products = 2 * 5 * 16 * (3 * 16 + 16), 2 * 2 * (2 * 5 * 5 * 8)
    assert count_operations(lambda: attention(x, x, x, need_weights=False))[0] == projections + products


def test_less_work_gives_the_same_results() -> None:
    """At full size; operations are counted, since time depends on what else the machine does."""
    tree, head, pipeline = measure_targets("published", "cpu", lambda call: 1.0)
    assert tree.ours_flops <= 0.35 * tree.plain_flops
    assert head.ours_flops <= 0.6 * head.plain_flops
    assert pipeline.ours_flops < 0.95 * pipeline.plain_flops  # nine tenths are the three encoders
    assert tree.difference < 1e-4 and head.difference < 1e-4 and pipeline.difference < 1e-5


def test_the_plain_tree_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    tree = ParallelIR(ParallelIRConfig.small()).eval()
    before = (tree.branch_tree.shared_attn, tree.layout.num_leaves)
    features = {
        "camera_feature": torch.rand(1, 3, 64, 256),
        "lidar_feature": torch.rand(1, 1, 128, 128),
        "status_feature": torch.rand(1, 8),
    }
    with torch.no_grad():
        tree_leaves(tree, tree.encode(features), torch.rand(1, 8, 3), plain=True)
    assert (tree.branch_tree.shared_attn, tree.layout.num_leaves) == before


def test_the_report_is_written_into_its_section_alone(tmp_path: Path) -> None:
    text = "# Performance\n\n## Scoring\n\nfast\n\n## Models\n\nold\n\n## Sensors\n\nfast, too\n"
    new = replace_section(text, "## Models\n\nnew\n")
    assert new == text.replace("old", "new")
    assert replace_section(new, "## Models\n\nnew\n") == new
    assert replace_section("# Performance\n\n## Scoring\n", "## Models\n\nnew\n").endswith(
        "## Scoring\n\n## Models\n\nnew\n"
    )
    with pytest.raises(OpenPairError, match="a report holds the targets"):
        BenchModels(targets=False, report=tmp_path / "p.md").run()
