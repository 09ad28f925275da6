"""Planning scenes of a dataset: what eval, demo, submit, explain and NAVSIM's adapter drive with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.datasets.base import Dataset, predecessor_of
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.planning.changes import NO_CHANGES, PlannerChanges
from openpair.planning.inputs import features_of
from openpair.planning.memory import ego_motion, previous_plans
from openpair.planning.network_files import NetworkFiles, planner_of
from openpair.planning.networks import load_networks
from openpair.planning.planner import Choice, Planner, PlanningBatch, missing_networks

RootPlanner = Callable[[Sequence[Scene]], NDArray[np.floating]]
"""Scenes -> plans (B, 8, 3) of anything that plans; takes the place of the run folder's own policy."""

BATCHES_KEPT = 2
"""The scenes of now and those before them."""


class SeenScenes:
    """The scenes seen last, their features and what networks made of them: agents look at the same scenes in turn.

    Args:
        dataset: gives the sensors.
        config: sizes.
        capacity: scenes to remember.
    """

    def __init__(self, dataset: Dataset, config: FeatureConfig, capacity: int = 64) -> None:
        self._dataset, self._config, self._capacity = dataset, config, capacity
        self._features: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._earlier: OrderedDict[str, Scene | None] = OrderedDict()
        self._batches: OrderedDict[tuple[str, ...], PlanningBatch] = OrderedDict()

    def features(self, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Features of scenes by name (B, ...)."""
        for scene in scenes:
            if scene.token not in self._features:
                self._features[scene.token] = features_of(self._dataset, [scene], self._config)
            self._features.move_to_end(scene.token)
        rows = [self._features[scene.token] for scene in scenes]
        _forget(self._features, max(self._capacity, len(scenes)))
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def batch(self, scenes: Sequence[Scene]) -> PlanningBatch:
        """Scenes as a planner's batch; the same one where they were seen just before."""
        tokens = tuple(scene.token for scene in scenes)
        if tokens not in self._batches:
            self._batches[tokens] = PlanningBatch(self.features(scenes))
        self._batches.move_to_end(tokens)
        _forget(self._batches, BATCHES_KEPT)
        return self._batches[tokens]

    def earlier(self, scene: Scene) -> Scene | None:
        """The scene 0.5 s earlier; None where the dataset has none. Raises OpenPairError where it cannot be loaded."""
        if scene.token not in self._earlier:
            token = predecessor_of(self._dataset, scene.token)
            self._earlier[scene.token] = None if token is None else self._load_earlier(token)
        _forget(self._earlier, self._capacity)
        return self._earlier[scene.token]

    def _load_earlier(self, token: str) -> Scene:
        try:
            return self._dataset.load_scene(token)
        except OpenPairError as error:
            raise OpenPairError(
                f"the preceding scene, which the previous plan is made for, cannot be loaded: {error}",
                where=token,
                fix="--planner.previous-plan-bonus none plans without it",
            ) from error


def _forget(kept: OrderedDict[Any, Any], capacity: int) -> None:
    while len(kept) > capacity:
        kept.popitem(last=False)


class ScenePlanner:
    """A planner as an agent for evaluation.

    Args:
        planner: plans.
        seen: gives the features of scenes, and the scenes before them.
        name: in tables and files.
        root: plans around which candidates are made, in place of the policy's.

    Attributes:
        name: in tables and files.
        uses_truth: True for best-of-N rows, which the runner scores and picks from.
    """

    def __init__(self, planner: Planner, seen: SeenScenes, name: str, *, root: RootPlanner | None = None) -> None:
        self.name = name
        self.uses_truth = planner.config.best_of > 0
        self.planner, self._seen, self._given_root = planner, seen, root

    def plan(self, scene: Scene) -> NDArray[np.float64]:
        """(8, 3) plan of one scene, ego rear-axle frame."""
        return self.plan_batch([scene])[0]

    def plan_batch(self, scenes: Sequence[Scene]) -> NDArray[np.float64]:
        """(B, 8, 3) plans."""
        return self.choose(scenes).plan.double().numpy()

    def plan_without_memory(self, scenes: Sequence[Scene]) -> NDArray[np.float64]:
        """(B, 8, 3) plans as if nothing had been planned before: of scenes that others are only compared with."""
        return self._choose(scenes, None).plan.double().numpy()

    def plan_candidates(self, scene: Scene) -> NDArray[np.float64]:
        """(N, 8, 3): the N candidates that the reward model likes best, for the true score to pick from."""
        return self.choose([scene]).favourites(self.planner.config.best_of)[0].double().numpy()

    def choose(self, scenes: Sequence[Scene]) -> Choice:
        """All candidates of B scenes with what the reward model thinks of them; with memory where it is on."""
        previous = self._previous(scenes) if self.planner.config.remembers else None
        return self._choose(scenes, previous)

    def _choose(self, scenes: Sequence[Scene], previous: Tensor | None) -> Choice:
        batch = self._seen.batch(scenes)
        if self._given_root is not None:
            root = torch.from_numpy(np.asarray(self._given_root(scenes)))
            return self.planner.choose(batch, root=root, previous=previous)
        if self.planner.config.root == "human" and batch.human is None:
            batch.human = torch.from_numpy(np.stack([scene.human_trajectory() for scene in scenes])).float()
        return self.planner.choose(batch, previous=previous)

    def _previous(self, scenes: Sequence[Scene]) -> Tensor | None:
        """(B, 8, 3) plans of the scenes before, made without memory and driven on; None where no scene has one."""
        earlier: dict[int, Scene] = {}
        moved: list[NDArray[np.float32]] = []
        for row, scene in enumerate(scenes):
            before = self._seen.earlier(scene)
            motion = None if before is None else ego_motion(before, scene)
            if before is not None and motion is not None:
                earlier[row] = before
                moved.append(motion)
        if not earlier:
            return None
        plans = self._choose(list(earlier.values()), None).plan
        return previous_plans(len(scenes), list(earlier), plans, torch.from_numpy(np.stack(moved)))


def load_planner(
    source: Path | NetworkFiles,
    *,
    mode: str | None = None,
    changes: PlannerChanges = NO_CHANGES,
    dataset: Dataset,
    name: str,
    seed: int = 0,
    seen: SeenScenes | None = None,
    root: RootPlanner | None = None,
) -> ScenePlanner:
    """A planner from a run folder, from the checkpoint file of a policy, or from files named one by one.

    Args:
        source: folder, file or files.
        mode: one of :data:`openpair.planning.config.MODES`; None: see :func:`planner_of`.
        changes: to the settings that are stored beside the networks.
        dataset: gives the sensors of the scenes to come.
        name: in tables and files.
        seed: of policies that draw at random.
        seen: features shared with other planners of the same run; a memory of its own otherwise.
        root: plans that take the place of the policy's.

    Raises OpenPairError for an unknown mode and for a folder that lacks a network the mode needs.
    """
    files = source if isinstance(source, NetworkFiles) else NetworkFiles.find(source)
    where = source if isinstance(source, Path) else ", ".join(map(str, files.by_part().values()))
    chosen, config = planner_of(files, mode, changes, given_root=root is not None, where=where)
    networks = load_networks(replace(files, planner=None))
    lacking = missing_networks(networks, config, needs_policy=root is None)
    if lacking:
        fix = "Train it first" + (", or plan without it: --planner.correction 0" if "a corrector" in lacking else "")
        raise OpenPairError(f"mode '{chosen}' needs {' and '.join(lacking)}, which is not there", where=where, fix=fix)
    planner = Planner(networks, config, seed=seed, given_root=root is not None)
    return ScenePlanner(planner, seen or seen_scenes(dataset, networks.features), name, root=root)


_seen: list[tuple[Dataset, FeatureConfig, SeenScenes]] = []


def seen_scenes(dataset: Dataset, config: FeatureConfig) -> SeenScenes:
    """The scenes seen last, one memory per dataset and sizes in this process."""
    for known, sizes, memory in _seen:
        if known is dataset and sizes == config:
            return memory
    _seen.append((dataset, config, SeenScenes(dataset, config)))
    del _seen[:-4]
    return _seen[-1][2]
