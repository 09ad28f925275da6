"""PLANS.npz: plans made elsewhere. ``token`` (N,) strings; ``poses`` (N, 8, 3), ego rear-axle frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from openpair.archives import read_arrays
from openpair.damage import reading
from openpair.datatypes.columns import NUM_POSES, PoseIndex
from openpair.errors import OpenPairError
from openpair.files import whole_file

PLANS_FOLDER = "plans"
"""Beside scores.csv: the plans that were scored, one file for each agent."""

MOST_TURN_RAD = 4 * np.pi
"""No drive of 4 s turns so far; headings beyond are degrees."""

_FORMAT = "The file needs the arrays 'token' (N,) of strings and 'poses' (N, 8, 3)"


@dataclass(frozen=True)
class PlansFile:
    """The plans of one file.

    Attributes:
        path: where they were read.
        tokens: (N,) scene tokens, each once.
        poses: (N, 8, 3) x [m], y [m], heading [rad], 0.5 s ... 4.0 s, ego rear-axle frame.
    """

    path: Path
    tokens: tuple[str, ...]
    poses: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {token: row for row, token in enumerate(self.tokens)})

    def plan_of(self, token: str) -> NDArray[np.float64]:
        """(8, 3) plan of a scene. Raises OpenPairError where there is none."""
        row: int | None = self._row.get(token)  # type: ignore[attr-defined]
        if row is None:
            raise OpenPairError(f"{self.path.name} holds no plan for this scene", where=token)
        return self.poses[row]

    def check_tokens_known(self, known: Iterable[str]) -> None:
        """Raises OpenPairError if a plan is for a scene that the dataset does not have."""
        unknown = sorted(set(self.tokens).difference(known))
        if unknown:
            shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
            raise OpenPairError(
                f"{len(unknown)} of {len(self.tokens)} plans are for tokens that the dataset does not have ({shown})",
                where=self.path,
                fix="Check --dataset, --root and --split, or remove these plans from the file",
            )


def read_plans(path: Path) -> PlansFile:
    """Read and check PLANS.npz.

    Raises OpenPairError for a file that cannot be read, missing arrays, wrong shapes or types, tokens that occur
    twice, and poses that are not finite.
    """
    if not path.is_file():
        raise OpenPairError("there is no such file of plans", where=path, fix="Check the path given to --agent")
    arrays = read_arrays(path, "the file of plans", needed=("token", "poses"), fix=_FORMAT)
    tokens, poses = arrays["token"], arrays["poses"]
    if tokens.ndim != 1 or tokens.dtype.kind not in "US":
        raise OpenPairError(f"'token' is {tokens.dtype} of shape {tokens.shape}", where=path, fix=_FORMAT)
    if poses.dtype.kind not in "fiu" or poses.shape != (len(tokens), NUM_POSES, len(PoseIndex)):
        raise OpenPairError(
            f"'poses' is {poses.dtype} of shape {poses.shape}, expected {(len(tokens), NUM_POSES, len(PoseIndex))}",
            where=path,
            fix=_FORMAT,
        )
    if not len(tokens):
        raise OpenPairError("the file holds no plans", where=path, fix=_FORMAT)
    with reading(path, "a token of the file of plans", fix=_FORMAT):
        names = tuple(t.decode() if isinstance(t, bytes) else str(t) for t in tokens.tolist())
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise OpenPairError(f"token {twice} occurs more than once", where=path, fix="Give one plan per scene")
    broken = ~np.isfinite(poses.astype(np.float64)).all(axis=(1, 2))
    if broken.any():
        raise OpenPairError(
            f"{int(broken.sum())} plans hold NaN or infinity, the first for token {names[int(broken.argmax())]}",
            where=path,
            fix="Mend or remove these plans",
        )
    turned = np.abs(poses[..., PoseIndex.HEADING]).max(axis=1) > MOST_TURN_RAD
    if turned.any():
        raise OpenPairError(
            f"{int(turned.sum())} plans turn by more than two full turns, the first for token "
            f"{names[int(turned.argmax())]}: headings in degrees where radians belong",
            where=path,
            fix="Convert the headings",
        )
    return PlansFile(path, names, poses.astype(np.float64))


def plans_path(folder: Path, agent: str) -> Path:
    """Where a result keeps the plans of an agent: a file of its own, whatever the agent is called."""
    return folder / PLANS_FOLDER / f"{quote(agent, safe=' +@=,')}.npz"


def write_plans(path: Path, tokens: list[str], poses: NDArray[np.floating]) -> None:
    """Write a file of plans, whole or not at all: (N, 8, 3) or (N, C, 8, 3) for N tokens."""
    with whole_file(path, size_bytes=poses.nbytes) as part, part.open("wb") as file:
        np.savez(file, token=np.array(tokens), poses=poses)
