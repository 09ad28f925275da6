"""Sequential schemes: the imitation policy itself improves by reward; phases take turns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from openpair.policies.base import ImitationPolicy
from openpair.rewards.exact import ExactScores
from openpair.training.batch import SceneBatch
from openpair.training.config import FineTuningConfig, OptimiserConfig
from openpair.training.fine_tuning import FineTuningBranch, is_imitation_step


class OneSpeed(ImitationPolicy):
    """Drives straight on at a speed that it can learn."""

    kind = "one_speed"

    def __init__(self) -> None:
        super().__init__()
        self.speed = torch.nn.Parameter(torch.tensor(4.0))

    def forward(self, **features: Tensor) -> dict[str, Tensor]:
        count = len(features["status_feature"])
        x = self.speed * 0.5 * torch.arange(1, 9)
        return {"trajectory": torch.stack((x, 0 * x, 0 * x), dim=-1).expand(count, -1, -1)}

    def loss(self, outputs, targets) -> dict[str, Tensor]:
        return {"loss": (outputs["trajectory"] - targets["trajectory"]).abs().mean()}


class TenMetresAhead:
    """Rewards plans that end 24 m ahead: faster than the policy, and than its human."""

    tokens = tuple("abcd")

    def batch(self, indices) -> SceneBatch:
        human = OneSpeed()(status_feature=torch.zeros(len(indices), 8))["trajectory"].detach()
        features = {"status_feature": torch.zeros(len(indices), 8)}
        return SceneBatch(tuple(self.tokens[i] for i in indices), features, {"trajectory": human})

    def score(self, tokens, candidates: Tensor) -> ExactScores:
        score = torch.exp(-0.1 * (candidates[..., -1, 0] - 24.0).abs())
        metrics = torch.full((len(score), 9, score.shape[1]), float("nan"))
        metrics[:, 0] = score
        return ExactScores(score, metrics)


def branch(config: FineTuningConfig) -> FineTuningBranch:
    world = TenMetresAhead()
    saved: list[Path] = []
    return FineTuningBranch(
        "sequential",
        OneSpeed(),
        OneSpeed(),
        config,
        world,
        (world, world),  # type: ignore[arg-type]
        reward=world,  # type: ignore[arg-type]
        seed=0,
        save=lambda folder, network, metrics: saved.append(folder),
    )


def config(**changes) -> FineTuningConfig:
    settings = {"steps": 60, "batch_size": 2, "samples_per_scene": 16, "validation_scenes": 4}
    return FineTuningConfig(**settings, optimiser=OptimiserConfig(0.05, warmup_steps=1), **changes)


def test_reward_moves_the_policy_and_drift_tells_how_far() -> None:
    fresh = branch(config())
    before = fresh.validate()
    assert before["drift_m"] == 0.0
    for index in range(60):
        fresh.step(index)
    after = fresh.validate()
    assert after["score"] > before["score"] + 0.2
    assert after["drift_m"] == pytest.approx(after["distance_m"]) and after["drift_m"] > 1.0
    assert "NC" in after


def test_a_heavy_regulariser_keeps_the_policy_where_imitation_left_it() -> None:
    held = branch(config(imitation_weight=100.0))
    for index in range(60):
        held.step(index)
    assert held.validate()["drift_m"] < 0.5


def test_kl_to_the_imitation_policy_is_logged_and_weighed() -> None:
    held = branch(config(kl_weight=0.1, kl_target=1e-6))
    figures = [held.step(index) for index in range(6)]
    assert figures[-1]["kl"] > 0 and held.scalars()["kl_weight"] > 0.1


def test_phases_of_imitation_come_by_turns() -> None:
    assert [is_imitation_step(i, 2) for i in range(6)] == [False, False, True, True, False, False]
    assert not any(is_imitation_step(i, 0) for i in range(6))
    turns = branch(config(imitation_phase=2))
    assert turns.total_steps == 120
    figures = [turns.step(index) for index in range(4)]
    assert "sample_score" in figures[1] and set(figures[2]) == {"imitation_loss", "gradient_norm", "learning_rate"}
