"""The exact reward: scenes one by one or together, on the CPU or on a CUDA device, the scores are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.rewards.base import HEAD_NAMES
from openpair.rewards.exact import BYTES_OF_SCENE, MAX_KEPT_BYTES, ExactReward, ExactScores, scenes_to_keep
from openpair.scoring import prepare_case, score_prepared

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "pdm"
CASES = {"v1.1": sorted(GOLDEN.glob("v1/case*.npz")), "v2.2": sorted(GOLDEN.glob("v2/case*.npz"))}
CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"), id="cuda"
)


def reward_and_plans(protocol: str) -> tuple[ExactReward, list[str], Tensor]:
    """The reward on golden scenes, their tokens, and plans (B, 5, 8, 3) of the CPU."""
    scenes = {path.stem: prepare_case(path, protocol) for path in CASES[protocol]}
    plans = np.stack([np.load(path)["trajs"][:5] for path in CASES[protocol]])
    return ExactReward(scenes.__getitem__), list(scenes), torch.from_numpy(plans).float()


def assert_same(actual: ExactScores, expected: ExactScores) -> None:
    torch.testing.assert_close(actual.score.cpu(), expected.score, rtol=0, atol=1e-7)
    torch.testing.assert_close(actual.metrics.cpu(), expected.metrics, rtol=0, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("protocol", ["v1.1", "v2.2"])
def test_one_by_one_is_what_the_scorer_says(protocol: str) -> None:
    reward, tokens, plans = reward_and_plans(protocol)
    found = reward.score(tokens, plans)
    for row, (path, own) in enumerate(zip(CASES[protocol], plans, strict=True)):
        expected = score_prepared(prepare_case(path, protocol), own.double().numpy())
        np.testing.assert_allclose(found.score[row], expected.score, rtol=0, atol=1e-7)
        at_fault = found.metrics[row, HEAD_NAMES.index("NC")]
        np.testing.assert_array_equal(at_fault, expected.metrics["no_at_fault_collisions"])


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("protocol", ["v1.1", "v2.2"])
def test_together_is_the_same_as_one_by_one(protocol: str, device: str) -> None:
    reward, tokens, plans = reward_and_plans(protocol)
    together = reward.score_together(tokens, plans.to(device))
    assert together.score.device.type == device and together.metrics.device.type == device
    assert_same(together, reward.score(tokens, plans))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_candidates_on_a_device_are_scored_there() -> None:
    reward, tokens, plans = reward_and_plans("v2.2")
    found = reward.score(tokens, plans.cuda())
    assert found.score.is_cuda
    assert_same(found, reward.score(tokens, plans))


def test_scenes_are_kept_for_the_next_step_the_latest_of_them() -> None:
    path = CASES["v1.1"][0]
    plans = torch.from_numpy(np.load(path)["trajs"][:2]).float().expand(2, -1, -1, -1)
    loaded: list[str] = []

    def load(token: str) -> ScoringScene:
        loaded.append(token)
        return prepare_case(path, "v1.1")

    reward = ExactReward(load, keep=2)
    before = reward.score(["first", "second"], plans)
    assert_same(reward.score(["first", "second"], plans), before)
    assert loaded == ["first", "second"]
    reward.score(["third"], plans[:1])  # the first was used least lately
    assert_same(reward.score(["second", "first"], plans), before)
    assert loaded == ["first", "second", "third", "first"]


def test_memory_decides_how_many_scenes_are_kept() -> None:
    assert 0 < scenes_to_keep() <= MAX_KEPT_BYTES // BYTES_OF_SCENE


@pytest.mark.parametrize("together", [False, True])
def test_a_plan_that_is_not_finite_is_no_score(together: bool) -> None:
    reward, tokens, plans = reward_and_plans("v1.1")
    plans[1, 2, 3, 0] = torch.nan
    with pytest.raises(OpenPairError, match="not finite"):
        (reward.score_together if together else reward.score)(tokens, plans)
