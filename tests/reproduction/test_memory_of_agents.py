"""Agents that remember: in which order scenes are planned, and what the plan of half a second before is worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from openpair.reproduction.planning import PlannedAgent, SceneView, human_root, in_order, plans_of
from openpair.rewards.base import RewardContext
from openpair.selection.memory import driven_on

TOKENS = ("late", "early", "alone")
BEFORE = {"late": "early", "alone": "nowhere"}
SPEEDS = {"late": 4.0, "early": 8.0, "alone": 6.0}


def straight(speed: float) -> Tensor:
    seconds = torch.arange(1, 9) * 0.5
    return torch.stack((speed * seconds, torch.zeros(8), torch.zeros(8)), dim=-1)


class ThreeScenes:
    """Stands for a store of features: a car that drives straight on, slower and slower."""

    tokens = TOKENS

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        plans = np.stack([straight(SPEEDS[TOKENS[row]]).numpy() for row in rows])
        empty = np.zeros((len(rows), 1), np.float32)
        return {"camera_feature": empty, "lidar_feature": empty, "status_feature": empty, "trajectory": plans}


class LikesSpeed:
    """Stands for a reward model: a plan is worth more the farther it gets, up to 1 at 100 m."""

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        return RewardContext(features["status_feature"], features["status_feature"])

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        return {"sim_logits": (candidates[..., -1, 0] / 100).clamp(0.01, 0.99).logit()[:, None]}


def slower(view: SceneView, root: Tensor) -> Tensor:
    return (root * torch.tensor([0.5, 1.0, 1.0]))[:, None]


def plans(keep: float | None, wanted: set[str] | None = None) -> dict[str, Tensor]:
    agent = PlannedAgent("a.b", human_root, slower, LikesSpeed(), keep=keep)  # type: ignore[arg-type]
    return plans_of([agent], ThreeScenes(), seed=0, before=BEFORE, wanted=wanted)["a.b"]  # type: ignore[arg-type]


def test_what_lies_before_a_scene_is_planned_before_it():
    chain = {"d": "c", "c": "b", "b": "a", "x": "not there"}
    assert in_order(["d", "x", "a", "b", "c"], chain) == [["x", "a"], ["b"], ["c"], ["d"]]
    assert in_order([], {}) == []


def test_without_memory_every_scene_stands_for_itself():
    found = plans(None)
    for token in TOKENS:
        torch.testing.assert_close(found[token], straight(SPEEDS[token]))


def test_a_better_plan_of_before_is_gone_on_with():
    found = plans(0.0)
    moved = straight(8.0)[None, 0]
    torch.testing.assert_close(found["late"], driven_on(straight(8.0)[None], moved)[0])
    for token in ("early", "alone"):
        torch.testing.assert_close(found[token], straight(SPEEDS[token]))


@pytest.mark.parametrize(("keep", "goes_on"), [(0.1, False), (0.25, True)])
def test_a_worse_plan_of_before_is_kept_where_it_is_valued_by_enough_more(monkeypatch, keep, goes_on):
    monkeypatch.setitem(SPEEDS, "early", 2.0)  # worth 0.08; the scene's own root 0.16 or 0.24
    monkeypatch.setitem(SPEEDS, "late", 6.0)
    found = plans(keep)
    assert bool(torch.allclose(found["late"], straight(2.0))) is goes_on


def test_scenes_that_are_not_wanted_are_planned_for_memory_alone():
    assert set(plans(None, {"late"})) == {"late"}
    torch.testing.assert_close(plans(0.0, {"late"})["late"], plans(0.0)["late"])
