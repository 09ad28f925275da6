"""Which ranks train which branch, and in how many passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from openpair.errors import OpenPairError
from openpair.training.branch import BatchSplit
from openpair.training.ranks import Ranks

RELATIVE_COST = {"il": 1.0, "rl": 3.5}
"""Time for a scene of a step, relative to imitation's, as measured on a GPU with the published networks."""


def divide_ranks(
    branches: Sequence[str], size: int, batch_sizes: Mapping[str, int], scenes: Mapping[str, int], given: Sequence[str]
) -> dict[str, list[int]]:
    """Ranks of each branch.

    Args:
        branches: that are trained at the same time.
        size: how many ranks there are.
        batch_sizes: of each branch.
        scenes: that each branch looks at in all its steps; with the cost of one, they decide the default.
        given: the user's choice, "il=3"; none takes the division that ends first.

    Raises OpenPairError for a choice that does not fit, and for ranks that do not divide the batches.
    """
    if len(branches) > size:
        raise OpenPairError(
            f"{size} ranks cannot train {len(branches)} branches",
            where="--ranks",
            fix="Start more, or train one branch",
        )
    counts = _given_counts(branches, size, given) if given else _cheapest(branches, size, batch_sizes, scenes)
    ends = list(accumulate(counts[branch] for branch in branches))
    return {branch: list(range(end - counts[branch], end)) for branch, end in zip(branches, ends, strict=True)}


def _given_counts(branches: Sequence[str], size: int, given: Sequence[str]) -> dict[str, int]:
    counts = {}
    for word in given:
        name, _, number = word.partition("=")
        if name not in branches or not number.isdecimal() or int(number) < 1:
            raise OpenPairError(
                f"'{word}' is no number of ranks of a branch",
                where="--ranks",
                fix=f"Give {' '.join(f'{branch}=N' for branch in branches)}",
            )
        counts[name] = int(number)
    if set(counts) != set(branches) or sum(counts.values()) != size:
        raise OpenPairError(
            f"{' '.join(given)} does not divide {size} ranks between {', '.join(branches)}",
            where="--ranks",
            fix="Name every branch; the numbers add up to the ranks that were started",
        )
    return counts


def _cheapest(
    branches: Sequence[str], size: int, batch_sizes: Mapping[str, int], scenes: Mapping[str, int]
) -> dict[str, int]:
    """The numbers of ranks that divide the batches with which the last branch is done first."""
    if len(branches) == 1:
        return {branches[0]: size}
    first, second = branches
    fitting = [
        {first: count, second: size - count}
        for count in range(1, size)
        if batch_sizes[first] % count == 0 and batch_sizes[second] % (size - count) == 0
    ]
    if not fitting:
        raise OpenPairError(
            f"{size} ranks cannot be divided so that they divide the batches of {first} ({batch_sizes[first]} scenes) "
            f"and {second} ({batch_sizes[second]})",
            where="--ranks",
            fix="Start another number of processes, or give other batch sizes",
        )
    costs = {branch: RELATIVE_COST.get(branch, 1.0) * scenes[branch] for branch in branches}
    return min(fitting, key=lambda counts: max(costs[branch] / counts[branch] for branch in branches))


def split_for(ranks: Ranks, batch_size: int, micro_batch: int) -> BatchSplit:
    """The split of a branch's batches in which no pass of a rank has more than ``micro_batch`` scenes (0: any number).

    Raises OpenPairError for ranks that do not divide the batch.
    """
    if micro_batch < 0:
        raise OpenPairError(f"{micro_batch} is no number of scenes", where="--micro-batch", fix="Give 1 or more")
    share = batch_size // ranks.size
    passes = 1
    if micro_batch and batch_size % ranks.size == 0:
        passes = next(count for count in range(1, share + 1) if share % count == 0 and share // count <= micro_batch)
    return BatchSplit(ranks, passes)
