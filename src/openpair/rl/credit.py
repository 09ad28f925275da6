"""Who gets the credit of a scored tree: its leaves or its nodes, by the estimator that a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from openpair.datatypes.tree import TreeLayout
from openpair.errors import OpenPairError
from openpair.rl.advantages import ESTIMATORS, best_of_set_soft, mixed
from openpair.rl.config import SOFT_TEMPERATURE
from openpair.rl.tree_advantages import NODE_ESTIMATORS


@dataclass(frozen=True)
class Credit:
    """An advantage estimator and what it rates.

    Attributes:
        estimate: rewards (B, S, L) and the human's (B,) -> advantages, (B, S, M) of nodes or (B, S, L) of leaves.
        per_node: True for nodes: the loss then takes the log-probability of each node, not of each path.
    """

    estimate: Callable[[Tensor, Tensor], Tensor]
    per_node: bool = False


def credit(
    name: str, layout: TreeLayout, *, temperature: float = SOFT_TEMPERATURE, per_code_weight: float = 0.0
) -> Credit:
    """The estimator of a name, for trees of a layout.

    Args:
        name: of :data:`~openpair.rl.advantages.ESTIMATORS` or
            :data:`~openpair.rl.tree_advantages.NODE_ESTIMATORS`.
        layout: of the trees.
        temperature: of ``best_of_set_soft``.
        per_code_weight: of ``mixed``.

    Raises OpenPairError for an unknown name.
    """
    if name in NODE_ESTIMATORS:
        rate_nodes = NODE_ESTIMATORS[name]
        return Credit(lambda rewards, human_reward: rate_nodes(rewards, human_reward, layout), per_node=True)
    if name not in ESTIMATORS:
        known = ", ".join((*ESTIMATORS, *NODE_ESTIMATORS))
        raise OpenPairError(f"there is no advantage estimator '{name}'", where="advantage", fix=f"Give one of {known}")
    if name == "best_of_set_soft":
        return Credit(partial(best_of_set_soft, temperature=temperature))
    if name == "mixed":
        return Credit(partial(mixed, per_code_weight=per_code_weight))
    return Credit(ESTIMATORS[name])
