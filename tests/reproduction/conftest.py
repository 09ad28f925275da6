"""The small run, scored once."""

from __future__ import annotations

import pytest
from small_run import SCENES, SEEDS, SmallRun, made_up_plans

from openpair.datasets.world.dataset import WorldDataset
from openpair.evaluation.plans_file import write_plans
from openpair.reproduction.scoring import score_seed


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Plans and scores of two seeds."""
    folder = tmp_path_factory.mktemp("run")
    dataset = WorldDataset(**SCENES.options, predecessors=True)
    tokens = [key.token for key in dataset.keys()]
    for seed in SEEDS:
        for name, poses in made_up_plans(seed, dataset).items():
            write_plans(folder / f"seed-{seed}" / "plans" / f"{name}.npz", tokens, poses)
        score_seed(folder, seed, spec=SCENES)
    return SmallRun(folder, dataset)
