"""Plans of every agent of a seed, in batches, straight from a store of features.

What each agent is: :data:`openpair.reproduction.agents.LABELS`. All share the reward model of their run; the tree and
the reward model have never seen a policy's plan, and serve a second policy unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openpair.evaluation.plans_file import write_plans
from openpair.features.cache import FeatureStore
from openpair.planning.config import PlannerConfig
from openpair.planning.memory import previous_plans
from openpair.planning.networks import TrainedNetworks
from openpair.planning.planner import Choice, Planner, PlanningBatch
from openpair.samplers.base import Sampler
from openpair.training.batch import evaluation_batches

BATCH = 32


@dataclass
class SceneView:
    """A batch of scenes of a store.

    Attributes:
        tokens: (B,).
        batch: what planners see of them.
        human: (B, 8, 3) the human's plans.
        previous: by agent, (B, 8, 3) its previous plans driven on; NaN where there is none.
    """

    tokens: tuple[str, ...]
    batch: PlanningBatch
    human: Tensor
    previous: Mapping[str, Tensor]


@dataclass(frozen=True)
class PlannedAgent:
    """A planner with the name that it has in tables.

    Attributes:
        name: ``<base>.<agent>``.
        planner: networks and settings.
    """

    name: str
    planner: Planner

    @staticmethod
    def of(name: str, networks: TrainedNetworks, config: PlannerConfig, seed: int) -> PlannedAgent:
        """An agent with these networks and settings."""
        return PlannedAgent(name, Planner(networks, config, seed=seed))

    @property
    def config(self) -> PlannerConfig:
        return self.planner.config

    def changed(self, name: str, config: PlannerConfig, *, sampler: Sampler | None = None) -> PlannedAgent:
        """An agent with the same networks, or another sampler, and other settings."""
        networks = self.planner.networks
        own = networks if sampler is None else replace(networks, sampler=sampler)
        return PlannedAgent.of(name, own, config, self.planner.seed)

    def choose(self, view: SceneView) -> Choice:
        """What it plans, and between what; with its previous plans where the view has them."""
        return self.planner.choose(view.batch, previous=view.previous.get(self.name))

    def plan(self, view: SceneView) -> Tensor:
        """(B, 8, 3), or (B, best_of, 8, 3): x [m], y [m], heading [rad], ego rear-axle frame."""
        choice = self.choose(view)
        return choice.favourites(self.config.best_of) if self.config.best_of else choice.plan


Before = Mapping[str, str]
"""Token -> token of the scene 0.5 s earlier, for scenes that have one."""


def views(store: FeatureStore, tokens: Sequence[str] | None = None) -> Iterator[SceneView]:
    """All scenes of a store, or those of some tokens, batch by batch."""
    wanted = None if tokens is None else set(tokens)
    rows = np.array([i for i, token in enumerate(store.tokens) if wanted is None or token in wanted])
    for batch in evaluation_batches(len(rows), BATCH):
        chosen = rows[batch]
        arrays = store.batch(chosen)
        features = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in store.config.inputs}
        human = torch.from_numpy(np.ascontiguousarray(arrays["trajectory"]))
        yield SceneView(tuple(store.tokens[i] for i in chosen), PlanningBatch(features, human), human, {})


def planned(
    agents: Sequence[PlannedAgent],
    store: FeatureStore,
    *,
    before: Before | None = None,
    wanted: Collection[str] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[SceneView, dict[str, Tensor]]]:
    """Have agents plan the scenes of a store; agents share what networks make of them.

    The previous plan of a scene is what the agent plans for the scene before *without* memory.

    Args:
        agents: who plans.
        store: what they see; of a scene before another it also holds how the ego moved in between.
        before: which scene lies 0.5 s before which.
        wanted: scenes to plan; None: all.
        on_progress: told (scenes done, scenes in all).

    Yields batches of wanted scenes with agent -> plans (B, 8, 3), or (B, best_of, 8, 3).
    """
    known = set(store.tokens)
    earlier = {token: first for token, first in (before or {}).items() if token in known and first in known}
    chosen = known if wanted is None else known.intersection(wanted)
    remembering = [agent for agent in agents if agent.config.remembers]
    needed = {earlier[token] for token in chosen if token in earlier} if remembering else set()
    alone = [token for token in store.tokens if token in chosen and token not in earlier]
    # Who plans which scenes, and whether for the memory of later scenes alone: those come first.
    passes: list[tuple[Sequence[PlannedAgent], list[str], bool]] = [
        (remembering, [token for token in store.tokens if token in needed.difference(alone)], True),
        (agents, alone, False),
        (agents, [token for token in store.tokens if token in chosen and token in earlier], False),
    ]
    memory: dict[str, dict[str, Tensor]] = {agent.name: {} for agent in remembering}
    moved: dict[str, Tensor] = {}
    done, total = 0, sum(len(tokens) for _, tokens, _ in passes)
    for planning, tokens, for_memory in passes:
        for view in views(store, tokens):
            if not for_memory:
                view.previous = {
                    name: _previous(view.tokens, plans, earlier, moved) for name, plans in memory.items() if plans
                }
            plans = {agent.name: agent.plan(view) for agent in planning}
            if for_memory or tokens is alone:
                moved.update(zip(view.tokens, view.human[:, 0], strict=True))
                for name, own in memory.items():
                    own.update(zip(view.tokens, plans[name], strict=True))
            done += len(view.tokens)
            on_progress(done, total)
            if not for_memory:
                yield view, plans


def _previous(
    tokens: Sequence[str], plans: Mapping[str, Tensor], earlier: Before, moved: Mapping[str, Tensor]
) -> Tensor:
    """(B, 8, 3) plans of the scenes before, driven on; NaN where there is none."""
    rows = {row: earlier[token] for row, token in enumerate(tokens) if token in earlier}
    if not rows:
        return previous_plans(len(tokens), (), torch.empty(0), torch.empty(0))
    first = rows.values()
    return previous_plans(
        len(tokens), list(rows), torch.stack([plans[t] for t in first]), torch.stack([moved[t] for t in first])
    )


def plan_all(
    agents: Sequence[PlannedAgent],
    store: FeatureStore,
    folder: Path,
    *,
    before: Before | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """:func:`planned` for every scene of a store, written to ``folder/<name>.npz``; returns the files."""
    found: dict[str, dict[str, Tensor]] = {agent.name: {} for agent in agents}
    for view, plans in planned(agents, store, before=before, on_progress=on_progress):
        for name, batch in plans.items():
            found[name].update(zip(view.tokens, batch, strict=True))
    written = []
    for agent in agents:
        path = folder / f"{agent.name}.npz"
        poses = torch.stack([found[agent.name][token] for token in store.tokens])
        write_plans(path, list(store.tokens), poses.double().numpy())
        written.append(path)
    return written
