"""Plans of one agent, read from its file: one plan a scene, or several that the true score picks from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openpair.archives import read_arrays
from openpair.checksums import hash_files
from openpair.datatypes.columns import NUM_POSES, PoseIndex
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.reproduction.agents import name_of_file

POSE_SHAPE = (NUM_POSES, len(PoseIndex))
_FORMAT = "The file needs 'token' (N,) of strings and 'poses' (N, 8, 3), or (N, C, 8, 3) to pick the best of C from"


@dataclass(frozen=True)
class AgentPlans:
    """The plans of one agent.

    Attributes:
        name: ``<base>.<agent>``.
        sha256: hash of its file.
        uses_truth: True where a scene has several plans, of which the true score picks one.
        rows: scene token -> row of ``poses``.
        poses: (N, C, 8, 3) x [m], y [m], heading [rad], 0.5 s ... 4.0 s, ego rear-axle frame; C = 1 without the truth.
    """

    name: str
    sha256: str
    uses_truth: bool
    rows: dict[str, int]
    poses: NDArray[np.float64]

    def of(self, scene: ScoringScene) -> NDArray[np.float64] | None:
        """(C, 8, 3) plans of a scene; None where there are none."""
        return self.of_token(scene.token)

    def of_token(self, token: str) -> NDArray[np.float64] | None:
        """The same, by token."""
        row = self.rows.get(token)
        return None if row is None else self.poses[row]


def read_agent_plans(path: Path) -> AgentPlans:
    """Read and check a file of plans.

    Raises OpenPairError for a file that cannot be read, missing arrays, wrong shapes, tokens that occur twice, and
    poses that are not finite.
    """
    name = name_of_file(path)
    arrays = read_arrays(path, "the file of plans", needed=("token", "poses"), fix=_FORMAT)
    tokens, poses = arrays["token"], arrays["poses"]
    if tokens.ndim != 1 or tokens.dtype.kind != "U" or poses.dtype.kind != "f":
        raise OpenPairError("'token' or 'poses' are of another kind", where=path, fix=_FORMAT)
    if poses.ndim not in (3, 4) or poses.shape[0] != len(tokens) or poses.shape[-2:] != POSE_SHAPE or 0 in poses.shape:
        raise OpenPairError(f"there are {len(tokens)} tokens and poses of shape {poses.shape}", where=path, fix=_FORMAT)
    rows = {token: row for row, token in enumerate(tokens.tolist())}
    if len(rows) != len(tokens):
        raise OpenPairError("a token occurs more than once", where=path, fix="Give one row per scene")
    if not np.isfinite(poses).all():
        raise OpenPairError(
            "a pose is NaN or infinite", where=path, fix="Leave out the scenes that could not be planned"
        )
    several = poses.ndim == 4
    return AgentPlans(
        name,
        hash_files([path]),
        several,
        rows,
        np.asarray(poses if several else poses[:, None], np.float64),
    )


def plan_paths(folder: Path) -> list[Path]:
    """Files of plans in a folder, by name. Raises OpenPairError where there is none."""
    paths = sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))
    if not paths:
        raise OpenPairError("there are no plans here", where=folder, fix="Plan first: one <base>.<agent>.npz per agent")
    return paths
