"""A plan as a path with a speed profile: go farther or less far along it, or beside it, and stay smooth.

The path of a plan is a chain of cubic Hermite arcs through its poses, tangent to their headings, starting at the
origin, and going straight on beyond its end. Moving along the path keeps its shape (a bend stays where the road bends),
which scaling a plan in time would not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

POSE_INTERVAL_S = 0.5
STANDING_M = 1e-3
"""Segments shorter than this have no direction of their own."""


@dataclass(frozen=True)
class PlanPath:
    """Paths of B plans, ego rear-axle frame.

    Attributes:
        knots: (B, 9, 3) x [m], y [m], heading [rad]; the origin and the 8 poses.
        station: (B, 9) distance along the chords [m].
    """

    knots: Tensor
    station: Tensor

    @property
    def speeds(self) -> Tensor:
        """(B, 8) mean speed of each half second [m/s]."""
        return self.station.diff(dim=1) / POSE_INTERVAL_S


def plan_path(plans: Tensor) -> PlanPath:
    """Path of plans (B, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame."""
    knots = torch.cat([torch.zeros_like(plans[:, :1]), plans], dim=1)
    chords = knots[:, 1:, :2] - knots[:, :-1, :2]
    # A plan that reverses has no path ahead: its backward segments count as standing.
    forward = (chords * _direction(knots[:, :-1, 2])).sum(-1) > 0
    length = chords.norm(dim=-1) * forward
    station = torch.cat([torch.zeros_like(length[:, :1]), length.cumsum(dim=1)], dim=1)
    return PlanPath(knots, station)


def along(path: PlanPath, station: Tensor, offset: Tensor) -> Tensor:
    """Poses at stations along the path, moved sideways.

    Args:
        path: of B plans.
        station: (B, S, T) distance along the path [m], not decreasing in T; beyond the end the path goes straight on.
        offset: (B, S, T) distance to the left of the path [m]; changes from 0 at the start of the plan.

    Returns:
        (B, S, T, 3) x [m], y [m], heading [rad]: where they move, poses head in the direction of motion.
    """
    center, heading = _on_path(path, station)
    normal = torch.stack([-heading.sin(), heading.cos()], dim=-1)
    xy = center + offset[..., None] * normal
    before_station = torch.cat([torch.zeros_like(station[..., :1]), station[..., :-1]], dim=-1)
    before_offset = torch.cat([torch.zeros_like(offset[..., :1]), offset[..., :-1]], dim=-1)
    moved = station - before_station
    slope = torch.atan2(offset - before_offset, moved.clamp(min=STANDING_M)) * (moved > STANDING_M)
    return torch.cat([xy, (heading + slope)[..., None]], dim=-1)


def _on_path(path: PlanPath, station: Tensor) -> tuple[Tensor, Tensor]:
    """Position (B, S, T, 2) and heading (B, S, T) of the path at stations (B, S, T)."""
    batch = station.shape[0]
    flat = station.reshape(batch, -1).contiguous()
    index = torch.searchsorted(path.station.contiguous(), flat, right=True).clamp(1, path.station.shape[1] - 1) - 1
    start, stop = _rows(path.knots, index), _rows(path.knots, index + 1)
    first, last = path.station.gather(1, index), path.station.gather(1, index + 1)
    length = last - first
    moving = length > STANDING_M
    u = ((flat - first) / length.clamp(min=STANDING_M)).clamp(0.0, 1.0) * moving
    tangent = length[..., None]
    position = _hermite(
        u[..., None],
        start[..., :2],
        _direction(start[..., 2]) * tangent,
        stop[..., :2],
        _direction(stop[..., 2]) * tangent,
    )
    turn = torch.atan2((stop[..., 2] - start[..., 2]).sin(), (stop[..., 2] - start[..., 2]).cos())
    heading = start[..., 2] + u * turn
    end = path.knots[:, -1:]
    beyond = (flat - path.station[:, -1:]).clamp(min=0.0)
    past = beyond > 0
    position = torch.where(past[..., None], end[..., :2] + beyond[..., None] * _direction(end[..., 2]), position)
    heading = torch.where(past, end[..., 2].expand_as(heading), heading)
    return position.reshape(*station.shape, 2), heading.reshape(station.shape)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """values (B, K, C) at index (B, N) -> (B, N, C)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def _direction(heading: Tensor) -> Tensor:
    """Unit vectors (..., 2) of headings (...)."""
    return torch.stack([heading.cos(), heading.sin()], dim=-1)


def _hermite(u: Tensor, p0: Tensor, m0: Tensor, p1: Tensor, m1: Tensor) -> Tensor:
    """Cubic Hermite interpolation at u in [0, 1]."""
    u2, u3 = u * u, u * u * u
    return (2 * u3 - 3 * u2 + 1) * p0 + (u3 - 2 * u2 + u) * m0 + (3 * u2 - 2 * u3) * p1 + (u3 - u2) * m1
