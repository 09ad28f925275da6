"""The planner: root -> candidates around it -> reward model -> plan -> its correction, for a batch of scenes.

Everything that plans calls it: evaluation, demo, submission, export, NAVSIM's adapter and reproduction.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from openpair.datatypes.columns import PoseIndex
from openpair.errors import OpenPairError
from openpair.planning.config import MODES, WIDE, PlannerConfig
from openpair.planning.judgement import judgement_of
from openpair.planning.networks import TrainedNetworks
from openpair.planning.noise import drawn_for
from openpair.planning.search import search
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardContext, RewardModel
from openpair.samplers.base import Sampler, SamplerContext
from openpair.samplers.perturbations import NUM_CONTROL_CANDIDATES, control_candidates

Grow = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Features by name and roots (B, 8, 3) -> candidates (B, K, 8, 3) without the root."""


@dataclass(frozen=True)
class Choice:
    """What a planner decided for B scenes, and between what.

    Attributes:
        plan: (B, 8, 3) the plan: x [m], y [m], heading [rad], ego rear-axle frame; the best candidate, or the mean of
            candidates where the planner has a temperature, corrected where the planner has a corrector.
        candidates: (B, N, 8, 3) all candidates; the last one is the root, the first one the previous plan where
            ``has_previous`` (in scenes without one the root stands in, valued at minus infinity).
        predicted: (B, N) the reward model's logit of each; the greater the better. NaN where none was asked.
        value: (B, N) predicted scores with the bonuses: what decides.
        index: (B,) the candidate with the greatest value.
        has_previous: whether the first candidate is the previous plan.
    """

    plan: Tensor
    candidates: Tensor
    predicted: Tensor
    value: Tensor
    index: Tensor
    has_previous: bool = False

    def favourites(self, count: int) -> Tensor:
        """(B, count, 8, 3) the candidates with the greatest values, best first."""
        rows = torch.arange(len(self.candidates), device=self.candidates.device)
        return self.candidates[rows[:, None], self.value.topk(count, dim=1).indices]


@dataclass
class PlanningBatch:
    """B scenes as planners see them. What a network made of them is kept: planners that share it run it once.

    Attributes:
        features: inputs of the networks by name (B, ...).
        human: (B, 8, 3) what the human drove, where it is known.
        seen: what was made of the scenes already, by its maker.
    """

    features: Mapping[str, Tensor]
    human: Tensor | None = None
    seen: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, maker: Hashable, make: Callable[[], Any]) -> Any:
        """What ``maker`` (a network, or several things together) makes of the batch, made at the first call."""
        if maker not in self.seen:
            self.seen[maker] = make()
        return self.seen[maker]


def seen_by_sampler(batch: PlanningBatch, sampler: Sampler) -> SamplerContext:
    """A batch as a sampler sees it, without what no tree needs."""
    context: SamplerContext = batch.once(sampler, lambda: sampler.encode(batch.features, perceive=False))
    return context


def seen_by_model(batch: PlanningBatch, model: RewardModel) -> RewardContext:
    """A batch as a reward model sees it."""
    context: RewardContext = batch.once(model, lambda: model.encode(batch.features))
    return context


def blended(candidates: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """Mean of candidates, each weighted by how good it is thought to be.

    Candidates that are valued alike differ by less than the reward model can see. Taking the best of them jumps from
    one to another between frames; their mean does not, and what is wrong with each averages out.

    Args:
        candidates: (B, N, 8, 3) x [m], y [m], heading [rad].
        scores: (B, N) predicted scores in [0, 1], bonuses included.
        temperature: weights are softmax(scores / temperature); above 0.

    Returns:
        (B, 8, 3), same frame.
    """
    weight = (scores / temperature).softmax(dim=1)[..., None, None]
    heading = candidates[..., PoseIndex.HEADING :]
    xy = (weight * candidates[..., : PoseIndex.HEADING]).sum(dim=1)
    direction = torch.atan2((weight * heading.sin()).sum(dim=1), (weight * heading.cos()).sum(dim=1))
    return torch.cat((xy, direction), dim=-1)


def mean_plan(candidates: Tensor) -> Tensor:
    """Plain mean (B, 8, 3) of candidates (B, N, 8, 3): :func:`blended` with all alike."""
    return blended(candidates, candidates.new_zeros(candidates.shape[:2]), 1.0)


def predicted_logits(reward_model: RewardModel, context: RewardContext, candidates: Tensor) -> Tensor:
    """(B, N) logits of candidates (B, N, 8, 3)."""
    return reward_model.score(context, candidates)["sim_logits"][:, 0]


def decide(candidates: Tensor, predicted: Tensor, value: Tensor, temperature: float, **about: Any) -> Choice:
    """The choice among candidates (B, N, 8, 3) with logits and values (B, N) of each."""
    index = value.argmax(dim=1)
    if temperature > 0:
        plan = blended(candidates, value, temperature)
    else:
        plan = candidates[torch.arange(len(candidates), device=candidates.device), index]
    return Choice(plan, candidates, predicted, value, index, **about)


@torch.no_grad()
def choose(
    features: Mapping[str, Tensor],
    root: Tensor,
    grow: Grow,
    reward_model: RewardModel,
    config: PlannerConfig = MODES["pair"],
    previous: Tensor | None = None,
) -> Choice:
    """Grow candidates around roots (B, 8, 3), which stay among them, and choose by search, bonuses and temperature of
    ``config``; its source of candidates is ``grow``. ``previous`` as for :meth:`Planner.choose`."""
    return choose_in(reward_model.encode(features), root, grow(features, root), reward_model, config, previous)


@torch.no_grad()
def choose_in(
    context: RewardContext,
    root: Tensor,
    grown: Tensor,
    reward_model: RewardModel,
    config: PlannerConfig,
    previous: Tensor | None = None,
) -> Choice:
    """:func:`choose` among grown candidates (B, K, 8, 3), for scenes that the reward model has seen already."""
    candidates, predicted = _scored(grown, root, reward_model, context, config)
    return _decided(candidates, predicted, reward_model, context, config, previous)


def _scored(
    grown: Tensor, root: Tensor, reward_model: RewardModel, context: RewardContext, config: PlannerConfig
) -> tuple[Tensor, Tensor]:
    """Candidates (B, N, 8, 3), those a search finds included and the root last, and their logits (B, N)."""
    candidates = torch.cat([grown, root[:, None]], dim=1)
    predicted = predicted_logits(reward_model, context, candidates)
    if config.search is not None:
        candidates, predicted = search(reward_model, context, candidates, predicted, config.search)
    return candidates, predicted


def _decided(
    candidates: Tensor,
    predicted: Tensor,
    reward_model: RewardModel,
    context: RewardContext,
    config: PlannerConfig,
    previous: Tensor | None,
) -> Choice:
    """The choice among scored candidates and the previous plan."""
    value = predicted.sigmoid()
    if config.root_bonus:
        value = torch.cat((value[:, :-1], value[:, -1:] + config.root_bonus), dim=1)
    if previous is None or not config.remembers or not bool(previous.isfinite().any()):
        return decide(candidates, predicted, value, config.temperature)
    known = previous.isfinite().all(dim=(1, 2))[:, None]
    plan = torch.where(known[..., None], previous.to(candidates), candidates[:, -1])[:, None]
    together = torch.cat((plan, candidates), dim=1)
    if reward_model.sees_the_set:
        logits = predicted_logits(reward_model, context, together)
        bonus = torch.zeros_like(logits)
        bonus[:, 0], bonus[:, -1] = config.previous_plan_bonus or 0.0, config.root_bonus
        forgotten = torch.cat((torch.full_like(value[:, :1], -torch.inf), value), dim=1)
        worth = torch.where(known, logits.sigmoid() + bonus, forgotten)
        predicted = torch.where(known, logits, torch.cat((logits[:, :1], predicted), dim=1))
        return decide(together, predicted, worth, config.temperature, has_previous=True)
    own = predicted_logits(reward_model, context, plan)
    worth = torch.where(known, own.sigmoid() + (config.previous_plan_bonus or 0.0), -torch.inf)
    predicted, value = torch.cat((own, predicted), dim=1), torch.cat((worth, value), dim=1)
    return decide(together, predicted, value, config.temperature, has_previous=True)


class Planner:
    """Networks and settings as a planner of batches.

    Args:
        networks: those that the settings need.
        config: the settings.
        seed: of policies that draw at random, and of a tree before its training.
        given_root: True where roots are given to :meth:`choose`, and no policy is needed.

    Raises OpenPairError where a network is missing.
    """

    def __init__(
        self, networks: TrainedNetworks, config: PlannerConfig, *, seed: int = 0, given_root: bool = False
    ) -> None:
        lacking = missing_networks(networks, config, needs_policy=not given_root)
        if lacking:
            raise OpenPairError(f"the planner lacks {' and '.join(lacking)}", where="networks", fix="Train it first")
        self.networks, self.config, self.seed = networks, config, seed
        self.sampler = networks.sampler
        if config.candidates == "untrained_tree":
            assert isinstance(self.sampler, Sampler)
            self.sampler = untrained(self.sampler, seed)

    @torch.no_grad()
    def choose(self, batch: PlanningBatch, *, root: Tensor | None = None, previous: Tensor | None = None) -> Choice:
        """What it plans for B scenes: the choice among candidates, corrected where the settings ask for it.

        Args:
            batch: the scenes.
            root: (B, 8, 3) plans in place of the policy's or the human's.
            previous: (B, 8, 3) previous plans driven on (:mod:`openpair.planning.memory`), NaN where there is none;
                None plans without memory.

        Raises OpenPairError for roots that are not known.
        """
        choice = self._choose(batch, root, previous)
        if not self.config.correction:
            return choice
        return replace(choice, plan=self._corrected(batch, choice.plan))

    def _choose(self, batch: PlanningBatch, root: Tensor | None, previous: Tensor | None) -> Choice:
        config, model = self.config, self.networks.reward_model
        root_key: Hashable = (self, "given") if root is not None else self._root_key()
        around = self._rerooted(batch, self._root(batch) if root is None else root.float(), root_key)
        if config.candidates == "none":
            unknown = torch.full((len(around), 1), torch.nan)
            return Choice(around, around[:, None], unknown, unknown, torch.zeros(len(around), dtype=torch.long))
        assert isinstance(model, RewardModel)
        context = seen_by_model(batch, model)
        key = (root_key, config.reroots, config.candidates, config.strength, config.search, self.sampler, model)
        candidates, predicted = batch.once(
            key, lambda: _scored(self._grown(batch, around), around, model, context, config)
        )
        return _decided(candidates, predicted, model, context, config, previous)

    def candidate_names(self, choice: Choice) -> tuple[str, ...]:
        """Names of a choice's candidates in their order: the previous plan, codes of the leaves (neighbours have
        numbers), those a search found, then the root."""
        count = choice.candidates.shape[1] - 1 - choice.has_previous
        if isinstance(self.sampler, Sampler) and self.config.candidates in ("tree", "untrained_tree"):
            grown = tuple(self.sampler.config.codes)
        else:
            grown = tuple(str(i + 1) for i in range(min(count, NUM_CONTROL_CANDIDATES)))
        found = (f"found {i + 1}" for i in range(count - len(grown)))
        root = "mean of the tree" if self.config.reroots else "IL"
        return (*(("previous",) if choice.has_previous else ()), *grown, *found, root)

    def _root_key(self) -> Hashable:
        return "human" if self.config.root == "human" else (self.networks.policy, self.seed)

    def _root(self, batch: PlanningBatch) -> Tensor:
        if self.config.root == "human":
            if batch.human is None:
                raise OpenPairError("what the human drove is not known", where="root", fix="Use a policy's root")
            return batch.human.float()
        policy = self.networks.policy
        assert isinstance(policy, ImitationPolicy)

        def plan() -> Tensor:
            drawn = drawn_for(policy, batch.features, self.seed)
            return policy.plan(**batch.features, **drawn).float()

        plans: Tensor = batch.once(self._root_key(), plan)
        return plans

    def _grown(self, batch: PlanningBatch, root: Tensor) -> Tensor:
        """Candidates (B, K, 8, 3) around roots."""
        if self.config.candidates == "mild":
            return control_candidates(root)
        if self.config.candidates == "wide":
            return control_candidates(root, WIDE)
        return self._leaves(batch, root)

    def _leaves(self, batch: PlanningBatch, root: Tensor) -> Tensor:
        """The sampler's leaves (B, L, 8, 3) around roots."""
        sampler = self.sampler
        assert isinstance(sampler, Sampler)
        return sampler.mean_leaves(seen_by_sampler(batch, sampler), root, strength=self.config.strength)

    def _corrected(self, batch: PlanningBatch, plan: Tensor) -> Tensor:
        """Plans (B, 8, 3) that are chosen -> plans that are driven."""
        corrector = self.networks.corrector
        assert isinstance(corrector, Sampler)
        model = self.networks.reward_model
        assert isinstance(model, RewardModel)
        judgement = judgement_of(model, seen_by_model(batch, model))
        context = replace(seen_by_sampler(batch, corrector), judgement=judgement)
        return corrector.mean_leaves(context, plan, strength=self.config.correction)[:, 0]

    def _mean_around(self, batch: PlanningBatch, root: Tensor) -> Tensor:
        return mean_plan(torch.cat((self._leaves(batch, root), root[:, None]), dim=1))

    def _rerooted(self, batch: PlanningBatch, root: Tensor, root_key: Hashable) -> Tensor:
        """Roots (B, 8, 3) after they became the mean of themselves and the leaves around them, as often as is set."""
        for times in range(1, self.config.reroots + 1):
            key = (root_key, "rerooted", times, self.config.strength, self.sampler)
            root = batch.once(key, partial(self._mean_around, batch, root))
        return root


def missing_networks(networks: TrainedNetworks, config: PlannerConfig, *, needs_policy: bool = True) -> list[str]:
    """Which networks a planner needs and does not have."""
    needed: dict[str, Any] = {
        "a policy": needs_policy and config.root == "policy" and networks.policy is None,
        "a sampler": (config.reroots or config.candidates in ("tree", "untrained_tree")) and networks.sampler is None,
        "a reward model": (config.candidates != "none" or bool(config.correction)) and networks.reward_model is None,
        "a corrector": bool(config.correction) and networks.corrector is None,
    }
    return [what for what, lacks in needed.items() if lacks]


def untrained(sampler: Sampler, seed: int) -> Sampler:
    """A sampler with the weights that it starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(sampler)(sampler.config).eval()
