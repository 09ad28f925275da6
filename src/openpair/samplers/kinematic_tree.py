"""Our tree sampler: the published idea with leaves that a car can drive.

Same interface, intentions and levels as the published sampler; other leaves, other geometry
(:mod:`openpair.nn.plan_offsets`) and richer node states: a parent is encoded by its whole path, and by the
bird's-eye-view features along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from openpair.datatypes.columns import NUM_POSES
from openpair.datatypes.tree import Intention, TrajectoryTree, TreeLayout, layout_from_codes
from openpair.nn.plan_offsets import NUM_LEVELS, RootPath, drive, root_path
from openpair.nn.sibling_decoder import ContextKeysValues, SiblingDecoder
from openpair.nn.trunk import STATUS_SIZE
from openpair.samplers.base import SamplerContext
from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.levels import NUM_INTENTIONS, Level, leaf_slots, levels_of
from openpair.samplers.trunk_sampler import TrunkSampler

ACTION_SIZE = 2
"""Along the path, across the path."""

ONE_SIDED = {Intention.LEFT: 1, Intention.RIGHT: 1, Intention.CENTER: 0, Intention.BEHIND: 0}
"""The component that goes one way only; the other is symmetric about 0."""

PATH_NUMBERS = 5 * NUM_POSES
"""A parent path as the network sees it: x, y, cosine and sine of heading, speed at each pose."""


def reverses(layout: TreeLayout) -> Tensor:
    """(M,) bool: nodes at or below one that brakes after its path accelerated, or the other way round."""
    mixed = torch.zeros(layout.num_nodes, dtype=torch.bool)
    for code, nodes in zip(layout.codes.tolist(), layout.leaf_nodes.tolist(), strict=True):
        for depth, node in enumerate(nodes):
            path = code[: depth + 1]
            mixed[node] = Intention.CENTER in path and Intention.BEHIND in path
    return mixed


@dataclass(frozen=True)
class RootLook:
    """What nodes see along the root.

    Attributes:
        root: (B, 1, 8, 3).
        encoded: (B, 1, D) of what lies along it.
    """

    root: Tensor
    encoded: Tensor

    def aside(self, paths: Tensor) -> Tensor:
        """Paths (B, G, 8, 3) -> (B, G, 8, 2) how far they lie ahead and to the left of the root's poses, in units of
        10 m and 3 m."""
        c, s = self.root[..., 2].cos(), self.root[..., 2].sin()
        x, y = (paths[..., :2] - self.root[..., :2]).unbind(dim=-1)
        return torch.stack(((c * x + s * y) / 10, (c * y - s * x) / 3), dim=-1)


class KinematicTree(TrunkSampler):
    """Actions (A = 2) are raw offsets along and across the parent's path.

    | intention | along (acceleration) | across (lateral velocity at the level's end) |
    |---|---|---|
    | left | trim * tanh | previous + step * sigmoid |
    | center | + accelerate * sigmoid | trim * tanh |
    | right | trim * tanh | previous - step * sigmoid |
    | behind | - brake * sigmoid | trim * tanh |

    Center and behind thus straighten out parallel to the root; one-sided actions start at ``initial_bias``.
    """

    kind: ClassVar[str] = "kinematic"
    config_class = KinematicTreeConfig
    has_strength: ClassVar[bool] = True
    node_bias: Tensor

    def __init__(self, config: KinematicTreeConfig | None = None) -> None:
        own = config or KinematicTreeConfig.published()
        super().__init__(own.trunk)
        self.config = own
        d = own.trunk.d_model
        seen, from_root = NUM_POSES * own.trunk.ground_channels, own.looks == "root"
        numbers = PATH_NUMBERS + (2 * NUM_POSES if from_root else seen) + STATUS_SIZE
        self.path_encoder = nn.Sequential(nn.Linear(numbers, d), nn.ReLU(), nn.Linear(d, d))
        self.root_encoder = nn.Linear(seen, d) if from_root else None
        self.intention_embedding = nn.Embedding(NUM_INTENTIONS, d)
        self.level_embedding = nn.Embedding(NUM_LEVELS, d)
        self.siblings = SiblingDecoder(d, own.heads, own.d_ffn, own.layers, own.dropout)
        self.action_heads = nn.ModuleList(
            nn.Sequential(nn.Linear(d, own.head_hidden), nn.ReLU(), nn.Linear(own.head_hidden, ACTION_SIZE))
            for _ in Intention
        )
        self._start_near_the_root()
        self.layout = layout_from_codes(list(own.codes))
        self.levels = levels_of(self.layout)
        self.leaf_slots = leaf_slots(self.layout)
        mask = torch.ones(self.layout.num_nodes, ACTION_SIZE, dtype=torch.bool)
        self.register_buffer("action_mask", mask, persistent=False)
        component = torch.tensor([ONE_SIDED[Intention(int(i))] for i in self.layout.intention])
        one_sided = torch.nn.functional.one_hot(component, ACTION_SIZE).float()
        start = torch.full((self.layout.num_nodes,), own.initial_bias)
        if own.reversal_bias is not None:
            start[reverses(self.layout)] = own.reversal_bias
        self.register_buffer("prior_mean", start[:, None] * one_sided, persistent=False)
        # What a node starts from beyond its intention's own bias, which is a parameter.
        self.register_buffer("node_bias", self.prior_mean - own.initial_bias * one_sided, persistent=False)

    def _start_near_the_root(self) -> None:
        for intention, component in ONE_SIDED.items():
            last = self.action_heads[intention][-1]  # type: ignore[index]
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
            nn.init.constant_(last.bias[component], self.config.initial_bias)

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
        batch = root.shape[0]
        root = root.detach()
        curve = root_path(root)
        noise = self.draw_noise(root, num_samples, sigma if actions is None else 0.0, generator)
        context_kv = self.siblings.project_context(context.tokens, context.tokens_there)
        along_root = self._look_along_root(context, root)

        paths, speeds = root[:, None, None], curve.speed[:, None, None]
        offsets = root.new_zeros(batch, num_samples, 1, NUM_LEVELS, ACTION_SIZE)
        means, taken = [], []
        for depth, level in enumerate(level.on(root.device) for level in self.levels):
            mean = self._level_mean(context, context_kv, along_root, paths, speeds, level, depth)
            mean = mean + self.node_bias[level.nodes]
            if strength != 1.0:
                start = self.prior_mean[level.nodes]
                mean = start + strength * (mean - start)
            mean = mean.expand(-1, num_samples, -1, -1)
            action = actions[:, :, level.nodes] if actions is not None else mean + noise[:, :, level.nodes]
            action = action.detach().float()
            with torch.no_grad():
                offsets = self._extend(offsets, action, level, depth)
                paths, speeds = self._drive(curve, offsets)
            means.append(mean)
            taken.append(action)
        return TrajectoryTree(
            self.layout, root, paths[:, :, self.leaf_slots], torch.cat(taken, dim=2), torch.cat(means, dim=2)
        )

    def _level_mean(
        self,
        context: SamplerContext,
        context_kv: ContextKeysValues,
        along_root: RootLook | None,
        paths: Tensor,
        speeds: Tensor,
        level: Level,
        depth: int,
    ) -> Tensor:
        """Paths (B, S, nodes above, 8, 3), speeds (B, S, nodes above, 8) -> mean (B, S, m, 2) of this level's nodes."""
        paths, speeds = paths[:, :, level.parent_slot], speeds[:, :, level.parent_slot]
        samples, parents = paths.shape[1:3]
        state = self._encode_paths(context, along_root, paths.flatten(1, 2), speeds.flatten(1, 2))
        state = state + self.level_embedding.weight[depth]
        of_sample = NUM_INTENTIONS * parents * torch.arange(samples, device=level.nodes.device)
        wanted = (of_sample[:, None] + level.sibling_position).flatten()
        features = self.siblings.grow(state, self.intention_embedding.weight, context_kv, wanted)
        return self._actions(features.unflatten(1, (samples, -1)), level)

    def _actions(self, features: Tensor, level: Level) -> Tensor:
        """Features (B, S, m, D) of a level's nodes -> (B, S, m, 2), each by the head of its intention."""
        of_intention = features[:, :, level.by_intention].split(level.num_of_intention, dim=2)
        raw = [head(own) for head, own in zip(self.action_heads, of_intention, strict=True)]
        return torch.cat(raw, dim=2)[:, :, level.from_intention]

    def _look_along_root(self, context: SamplerContext, root: Tensor) -> RootLook | None:
        """What all nodes see, where they look along the root."""
        if self.root_encoder is None:
            return None
        assert context.ground is not None
        seen = context.ground.look_along(root[:, None]).flatten(2)
        return RootLook(root[:, None], self.root_encoder(seen.to(self.root_encoder.weight.dtype)))

    def _encode_paths(
        self, context: SamplerContext, along_root: RootLook | None, paths: Tensor, speeds: Tensor
    ) -> Tensor:
        """Paths (B, G, 8, 3) with speeds (B, G, 8) -> (B, G, D)."""
        assert context.ground is not None
        batch, groups = paths.shape[:2]
        heading = paths[..., 2]
        numbers = torch.stack(
            (paths[..., 0] / 30, paths[..., 1] / 10, heading.cos(), heading.sin(), speeds / 10), dim=-1
        ).flatten(2)
        seen = (along_root.aside(paths) if along_root else context.ground.look_along(paths)).reshape(batch, groups, -1)
        status = context.status[:, None].expand(-1, groups, -1)
        first, *rest = self.path_encoder
        encoded: Tensor = first(torch.cat((numbers.to(seen.dtype), seen, status.to(seen.dtype)), dim=-1))
        if along_root is not None:
            encoded = encoded + along_root.encoded
        for layer in rest:
            encoded = layer(encoded)
        return encoded

    def leaves_of(self, root: Tensor, actions: Tensor) -> Tensor:
        """Leaves (B, S, L, 8, 3) of raw actions (B, S, M, 2) around roots (B, 8, 3), with gradient to the actions."""
        offsets = root.new_zeros(len(root), actions.shape[1], 1, NUM_LEVELS, ACTION_SIZE)
        for depth, level in enumerate(level.on(root.device) for level in self.levels):
            offsets = self._extend(offsets, actions[:, :, level.nodes], level, depth)
        return self._drive(root_path(root), offsets)[0][:, :, self.leaf_slots]

    def _extend(self, offsets: Tensor, action: Tensor, level: Level, depth: int) -> Tensor:
        """Offsets (B, S, nodes above, 4, 2) of the parents, raw actions (B, S, m, 2) -> offsets (B, S, m, 4, 2)."""
        limits = self.config.limits
        out = offsets[:, :, level.parent_slot[level.parent_position]].clone()
        intention = level.intention
        previous = out[:, :, :, depth - 1, 1] if depth > 0 else torch.zeros_like(action[..., 0])
        along, across = action[..., 0], action[..., 1]
        accelerate = limits.accelerate_mps2 * along.sigmoid()
        brake = -limits.brake_mps2 * along.sigmoid()
        trim = limits.trim_mps2 * along.tanh()
        sideways = limits.lateral_step_mps * across.sigmoid()
        center, behind = intention == Intention.CENTER, intention == Intention.BEHIND
        left, right = intention == Intention.LEFT, intention == Intention.RIGHT
        straighten = limits.lateral_trim_mps * across.tanh()
        if self.config.hold_turn and depth > 0:
            before = out[:, :, :, depth - 2, 1] if depth > 1 else torch.zeros_like(previous)
            straighten = straighten + 2 * previous - before
        out[:, :, :, depth, 0] = torch.where(center, accelerate, torch.where(behind, brake, trim))
        turn = previous + torch.where(left, sideways, -sideways)
        out[:, :, :, depth, 1] = torch.where(left | right, turn, straighten)
        return out

    def _drive(self, curve: RootPath, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets (B, S, m, 4, 2) -> poses (B, S, m, 8, 3) and speeds (B, S, m, 8)."""
        batch, samples, nodes = offsets.shape[:3]
        flat = offsets.flatten(1, 2)
        poses, speeds = drive(curve, flat[..., 0], flat[..., 1], self.config.limits)
        return poses.view(batch, samples, nodes, NUM_POSES, 3), speeds.view(batch, samples, nodes, NUM_POSES)

    def mean_leaves(self, context: SamplerContext, root: Tensor, *, strength: float = 1.0) -> Tensor:
        return self.expand(context, root, strength=strength).leaves[:, 0]
