"""The corrector: it starts as the root itself, and what it learns moves plans by four smooth changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sampler_inputs import ROOT, features
from torch import nn

from openpair.errors import OpenPairError
from openpair.nn.trunk_config import VectorTrunkConfig
from openpair.samplers.base import SamplerContext
from openpair.samplers.corrector import Corrector
from openpair.samplers.corrector_config import CorrectorConfig
from openpair.samplers.perturbations import moved


def known(corrector: Corrector) -> SamplerContext:
    """What the corrector knows, with a judgement of its own kind."""
    return replace(corrector.encode(features()), judgement=lambda plans: plans[:, -1] / 10)


@pytest.fixture(scope="module")
def corrector() -> Corrector:
    torch.manual_seed(0)
    return Corrector(replace(CorrectorConfig.small(), judged=3)).eval()


def test_untrained_it_corrects_nothing(corrector: Corrector) -> None:
    leaves = corrector.mean_leaves(known(corrector), ROOT)
    assert leaves.shape == (2, 1, 8, 3)
    torch.testing.assert_close(leaves[:, 0], ROOT, atol=0.02, rtol=0.0)


def test_draws_depend_on_the_generator_alone_and_gradient_reaches_the_encoder(corrector: Corrector) -> None:
    context = known(corrector)
    draws = [
        corrector.expand(context, ROOT, num_samples=3, sigma=0.5, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    ]
    tree = draws[0]
    assert tree.leaves.shape == (2, 3, 1, 8, 3) and tree.actions.shape == (2, 3, 1, 4)
    assert torch.equal(tree.leaves, draws[1].leaves) and not tree.leaves.requires_grad
    assert corrector.log_prob(tree.mean, tree.actions, 0.5).shape == (2, 3, 1)
    assert torch.equal(corrector.evaluate_actions(context, tree), tree.mean)
    corrector.log_prob(tree.mean, tree.actions, 0.5).sum().backward()
    encoder = [p.grad for name, p in corrector.named_parameters() if name.startswith("_backbone")]
    assert any(grad is not None and bool(grad.abs().max() > 0) for grad in encoder)
    corrector.zero_grad()


def test_a_share_of_the_correction_is_a_share_of_the_action() -> None:
    torch.manual_seed(0)
    corrector = Corrector(replace(CorrectorConfig.small(), judged=3)).eval()
    last = corrector.action_head[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([-1.0, 0.5, 1.0, 0.0]))
    context = known(corrector)
    action = corrector.expand(context, ROOT).mean[:, 0]
    half = corrector.mean_leaves(context, ROOT, strength=0.5)[:, 0]
    torch.testing.assert_close(half, moved(ROOT, 0.5 * action, corrector.config.unit)[:, 0])
    torch.testing.assert_close(corrector.mean_leaves(context, ROOT, strength=0.0)[:, 0], ROOT, atol=1e-4, rtol=0.0)
    assert float(half[0, -1, 0]) < float(ROOT[0, -1, 0])  # it brakes early


def test_its_decoder_matches_its_encoder() -> None:
    config = CorrectorConfig.of_trunk(VectorTrunkConfig(), judged=3)
    assert (config.heads, config.d_ffn) == (VectorTrunkConfig().heads, VectorTrunkConfig().d_ffn)
    assert config.kind == "corrector"


def test_it_asks_for_a_judgement(corrector: Corrector) -> None:
    with pytest.raises(OpenPairError, match="what a reward model thinks"):
        corrector.mean_leaves(corrector.encode(features()), ROOT)
