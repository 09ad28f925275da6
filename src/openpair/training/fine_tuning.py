"""The sequential schemes: the imitation network itself is fine-tuned by GRPO on exact scores.

They are what the parallel scheme is measured against (arXiv 2603.13842, introduction):

- one-shot: imitation, then reinforcement (``imitation_weight`` 0);
- one-shot with a regulariser: the imitation loss stays in the objective;
- iterative: phases of imitation and of reinforcement by turns (``imitation_phase``).

The policy is Gaussian around the network's plan: TransFuser's head, or the result of DiffusionDrive's denoising for
its likeliest mode (:mod:`openpair.rl.plan_policy`). Samples per scene equal the leaves that the parallel scheme draws,
so both spend the same number of scene evaluations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.policies.base import ImitationPolicy
from openpair.rewards.exact import ExactReward
from openpair.rl.advantages import per_code_scene
from openpair.rl.grpo import adapt_kl_weight, clipped_surrogate, explore_sigma
from openpair.rl.plan_policy import change_solver, log_density, mean_action, mean_kl, moved
from openpair.training.batch import SceneBatch, SceneSource, evaluation_batches
from openpair.training.branch import WHOLE, BatchPart, BatchSplit, Branch, Figures, Save
from openpair.training.config import FineTuningConfig
from openpair.training.optimiser import autocast


def is_imitation_step(index: int, phase: int) -> bool:
    """Whether an iterative scheme imitates at this step: phases of reinforcement and imitation by turns."""
    return phase > 0 and (index // phase) % 2 == 1


@dataclass(frozen=True)
class ScoredPlans:
    """Plans that were drawn for the scenes of a part of a batch, and what they earned.

    Attributes:
        drawn: random inputs of the policy.
        sampled_at: (B, 8, 3) the plans that samples were drawn around.
        solver: (B, 4, 24) of :func:`~openpair.rl.plan_policy.change_solver`.
        actions: (B, S, 4) what was drawn.
        log_prob: (B, S) at the policy that drew them.
        advantage: (B, S).
        anchor: (B, 4) mean action of the policy that imitation had left, where KL to it counts.
        sigma: standard deviation of the draws.
    """

    drawn: dict[str, Tensor]
    sampled_at: Tensor
    solver: Tensor
    actions: Tensor
    log_prob: Tensor
    advantage: Tensor
    anchor: Tensor | None
    sigma: float


class FineTuningBranch(Branch):
    """Fine-tunes an imitation policy by reward.

    Args:
        name: of the scheme; its run folder.
        policy: the trained imitation policy, on its device; it is changed.
        reference: the same policy, which stays as it is: drift and KL are measured against it.
        config: settings.
        train: scenes to learn from.
        validation: scenes of the validation towns with their reward, or None.
        reward: exact scores of plans of the training scenes by token.
        seed: data order and exploration.
        save: writes the finished network: (folder, network, metrics).
        split: how batches are split.
    """

    best_figure = "score"
    network: ImitationPolicy
    config: FineTuningConfig

    def __init__(
        self,
        name: str,
        policy: ImitationPolicy,
        reference: ImitationPolicy,
        config: FineTuningConfig,
        train: SceneSource,
        validation: tuple[SceneSource, ExactReward] | None,
        *,
        reward: ExactReward,
        seed: int,
        save: Save,
        split: BatchSplit = WHOLE,
    ) -> None:
        super().__init__(policy, config, train, total_steps=config.total_steps, seed=seed, save=save, split=split)
        self.name = name
        self._reference = reference.eval().requires_grad_(False)
        self._validation, self.reward = validation, reward
        self._kl_weight = config.kl_weight

    def scalars(self) -> dict[str, float]:
        return {"kl_weight": self._kl_weight}

    def restore_scalars(self, scalars: dict[str, float]) -> None:
        self._kl_weight = scalars["kl_weight"]

    def step(self, index: int) -> Figures:
        """Draw plans around the policy's, score them, and improve the policy; or imitate, where it is time to."""
        if is_imitation_step(index, self.config.imitation_phase):
            return self.learn(self._imitations(index), index)
        figures: Figures = {}
        scored: list[ScoredPlans] = []
        for _ in range(self.config.updates_per_batch):
            figures.update(self.learn(self._passes(index, scored), index))
            self.network.eval()
        if self.config.kl_weight > 0:
            self._kl_weight = adapt_kl_weight(self._kl_weight, float(figures["kl"]), self.config.kl_target)
        return figures

    def _imitations(self, index: int) -> Iterator[tuple[Tensor, Figures]]:
        """Loss and figures of each part of the batch in a step of imitation."""
        for part in self.parts(index):
            with part.as_whole:
                loss = self._imitation_loss(part.batch)
            yield loss, {"imitation_loss": loss}

    def _passes(self, index: int, scored: list[ScoredPlans]) -> Iterator[tuple[Tensor, Figures]]:
        """Loss and figures of each part of the batch; the first time, plans are drawn and added to ``scored``."""
        first = not scored
        for number, part in enumerate(self.parts(index)):
            with part.as_whole:
                # Running statistics, as when it drives: the policy that explores is the one that will be judged.
                self.network.eval()
                figures: Figures = {}
                if first:
                    plan, plans, figures = self._sample(index, part)
                    scored.append(plans)
                else:
                    plans = scored[number]
                    plan = self._plan(self.network, part.batch, plans.drawn)
                loss, terms = self._loss(part.batch, plan, plans)
            yield loss, {**figures, **terms}

    def _sample(self, index: int, part: BatchPart) -> tuple[Tensor, ScoredPlans, Figures]:
        """Draw plans around the policy's for the scenes of a part of the batch, and score them."""
        config, batch = self.config, part.batch
        sigma = explore_sigma(index, self.total_steps, config.sigma_start, config.sigma_end)
        drawn = self._draw(self.network, len(batch.tokens), self.generator)
        plan = self._plan(self.network, batch, drawn)
        sampled_at = plan.detach()
        noise = torch.randn(len(plan), config.samples_per_scene, 4, generator=self.generator).to(plan)
        actions = sigma * noise
        samples = moved(sampled_at, actions, config.exploration)
        scores = self._score(batch, torch.cat((samples, batch.targets["trajectory"][:, None]), dim=1))
        rewards, human = scores[:, :-1], scores[:, -1]
        # One group a scene, in units of its spread: a scene where all plans score alike teaches little.
        advantage = per_code_scene(rewards[..., None], human)[..., 0]
        solver = change_solver(sampled_at, config.exploration)
        old_log_prob = log_density(actions, torch.zeros_like(actions[:, 0]), sigma)
        anchor = None
        if config.kl_weight > 0:
            with torch.no_grad():
                anchor = mean_action(self._plan(self._reference, batch, drawn), sampled_at, solver)
        figures: Figures = {
            "sample_score": rewards.mean(),
            "best_sample_score": rewards.amax(dim=-1).mean(),
            "human_score": human.mean(),
            "sigma": sigma,
        }
        return plan, ScoredPlans(drawn, sampled_at, solver, actions, old_log_prob, advantage, anchor, sigma), figures

    def _loss(self, batch: SceneBatch, plan: Tensor, plans: ScoredPlans) -> tuple[Tensor, Figures]:
        """The objective on plans that are scored, at the policy's present plan (B, 8, 3), and its terms."""
        config = self.config
        mean = mean_action(plan, plans.sampled_at, plans.solver)
        log_prob = log_density(plans.actions, mean, plans.sigma)
        loss = clipped_surrogate(log_prob, plans.log_prob, plans.advantage, config.clip_range)
        figures: Figures = {"policy_loss": loss}
        if plans.anchor is not None:
            kl = mean_kl(mean, plans.anchor, plans.sigma).mean()
            loss = loss + self._kl_weight * kl
            figures["kl"], figures["kl_weight"] = kl, self._kl_weight
        if config.imitation_weight > 0:
            imitation = self._imitation_loss(batch)
            loss = loss + config.imitation_weight * imitation
            figures["imitation_loss"] = imitation
        return loss, figures

    def _imitation_loss(self, batch: SceneBatch) -> Tensor:
        self.network.train()
        drawn = self._draw(self.network, len(batch.tokens), self.generator)
        with autocast(self._device, self.config.precision):
            outputs = self.network(**batch.features, **drawn)
        return self.network.loss({k: v.float() for k, v in outputs.items()}, batch.targets)["loss"]

    def _plan(self, policy: ImitationPolicy, batch: SceneBatch, drawn: dict[str, Tensor]) -> Tensor:
        with autocast(self._device, self.config.precision):
            return policy.plan(**batch.features, **drawn).float()

    def _draw(self, policy: ImitationPolicy, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {name: value.to(self._device) for name, value in policy.draw(count, generator).items()}

    def _score(self, batch: SceneBatch, plans: Tensor) -> Tensor:
        """Exact scores (B, N) of plans (B, N, 8, 3)."""
        return self.reward.score(batch.tokens, plans).score

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Score of the plan with its sub-metrics, distance to the human's, and drift: distance to the policy that
        imitation had left, mean over the 4 s [m]."""
        if self._validation is None:
            return {}
        source, reward = self._validation
        self.network.eval()
        generator = torch.Generator().manual_seed(0)

        def judge(indices: NDArray[np.int64]) -> dict[str, Tensor]:
            batch = source.batch(indices).to(self._device)
            drawn = self._draw(self.network, len(batch.tokens), generator)
            plan = self.network.plan(**batch.features, **drawn)
            before = self._reference.plan(**batch.features, **drawn)
            scores = reward.score(batch.tokens, plan[:, None])
            figures = {
                "score": scores.score[:, 0],
                "drift_m": (plan - before)[..., :2].norm(dim=-1).mean(dim=-1),
                "distance_m": (plan - batch.targets["trajectory"])[..., :2].norm(dim=-1).mean(dim=-1),
            }
            figures |= {name: scores.metric(name)[:, 0] for name in scores.known_metrics()}
            return {name: values.cpu() for name, values in figures.items()}

        count = min(self.config.validation_scenes, len(source.tokens))
        batches = evaluation_batches(count, 2 * self.config.batch_size)
        rows = self.split.ranks.map(batches, judge, lambda indices: self._draw(self.network, len(indices), generator))
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: float(torch.cat([row[name] for row in rows if name in row]).mean()) for name in names}
