"""A light backbone that puts camera features onto the ground by calibration, beside the LiDAR raster.

Where TransFuser has to learn which pixel lies where, this backbone knows it; it needs far fewer scenes and far less
computation. Same outputs as :class:`openpair.nn.backbone.TransfuserBackbone`.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.nn.backbone import BackboneFeatures
from openpair.nn.fixed_lookup import FixedLookup
from openpair.nn.ground_lift import UNSEEN, ground_in_front_view, lift, seen_mask
from openpair.nn.trunk_config import LiftBackboneConfig


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
        self._lookups: dict[tuple[int, tuple[int, int]], FixedLookup] = {}

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
        """Encode the image, put it onto the ground beside the LiDAR raster, where there is one, encode the ground."""
        image_maps = []
        image = camera_feature.contiguous(memory_format=torch.channels_last)
        for stage in self.image_stages:
            image = stage(image)
            image_maps.append(image)
        ground = self._on_ground(0, image_maps[0], self.fine_sampling, self.first_row)
        if self.config.lidar_channels:
            assert lidar_feature is not None, "lidar_feature is needed"
            ground = side_by_side(lidar_feature, ground)
        x = self.stem(ground.contiguous(memory_format=torch.channels_last))
        coarse = [self._on_ground(i, image_maps[i], self.coarse_sampling, self.first_row // 2) for i in (1, 2)]
        seen = self.coarse_seen.to(x.dtype).expand(x.shape[0], -1, -1, -1)
        x = self.join(side_by_side(x, *coarse, seen))

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
        maps = self.to_ground[level](image)
        if maps.requires_grad and maps.device.type == "cpu":
            return self._fixed_lookup(level, sampling, first_row, maps)(maps.float())
        return F.pad(lift(maps, sampling), (0, 0, first_row, 0))

    def _fixed_lookup(self, level: int, sampling: Tensor, first_row: int, maps: Tensor) -> FixedLookup:
        """The lookup of a level, made when it is first trained."""
        size = maps.shape[-2], maps.shape[-1]
        if (level, size) not in self._lookups:
            points = F.pad(sampling, (0, 0, 0, 0, first_row, 0), value=UNSEEN)
            self._lookups[level, size] = FixedLookup(points, size)
        return self._lookups[level, size]


def side_by_side(*maps: Tensor) -> Tensor:
    """Maps (B, C_i, h, w) -> (B, sum of C_i, h, w), channels last whatever they are."""
    return torch.cat([m.permute(0, 2, 3, 1) for m in maps], dim=-1).permute(0, 3, 1, 2)


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
