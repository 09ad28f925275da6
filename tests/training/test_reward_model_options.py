"""What the reward model's branch reports, and how its pool is renewed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openpair.checkpoints import to_plain
from openpair.configs.experiment import PoolConfig
from openpair.configs.runs import choices_proposer
from openpair.datatypes.tree import flat_layout
from openpair.rewards.base import HEAD_NAMES, RewardContext, RewardModel
from openpair.samplers.perturbation_config import RootNoise
from openpair.training.batch import SceneBatch
from openpair.training.candidate_pool import CandidatePool
from openpair.training.config import RewardModelConfig
from openpair.training.reward_model import CALIBRATION_FILE, RewardModelBranch, refresh_step, refreshes_before


class LikesFar(RewardModel):
    """Rates a plan by how far it gets, times a weight that learns."""

    kind = "likes_far"

    def __init__(self) -> None:
        super().__init__()
        self.config = None
        self.weight = nn.Parameter(torch.tensor(1.0))

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        status = features["status_feature"]
        return RewardContext(status[:, None], status)

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        logit = self.weight * candidates[..., -1, 0]
        rows = logit[:, None].expand(-1, len(HEAD_NAMES), -1)
        return {"sim_rewards": rows.sigmoid(), "sim_logits": logit[:, None], "reward_logits": rows}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        error = (outputs["sim_logits"][:, 0].sigmoid() - targets["candidate_scores"]).square().mean()
        return {"loss": error}


class Scenes:
    """Two scenes without anything in them."""

    tokens = ("a", "b")

    def batch(self, indices: NDArray[np.int64]) -> SceneBatch:
        count = len(indices)
        return SceneBatch(
            tuple(self.tokens[i] for i in indices), {"status_feature": torch.zeros(count, 8)}, {"trajectory": HUMAN}
        )


HUMAN = torch.zeros(2, 8, 3)


def pool_of(far: list[list[float]], scores: list[list[float]]) -> CandidatePool:
    """One set a scene; candidates end at ``far`` [m]."""
    ends = torch.tensor(far)[:, None]
    candidates = torch.zeros(*ends.shape, 8, 3)
    candidates[..., -1, 0] = ends
    metrics = torch.full((len(far), 1, 9, ends.shape[-1]), torch.nan)
    metrics[:, :, HEAD_NAMES.index("NC")] = (torch.tensor(scores) > 0)[:, None].float()
    return CandidatePool(candidates, torch.tensor(scores)[:, None], metrics)


POOL = pool_of([[-1.0, 2.0, 0.0], [3.0, 1.0, 0.0]], [[0.0, 0.5, 0.6], [0.9, 0.7, 0.0]])


SETTINGS = RewardModelConfig(steps=4, batch_size=2, sets_per_step=1)


def branch_of(pool: CandidatePool = POOL, config: RewardModelConfig = SETTINGS, **options: Any) -> RewardModelBranch:
    return RewardModelBranch(
        LikesFar(), config, Scenes(), pool, (Scenes(), pool), seed=0, save=lambda *_: None, **options
    )


def test_validation_reports_choice_order_and_calibration() -> None:
    figures = branch_of().validate()
    assert figures["chosen_score"] == pytest.approx((0.5 + 0.9) / 2)
    assert figures["best_score"] == pytest.approx((0.6 + 0.9) / 2)
    assert figures["root_score"] == pytest.approx(0.3)
    assert figures["regret"] == pytest.approx(0.05)
    assert figures["rank_correlation"] == pytest.approx((0.5 + 1.0) / 2)
    assert 0 < figures["calibration_error"] < 1


def test_the_report_is_written_with_the_finished_model(tmp_path: Path) -> None:
    branch = branch_of()
    branch.validate()
    branch.export(tmp_path, {})
    report = json.loads((tmp_path / CALIBRATION_FILE).read_text())
    assert report["regret"] == pytest.approx(0.05)
    assert list(report["sub_scores"]) == ["NC"]
    assert sum(row["count"] for row in report["score"]["table"]) == 6
    assert any(row["predicted"] is None for row in report["score"]["table"])


def test_a_pool_takes_sets_of_another_going_round() -> None:
    pool = CandidatePool(torch.zeros(2, 3, 4, 8, 3), torch.zeros(2, 3, 4), torch.zeros(2, 3, 9, 4))
    other = CandidatePool(torch.ones(2, 2, 4, 8, 3), torch.ones(2, 2, 4), torch.ones(2, 2, 9, 4))
    renewed = pool.replaced(2, other)
    assert renewed.scores[0, :, 0].tolist() == [1, 0, 1]
    assert renewed.metrics[1, :, 0, 0].tolist() == [1, 0, 1]
    assert renewed.candidates[:, 1].abs().max() == 0 and pool.scores.abs().max() == 0


def test_refreshes_cut_training_into_equal_parts() -> None:
    assert [refresh_step(n, 2, 9) for n in (1, 2)] == [3, 6]
    assert [refreshes_before(i, 2, 9) for i in range(9)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert refreshes_before(8, 0, 9) == 0


def test_a_refresh_asks_the_model_of_the_moment_and_changes_what_it_learns_from() -> None:
    asked: list[tuple[int, bool, float]] = []

    def refresh(model: RewardModel, number: int, may_build: bool) -> CandidatePool:
        assert isinstance(model, LikesFar)
        asked.append((number, may_build, float(model.weight.detach())))
        return pool_of([[5.0, 5.0, 5.0]] * 2, [[0.0, 0.0, 0.0]] * 2)

    config = RewardModelConfig(steps=4, batch_size=2, sets_per_step=1, refreshes=1)
    refreshed, plain = branch_of(config=config, refresh=refresh), branch_of()
    losses = [(refreshed.step(i)["loss"], plain.step(i)["loss"]) for i in range(4)]
    assert [a == b for a, b in losses] == [True, True, False, False]
    assert [(number, may_build) for number, may_build, _ in asked] == [(1, True)]
    assert asked[0][2] != 1.0  # the weight after two steps
    resumed = branch_of(config=config, refresh=refresh)
    resumed.step(3)
    assert asked[1][:2] == (1, False)


def test_later_settings_at_their_defaults_are_no_other_run() -> None:
    plain = to_plain(RewardModelConfig(), unused=False)
    assert "refreshes" not in plain and "refreshes" in to_plain(RewardModelConfig())
    assert to_plain(RewardModelConfig(refreshes=2), unused=False)["refreshes"] == 2


def test_refresh_sets_lie_around_what_the_model_chooses() -> None:
    class OneLeaf:
        layout = flat_layout(3)

        def encode(self, features: Mapping[str, Tensor], *, perceive: bool) -> None: ...

        def mean_leaves(self, context: None, root: Tensor, *, strength: float = 1.0) -> Tensor:
            ahead = torch.zeros(3, 8, 3)
            ahead[:, :, 0] = torch.tensor([-0.5, 0.5, 2.0])[:, None] * torch.arange(1, 9) / 8
            return root[:, None] + ahead

    still = RootNoise(unchanged_share=1.0)
    sampler: Any = OneLeaf()
    propose = choices_proposer(PoolConfig(root_noise=still, refresh_sets=2), sampler, LikesFar(), "cpu")
    sets = propose(Scenes().batch(np.array([0, 1])), torch.Generator().manual_seed(0))
    assert sets.shape == (2, 2, 4, 8, 3)
    assert sets[0, :, -1, -1, 0].tolist() == [2.0, 2.0]  # the farthest leaf was chosen
    assert sets[0, 0, :, -1, 0].tolist() == [1.5, 2.5, 4.0, 2.0]  # and a tree grown around it
    assert (sets[0, 1, :3] - sets[0, 1, 3:]).abs().amax(dim=(1, 2)).min() > 0
