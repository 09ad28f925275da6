"""A light backbone that puts camera features onto the ground by calibration, beside the LiDAR raster.

Where TransFuser has to learn which pixel lies where, this backbone knows it; it needs far fewer scenes and far less
computation. Same outputs as :class:`openpair.nn.backbone.TransfuserBackbone`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.datatypes.bev_grid import BevGrid
from openpair.nn.backbone import BackboneFeatures
from openpair.nn.ground_lift import GroundView, ground_in_front_view, lift, seen_mask

NEAR_GRID = BevGrid(x_min_m=-8.0, x_max_m=56.0, rows=128, columns=128)
"""0.5 m cells over 64 x 64 m, most of it ahead: where the plans of the next 4 s go."""


@dataclass(frozen=True)
class LiftBackboneConfig:
    """Size of the backbone.

    Attributes:
        views: calibration of the front view.
        lidar_grid: raster of ``lidar_feature``; rows and columns are multiples of 16.
        lidar_channels: channels of ``lidar_feature``.
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


class LiftBackbone(nn.Module):
    """Camera (B, 3, H, W) and LiDAR raster (B, C, X, Y) -> fused (B, widths[3], X/16, Y/16), bev (B, c, X/2, Y/2)."""

    fine_sampling: Tensor
    coarse_sampling: Tensor
    coarse_seen: Tensor

    def __init__(self, config: LiftBackboneConfig) -> None:
        super().__init__()
        self.config = config
        grid = config.lidar_grid
        fine = torch.from_numpy(ground_in_front_view(config.views, grid))
        coarse = torch.from_numpy(
            ground_in_front_view(config.views, grid.with_shape(grid.rows // 2, grid.columns // 2))
        )
        # Rows behind the first one that a camera sees are left out of the lookups.
        self.first_row = 2 * int(torch.nonzero(seen_mask(coarse).any(dim=1))[0])
        self.register_buffer("fine_sampling", fine[self.first_row :], persistent=False)
        self.register_buffer("coarse_sampling", coarse[self.first_row // 2 :], persistent=False)
        self.register_buffer("coarse_seen", seen_mask(coarse)[None, None], persistent=False)

        strides = (config.stem_stride, 2, 2, 2)
        inputs = (3, *config.image_widths)
        self.image_stages = nn.ModuleList(
            _conv(inputs[i], config.image_widths[i], stride) for i, stride in enumerate(strides)
        )
        self.to_ground = nn.ModuleList(nn.Conv2d(w, config.lift_channels, 1) for w in config.image_widths[:3])

        widths = config.widths
        self.stem = _conv(config.lidar_channels + config.lift_channels, widths[0], 2)
        self.join = _conv(widths[0] + 2 * config.lift_channels + 1, widths[0], 1, kernel=1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *([] if i == 0 else [_conv(widths[i - 1], widths[i], 2)]),
                *(ResidualBlock(widths[i]) for _ in range(config.blocks[i])),
            )
            for i in range(4)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(w, config.bev_channels, 1) for w in widths)
        self.smooth = _conv(config.bev_channels, config.bev_channels, 1)
        self.to(memory_format=torch.channels_last)  # a third faster on a CPU

    @property
    def fused_channels(self) -> int:
        """Channels of the coarse map."""
        return self.config.widths[-1]

    @property
    def fused_size(self) -> tuple[int, int]:
        """Rows and columns of the coarse map."""
        grid = self.config.lidar_grid
        return grid.rows // 16, grid.columns // 16

    @property
    def token_channels(self) -> int:
        """Channels of the image tokens."""
        return self.config.image_widths[-1]

    @property
    def num_tokens(self) -> int:
        """Image tokens."""
        return self.config.image_tokens[0] * self.config.image_tokens[1]

    def forward(self, camera_feature: Tensor, lidar_feature: Tensor | None) -> BackboneFeatures:
        """Encode the image, put it onto the ground beside the LiDAR raster, encode the ground."""
        assert lidar_feature is not None, "lidar_feature is needed"
        image_maps = []
        image = camera_feature.contiguous(memory_format=torch.channels_last)
        for stage in self.image_stages:
            image = stage(image)
            image_maps.append(image)
        fine = self._on_ground(0, image_maps[0], self.fine_sampling, self.first_row)
        x = self.stem(torch.cat((lidar_feature, fine), dim=1).contiguous(memory_format=torch.channels_last))
        coarse = [self._on_ground(i, image_maps[i], self.coarse_sampling, self.first_row // 2) for i in (1, 2)]
        seen = self.coarse_seen.to(x.dtype).expand(x.shape[0], -1, -1, -1)
        x = self.join(torch.cat((x, *coarse, seen), dim=1))

        ground_maps = []
        for stage in self.stages:
            x = stage(x)
            ground_maps.append(x)
        bev = self.laterals[3](x)
        for i in (2, 1, 0):
            lateral = self.laterals[i](ground_maps[i])
            bev = lateral + F.interpolate(bev, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        tokens = None
        if self.num_tokens:
            tokens = F.adaptive_avg_pool2d(image, self.config.image_tokens).flatten(2).transpose(1, 2)
        return BackboneFeatures(fused=x, upsample=partial(self.smooth, bev), stages=[], image_tokens=tokens)

    def _on_ground(self, level: int, image: Tensor, sampling: Tensor, first_row: int) -> Tensor:
        lifted = lift(self.to_ground[level](image), sampling)
        return F.pad(lifted, (0, 0, first_row, 0))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input passes. (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels, 1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.conv(self.first(x))))


def _conv(inputs: int, outputs: int, stride: int, *, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
