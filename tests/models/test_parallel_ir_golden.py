"""The published tree sampler, against golden outputs."""

from __future__ import annotations

import model_goldens as golden
import pytest
import torch

from openpair.samplers.parallel_ir import ALL_CODES, PUBLISHED_CODES, ParallelIR, ParallelIRConfig

pytestmark = golden.needs_goldens


@pytest.fixture(scope="module")
def network() -> ParallelIR:
    module = ParallelIR(ParallelIRConfig.published()).eval()
    module.load_state_dict(golden.seeded_state("parallel_ir"), strict=True)
    return module


def test_parameters_have_the_published_names_and_shapes(network: ParallelIR) -> None:
    golden.assert_same_state_names(network, "parallel_ir")


def test_kept_leaves_are_the_published_ones() -> None:
    assert golden.read_json("parallel_ir_codes.json")["selected_codes_in_order"] == list(PUBLISHED_CODES)


@torch.no_grad()
def test_leaves_and_scores_are_the_golden_ones(network: ParallelIR) -> None:
    root = torch.from_numpy(golden.recipe().root_paths())
    context = network.encode(golden.inputs())
    golden.assert_close("parallel_ir", "query_out", context.tokens)
    golden.assert_close("parallel_ir", "bev_semantic_map", context.perception["bev_semantic_map"][:, :, ::8, ::8])

    kept = network.grow(context, root)
    golden.assert_close("parallel_ir", "selected", kept.tree.leaves[:, 0])
    assert sum(len(level.parents) for level in network.levels) == 23

    network.set_codes(ALL_CODES)
    full = network.grow(context, root)
    golden.assert_close("parallel_ir", "all_leaves", full.tree.leaves[:, 0])
    for depth, logits in enumerate(full.logits):
        golden.assert_close("parallel_ir", f"logits_level{depth}", logits[:, 0])
    network.set_codes(PUBLISHED_CODES)
