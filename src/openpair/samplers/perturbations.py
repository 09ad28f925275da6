"""Simple smooth changes of a plan: slower or faster along its path, a little to its left or right.

They serve twice: as noise on roots in training, and as the fair control at inference (IL + reward model): what a reward
model gains without any learned sampler.
"""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.datatypes.columns import POSE_INTERVAL_S
from openpair.nn.kinematic_limits import KinematicLimits
from openpair.nn.plan_offsets import NUM_LEVELS, drive, root_path
from openpair.samplers.perturbation_config import PerturbationConfig, RootNoise

NUM_CONTROL_CANDIDATES = 15
"""As many candidates as the tree has leaves: the control gets the same budget."""

LIMITS = KinematicLimits(jerk_mps3=10.0, slope=0.15)
"""Hard braking may come at once; sideways at most 15% of the speed, about 9 degrees off the path."""


NUM_CHANGES = 4
"""Early and late acceleration, lateral displacement at the end, and in the middle: arguments of :func:`shift`."""


def scales_of(config: PerturbationConfig, like: Tensor) -> Tensor:
    """(4,) sizes of the changes, in the order of :func:`shift`."""
    return like.new_tensor([config.acceleration, config.acceleration, config.lateral_m, config.bulge_m])


def moved(plans: Tensor, actions: Tensor, config: PerturbationConfig) -> Tensor:
    """Plans (B, 8, 3) changed by actions (B, S, 4) in units of ``config`` -> (B, S, 8, 3), ego rear-axle frame."""
    return shift(plans, *(actions * scales_of(config, plans)).unbind(-1))


def noisy_roots(human: Tensor, status: Tensor, noise: RootNoise, generator: torch.Generator) -> Tensor:
    """Reference plans (B, 8, 3) for training: human plans, most of them moved.

    Args:
        human: (B, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame.
        status: (B, 8) status feature; column 4 is the speed ahead [m/s].
        noise: how far and how often they are moved.
        generator: CPU generator; same state, same roots on any device.
    """
    draws = torch.rand(len(human), 3, generator=generator).to(human)
    straight = torch.zeros_like(human)
    seconds = torch.arange(1, human.shape[1] + 1, device=human.device, dtype=human.dtype) * POSE_INTERVAL_S
    straight[..., 0] = status[:, 4:5] * seconds
    pull = noise.inertia * draws[:, 0] * (draws[:, 1] < noise.inertia_share)
    pulled = human + pull[:, None, None] * (straight - human)
    moved = perturb(pulled, noise.smooth, num_samples=1, generator=generator)[:, 0]
    return torch.where((draws[:, 2] < noise.unchanged_share)[:, None, None], human, moved)


def perturb(plans: Tensor, config: PerturbationConfig, *, num_samples: int, generator: torch.Generator) -> Tensor:
    """Random smooth neighbours of plans.

    Args:
        plans: (B, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame.
        config: how far they move.
        num_samples: S neighbours of each plan.
        generator: CPU generator; same state, same neighbours on any device.

    Returns:
        (B, S, 8, 3), same frame.
    """
    noise = torch.randn(plans.shape[0], num_samples, NUM_CHANGES, generator=generator).to(plans)
    return moved(plans, noise, config)


def control_candidates(plans: Tensor, width: float = 1.0) -> Tensor:
    """The control's fixed candidates: five speeds times three sides, the plan itself replaced by hard braking.

    Args:
        plans: (B, 8, 3), ego rear-axle frame.
        width: 1 mild (up to 1.2 m/s^2 and 0.7 m), 1.8 wide.

    Returns:
        (B, 15, 8, 3).
    """
    rows = [
        (acceleration * width, side * width)
        for acceleration in (-1.2, -0.6, 0.0, 0.6, 1.2)
        for side in (-0.7, 0.0, 0.7)
    ]
    rows[rows.index((0.0, 0.0))] = (-3.0 * width, 0.0)
    table = plans.new_tensor(rows)[None].expand(plans.shape[0], -1, -1)
    acceleration, side = table.unbind(dim=-1)
    return shift(plans, acceleration, acceleration, side, torch.zeros_like(side))


def as_many(candidates: Tensor, count: int) -> Tensor:
    """``count`` of the candidates (B, N, 8, 3), evenly over their order (some twice where N is smaller): a control with
    as many candidates as a tree of another size than usual."""
    index = torch.linspace(0, candidates.shape[1] - 1, count, device=candidates.device).round().long()
    return candidates[:, index]


def shift(plans: Tensor, early: Tensor, late: Tensor, lateral: Tensor, bulge: Tensor) -> Tensor:
    """Change plans by given amounts.

    Args:
        plans: (B, 8, 3), ego rear-axle frame.
        early: (B, S) change of acceleration from 1 s to 2 s [m/s^2]; it grows from 0 within the first second.
        late: (B, S) change of acceleration from 3 s to 4 s [m/s^2].
        lateral: (B, S) displacement to the left at 4 s [m], growing with the square of time.
        bulge: (B, S) displacement to the left at 2 s [m], gone again at 4 s.

    Returns:
        (B, S, 8, 3). Speeds never fall below 0; a plan that stands is not moved sideways.
    """
    acceleration = torch.stack([early, early, late, late], dim=-1)
    seconds = torch.arange(1, NUM_LEVELS + 1, device=plans.device, dtype=plans.dtype)
    steady = lateral[..., None] * 2.0 * seconds / NUM_LEVELS**2
    there_and_back = bulge[..., None] * bulge.new_tensor([1.0, 0.0, -1.0, 0.0])
    poses, _ = drive(root_path(plans), acceleration, steady + there_and_back, LIMITS)
    return poses
