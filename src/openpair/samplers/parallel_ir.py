"""The published tree sampler of PaIR-Drive ("Parallel-IR"), loadable with its released parameters.

Its leaves have known flaws (speeds in a saw-tooth, headings that leave the direction of motion, standing roots that
cannot pull away); :mod:`openpair.samplers.kinematic_tree` is the variant without them. Only the nodes that the kept
leaves need are expanded (23 parents instead of 85 for the published 15 leaves).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor, nn

from openpair.datatypes.tree import Intention, TrajectoryTree, layout_from_codes
from openpair.nn.ground_view import ground_views
from openpair.nn.heads import TrajectoryHead
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.sibling_decoder import ContextKeysValues, SiblingDecoder
from openpair.nn.trunk_config import SceneTrunkConfig, TrunkConfig, VectorTrunkConfig
from openpair.samplers.base import SamplerContext
from openpair.samplers.config import SamplerConfig
from openpair.samplers.levels import NUM_INTENTIONS, Level, leaf_slots, levels_of
from openpair.samplers.published_geometry import displace, step_scale
from openpair.samplers.trunk_sampler import TrunkSampler
from openpair.sensors.rig import standard_cameras

PUBLISHED_CODES = (
    *("0000", "0001", "0011", "1001", "1100"),
    *("1111", "1122", "1133", "1222", "2201"),
    *("2210", "2211", "2221", "2222", "3333"),
)
"""The 15 leaves that the released network keeps, in the order of its candidate list."""

ALL_CODES = tuple("".join(digits) for digits in product("0123", repeat=4))

POSE_OF_LEVEL = (1, 3, 5, 7)
"""The pose that a level moves: 1, 2, 3, 4 s."""


@dataclass(frozen=True)
class ParallelIRConfig(SamplerConfig):
    """Size and leaves. The defaults are the published network.

    Attributes:
        trunk: the sampler's own encoder and decoder; its perception heads are the auxiliary ones.
        codes: leaves to grow.
        layers, heads, d_ffn, dropout: decoder over sibling queries.
        head_hidden: hidden size of the action heads.
        initial_bias: bias of the action heads' last layer before training; at -2 the first trees stay near the root.
            None leaves torch's initialisation.
        aux_perception: train the trunk's perception heads along.
    """

    trunk: SceneTrunkConfig = field(default_factory=TrunkConfig)
    codes: tuple[str, ...] = PUBLISHED_CODES
    layers: int = 5
    heads: int = 8
    d_ffn: int = 1024
    dropout: float = 0.1
    head_hidden: int = 1024
    initial_bias: float | None = -2.0
    aux_perception: bool = True

    @staticmethod
    def published() -> ParallelIRConfig:
        """The released network (66 million parameters)."""
        return ParallelIRConfig()

    @staticmethod
    def small(layout: InputLayout | None = None) -> ParallelIRConfig:
        """The demo's size (:func:`openpair.nn.presets.small_trunk`), for the standard cameras unless said."""
        trunk = small_trunk(layout or InputLayout(ground_views(standard_cameras())))
        return ParallelIRConfig(trunk=trunk, layers=2, heads=4, d_ffn=256, dropout=0.0, head_hidden=128)

    def on_truth(self, trunk: VectorTrunkConfig) -> ParallelIRConfig:
        return replace(self, trunk=trunk, d_ffn=trunk.d_ffn)


class ActionHead(nn.Module):
    """(..., D) -> raw action (..., size)."""

    def __init__(self, d_model: int, hidden: int, size: int, initial_bias: float | None) -> None:
        super().__init__()
        last = nn.Linear(hidden, size)
        if initial_bias is not None:
            nn.init.constant_(last.bias, initial_bias)
        self.mlp = nn.Sequential(nn.Linear(d_model, hidden), nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.mlp(x)
        return out


class BranchTree(nn.Module):
    """The tree's network: parent pose -> sibling queries -> raw actions and scores of the four children."""

    def __init__(self, config: ParallelIRConfig) -> None:
        super().__init__()
        d = config.trunk.d_model
        self.anchor_encoder = nn.Sequential(nn.Linear(3, d // 2), nn.ReLU(), nn.Linear(d // 2, d))
        self.branch_type_embed = nn.Embedding(NUM_INTENTIONS, d)
        self.shared_attn = SiblingDecoder(d, config.heads, config.d_ffn, config.layers, config.dropout)

        def heads(size: int) -> nn.ModuleList:
            return nn.ModuleList(ActionHead(d, config.head_hidden, size, config.initial_bias) for _ in POSE_OF_LEVEL)

        self.level_heads_left = heads(2)
        self.level_heads_center = heads(1)
        self.level_heads_right = heads(2)
        self.level_heads_behind = heads(1)
        self.score_head = nn.Sequential(
            nn.Linear(d, d // 2), nn.ReLU(), nn.Linear(d // 2, d // 8), nn.ReLU(), nn.Linear(d // 8, 1)
        )

    def siblings(self, parent_poses: Tensor, context: ContextKeysValues) -> Tensor:
        """Poses (B, G, 3) of parents at their level -> (B, G, 4, D) features of their children."""
        queries = self.anchor_encoder(parent_poses)[..., None, :] + self.branch_type_embed.weight
        features: Tensor = self.shared_attn(queries, context)
        return features

    def raw_actions(self, features: Tensor, level: int) -> Tensor:
        """(B, G, 4, D) -> (B, G, 4, 2); the second number of center and behind is 0 and means nothing."""
        columns = []
        for intention in Intention:
            heads = getattr(self, f"level_heads_{intention.name.lower()}")
            action = heads[level](features[..., int(intention), :])
            columns.append(action if action.shape[-1] == 2 else torch.cat((action, torch.zeros_like(action)), -1))
        return torch.stack(columns, dim=-2)


@dataclass(frozen=True)
class GrownTree:
    """A tree with the scores the published network gives its nodes.

    Attributes:
        tree: the trajectories and actions.
        logits: per level (B, S, parents, 4): unnormalised log-probability of each child.
    """

    tree: TrajectoryTree
    logits: list[Tensor]


class ParallelIR(TrunkSampler):
    """The published tree sampler. Actions are raw step and turn (A = 2); center and behind use the step only."""

    kind: ClassVar[str] = "parallel_ir"
    config_class = ParallelIRConfig
    looks_up = False
    telling_parameter = "branch_tree.branch_type_embed.weight"

    def __init__(self, config: ParallelIRConfig | None = None) -> None:
        own = config or ParallelIRConfig.published()
        super().__init__(own.trunk)
        self.config = own
        # Present in the released parameters, never run by the tree.
        self._trajectory_head = TrajectoryHead(own.trunk.d_model, own.trunk.d_ffn)
        self.branch_tree = BranchTree(own)
        self.set_codes(own.codes)

    def set_codes(self, codes: tuple[str, ...]) -> None:
        """Choose the leaves to grow from now on; parameters do not depend on them."""
        self.layout = layout_from_codes(list(codes))
        self.levels = levels_of(self.layout)
        self.leaf_slots = leaf_slots(self.layout)
        turns = (self.layout.intention == Intention.LEFT) | (self.layout.intention == Intention.RIGHT)
        mask = torch.stack((torch.ones_like(turns), turns), dim=-1)
        self.register_buffer("action_mask", mask, persistent=False)
        self.register_buffer("prior_mean", mask * (self.config.initial_bias or 0.0), persistent=False)

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
        return self.grow(context, root, num_samples=num_samples, sigma=sigma, generator=generator, actions=actions).tree

    def grow(
        self,
        context: SamplerContext,
        root: Tensor,
        *,
        num_samples: int = 1,
        sigma: float = 0.0,
        generator: torch.Generator | None = None,
        actions: Tensor | None = None,
    ) -> GrownTree:
        """As :meth:`expand`, with the scores of the nodes."""
        root = root.detach()
        scale = step_scale(root)
        noise = self.draw_noise(root, num_samples, sigma if actions is None else 0.0, generator)
        context_kv = self.branch_tree.shared_attn.project_context(context.tokens, context.tokens_there)

        paths = root[:, None, None].expand(-1, num_samples, 1, -1, -1)
        means, taken, logits = [], [], []
        for depth, level in enumerate(level.on(root.device) for level in self.levels):
            mean, level_logits = self._level_mean(paths, level, depth, context_kv)
            action = actions[:, :, level.nodes] if actions is not None else mean + noise[:, :, level.nodes]
            action = action.detach()
            parents = paths[:, :, level.parent_slot[level.parent_position]]
            paths = displace(parents, root, action, level.intention, scale, POSE_OF_LEVEL[depth])
            means.append(mean)
            taken.append(action)
            logits.append(level_logits)
        tree = TrajectoryTree(
            self.layout, root, paths[:, :, self.leaf_slots], torch.cat(taken, dim=2), torch.cat(means, dim=2)
        )
        return GrownTree(tree, logits)

    def _level_mean(
        self, paths: Tensor, level: Level, depth: int, context_kv: ContextKeysValues
    ) -> tuple[Tensor, Tensor]:
        """Paths (B, S, nodes above, 8, 3) -> mean (B, S, m, 2) of this level's nodes, logits (B, S, p, 4)."""
        batch, samples = paths.shape[:2]
        # The draws of a scene share their first parent: one expansion serves all.
        distinct = 1 if depth == 0 else samples
        poses = paths[:, :distinct, level.parent_slot, POSE_OF_LEVEL[depth]]
        features = self.branch_tree.siblings(poses.flatten(1, 2), context_kv)
        logits = self.branch_tree.score_head(features).squeeze(-1).unflatten(1, (distinct, -1))
        raw = self.branch_tree.raw_actions(features, depth).unflatten(1, (distinct, -1)).flatten(2, 3)
        mean = raw[:, :, level.sibling_position]
        return mean.expand(batch, samples, -1, -1), logits.expand(batch, samples, -1, -1)

    def forward(self, *, expert_feature: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Features and ``expert_feature`` (B, 8, 3), the root -> ``selected`` (B, L, 8, 3), ``root``, ``logits_level0``
        .. ``logits_level3`` (B, parents, 4) and the perception outputs."""
        context = self.encode(features)
        grown = self.grow(context, expert_feature)
        logits = {f"logits_level{depth}": value[:, 0] for depth, value in enumerate(grown.logits)}
        return {"selected": grown.tree.leaves[:, 0], "root": grown.tree.root, **logits, **context.perception}
