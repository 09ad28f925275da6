"""Drivable paths around a root: offsets in acceleration along it and in lateral velocity across it.

A leaf drives the root's own path, extended beyond its end, with other timing and sideways of it:

* along: the root's speed plus an offset whose acceleration is a piecewise linear function of time with one knot per
  level; the speed never becomes negative, a standing root can pull away;
* across: a slope against the root's path that moves from level to level along a smooth step of the distance driven, so
  that the car never moves sideways and never turns where it stands; the heading is the direction of motion.

All offsets zero give the root itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S, PoseIndex
from openpair.nn.kinematic_limits import KinematicLimits

NUM_LEVELS = 4
STEPS_PER_POSE = 5
STEPS_PER_LEVEL = STEPS_PER_POSE * NUM_POSES // NUM_LEVELS
DT_S = POSE_INTERVAL_S / STEPS_PER_POSE


@dataclass(frozen=True)
class RootPath:
    """Roots as curves, extended beyond their ends.

    Attributes:
        arc_length: (B, K) distance along the path at its knots [m], not decreasing; knot 0 is the ego.
        poses: (B, K, 3) x [m], y [m], heading [rad] unwrapped, at the knots.
        speed: (B, 8) mean speed between consecutive poses [m/s].
    """

    arc_length: Tensor
    poses: Tensor
    speed: Tensor


EXTENSION_KNOTS = 16
EXTENSION_STEP_M = 2.0
CURVATURE_MEMORY_M = 8.0
"""Beyond its end a path keeps its curvature, which fades over this distance."""


def root_path(root: Tensor) -> RootPath:
    """(B, 8, 3) poses x [m], y [m], heading [rad] -> their curve from the ego on, with an extension of 32 m."""
    ego = torch.zeros_like(root[:, :1])
    knots = torch.cat((ego, root), dim=1)
    turn = _wrap(knots[:, 1:, PoseIndex.HEADING] - knots[:, :-1, PoseIndex.HEADING])
    heading = torch.cat((ego[..., PoseIndex.HEADING], turn.cumsum(-1)), dim=1)
    length = (knots[:, 1:, :2] - knots[:, :-1, :2]).norm(dim=-1)

    # Curvature at the end, from the last second; not trusted where the car hardly moves.
    last_length = length[:, -2:].sum(-1)
    curvature = (turn[:, -2:].sum(-1) / last_length.clamp(min=1.0)).clamp(-0.2, 0.2) * (last_length / 2.0).clamp(max=1)
    ahead = EXTENSION_STEP_M * torch.arange(1, EXTENSION_KNOTS + 1, device=root.device, dtype=root.dtype)
    fade = CURVATURE_MEMORY_M * (1 - torch.exp(-ahead / CURVATURE_MEMORY_M))
    extra_heading = heading[:, -1:] + curvature[:, None] * fade
    middle = torch.cat((heading[:, -1:], extra_heading), dim=1)
    middle = 0.5 * (middle[:, 1:] + middle[:, :-1])
    step = EXTENSION_STEP_M * torch.stack((middle.cos(), middle.sin()), dim=-1)
    extra_xy = knots[:, -1:, :2] + step.cumsum(dim=1)

    xy = torch.cat((knots[..., :2], extra_xy), dim=1)
    all_heading = torch.cat((heading, extra_heading), dim=1)
    arc_length = torch.cat((ego[..., 0], length.cumsum(-1)), dim=1)
    arc_length = torch.cat((arc_length, arc_length[:, -1:] + ahead), dim=1)
    return RootPath(arc_length, torch.cat((xy, all_heading[..., None]), dim=-1), length / POSE_INTERVAL_S)


def pose_on_path(path: RootPath, distance: Tensor) -> Tensor:
    """Poses (B, Q, 3) at distances (B, Q) [m] along the path; cubic between knots, headings linear."""
    knots = path.arc_length
    index = (torch.searchsorted(knots, distance.contiguous(), right=True) - 1).clamp(0, knots.shape[1] - 2)
    start, end = _at(path.poses, index), _at(path.poses, index + 1)
    s0, s1 = knots.gather(1, index), knots.gather(1, index + 1)
    length = s1 - s0
    t = ((distance - s0) / length.clamp(min=1e-6)).clamp(0.0, 1.0)[..., None]
    t2, t3 = t * t, t * t * t
    tangent0 = length[..., None] * _direction(start[..., 2])
    tangent1 = length[..., None] * _direction(end[..., 2])
    xy = (
        (2 * t3 - 3 * t2 + 1) * start[..., :2]
        + (t3 - 2 * t2 + t) * tangent0
        + (3 * t2 - 2 * t3) * end[..., :2]
        + (t3 - t2) * tangent1
    )
    heading = start[..., 2:] + t * (end[..., 2:] - start[..., 2:])
    return torch.cat((xy, heading), dim=-1)


def drive(path: RootPath, acceleration: Tensor, lateral: Tensor, limits: KinematicLimits) -> tuple[Tensor, Tensor]:
    """Drive along a root with offsets.

    Args:
        path: of B roots.
        acceleration: (B, N, 4) acceleration offset [m/s^2] at the end of each level.
        lateral: (B, N, 4) lateral velocity wanted at the end of each level [m/s], to the left.
        limits: bounds of jerk and slope; the other bounds are the caller's.

    Returns:
        poses (B, N, 8, 3) and speeds (B, N, 8) [m/s] along the root just before each pose.
    """
    batch, paths = acceleration.shape[:2]
    speed = (path.speed.repeat_interleave(STEPS_PER_POSE, dim=1)[:, None] + _speed_offset(acceleration, limits)).relu()
    step = speed * DT_S
    distance = step.cumsum(-1)
    slope, shift = _sideways(speed, step, lateral, limits)

    at_poses = slice(STEPS_PER_POSE - 1, None, STEPS_PER_POSE)
    on_path = pose_on_path(path, distance[..., at_poses].flatten(1)).view(batch, paths, NUM_POSES, 3)
    heading = on_path[..., 2]
    normal = torch.stack((-heading.sin(), heading.cos()), dim=-1)
    xy = on_path[..., :2] + shift[..., at_poses, None] * normal
    drift = slope[..., at_poses].atan()
    return torch.cat((xy, (heading + drift)[..., None]), dim=-1), speed[..., at_poses]


def _sideways(speed: Tensor, step: Tensor, lateral: Tensor, limits: KinematicLimits) -> tuple[Tensor, Tensor]:
    """Slope against the path and shift to its left [m], (B, N, 40) each, at the end of each 0.1 s.

    The slope changes with the distance driven, not with time: a car that stands does not turn.
    """
    step = step.unflatten(-1, (NUM_LEVELS, STEPS_PER_LEVEL))
    driven = step.sum(-1)
    level_speed = speed.unflatten(-1, (NUM_LEVELS, STEPS_PER_LEVEL))[..., -1]
    wanted = (lateral / level_speed.clamp(min=1.0)).clamp(-limits.slope, limits.slope)
    slopes = [torch.zeros_like(driven[..., 0])]
    for level in range(NUM_LEVELS):
        reach = limits.bend_per_m * driven[..., level]
        change = wanted[..., level] - slopes[-1]
        slopes.append(slopes[-1] + torch.maximum(torch.minimum(change, reach), -reach))
    knot = torch.stack(slopes, dim=-1)
    begin, change = knot[..., :-1, None], knot.diff(dim=-1)[..., None]
    tau_end = step.cumsum(-1) / driven[..., None].clamp(min=1e-6)
    tau_middle = tau_end - 0.5 * step / driven[..., None].clamp(min=1e-6)
    slope = (begin + change * _smooth_step(tau_end)).flatten(-2)
    shift = ((begin + change * _smooth_step(tau_middle)) * step).flatten(-2).cumsum(-1)
    return slope, shift


def _smooth_step(tau: Tensor) -> Tensor:
    """0 at 0, 1 at 1, with zero slope at both."""
    return tau * tau * (3 - 2 * tau)


def _speed_offset(acceleration: Tensor, limits: KinematicLimits) -> Tensor:
    """(B, N, 4) acceleration offsets at level ends -> (B, N, 40) speed offset [m/s] in the middle of each 0.1 s."""
    knots = [torch.zeros_like(acceleration[..., 0])]
    for level in range(NUM_LEVELS):
        change = (acceleration[..., level] - knots[-1]).clamp(-limits.jerk_mps3, limits.jerk_mps3)
        knots.append(knots[-1] + change)
    knot = torch.stack(knots, dim=-1)
    begin, end = knot[..., :-1, None], knot[..., 1:, None]
    tau = (torch.arange(STEPS_PER_LEVEL, device=knot.device, dtype=knot.dtype) + 0.5) / STEPS_PER_LEVEL
    within = begin * tau + 0.5 * (end - begin) * tau**2
    full = 0.5 * (knot[..., :-1] + knot[..., 1:])
    before = torch.cat((torch.zeros_like(full[..., :1]), full.cumsum(-1)[..., :-1]), dim=-1)
    return (before[..., None] + within).flatten(-2)


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def _direction(heading: Tensor) -> Tensor:
    return torch.stack((heading.cos(), heading.sin()), dim=-1)


def _wrap(angle: Tensor) -> Tensor:
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi
