"""The layout of a tree, level by level, as index tensors for batched expansion."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from openpair.datatypes.tree import Intention, TreeLayout

NUM_INTENTIONS = len(Intention)


@dataclass(frozen=True, eq=False)
class Level:
    """One level of a layout.

    Attributes:
        nodes: (m,) node indices of this level.
        intention: (m,) intention of each node.
        parents: (p,) node indices of the parents, on the level above; [-1] on level 0.
        parent_position: (m,) position of each node's parent in ``parents``.
        parent_slot: (p,) position of each parent among the nodes of the level above (0 on level 0).
        by_intention: (m,) positions of the nodes in order of intention.
        from_intention: (m,) position of each node in that order.
        num_of_intention: how many nodes each intention has.
    """

    nodes: Tensor
    intention: Tensor
    parents: Tensor
    parent_position: Tensor
    parent_slot: Tensor
    by_intention: Tensor
    from_intention: Tensor
    num_of_intention: tuple[int, ...]
    _copies: dict[torch.device, Level] = field(default_factory=dict, repr=False)

    def on(self, device: torch.device) -> Level:
        """The same on a device: an index that has to be copied there first makes the host wait."""
        if device == self.nodes.device:
            return self
        if device not in self._copies:
            values = {f.name: getattr(self, f.name) for f in fields(self)}
            moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
            self._copies[device] = replace(self, **moved, _copies={})
        return self._copies[device]

    @property
    def sibling_position(self) -> Tensor:
        """(m,) position of each node among all siblings of all parents: 4 * parent position + intention."""
        return NUM_INTENTIONS * self.parent_position + self.intention


def levels_of(layout: TreeLayout) -> list[Level]:
    """Split a layout into its levels."""
    out: list[Level] = []
    for depth in range(layout.codes.shape[1]):
        nodes = torch.nonzero(layout.level == depth).flatten()
        parents, parent_position = torch.unique(layout.parent[nodes], return_inverse=True)
        slot = torch.zeros_like(parents) if depth == 0 else torch.searchsorted(out[-1].nodes, parents)
        intention = layout.intention[nodes]
        order = torch.argsort(intention, stable=True)
        counts = tuple(torch.bincount(intention, minlength=NUM_INTENTIONS).tolist())
        out.append(Level(nodes, intention, parents, parent_position, slot, order, torch.argsort(order), counts))
    return out


def leaf_slots(layout: TreeLayout) -> Tensor:
    """(L,) position of each leaf's last node among the nodes of the last level."""
    last_level = torch.nonzero(layout.level == layout.codes.shape[1] - 1).flatten()
    return torch.searchsorted(last_level, layout.leaf_nodes[:, -1].contiguous())
