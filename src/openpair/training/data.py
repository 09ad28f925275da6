"""From a dataset to what training reads: stores of features and of prepared scenes, built once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datasets.registry import dataset_options, open_dataset
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.features import cache as feature_cache
from openpair.features.config import FeatureConfig
from openpair.planning.inputs import see
from openpair.pools import OnProgress, Pool, silent
from openpair.preparation.store import PreparedStore
from openpair.preparation.store_build import build_store as build_prepared_store
from openpair.rewards.exact import ExactReward
from openpair.sensors import RENDERER_VERSION
from openpair.training.batch import SceneBatch


@dataclass(frozen=True)
class DataSpec:
    """A dataset by name, so that worker processes can open it themselves.

    Attributes:
        name: as it is registered (:mod:`openpair.datasets.registry`).
        root: its folder, None for the embedded world.
        options: further options of :func:`~openpair.datasets.registry.open_dataset` (``split``, ``max_scenes`` ...).
    """

    name: str = "world"
    root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def open(self) -> Dataset:
        """Open it. Raises OpenPairError for a folder that is not such a dataset."""
        return open_dataset(self.name, self.root, **self.options)


@dataclass(frozen=True)
class EarlierScenes:
    """The scenes half a second before those of a split: an :class:`~openpair.training.batch.EarlierSource`.

    Attributes:
        features: features and targets.
        tokens: (M,) of the earlier scene of each scene; of the scene itself where there is none.
        known: (M,) bool, whether there is one.
    """

    features: feature_cache.FeatureStore
    tokens: tuple[str, ...]
    known: NDArray[np.bool_]
    _rows: NDArray[np.int64]

    def batch(self, indices: NDArray[np.int64]) -> tuple[SceneBatch, NDArray[np.bool_]]:
        """Scenes before those at these positions, and which of them are there; the others stand in for themselves."""
        tokens = tuple(self.tokens[i] for i in indices)
        return _as_batch(tokens, self.features, self._rows[indices]), self.known[indices]


@dataclass(frozen=True)
class TrainingData:
    """Scenes of one split, ready to train on: a :class:`~openpair.training.batch.SceneSource` with exact rewards.

    Attributes:
        features: features and targets.
        prepared: the same scenes, ready to be scored.
        tokens: scenes that are in both stores.
        earlier: the scenes half a second before them, where they were asked for.
    """

    features: feature_cache.FeatureStore
    prepared: PreparedStore
    tokens: tuple[str, ...]
    _rows: NDArray[np.int64]
    earlier: EarlierScenes | None = None

    def batch(self, indices: NDArray[np.int64]) -> SceneBatch:
        """Scenes at these positions of :attr:`tokens`."""
        return _as_batch(tuple(self.tokens[i] for i in indices), self.features, self._rows[indices])

    def human_plans(self) -> torch.Tensor:
        """(M, 8, 3) what the human drove in every scene."""
        return torch.from_numpy(np.ascontiguousarray(self.features.column("trajectory", self._rows)))

    def reward(self, *, threads: int = 1) -> ExactReward:
        """Exact scores of candidates of these scenes, so many scenes at the same time."""
        return ExactReward(self.prepared.load, threads=threads)

    def failures(self) -> dict[str, str]:
        """Scenes that are left out, with the reason."""
        return {**self.prepared.failures, **self.features.failures}

    def fingerprint(self) -> str:
        """Changes with the scenes, the features' configuration or the protocol."""
        config, manifest = self.features.config.fingerprint(), self.prepared.manifest
        return hashlib.sha256(
            json.dumps([config, manifest.source, manifest.protocol, *self.tokens]).encode()
        ).hexdigest()[:16]


@dataclass(frozen=True)
class StoreLocation:
    """Where the stores of one split lie, so that a worker process can open them.

    Attributes:
        features: folder of the feature store.
        prepared: folder of the store of prepared scenes.
        predecessors: (token, token half a second before or None) of the scenes to learn from, where the stores hold
            those before them as well; None where every scene is one to learn from.
    """

    features: Path
    prepared: Path
    predecessors: tuple[tuple[str, str | None], ...] | None = None

    def open(self) -> TrainingData:
        """Open both stores. Raises OpenPairError where one is missing or unfinished, or nothing is in both."""
        features = feature_cache.FeatureStore(self.features)
        prepared = PreparedStore(self.prepared)
        row_of = {token: i for i, token in enumerate(features.tokens) if token in prepared}
        if self.predecessors is None:
            tokens, earlier = tuple(row_of), None
        else:
            before = {token: previous for token, previous in self.predecessors if token in row_of}
            tokens, earlier = tuple(before), _earlier_scenes(features, row_of, before)
        if not tokens:
            raise OpenPairError("no scene is both prepared and seen", where=self.prepared, fix="Build the stores again")
        rows = np.array([row_of[token] for token in tokens], np.int64)
        return TrainingData(features, prepared, tokens, rows, earlier)


def _earlier_scenes(
    features: feature_cache.FeatureStore, row_of: Mapping[str, int], before: Mapping[str, str | None]
) -> EarlierScenes:
    """The predecessors of scenes as a source, from the row of each token that can be used."""
    known = np.array([previous in row_of for previous in before.values()], bool)
    tokens = tuple(
        previous if previous is not None and previous in row_of else token for token, previous in before.items()
    )
    return EarlierScenes(features, tokens, known, np.array([row_of[token] for token in tokens], np.int64))


def _as_batch(tokens: tuple[str, ...], store: feature_cache.FeatureStore, rows: NDArray[np.int64]) -> SceneBatch:
    """Rows of a store as a batch."""
    arrays = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in store.batch(rows).items()}
    inputs = {name: arrays.pop(name) for name in store.config.inputs}
    return SceneBatch(tokens, inputs, arrays)


def with_predecessors(spec: DataSpec) -> DataSpec:
    """The same scenes and those half a second before them. Raises OpenPairError for data that cannot add them."""
    if "predecessors" not in dataset_options(spec.name):
        raise OpenPairError(
            f"scenes of '{spec.name}' come without those half a second before them",
            where="extended_comfort_reward",
            fix="Use the embedded world, or leave extended comfort out of the reward",
        )
    return replace(spec, options={**spec.options, "predecessors": True})


def locate_predecessors(spec: DataSpec, location: StoreLocation) -> StoreLocation:
    """Stores of ``with_predecessors(spec)`` with what belongs before what."""
    dataset: Any = spec.open()  # with the option of that name comes the method
    return replace(location, predecessors=tuple(dataset.predecessors().items()))


def build_training_data(
    spec: DataSpec,
    folder: Path,
    config: FeatureConfig,
    protocol: Protocol,
    *,
    workers: int,
    on_progress: OnProgress = silent,
    pool: Pool | None = None,
) -> StoreLocation:
    """Build (or finish, or just find) the stores of a split below ``folder``.

    Args:
        spec: which scenes.
        folder: the stores' parent; one folder per choice of data, configuration and protocol.
        config: sizes of features and targets.
        protocol: which score the rewards give.
        workers: processes; the result does not depend on their number.
        on_progress: told how far each store is.
        pool: a cluster in place of processes of this machine.

    Raises OpenPairError where the dataset cannot be opened.
    """
    prepared = build_prepared_scenes(spec, folder, protocol, workers=workers, on_progress=on_progress, pool=pool)
    features = build_features_of(spec, folder, config, workers=workers, on_progress=on_progress, pool=pool)
    return StoreLocation(features, prepared)


def build_prepared_scenes(
    spec: DataSpec,
    folder: Path,
    protocol: Protocol,
    *,
    workers: int,
    on_progress: OnProgress = silent,
    pool: Pool | None = None,
) -> Path:
    """The first half of :func:`build_training_data`: the store of prepared scenes. Returns its folder."""
    tokens, source, _ = _identity(spec.open())
    prepared_folder = folder / f"prepared-{protocol.value}-{source[:16]}"
    build_prepared_store(
        prepared_folder,
        spec.open,
        protocol,
        source=source,
        tokens=tokens,
        workers=workers,
        on_progress=on_progress,
        pool=pool,
    )
    return prepared_folder


def build_features_of(
    spec: DataSpec,
    folder: Path,
    config: FeatureConfig,
    *,
    workers: int,
    on_progress: OnProgress = silent,
    pool: Pool | None = None,
) -> Path:
    """The second half of :func:`build_training_data`: the store of features. Returns its folder."""
    tokens, _, seen = _identity(spec.open())
    feature_cache.build_store(
        folder / "features",
        tokens=tokens,
        open_source=partial(_open_source, spec, config),
        data_fingerprint=seen,
        config=config,
        workers=workers,
        on_progress=on_progress,
        pool=pool,
    )
    return folder / "features" / feature_cache.store_key(config, seen, tokens)


def source_of(dataset: Dataset) -> str:
    """What a store of prepared scenes of this dataset names as its source: data and choice of scenes."""
    return _identity(dataset)[1]


def _identity(dataset: Dataset) -> tuple[list[str], str, str]:
    """Tokens; fingerprint of data and choice; the same with what makes the sensors."""
    tokens = [key.token for key in dataset.keys()]
    source = hashlib.sha256(json.dumps([dataset.fingerprint(), tokens]).encode()).hexdigest()
    # Other pixels are other features: ray-cast sensors carry their renderer's version.
    return tokens, source, f"{source}/{RENDERER_VERSION}" if dataset.ray_cast else source


def _open_source(spec: DataSpec, config: FeatureConfig) -> feature_cache.LoadScene:
    dataset = spec.open()

    def load(token: str) -> tuple[Scene, SensorFrame]:
        scene = dataset.load_scene(token)
        return scene, see(dataset, scene, config)

    return load
