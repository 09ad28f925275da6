"""TransFuser's backbone: two convolutional encoders that exchange features after each of four stages.

Source of the architecture: Chitta et al., TransFuser (PAMI 2023), in the size NAVSIM uses. Parameter names are those
of the released checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.errors import OpenPairError
from openpair.nn.encoders import build_encoder, run_stage, stage_channels, stages
from openpair.nn.fusion import FusionTransformer
from openpair.nn.trunk_config import TransfuserBackboneConfig


@dataclass(frozen=True)
class BackboneFeatures:
    """What a backbone yields.

    Attributes:
        fused: (B, C, h, w) coarse map, rows along x from the rear, columns along y from the right.
        upsample: gives the fine map, for those who need it.
        stages: (camera, LiDAR) maps after each fusion, for inspection.
        image_tokens: (B, n, C') what the decoder sees of the image besides the ground, or None.
    """

    fused: Tensor
    upsample: Callable[[], Tensor]
    stages: list[tuple[Tensor, Tensor]]
    image_tokens: Tensor | None = None

    @cached_property
    def bev(self) -> Tensor:
        """(B, c, X/4, Y/4) fine map, oriented as the coarse one; computed when it is first asked for."""
        return self.upsample()


class TransfuserBackbone(nn.Module):
    """Camera (B, 3, H, W) and LiDAR raster (B, C, X, Y) -> :class:`BackboneFeatures`."""

    def __init__(self, config: TransfuserBackboneConfig) -> None:
        super().__init__()
        self.config = config
        grid = config.lidar_grid
        self.image_encoder = build_encoder(config.image_encoder, 3, pretrained=config.pretrained)
        self.lidar_encoder = build_encoder(config.lidar_encoder, 1 if config.latent else config.lidar_channels)
        channels = stage_channels(self.image_encoder)
        if stage_channels(self.lidar_encoder) != channels:
            raise OpenPairError(
                f"encoders '{config.image_encoder}' and '{config.lidar_encoder}' differ in channels per stage",
                where="image_encoder / lidar_encoder",
                fix="choose two networks of one width",
            )
        if any(c % config.fusion_heads for c in channels):
            raise OpenPairError(
                f"the stages' {', '.join(map(str, channels))} channels do not divide into {config.fusion_heads} heads",
                where="fusion_heads",
                fix="choose fewer heads or another encoder",
            )
        if config.latent:
            self.lidar_latent = nn.Parameter(torch.randn(1, 1, grid.rows, grid.columns))
        self.transformers = nn.ModuleList(
            FusionTransformer(
                c,
                config.image_tokens,
                config.lidar_tokens,
                layers=config.fusion_layers,
                heads=config.fusion_heads,
                mlp_ratio=config.fusion_mlp_ratio,
                dropout=config.dropout,
            )
            for c in channels
        )
        self.lidar_channel_to_img = nn.ModuleList(nn.Conv2d(c, c, 1) for c in channels)
        self.img_channel_to_lidar = nn.ModuleList(nn.Conv2d(c, c, 1) for c in channels)
        self.c5_conv = nn.Conv2d(channels[-1], config.bev_channels, 1)
        self.up_conv5 = nn.Conv2d(config.bev_channels, config.bev_channels, 3, padding=1)
        self.up_conv4 = nn.Conv2d(config.bev_channels, config.bev_channels, 3, padding=1)

    @property
    def fused_channels(self) -> int:
        """Channels of the coarse map."""
        return stage_channels(self.image_encoder)[-1]

    @property
    def fused_size(self) -> tuple[int, int]:
        """Rows and columns of the coarse map."""
        grid = self.config.lidar_grid
        return grid.rows // 32, grid.columns // 32

    @property
    def num_tokens(self) -> int:
        """Image tokens besides the fused map: none, the fused map holds the image."""
        return 0

    @property
    def token_channels(self) -> int:
        """Channels of the image tokens."""
        return 0

    def forward(self, camera_feature: Tensor, lidar_feature: Tensor | None) -> BackboneFeatures:
        """Run both encoders with fusion after each stage; ``lidar_feature`` is not read by the latent variant."""
        image = camera_feature
        if self.config.latent:
            lidar = self.lidar_latent.expand(image.shape[0], -1, -1, -1)
        else:
            assert lidar_feature is not None, "lidar_feature is needed unless the backbone is latent"
            lidar = lidar_feature
        fused_stages = self._encode(image, lidar)
        fused = fused_stages[-1][1]
        return BackboneFeatures(fused=fused, upsample=partial(self._upsample, fused), stages=fused_stages)

    def _encode(self, image: Tensor, lidar: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Maps of both encoders after each fusion."""
        fused_stages: list[tuple[Tensor, Tensor]] = []
        encoder_stages = zip(stages(self.image_encoder), stages(self.lidar_encoder), strict=True)
        for i, (image_stage, lidar_stage) in enumerate(encoder_stages):
            image, lidar = self._fuse(run_stage(image_stage, image), run_stage(lidar_stage, lidar), i)
            fused_stages.append((image, lidar))
        return fused_stages

    def _fuse(self, image: Tensor, lidar: Tensor, i: int) -> tuple[Tensor, Tensor]:
        image_tokens = F.adaptive_avg_pool2d(image, self.config.image_tokens)
        lidar_tokens = self.lidar_channel_to_img[i](F.adaptive_avg_pool2d(lidar, self.config.lidar_tokens))
        image_update, lidar_update = self.transformers[i](image_tokens, lidar_tokens)
        lidar_update = self.img_channel_to_lidar[i](lidar_update)
        return image + _resized_like(image_update, image), lidar + _resized_like(lidar_update, lidar)

    def _upsample(self, fused: Tensor) -> Tensor:
        """Feature pyramid: from stride 32 to stride 4 of the LiDAR raster."""
        p5 = F.relu(self.c5_conv(fused))
        p4 = F.relu(self.up_conv5(_resize(p5, (2 * p5.shape[-2], 2 * p5.shape[-1]))))
        grid = self.config.lidar_grid
        return F.relu(self.up_conv4(_resize(p4, (grid.rows // 4, grid.columns // 4))))


def _resized_like(x: Tensor, other: Tensor) -> Tensor:
    """``x`` at another map's size, laid out in memory as that map is: mixing layouts is slow."""
    if other.is_contiguous(memory_format=torch.channels_last):
        x = x.contiguous(memory_format=torch.channels_last)
    return _resize(x, other.shape[-2:])


def _resize(x: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False)
