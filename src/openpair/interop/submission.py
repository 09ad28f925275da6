"""Submission files of NAVSIM's leaderboards, readable in its environment (Python 3.9, numpy 1) without ours."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S
from openpair.errors import OpenPairError
from openpair.files import write_atomically

NAMES: Final = {
    "Trajectory": "navsim.common.dataclasses",
    "TrajectorySampling": "nuplan.planning.simulation.trajectory.trajectory_sampling",
}
"""Module that each class has in NAVSIM's environment."""


class Trajectory:
    """Stands in for NAVSIM's dataclass of this name while a file is written."""

    def __init__(self, poses: NDArray[np.float32], trajectory_sampling: TrajectorySampling) -> None:
        self.poses, self.trajectory_sampling = poses, trajectory_sampling


class TrajectorySampling:
    """Stands in for nuPlan's dataclass of this name while a file is written."""

    def __init__(self) -> None:
        self.num_poses, self.time_horizon, self.interval_length = NUM_POSES, 4.0, POSE_INTERVAL_S


@dataclass(frozen=True)
class Team:
    """Who submits, as the leaderboards ask for it.

    Attributes:
        team_name, authors, email, institution, country: free text.
    """

    team_name: str
    authors: str
    email: str
    institution: str
    country: str


def submission_bytes(team: Team, stages: Mapping[str, Mapping[str, NDArray[np.floating]]]) -> bytes:
    """The pickle of a submission.

    Args:
        team: who submits.
        stages: "predictions" (v1), or "first_stage_predictions" and "second_stage_predictions" (v2): token -> plan
            (8, 3), ego rear-axle frame.

    Raises OpenPairError for a stage without plans, and for plans of another shape or with numbers that are not finite.
    """
    sampling = TrajectorySampling()
    content: dict[str, Any] = {
        "team_name": team.team_name,
        "authors": team.authors,
        "email": team.email,
        "institution": team.institution,
        "country / region": team.country,
    }
    for stage, plans in stages.items():
        if not plans:
            raise OpenPairError("there are no plans", where=stage)
        for token, plan in plans.items():
            if plan.shape != (NUM_POSES, 3) or not np.isfinite(plan).all():
                raise OpenPairError(f"the plan of {token} is not 8 finite poses", where=stage)
        content[stage] = [{str(token): Trajectory(plan.astype(np.float32), sampling) for token, plan in plans.items()}]
    # Protocol 3 writes names in plain lines, so that they can be changed to those of NAVSIM's environment; protocol 4,
    # which the header then names, knows all its opcodes.
    data = pickle.dumps(content, protocol=3).replace(b"cnumpy._core.", b"cnumpy.core.")
    for name, module in NAMES.items():
        data = data.replace(f"c{__name__}\n{name}\n".encode(), f"c{module}\n{name}\n".encode())
    return b"\x80\x04" + data[2:]


def write_submission(path: Path, data: bytes) -> None:
    """Write it whole or not at all. Raises OpenPairError where it cannot be written."""
    write_atomically(path, data)
