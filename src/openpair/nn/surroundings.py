"""Road users, lanes and edges of the road as seen from the poses of plans: relative geometry, without parameters.

The known track's counterpart of looking up bird's-eye-view features. Each pose looks, in its own frame and at its own
time, at the road users nearest then, the lanes that lead its way, and the edge of what is drivable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S
from openpair.datatypes.vehicle import (
    LENGTH_M,
    REAR_AXLE_TO_CENTER_M,
    REAR_AXLE_TO_FRONT_M,
    REAR_AXLE_TO_REAR_M,
    WIDTH_M,
)
from openpair.nn.ground import Ground

NEAR_AGENTS, NEAR_LANES = 4, 2
COARSE_LANES, COARSE_EDGES = 5, 3
"""Pieces of polylines that are looked at in detail: those that three of their points say are nearest."""

STEPS_AHEAD = 2
"""Half seconds by which both go on as they are, to see whether they meet (time to collision)."""

AGENT_CHANNELS = 8 + 1 + STEPS_AHEAD + 1
LANE_CHANNELS = 10
CHANNELS = NEAR_AGENTS * AGENT_CHANNELS + NEAR_LANES * LANE_CHANNELS + 3
"""Numbers at a pose: of agents, of lanes, signed distance to the edge and where it lies."""

CORNERS = 4
"""Further numbers at a pose that is looked at closely: signed distance of each corner of the car to the edge."""

FAR_M = 1e4
HALF_LENGTH_M, HALF_WIDTH_M = 0.5 * LENGTH_M, 0.5 * WIDTH_M


@dataclass(frozen=True)
class Surroundings(Ground):
    """The truth around the ego, ego rear-axle frame of now; padding is marked. At least :data:`NEAR_AGENTS` rows of
    agents and :data:`NEAR_LANES` of lanes.

    Attributes:
        future: (B, A, 8, 3) x [m], y [m], heading [rad] of each agent at the times of the plan's poses.
        now: (B, A, 3) the same now.
        size: (B, A, 2) length, width [m].
        agents_there: (B, A) bool.
        lanes: (B, L, P, 2) pieces of centrelines.
        lane_kinds: (B, L, 5) is connector, in an intersection, green, red (0 or 1), limit [m/s].
        lanes_there: (B, L) bool.
        edges: (B, E, P, 2) pieces of edges, drivable on their left.
        edges_there: (B, E) bool.
    """

    future: Tensor
    now: Tensor
    size: Tensor
    agents_there: Tensor
    lanes: Tensor
    lane_kinds: Tensor
    lanes_there: Tensor
    edges: Tensor
    edges_there: Tensor

    @staticmethod
    def of_features(features: Mapping[str, Tensor]) -> Surroundings:
        """From the features of :mod:`openpair.features.known`; agents go on at constant velocity."""
        agents, kinds = features["known_agents"], features["known_lane_kinds"]
        light = kinds[..., 2]
        lane_kinds = torch.stack((kinds[..., 0], kinds[..., 1], light == 1.0, light == 2.0, kinds[..., 3]), dim=-1)
        return Surroundings(
            constant_velocity(agents[:, :, -1]),
            agents[:, :, -1, :3],
            features["known_agent_kinds"][..., :2],
            features["known_agent_seen"][..., -1],
            features["known_lanes"],
            lane_kinds,
            features["known_lane_there"],
            features["known_edges"],
            features["known_edge_there"],
        )

    def with_future(self, future: Tensor) -> Surroundings:
        """The same with another forecast (B, A, 8, 3) of the agents."""
        return replace(self, future=future.detach().float())

    def look_along(self, plans: Tensor) -> Tensor:
        """Plans (B, G, 8, 3) -> (B, G, 8, :data:`CHANNELS`) numbers of about unit size, without gradient."""
        with torch.no_grad():
            poses = plans.float()
            centre = in_car(poses, REAR_AXLE_TO_CENTER_M, 0.0)
            edge = self._edges(poses, centre[..., None, :])
            return torch.cat((self._agents(poses, centre), self._lanes(poses, centre), edge), dim=-1)

    def look_closely(self, plans: Tensor) -> Tensor:
        """:meth:`look_along` with the corners of the car: (B, G, 8, :data:`CHANNELS` + :data:`CORNERS`)."""
        with torch.no_grad():
            poses = plans.float()
            centre = in_car(poses, REAR_AXLE_TO_CENTER_M, 0.0)
            ends = (REAR_AXLE_TO_FRONT_M, -REAR_AXLE_TO_REAR_M)
            corners = [in_car(poses, x, y) for x in ends for y in (HALF_WIDTH_M, -HALF_WIDTH_M)]
            edge = self._edges(poses, torch.stack((centre, *corners), dim=-2))
            return torch.cat((self._agents(poses, centre), self._lanes(poses, centre), edge), dim=-1)

    def _agents(self, poses: Tensor, centre: Tensor) -> Tensor:
        """Poses (B, G, 8, 3), centres (B, G, 8, 2) -> (B, G, 8, NEAR_AGENTS * AGENT_CHANNELS)."""
        table = self._agent_table()
        groups = poses.shape[1]
        offset = table[:, None, :, :, :2] - centre[:, :, :, None]
        away = offset.square().sum(dim=-1).sqrt() - 0.5 * self.size[:, None, None, :, 0]
        away = away.masked_fill(~self.agents_there[:, None, None], FAR_M)
        nearest = away.topk(NEAR_AGENTS, dim=-1, largest=False)
        index = nearest.indices[..., None].expand(-1, -1, -1, -1, table.shape[-1])
        near = table[:, None].expand(-1, groups, -1, -1, -1).gather(3, index)
        there = (nearest.values < 0.5 * FAR_M).float()

        heading = poses[..., 2, None]
        c, s = heading.cos(), heading.sin()
        step = poses.diff(dim=2, prepend=torch.zeros_like(poses[:, :, :1]))
        speed = step[..., :2].norm(dim=-1)[..., None] / POSE_INTERVAL_S
        gaps = []
        for ahead in range(STEPS_AHEAD + 1):
            start = 6 * ahead
            dx, dy = turned(near[..., start : start + 2] - centre[..., None, :], c, s)
            dx = dx - speed * (ahead * POSE_INTERVAL_S)
            cos, sin = turned(near[..., start + 2 : start + 4], c, s)
            gaps.append((box_gap(dx, dy, cos, sin, near[..., -2], near[..., -1]).clamp(-2.0, 6.0) - 2.0) / 2)
            if ahead == 0:
                vx, vy = turned(near[..., 4:6], c, s)
                here = (dx / 10, dy / 10, cos, sin, (vx - speed) / 10, vy / 10)
        numbers = torch.stack((*here, near[..., -2] / 5, near[..., -1] / 2, *gaps, torch.ones_like(dx)), dim=-1)
        return (numbers.clamp(-5.0, 5.0) * there[..., None]).flatten(3)

    def _agent_table(self) -> Tensor:
        """(B, 8, A, 20): at each pose's time and each half second ahead x, y, cos, sin of heading and velocity of each
        agent; then length and width. Beyond the last pose agents go on as they are."""
        steps = torch.cat((self.now[:, :, None], self.future), dim=2).float()
        velocity = steps[..., :2].diff(dim=2) / POSE_INTERVAL_S
        states = torch.cat(
            (steps[:, :, 1:, :2], steps[:, :, 1:, 2:].cos(), steps[:, :, 1:, 2:].sin(), velocity), dim=-1
        )
        last = states[:, :, -1:]
        beyond = []
        for k in range(1, STEPS_AHEAD + 1):
            moved = last[..., :2] + k * POSE_INTERVAL_S * last[..., 4:]
            beyond.append(torch.cat((moved, last[..., 2:]), dim=-1))
        states = torch.cat((states, *beyond), dim=2)
        in_time = [states[:, :, k : k + NUM_POSES] for k in range(STEPS_AHEAD + 1)]
        size = self.size[:, :, None].expand(-1, -1, NUM_POSES, -1).float()
        return torch.cat((*in_time, size), dim=-1).transpose(1, 2)

    def _lanes(self, poses: Tensor, centre: Tensor) -> Tensor:
        """(B, G, 8, NEAR_LANES * LANE_CHANNELS): the lanes that are near and lead the same way."""
        pieces = near_pieces(self.lanes, self.lanes_there, centre, COARSE_LANES)
        found = closest_points(pieces.points, centre[..., None, None, :])
        heading = poses[..., 2, None]
        c, s = heading.cos(), heading.sin()
        cos, sin = turned(found.direction[..., 0, :, :], c, s)
        away = found.squared[..., 0, :] + 4.0 * (1.0 - cos) + FAR_M * ~pieces.there
        best = away.topk(NEAR_LANES, dim=-1, largest=False).indices
        x, y = turned(found.point[..., 0, :, :] - centre[..., None, :], c, s)
        kinds = take(self.lane_kinds, pieces.index)
        numbers = torch.stack((x / 3, y / 3, cos, sin, pieces.there.float()), dim=-1)
        limit = kinds[..., 4:] / 15
        numbers = torch.cat((numbers, kinds[..., :4], limit), dim=-1).clamp(-5.0, 5.0)
        numbers = numbers * pieces.there[..., None]
        return numbers.gather(3, best[..., None].expand(-1, -1, -1, -1, numbers.shape[-1])).flatten(3)

    def _edges(self, poses: Tensor, points: Tensor) -> Tensor:
        """Points (B, G, 8, Q, 2) of the car, its centre first -> (B, G, 8, Q + 2): signed distance of each to the edge
        (positive where it is drivable), and where the edge lies from the centre."""
        pieces = near_pieces(self.edges, self.edges_there, points[..., 0, :], COARSE_EDGES)
        found = closest_points(pieces.points, points[..., None, :])
        away = found.squared + FAR_M * ~pieces.there[..., None, :]
        best = away.argmin(dim=-1, keepdim=True)
        pick = best[..., None].expand(*best.shape, 2)
        at, direction = (value.gather(4, pick).squeeze(4) for value in (found.point, found.direction))
        apart = points - at
        side = (direction[..., 0] * apart[..., 1] - direction[..., 1] * apart[..., 0]).sign()
        signed = side * away.gather(4, best).squeeze(4).clamp(max=FAR_M).sqrt()
        heading = poses[..., 2]
        x, y = turned(-apart[..., 0, :], heading.cos(), heading.sin())
        some = pieces.there.any(dim=-1)
        away_m = torch.where(some[..., None], signed, signed.new_tensor(FAR_M))
        where = torch.stack((x, y), dim=-1) * some[..., None]
        return torch.cat((away_m.clamp(-3.0, 6.0) / 2, (where / 5).clamp(-3.0, 3.0)), dim=-1)


def constant_velocity(agents: Tensor) -> Tensor:
    """Agents (B, A, 5) x, y [m], heading [rad], velocity [m/s] -> (B, A, 8, 3) their next 4 s at constant velocity."""
    seconds = POSE_INTERVAL_S * torch.arange(1, NUM_POSES + 1, device=agents.device)
    xy = agents[..., None, :2] + seconds[:, None] * agents[..., None, 3:5]
    return torch.cat((xy, agents[..., None, 2:3].expand(*xy.shape[:-1], 1)), dim=-1)


def in_car(poses: Tensor, forward_m: float, left_m: float) -> Tensor:
    """Poses (..., 3) of the rear axle -> (..., 2) a point of the car."""
    c, s = poses[..., 2].cos(), poses[..., 2].sin()
    return torch.stack((poses[..., 0] + c * forward_m - s * left_m, poses[..., 1] + s * forward_m + c * left_m), dim=-1)


def turned(vector: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (..., 2) -> their parts along and to the left of a direction."""
    x, y = vector.unbind(dim=-1)
    return cos * x + sin * y, cos * y - sin * x


def box_gap(dx: Tensor, dy: Tensor, cos: Tensor, sin: Tensor, length: Tensor, width: Tensor) -> Tensor:
    """Gap between the ego and boxes [m], negative where they overlap: the widest over the axes of both (separating axis
    theorem).

    Args:
        dx, dy: centre of the box from the centre of the ego, ego axes [m].
        cos, sin: of the box's heading in ego axes.
        length, width: of the box [m].
    """
    c, s, half_l, half_w = cos.abs(), sin.abs(), 0.5 * length, 0.5 * width
    along = dx.abs() - HALF_LENGTH_M - half_l * c - half_w * s
    across = dy.abs() - HALF_WIDTH_M - half_l * s - half_w * c
    its_along = (dx * cos + dy * sin).abs() - half_l - HALF_LENGTH_M * c - HALF_WIDTH_M * s
    its_across = (dy * cos - dx * sin).abs() - half_w - HALF_LENGTH_M * s - HALF_WIDTH_M * c
    return torch.maximum(torch.maximum(along, across), torch.maximum(its_along, its_across))


@dataclass(frozen=True)
class NearPieces:
    """Pieces of polylines near points.

    Attributes:
        points: (B, G, 8, K, P, 2).
        index: (B, G, 8, K) which ones they are.
        there: (B, G, 8, K) bool; False for padding.
    """

    points: Tensor
    index: Tensor
    there: Tensor


def near_pieces(pieces: Tensor, there: Tensor, centre: Tensor, count: int) -> NearPieces:
    """The ``count`` pieces (B, N, P, 2) nearest to points (B, G, 8, 2), by three points of each piece."""
    batch = len(pieces)
    places = pieces.shape[2]
    probes = pieces[:, :, [places // 6, places // 2, places - 1 - places // 6]].flatten(1, 2)
    away = torch.cdist(centre.flatten(1, 2), probes, compute_mode="use_mm_for_euclid_dist")
    away = away.unflatten(-1, (-1, 3)).amin(dim=-1).masked_fill(~there[:, None], FAR_M)
    nearest = away.topk(min(count, away.shape[-1]), dim=-1, largest=False)
    index = nearest.indices.unflatten(1, centre.shape[1:3])
    points = take(pieces.flatten(2), index).unflatten(-1, (places, 2))
    return NearPieces(points, index, (nearest.values < 0.5 * FAR_M).view(batch, *index.shape[1:]))


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (B, N, C) at index (B, G, 8, K) -> (B, G, 8, K, C)."""
    flat = index.flatten(1)[..., None].expand(-1, -1, rows.shape[-1])
    return rows.gather(1, flat).unflatten(1, index.shape[1:])


@dataclass(frozen=True)
class ClosestPoints:
    """The point of each piece that is closest to each point.

    Attributes:
        point: (B, G, 8, Q, K, 2).
        direction: (B, G, 8, Q, K, 2) unit vector along the piece there.
        squared: (B, G, 8, Q, K) squared distance [m^2].
    """

    point: Tensor
    direction: Tensor
    squared: Tensor


def closest_points(pieces: Tensor, points: Tensor) -> ClosestPoints:
    """Pieces (B, G, 8, K, P, 2) and points (B, G, 8, Q, 1, 2)."""
    start = pieces[..., :-1, :]
    segment = pieces[..., 1:, :] - start
    length = segment.square().sum(dim=-1).clamp(min=1e-8)
    apart = points[..., None, :] - start[..., None, :, :, :]
    share = ((apart * segment[..., None, :, :, :]).sum(dim=-1) / length[..., None, :, :]).clamp(0.0, 1.0)
    rest = apart - share[..., None] * segment[..., None, :, :, :]
    squared = rest.square().sum(dim=-1)
    best = squared.min(dim=-1, keepdim=True)
    pick = best.indices[..., None].expand(*best.indices.shape, 2)
    at = points - rest.gather(-2, pick).squeeze(-2)
    unit = segment / length.sqrt()[..., None]
    direction = unit[..., None, :, :, :].expand(*squared.shape, 2).gather(-2, pick).squeeze(-2)
    return ClosestPoints(at, direction, best.values.squeeze(-1))
