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

from openpair.rewards.base import HEAD_NAMES, RewardContext, RewardModel
from openpair.training.batch import SceneBatch
from openpair.training.candidate_pool import CandidatePool
from openpair.training.reward_model import CALIBRATION_FILE, RewardModelBranch, RewardModelConfig


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


def branch_of(pool: CandidatePool = POOL, **options: Any) -> RewardModelBranch:
    config = RewardModelConfig(steps=4, batch_size=2, sets_per_step=1)
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
