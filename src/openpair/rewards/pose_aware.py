"""Our reward model: looks at the ground where, and at the time when, a candidate will be there.

The published model pools the scene before it rates a candidate; this one samples bird's-eye-view features under the
car's footprint at each pose, and a learned forecast of the others at that pose's time. Both are supervised densely
(semantic map, future occupancy), so that it learns from few scenes. On the known track it sees agents (where it expects
them at that time), lanes and edges of the road in the frame of each pose (:mod:`openpair.nn.surroundings`). Candidates
do not see each other: a score does not depend on the set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.columns import NUM_POSES
from openpair.errors import OpenPairError
from openpair.nn.bev_lookup import lookup
from openpair.nn.surroundings import CORNERS
from openpair.nn.trunk import STATUS_SIZE, PerceptionTrunk, TrunkOutput, crop
from openpair.nn.trunk_config import TrunkConfig
from openpair.rewards.base import HEAD_NAMES, RewardContext, RewardModel, total_score
from openpair.rewards.candidate_geometry import (
    NUM_FOOTPRINT_POINTS,
    NUM_MOTION_NUMBERS,
    footprint_points,
    motion_numbers,
    points_ahead,
)
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.rewards.reward_loss import calibration_loss, occupancy_loss, ranking_loss, sub_score_loss

HAZARDS = ("NC", "DAC", "TLC", "TTC", "LK")
"""Sub-scores that a single bad moment loses: their logits come from a sum of hazards over the poses."""

AHEAD_S = (0.5, 1.0)
"""Times ahead of each pose at which the way in front is looked at (time to collision)."""

POINTS = NUM_FOOTPRINT_POINTS + len(AHEAD_S)


class PoseAwareRewardModel(PerceptionTrunk, RewardModel):
    """Perception outputs are those of the trunk; of sensors also ``future_occupancy`` (B, 8, X, Y), logits over the
    LiDAR grid."""

    kind: ClassVar[str] = "pose_aware"
    config_class = PoseAwareConfig

    def __init__(self, config: PoseAwareConfig | None = None) -> None:
        own = config or PoseAwareConfig.small()
        super().__init__(own.trunk)
        if isinstance(own.trunk, TrunkConfig) and not own.trunk.align_map:
            raise OpenPairError(
                "this reward model needs a semantic map that lines up with its features",
                where="align_map",
                fix="set align_map and a map_grid within the LiDAR raster",
            )
        self.config = own
        d, hidden = own.trunk.d_model, own.pose_hidden
        if isinstance(own.trunk, TrunkConfig):
            seen = self._build_maps(own.trunk)
        else:
            seen = own.trunk.ground_channels + CORNERS
        self.pose_encoder = nn.Linear(seen + NUM_MOTION_NUMBERS, hidden)
        self.time_embedding = nn.Embedding(NUM_POSES, hidden)
        self.pose_mixer = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.hazard_head = nn.Linear(hidden, len(HAZARDS))
        self.candidate_encoder = nn.Linear(2 * hidden + NUM_POSES * NUM_MOTION_NUMBERS + STATUS_SIZE, d)
        self.look_at_scene = nn.MultiheadAttention(d, own.heads, batch_first=True)
        self.norm = nn.LayerNorm(d)
        self.candidate_mixer = nn.Sequential(nn.Linear(d, d), nn.ReLU())
        self.reward_head = nn.Linear(d, len(HEAD_NAMES))
        self.residual_head = nn.Linear(d, 1)
        self._start_hopeful()

    def _build_maps(self, trunk: TrunkConfig) -> int:
        """Layers that make maps to look up from bird's-eye-view features; returns how many numbers a pose then sees."""
        own, bev = self.config, trunk.backbone.bev_channels
        self.static_projection = nn.Conv2d(bev, own.static_channels, 1)
        self.forecast = nn.Sequential(
            nn.Conv2d(bev, 2 * bev, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * bev, NUM_POSES * own.dynamic_channels, 1),
            nn.ReLU(),
        )
        self.occupancy_head = nn.Conv2d(NUM_POSES * own.dynamic_channels, NUM_POSES, 1, groups=NUM_POSES)
        return POINTS * (own.static_channels + trunk.map_classes + own.dynamic_channels + 1)

    def _start_hopeful(self) -> None:
        """Start where most candidates pass every test, as most do."""
        nn.init.constant_(self.hazard_head.bias, -4.0)
        nn.init.constant_(self.reward_head.bias, 1.5)
        nn.init.zeros_(self.residual_head.weight)
        nn.init.zeros_(self.residual_head.bias)

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        """Context with what candidates see: of sensors ``bev`` (B, static + classes + 8 * (dynamic + 1), X, Y)."""
        output = self.trunk(features)
        if output.vectors is not None:
            perception = self.perceive(output)
            around = output.vectors.surroundings.with_future(perception["agent_forecast"])
            status, there = features["status_feature"], output.keyval_there
            return RewardContext(output.keyval.float(), status, perception, surroundings=around, tokens_there=there)
        bev = output.bev
        semantic = self._bev_semantic_head[:3](bev)
        dynamic = self.forecast(bev)
        occupancy = self.occupancy_head(dynamic)
        by_time = torch.cat((dynamic.unflatten(1, (NUM_POSES, -1)), occupancy.sigmoid()[:, :, None]), dim=2)
        looked_up = torch.cat((self.static_projection(bev), semantic.softmax(dim=1), by_time.flatten(1, 2)), dim=1)
        perception = {**self._perceive(output, semantic), "future_occupancy": occupancy}
        return RewardContext(output.keyval.float(), features["status_feature"], perception, looked_up.float())

    def _perceive(self, output: TrunkOutput, semantic: Tensor) -> dict[str, Tensor]:
        """Perception outputs; the semantic map before it is resized is shared with the lookup."""
        trunk = self.config.trunk
        assert isinstance(trunk, TrunkConfig)
        states, labels = self._agent_head(output.queries[:, 1:])
        part = crop(semantic, trunk.backbone.lidar_grid, trunk.map_grid)
        return {"agent_states": states, "agent_labels": labels, "bev_semantic_map": self._bev_semantic_head[3](part)}

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        count = candidates.shape[1]
        motion = motion_numbers(candidates, context.status)
        seen = self._look_up(context, candidates)
        poses = self.pose_encoder(torch.cat((seen, motion), dim=-1)) + self.time_embedding.weight
        poses = self.pose_mixer(poses)

        status = context.status[:, None].expand(-1, count, -1)
        summary = torch.cat((poses.amax(dim=2), poses.mean(dim=2), motion.flatten(2), status), dim=-1)
        query = F.relu(self.candidate_encoder(summary))
        absent = None if context.tokens_there is None else ~context.tokens_there
        attended, _ = self.look_at_scene(
            query, context.tokens, context.tokens, key_padding_mask=absent, need_weights=False
        )
        candidate = self.candidate_mixer(self.norm(query + attended))

        logits = self.reward_head(candidate).transpose(1, 2)
        logits = self._with_hazards(logits, self.hazard_head(poses))
        rewards = logits.sigmoid()
        combined = self._combined(rewards).clamp(1e-4, 1 - 1e-4).logit()
        total = combined + self.residual_head(candidate).squeeze(-1)
        return {"sim_rewards": rewards, "sim_logits": total[:, None], "reward_logits": logits}

    def _combined(self, rewards: Tensor) -> Tensor:
        """Sub-scores (B, 9, N) -> the total that they make up (B, N)."""
        return total_score(rewards, self.config.protocol, extended_comfort=self.config.extended_comfort)

    def _with_hazards(self, logits: Tensor, hazards: Tensor) -> Tensor:
        """Logits (B, 9, N) and hazards (B, N, 8, H) -> logits of surviving all moments and the candidate as a whole.

        P(pass) = exp(-sum over poses softplus(hazard) - softplus(-logit)).
        """
        rows = [HEAD_NAMES.index(name) for name in HAZARDS]
        moments = F.softplus(hazards).sum(dim=2).transpose(1, 2)
        log_pass = -(moments + F.softplus(-logits[:, rows])).clamp(min=1e-4, max=20.0)
        survived = log_pass - torch.log(-torch.expm1(log_pass))
        out = logits.to(survived.dtype, copy=True)
        out[:, rows] = survived
        return out

    def _look_up(self, context: RewardContext, candidates: Tensor) -> Tensor:
        """(B, N, 8, 3) -> (B, N, 8, points * channels) features under the car and ahead of it, or what is around."""
        if context.surroundings is not None:
            return context.surroundings.look_closely(candidates)
        own, trunk = self.config, self.config.trunk
        assert context.bev is not None and isinstance(trunk, TrunkConfig)
        grid = trunk.backbone.lidar_grid
        num_static = own.static_channels + trunk.map_classes
        static, dynamic = context.bev[:, :num_static], context.bev[:, num_static:].unflatten(1, (NUM_POSES, -1))
        groups = [footprint_points(candidates), *(points_ahead(candidates, seconds) for seconds in AHEAD_S)]
        points = torch.cat(groups, dim=3)
        still = lookup(static, points.flatten(1, 3), grid).unflatten(1, points.shape[1:4]).flatten(3)
        return torch.cat((still, look_up_in_time(dynamic, groups, grid)), dim=-1)

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``sub_scores``, ``calibration``, ``ranking``, and ``forecast`` and perception terms where targets are given;
        ``loss`` is the weighted sum."""
        own = self.config
        total_logits = outputs["sim_logits"][:, 0]
        terms = {
            "sub_scores": sub_score_loss(
                outputs["reward_logits"], targets["candidate_metrics"], targets.get("candidate_metrics_count")
            ),
            "calibration": calibration_loss(total_logits, targets["candidate_scores"]),
            "ranking": ranking_loss(total_logits, targets["candidate_scores"], own.ranking_temperature),
        }
        loss = (
            own.sub_score_weight * terms["sub_scores"]
            + own.calibration_weight * terms["calibration"]
            + own.ranking_weight * terms["ranking"]
        )
        if "future_occupancy" in targets:
            terms["forecast"] = occupancy_loss(
                outputs["future_occupancy"], targets["future_occupancy"], own.occupied_weight
            )
            loss = loss + own.forecast_weight * terms["forecast"]
        if {"bev_semantic_map", "agent_states"} <= targets.keys() or "agent_future" in targets:
            perception = self.perception_terms(outputs, targets)
            loss = loss + own.perception_weight * perception.pop("perception")
            terms.update(perception)
        return {"loss": loss, **terms}


def look_up_in_time(maps: Tensor, groups: Sequence[Tensor], grid: BevGrid) -> Tensor:
    """Features at points at the times when the car is there; the way ahead is looked at half a second later per group.

    Each map is looked at once, with all points of its time: a map is large, points are few.

    Args:
        maps: (B, 8, C, X, Y), one for each pose's time.
        groups: of points (B, N, 8, P, 2); group k of a pose is looked up k poses later, in the last map at most.
        grid: the rectangle of the maps.

    Returns:
        (B, N, 8, sum of P * C), group by group.
    """
    batch, count = groups[0].shape[:2]
    in_time = [points.roll(delay, dims=2) for delay, points in enumerate(groups)]
    where = torch.cat(in_time, dim=3).transpose(1, 2).flatten(0, 1)
    seen = lookup(maps.flatten(0, 1), where.flatten(1, 2), grid).view(batch, NUM_POSES, count, where.shape[2], -1)
    # Poses so late that their way ahead lies beyond the last map: those that the rolls have brought to the front.
    late = [points[:, :, NUM_POSES - delay :].flatten(1, 3) for delay, points in enumerate(groups) if delay]
    at_end = lookup(maps[:, -1], torch.cat(late, dim=1), grid).split([points.shape[1] for points in late], dim=1)
    out = []
    sizes = [points.shape[3] for points in groups]
    for delay, part in enumerate(seen.split(sizes, dim=3)):
        values = part.transpose(1, 2)
        if delay:
            beyond = at_end[delay - 1].view(batch, count, delay, sizes[delay], -1)
            values = torch.cat((values[:, :, delay:], beyond), dim=2)
        out.append(values.flatten(3))
    return torch.cat(out, dim=-1)
