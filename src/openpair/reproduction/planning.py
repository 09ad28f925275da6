"""Plans of every agent of a seed, in batches, straight from a store of features.

What each agent is: :data:`openpair.reproduction.agents.LABELS`. All share the reward model of their run; the tree and
the reward model have never seen a policy's plan, and serve a second policy unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openpair.checkpoints import load_checkpoint
from openpair.features.cache import FeatureStore
from openpair.planning.memory import driven_on
from openpair.planning.pipeline import WIDE
from openpair.planning.planner import blended
from openpair.policies.base import ImitationPolicy
from openpair.reproduction.plan_files import write_plans
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler
from openpair.samplers.perturbations import control_candidates
from openpair.training.batch import evaluation_batches

BATCH = 32

Candidates = Callable[["SceneView", Tensor], Tensor]
"""What a batch of scenes looks like and roots (B, 8, 3) -> candidates (B, K, 8, 3) without the root."""


@dataclass
class SceneView:
    """A batch of scenes, with what networks made of it kept as long as it is looked at.

    Attributes:
        tokens: (B,).
        features: inputs by name (B, ...).
        human: (B, 8, 3) the human's plans.
        noise_seed: of policies that draw at random.
        seen: what each network made of it, by the network, and what was scored already.
        driven_on: by agent (B, 8, 3) its plan of half a second before, driven on; NaN where there is none.
    """

    tokens: tuple[str, ...]
    features: dict[str, Tensor]
    human: Tensor
    noise_seed: int
    seen: dict[Hashable, Any] = field(default_factory=dict)
    driven_on: dict[str, Tensor] = field(default_factory=dict)

    def once(self, maker: Hashable, make: Callable[[], Any]) -> Any:
        """What ``maker`` (a network, or several things together) makes of the batch, made at the first call."""
        if maker not in self.seen:
            self.seen[maker] = make()
        return self.seen[maker]


def views(store: FeatureStore, seed: int, tokens: Sequence[str] | None = None) -> Iterator[SceneView]:
    """All scenes of a store, or those of some tokens, batch by batch."""
    wanted = None if tokens is None else set(tokens)
    rows = np.array([i for i, token in enumerate(store.tokens) if wanted is None or token in wanted])
    for batch in evaluation_batches(len(rows), BATCH):
        chosen = rows[batch]
        arrays = store.batch(chosen)
        features = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in store.config.inputs}
        human = torch.from_numpy(np.ascontiguousarray(arrays["trajectory"]))
        yield SceneView(tuple(store.tokens[i] for i in chosen), features, human, seed + int(batch[0]))


Root = Callable[[SceneView], Tensor]
"""Plans (B, 8, 3) around which candidates are made."""


def human_root(view: SceneView) -> Tensor:
    """What the human drove."""
    return view.human


def policy_root(policy: ImitationPolicy) -> Root:
    """What a policy plans; made once for each batch."""

    def plan(view: SceneView) -> Tensor:
        drawn = policy.draw(len(view.tokens), torch.Generator().manual_seed(view.noise_seed))
        return policy.plan(**view.features, **drawn).float()

    return lambda view: view.once(policy, lambda: plan(view))


def mild(view: SceneView, root: Tensor) -> Tensor:
    """The control's candidates."""
    return control_candidates(root)


def wide(view: SceneView, root: Tensor) -> Tensor:
    """The control's candidates, further apart."""
    return control_candidates(root, WIDE)


def tree(sampler: Sampler) -> Candidates:
    """A sampler's leaves at its mean."""

    def leaves(view: SceneView, root: Tensor) -> Tensor:
        context = view.once(sampler, lambda: sampler.encode(view.features))
        return sampler.expand(context, root).leaves[:, 0]

    return leaves


@dataclass(frozen=True)
class PlannedAgent:
    """A way to plan.

    Attributes:
        name: ``<base>.<agent>``.
        root: whose plan it starts from.
        candidates: what the reward model may choose from besides; None: the root is the plan.
        reward_model: chooses; None with ``candidates`` None.
        best_of: 0, or how many of the reward model's favourites are given, for the true score to pick from.
        margin: by so much [score] more than predicted the root is valued.
        keep: None, or the plan of half a second before, driven on, is a candidate too, and is valued by so much [score]
            more than it is predicted.
        blend: temperature [score] at which candidates become one plan (:func:`openpair.planning.planner.blended`); 0:
            the best is the plan.
    """

    name: str
    root: Root
    candidates: Candidates | None = None
    reward_model: RewardModel | None = None
    best_of: int = 0
    margin: float = 0.0
    blend: float = 0.0
    keep: float | None = None

    def valued(self, view: SceneView) -> tuple[Tensor, Tensor]:
        """Candidates (B, N, 8, 3), the root last, and their predicted scores (B, N), the root's with its margin.

        An agent that remembers has its plan of half a second before as its first candidate.
        """
        every, value = view.once((self.root, self.candidates, self.reward_model), lambda: self._scored(view))
        value = value.clone()
        value[:, -1] += self.margin
        return self._with_memory(view, every, value)

    def _scored(self, view: SceneView) -> tuple[Tensor, Tensor]:
        """Candidates and root, and what the reward model predicts for them."""
        assert self.candidates is not None
        root = self.root(view)
        every = torch.cat((self.candidates(view, root), root[:, None]), dim=1)
        return every, self._predicted(view, every)

    def _predicted(self, view: SceneView, plans: Tensor) -> Tensor:
        """Predicted scores (B, N) of plans (B, N, 8, 3)."""
        model = self.reward_model
        assert model is not None
        context = view.once(model, lambda: model.encode(view.features))
        return model.score(context, plans)["sim_logits"][:, 0].sigmoid()

    def _with_memory(self, view: SceneView, every: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Candidates with the plan of half a second before in front, where this agent remembers any.

        A scene without one has its root there, valued at minus infinity.
        """
        remembered = view.driven_on.get(self.name) if self.keep is not None else None
        if remembered is None or not bool(remembered.isfinite().any()):
            return every, value
        known = remembered.isfinite().all(dim=(1, 2))
        plan = torch.where(known[:, None, None], remembered, every[:, -1])[:, None]
        worth = self._predicted(view, plan) + (self.keep or 0.0)
        worth = torch.where(known[:, None], worth, -torch.inf)
        return torch.cat((plan, every), dim=1), torch.cat((worth, value), dim=1)

    @torch.no_grad()
    def plan(self, view: SceneView) -> Tensor:
        """(B, 8, 3), or (B, best_of, 8, 3): x [m], y [m], heading [rad], ego rear-axle frame."""
        if self.candidates is None:
            return self.root(view)
        every, value = self.valued(view)
        rows = torch.arange(len(every))
        if self.best_of:
            return every[rows[:, None], value.topk(self.best_of, dim=1).indices]
        if self.blend:
            return blended(every, value, self.blend)
        return every[rows, value.argmax(dim=1)]


Before = Mapping[str, str]
"""Token -> token of the scene half a second before, for scenes that have one."""


def in_order(tokens: Sequence[str], before: Before) -> list[list[str]]:
    """Tokens in rounds: what lies before a scene is in an earlier round than the scene itself."""
    known, rounds = set(tokens), dict[str, int]()
    for token in tokens:
        chain = [token]
        while chain[-1] not in rounds and before.get(chain[-1]) in known:
            chain.append(before[chain[-1]])
        for later in reversed(chain):
            rounds.setdefault(later, rounds[before[later]] + 1 if before.get(later) in known else 0)
    return [[t for t in tokens if rounds[t] == number] for number in range(max(rounds.values(), default=-1) + 1)]


def planned(
    agents: Sequence[PlannedAgent],
    store: FeatureStore,
    *,
    seed: int,
    before: Before | None = None,
    wanted: Collection[str] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[SceneView, dict[str, Tensor]]]:
    """Have agents plan the scenes of a store; agents share what they look at, those that remember go in order of time.

    Args:
        agents: who plans.
        store: what they see; of a scene before another it also holds how the car moved in between.
        seed: of policies that draw at random.
        before: which scene lies half a second before which.
        wanted: scenes to plan; of the others only what is remembered is made. None: all.
        on_progress: told (scenes done, scenes in all).

    Yields batches of wanted scenes with agent -> plans (B, 8, 3), or (B, best_of, 8, 3).
    """
    before = before or {}
    remembering = [agent for agent in agents if agent.keep is not None]
    memory: dict[str, dict[str, Tensor]] = {agent.name: {} for agent in remembering}
    moved: dict[str, Tensor] = {}
    groups: list[tuple[Sequence[PlannedAgent], list[str]]] = []
    for tokens in in_order(store.tokens, before):
        needed = [token for token in tokens if wanted is None or token in wanted]
        if remembering:
            groups.append((remembering, sorted(set(tokens) - set(needed))))
        groups.append((agents, needed))
    done, total = 0, sum(len(tokens) for _, tokens in groups)
    for planning, tokens in groups:
        for view in views(store, seed, tokens):
            moved.update(zip(view.tokens, view.human[:, 0], strict=True))
            for agent in remembering:
                view.driven_on[agent.name] = _remembered(view.tokens, memory[agent.name], before, moved)
            plans = {agent.name: agent.plan(view) for agent in planning}
            for name, known in memory.items():
                known.update(zip(view.tokens, plans[name], strict=True))
            done += len(view.tokens)
            on_progress(done, total)
            if planning is agents:
                yield view, plans


def _remembered(
    tokens: Sequence[str], plans: Mapping[str, Tensor], before: Before, moved: Mapping[str, Tensor]
) -> Tensor:
    """(B, 8, 3) plans of the scenes before, driven on; NaN where there is none."""
    out = torch.full((len(tokens), 8, 3), torch.nan)
    rows = [(i, before[token]) for i, token in enumerate(tokens) if before.get(token) in plans]
    if rows:
        previous = torch.stack([plans[token] for _, token in rows])
        now = torch.stack([moved[token] for _, token in rows])
        out[[i for i, _ in rows]] = driven_on(previous, now)
    return out


def plan_all(
    agents: Sequence[PlannedAgent],
    store: FeatureStore,
    folder: Path,
    *,
    seed: int,
    before: Before | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """:func:`planned` for every scene of a store, written to ``folder/<name>.npz``; returns the files."""
    found: dict[str, dict[str, Tensor]] = {agent.name: {} for agent in agents}
    for view, plans in planned(agents, store, seed=seed, before=before, on_progress=on_progress):
        for name, batch in plans.items():
            found[name].update(zip(view.tokens, batch, strict=True))
    written = []
    for agent in agents:
        path = folder / f"{agent.name}.npz"
        poses = torch.stack([found[agent.name][token] for token in store.tokens])
        write_plans(path, list(store.tokens), poses.double().numpy())
        written.append(path)
    return written


def load_policy(path: Path) -> ImitationPolicy:
    """A trained imitation policy. Raises OpenPairError where the file is not one."""
    network = load_checkpoint(path, "transfuser|diffusiondrive")[0]
    assert isinstance(network, ImitationPolicy)
    return network


def load_sampler(path: Path) -> Sampler:
    """A trained sampler. Raises OpenPairError where the file is not one."""
    network = load_checkpoint(path, "kinematic|parallel_ir|flat")[0]
    assert isinstance(network, Sampler)
    return network


def load_reward_model(path: Path) -> RewardModel:
    """A trained reward model. Raises OpenPairError where the file is not one."""
    network = load_checkpoint(path, "pose_aware|rwm")[0]
    assert isinstance(network, RewardModel)
    return network
