"""Trained networks as planners: what ``openpair eval`` drives with.

A run folder holds ``il/policy``, ``rl/sampler`` and ``reward/reward_model`` (each .safetensors + .json). Which of them
a planner needs depends on its mode.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openpair.checkpoints import CheckpointInfo, from_plain, load_checkpoint, to_plain
from openpair.datasets.base import Dataset
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler
from openpair.selection.perturbations import control_candidates
from openpair.selection.planner import Choice, choose
from openpair.training.data import features_of

POLICY_FILE = Path("il") / "policy.safetensors"
SAMPLER_FILE = Path("rl") / "sampler.safetensors"
REWARD_MODEL_FILE = Path("reward") / "reward_model.safetensors"

NETWORK_FILES = tuple(
    file.with_suffix(suffix)
    for file in (POLICY_FILE, SAMPLER_FILE, REWARD_MODEL_FILE)
    for suffix in (".safetensors", ".json")
)
"""All files of a run folder that decide how it plans."""

FEATURES_NOTE = "features"
"""Note of a checkpoint that holds the configuration of its features."""

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
    """

    root: str
    source: str
    best_of: int
    about: str


MODES: dict[str, Mode] = {
    "il": Mode("policy", "none", 0, "the imitation policy alone"),
    "il_rwm": Mode("policy", "mild", 0, "15 mild neighbours of its plan, the reward model picks (the fair control)"),
    "il_rwm_wide": Mode("policy", "wide", 0, "the same with neighbours 1.8 times as far (the other fair control)"),
    "pair": Mode("policy", "tree", 0, "15 leaves of the tree around its plan, the reward model picks"),
    "human_pair": Mode("human", "tree", 0, "15 leaves around the human's plan, the reward model picks"),
    "pair_best_of_6": Mode("policy", "tree", BEST_OF, "best of 6 by the true score: not a plan a car could make"),
}
"""Planners of a complete run folder, by name."""


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks of a run folder; those that it lacks are None.

    Attributes:
        features: how they see a scene.
        policy, sampler, reward_model: in eval mode.
    """

    features: FeatureConfig
    policy: nn.Module | None
    sampler: nn.Module | None
    reward_model: nn.Module | None


def features_note(config: FeatureConfig) -> dict[str, str]:
    """The note that a checkpoint of a network with these inputs carries."""
    return {FEATURES_NOTE: json.dumps(to_plain(config))}


@lru_cache(maxsize=4)
def load_networks(folder: Path) -> TrainedNetworks:
    """Everything that a run folder, or a single policy's checkpoint file, holds.

    Raises OpenPairError where there is no network, or where two of them see scenes differently.
    """
    if folder.is_file():
        files = {"policy": folder.with_suffix(".safetensors")}
    else:
        named = {"policy": POLICY_FILE, "sampler": SAMPLER_FILE, "reward_model": REWARD_MODEL_FILE}
        files = {role: folder / file for role, file in named.items() if (folder / file).exists()}
    if not files:
        raise OpenPairError(
            "the folder holds no trained network",
            where=folder,
            fix=f"Give a folder that 'openpair train' or 'openpair demo' wrote, with {POLICY_FILE}",
        )
    loaded = {role: load_checkpoint(path, _KINDS[role]) for role, path in files.items()}
    configs = {role: _feature_config(info, files[role]) for role, (_, info) in loaded.items()}
    first = next(iter(configs.values()))
    for role, config in configs.items():
        if config != first:
            raise OpenPairError(
                f"the {role} sees scenes at other sizes than the other networks",
                where=files[role],
                fix="Networks that plan together must be trained with the same features",
            )
    networks = {role: network for role, (network, _) in loaded.items()}
    return TrainedNetworks(first, networks.get("policy"), networks.get("sampler"), networks.get("reward_model"))


_KINDS = {
    "policy": "transfuser|diffusiondrive",
    "sampler": "parallel_ir|kinematic",
    "reward_model": "rwm|pose_aware",
}


def _feature_config(info: CheckpointInfo, path: Path) -> FeatureConfig:
    if FEATURES_NOTE not in info.notes:
        raise OpenPairError(
            "the checkpoint does not say which features it was trained on", where=path, fix="Train it with openpair"
        )
    config = from_plain(FeatureConfig, json.loads(info.notes[FEATURES_NOTE]))
    assert isinstance(config, FeatureConfig)
    return config


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

    Attributes:
        name: in tables and files.
        uses_truth: True for best-of-N rows, which the runner scores and picks from.
    """

    def __init__(self, networks: TrainedNetworks, mode: Mode, seen: SeenScenes, name: str) -> None:
        self.name = name
        self.uses_truth = mode.best_of > 0
        self._networks, self._mode, self._seen = networks, mode, seen

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
        """Names of the candidates in their order: codes of the leaves, then "IL" for the root."""
        sampler = self._networks.sampler
        assert isinstance(sampler, Sampler)
        return (*sampler.config.codes, "IL")

    def choose(self, features: Mapping[str, Tensor], root: Tensor) -> Choice:
        """Candidates around roots (B, 8, 3), and the reward model's choice."""
        assert isinstance(self._networks.reward_model, RewardModel)
        return choose(features, root, self._candidates, self._networks.reward_model)

    def _root(self, features: Mapping[str, Tensor], scenes: Sequence[Scene]) -> Tensor:
        if self._mode.root == "human":
            return torch.from_numpy(np.stack([scene.human_trajectory() for scene in scenes])).float()
        assert isinstance(self._networks.policy, ImitationPolicy)
        return self._networks.policy.plan(**features).float()

    def _candidates(self, features: Mapping[str, Tensor], root: Tensor) -> Tensor:
        if self._mode.source == "mild":
            return control_candidates(root)
        if self._mode.source == "wide":
            return control_candidates(root, WIDE)
        sampler = self._networks.sampler
        assert isinstance(sampler, Sampler)
        return sampler.expand(sampler.encode(features), root).leaves[:, 0]


def load_pipeline(
    path: Path, *, mode: str | None, dataset: Dataset, name: str, seed: int = 0, seen: SeenScenes | None = None
) -> TrainedPlanner:
    """A planner from a run folder, or from the checkpoint file of a policy.

    Args:
        path: folder or file.
        mode: one of :data:`MODES`; None takes "pair" where all networks are there, else "il".
        dataset: gives the sensors of the scenes to come.
        name: in tables and files.
        seed: unused; all planners are deterministic.
        seen: features shared with other planners of the same run; a memory of its own otherwise.

    Raises OpenPairError for an unknown mode and for a folder that lacks a network the mode needs.
    """
    networks = load_networks(path.resolve())
    complete = None not in (networks.policy, networks.sampler, networks.reward_model)
    chosen = mode or ("pair" if complete else "il")
    if chosen not in MODES:
        raise OpenPairError(f"there is no mode '{chosen}'", where=path, fix=f"Give one of {', '.join(MODES)}")
    lacking = missing_networks(networks, MODES[chosen])
    if lacking:
        raise OpenPairError(
            f"mode '{chosen}' needs {' and '.join(lacking)}, which is not there", where=path, fix="Train it first"
        )
    return TrainedPlanner(networks, MODES[chosen], seen or _shared_memory(dataset, networks.features), name)


def missing_networks(networks: TrainedNetworks, mode: Mode) -> list[str]:
    """Which networks a mode needs and a run folder lacks."""
    needed = {
        "a policy": mode.root == "policy" and networks.policy is None,
        "a sampler": mode.source == "tree" and networks.sampler is None,
        "a reward model": mode.source != "none" and networks.reward_model is None,
    }
    return [what for what, lacks in needed.items() if lacks]


_memories: list[tuple[Dataset, FeatureConfig, SeenScenes]] = []


def _shared_memory(dataset: Dataset, config: FeatureConfig) -> SeenScenes:
    """One memory per dataset and sizes in this process."""
    for known, sizes, memory in _memories:
        if known is dataset and sizes == config:
            return memory
    _memories.append((dataset, config, SeenScenes(dataset, config)))
    del _memories[:-4]
    return _memories[-1][2]
