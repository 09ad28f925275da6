"""Agents of the comparison: what they remember, and how the validation towns choose temperature and bonuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from openpair.features.config import FeatureConfig
from openpair.planning.config import PlannerConfig
from openpair.planning.memory import driven_on
from openpair.planning.networks import TrainedNetworks
from openpair.reproduction.agents import BASE
from openpair.reproduction.choices import (
    CONTROLS,
    TREE_MEAN,
    Choices,
    choose_all,
    choose_manner,
    manner_name,
    mean_scores,
    root_name,
    use_name,
)
from openpair.reproduction.planning import PlannedAgent, planned
from openpair.reproduction.settings import CORRECTED_USES, STRENGTHS, TREE_USES, TreeUse
from openpair.rewards.base import RewardContext, RewardModel

TOKENS = ("late", "early", "alone", "earliest")
BEFORE = {"late": "early", "early": "earliest", "alone": "nowhere"}
SPEEDS = {"late": 4.0, "early": 6.0, "alone": 5.0, "earliest": 8.0}


def straight(speed: float) -> Tensor:
    seconds = torch.arange(1, 9) * 0.5
    return torch.stack((speed * seconds, torch.zeros(8), torch.zeros(8)), dim=-1)


class FourScenes:
    """Stands for a store of features: a car that drives straight on, slower and slower."""

    tokens = TOKENS
    config = FeatureConfig.near()

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        plans = np.stack([straight(SPEEDS[TOKENS[row]]).numpy() for row in rows])
        empty = np.zeros((len(rows), 1), np.float32)
        return {"camera_feature": empty, "lidar_feature": empty, "status_feature": empty, "trajectory": plans}


class LikesSpeed(RewardModel):
    """A plan is worth more the farther it gets, up to 1 at 100 m."""

    kind = "likes_speed"

    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        return RewardContext(features["status_feature"], features["status_feature"])

    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        return {"sim_logits": (candidates[..., -1, 0] / 100).clamp(0.01, 0.99).logit()[:, None]}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        pytest.fail("nobody trains it")


def plans(bonus: float | None, wanted: set[str] | None = None) -> dict[str, Tensor]:
    networks = TrainedNetworks(FeatureConfig.near(), reward_model=LikesSpeed())
    config = PlannerConfig(root="human", candidates="mild", previous_plan_bonus=bonus)
    found: dict[str, Tensor] = {}
    for view, plans_of in planned(
        [PlannedAgent.of("a.b", networks, config, 0)], FourScenes(), before=BEFORE, wanted=wanted
    ):
        found |= dict(zip(view.tokens, plans_of["a.b"], strict=True))
    return found


def test_without_memory_the_fastest_neighbour_of_each_scene_is_the_plan():
    found = plans(None)
    assert set(found) == set(TOKENS)
    for token in TOKENS:
        assert found[token][-1, 0] > straight(SPEEDS[token])[-1, 0] + 1


def test_the_previous_plan_is_the_one_made_without_memory():
    """Depth one: what the scene before would have gone on with plays no part, nor does which scenes are planned."""
    alone, found = plans(None), plans(1.0)
    for token, first in (("late", "early"), ("early", "earliest")):
        moved = straight(SPEEDS[first])[None, 0]
        torch.testing.assert_close(found[token], driven_on(alone[first][None], moved)[0])
    for token in ("alone", "earliest"):
        torch.testing.assert_close(found[token], alone[token])
    for wanted in ({"late"}, {"late", "early"}, {"early", "alone"}):
        some = plans(1.0, wanted)
        assert set(some) == wanted
        for token in wanted:
            torch.testing.assert_close(some[token], found[token])


def test_a_previous_plan_that_is_valued_less_is_not_gone_on_with(monkeypatch):
    monkeypatch.setitem(SPEEDS, "earliest", 2.0)
    torch.testing.assert_close(plans(0.0)["early"], plans(None)["early"])


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
        out |= {manner_name(use_name(TreeUse(s)), *own): value if s == 0.5 else WORST for s in STRENGTHS}
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
        manner_name(use_name(TreeUse(0.5)), 0.0, None): 85.0,
        manner_name(use_name(TreeUse(0.25)), 0.0, None): 84.0,
        manner_name(wide, 0.02, None): 88.0,
        manner_name(mild, 0.02, None): 87.0,
        manner_name(use_name(TreeUse(0.5)), 0.02, None): 87.0,
        manner_name(use_name(TreeUse(0.25)), 0.02, None): 88.0,
        manner_name(use_name(TreeUse(0.25, "wide", 1)), 0.02, None): 88.5,
    }
    tables = {
        "agents": figures(
            {f"{BASE}.sequential": 80.0, f"{BASE}.iterative": 82.0, f"{BASE}.sequential_regularised": 81.0}
        ),
        "manners": figures(manners),
        "means": figures(
            {use_name(TreeUse(0.75, "none", 2), TREE_MEAN): 80.0, use_name(TreeUse(1.0, "none", 1), TREE_MEAN): 79.0}
        ),
        "roots": figures(
            {
                root_name(TreeUse(0.25), 0.1, 0.03): 93.0,
                root_name(TreeUse(0.25), 0.2, 0.0): 92.0,
                root_name(TreeUse(0.5), 0, 0): 99.0,
            }
        ),
    }
    (tmp_path / "validation.json").write_text(json.dumps(tables))
    assert choose_all([tmp_path]) == Choices(
        il_rwm="il_rwm_wide",
        sequential="iterative",
        strength=0.25,
        human_root_bonus=0.1,
        human_temperature=0.03,
        temperature=0.02,
        previous_plan_bonus=None,
        candidates="wide",
        reroots=1,
        mean_strength=0.75,
        mean_reroots=2,
    )


def test_a_corrector_that_wins_on_validation_corrects_around_humans_too(tmp_path: Path) -> None:
    corrected = TreeUse(1.0, "wide", correction=0.5)
    tables = {
        "agents": {},
        "manners": figures(
            {
                manner_name(f"{BASE}.il_rwm_wide", 0.02, None): 88.0,
                manner_name(f"{BASE}.il_rwm_mild", 0.02, None): 87.0,
                manner_name(use_name(TreeUse(0.5)), 0.02, None): 87.0,
                manner_name(use_name(corrected), 0.02, None): 89.0,
            }
        ),
        "roots": figures({root_name(TreeUse(1.0), 0.0, 0.0): 99.0, root_name(corrected, 0.1, 0.03): 93.0}),
    }
    (tmp_path / "validation.json").write_text(json.dumps(tables))
    chosen = choose_all([tmp_path], (*TREE_USES, *CORRECTED_USES))
    assert (chosen.candidates, chosen.correction, chosen.reroots) == ("wide", 0.5, 0)
    assert (chosen.human_root_bonus, chosen.human_temperature) == (0.1, 0.03)
    planner = chosen.planner(1.0)
    assert planner.config("pair").correction == planner.config("human_pair").correction == 0.5
    assert planner.config("human_pair").candidates == "wide" and planner.config("human_pair").root == "human"
    assert planner.config("il_rwm_wide").correction == planner.config("pair_best_of_6").correction == 0.0
    assert choose_all([tmp_path]).correction == 0.0


def test_seeds_count_alike_and_what_one_lacks_is_not_chosen(tmp_path: Path) -> None:
    own = [{"a": 80.0, "b": 84.0, "c": 99.0}, {"a": 90.0, "b": 84.0}]
    assert mean_scores([{"agents": figures(seed)} for seed in own], "agents") == {"a": 85.0, "b": 84.0}
    assert mean_scores([{"agents": figures(seed)} for seed in own], "roots") == {}
