"""Plans of every agent of a seed, in batches, straight from a store of features.

What each agent is: :data:`openpair.reproduction.agents.LABELS`. All share the reward model of their run; the tree and
the reward model have never seen a policy's plan, and serve a second policy unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openpair.checkpoints import load_checkpoint
from openpair.features.cache import FeatureStore
from openpair.policies.base import ImitationPolicy
from openpair.reproduction.plan_files import write_plans
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler
from openpair.selection.perturbations import control_candidates
from openpair.selection.planner import blended
from openpair.training.batch import evaluation_batches
from openpair.training.data import FEATURES_OF_BATCH
from openpair.training.pipeline import WIDE

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
    """

    tokens: tuple[str, ...]
    features: dict[str, Tensor]
    human: Tensor
    noise_seed: int
    seen: dict[Hashable, Any] = field(default_factory=dict)

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
        features = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in FEATURES_OF_BATCH}
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
        margin: by so much [score] a candidate must be predicted better than the root to take its place.
        blend: temperature [score] at which candidates become one plan (:func:`openpair.selection.planner.blended`); 0:
            the best is the plan.
    """

    name: str
    root: Root
    candidates: Candidates | None = None
    reward_model: RewardModel | None = None
    best_of: int = 0
    margin: float = 0.0
    blend: float = 0.0

    def valued(self, view: SceneView) -> tuple[Tensor, Tensor]:
        """Candidates (B, N, 8, 3), the root last, and their predicted scores (B, N), the root's with its margin."""
        every, value = view.once((self.root, self.candidates, self.reward_model), lambda: self._scored(view))
        value = value.clone()
        value[:, -1] += self.margin
        return every, value

    def _scored(self, view: SceneView) -> tuple[Tensor, Tensor]:
        assert self.candidates is not None and self.reward_model is not None
        root, model = self.root(view), self.reward_model
        every = torch.cat((self.candidates(view, root), root[:, None]), dim=1)
        context = view.once(model, lambda: model.encode(view.features))
        return every, model.score(context, every)["sim_logits"][:, 0].sigmoid()

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


def plan_all(
    agents: Sequence[PlannedAgent],
    store: FeatureStore,
    folder: Path,
    *,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Have every agent plan every scene of a store and write ``folder/<name>.npz``; agents share what they look at."""
    tokens: list[str] = []
    plans: dict[str, list[Tensor]] = {agent.name: [] for agent in agents}
    for view in views(store, seed):
        tokens += view.tokens
        for agent in agents:
            plans[agent.name].append(agent.plan(view))
        on_progress(len(tokens), len(store.tokens))
    written = []
    for agent in agents:
        path = folder / f"{agent.name}.npz"
        write_plans(path, tokens, torch.cat(plans[agent.name]).double().numpy())
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
