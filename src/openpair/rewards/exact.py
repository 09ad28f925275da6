"""The exact reward: simulate each candidate and score it as the benchmark does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.lru import LruCache
from openpair.machine import memory_bytes
from openpair.rewards.base import HEAD_NAMES, HEAD_OF_METRIC
from openpair.scoring import score_batch
from openpair.scoring.epdms import with_extended_comfort
from openpair.scoring.extended_comfort import extended_comfort
from openpair.scoring.score import Plans


@dataclass(frozen=True)
class ExactScores:
    """Scores of N candidates of each of B scenes.

    Attributes:
        score: (B, N) float32 in [0, 1]: PDMS or EPDMS.
        metrics: (B, 9, N) float32 sub-metrics, rows as :data:`~openpair.rewards.base.HEAD_NAMES`; NaN for rows
            that the protocol does not have.
    """

    score: Tensor
    metrics: Tensor

    def known_metrics(self) -> tuple[str, ...]:
        """Names of the rows that the protocol has."""
        return tuple(n for n, row in zip(HEAD_NAMES, self.metrics.unbind(1), strict=True) if not row.isnan().all())

    def metric(self, name: str) -> Tensor:
        """(B, N) one sub-metric by the name of its row."""
        return self.metrics[:, HEAD_NAMES.index(name)]


@dataclass(frozen=True)
class PreviousDrive:
    """How the ego would have driven on by its plan of half a second ago: what extended comfort compares with.

    Attributes:
        states: (41, 11) simulated states, columns of :class:`~openpair.datatypes.columns.StateIndex`.
        time_us: time of the frame that the plan was made at [us].
    """

    states: NDArray[np.float64]
    time_us: int


def score_after(scene: ScoringScene, scores: PlanScores, previous: PreviousDrive | None) -> PlanScores:
    """Scores of plans of a scene, of v2.2 with extended comfort against ``previous`` where there is one.

    Raises OpenPairError where ``previous`` is no neighbour in time, or for a scene of v1.1 with one.
    """
    if previous is None:
        return scores
    gap_s = (scene.time_us - previous.time_us) * 1e-6
    return with_extended_comfort(
        scores, extended_comfort(previous.states, np.asarray(scores.evidence["simulated_states"]), gap_s)
    )


MAX_KEPT_BYTES = 2_000_000_000
"""Scenes that were scored are kept up to about this much memory, and up to an eighth of the machine's."""

BYTES_OF_SCENE = 350_000
"""Memory of a scene with its tables, the mean of the world's."""


def scenes_to_keep() -> int:
    """How many scenes have room in memory."""
    memory = memory_bytes()
    return min(MAX_KEPT_BYTES, MAX_KEPT_BYTES // 2 if memory is None else memory // 8) // BYTES_OF_SCENE


class ExactReward:
    """Looks up prepared scenes by token and scores candidates on them.

    Args:
        load_scene: token -> prepared scene.
        threads: scenes scored at the same time; never changes a score.
        keep: so many scenes stay in memory, ready to be scored again, the latest that were; None for what has room.
    """

    def __init__(self, load_scene: Callable[[str], ScoringScene], *, threads: int = 1, keep: int | None = None) -> None:
        self._load = load_scene
        self._threads = threads
        self._kept: LruCache[ScoringScene] = LruCache(scenes_to_keep() if keep is None else keep)
        self._lock = threading.Lock()

    def _load_scene(self, token: str) -> ScoringScene:
        with self._lock:
            return self._kept.get(token, lambda: self._load(token))

    def score(
        self, tokens: Sequence[str], candidates: Tensor, previous: Sequence[PreviousDrive | None] | None = None
    ) -> ExactScores:
        """Score candidates (B, N, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame of each scene.

        Where ``previous`` (one a scene) is there, v2.2 counts extended comfort against it. Candidates on a CUDA device
        are simulated and scored there, all scenes at once; with ``previous``, on the CPU.

        Raises OpenPairError for a token without a prepared scene and for candidates that are not finite: a failure is
        never a score.
        """
        if candidates.is_cuda and all(drive is None for drive in previous or ()):
            return self.score_together(tokens, candidates)
        poses = candidates.detach().to("cpu", torch.float64).numpy()
        drives = previous or [None] * len(poses)
        parts = [part for part in np.array_split(np.arange(len(poses)), self._threads) if len(part)]

        def rows_of(part: NDArray[np.int64]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
            return self._rows([tokens[i] for i in part], poses[part], [drives[i] for i in part])

        if len(parts) > 1:
            with ThreadPoolExecutor(len(parts)) as pool:
                every = [row for rows in pool.map(rows_of, parts) for row in rows]
        else:
            every = rows_of(parts[0])
        device = candidates.device
        return ExactScores(
            score=torch.from_numpy(np.stack([score for score, _ in every])).to(device),
            metrics=torch.from_numpy(np.stack([metrics for _, metrics in every])).to(device),
        )

    def score_together(self, tokens: Sequence[str], candidates: Tensor) -> ExactScores:
        """:meth:`score` in one pass over all scenes, on the device of the candidates (B, N, 8, 3)."""
        every = scores_of_all([self._load_scene(token) for token in tokens], list(candidates.detach()))
        score = torch.stack([torch.as_tensor(scores.score) for scores in every])
        metrics = score.new_full((len(every), len(HEAD_NAMES), score.shape[1]), torch.nan)
        for metric, head in HEAD_OF_METRIC[every[0].protocol].items():
            metrics[:, HEAD_NAMES.index(head)] = torch.stack(
                [torch.as_tensor(scores.metrics[metric]) for scores in every]
            )
        return ExactScores(score.float(), metrics.float())

    def best_drives(self, tokens: Sequence[str], candidates: Tensor) -> list[PreviousDrive]:
        """Of each scene the candidate of (B, N, 8, 3) with the best score, simulated: what a plan of the next frame is
        compared with."""
        poses = candidates.detach().to("cpu", torch.float64).numpy()
        scenes = [self._load_scene(token) for token in tokens]
        drives = []
        for scene, scores in zip(scenes, scores_of_all(scenes, list(poses)), strict=True):
            best = int(np.argmax(scores.score))
            drives.append(PreviousDrive(np.array(scores.evidence["simulated_states"][best]), scene.time_us))
        return drives

    def _rows(
        self, tokens: Sequence[str], plans: NDArray[np.float64], previous: Sequence[PreviousDrive | None]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Scores (N,) and sub-metrics (9, N) of the plans (B, N, 8, 3) of some scenes, in one pass."""
        scenes = [self._load_scene(token) for token in tokens]
        every = scores_of_all(scenes, list(plans))
        counted = [score_after(*row) for row in zip(scenes, every, previous, strict=True)]
        return [(s.score.astype(np.float32), metric_rows(s.metrics, s.protocol, len(s))) for s in counted]


def scores_of_all(scenes: Sequence[ScoringScene], plans: Sequence[Plans]) -> list[PlanScores]:
    """Scores of plans (N, 8, 3) of each scene. Raises OpenPairError where one of them cannot be scored."""
    found = score_batch(scenes, plans)
    for error in found.errors.values():
        raise error
    return [scores for scores in found.scores if scores is not None]


def metric_rows(metrics: dict[str, NDArray], protocol: Protocol, num_plans: int) -> NDArray[np.float32]:
    """Sub-metrics by name -> (9, N) float32 in the order of reward model heads, NaN where there is no such metric."""
    rows = np.full((len(HEAD_NAMES), num_plans), np.nan, np.float32)
    for metric, head in HEAD_OF_METRIC[protocol].items():
        rows[HEAD_NAMES.index(head)] = metrics[metric]
    return rows
