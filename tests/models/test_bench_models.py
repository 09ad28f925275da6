"""The benchmark of the networks, and what it claims: the same results with less work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from openpair.checkpoints import NETWORKS
from openpair.cli.bench_models import BenchModels
from openpair.cli.bench_models_targets import measure_targets, replace_section, tree_leaves
from openpair.errors import OpenPairError
from openpair.samplers.parallel_ir import ParallelIR, ParallelIRConfig


def test_every_small_network_is_measured() -> None:
    rows = BenchModels(size="small", repeats=1, train=True).rows()
    assert [row[0] for row in rows] == list(NETWORKS)
    assert all(float(row[3]) > 0 and float(row[4]) > 0 and float(row[5]) > 0 for row in rows)


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(OpenPairError, match="no network 'vgg'"):
        BenchModels(networks=("vgg",)).rows()


def test_less_work_gives_the_same_results() -> None:
    """At full size; operations are counted, since time depends on what else the machine does."""
    tree, head, pipeline = measure_targets("published", "cpu", lambda call: 1.0)
    assert tree.ours_flops <= 0.35 * tree.plain_flops
    assert head.ours_flops <= 0.6 * head.plain_flops
    assert pipeline.ours_flops < 0.95 * pipeline.plain_flops  # nine tenths are the three encoders
    assert tree.difference < 1e-4 and head.difference < 1e-4 and pipeline.difference < 1e-4


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
