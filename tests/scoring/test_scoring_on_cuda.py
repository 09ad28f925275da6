"""Scores of plans that lie on a CUDA device: the CPU's, to the tolerances of the golden cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scoring_golden import POSITION_TOLERANCE, SCORE_TOLERANCE, assert_close, golden_files, load

from openpair.datatypes.scores import PlanScores
from openpair.errors import OpenPairError
from openpair.scoring import prepare_case, score_batch, score_prepared

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

DISCRETE = ("collision_track", "ttc_track", "comfort_flags", "ego_areas", "collision_time_idx", "ttc_time_idx")


def assert_equal_scores(there: PlanScores, here: PlanScores) -> None:
    """Scores on the device against the CPU's."""
    assert isinstance(there.score, torch.Tensor) and there.score.is_cuda
    assert_close("score", there.score.cpu().numpy(), here.score, SCORE_TOLERANCE)
    assert there.metrics.keys() == here.metrics.keys() and there.evidence.keys() == here.evidence.keys()
    for name, values in here.metrics.items():
        own = there.metrics[name].cpu().numpy()
        np.testing.assert_allclose(own, values, rtol=0, atol=SCORE_TOLERANCE, err_msg=name)
    for name, values in here.evidence.items():
        own = there.evidence[name].cpu().numpy()
        if name in DISCRETE:
            np.testing.assert_array_equal(own, values, err_msg=name)
        else:
            assert_close(name, own.astype(float), values.astype(float), POSITION_TOLERANCE)


@pytest.mark.parametrize(
    ("path", "protocol"),
    [pytest.param(*p.values, "v1.1", id=f"v1-{p.id}", marks=p.marks) for p in golden_files("v1", "case*.npz")]
    + [pytest.param(*p.values, "v2.2", id=f"v2-{p.id}", marks=p.marks) for p in golden_files("v2", "case*.npz")],
)
def test_scores_are_those_of_the_cpu(path: Path, protocol: str) -> None:
    case = load(path)
    scene = prepare_case(case, protocol)
    assert_equal_scores(
        score_prepared(scene, torch.from_numpy(case["trajs"]).cuda()), score_prepared(scene, case["trajs"])
    )


def test_scenes_of_different_size_are_scored_together() -> None:
    cases = [load(*p.values) for p in golden_files("v2", "case*.npz") if p.values[0] is not None][:8]
    scenes = [prepare_case(case, "v2.2") for case in cases]
    plans = [torch.from_numpy(case["trajs"][: 3 + i]).cuda() for i, case in enumerate(cases)]
    together = score_batch(scenes, plans)
    assert not together.errors
    for scene, own, scores in zip(scenes, plans, together.scores, strict=True):
        assert scores is not None
        assert_equal_scores(scores, score_prepared(scene, own.cpu().numpy()))


def test_scoring_waits_for_the_work_that_makes_its_plans() -> None:
    """Plans are still being computed on torch's stream when scoring is asked for."""
    case = load(*golden_files("v1", "case*.npz")[0].values)
    scene = prepare_case(case, "v1.1")
    plans = torch.from_numpy(case["trajs"]).cuda()
    expected = score_prepared(scene, case["trajs"])
    with torch.cuda.stream(torch.cuda.Stream()):
        late = torch.full_like(plans, torch.nan)
        for _ in range(50):
            torch.ones(2048, 2048, device="cuda") @ torch.ones(2048, 2048, device="cuda")
        late.copy_(plans)
        scores = score_prepared(scene, late)
        np.testing.assert_allclose(scores.score.cpu().numpy(), expected.score, rtol=0, atol=SCORE_TOLERANCE)


def test_a_plan_that_is_not_finite_is_refused() -> None:
    case = load(*golden_files("v1", "case*.npz")[0].values)
    plans = torch.from_numpy(case["trajs"]).cuda()
    plans[0, 3, 1] = torch.inf
    with pytest.raises(OpenPairError, match="not finite"):
        score_prepared(prepare_case(case, "v1.1"), plans)
