"""The order in which the original's search tree (GEOS STR tree, 10 children a node) reports what it finds.

The original takes the first of several equal candidates in that order; so must we.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

NODE_CAPACITY = 10


def search_order(bounds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank (n,) of each of n items in a depth-first visit of the tree over their bounds (n, 4) minx miny maxx maxy.

    Items are cut into slices by minx + maxx, slices into nodes by miny + maxy; the same again for the nodes' boxes
    until one is left.
    """
    boxes = np.asarray(bounds, dtype=np.float64)
    members = [np.array([i]) for i in range(len(boxes))]
    while len(members) > 1:
        groups = _pack(boxes)
        members = [np.concatenate([members[i] for i in group]) for group in groups]
        boxes = np.array(
            [np.concatenate([boxes[group, :2].min(axis=0), boxes[group, 2:].max(axis=0)]) for group in groups]
        )
    rank = np.empty(len(bounds), np.int64)
    rank[np.concatenate(members) if members else np.zeros(0, np.int64)] = np.arange(len(bounds))
    return rank


def _pack(boxes: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Numbers of the boxes that share a node, node by node."""
    count = len(boxes)
    num_slices = math.ceil(math.sqrt(math.ceil(count / NODE_CAPACITY)))
    slice_size = math.ceil(count / num_slices)
    by_x = np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable")
    groups: list[NDArray[np.int64]] = []
    for begin in range(0, count, slice_size):
        part = by_x[begin : begin + slice_size]
        by_y = part[np.argsort(boxes[part, 1] + boxes[part, 3], kind="stable")]
        groups.extend(by_y[i : i + NODE_CAPACITY] for i in range(0, len(by_y), NODE_CAPACITY))
    return groups
