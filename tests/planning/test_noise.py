"""What a policy draws for a scene follows from seed and inputs: not from its token, nor from the rest of the batch."""

from __future__ import annotations

import torch

from openpair.planning.noise import drawn_for, scene_seeds
from openpair.policies.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig


def features(batch: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "camera_feature": torch.rand(batch, 3, 8, 8, generator=generator),
        "lidar_feature": torch.randint(0, 6, (batch, 1, 128, 128), generator=generator) / 5,
        "status_feature": torch.rand(batch, 8, generator=generator) * 10,
    }


def test_seeds_do_not_depend_on_the_batch() -> None:
    together = features(5)
    alone = [scene_seeds({k: v[i : i + 1] for k, v in together.items()}, 3)[0] for i in range(5)]
    assert scene_seeds(together, 3) == alone and len(set(alone)) == 5
    assert not set(alone) & set(scene_seeds(together, 4))


def test_rounding_errors_and_images_change_nothing_and_the_sensors_do() -> None:
    one = features(2)
    nearly = {**one, "status_feature": one["status_feature"] * (1 + 1e-7), "camera_feature": 1 - one["camera_feature"]}
    assert scene_seeds(nearly, 0) == scene_seeds(one, 0)
    assert scene_seeds({**one, "lidar_feature": one["lidar_feature"].flip(0)}, 0) != scene_seeds(one, 0)


def test_only_policies_with_randomness_draw() -> None:
    one = features(2)
    assert drawn_for(Transfuser(TransfuserConfig.small()), one, 0) == {}
    policy = DiffusionDrive(DiffusionDriveConfig.small(), torch.zeros(20, 8, 2)).eval()
    drawn = drawn_for(policy, one, 0)["noise"]
    assert drawn.shape == (2, 20, 8, 2)
    second = drawn_for(policy, {name: value[1:] for name, value in one.items()}, 0)["noise"]
    assert torch.equal(drawn[1:], second)
