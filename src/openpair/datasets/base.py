"""What every dataset offers: tokens, scenes, sensors. Readers alone know formats and paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from openpair.datatypes.scene import Scene, SensorFrame


@dataclass(frozen=True)
class SceneKey:
    """Names one scene of a dataset.

    Attributes:
        log_name: the log it is cut from; bootstrap intervals resample logs.
        token: token of its current frame.
        is_whole_log: the log cannot be read, and nobody knows its tokens: the key stands for all its scenes, ``token``
            is the name of the file, and loading it raises the reason.
    """

    log_name: str
    token: str
    is_whole_log: bool = False


@runtime_checkable
class Dataset(Protocol):
    """A set of scenes. Implementations are cheap to open: they read a log or a map when a scene asks for it."""

    name: str
    ray_cast: bool
    """True where sensors are ray-cast on demand, so that any size of image costs only what it shows."""

    def keys(self) -> Sequence[SceneKey]:
        """All scenes in a fixed order (by log, then by time)."""
        ...

    def fingerprint(self) -> str:
        """Names the data: changes whenever a log, a map or the choice of scenes does."""
        ...

    def load_scene(self, token: str) -> Scene:
        """The scene of a token, or of a :meth:`predecessor`. Raises OpenPairError for an unknown token or a broken
        file."""
        ...

    def predecessor(self, token: str) -> str | None:
        """Token of the scene 0.5 s earlier in the same log, which need not be among :meth:`keys`; None where no scene
        can be cut there. A planner with memory makes its previous plan there."""
        ...

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        """Front cameras (cam_l0, cam_f0, cam_r0) and LiDAR of the scene's current frame.

        Args:
            size: (width, height) [px] of each image; recorded images come at their own size, ray-cast ones at this.
            depth: add depth images where the source can give them.
            cameras, lidar: what to read; what is left out is not opened, and None in the frame.
        """
        ...


def predecessor_of(dataset: Dataset, token: str) -> str | None:
    """Token of the scene 0.5 s earlier; None where there is none, or where a foreign dataset does not know any."""
    known = getattr(dataset, "predecessor", None)
    return None if known is None else known(token)


def data_fingerprint(paths: Iterable[Path], tokens: Iterable[str]) -> str:
    """Fingerprint of files by name, size and modification time, and of the scenes that are used of them."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    digest.update("\n".join(tokens).encode())
    return digest.hexdigest()
