"""Anchors of DiffusionDrive: typical plans of the user's own training set, by k-means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openpair.archives import read_array
from openpair.datatypes.columns import NUM_POSES
from openpair.errors import OpenPairError
from openpair.files import whole_file


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


def write_anchors(path: Path, anchors: Tensor) -> None:
    """Write anchors (K, 8, 2) x, y [m] as a .npy file. Raises OpenPairError for another ending."""
    if path.suffix != ".npy":
        raise OpenPairError("a file of anchors ends in .npy", where=path)
    with whole_file(path) as part, part.open("wb") as stream:
        np.save(stream, anchors.numpy(), allow_pickle=False)


def read_anchors(path: Path) -> Tensor:
    """Anchors (K, 8, 2) x, y [m] of a .npy file. Raises OpenPairError for a file that holds none."""
    anchors = read_array(path, "the file of anchors", fix="openpair fit-anchors")
    if (
        anchors.dtype.kind != "f"
        or anchors.ndim != 3
        or anchors.shape[1:] != (NUM_POSES, 2)
        or not np.isfinite(anchors).all()
    ):
        raise OpenPairError(
            f"the file does not hold anchors (K, {NUM_POSES}, 2) of finite numbers",
            where=path,
            fix="openpair fit-anchors",
        )
    return torch.from_numpy(anchors.astype(np.float32))
