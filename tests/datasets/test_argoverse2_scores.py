"""The whole path on recorded drives: files of an Argoverse 2 log in, the original's scores of 24 plans out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openpair.datasets.argoverse2.dataset import Argoverse2Dataset, sweep_token
from openpair.datatypes.columns import Protocol
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import score_prepared


@pytest.fixture(scope="module")
def dataset(argoverse2_root: Path) -> Argoverse2Dataset:
    return Argoverse2Dataset(argoverse2_root)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_scores_equal_the_originals(
    dataset: Argoverse2Dataset, argoverse2_cases: list[Path], protocol: Protocol
) -> None:
    log_ids = {key.log_name[:8]: key.log_name for key in dataset.keys()}
    compared = 0
    for path in argoverse2_cases:
        case = np.load(path if protocol is Protocol.V1_1 else path.parents[1] / "v2" / path.name)
        token = sweep_token(log_ids[str(case["in_kind"])[4:]], int(case["in_seed"]))
        prepared = prepare_scene(dataset.load_scene(token), protocol)
        assert list(prepared.drivable_map.tokens) == case["in_map_token"].tolist()
        np.testing.assert_allclose(prepared.centerline, case["in_centerline"], atol=1e-12, rtol=0)
        np.testing.assert_allclose(prepared.reference_states[:, :3], case["in_pdm_states"][:, :3], atol=1e-9, rtol=0)
        scores = score_prepared(prepared, case["trajs"])
        for name, values in scores.metrics.items():
            if name != "two_frame_extended_comfort":  # needs two scenes
                np.testing.assert_allclose(
                    values, case[f"out_{name}"], atol=1e-9, rtol=0, err_msg=f"{path.stem} {name}"
                )
        total = case["out_score"] if protocol is Protocol.V1_1 else case["out_score_ec_none"]
        np.testing.assert_allclose(scores.score, total, atol=1e-9, rtol=0)
        compared += len(total)
    assert compared == 16 * 24


def test_the_human_is_at_fault_nowhere(dataset: Argoverse2Dataset) -> None:
    """In all scenes, also those without a reference: no collision at fault, never off the drivable area."""
    for key in dataset.keys():
        scene = dataset.load_scene(key.token)
        scores = score_prepared(prepare_scene(scene, Protocol.V1_1), scene.human_trajectory()[None])
        assert scores.metrics["no_at_fault_collisions"] == 1.0
        assert scores.metrics["drivable_area_compliance"] == 1.0
