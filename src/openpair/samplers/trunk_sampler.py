"""What samplers with a perception trunk of their own have in common: they see alike, and differ in how they grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from openpair.datatypes.columns import NUM_POSES
from openpair.nn.trunk import PerceptionTrunk
from openpair.samplers.base import Sampler, SamplerContext

PLAN_NUMBERS = 4 * NUM_POSES
"""A plan as networks see it: x, y, cosine and sine of heading at each pose."""


def seen_of_plan(context: SamplerContext, plan: Tensor) -> Tensor:
    """Plans (B, 8, 3) -> (B, :data:`PLAN_NUMBERS` + 8 * channels of the ground + STATUS_SIZE): the plan, what lies
    along it, and the ego's status."""
    assert context.ground is not None
    heading = plan[..., 2]
    numbers = torch.stack((plan[..., 0] / 30, plan[..., 1] / 10, heading.cos(), heading.sin()), dim=-1)
    seen = context.ground.look_along(plan[:, None]).flatten(1)
    return torch.cat((numbers.flatten(1), seen, context.status.float()), dim=-1)


class TrunkSampler(PerceptionTrunk, Sampler):
    """Base of samplers whose configuration has ``trunk`` and ``aux_perception``.

    Attributes:
        looks_up: whether the sampler looks at the ground at its poses.
    """

    looks_up: ClassVar[bool] = True

    def encode(self, features: Mapping[str, Tensor], *, perceive: bool = True) -> SamplerContext:
        output = self.trunk(features)
        perception = self.perceive(output) if perceive and self.config.aux_perception else {}
        ground = self.ground(output) if self.looks_up else None
        return SamplerContext(
            output.queries.float(), features["status_feature"], perception, ground, output.queries_there
        )

    def forward(self, *, expert_feature: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Features and ``expert_feature`` (B, 8, 3), the root -> ``selected`` (B, L, 8, 3), ``root`` and perception."""
        context = self.encode(features)
        tree = self.expand(context, expert_feature)
        return {"selected": tree.leaves[:, 0], "root": tree.root, **context.perception}

    def perception_loss(self, context: SamplerContext, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not context.perception:
            return super().perception_loss(context, targets)
        terms = self.perception_terms(context.perception, targets)
        return {"loss": terms.pop("perception"), **terms}
