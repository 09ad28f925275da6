"""Test-time search finds better plans than it is given, the same ones for a scene whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from openpair.planning.config import PlannerConfig, SearchConfig
from openpair.planning.planner import choose
from openpair.planning.search import changes, neighbours_of_best, search
from openpair.rewards.base import HEAD_NAMES, RewardContext, RewardModel
from openpair.samplers.perturbations import control_candidates

STRAIGHT = torch.stack((torch.arange(1, 9) * 4.0, torch.zeros(8), torch.zeros(8)), dim=-1)
ROOTS = torch.stack((STRAIGHT, 0.5 * STRAIGHT))
SEARCHING = PlannerConfig(search=SearchConfig())


class LikesAPlace(RewardModel):
    """The nearer a plan's end to a place, the better; a set's mean is taken off where it sees the set."""

    kind = "likes_a_place"

    def __init__(self, sees_the_set: bool) -> None:
        super().__init__()
        self.config = None
        self.sees_the_set = sees_the_set  # type: ignore[misc]
        self.rated = 0

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        return RewardContext(features["status_feature"][:, None], features["status_feature"])

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        self.rated += candidates.shape[1]
        place = candidates.new_tensor([33.0, 0.4])
        logit = -(candidates[..., -1, :2] - place).norm(dim=-1)
        if self.sees_the_set:
            logit = logit - logit.mean(dim=1, keepdim=True)
        rows = logit[:, None].expand(-1, len(HEAD_NAMES), -1)
        return {"sim_rewards": rows.sigmoid(), "sim_logits": logit[:, None], "reward_logits": rows}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError


def features(batch: int) -> dict[str, Tensor]:
    return {"status_feature": torch.zeros(batch, 8)}


def grow(_: Mapping[str, Tensor], root: Tensor) -> Tensor:
    return control_candidates(root)


@pytest.mark.parametrize("sees_the_set", [False, True])
def test_search_finds_something_better_and_keeps_the_root_last(sees_the_set: bool) -> None:
    model = LikesAPlace(sees_the_set)
    plain = choose(features(2), ROOTS, grow, model)
    found = choose(features(2), ROOTS, grow, model, SEARCHING)
    place = torch.tensor([33.0, 0.4])
    before, after = ((choice.plan[:, -1, :2] - place).norm(dim=-1) for choice in (plain, found))
    assert (after < before).all()
    assert found.candidates.shape == (2, 16 + 2 * 3 * 6, 8, 3)
    assert found.predicted.shape == found.candidates.shape[:2]
    assert torch.equal(found.candidates[:, -1], ROOTS)
    assert torch.equal(found.candidates[:, :15], plain.candidates[:, :15])
    assert model.rated == 16 + (16 + 36 if not sees_the_set else 16 + 34 + 52)


def test_a_plan_does_not_depend_on_the_batch() -> None:
    both = choose(features(2), ROOTS, grow, LikesAPlace(False), SEARCHING)
    alone = choose(features(1), ROOTS[1:], grow, LikesAPlace(False), SEARCHING)
    torch.testing.assert_close(both.plan[1:], alone.plan)


def test_no_rounds_change_nothing() -> None:
    context = LikesAPlace(False).encode(features(2))
    candidates, predicted = control_candidates(ROOTS), torch.rand(2, 15)
    same, value = search(LikesAPlace(False), context, candidates, predicted, SearchConfig(rounds=0))
    assert torch.equal(same, candidates) and torch.equal(value, predicted)


def test_changes_come_with_their_opposites_and_shrink() -> None:
    change = changes(SearchConfig(rounds=2, neighbours=4, shrink=0.5))
    assert change.shape == (2, 4, 4)
    torch.testing.assert_close(change[:, :2], -change[:, 2:])
    assert changes(SearchConfig(neighbours=5)).shape == (2, 5, 4)
    wide = changes(SearchConfig(rounds=2, neighbours=4, shrink=1.0))
    torch.testing.assert_close(change[1], 0.5 * wide[1])


def test_neighbours_lie_around_the_best() -> None:
    candidates = torch.stack((STRAIGHT, 0.5 * STRAIGHT, 0.1 * STRAIGHT))[None]
    none = torch.zeros(2, 4)
    near = neighbours_of_best(candidates, torch.tensor([[0.1, 0.9, 0.5]]), none, elites=2)
    torch.testing.assert_close(near[0], candidates[0, [1, 1, 2, 2]], atol=1e-4, rtol=0)
    assert neighbours_of_best(candidates, torch.rand(1, 3), none, elites=9).shape[1] == 6
