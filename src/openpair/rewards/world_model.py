"""The published reward world model (RWM): imagines the scene after each candidate and rates it.

A descendant of WoTE (arXiv 2504.01941). Parameter names are those of the released checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.columns import NUM_POSES
from openpair.nn.backbones import build_backbone, features_read
from openpair.nn.ground_view import ground_views
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk import STATUS_SIZE
from openpair.nn.trunk_config import BackboneConfig, TransfuserBackboneConfig
from openpair.rewards.base import HEAD_NAMES, RewardContext, RewardModel
from openpair.rewards.config import RewardNetworkConfig
from openpair.rewards.reward_loss import calibration_loss, ranking_loss, sub_score_loss
from openpair.sensors.rig import standard_cameras

NUM_QUERIES = 31


@dataclass(frozen=True)
class RewardWorldModelConfig(RewardNetworkConfig):
    """Size and losses. The defaults are the published network.

    Attributes:
        backbone: the sensor backbone; its fused map gives the scene tokens.
        token_grid: which ground the tokens are taken to cover when the ego is put among them. In the published network
            that is the 32 m ahead, although its tokens cover +-32 m.
        d_model, d_ffn, layers, heads, dropout: both transformer encoders.
        sub_score_weight, calibration_weight, ranking_weight: weights of the loss terms. The published targets of
            ``sim_logits`` are not known; ours are the true total scores.
        ranking_temperature: temperature of the ranking loss, in units of score.
    """

    backbone: BackboneConfig = field(default_factory=TransfuserBackboneConfig)
    token_grid: BevGrid = field(default_factory=lambda: BevGrid(x_min_m=0.0, rows=8, columns=8))
    d_model: int = 256
    d_ffn: int = 512
    layers: int = 2
    heads: int = 8
    dropout: float = 0.1
    sub_score_weight: float = 1.0
    calibration_weight: float = 1.0
    ranking_weight: float = 1.0
    ranking_temperature: float = 0.1

    @staticmethod
    def published() -> RewardWorldModelConfig:
        """The released network (57 million parameters)."""
        return RewardWorldModelConfig()

    @staticmethod
    def small(layout: InputLayout | None = None) -> RewardWorldModelConfig:
        """The same network at the demo's size, with tokens where they are."""
        trunk = small_trunk(layout or InputLayout(ground_views(standard_cameras())))
        return RewardWorldModelConfig(
            backbone=trunk.backbone,
            token_grid=trunk.backbone.lidar_grid.with_shape(8, 8),
            d_model=128,
            d_ffn=256,
            heads=4,
            dropout=0.0,
        )


class RewardConvNet(nn.Module):
    """Two convolutions with batch norm, then the mean over the grid: (M, 2 D, h, w) -> (M, D)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x))).mean(dim=(2, 3))


def place_on_tokens(tokens: Tensor, feature: Tensor, xy: Tensor, grid: BevGrid) -> Tensor:
    """Add a feature to the tokens around a point, bilinearly; cells outside the grid are dropped one by one.

    Args:
        tokens: (M, rows * columns, D), row by row.
        feature: (M, D).
        xy: (M, 2) x, y [m].
        grid: the ground that the tokens are taken to cover. Cell corner (0, 0) is its corner, so that coordinates are
            ``(x - x_min) / cell`` without half a cell: the published convention. A point at or beyond ``x_max`` adds
            nothing.
    """
    dx, dy = grid.cell_size_m
    row, column = (xy[:, 0] - grid.x_min_m) / dx, (xy[:, 1] - grid.y_min_m) / dy
    row0, column0 = row.floor(), column.floor()
    cells = torch.arange(grid.rows * grid.columns, device=tokens.device)
    cell_row, cell_column = cells // grid.columns, cells % grid.columns
    weight = torch.zeros(tokens.shape[:2], device=tokens.device, dtype=tokens.dtype)
    for i in (0, 1):
        for j in (0, 1):
            share = (1 - (row - row0 - i).abs()) * (1 - (column - column0 - j).abs())
            here = (cell_row == row0[:, None] + i) & (cell_column == column0[:, None] + j)
            weight = weight + here * share[:, None]
    weight = weight * (xy[:, :1] < grid.x_max_m)
    return tokens + weight[..., None] * feature[:, None]


class RewardWorldModel(RewardModel):
    """The released architecture. A candidate's score depends on the whole set: candidates attend to each other."""

    kind: ClassVar[str] = "rwm"
    config_class = RewardWorldModelConfig
    telling_parameter = "reward_trunk.0.weight"
    lenient = False
    sees_the_set: ClassVar[bool] = True

    def __init__(self, config: RewardWorldModelConfig | None = None) -> None:
        super().__init__()
        own = config or RewardWorldModelConfig.published()
        self.config = own
        d = own.d_model
        self._backbone = build_backbone(own.backbone)
        rows, columns = self._backbone.fused_size
        self._keyval_embedding = nn.Embedding(rows * columns, d)
        # In the released parameters, never used.
        self._bev_embedding = nn.Embedding(rows * columns, d)
        self._query_embedding = nn.Embedding(NUM_QUERIES, d)
        self._bev_downscale = nn.Conv2d(self._backbone.fused_channels, d, 1)
        self._status_encoding = nn.Linear(STATUS_SIZE, d)
        self.mlp_planning_vb = _mlp(3 * NUM_POSES, d // 2, d)
        self.cluster_encoder = self._encoder()
        self.encode_ego_feat_mlp = _mlp(2 * d, d, d)
        self.scene_position_embedding = nn.Embedding(rows * columns + 1, d)
        self.latent_world_model = self._encoder()
        self.reward_conv_net = RewardConvNet(2 * d, d)
        self.reward_cat_head = _mlp(3 * d, d, d)
        self.reward_trunk = nn.Sequential(nn.Linear(d, d // 2), nn.ReLU())
        self.reward_out = nn.ModuleList(_mlp(d // 2, d // 4, 1) for _ in HEAD_NAMES)
        self.reward_logits = _mlp(d // 2, d // 4, 1)

    def _encoder(self) -> nn.TransformerEncoder:
        own = self.config
        layer = nn.TransformerEncoderLayer(own.d_model, own.heads, own.d_ffn, own.dropout, batch_first=True)
        return nn.TransformerEncoder(layer, own.layers, enable_nested_tensor=False)

    @property
    def reads(self) -> frozenset[str]:
        """Names of the features that the network reads."""
        return features_read(self.config.backbone)

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        maps = self._backbone(features["camera_feature"], features.get("lidar_feature"))
        tokens = self._bev_downscale(maps.fused).flatten(2).transpose(1, 2) + self._keyval_embedding.weight
        return RewardContext(tokens.float(), features["status_feature"])

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        batch, count = candidates.shape[:2]
        grid = self.config.token_grid
        plan_tokens = self.cluster_encoder(self.mlp_planning_vb(candidates.flatten(2)))
        status = self._status_encoding(context.status)[:, None].expand(-1, count, -1)
        ego_now = self.encode_ego_feat_mlp(torch.cat((status, plan_tokens), dim=-1)).flatten(0, 1)

        tokens = context.tokens.repeat_interleave(count, dim=0)
        here = torch.zeros(batch * count, 2, device=tokens.device)
        now = place_on_tokens(tokens, ego_now, here, grid)
        scene = torch.cat((ego_now[:, None], now), dim=1) + self.scene_position_embedding.weight
        imagined = self.latent_world_model(scene)
        ego_then = imagined[:, 0]
        then = place_on_tokens(imagined[:, 1:], ego_then, candidates[:, :, -1, :2].flatten(0, 1), grid)

        reward_map = torch.cat((now, then), dim=-1).transpose(1, 2).unflatten(2, (grid.rows, grid.columns))
        seen = self.reward_conv_net(reward_map)
        trunk = self.reward_trunk(self.reward_cat_head(torch.cat((ego_now, ego_then, seen), dim=-1)))
        logits = torch.stack([head(trunk).view(batch, count) for head in self.reward_out], dim=1)
        return {
            "sim_rewards": logits.sigmoid(),
            "sim_logits": self.reward_logits(trunk).view(batch, 1, count),
            "reward_logits": logits,
        }

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``sub_scores``, ``calibration``, ``ranking`` and their weighted sum ``loss``."""
        own = self.config
        total_logits = outputs["sim_logits"][:, 0]
        terms = {
            "sub_scores": sub_score_loss(
                outputs["reward_logits"], targets["candidate_metrics"], targets.get("candidate_metrics_count")
            ),
            "calibration": calibration_loss(total_logits, targets["candidate_scores"]),
            "ranking": ranking_loss(total_logits, targets["candidate_scores"], own.ranking_temperature),
        }
        total = (
            own.sub_score_weight * terms["sub_scores"]
            + own.calibration_weight * terms["calibration"]
            + own.ranking_weight * terms["ranking"]
        )
        return {"loss": total, **terms}


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
