"""A sampler without a tree: every leaf is predicted at once, for the ablation "what does the tree add?".

A set of learned queries attends to the scene and to each other; each predicts the offsets of all four levels of one
leaf. Offsets are those of :mod:`openpair.nn.plan_offsets`, either around the root (``reference="root"``: no tree,
offsets) or around driving straight on at the present speed, with wide bounds and without a look at the root
(``reference="straight"``: no tree, whole trajectory).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S
from openpair.datatypes.tree import TrajectoryTree, flat_layout
from openpair.nn.plan_offsets import NUM_LEVELS, drive, root_path
from openpair.nn.sibling_decoder import SiblingDecoder
from openpair.nn.trunk import STATUS_SIZE
from openpair.samplers.base import SamplerContext
from openpair.samplers.flat_config import FlatSamplerConfig
from openpair.samplers.trunk_sampler import PLAN_NUMBERS, TrunkSampler, seen_of_plan

ACTION_SIZE = 2 * NUM_LEVELS
"""Along the path on each level, then across it on each level."""

SPEED_COLUMN = 4
"""Of the status feature: speed ahead [m/s]."""


GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps of a sequence that covers the square evenly whatever its length (R2 of M. Roberts)."""


def straight_on(status: Tensor) -> Tensor:
    """Status features (B, 8) -> plans (B, 8, 3) straight ahead at the present speed, x [m], ego rear-axle frame."""
    seconds = POSE_INTERVAL_S * torch.arange(1, NUM_POSES + 1, device=status.device)
    x = status[:, SPEED_COLUMN, None].float().clamp(min=0.0) * seconds
    return torch.stack((x, torch.zeros_like(x), torch.zeros_like(x)), dim=-1)


def start_actions(config: FlatSamplerConfig) -> Tensor:
    """(L, 8) raw actions before training: speeds and sides spread evenly, so that leaves differ from the start.

    Around a root, a side lasts for half of the plan, as in the tree; a whole trajectory bends more and more.
    """
    number = torch.arange(1, config.num_leaves + 1, dtype=torch.float64)
    even = 2 * ((0.5 + number[:, None] * torch.tensor(GOLDEN, dtype=torch.float64)) % 1.0) - 1
    along, across = (even * torch.tensor(config.start_spread)).float().unbind(-1)
    shape = torch.tensor([1.0, 1.0, 0.0, 0.0] if config.reference == "root" else [0.25, 0.5, 0.75, 1.0])
    return torch.cat((along[:, None].expand(-1, NUM_LEVELS), across[:, None] * shape), dim=-1)


class FlatSampler(TrunkSampler):
    """Actions (A = 8) are raw offsets along the reference on each level, then across it on each level.

    Along: ``accelerate`` or ``brake`` times tanh; across: lateral velocity at the level's end, ``lateral_mps`` times
    tanh.
    """

    kind: ClassVar[str] = "flat"
    config_class = FlatSamplerConfig

    def __init__(self, config: FlatSamplerConfig | None = None) -> None:
        own = config or FlatSamplerConfig.published()
        super().__init__(own.trunk)
        self.config = own
        d = own.trunk.d_model
        seen = NUM_POSES * own.trunk.ground_channels
        self.reference_encoder = nn.Sequential(
            nn.Linear(PLAN_NUMBERS + seen + STATUS_SIZE, d), nn.ReLU(), nn.Linear(d, d)
        )
        self.leaf_embedding = nn.Embedding(own.num_leaves, d)
        self.decoder = SiblingDecoder(d, own.heads, own.d_ffn, own.layers, own.dropout)
        self.action_head = nn.Sequential(
            nn.Linear(d, own.head_hidden), nn.ReLU(), nn.Linear(own.head_hidden, ACTION_SIZE)
        )
        last = self.action_head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        start = start_actions(own)
        self.leaf_bias = nn.Parameter(start.clone())
        self.layout = flat_layout(own.num_leaves)
        self.register_buffer("action_mask", torch.ones_like(start, dtype=torch.bool), persistent=False)
        self.register_buffer("prior_mean", start, persistent=False)

    def expand(
        self,
        context: SamplerContext,
        root: Tensor,
        *,
        num_samples: int = 1,
        sigma: float = 0.0,
        generator: torch.Generator | None = None,
        actions: Tensor | None = None,
    ) -> TrajectoryTree:
        root = root.detach()
        reference = self._reference(context, root)
        mean = self._mean(context, reference)[:, None].expand(-1, num_samples, -1, -1)
        if actions is None:
            actions = mean + self.draw_noise(root, num_samples, sigma, generator)
        taken = actions.detach().float()
        with torch.no_grad():
            leaves = self._drive(reference, taken)
        return TrajectoryTree(self.layout, root, leaves, taken, mean)

    def leaves_of(self, root: Tensor, actions: Tensor) -> Tensor:
        """Leaves (B, S, L, 8, 3) of raw actions (B, S, L, 8) around roots (B, 8, 3), with gradient to the actions.

        Raises OpenPairError for whole trajectories, which do not grow around roots.
        """
        return self._drive(root, actions) if self.config.reference == "root" else super().leaves_of(root, actions)

    def _reference(self, context: SamplerContext, root: Tensor) -> Tensor:
        """(B, 8, 3): what offsets are measured from."""
        return root if self.config.reference == "root" else straight_on(context.status)

    def _mean(self, context: SamplerContext, reference: Tensor) -> Tensor:
        """References (B, 8, 3) -> mean actions (B, L, 8)."""
        state = self.reference_encoder(seen_of_plan(context, reference))
        queries = state[:, None, None] + self.leaf_embedding.weight
        features = self.decoder(queries, self.decoder.project_context(context.tokens, context.tokens_there))[:, 0]
        mean: Tensor = self.action_head(features) + self.leaf_bias
        return mean

    def _drive(self, reference: Tensor, actions: Tensor) -> Tensor:
        """References (B, 8, 3), raw actions (B, S, L, 8) -> leaves (B, S, L, 8, 3)."""
        limits = self.config.limits
        along, across = actions.tanh().flatten(1, 2).split(NUM_LEVELS, dim=-1)
        acceleration = torch.where(along > 0, limits.accelerate_mps2, limits.brake_mps2) * along
        poses, _ = drive(root_path(reference), acceleration, self.config.lateral_mps * across, limits)
        return poses.unflatten(1, actions.shape[1:3])
