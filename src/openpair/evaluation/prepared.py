"""Prepared scenes from a store instead of from maps: the same scores, sooner."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.preparation.store import MANIFEST, PreparedStore, StoreManifest


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

    def check(self, protocol: Protocol, source: str, tokens: Sequence[str]) -> None:
        """Refuse a store that cannot serve an evaluation of these scenes.

        Args:
            source: fingerprint of the data and of the choice of scenes, as they are now.
            tokens: the scenes.

        Raises OpenPairError for a store of another protocol, of the same scenes in another state of the data, or of
        none of these scenes.
        """
        store = self.open(protocol)
        held = {*store.tokens, *store.failures}
        if held == set(tokens) and store.manifest.source != source:
            raise OpenPairError(
                "logs or maps changed since the scenes were prepared",
                where=self.folder,
                fix="Run 'openpair cache' again",
            )
        if held.isdisjoint(tokens):
            raise OpenPairError(
                "the store holds none of these scenes", where=self.folder, fix="Check dataset, split and list of scenes"
            )

    def check_holds(self, protocol: Protocol, tokens: Collection[str]) -> None:
        """Raises OpenPairError for a store without some of these scenes, which others are compared with."""
        store = self.open(protocol)
        missing = set(tokens).difference(store.tokens, store.failures)
        if missing:
            raise OpenPairError(
                f"the store lacks {len(missing)} scenes half a second before those that are evaluated",
                where=self.folder,
                fix="Leave out --prepared or --predecessors",
            )

    def open(self, protocol: Protocol) -> PreparedStore:
        """The store, opened once in a process."""
        if self._store is None:
            self._store = PreparedStore(self.folder, protocol=protocol)
        return self._store

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder, "_store": None}


def find_store(folder: Path, protocol: Protocol, source: str) -> Path:
    """The store of prepared scenes that a path means: itself, or one in the folder that 'openpair cache' filled.

    Args:
        source: fingerprint of data and choice of scenes; decides between several stores of one protocol.

    Raises OpenPairError where there is none, or several and none of this source.
    """
    if (folder / MANIFEST).exists():
        return folder
    stores = sorted(path.parent for path in folder.glob(f"prepared-{protocol.value}-*/{MANIFEST}"))
    exact = [store for store in stores if StoreManifest.read(store).source == source]
    if not stores:
        raise OpenPairError(
            f"there is no store of scenes prepared for protocol {protocol.value}",
            where=folder,
            fix="Build it with 'openpair cache'",
        )
    if not exact and len(stores) > 1:
        raise OpenPairError(
            f"there are {len(stores)} stores for protocol {protocol.value}, none of exactly these scenes",
            where=folder,
            fix="Name one of them, or run 'openpair cache' with the same options",
        )
    return (exact or stores)[0]
