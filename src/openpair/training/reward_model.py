"""Training of the reward world model on exactly scored candidates."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.files import write_atomically
from openpair.rewards.base import RewardModel
from openpair.rewards.calibration import RewardReport, reward_report
from openpair.training.batch import SceneBatch, SceneSource, evaluation_batches
from openpair.training.branch import WHOLE, BatchPart, BatchSplit, Branch, Figures, Save
from openpair.training.candidate_pool import CandidatePool
from openpair.training.config import RewardModelConfig
from openpair.training.optimiser import autocast
from openpair.training.shown_scenes import ShownScene, shown, shown_indices

CALIBRATION_FILE = "calibration.json"
"""Beside the finished reward model: calibration, order and regret on the validation scenes."""


Refresh = Callable[[RewardModel, int, bool], CandidatePool]
"""The model as it is, number of the refresh (from 1), and whether sets may be made or must be there -> sets for all
scenes."""


class RewardModelBranch(Branch):
    """Trains a reward model.

    Args:
        model: the network, on its device.
        config: settings.
        train: scenes to learn from.
        train_pool: scored candidates of those scenes, in their order.
        validation: scenes of the validation towns with their pool, or None.
        seed: data order and choice of sets.
        save: writes the finished network: (folder, network, metrics).
        refresh: makes new sets around the choices of the model; needed where ``config.refreshes`` is not 0.
        split: how batches are split.
    """

    name = "reward"
    best_figure = "chosen_score"
    network: RewardModel
    config: RewardModelConfig

    def __init__(
        self,
        model: RewardModel,
        config: RewardModelConfig,
        train: SceneSource,
        train_pool: CandidatePool,
        validation: tuple[SceneSource, CandidatePool] | None,
        *,
        seed: int,
        save: Save,
        refresh: Refresh | None = None,
        split: BatchSplit = WHOLE,
    ) -> None:
        super().__init__(model, config, train, total_steps=config.steps, seed=seed, save=save, split=split)
        self._pool, self._validation = train_pool, validation
        self._report: RewardReport | None = None
        self._refresh, self._refreshed, self._next_set = refresh, 0, 0

    def step(self, index: int) -> Figures:
        """One step on the candidate sets of a batch of scenes."""
        self._renew_pool(index)
        self._chosen = torch.randperm(self._pool.num_sets, generator=self.generator)[: self.config.sets_per_step]
        self.network.train()
        return self.learn((self._losses(part) for part in self.parts(index)), index)

    def counts(self, index: int, share: SceneBatch) -> dict[str, Tensor]:
        """Also of the sub-scores that there are."""
        metrics = self._pool.metrics[torch.as_tensor(self._order.indices(index))][:, self._chosen]
        return {**super().counts(index, share), "candidate_metrics_count": (~metrics.isnan()).sum()}

    def _losses(self, part: BatchPart) -> tuple[Tensor, Figures]:
        """Loss of a part of the batch, and the terms it is made of."""
        batch, chosen, rows = part.batch, self._chosen, torch.as_tensor(part.indices)
        sets = self._pool.candidates[rows][:, chosen].to(self._device)
        scores = self._pool.scores[rows][:, chosen].flatten(1, 2).to(self._device)
        metrics = self._pool.metrics[rows][:, chosen].transpose(1, 2).flatten(2, 3).to(self._device)
        with part.as_whole:
            with autocast(self._device, self.config.precision):
                context = self.network.encode(batch.features)
            outputs = {**context.perception, **self.network.score_sets(context, sets)}
            targets = {**batch.targets, "candidate_metrics": metrics, "candidate_scores": scores}
            terms = self.network.loss(outputs, targets)
        return terms["loss"], dict(terms)

    def _renew_pool(self, index: int) -> None:
        """Take in the sets of all refreshes up to this step; a resumed run finds the earlier ones again."""
        due = refreshes_before(index, self.config.refreshes, self.total_steps)
        while self._refresh is not None and self._refreshed < due:
            number = self._refreshed + 1
            now = index == refresh_step(number, self.config.refreshes, self.total_steps)
            fresh = self._refresh(self.network, number, now)
            self._pool = self._pool.replaced(self._next_set, fresh)
            self._refreshed, self._next_set = number, self._next_set + fresh.num_sets

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Exact score of the chosen candidate, of the best and of the root; regret = best - chosen; how well candidates
        are ordered, and how far predicted scores are off (:mod:`openpair.rewards.calibration`)."""
        if self._validation is None:
            return {}
        source, pool = self._validation
        self.network.eval()

        def rate(indices: NDArray[np.int64]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
            batch = source.batch(indices).to(self._device)
            rows = torch.as_tensor(indices)
            context = self.network.encode(batch.features)
            rated = []
            for k in range(pool.num_sets):
                outputs = self.network.score(context, pool.candidates[rows, k].to(self._device))
                predicted = outputs["sim_logits"][:, 0].cpu(), outputs["sim_rewards"].cpu()
                rated.append((*predicted, pool.scores[rows, k], pool.metrics[rows, k]))
            return rated

        batches = evaluation_batches(len(source.tokens), 2 * self.config.batch_size)
        rated = [row for rows in self.split.ranks.map(batches, rate) for row in rows]
        value, metrics, truth, true_metrics = (torch.cat(column) for column in zip(*rated, strict=True))
        self._report = reward_report(value, value.sigmoid(), metrics, truth, true_metrics)
        chosen, best, root = pick(truth, value.argmax(dim=1)).mean(), truth.amax(dim=1).mean(), truth[:, -1].mean()
        figures = {
            "chosen_score": float(chosen),
            "best_score": float(best),
            "root_score": float(root),
            "regret": float(best - chosen),
            "rank_correlation": self._report.rank_correlation,
            "calibration_error": self._report.score.calibration_error,
        }
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    @torch.no_grad()
    def shown_scenes(self) -> list[ShownScene]:
        """The first candidate set of scenes, with its root and what is chosen from it."""
        if self._validation is None:
            return []
        source, pool = self._validation
        self.network.eval()
        indices = shown_indices(len(source.tokens))
        batch, rows = source.batch(indices).to(self._device), torch.as_tensor(indices)
        candidates, scores = pool.candidates[rows, 0], pool.scores[rows, 0]
        outputs = self.network.score(self.network.encode(batch.features), candidates.to(self._device))
        chosen = pick(candidates, outputs["sim_logits"][:, 0].argmax(dim=1).cpu())
        return shown(batch, {"chosen": chosen, "root": candidates[:, -1]}, candidates[:, :-1], scores[:, :-1])

    def export(self, folder: Path, metrics: dict[str, float]) -> None:
        """Write the finished reward model, and beside it how well it is calibrated on the validation scenes."""
        if self._report is not None:
            write_report(folder / CALIBRATION_FILE, self._report)
        super().export(folder, metrics)


def refresh_step(number: int, refreshes: int, total_steps: int) -> int:
    """Step before which refresh ``number`` (from 1) happens: refreshes cut the training into equal parts."""
    return number * total_steps // (refreshes + 1)


def refreshes_before(index: int, refreshes: int, total_steps: int) -> int:
    """How many refreshes have happened when step ``index`` is done."""
    return sum(refresh_step(number, refreshes, total_steps) <= index for number in range(1, refreshes + 1))


def write_report(path: Path, report: RewardReport) -> None:
    """Write a report as JSON; figures that do not exist are null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    write_atomically(path, json.dumps(plain(asdict(report)), indent=1) + "\n")


def pick(values: Tensor, index: Tensor) -> Tensor:
    """values (B, N, ...) at index (B,) -> (B, ...)."""
    return values[torch.arange(len(values), device=values.device), index]
