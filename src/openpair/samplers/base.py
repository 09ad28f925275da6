"""What a trajectory sampler is: a stochastic policy that grows a tree of candidates around a reference plan.

The reference ("root") is the human plan in training and any policy's plan at inference. Each node of the tree draws one
raw, unbounded action from a Gaussian whose mean the network predicts; a decoder without parameters turns actions into
poses. Sampling at the mean (sigma 0) is the deterministic tree that is used at inference.

Typical update::

    context = sampler.encode(features)
    tree = sampler.expand(context, root, num_samples=6, sigma=0.8, generator=g)       # leaves (B, 6, L, 8, 3)
    advantage = ...                                                                    # from exact scores of the leaves
    log_prob = sampler.log_prob(tree.mean, tree.actions, sigma=0.8)                    # (B, 6, M)

For a ratio against an older policy, ``evaluate_actions`` gives the mean at the same nodes again, with gradient.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from openpair.datatypes.tree import TrajectoryTree, TreeLayout
from openpair.errors import OpenPairError
from openpair.nn.ground import Ground
from openpair.nn.registered import RegisteredNetwork
from openpair.samplers.config import SamplerConfig

Judgement = Callable[[Tensor], Tensor]
"""Plans (B, 8, 3) of B scenes -> numbers (B, J) that say what a reward model thinks of them."""


@dataclass(frozen=True)
class SamplerContext:
    """What a sampler knows of a batch of scenes before it sees the root; made once, used for any number of trees.

    Attributes:
        tokens: (B, K, D) scene tokens that the tree attends to.
        status: (B, 8) the status feature.
        perception: outputs of the auxiliary perception heads by name, empty where the sampler has none.
        ground: what the sampler sees of the ground at its poses, where it looks there.
        tokens_there: (B, K) bool, False for tokens that are padding; None where none is.
        judgement: what a reward model thinks of plans, for samplers that ask one.
    """

    tokens: Tensor
    status: Tensor
    perception: dict[str, Tensor] = field(default_factory=dict)
    ground: Ground | None = None
    tokens_there: Tensor | None = None
    judgement: Judgement | None = None


class Sampler(RegisteredNetwork, ABC):
    """Base of all tree samplers.

    Attributes:
        has_strength: True where :meth:`mean_leaves` can go less than the whole way to what was learned.
        layout: nodes and leaves of its tree.
        action_mask: (M, A) bool, True where a component of a node's action means something.
        prior_mean: (M, A) mean of every node before training.
    """

    config_class: ClassVar[type[SamplerConfig]]
    has_strength: ClassVar[bool] = False
    layout: TreeLayout
    action_mask: Tensor
    prior_mean: Tensor

    @abstractmethod
    def encode(self, features: Mapping[str, Tensor], *, perceive: bool = True) -> SamplerContext:
        """Features by name (as for an imitation policy) -> context, with gradient to the sampler's own encoder.

        Without ``perceive`` the auxiliary perception heads, which no tree needs, are not run.
        """

    @abstractmethod
    def expand(
        self,
        context: SamplerContext,
        root: Tensor,
        *,
        num_samples: int = 1,
        sigma: float = 0.0,
        generator: torch.Generator | None = None,
        actions: Tensor | None = None,
    ) -> TrajectoryTree:
        """Grow S trees per scene.

        Args:
            context: of the same B scenes.
            root: (B, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame; carries no gradient.
            num_samples: S.
            sigma: standard deviation of the raw actions; 0 gives the tree at the mean.
            generator: source of the noise; same generator state, same trees.
            actions: (B, S, M, A) raw actions to take instead of drawing them.

        Returns:
            The tree. ``mean`` carries gradient; ``actions`` and ``leaves`` do not.
        """

    def mean_leaves(self, context: SamplerContext, root: Tensor, *, strength: float = 1.0) -> Tensor:
        """Leaves (B, L, 8, 3) of the tree at its mean around roots (B, 8, 3); what a planner chooses from.

        Args:
            context: of the same B scenes.
            root: (B, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame.
            strength: share of the way from the start to what was learned that leaves go; 0 is the tree before
                training. Leaves that learned much are alike where the sampler errs, and leave a reward model less to
                choose from. Samplers without :attr:`has_strength` go the whole way.
        """
        return self.expand(context, root).leaves[:, 0]

    def evaluate_actions(self, context: SamplerContext, tree: TrajectoryTree) -> Tensor:
        """Mean (B, S, M, A), with gradient, at the nodes of a tree on the parent paths that its actions made."""
        return self.expand(context, tree.root, num_samples=tree.actions.shape[1], actions=tree.actions).mean

    def leaves_of(self, root: Tensor, actions: Tensor) -> Tensor:
        """Leaves (B, S, L, 8, 3) of raw actions (B, S, M, A) around roots (B, 8, 3), with gradient to the actions.

        Raises OpenPairError for samplers whose decoder does not offer it.
        """
        raise OpenPairError(
            f"the leaves of '{self.kind}' carry no gradient", fix="Set reinforcement.imitation_weight 0"
        )

    def log_prob(self, mean: Tensor, actions: Tensor, sigma: float) -> Tensor:
        """Log density (B, S, M) of each node's action under N(mean, sigma^2), over its meaningful components.

        Args:
            mean: (B, S, M, A) with gradient.
            actions: (B, S, M, A), taken as constants.
            sigma: standard deviation the actions were drawn with; above 0.
        """
        z = (actions.detach() - mean) / sigma
        per_component = -0.5 * z.square() - math.log(sigma) - 0.5 * math.log(2 * math.pi)
        return (per_component * self.action_mask).sum(-1)

    def kl(self, mean: Tensor, reference_mean: Tensor, sigma: float) -> Tensor:
        """KL divergence (B, S, M) of N(mean, sigma^2) from N(reference_mean, sigma^2), node by node."""
        return (((mean - reference_mean) / sigma).square() * 0.5 * self.action_mask).sum(-1)

    def draw_noise(self, like: Tensor, num_samples: int, sigma: float, generator: torch.Generator | None) -> Tensor:
        """(B, S, M, A) normal noise of standard deviation sigma for B = ``len(like)`` roots, on their device.

        Drawn on the generator's device, so that a CPU generator gives the same trees everywhere.
        """
        shape = (len(like), num_samples, *self.action_mask.shape)
        if sigma == 0.0:
            return torch.zeros(shape, device=like.device)
        where = generator.device if generator is not None else like.device
        return (sigma * torch.randn(shape, generator=generator, device=where)).to(like.device)

    def path_sum(self, per_node: Tensor) -> Tensor:
        """(..., M) values of nodes -> (..., L) their sums along each leaf's path, such as log-probabilities."""
        return per_node[..., self.layout.leaf_nodes].sum(-1)

    def perception_loss(self, context: SamplerContext, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Loss terms of the auxiliary perception heads; ``loss`` is their weighted sum (0 without such heads).

        Args:
            targets: ``agent_states`` (B, 30, 5), ``agent_labels`` (B, 30) bool, ``bev_semantic_map`` (B, H, W) int64.
        """
        return {"loss": context.tokens.new_zeros(())}
