"""Prepared scenes from a store instead of from maps: the same scores, sooner."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.preparation.store import PreparedStore


@dataclass
class PrepareFromStore:
    """Takes the place of :func:`openpair.preparation.prepare.prepare_scene` in a task; travels to workers unopened.

    Attributes:
        folder: a store made by :func:`openpair.preparation.store_build.build_store`.
    """

    folder: Path
    _store: PreparedStore | None = field(default=None, repr=False, compare=False)

    def __call__(self, scene: Scene, protocol: Protocol) -> ScoringScene:
        """The prepared scene of a token.

        Raises OpenPairError for a folder that is no store of this protocol, a scene it does not hold, and a scene that
        was prepared from another state of the data.
        """
        prepared = self.open(protocol).load(scene.token)
        ego = scene.current.ego
        if prepared.time_us != ego.timestamp_us or not np.array_equal(prepared.ego_state, ego.state_vector()):
            raise OpenPairError(
                f"scene {scene.token} was prepared from other data than those given",
                where=self.folder,
                fix="Build the store again from this dataset",
            )
        return prepared

    def open(self, protocol: Protocol) -> PreparedStore:
        """The store, opened once in a process."""
        if self._store is None:
            self._store = PreparedStore(self.folder, protocol=protocol)
        return self._store

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder, "_store": None}
