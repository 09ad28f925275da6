"""Trained networks as planners: what ``openpair eval`` drives with. Which of them is needed depends on the mode."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.datasets.base import Dataset
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.planning.inputs import features_of
from openpair.planning.networks import NetworkFiles, TrainedNetworks, load_networks
from openpair.planning.planner import Choice, choose
from openpair.planning.search import SearchConfig
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler
from openpair.samplers.perturbations import control_candidates

RootPlanner = Callable[[Sequence[Scene]], NDArray[np.floating]]
"""Scenes -> plans (B, 8, 3) of anything that plans; takes the place of the run folder's own policy."""

WIDE = 1.8
BEST_OF = 6


@dataclass(frozen=True)
class Mode:
    """A way to plan with a run folder.

    Attributes:
        root: "policy" or "human": whose plan is the root.
        source: "none", "mild", "wide" or "tree": where candidates come from.
        best_of: 0, or how many of the reward model's favourites the true score may pick from.
        about: one line for tables.
        search: look around the reward model's favourites for better ones, or None.
    """

    root: str
    source: str
    best_of: int
    about: str
    search: SearchConfig | None = None


MODES: dict[str, Mode] = {
    "il": Mode("policy", "none", 0, "the imitation policy alone"),
    "il_rwm": Mode("policy", "mild", 0, "15 mild neighbours of its plan, weighed likewise (the fair control)"),
    "il_rwm_wide": Mode("policy", "wide", 0, "the same with neighbours 1.8 times as far (the other fair control)"),
    "pair": Mode("policy", "tree", 0, "15 leaves of the tree around its plan, weighed by the reward model"),
    "il_rwm_search": Mode("policy", "mild", 0, "il_rwm, then a search around the favourites", SearchConfig()),
    "pair_search": Mode("policy", "tree", 0, "pair, then the same search around the favourites", SearchConfig()),
    "human_pair": Mode("human", "tree", 0, "15 leaves around the human's plan, weighed by the reward model"),
    "pair_best_of_6": Mode("policy", "tree", BEST_OF, "best of 6 by the true score: not a plan a car could make"),
}
"""Planners of a complete run folder, by name."""


class SeenScenes:
    """Features of the scenes seen last: planners of the same run look at the same scenes one after the other.

    Args:
        dataset: gives the sensors.
        config: sizes.
        capacity: scenes to remember.
    """

    def __init__(self, dataset: Dataset, config: FeatureConfig, capacity: int = 64) -> None:
        self._dataset, self._config, self._capacity = dataset, config, capacity
        self._seen: OrderedDict[str, dict[str, Tensor]] = OrderedDict()

    def features(self, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Features of scenes by name (B, ...)."""
        for scene in scenes:
            if scene.token not in self._seen:
                self._seen[scene.token] = features_of(self._dataset, [scene], self._config)
            self._seen.move_to_end(scene.token)
        rows = [self._seen[scene.token] for scene in scenes]
        while len(self._seen) > max(self._capacity, len(scenes)):
            self._seen.popitem(last=False)
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


class TrainedPlanner:
    """A mode of a run folder as an agent for evaluation.

    Args:
        networks: those that the mode needs.
        mode: how to plan.
        seen: gives the features of scenes.
        name: in tables and files.
        seed: of policies that draw at random; what they draw for a scene depends on it and on the scene alone.
        root: plans around which candidates are made, in place of the policy's.

    Attributes:
        name: in tables and files.
        uses_truth: True for best-of-N rows, which the runner scores and picks from.
    """

    def __init__(
        self,
        networks: TrainedNetworks,
        mode: Mode,
        seen: SeenScenes,
        name: str,
        *,
        seed: int = 0,
        root: RootPlanner | None = None,
    ) -> None:
        self.name = name
        self.uses_truth = mode.best_of > 0
        self._networks, self._mode, self._seen = networks, mode, seen
        self._seed, self._given_root = seed, root

    def plan(self, scene: Scene) -> NDArray[np.float64]:
        """(8, 3) plan of one scene, ego rear-axle frame."""
        return self.plan_batch([scene])[0]

    @torch.no_grad()
    def plan_batch(self, scenes: Sequence[Scene]) -> NDArray[np.float64]:
        """(B, 8, 3) plans."""
        features = self._seen.features(scenes)
        root = self._root(features, scenes)
        plan = root if self._mode.source == "none" else self.choose(features, root).plan
        return plan.double().numpy()

    @torch.no_grad()
    def plan_candidates(self, scene: Scene) -> NDArray[np.float64]:
        """(N, 8, 3): the N candidates that the reward model likes best, for the true score to pick from."""
        features = self._seen.features([scene])
        choice = self.choose(features, self._root(features, [scene]))
        favourites = choice.predicted[0].topk(self._mode.best_of).indices
        return choice.candidates[0, favourites].double().numpy()

    @torch.no_grad()
    def explain(self, scene: Scene) -> Choice:
        """All candidates of one scene with what the reward model thinks of them (batch of 1)."""
        features = self._seen.features([scene])
        return self.choose(features, self._root(features, [scene]))

    def candidate_names(self) -> tuple[str, ...]:
        """Names of the candidates in their order: codes of the leaves, those a search found, then "IL" for the root."""
        sampler = self._networks.sampler
        assert isinstance(sampler, Sampler)
        search, codes = self._mode.search, sampler.config.codes
        found = 0 if search is None else search.rounds * search.neighbours * min(search.elites, len(codes) + 1)
        return (*codes, *(f"found {i + 1}" for i in range(found)), "IL")

    def choose(self, features: Mapping[str, Tensor], root: Tensor) -> Choice:
        """Candidates around roots (B, 8, 3), and the reward model's choice."""
        assert isinstance(self._networks.reward_model, RewardModel)
        return choose(features, root, self._candidates, self._networks.reward_model, self._mode.search)

    def _root(self, features: Mapping[str, Tensor], scenes: Sequence[Scene]) -> Tensor:
        if self._given_root is not None:
            return torch.from_numpy(np.asarray(self._given_root(scenes))).float()
        if self._mode.root == "human":
            return torch.from_numpy(np.stack([scene.human_trajectory() for scene in scenes])).float()
        policy = self._networks.policy
        assert isinstance(policy, ImitationPolicy)
        drawn = [policy.draw(1, torch.Generator().manual_seed(self._scene_seed(scene))) for scene in scenes]
        random = {name: torch.cat([row[name] for row in drawn]) for name in drawn[0]}
        return policy.plan(**features, **random).float()

    def _scene_seed(self, scene: Scene) -> int:
        return zlib.crc32(f"{self._seed}/{scene.token}".encode())

    def _candidates(self, features: Mapping[str, Tensor], root: Tensor) -> Tensor:
        if self._mode.source == "mild":
            return control_candidates(root)
        if self._mode.source == "wide":
            return control_candidates(root, WIDE)
        sampler = self._networks.sampler
        assert isinstance(sampler, Sampler)
        return sampler.expand(sampler.encode(features, perceive=False), root).leaves[:, 0]


def load_pipeline(
    source: Path | NetworkFiles,
    *,
    mode: str | None,
    dataset: Dataset,
    name: str,
    seed: int = 0,
    seen: SeenScenes | None = None,
    root: RootPlanner | None = None,
) -> TrainedPlanner:
    """A planner from a run folder, from the checkpoint file of a policy, or from files named one by one.

    Args:
        source: folder, file or files.
        mode: one of :data:`MODES`; None takes "pair" where all networks are there, else "il".
        dataset: gives the sensors of the scenes to come.
        name: in tables and files.
        seed: of policies that draw at random.
        seen: features shared with other planners of the same run; a memory of its own otherwise.
        root: plans that take the place of the policy's.

    Raises OpenPairError for an unknown mode and for a folder that lacks a network the mode needs.
    """
    files = source if isinstance(source, NetworkFiles) else NetworkFiles.find(source)
    where = source if isinstance(source, Path) else ", ".join(map(str, files.by_part().values()))
    networks = load_networks(files)
    complete = None not in (root or networks.policy, networks.sampler, networks.reward_model)
    chosen = mode or ("pair" if complete or root is not None else "il")
    if chosen not in MODES:
        raise OpenPairError(f"there is no mode '{chosen}'", where=where, fix=f"Give one of {', '.join(MODES)}")
    if root is not None and MODES[chosen].root != "policy":
        raise OpenPairError(f"mode '{chosen}' has a root of its own", where=where, fix="Give 'pair' or no mode")
    lacking = missing_networks(networks, MODES[chosen], needs_policy=root is None)
    if lacking:
        raise OpenPairError(
            f"mode '{chosen}' needs {' and '.join(lacking)}, which is not there", where=where, fix="Train it first"
        )
    memory = seen or shared_memory(dataset, networks.features)
    return TrainedPlanner(networks, MODES[chosen], memory, name, seed=seed, root=root)


def missing_networks(networks: TrainedNetworks, mode: Mode, *, needs_policy: bool = True) -> list[str]:
    """Which networks a mode needs and a run folder lacks."""
    needed = {
        "a policy": needs_policy and mode.root == "policy" and networks.policy is None,
        "a sampler": mode.source == "tree" and networks.sampler is None,
        "a reward model": mode.source != "none" and networks.reward_model is None,
    }
    return [what for what, lacks in needed.items() if lacks]


_memories: list[tuple[Dataset, FeatureConfig, SeenScenes]] = []


def shared_memory(dataset: Dataset, config: FeatureConfig) -> SeenScenes:
    """One memory per dataset and sizes in this process."""
    for known, sizes, memory in _memories:
        if known is dataset and sizes == config:
            return memory
    _memories.append((dataset, config, SeenScenes(dataset, config)))
    del _memories[:-4]
    return _memories[-1][2]
