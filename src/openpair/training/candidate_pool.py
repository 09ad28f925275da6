"""Scored candidates for the reward model: sets of plans around moved human plans, with their exact sub-metrics.

A set is what the reward model will meet at inference: a root that is not quite right, and candidates around it. Scoring
is so fast that the pool is made once and held in memory; a refresh with the current sampler is a second pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from openpair.checksums import CHECKSUM, UNSEALED, check_file, seal_file
from openpair.damage import reading
from openpair.files import whole_file
from openpair.rewards.exact import ExactReward, ExactScores
from openpair.training.batch import EarlierSource, SceneBatch, SceneSource, evaluation_batches
from openpair.training.ranks import ALONE, Ranks
from openpair.training.whole_batch import DrawLog

Proposer = Callable[[SceneBatch, torch.Generator], Tensor]
"""Gives R sets of K candidates per scene, (B, R, K, 8, 3), the last of each set its root."""


@dataclass(frozen=True)
class CandidatePool:
    """R sets of K candidates for each of M scenes.

    Attributes:
        candidates: (M, R, K, 8, 3) float32 x [m], y [m], heading [rad], ego rear-axle frame.
        scores: (M, R, K) float32 exact scores.
        metrics: (M, R, 9, K) float32 sub-metrics in the order of the reward model's heads, NaN where there is none.
    """

    candidates: Tensor
    scores: Tensor
    metrics: Tensor

    @property
    def num_sets(self) -> int:
        return int(self.candidates.shape[1])

    def replaced(self, first: int, other: CandidatePool) -> CandidatePool:
        """The pool with the sets of another one in the place of its own from ``first`` on, going round at the end."""
        places = [(first + k) % self.num_sets for k in range(other.num_sets)]
        new = CandidatePool(self.candidates.clone(), self.scores.clone(), self.metrics.clone())
        for name in ("candidates", "scores", "metrics"):
            getattr(new, name)[:, places] = getattr(other, name)
        return new

    def save(self, path: Path) -> None:
        """Write the pool, whole or not at all."""
        tensors = {"candidates": self.candidates, "scores": self.scores, "metrics": self.metrics}
        with whole_file(path, size_bytes=sum(tensor.nbytes for tensor in tensors.values())) as part:
            save_file(tensors, part, {CHECKSUM: UNSEALED})
            seal_file(part)

    @staticmethod
    def load(path: Path) -> CandidatePool:
        """Read a pool. Raises OpenPairError where the file is missing, damaged or is not one."""
        with reading(path, "the candidate pool", fix="Delete it to make it anew"):
            check_file(path)
            tensors = load_file(path)
            return CandidatePool(tensors["candidates"], tensors["scores"], tensors["metrics"])


def build_pool(
    source: SceneSource,
    reward: ExactReward,
    propose: Proposer,
    *,
    seed: int,
    batch_size: int = 32,
    earlier: EarlierSource | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    ranks: Ranks = ALONE,
) -> CandidatePool:
    """Have candidate sets proposed for every scene and score all of them exactly.

    Args:
        source: the scenes.
        reward: exact scores by token.
        propose: makes the sets of a batch of scenes.
        seed: of the proposer's randomness.
        batch_size: scenes at once.
        earlier: v2.2: the scenes half a second before. The same sets are proposed for them, with the same draws; the
            best of each is the previous plan that extended comfort of its set compares with.
        on_progress: told (scenes done, scenes in all).
        ranks: who divides the scenes between them; every rank gets the whole pool, equal to that of a process alone.
    """
    generator = torch.Generator().manual_seed(seed)
    total = len(source.tokens)
    batches = evaluation_batches(total, batch_size)
    log = DrawLog(generator, len(batches[0]))

    def score(indices: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        batch = source.batch(indices)
        draws = generator.get_state()
        with torch.no_grad():
            sets = propose(batch, generator)
        if earlier is None:
            exact = reward.score(batch.tokens, sets.flatten(1, 2))
        else:
            exact = _score_after(reward, batch.tokens, sets, *_propose_again(earlier, indices, propose, draws))
        shape = sets.shape[:3]
        metrics = exact.metrics.reshape(shape[0], -1, shape[1], shape[2]).transpose(1, 2)
        on_progress(int(indices[-1]) + 1, total)
        return sets.cpu(), exact.score.reshape(shape).cpu(), metrics.cpu()

    if ranks.alone:
        rows = [score(indices) for indices in batches]
    else:
        with log:  # every rank works on the first batch, to know what the others draw
            first = score(batches[0])
        rows = [first, *ranks.map(batches[1:], score, lambda indices: log.repeat(len(indices)))]
    candidates, scores, metrics = (torch.cat(column).contiguous() for column in zip(*rows, strict=True))
    return CandidatePool(candidates, scores, metrics)


def _propose_again(
    earlier: EarlierSource, indices: NDArray[np.int64], propose: Proposer, draws: Tensor
) -> tuple[tuple[str, ...], NDArray[np.bool_], Tensor]:
    """Tokens of the scenes before, which of them are there, and their sets with the random draws of now."""
    batch, known = earlier.batch(indices)
    twin = torch.Generator()
    twin.set_state(draws)
    with torch.no_grad():
        return batch.tokens, known, propose(batch, twin)


def _score_after(
    reward: ExactReward,
    tokens: Sequence[str],
    sets: Tensor,
    earlier_tokens: Sequence[str],
    known: NDArray[np.bool_],
    earlier_sets: Tensor,
) -> ExactScores:
    """Scores (B, R * K) of sets (B, R, K, 8, 3), each set after the best plan of the same set of the scene before."""
    rows = []
    for now, before in zip(sets.unbind(1), earlier_sets.unbind(1), strict=True):
        drives = reward.best_drives(earlier_tokens, before)
        previous = [drive if there else None for drive, there in zip(drives, known, strict=True)]
        rows.append(reward.score(tokens, now, previous))
    return ExactScores(torch.cat([r.score for r in rows], dim=1), torch.cat([r.metrics for r in rows], dim=2))
