"""Recorded Argoverse 2 drives, raw logs in, against what the original evaluator made of them: 16 scenes, 24 plans."""

from pathlib import Path

import numpy as np
import pytest

from openpair.datasets.argoverse2.dataset import Argoverse2Dataset
from openpair.datatypes.columns import Protocol
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import score_prepared

SHARED = Path(__file__).resolve().parents[3] / "shared"
LOGS, CASES = SHARED / "real" / "argoverse2", SHARED / "golden" / "pdm_real"


@pytest.fixture(scope="module")
def scenes_by_time():
    if not LOGS.exists() or not CASES.exists():
        pytest.skip("needs real/argoverse2 and golden/pdm_real in ../shared beside the project root")
    dataset = Argoverse2Dataset(LOGS)
    scenes = [dataset.load_scene(key.token) for key in dataset.keys()]
    return {scene.current.ego.timestamp_us: scene for scene in scenes}


@pytest.mark.parametrize("protocol", list(Protocol))
def test_real_drives_are_prepared_and_scored_as_by_the_original(scenes_by_time, protocol):
    folder, score_name = ("v1", "out_score") if protocol is Protocol.V1_1 else ("v2", "out_score_ec_none")
    paths = sorted((CASES / folder).glob("case_av2_*.npz"))
    assert len(paths) == 16
    for path in paths:
        case = np.load(path)
        prepared = prepare_scene(scenes_by_time[int(case["in_time_us"])], protocol)
        area = prepared.drivable_map
        assert list(area.tokens) == case["in_map_token"].tolist()
        on_route = {token for token, flag in zip(area.tokens, area.on_route, strict=True) if flag}
        assert on_route == set(case["in_route_lane_ids"].tolist()) & set(area.tokens)
        np.testing.assert_allclose(prepared.centerline, case["in_centerline"], atol=1e-9)
        assert len(prepared.tracks.track) == len(case["in_trk_box"])
        np.testing.assert_allclose(prepared.reference_states, case["in_pdm_states"], atol=1e-9)
        scores = score_prepared(prepared, case["trajs"])
        np.testing.assert_allclose(scores.score, case[score_name], atol=1e-9)
