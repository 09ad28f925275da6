"""DiffusionDrive: TransFuser's scene, twenty anchored plans refined by truncated diffusion; the likeliest is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.datatypes.columns import NUM_POSES
from openpair.datatypes.settings import later
from openpair.errors import OpenPairError
from openpair.nn.ground_view import ground_views
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk import PerceptionTrunk, TrunkOutput
from openpair.nn.trunk_config import TrunkConfig
from openpair.policies.anchors import fit_anchors, read_anchors
from openpair.policies.base import HumanPlans, ImitationPolicy
from openpair.policies.config import PolicyConfig
from openpair.policies.diffusion_head import DiffusionHead, focal_loss
from openpair.policies.truncated_diffusion import (
    add_noise,
    alphas_cumprod,
    ddim_step,
    denormalise,
    normalise,
)
from openpair.sensors.rig import standard_cameras


@dataclass(frozen=True)
class DiffusionDriveConfig(PolicyConfig):
    """Size, diffusion and loss weights. The defaults are the published network.

    Attributes:
        trunk: backbone, decoder and perception heads, with their loss weights.
        num_anchors: modes.
        layers, heads, d_ffn, dropout: the plan decoder.
        start_step: diffusion step whose noise the anchors get at inference.
        denoise_steps: steps at which the network is run at inference, noisiest first.
        train_steps: training draws its step from 0 .. train_steps - 1.
        trajectory_weight: weight of the plans' loss.
        class_weight, regression_weight: of its two parts.
        value_kernel: side of the convolution over what the plans look up [cells]. On a CPU the published one, at the
            small network's fine map, costs more than everything else together.
    """

    trunk: TrunkConfig = field(default_factory=lambda: TrunkConfig(bev_semantic_weight=14.0))
    num_anchors: int = 20
    layers: int = 2
    heads: int = 8
    d_ffn: int = 1024
    dropout: float = 0.1
    start_step: int = 8
    denoise_steps: tuple[int, ...] = (10, 0)
    train_steps: int = 50
    trajectory_weight: float = 12.0
    class_weight: float = 10.0
    regression_weight: float = 8.0
    value_kernel: int = later(3)

    @staticmethod
    def published() -> DiffusionDriveConfig:
        """The released network (61 million parameters)."""
        return DiffusionDriveConfig()

    @staticmethod
    def small(layout: InputLayout | None = None) -> DiffusionDriveConfig:
        """The demo's size (:func:`openpair.nn.presets.small_trunk`), for the standard cameras unless said."""
        trunk = small_trunk(layout or InputLayout(ground_views(standard_cameras())))
        return DiffusionDriveConfig(trunk=trunk, heads=4, d_ffn=256, dropout=0.0, value_kernel=1)


class DiffusionDrive(PerceptionTrunk, ImitationPolicy):
    """Outputs ``trajectory`` (B, 20, 8, 3) all plans, ``best_trajectory`` (B, 8, 3), ``mode`` (B,), ``mode_logits``
    (B, 20) and the perception outputs; while training also ``layer{i}_reg`` and ``layer{i}_cls`` of each layer.

    The only randomness is the noise on the anchors.

    Args:
        config: size; the published one unless said.
        anchors: (num_anchors, 8, 2) x, y [m], k-means centres of the user's own training plans. They are part of a
            checkpoint; without them they are 0 until one is loaded.
    """

    kind: ClassVar[str] = "diffusiondrive"
    config_class = DiffusionDriveConfig
    telling_parameter = "_trajectory_head.plan_anchor"

    def __init__(self, config: DiffusionDriveConfig | None = None, anchors: Tensor | None = None) -> None:
        own = config or DiffusionDriveConfig.published()
        super().__init__(own.trunk)
        self.config = own
        d = own.trunk.d_model
        self.bev_proj = nn.Sequential(nn.Linear(d + own.trunk.backbone.bev_channels, d), nn.ReLU(), nn.LayerNorm(d))
        if anchors is None:
            anchors = torch.zeros(own.num_anchors, NUM_POSES, 2)
        grid = own.trunk.backbone.lidar_grid
        self._trajectory_head = DiffusionHead(
            anchors, d, own.heads, own.d_ffn, own.layers, own.dropout, grid, own.value_kernel
        )
        self.register_buffer("signal", alphas_cumprod(), persistent=False)

    signal: Tensor

    @classmethod
    def from_training(
        cls, config: DiffusionDriveConfig, train: HumanPlans, *, seed: int, fitted: Path | None = None
    ) -> DiffusionDrive:
        """A fresh network whose anchors are those of a file, or fitted to what humans drove.

        Raises OpenPairError for a file with another number of anchors.
        """
        if fitted is None:
            return cls(config, fit_anchors(train.human_plans(), config.num_anchors, seed=seed))
        anchors = read_anchors(fitted)
        if len(anchors) != config.num_anchors:
            raise OpenPairError(
                f"the file holds {len(anchors)} anchors, the policy has {config.num_anchors} modes",
                where=fitted,
                fix=f"openpair fit-anchors --count {config.num_anchors}",
            )
        return cls(config, anchors)

    def forward(
        self, *, noise: Tensor | None = None, timesteps: Tensor | None = None, **features: Tensor
    ) -> dict[str, Tensor]:
        """``camera_feature``, ``lidar_feature``, ``status_feature`` -> outputs by name.

        Args:
            noise: (B, 20, 8, 2) standard normal noise of the anchors; drawn from torch's generator where left out.
            timesteps: (B,) diffusion steps of a training pass; drawn where left out.
        """
        output, values = self._see(features)
        batch = output.queries.shape[0]
        anchors = normalise(self._trajectory_head.plan_anchor).expand(batch, -1, -1, -1)
        if noise is None:
            noise = torch.randn(anchors.shape, device=anchors.device)
        perception = self.perceive(output)
        if self.training:
            if timesteps is None:
                timesteps = torch.randint(0, self.config.train_steps, (batch,), device=anchors.device)
            layers = self._train_pass(anchors, noise, timesteps, values, output.queries)
            by_layer = {f"layer{i}_reg": plans for i, (plans, _) in enumerate(layers)}
            by_layer |= {f"layer{i}_cls": logits for i, (_, logits) in enumerate(layers)}
            plans, logits = layers[-1]
        else:
            by_layer = {}
            plans, logits = self.denoised(noise, values, output.queries)
        mode, best = likeliest(plans, logits)
        return {
            "trajectory": plans,
            "best_trajectory": best,
            "mode": mode,
            "mode_logits": logits,
            **by_layer,
            **perception,
        }

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """``noise``, and while training ``timesteps``."""
        shape = (count, *self._trajectory_head.plan_anchor.shape)
        drawn = {"noise": torch.randn(shape, generator=generator, device=generator.device)}
        if self.training:
            steps = torch.randint(0, self.config.train_steps, (count,), generator=generator, device=generator.device)
            drawn["timesteps"] = steps
        return drawn

    def plan(self, *, noise: Tensor | None = None, timesteps: Tensor | None = None, **features: Tensor) -> Tensor:
        """The likeliest plan (B, 8, 3). In eval mode the perception heads are not run."""
        if self.training:
            return self(noise=noise, timesteps=timesteps, **features)["best_trajectory"]
        output, values = self._see(features)
        if noise is None:
            anchors = self._trajectory_head.plan_anchor
            noise = torch.randn(len(output.queries), *anchors.shape, device=anchors.device)
        return likeliest(*self.denoised(noise, values, output.queries))[1]

    def _see(self, features: Mapping[str, Tensor]) -> tuple[TrunkOutput, list[Tensor]]:
        """What the trunk makes of the features, and the value maps of each layer."""
        output = self.trunk(features)
        return output, self._trajectory_head.diff_decoder.values(self._scene_map(output))

    def _scene_map(self, output: TrunkOutput) -> Tensor:
        """(B, D, X, Y): coarse tokens and fine map together.

        The first layer would read both side by side, the tokens resized. It is linear, so is resizing: the tokens'
        part is computed before they are resized, at 1/64 of the cost.
        """
        rows, columns = self._backbone.fused_size
        first: Any = self.bev_proj[0]
        from_tokens, from_fine = first.weight.split((output.keyval.shape[-1], output.bev.shape[1]), dim=1)
        tokens = F.linear(output.keyval[:, : rows * columns], from_tokens, first.bias)
        tokens = tokens.transpose(1, 2).unflatten(2, (rows, columns)).contiguous(memory_format=torch.channels_last)
        fine = output.bev
        coarse = F.interpolate(tokens, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        scene = coarse.permute(0, 2, 3, 1) + F.linear(fine.permute(0, 2, 3, 1), from_fine)
        for layer in self.bev_proj[1:]:
            scene = layer(scene)
        return scene.permute(0, 3, 1, 2)

    def _train_pass(
        self, anchors: Tensor, noise: Tensor, timesteps: Tensor, values: list[Tensor], queries: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        noised = add_noise(anchors, noise, self.signal[timesteps][:, None, None, None])
        return self._trajectory_head.decode(denormalise(noised.clamp(-1, 1)), timesteps, values, queries)

    def denoised(self, noise: Tensor, values: list[Tensor], queries: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (B, M, 8, 2), value maps of each layer and queries -> plans (B, M, 8, 3) and their logits (B, M)."""
        anchors = normalise(self._trajectory_head.plan_anchor).expand_as(noise)
        x = add_noise(anchors, noise, self.signal[self.config.start_step])
        plans, logits = x, x
        for step in self.config.denoise_steps:
            points = denormalise(x.clamp(-1, 1))
            steps = torch.full((x.shape[0],), step, device=x.device)
            plans, logits = self._trajectory_head.decode(points, steps, values, queries)[-1]
            if step > 0:
                # One step less noise, whatever the next step is: the published schedule.
                x = ddim_step(x, normalise(plans[..., :2]), self.signal[step], self.signal[step - 1])
        return plans, logits

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` = 12 * sum of ``trajectory_loss_i`` over layers + perception (published weights).

        The mode whose anchor is nearest to the human plan is the right one: it gets the L1 loss and the class.
        """
        target = targets["trajectory"]
        anchors = self._trajectory_head.plan_anchor
        distance = (target[:, None, :, :2] - anchors).norm(dim=-1).mean(dim=-1)
        mode = distance.argmin(dim=1)
        terms = {}
        for i in range(self.config.layers):
            plans, logits = outputs[f"layer{i}_reg"].float(), outputs[f"layer{i}_cls"].float()
            one_hot = F.one_hot(mode, logits.shape[1]).to(logits)
            nearest = plans[torch.arange(len(mode), device=mode.device), mode]
            terms[f"trajectory_loss_{i}"] = self.config.class_weight * focal_loss(
                logits, one_hot
            ) + self.config.regression_weight * F.l1_loss(nearest, target)
        trajectory = sum(terms.values(), start=target.new_zeros(()))
        perception = self.perception_terms(outputs, targets)
        total = self.config.trajectory_weight * trajectory + perception.pop("perception")
        return {"loss": total, **terms, **perception}


def likeliest(plans: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Plans (B, M, 8, 3) with logits (B, M) -> the likeliest's index (B,) and plan (B, 8, 3)."""
    mode = logits.argmax(dim=1)
    return mode, plans[torch.arange(len(mode), device=mode.device), mode]
