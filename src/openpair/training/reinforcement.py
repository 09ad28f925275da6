"""The reinforcement branch: GRPO on exact scores grows better trees around a reference plan.

Departures from the paper, each measured in docs/log.md:

- Leaves come from smooth offsets in acceleration and curvature (``kinematic`` sampler) instead of jumps of single
  poses; the published tree (``parallel_ir``) is a setting away.
- A leaf competes with the same code of the scene's other trees, in units of the scene's spread, and earns what the best
  of its tree would lose without it (``covering``), since the selector takes one leaf; the paper's estimator is
  ``group_normalised``.
- KL holds the policy near its start, not near its last update: without it the leaves become copies of the root.
- Roots are the human's plan with smooth noise: at inference the root is a policy's plan, which errs.
- Where ``imitation_weight`` is set, the leaf nearest to the human plan is drawn to it (the paper names an L1 loss for
  the tree but not how it enters): a gradient through the geometry, which teaches the tree to mend roots that err.
- The encoder also learns from perception (agents, map), as it does in the imitation branch: reward alone teaches an
  encoder little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.datatypes.columns import NUM_POSES
from openpair.datatypes.tree import TrajectoryTree
from openpair.nn.trunk import STATUS_SIZE
from openpair.rewards.exact import ExactReward, PreviousDrive
from openpair.rl.credit import credit
from openpair.rl.grpo import adapt_kl_weight, clipped_surrogate, explore_sigma, steered_kl_weight
from openpair.samplers.base import Sampler, SamplerContext
from openpair.samplers.perturbations import noisy_roots
from openpair.training.batch import EarlierSource, SceneBatch, SceneSource, evaluation_batches
from openpair.training.branch import WHOLE, BatchPart, BatchSplit, Branch, Figures, Save
from openpair.training.config import ReinforcementConfig
from openpair.training.optimiser import autocast
from openpair.training.shown_scenes import ShownScene, shown, shown_indices

COMFORT_SUM, COMFORT_COUNT = "extended comfort, sum", "extended comfort, count"
"""Of the leaves that have a previous drive: what the figure is made of once all parts are known."""


@dataclass(frozen=True)
class ScoredTrees:
    """Trees that were drawn for the scenes of a part of a batch, and what their leaves earned.

    Attributes:
        tree: the trees, with the mean that they were drawn at.
        mean: (B, S, M, A) that mean, without gradient.
        log_prob: of what the advantage rates, at that mean.
        advantage: of the same shape.
        sigma: standard deviation of the draws.
    """

    tree: TrajectoryTree
    mean: Tensor
    log_prob: Tensor
    advantage: Tensor
    sigma: float


class ReinforcementBranch(Branch):
    """Trains a tree sampler.

    Args:
        sampler: the network, on its device.
        config: settings.
        train: scenes to learn from.
        validation: scenes of the validation towns with their reward, or None.
        reward: exact scores of candidates of the training scenes by token.
        seed: data order, root noise and exploration.
        save: writes the finished network: (folder, network, metrics).
        earlier: v2.2: the scenes half a second before. Rewards then count extended comfort against the best leaf at the
            mean around the root of then, moved from the human's plan as the root of now is. Validation goes without.
        split: how batches are split.
    """

    name = "rl"
    best_figure = "best_of_tree"
    network: Sampler
    config: ReinforcementConfig

    def __init__(
        self,
        sampler: Sampler,
        config: ReinforcementConfig,
        train: SceneSource,
        validation: tuple[SceneSource, ExactReward] | None,
        *,
        reward: ExactReward,
        seed: int,
        save: Save,
        earlier: EarlierSource | None = None,
        split: BatchSplit = WHOLE,
    ) -> None:
        super().__init__(sampler, config, train, total_steps=config.steps, seed=seed, save=save, split=split)
        self._validation, self.reward = validation, reward
        self._earlier = earlier
        self._credit = credit(
            config.advantage,
            sampler.layout,
            temperature=config.soft_temperature,
            per_code_weight=config.per_code_weight,
        )
        self._kl_weight = config.kl_weight
        self._last_kl: Tensor | float | None = None

    def scalars(self) -> dict[str, float]:
        return {"kl_weight": self._steered_kl_weight()}

    def restore_scalars(self, scalars: dict[str, float]) -> None:
        self._kl_weight, self._last_kl = scalars["kl_weight"], None

    def step(self, index: int) -> Figures:
        """Draw trees, score every leaf and the human, and improve the policy on them."""
        figures: Figures = {}
        scored: list[ScoredTrees] = []
        for _ in range(self.config.updates_per_batch):
            figures.update(self.learn(self._passes(index, scored), index))
        comfort = figures.pop(COMFORT_SUM, None), figures.pop(COMFORT_COUNT, None)
        if comfort[0] is not None and comfort[1] is not None and bool(comfort[1] > 0):
            figures["leaf_extended_comfort"] = comfort[0] / comfort[1]
        self._last_kl = figures["kl"]
        return figures

    def _steered_kl_weight(self) -> float:
        """Weight of the KL after the last step, whose figure is read when it is needed: a GPU is waited for."""
        config = self.config
        if self._last_kl is not None:
            kl, self._last_kl = float(self._last_kl), None
            if config.kl_gain > 0:
                self._kl_weight = steered_kl_weight(self._kl_weight, kl, config.kl_target, gain=config.kl_gain)
            else:
                self._kl_weight = adapt_kl_weight(self._kl_weight, kl, config.kl_target)
        return self._kl_weight

    def _passes(self, index: int, scored: list[ScoredTrees]) -> Iterator[tuple[Tensor, Figures]]:
        """Loss and figures of each part of the batch; the first time, their trees are drawn and added to ``scored``."""
        first = not scored
        for number, part in enumerate(self.parts(index)):
            with part.as_whole:
                figures: Figures = {}
                if first:
                    context, trees, figures = self._grow(index, part)
                    scored.append(trees)
                    mean = trees.tree.mean
                else:
                    trees = scored[number]
                    context = self._encode(part.batch)
                    mean = self.network.evaluate_actions(context, trees.tree)
                loss, terms = self._loss(part.batch, context, trees, mean)
            yield loss, {**figures, **terms}

    def _grow(self, index: int, part: BatchPart) -> tuple[SamplerContext, ScoredTrees, Figures]:
        """Draw trees for the scenes of a part of the batch, and score them."""
        config, batch = self.config, part.batch
        sigma = explore_sigma(index, self.total_steps, config.sigma_start, config.sigma_end)
        draws = self.generator.get_state()
        root = self._roots(batch, self.generator)
        previous = None if self._earlier is None else self._previous_drives(self._earlier, part.indices, draws)
        self.network.train()
        context = self._encode(batch)
        tree = self.network.expand(
            context, root, num_samples=config.trees_per_scene, sigma=sigma, generator=self.generator
        )
        rewards, human, comfort = self._score(batch, tree.leaves, previous)
        figures: Figures = {
            "leaf_score": rewards.mean(),
            "best_leaf_score": rewards.amax(dim=-1).mean(),
            "human_score": human.mean(),
            "sigma": sigma,
            **comfort,
        }
        mean = tree.mean.detach()
        log_prob = self._log_prob(mean, tree, sigma)
        advantage = self._credit.estimate(rewards, human)
        return context, ScoredTrees(tree, mean, log_prob, advantage, sigma), figures

    def _loss(
        self, batch: SceneBatch, context: SamplerContext, trees: ScoredTrees, mean: Tensor
    ) -> tuple[Tensor, Figures]:
        """The objective on trees that are scored, at the policy's present mean, and its terms."""
        log_prob = self._log_prob(mean, trees.tree, trees.sigma)
        policy_loss = clipped_surrogate(log_prob, trees.log_prob, trees.advantage, self.config.clip_range)
        reference = trees.mean if self.config.kl_reference == "old" else self.network.prior_mean
        kl = self.network.kl(mean, reference, trees.sigma).mean()
        perception = self.network.perception_loss(context, batch.targets)["loss"]
        kl_weight = self._steered_kl_weight()
        loss = policy_loss + kl_weight * kl + self.config.perception_weight * perception
        imitated: Figures = {}
        if self.config.imitation_weight > 0:
            leaves = self.network.leaves_of(trees.tree.root, self.network.expand(context, trees.tree.root).mean)[:, 0]
            distance = nearest_leaf_l1(leaves, batch.targets["trajectory"])
            loss = loss + self.config.imitation_weight * distance
            imitated["nearest_leaf_l1"] = distance
        return loss, {
            **imitated,
            "policy_loss": policy_loss,
            "perception_loss": perception,
            "kl": kl,
            "kl_weight": kl_weight,
        }

    def _log_prob(self, mean: Tensor, tree: TrajectoryTree, sigma: float) -> Tensor:
        """Log-probabilities of what the advantage rates: paths (B, S, L), or nodes (B, S, M)."""
        per_node = self.network.log_prob(mean, tree.actions, sigma)
        return per_node if self._credit.per_node else self.network.path_sum(per_node)

    def _encode(self, batch: SceneBatch) -> SamplerContext:
        with autocast(self._device, self.config.precision):
            return self._look(batch)

    def _look(self, batch: SceneBatch) -> SamplerContext:
        """What the sampler knows of scenes before it sees the root."""
        return self.network.encode(batch.features)

    def _roots(self, batch: SceneBatch, generator: torch.Generator) -> Tensor:
        """(B, 8, 3) reference plans: the human's, most of them moved."""
        return noisy_roots(
            batch.targets["trajectory"], batch.features["status_feature"], self.config.root_noise, generator
        )

    def _score(
        self, batch: SceneBatch, leaves: Tensor, previous: list[PreviousDrive | None] | None
    ) -> tuple[Tensor, Tensor, Figures]:
        """Exact scores of leaves (B, S, L, 8, 3) -> (B, S, L), and of the human plan -> (B,); figures to log."""
        candidates = torch.cat([leaves.flatten(1, 2), batch.targets["trajectory"][:, None]], dim=1)
        exact = self.reward.score(batch.tokens, candidates, previous)
        figures: Figures = {}
        if previous is not None:
            comfort = exact.metric("EC")[:, :-1]
            figures = {COMFORT_SUM: comfort.nansum(), COMFORT_COUNT: (~comfort.isnan()).sum().float()}
        return exact.score[:, :-1].reshape(leaves.shape[:3]), exact.score[:, -1], figures

    @torch.no_grad()
    def _previous_drives(
        self, earlier: EarlierSource, indices: NDArray[np.int64], draws: Tensor
    ) -> list[PreviousDrive | None]:
        """The drive by the policy's own plan of half a second ago, of each scene that has a scene before it.

        The selector is not there yet: the best leaf at the mean, or the root, stands for its choice.
        """
        batch, known = earlier.batch(indices)
        batch = batch.to(self._device)
        twin = torch.Generator()
        twin.set_state(draws)
        root = self._roots(batch, twin)
        self.network.eval()
        leaves = self.network.mean_leaves(self._encode(batch), root, strength=self.config.strength)
        drives = self.reward.best_drives(batch.tokens, torch.cat([leaves, root[:, None]], dim=1))
        return [drive if there else None for drive, there in zip(drives, known, strict=True)]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Scores of the tree at its mean around moved human plans: mean leaf, best of leaves and root, root alone."""
        if self._validation is None:
            return {}
        scenes, reward = self._validation
        config = self.config
        self.network.eval()
        generator = torch.Generator().manual_seed(0)

        def scores(indices: NDArray[np.int64]) -> Tensor:
            batch = scenes.batch(indices).to(self._device)
            return reward.score(batch.tokens, self._tree_at_mean(batch, generator)).score.cpu()

        def skip(indices: NDArray[np.int64]) -> None:
            still = torch.zeros(len(indices), NUM_POSES, 3)
            noisy_roots(still, torch.zeros(len(indices), STATUS_SIZE), config.root_noise, generator)

        count = min(config.validation_scenes, len(scenes.tokens))
        rows = self.split.ranks.map(evaluation_batches(count, 2 * config.batch_size), scores, skip)
        return {
            "leaf_score": float(torch.cat([score[:, :-1].mean(dim=1) for score in rows]).mean()),
            "best_of_tree": float(torch.cat([score.amax(dim=1) for score in rows]).mean()),
            "root_score": float(torch.cat([score[:, -1] for score in rows]).mean()),
        }

    def _tree_at_mean(self, batch: SceneBatch, generator: torch.Generator) -> Tensor:
        """(B, L + 1, 8, 3) leaves at the policy's mean, and their root last."""
        root = self._roots(batch, generator)
        leaves = self.network.mean_leaves(self._look(batch), root, strength=self.config.strength)
        return torch.cat([leaves, root[:, None]], dim=1)

    @torch.no_grad()
    def shown_scenes(self) -> list[ShownScene]:
        """Trees at the policy's mean around moved human plans."""
        if self._validation is None:
            return []
        scenes, reward = self._validation
        self.network.eval()
        batch = scenes.batch(shown_indices(len(scenes.tokens))).to(self._device)
        trees = self._tree_at_mean(batch, torch.Generator().manual_seed(0))
        scores = reward.score(batch.tokens, trees).score
        return shown(batch, {"root": trees[:, -1]}, trees[:, :-1], scores[:, :-1])


def nearest_leaf_l1(leaves: Tensor, human: Tensor) -> Tensor:
    """Mean absolute error between human plans (B, 8, 3) and the leaf of (B, L, 8, 3) that comes nearest; a scalar.

    Only the nearest leaf learns from it, so that the set keeps its spread.
    """
    return (leaves - human[:, None]).abs().mean(dim=(2, 3)).amin(dim=1).mean()
