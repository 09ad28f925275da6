"""A trajectory tree: candidates grown around a root plan, as a struct of arrays.

Only the nodes that the leaves need are expanded. A node is one expansion of one parent path by one intention; a leaf
is reached through one node per level, and leaves that share a prefix share its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

NO_PARENT = -1


class Intention(IntEnum):
    """Driving intentions of the tree: what a child tries relative to its parent."""

    LEFT = 0
    CENTER = 1
    RIGHT = 2
    BEHIND = 3


@dataclass(frozen=True)
class TreeLayout:
    """Which nodes exist; the same for every scene.

    Attributes:
        codes: (L, D) int64 intention per level for each of the L leaves.
        level: (M,) int64 depth of each node, 0 .. D-1.
        parent: (M,) int64 node index of the parent, NO_PARENT on level 0.
        intention: (M,) int64 :class:`Intention` of each node; CENTER throughout where nodes have none (flat_layout).
        leaf_nodes: (L, D) int64 node on each level of each leaf's path.
    """

    codes: Tensor
    level: Tensor
    parent: Tensor
    intention: Tensor
    leaf_nodes: Tensor

    @property
    def num_nodes(self) -> int:
        return int(self.level.shape[0])

    @property
    def num_leaves(self) -> int:
        return int(self.codes.shape[0])


@dataclass(frozen=True)
class TrajectoryTree:
    """S trees per scene, drawn from a sampler or evaluated at its mean (S = 1).

    Attributes:
        layout: nodes and leaves.
        root: (B, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame: the reference plan.
        leaves: (B, S, L, 8, 3) the candidates, same frame.
        actions: (B, S, M, A) raw (unbounded) action of each node, what the policy's density is over.
        mean: (B, S, M, A) mean of the policy at each node.
    """

    layout: TreeLayout
    root: Tensor
    leaves: Tensor
    actions: Tensor
    mean: Tensor


def layout_from_codes(codes: list[str]) -> TreeLayout:
    """Layout that expands only the nodes the leaf codes need ("0011" = left, left, center, center).

    Nodes come level by level, within a level sorted by code. Raises ValueError for codes of unequal length, repeated
    codes or unknown intentions.
    """
    if not codes or len({len(code) for code in codes}) != 1 or len(set(codes)) != len(codes):
        raise ValueError(f"codes must be distinct and of equal length, got {codes}")
    prefixes = sorted({code[: d + 1] for code in codes for d in range(len(code))}, key=lambda p: (len(p), p))
    index = {prefix: i for i, prefix in enumerate(prefixes)}
    return TreeLayout(
        codes=torch.tensor([[int(Intention(int(c))) for c in code] for code in codes]),
        level=torch.tensor([len(p) - 1 for p in prefixes]),
        parent=torch.tensor([index[p[:-1]] if len(p) > 1 else NO_PARENT for p in prefixes]),
        intention=torch.tensor([int(p[-1]) for p in prefixes]),
        leaf_nodes=torch.tensor([[index[code[: d + 1]] for d in range(len(code))] for code in codes]),
    )


def flat_layout(num_leaves: int) -> TreeLayout:
    """Layout without branches: every leaf is one node below the root, and its code is its number.

    Raises ValueError for less than one leaf.
    """
    if num_leaves < 1:
        raise ValueError(f"a set needs at least one leaf, got {num_leaves}")
    number = torch.arange(num_leaves)
    return TreeLayout(
        codes=number[:, None],
        level=torch.zeros_like(number),
        parent=torch.full_like(number, NO_PARENT),
        intention=torch.full_like(number, int(Intention.CENTER)),
        leaf_nodes=number[:, None],
    )
