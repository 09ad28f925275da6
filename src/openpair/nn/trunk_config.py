"""Sizes of encoders: what a trunk and its backbone are built from. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from openpair.datatypes.bev_grid import FRONT_MAP_GRID, LIDAR_GRID, BevGrid
from openpair.datatypes.known_input import KnownConfig
from openpair.nn.ground_view import GroundView


@dataclass(frozen=True)
class TransfuserBackboneConfig:
    """Size of the backbone. The defaults are the published network.

    Attributes:
        image_encoder, lidar_encoder: timm names; both need the same channels per stage.
        lidar_grid: the raster of ``lidar_feature``.
        lidar_channels: channels of ``lidar_feature``.
        image_tokens, lidar_tokens: (rows, columns) to which maps are pooled for fusion; ``lidar_tokens`` is also the
            size of the fused map.
        fusion_layers, fusion_heads, fusion_mlp_ratio: the fusion transformers.
        dropout: in the fusion transformers, while training.
        bev_channels: channels of the upsampled bird's-eye-view map.
        latent: a learned raster instead of LiDAR (the camera-only "Latent TransFuser").
        pretrained: start the image encoder from timm's ImageNet weights (downloads them).
    """

    image_encoder: str = "resnet34"
    lidar_encoder: str = "resnet34"
    lidar_grid: BevGrid = field(default_factory=lambda: LIDAR_GRID)
    lidar_channels: int = 1
    image_tokens: tuple[int, int] = (8, 32)
    lidar_tokens: tuple[int, int] = (8, 8)
    fusion_layers: int = 2
    fusion_heads: int = 4
    fusion_mlp_ratio: int = 4
    dropout: float = 0.1
    bev_channels: int = 64
    latent: bool = False
    pretrained: bool = False


NEAR_GRID = BevGrid(x_min_m=-8.0, x_max_m=56.0, rows=128, columns=128)
"""0.5 m cells over 64 x 64 m, most of it ahead: where the plans of the next 4 s go."""


@dataclass(frozen=True)
class LiftBackboneConfig:
    """Size of the backbone.

    Attributes:
        views: calibration of the front view.
        lidar_grid: raster of ``lidar_feature``; rows and columns are multiples of 16.
        lidar_channels: channels of ``lidar_feature``; 0 for a network without LiDAR.
        stem_stride: stride of the first image layer: 1 for images 64 rows high, 2 for 128.
        image_widths: channels of four image stages, each half as large as the one before.
        lift_channels: channels that each of the first three image stages puts onto the ground.
        image_tokens: (rows, columns) to which the last image stage is pooled for the decoder (lights, far traffic);
            (0, 0) for none.
        widths: channels of four stages of the ground encoder, at strides 2, 4, 8, 16 of the raster.
        blocks: residual blocks of these stages.
        bev_channels: channels of the fine output map, at stride 2.
    """

    views: tuple[GroundView, ...]
    lidar_grid: BevGrid = NEAR_GRID
    lidar_channels: int = 1
    stem_stride: int = 1
    image_widths: tuple[int, int, int, int] = (16, 24, 32, 64)
    lift_channels: int = 16
    image_tokens: tuple[int, int] = (2, 16)
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    bev_channels: int = 32


BackboneConfig = TransfuserBackboneConfig | LiftBackboneConfig


def without_lidar(backbone: BackboneConfig) -> BackboneConfig:
    """The same backbone on cameras alone."""
    if isinstance(backbone, TransfuserBackboneConfig):
        return replace(backbone, latent=True)
    return replace(backbone, lidar_channels=0)


@dataclass(frozen=True)
class TrunkConfig:
    """Size of the trunk. The defaults are the published network.

    Attributes:
        backbone: the sensor backbone.
        d_model, d_ffn, layers, heads, dropout: the token decoder.
        num_agents: agent queries.
        agent_range_m: agent positions are limited to +- this [m].
        map_grid: raster of the semantic map that the head predicts. The published map covers the 32 m ahead while the
            features cover +-32 m.
        map_classes: classes of that map.
        align_map: cut the features to the rectangle of ``map_grid`` before the head; False in the published network.
        agent_class_weight, agent_box_weight, bev_semantic_weight: weights of the perception losses.
    """

    backbone: BackboneConfig = field(default_factory=TransfuserBackboneConfig)
    d_model: int = 256
    d_ffn: int = 1024
    layers: int = 3
    heads: int = 8
    dropout: float = 0.0
    num_agents: int = 30
    agent_range_m: float = 32.0
    map_grid: BevGrid = field(default_factory=lambda: FRONT_MAP_GRID)
    map_classes: int = 7
    align_map: bool = False
    agent_class_weight: float = 10.0
    agent_box_weight: float = 1.0
    bev_semantic_weight: float = 10.0

    @property
    def ground_channels(self) -> int:
        """Numbers that a look at a pose gives: channels of the bird's-eye-view map."""
        return self.backbone.bev_channels

    @property
    def looks_beside_m(self) -> tuple[float, ...]:
        """Where a plan's correction looks at the ground, to the left of its poses [m]."""
        return (-2.0, 0.0, 2.0)


@dataclass(frozen=True)
class VectorTrunkConfig:
    """Size of the encoder.

    Attributes:
        d_model, d_ffn, layers, heads, dropout: of the tokens and of the decoder that attends to them.
        points: of a piece of a polyline (:class:`openpair.features.known.KnownConfig`).
        forecast_weight: weight of the agents' forecast among the auxiliary losses [1/m].
    """

    d_model: int = 64
    d_ffn: int = 128
    layers: int = 2
    heads: int = 4
    dropout: float = 0.0
    points: int = KnownConfig().points
    forecast_weight: float = 0.5

    @property
    def ground_channels(self) -> int:
        """Numbers that a look at a pose gives."""
        from openpair.nn.surroundings import CHANNELS

        return CHANNELS

    @property
    def looks_beside_m(self) -> tuple[float, ...]:
        """Where a plan's correction looks, to the left of its poses [m]; what lies beside is in the numbers already."""
        return (0.0,)


SceneTrunkConfig = TrunkConfig | VectorTrunkConfig
"""What a network's encoder reads and how large it is."""
