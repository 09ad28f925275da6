"""What the world promises about its drivers, measured with the scorer."""

from __future__ import annotations

import numpy as np
import pytest

from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.columns import Protocol
from openpair.preparation.prepare import prepare_scene
from openpair.scoring.score import score_prepared


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_humans_drive_safely_but_leave_room(split: str) -> None:
    world = WorldDataset(split, max_scenes=24)
    metrics: dict[str, list[float]] = {}
    for key in world.keys():
        scene = world.load_scene(key.token)
        for protocol in Protocol:
            scores = score_prepared(prepare_scene(scene, protocol), scene.human_trajectory()[None], human_filter=False)
            for name, value in scores.metrics.items():
                metrics.setdefault(f"{protocol.value} {name}", []).append(float(value[0]))
    mean = {name: float(np.mean(values)) for name, values in metrics.items()}
    assert mean["v1.1 no_at_fault_collisions"] == 1.0
    assert mean["v1.1 drivable_area_compliance"] == 1.0
    assert mean["v2.2 traffic_light_compliance"] >= 0.95
    assert 0.7 < mean["v1.1 ego_progress"] < 0.99


def test_few_scenes_stand_still() -> None:
    for split in ("train", "val", "test"):
        world = WorldDataset(split, max_scenes=1000)
        moved = []
        for key in world.keys():
            plan = world.load_scene(key.token).human_trajectory()[:, :2]
            moved.append(np.hypot(*np.diff(plan, axis=0, prepend=0.0).T).sum())
        assert np.mean(np.array(moved) < 0.5) <= 0.05
