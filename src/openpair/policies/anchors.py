"""Anchors of DiffusionDrive: typical plans of the user's own training set, by k-means."""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.errors import OpenPairError


def fit_anchors(trajectories: Tensor, count: int = 20, *, seed: int = 0, iterations: int = 100) -> Tensor:
    """k-means centres (Lloyd's algorithm from k-means++ seeds) of the plans' points.

    Args:
        trajectories: (M, 8, 3) x [m], y [m], heading [rad]; the heading is not used.
        count: number of anchors.
        seed: of the first choice of centres.
        iterations: at most so many rounds.

    Returns:
        (count, 8, 2) x, y [m], by distance driven.

    Raises:
        OpenPairError: fewer different plans than anchors.
    """
    points = trajectories[..., :2].flatten(1).double()
    if len(points.unique(dim=0)) < count:
        raise OpenPairError(
            f"{len(points.unique(dim=0))} different plans are too few for {count} anchors",
            where="fit_anchors",
            fix="give more scenes or ask for fewer anchors",
        )
    generator = torch.Generator().manual_seed(seed)
    centers = points[torch.randint(len(points), (1,), generator=generator)]
    while len(centers) < count:
        nearest = torch.cdist(points, centers).amin(dim=1).square()
        centers = torch.cat((centers, points[torch.multinomial(nearest, 1, generator=generator)]))
    for _ in range(iterations):
        owner = torch.cdist(points, centers).argmin(dim=1)
        sums = torch.zeros_like(centers).index_add_(0, owner, points)
        size = torch.bincount(owner, minlength=count)[:, None]
        moved = torch.where(size > 0, sums / size.clamp(min=1), centers)
        if torch.allclose(moved, centers):
            break
        centers = moved
    anchors = centers.float().unflatten(1, (-1, 2))
    return anchors[anchors[:, -1].norm(dim=-1).argsort()]
