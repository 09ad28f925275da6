"""From features to scene queries, shared by policies, samplers and reward models: the encoder is exchangeable.

Of sensors: backbone, token decoder and perception heads; parameter names are those of the released checkpoints. Of the
truth (the known track): the vector encoder. Each network builds its own trunk; only the code is shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openpair.datatypes.bev_grid import BevGrid
from openpair.errors import OpenPairError
from openpair.nn.backbone import BackboneFeatures
from openpair.nn.backbones import build_backbone, features_read
from openpair.nn.ground import BevGround, Ground
from openpair.nn.heads import AgentHead
from openpair.nn.perception_loss import agent_loss, bev_semantic_loss
from openpair.nn.trunk_config import SceneTrunkConfig, VectorTrunkConfig
from openpair.nn.vector_encoder import VectorEncoder, VectorOutput, forecast_loss

STATUS_SIZE = 8


def crop(bev: Tensor, grid: BevGrid, part: BevGrid) -> Tensor:
    """The cells of a map (B, C, X, Y) over ``grid`` that lie in the rectangle of ``part``.

    Raises OpenPairError where that rectangle does not begin and end between two cells of the map.
    """
    cells = grid.with_shape(bev.shape[-2], bev.shape[-1])
    dx, dy = cells.cell_size_m
    edges = (
        (part.x_min_m - grid.x_min_m) / dx,
        (part.x_max_m - grid.x_min_m) / dx,
        (part.y_min_m - grid.y_min_m) / dy,
        (part.y_max_m - grid.y_min_m) / dy,
    )
    top, bottom, right, left = (round(edge) for edge in edges)
    inside = 0 <= top < bottom <= cells.rows and 0 <= right < left <= cells.columns
    if not inside or any(abs(edge - round(edge)) > 1e-6 for edge in edges):
        raise OpenPairError(
            f"the semantic map's rectangle {part} is no whole number of cells of {cells}",
            where="map_grid",
            fix="choose a rectangle within the LiDAR raster's",
        )
    return bev[:, :, top:bottom, right:left]


@dataclass(frozen=True)
class TrunkOutput:
    """What a trunk yields.

    Attributes:
        queries: (B, 1 + A, D) decoded queries: the ego's, then the agents'.
        keyval: (B, K, D) tokens as the decoder sees them. Sensors: bird's-eye-view tokens (row by row), image tokens
            where the backbone has any, and the status token. Truth: agents, lanes, edges and the status.
        backbone: the maps they were made from; None without sensors.
        vectors: what the vector encoder yields; None with sensors.
    """

    queries: Tensor
    keyval: Tensor
    backbone: BackboneFeatures | None
    vectors: VectorOutput | None = None

    @property
    def bev(self) -> Tensor:
        """(B, C, X, Y) bird's-eye-view map, which only encoders of sensors have."""
        assert self.backbone is not None
        return self.backbone.bev

    @property
    def queries_there(self) -> Tensor | None:
        """(B, 1 + A) bool, False for padding; None where there is none."""
        return None if self.vectors is None else self.vectors.queries_there

    @property
    def keyval_there(self) -> Tensor | None:
        """(B, K) bool, likewise."""
        return None if self.vectors is None else self.vectors.keyval_there


class PerceptionTrunk(nn.Module):
    """Features -> queries, with auxiliary outputs: agents and semantic map of sensors, the agents' forecast of the
    truth. The configuration's class says which of both it reads."""

    def __init__(self, config: SceneTrunkConfig) -> None:
        super().__init__()
        self.trunk_config = config
        self.vectors = VectorEncoder(config) if isinstance(config, VectorTrunkConfig) else None
        if isinstance(config, VectorTrunkConfig):
            return
        self._backbone = build_backbone(config.backbone)
        rows, columns = self._backbone.fused_size
        extra = self._backbone.num_tokens
        self._keyval_embedding = nn.Embedding(rows * columns + extra + 1, config.d_model)
        if extra:
            self._image_projection = nn.Linear(self._backbone.token_channels, config.d_model)
        self._query_embedding = nn.Embedding(1 + config.num_agents, config.d_model)
        self._bev_downscale = nn.Conv2d(self._backbone.fused_channels, config.d_model, 1)
        self._status_encoding = nn.Linear(STATUS_SIZE, config.d_model)
        bev_channels = config.backbone.bev_channels
        self._bev_semantic_head = nn.Sequential(
            nn.Conv2d(bev_channels, bev_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(bev_channels, config.map_classes, 1),
            nn.Upsample((config.map_grid.rows, config.map_grid.columns), mode="bilinear", align_corners=False),
        )
        layer = nn.TransformerDecoderLayer(config.d_model, config.heads, config.d_ffn, config.dropout, batch_first=True)
        self._tf_decoder = nn.TransformerDecoder(layer, config.layers)
        self._agent_head = AgentHead(config.d_model, config.d_ffn, config.agent_range_m)

    @property
    def reads(self) -> frozenset[str]:
        """Names of the features that the network reads."""
        if isinstance(self.trunk_config, VectorTrunkConfig):
            return VectorEncoder.reads
        return features_read(self.trunk_config.backbone)

    def trunk(self, features: Mapping[str, Tensor]) -> TrunkOutput:
        """Run encoder and decoder; features as in :class:`openpair.policies.base.ImitationPolicy`."""
        if self.vectors is not None:
            seen: VectorOutput = self.vectors(features)
            return TrunkOutput(seen.queries, seen.keyval, None, seen)
        maps = self._backbone(features["camera_feature"], features.get("lidar_feature"))
        bev_tokens = self._bev_downscale(maps.fused).flatten(2).transpose(1, 2)
        status_token = self._status_encoding(features["status_feature"])[:, None]
        parts = [bev_tokens, status_token]
        if maps.image_tokens is not None:
            parts.insert(1, self._image_projection(maps.image_tokens))
        keyval = torch.cat(parts, dim=1) + self._keyval_embedding.weight
        queries = self._query_embedding.weight.expand(keyval.shape[0], -1, -1)
        return TrunkOutput(self._tf_decoder(queries, keyval), keyval, maps)

    def ground(self, output: TrunkOutput) -> Ground:
        """What plans see of the ground where they lead."""
        if isinstance(self.trunk_config, VectorTrunkConfig):
            assert output.vectors is not None
            return output.vectors.surroundings
        return BevGround(output.bev, self.trunk_config.backbone.lidar_grid)

    def perceive(self, output: TrunkOutput) -> dict[str, Tensor]:
        """Sensors: ``agent_states`` (B, A, 5), logits ``agent_labels`` (B, A) and ``bev_semantic_map`` (B, classes, H,
        W). Truth: ``agent_forecast`` (B, A, 8, 3)."""
        if isinstance(self.trunk_config, VectorTrunkConfig):
            assert self.vectors is not None and output.vectors is not None
            return {"agent_forecast": self.vectors.forecast(output.vectors)}
        states, labels = self._agent_head(output.queries[:, 1:])
        bev = output.bev
        if self.trunk_config.align_map:
            bev = crop(bev, self.trunk_config.backbone.lidar_grid, self.trunk_config.map_grid)
        semantic_map = self._bev_semantic_head(bev)
        return {"agent_states": states, "agent_labels": labels, "bev_semantic_map": semantic_map}

    def perception_terms(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Unweighted losses (of sensors ``agent_class``, ``agent_box``, ``bev_ce``; of the truth ``forecast_m``) and
        their weighted sum ``perception``.

        Where the batch is a part of one, targets may hold ``NAME_count``: what a loss divides by instead of how many
        entries of target NAME are there.
        """
        if isinstance(self.trunk_config, VectorTrunkConfig):
            error = forecast_loss(
                outputs["agent_forecast"],
                targets["agent_future"],
                targets["agent_future_seen"],
                targets.get("agent_future_seen_count"),
            )
            return {"forecast_m": error, "perception": self.trunk_config.forecast_weight * error}
        agent_class, agent_box = agent_loss(
            outputs["agent_states"],
            outputs["agent_labels"],
            targets["agent_states"],
            targets["agent_labels"],
            targets.get("agent_labels_count"),
        )
        bev = bev_semantic_loss(outputs["bev_semantic_map"], targets["bev_semantic_map"])
        config = self.trunk_config
        total = (
            config.agent_class_weight * agent_class
            + config.agent_box_weight * agent_box
            + config.bev_semantic_weight * bev
        )
        return {"agent_class": agent_class, "agent_box": agent_box, "bev_ce": bev, "perception": total}
