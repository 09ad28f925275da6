"""Every agent and every ablation on the validation towns, by exact v1.1 scores. The test towns are not opened here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from openpair.features.cache import FeatureStore
from openpair.planning.planner import mean_plan
from openpair.reproduction.agents import BASE
from openpair.reproduction.choices import (
    AGENTS,
    CONTROLS,
    HUMAN_PAIR,
    MANNERS,
    MEANS,
    PAIR,
    REWARD_MODEL,
    ROOTS,
    TREE_MEAN,
    VALIDATION_FILE,
    manner_name,
    root_name,
    use_name,
    uses_around_humans,
    write_tables,
)
from openpair.reproduction.planning import Before, PlannedAgent, SceneView, planned
from openpair.reproduction.settings import (
    MEAN_USES,
    PREVIOUS_PLAN_BONUSES,
    ROOT_BONUSES,
    TEMPERATURES,
    TREE_USES,
    TreeUse,
)
from openpair.rewards.exact import ExactReward
from openpair.training.data import TrainingData

Rows = dict[str, dict[str, list[Tensor]]]

Sets = dict[str, tuple[str, PlannedAgent]]
"""Name in validation tables -> (label, agent) of sets of candidates."""


def validate_seed(
    folder: Path,
    agents: Sequence[PlannedAgent],
    ablations: dict[str, dict[str, PlannedAgent]],
    data: TrainingData,
    store: FeatureStore,
    before: Before,
    *,
    uses: Sequence[TreeUse] = TREE_USES,
    on_progress: Callable[[int, int], None],
) -> None:
    """Write ``folder/validation.json``: table -> row -> figure -> percent (drift: metres).

    Table "agents" has the score and sub-metrics of each agent's plan; "manners" and "roots" have the scores that
    :mod:`openpair.reproduction.choices` chooses by; each ablation has the mean leaf, the best of the set, what the
    reward model chooses, and the best of its six favourites.

    Args:
        folder: of the seed.
        agents: who plans, without temperature and memory.
        ablations: table -> row -> agent with another sampler.
        data: the scenes that count, with their rewards.
        store: what agents see of them, and of the scenes 0.5 s earlier.
        before: which scene lies 0.5 s before which.
        uses: of what reinforcement learned.
        on_progress: told (scenes done, scenes in all).
    """
    reward = data.reward()
    sets = sets_to_choose_from(agents, uses)
    judged = agents_of_tables(agents, sets, uses)
    known = {agent.name: agent for table in judged.values() for agent in table}
    tables: dict[str, Rows] = {table: {} for table in (*judged, REWARD_MODEL, *ablations)}
    every = planned(list(known.values()), store, before=before, wanted=set(data.tokens), on_progress=on_progress)
    with torch.no_grad():
        for view, plans in every:
            figures = judge_plans(plans, view, reward)
            for table, of_table in judged.items():
                for agent in of_table:
                    own = figures[agent.name]
                    _note(tables[table], agent.name, own if table == AGENTS else {"score": own["score"]})
            for name, (label, agent) in sets.items():
                chosen = {value: figures[manner_name(name, value, None)]["score"] for value in TEMPERATURES}
                for way, score in judge_ways(agent, view, reward, chosen).items():
                    _note(tables[REWARD_MODEL], way, {label: score})
            for table, variants in ablations.items():
                for name, agent in variants.items():
                    _note(tables[table], name, judge_set(agent, view, reward))
    means = {
        table: {
            row: {figure: round(float(torch.cat(v).mean()), 6) for figure, v in figures.items()}
            for row, figures in rows.items()
        }
        for table, rows in tables.items()
    }
    write_tables(folder / VALIDATION_FILE, means)


def agents_of_tables(
    agents: Sequence[PlannedAgent], sets: Sets, uses: Sequence[TreeUse]
) -> dict[str, list[PlannedAgent]]:
    """Table of validation.json -> agents that it compares: those given, and what is to be chosen among."""
    human, mean = (next(agent for agent in agents if agent.name == name) for name in (HUMAN_PAIR, TREE_MEAN))
    return {
        AGENTS: [agent for agent in agents if agent.config.best_of == 0],
        MANNERS: [
            agent.changed(
                manner_name(name, temperature, bonus),
                replace(agent.config, temperature=temperature, previous_plan_bonus=bonus),
            )
            for name, (_, agent) in sets.items()
            for temperature, bonus in product(TEMPERATURES, PREVIOUS_PLAN_BONUSES)
        ],
        MEANS: [
            mean.changed(use_name(use, TREE_MEAN), replace(mean.config, strength=use.strength, reroots=use.reroots))
            for use in MEAN_USES
        ],
        ROOTS: [
            human.changed(
                root_name(use, bonus, temperature),
                replace(human.config, **asdict(use), root_bonus=bonus, temperature=temperature),
            )
            for use in uses_around_humans(uses)
            for bonus, temperature in product(ROOT_BONUSES, TEMPERATURES)
        ],
    }


def sets_to_choose_from(agents: Sequence[PlannedAgent], uses: Sequence[TreeUse]) -> Sets:
    """Both controls, and every use of what reinforcement learned."""
    by_name = {agent.name: agent for agent in agents}
    sets: Sets = {}
    for control in CONTROLS:
        name = f"{BASE}.{control}"
        sets[name] = f"{control.removeprefix('il_rwm_')} neighbours", by_name[name]
    pair = by_name[PAIR]
    for use in uses:
        agent = pair.changed(use_name(use), replace(pair.config, **asdict(use)))
        sets[agent.name] = use.label if use.correction else f"tree, {use.label}", agent
    return sets


def judge_ways(
    agent: PlannedAgent, view: SceneView, reward: ExactReward, chosen: Mapping[float, Tensor]
) -> dict[str, Tensor]:
    """Way to come from a set of candidates to a plan -> its scores (B,) [percent]: what depends on the reward model.

    ``chosen`` has the scores (B,) of what the reward model makes of the set, by temperature; 0 is the predicted best.
    """
    choice = agent.choose(view)
    every, value = choice.candidates, choice.value
    mean = mean_plan(every)
    score, of_mean = (100 * reward.score(view.tokens, torch.cat((every, mean[:, None]), dim=1)).score).split(
        (every.shape[1], 1), dim=1
    )
    return {
        "without: the root": score[:, -1],
        "without: a candidate or the root, by chance": score.mean(dim=1),
        "without: plain mean of candidates and root": of_mean[:, 0],
        **{
            f"with: blended, temperature {100 * temperature:g}" if temperature else "with: predicted best": own
            for temperature, own in chosen.items()
        },
        "best of six favourites by the true score": score.gather(1, value.topk(6, dim=1).indices).amax(dim=1),
        "best of all by the true score": score.amax(dim=1),
    }


def judge_plans(plans: Mapping[str, Tensor], view: SceneView, reward: ExactReward) -> dict[str, dict[str, Tensor]]:
    """Name -> figure -> (B,) of plans (B, 8, 3): score and sub-metrics [percent], and distance to the IL plan [m]."""
    exact = reward.score(view.tokens, torch.stack(list(plans.values()), dim=1))
    metrics = {name: 100 * exact.metric(name) for name in exact.known_metrics()}
    figures = {}
    for row, (name, plan) in enumerate(plans.items()):
        drift_m = (plan - plans[f"{BASE}.il"])[..., :2].norm(dim=-1).mean(dim=-1)
        own = {metric: values[:, row] for metric, values in metrics.items()}
        figures[name] = {"score": 100 * exact.score[:, row], **own, "drift_m": drift_m}
    return figures


def judge_set(agent: PlannedAgent, view: SceneView, reward: ExactReward) -> dict[str, Tensor]:
    """Figures (B,) of a set of candidates and of the choice among them [percent]."""
    choice = agent.choose(view)
    every, value = choice.candidates, choice.value
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
