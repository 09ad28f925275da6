"""Every agent and every ablation on the validation towns, by exact v1.1 scores. The test towns are not opened here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from openpair.evaluation.records import write_atomically
from openpair.features.cache import FeatureStore
from openpair.reproduction.agents import BASE
from openpair.reproduction.choices import CHOOSERS, manner_name, margin_name, strength_name
from openpair.reproduction.planning import Before, PlannedAgent, SceneView, planned, tree
from openpair.reproduction.settings import BLENDS, KEEPS, ROOT_MARGINS
from openpair.rewards.exact import ExactReward
from openpair.samplers.base import Sampler
from openpair.training.data import TrainingData

Rows = dict[str, dict[str, list[Tensor]]]


def validate_seed(
    folder: Path,
    agents: Sequence[PlannedAgent],
    ablations: dict[str, dict[str, Sampler]],
    strengths: dict[float, Sampler],
    data: TrainingData,
    store: FeatureStore,
    before: Before,
    *,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> None:
    """Write ``folder/validation.json``: table -> row -> figure -> percent (drift: metres).

    Table "agents" has the score and sub-metrics of each agent's plan and, for agents that choose, the best candidate's
    score and the regret; each ablation has the mean leaf, the best of the set, what the reward model chooses, and the
    best of its six favourites.

    Args:
        folder: of the seed.
        agents: who plans, without blending and memory.
        ablations: table -> row -> sampler.
        strengths: strength -> sampler.
        data: the scenes that count, with their rewards.
        store: what agents see of them, and of the scenes half a second before.
        before: which scene lies half a second before which.
        seed: of policies that draw at random.
        on_progress: told (scenes done, scenes in all).
    """
    reward = data.reward()
    single = [agent for agent in agents if agent.best_of == 0]
    single += [
        replace(agent, name=margin_name(margin, blend), margin=margin, blend=blend)
        for agent in agents
        if agent.name == "human.human_pair"
        for margin, blend in product(ROOT_MARGINS, BLENDS)
    ]
    single += [
        replace(agent, name=manner_name(agent.name, blend, keep), blend=blend, keep=keep)
        for agent in agents
        if agent.name in CHOOSERS
        for blend, keep in product(BLENDS, KEEPS)
        if (blend, keep) != (0.0, None)
    ]
    pair = next(agent for agent in agents if agent.name == f"{BASE}.pair")
    single += [replace(pair, name=strength_name(s), candidates=tree(sampler)) for s, sampler in strengths.items()]
    tables: dict[str, Rows] = {"agents": {}, **{table: {} for table in ablations}}
    every = planned(single, store, seed=seed, before=before, wanted=set(data.tokens), on_progress=on_progress)
    with torch.no_grad():
        for view, plans in every:
            for name, plan in plans.items():
                _note(tables["agents"], name, judge_plan(plan, view, reward, plans[f"{BASE}.il"]))
            for table, samplers in ablations.items():
                for name, sampler in samplers.items():
                    _note(tables[table], name, judge_set(replace(pair, candidates=tree(sampler)), view, reward))
    means = {
        table: {
            row: {figure: round(float(torch.cat(v).mean()), 6) for figure, v in figures.items()}
            for row, figures in rows.items()
        }
        for table, rows in tables.items()
    }
    write_atomically(folder / "validation.json", json.dumps(means, indent=1) + "\n")


def judge_plan(plan: Tensor, view: SceneView, reward: ExactReward, il_plan: Tensor) -> dict[str, Tensor]:
    """Figures (B,) of plans (B, 8, 3): score and sub-metrics [percent], and distance to the IL plan [m]."""
    exact = reward.score(view.tokens, plan[:, None])
    figures = {"score": 100 * exact.score[:, 0]}
    figures |= {name: 100 * exact.metric(name)[:, 0] for name in exact.known_metrics()}
    return figures | {"drift_m": (plan - il_plan)[..., :2].norm(dim=-1).mean(dim=-1)}


def judge_set(agent: PlannedAgent, view: SceneView, reward: ExactReward) -> dict[str, Tensor]:
    """Figures (B,) of a set of candidates and of the choice among them [percent]."""
    every, value = agent.valued(view)
    score = 100 * reward.score(view.tokens, every).score
    favourites = value.topk(6, dim=1).indices
    chosen = score.gather(1, value.argmax(dim=1, keepdim=True))[:, 0]
    return {
        "mean_leaf": score[:, :-1].mean(dim=1),
        "best_of_set": score.amax(dim=1),
        "chosen": chosen,
        "regret": score.amax(dim=1) - chosen,
        "best_of_6": score.gather(1, favourites).amax(dim=1),
    }


def _note(rows: Rows, name: str, figures: dict[str, Tensor]) -> None:
    for figure, values in figures.items():
        rows.setdefault(name, {}).setdefault(figure, []).append(values)
