"""Agents of the comparison: what they remember and how they blend, and how the validation towns choose by how much."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from openpair.features.config import FeatureConfig
from openpair.planning.memory import driven_on
from openpair.reproduction.agents import BASE
from openpair.reproduction.choices import (
    CONTROLS,
    Choices,
    choose_all,
    choose_manner,
    manner_name,
    mean_scores,
    root_name,
    strength_name,
)
from openpair.reproduction.planning import PlannedAgent, SceneView, human_root, in_order, planned
from openpair.reproduction.settings import STRENGTHS
from openpair.rewards.base import RewardContext

TOKENS = ("late", "early", "alone")
BEFORE = {"late": "early", "alone": "nowhere"}
SPEEDS = {"late": 4.0, "early": 8.0, "alone": 6.0}


def straight(speed: float) -> Tensor:
    seconds = torch.arange(1, 9) * 0.5
    return torch.stack((speed * seconds, torch.zeros(8), torch.zeros(8)), dim=-1)


class ThreeScenes:
    """Stands for a store of features: a car that drives straight on, slower and slower."""

    tokens = TOKENS
    config = FeatureConfig.near()

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        plans = np.stack([straight(SPEEDS[TOKENS[row]]).numpy() for row in rows])
        empty = np.zeros((len(rows), 1), np.float32)
        return {"camera_feature": empty, "lidar_feature": empty, "status_feature": empty, "trajectory": plans}


class LikesSpeed:
    """Stands for a reward model: a plan is worth more the farther it gets, up to 1 at 100 m; counts its scenes."""

    def __init__(self) -> None:
        self.scored = 0

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        return RewardContext(features["status_feature"], features["status_feature"])

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        self.scored += 1
        return {"sim_logits": (candidates[..., -1, 0] / 100).clamp(0.01, 0.99).logit()[:, None]}


def slower(view: SceneView, root: Tensor) -> Tensor:
    return (root * torch.tensor([0.5, 1.0, 1.0]))[:, None]


def plans(keep: float | None, wanted: set[str] | None = None) -> dict[str, Tensor]:
    agent = PlannedAgent("a.b", human_root, slower, LikesSpeed(), keep=keep)
    found: dict[str, Tensor] = {}
    for view, plans_of in planned([agent], ThreeScenes(), seed=0, before=BEFORE, wanted=wanted):
        found |= dict(zip(view.tokens, plans_of["a.b"], strict=True))
    return found


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


def a_view() -> SceneView:
    return SceneView(("a",), {"status_feature": torch.zeros(1, 8)}, straight(5.0)[None], 0)


def a_bit_faster(view: SceneView, root: Tensor) -> Tensor:
    return straight(5.5)[None, None]


def test_blending_lies_between_the_candidates_and_margins_count():
    model = LikesSpeed()
    best = PlannedAgent("a.b", human_root, a_bit_faster, model)
    blending = PlannedAgent("a.c", human_root, a_bit_faster, model, blend=0.02)
    wary = PlannedAgent("a.d", human_root, a_bit_faster, model, margin=0.5, blend=0.02)
    view = a_view()
    torch.testing.assert_close(best.plan(view)[0], straight(5.5))
    # The faster plan is longer by 2 m, worth 0.02: weights e to 1.
    share = torch.e / (1 + torch.e)
    torch.testing.assert_close(blending.plan(view)[0], straight(5.0 + 0.5 * share))
    torch.testing.assert_close(wary.plan(view)[0], straight(5.0), atol=1e-4, rtol=0)


def test_candidates_of_a_scene_are_scored_once_for_all_who_choose_from_them():
    model = LikesSpeed()
    view = a_view()
    for margin in (0.0, 0.1, 0.2):
        PlannedAgent("a.b", human_root, a_bit_faster, model, margin=margin).plan(view)
    assert model.scored == 1


WORST = 50.0


def scores(best: float, **by_manner: float) -> dict[str, float]:
    """Scores of the method and both controls, the same for each, by manner (``b2k4`` blends at 0.02 and keeps 0.04;
    ``b2`` forgets): ``best`` where the best candidate is taken. The tree is good at one strength alone."""
    wanted = {"b0": best, **by_manner}
    out = {}
    for manner, value in wanted.items():
        blend, _, keep = manner.removeprefix("b").partition("k")
        own = (int(blend) / 100, int(keep) / 100 if keep else None)
        out |= {manner_name(f"{BASE}.{control}", *own): value for control in CONTROLS}
        out |= {manner_name(strength_name(s), *own): value if s == 0.5 else WORST for s in STRENGTHS}
    return out


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (scores(85.0, b2=85.3, b3=85.1, b5=84.0), (0.03, None)),
        (scores(85.0, b2=85.3, b2k0=85.3, b3k0=85.1, b2k4=85.0, b3k4=84.9), (0.02, 0.04)),
        (scores(85.0, b2=84.0, b2k0=84.0, b0k4=83.0), (0.0, None)),
        (scores(85.0), (0.0, None)),
    ],
)
def test_what_keeps_most_and_costs_next_to_nothing_is_chosen(measured, expected):
    assert choose_manner(measured) == expected


def figures(scores: dict[str, float]) -> dict[str, dict[str, float]]:
    return {name: {"score": score} for name, score in scores.items()}


def test_control_and_strength_are_chosen_as_plans_are_made_and_roots_at_that_strength(tmp_path: Path) -> None:
    """Where the best candidate is taken, mild neighbours and half strength win; blended, wide ones and a quarter."""
    wide, mild = f"{BASE}.il_rwm_wide", f"{BASE}.il_rwm_mild"
    manners = {
        manner_name(wide, 0.0, None): 84.0,
        manner_name(mild, 0.0, None): 85.0,
        manner_name(strength_name(0.5), 0.0, None): 85.0,
        manner_name(strength_name(0.25), 0.0, None): 84.0,
        manner_name(wide, 0.02, None): 88.0,
        manner_name(mild, 0.02, None): 87.0,
        manner_name(strength_name(0.5), 0.02, None): 87.0,
        manner_name(strength_name(0.25), 0.02, None): 88.0,
    }
    tables = {
        "agents": figures(
            {f"{BASE}.sequential": 80.0, f"{BASE}.iterative": 82.0, f"{BASE}.sequential_regularised": 81.0}
        ),
        "manners": figures(manners),
        "roots": figures(
            {root_name(0.25, 0.1, 0.03): 93.0, root_name(0.25, 0.2, 0.0): 92.0, root_name(0.5, 0, 0): 99.0}
        ),
    }
    (tmp_path / "validation.json").write_text(json.dumps(tables))
    assert choose_all([tmp_path]) == Choices(
        il_rwm="il_rwm_wide",
        sequential="iterative",
        strength=0.25,
        root_margin=0.1,
        root_blend=0.03,
        blend=0.02,
        keep=None,
    )


def test_seeds_count_alike_and_what_one_lacks_is_not_chosen(tmp_path: Path) -> None:
    own = [{"a": 80.0, "b": 84.0, "c": 99.0}, {"a": 90.0, "b": 84.0}]
    assert mean_scores([{"agents": figures(seed)} for seed in own], "agents") == {"a": 85.0, "b": 84.0}
    assert mean_scores([{"agents": figures(seed)} for seed in own], "roots") == {}
