"""A policy's single plan as a Gaussian policy: what reinforcement of an imitation network itself needs.

Noise on single poses gives plans that nobody could drive. Here a plan is moved by four smooth changes
(:func:`openpair.samplers.perturbations.shift`): acceleration early and late, sideways at the end and in the middle.
The action is the vector of these changes in units of their scales; the network's mean enters through the change that
moves its plan of the moment of sampling to its plan of now, by linear least squares.
"""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.nn.relative_poses import relative_poses
from openpair.samplers.perturbation_config import PerturbationConfig
from openpair.samplers.perturbations import NUM_CHANGES, moved

PROBE = 0.1
"""Share of a change's scale over which its effect is measured; small enough to be linear."""

HEADING_ARM_M = 2.0
"""A heading error counts like the displacement at this distance ahead of the rear axle."""

RIDGE_M2 = 1e-3
"""Keeps the least squares solvable where a change has no effect: a car that stands cannot be moved sideways."""


def local_difference(plans: Tensor, reference: Tensor) -> Tensor:
    """Difference of plans in the frame of each reference pose.

    Args:
        plans, reference: (..., 8, 3) x [m], y [m], heading [rad], broadcast against each other.

    Returns:
        (..., 24): along and across [m], and heading times :data:`HEADING_ARM_M`, of all poses.
    """
    along, across, turn = relative_poses(plans, reference).unbind(-1)
    return torch.cat((along, across, HEADING_ARM_M * turn), dim=-1)


def change_solver(plans: Tensor, config: PerturbationConfig) -> Tensor:
    """(B, 4, 24): turns a small local difference from ``plans`` into the action that comes nearest to it.

    Ridge-regularised pseudo-inverse of the changes' effect, which is measured by small probes.
    """
    probes = PROBE * torch.eye(NUM_CHANGES, device=plans.device, dtype=plans.dtype)
    probed = moved(plans, probes.expand(len(plans), -1, -1), config)
    # Differences to the unchanged drive, not to the plan: driving a plan again rounds its corners a little.
    still = moved(plans, torch.zeros_like(probes[:1]).expand(len(plans), -1, -1), config)
    effect = local_difference(probed, still).transpose(1, 2) / PROBE
    gram = effect.transpose(1, 2) @ effect + RIDGE_M2 * torch.eye(NUM_CHANGES, device=plans.device, dtype=plans.dtype)
    return torch.linalg.solve(gram, effect.transpose(1, 2))


def mean_action(plan: Tensor, sampled_at: Tensor, solver: Tensor) -> Tensor:
    """Mean action (B, 4) of a policy whose plan was ``sampled_at`` when the actions were drawn and is ``plan`` now.

    Args:
        plan: (B, 8, 3) with gradient.
        sampled_at: (B, 8, 3) constants.
        solver: (B, 4, 24) of :func:`change_solver` at ``sampled_at``.
    """
    return (solver @ local_difference(plan, sampled_at)[..., None]).squeeze(-1)


def log_density(actions: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """Log density (B, S) of actions (B, S, 4) under N(mean (B, 4), sigma^2), up to a constant."""
    return -0.5 * ((actions - mean[:, None]) / sigma).square().sum(-1)


def mean_kl(mean: Tensor, reference: Tensor, sigma: float) -> Tensor:
    """KL divergence (B,) between two such policies of equal sigma, from their means (B, 4)."""
    return 0.5 * ((mean - reference) / sigma).square().sum(-1)
