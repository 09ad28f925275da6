"""A small run: two seeds of made-up plans over a few scenes of the test towns, scored for real."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openpair.datasets.world.dataset import WorldDataset
from openpair.training.data import DataSpec

SCENES = DataSpec(options={"split": "test", "towns": ["agate"], "max_scenes": 8})
SEEDS = (0, 1)


@dataclass(frozen=True)
class SmallRun:
    """A run folder with the dataset it is about."""

    folder: Path
    dataset: WorldDataset


def made_up_plans(seed: int, dataset: WorldDataset) -> dict[str, np.ndarray]:
    """Plans near the human's, (N, 8, 3) or (N, C, 8, 3) by agent: slower ones for IL, nearly the human's for PaIR."""
    human = np.stack([dataset.load_scene(key.token).human_trajectory() for key in dataset.keys()])
    generator = np.random.default_rng(seed)
    noise = [0.02 * generator.standard_normal(human.shape) for _ in range(4)]
    slower = human * np.array([0.8, 1.0, 1.0])
    return {
        "transfuser.il": slower + noise[0],
        "transfuser.il_rwm_mild": 0.9 * human + noise[1],
        "transfuser.il_rwm_wide": 0.95 * human + noise[1],
        "transfuser.sequential": slower + noise[2],
        "transfuser.pair": human + noise[3],
        "transfuser.pair_best_of_6": np.stack([s * human for s in (0.5, 0.7, 0.8, 0.9, 1.0, 1.1)], axis=1),
        "diffusiondrive.il": slower + noise[1],
        "diffusiondrive.pair": human + noise[2],
        "human.human_pair": human + 0.5 * noise[0],
    }
