"""A sampler with a single leaf, which starts as the root itself: it learns how to correct a plan.

It sees the scene along the root, and what a reward model thinks of the root and of its neighbours. Its actions are the
four smooth changes that plans are moved by elsewhere too (:func:`openpair.samplers.perturbations.shift`), so that what
it tries can be driven.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from openpair.datatypes.columns import NUM_POSES
from openpair.datatypes.tree import TrajectoryTree, flat_layout
from openpair.errors import OpenPairError
from openpair.nn.sibling_decoder import SiblingDecoder
from openpair.nn.trunk import STATUS_SIZE
from openpair.samplers.base import SamplerContext
from openpair.samplers.corrector_config import CorrectorConfig
from openpair.samplers.perturbations import NUM_CHANGES, moved
from openpair.samplers.trunk_sampler import PLAN_NUMBERS, TrunkSampler, seen_of_plan

START_SPREAD = 3e-4
"""Standard deviation of the last layer's first weights: an untrained corrector changes nothing that matters."""


class Corrector(TrunkSampler):
    """Actions (A = 4) are early and late acceleration, lateral displacement at the end and in the middle, in units of
    ``unit``."""

    kind: ClassVar[str] = "corrector"
    config_class = CorrectorConfig
    has_strength: ClassVar[bool] = True

    def __init__(self, config: CorrectorConfig | None = None) -> None:
        own = config or CorrectorConfig()
        super().__init__(own.trunk)
        self.config = own
        d = own.trunk.d_model
        seen = NUM_POSES * own.trunk.ground_channels
        self.root_encoder = nn.Sequential(nn.Linear(PLAN_NUMBERS + seen + STATUS_SIZE, d), nn.ReLU(), nn.Linear(d, d))
        self.judgement_encoder = nn.Sequential(nn.Linear(own.judged, own.hidden), nn.ReLU(), nn.Linear(own.hidden, d))
        self.decoder = SiblingDecoder(d, own.heads, own.d_ffn, own.layers, 0.0)
        self.action_head = nn.Sequential(nn.Linear(d, own.hidden), nn.ReLU(), nn.Linear(own.hidden, NUM_CHANGES))
        last = self.action_head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=START_SPREAD)
        nn.init.zeros_(last.bias)
        self.layout = flat_layout(1)
        self.register_buffer("action_mask", torch.ones(1, NUM_CHANGES, dtype=torch.bool), persistent=False)
        self.register_buffer("prior_mean", torch.zeros(1, NUM_CHANGES), persistent=False)

    def forward(self, *, expert_feature: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """As of every sampler; ``judged`` (B, J) among the features is the judgement of the roots."""
        judged = features.pop("judged")
        context = replace(self.encode(features), judgement=lambda _: judged)
        tree = self.expand(context, expert_feature)
        return {"selected": tree.leaves[:, 0], "root": tree.root, "mean": tree.mean, **context.perception}

    def expand(
        self,
        context: SamplerContext,
        root: Tensor,
        *,
        num_samples: int = 1,
        sigma: float = 0.0,
        generator: torch.Generator | None = None,
        actions: Tensor | None = None,
        strength: float = 1.0,
    ) -> TrajectoryTree:
        root = root.detach()
        mean = strength * self._mean(context, root)[:, None].expand(-1, num_samples, -1, -1)
        if actions is None:
            actions = mean + self.draw_noise(root, num_samples, sigma, generator)
        taken = actions.detach().float()
        with torch.no_grad():
            leaves = self.leaves_of(root, taken)
        return TrajectoryTree(self.layout, root, leaves, taken, mean)

    def mean_leaves(self, context: SamplerContext, root: Tensor, *, strength: float = 1.0) -> Tensor:
        return self.expand(context, root, strength=strength).leaves[:, 0]

    def leaves_of(self, root: Tensor, actions: Tensor) -> Tensor:
        return moved(root, actions[:, :, 0], self.config.unit)[:, :, None]

    def _mean(self, context: SamplerContext, root: Tensor) -> Tensor:
        """Roots (B, 8, 3) -> mean actions (B, 1, 4)."""
        if context.judgement is None:
            raise OpenPairError("a corrector reads what a reward model thinks of plans", where="corrector")
        state = self.root_encoder(seen_of_plan(context, root)) + self.judgement_encoder(context.judgement(root))
        known = self.decoder.project_context(context.tokens, context.tokens_there)
        mean: Tensor = self.action_head(self.decoder(state[:, None, None], known)[:, 0])
        return mean
