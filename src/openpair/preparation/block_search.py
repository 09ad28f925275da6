"""Breadth-first search over roadblocks, with the tie-breaking of the original evaluator."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence


def shortest_block_path(
    start: str, targets: Collection[str], neighbors: Callable[[str], Sequence[str]], max_blocks: int
) -> tuple[str, ...] | None:
    """Fewest blocks from ``start`` to any target, both included; None if there is no path of at most ``max_blocks``.

    The original searches without a visited set, so that blocks enter its queue again and again: the goal is the first
    target in queue order on the nearest level, and the parent of a block is the last one of the level before that
    names it. Both are found here with two lists per level, one by first and one by last occurrence, instead of a
    queue that grows exponentially.
    """
    by_first = [start]
    by_last = [start]
    parents: list[dict[str, str]] = []
    for _ in range(max_blocks):
        goal = next((block for block in by_first if block in targets), None)
        if goal is not None:
            path = [goal]
            for parent in reversed(parents):
                path.append(parent[path[-1]])
            return tuple(reversed(path))
        parent_of: dict[str, str] = {}
        for block in by_last:
            for child in neighbors(block):
                parent_of.pop(child, None)  # insert again at the end: order of last occurrence
                parent_of[child] = block
        by_first = list(dict.fromkeys(child for block in by_first for child in neighbors(block)))
        by_last = list(parent_of)
        parents.append(parent_of)
        if not by_first:
            return None
    return None
