"""Random draws of policies: seeded scene by scene, by what every evaluator knows of a scene.

The seed of a scene follows from its inputs, not from its token or its place in a batch: NAVSIM hands over sensors
without tokens.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from openpair.policies.base import ImitationPolicy

STATUS_STEP = 1e-3
BLOCKS = 4
LEVELS = 255


def scene_seeds(features: Mapping[str, Tensor], seed: int) -> list[int]:
    """(B,) seeds of scenes.

    A digest of the status rounded to 0.001, and of how much the LiDAR raster holds in each of 4 x 4 parts. Both are
    whole numbers, the same however images are decoded and whatever else is in the batch.

    Args:
        features: ``status_feature`` (B, 8) and, where there is one, ``lidar_feature`` (B, C, X, Y) in [0, 1].
        seed: of the evaluation.
    """
    parts = [(features["status_feature"].double().cpu() / STATUS_STEP).round().long()]
    lidar = features.get("lidar_feature")
    if lidar is not None:
        counts = (lidar.double().cpu() * LEVELS).round()
        parts.append(adaptive_avg_pool2d(counts, BLOCKS).round().long().flatten(1))
    return [zlib.crc32(f"{seed}/{row}".encode()) for row in torch.cat(parts, dim=1).tolist()]


def drawn_for(policy: ImitationPolicy, features: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """All that a policy draws at random for B scenes, by name (B, ...); empty for policies without randomness."""
    if not policy.draw(0, torch.Generator()):
        return {}
    # Other networks of a planner may read more of a scene: what a policy draws does not depend on them.
    reads = getattr(policy, "reads", frozenset(features))
    seeds = scene_seeds({name: value for name, value in features.items() if name in reads}, seed)
    rows = [policy.draw(1, torch.Generator().manual_seed(own)) for own in seeds]
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
