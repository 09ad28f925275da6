"""The networks of a planner and the files they come from: a run folder, or files named one by one.

A run folder holds ``il/policy``, ``rl/sampler`` and ``reward/reward_model`` (each .safetensors + .json), and
``planner.json``, which says how they plan. Files named one by one may be ours, or released ones as downloaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import nn

from openpair.checkpoints import (
    CheckpointInfo,
    from_plain,
    load_checkpoint,
    load_released,
    read_state,
    recognise,
    to_plain,
)
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.kinds import PARTS
from openpair.nn.inference import InferenceMode, prepared_for_inference
from openpair.planning.planner_file import PLANNER_FILE, StoredPlanner
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler

POLICY_FILE = Path("il") / "policy.safetensors"
SAMPLER_FILE = Path("rl") / "sampler.safetensors"
REWARD_MODEL_FILE = Path("reward") / "reward_model.safetensors"

FEATURES_NOTE = "features"
"""Note of a checkpoint that holds the configuration of its features."""


@dataclass(frozen=True)
class NetworkFiles:
    """Where the networks of a planner lie; None for those that it does without.

    Attributes:
        policy, sampler, reward_model: checkpoint files, ours or released.
        mode: how networks of the published size are run.
        planner: file of the planner's settings.
    """

    policy: Path | None = None
    sampler: Path | None = None
    reward_model: Path | None = None
    mode: InferenceMode = "optimised"
    planner: Path | None = None

    @staticmethod
    def find(path: Path) -> NetworkFiles:
        """Those of a run folder, or a single policy's file. Raises OpenPairError for a folder without any."""
        path = path.resolve()
        if path.is_file():
            return NetworkFiles(policy=path)
        named = (path / file for file in (POLICY_FILE, SAMPLER_FILE, REWARD_MODEL_FILE, PLANNER_FILE))
        policy, sampler, reward_model, planner = (file if file.exists() else None for file in named)
        found = NetworkFiles(policy, sampler, reward_model, planner=planner)
        if not found.by_part():
            raise OpenPairError(
                "the folder holds no trained network",
                where=path,
                fix=f"Give a folder that 'openpair train' or 'openpair demo' wrote, with {POLICY_FILE}",
            )
        return found

    def by_part(self) -> dict[str, Path]:
        """Part ("policy" ...) -> file, for those that there are."""
        return {part: file for part in PARTS if (file := getattr(self, part)) is not None}

    def all_files(self) -> list[Path]:
        """Every file that decides how the planner plans: each checkpoint, its JSON, the planner's settings."""
        pairs = [(file, file.with_suffix(".json")) for file in self.by_part().values()]
        files = [file for pair in pairs for file in dict.fromkeys(pair) if file.exists()]
        return files if self.planner is None else [*files, self.planner]

    def stored_planner(self) -> StoredPlanner:
        """The planner's settings; defaults where no file names any. Raises OpenPairError for a damaged file."""
        return StoredPlanner() if self.planner is None else StoredPlanner.read(self.planner)


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks of a planner; those that it does without are None.

    Attributes:
        features: what they read of a scene, all together, and at which sizes.
        policy, sampler, reward_model: in eval mode.
    """

    features: FeatureConfig
    policy: nn.Module | None = None
    sampler: nn.Module | None = None
    reward_model: nn.Module | None = None

    @property
    def complete(self) -> bool:
        """Whether all three are there."""
        return None not in (self.policy, self.sampler, self.reward_model)


def features_note(config: FeatureConfig) -> dict[str, str]:
    """The note that a checkpoint of a network with these inputs carries."""
    return {FEATURES_NOTE: json.dumps(to_plain(config))}


@lru_cache(maxsize=4)
def load_networks(files: NetworkFiles) -> TrainedNetworks:
    """The networks in these files; those of the published size in the mode that the files are to be run in.

    Raises OpenPairError for a file that is not what it should be, or where two networks see scenes differently.
    """
    loaded = {part: _load(file, part) for part, file in files.by_part().items()}
    features = next(iter(loaded.values()))[1]
    for part, (_, config) in loaded.items():
        joint = features.joined(config)
        if joint is None:
            raise OpenPairError(
                f"the {part} sees scenes at other sizes than the other networks",
                where=files.by_part()[part],
                fix="Networks that plan together must be trained with the same features",
            )
        features = joint
    networks = {part: network for part, (network, _) in loaded.items()}
    if features.cameras and features.joined(FeatureConfig.published()) is not None:
        networks = {part: prepared_for_inference(network, files.mode) for part, network in networks.items()}
    return TrainedNetworks(features, **networks)


def load_policy(path: Path) -> ImitationPolicy:
    """A trained imitation policy. Raises OpenPairError where the file is not one."""
    network = load_checkpoint(path, PARTS["policy"])[0]
    assert isinstance(network, ImitationPolicy)
    return network


def load_sampler(path: Path) -> Sampler:
    """A trained sampler. Raises OpenPairError where the file is not one."""
    network = load_checkpoint(path, PARTS["sampler"])[0]
    assert isinstance(network, Sampler)
    return network


def load_reward_model(path: Path) -> RewardModel:
    """A trained reward model. Raises OpenPairError where the file is not one."""
    network = load_checkpoint(path, PARTS["reward_model"])[0]
    assert isinstance(network, RewardModel)
    return network


def _load(path: Path, part: str) -> tuple[nn.Module, FeatureConfig]:
    """A network and what it reads of a scene: one of ours, which has a JSON beside it, or a released one."""
    network, config = _load_with_sizes(path, part)
    reads = getattr(network, "reads", None)
    return network, config if reads is None else config.reading(reads)


def _load_with_sizes(path: Path, part: str) -> tuple[nn.Module, FeatureConfig]:
    ours = path.with_suffix(".safetensors")
    if ours.with_suffix(".json").exists() or not path.is_file():
        network, info = load_checkpoint(ours, PARTS[part])
        return network, _feature_config(info, ours)
    state = read_state(path)
    kind = recognise(state, where=str(path))
    if kind not in PARTS[part]:
        raise OpenPairError(f"this is a released '{kind}', not a {part.replace('_', ' ')}", where=path)
    return load_released(state, kind, where=str(path)), FeatureConfig.published()


def _feature_config(info: CheckpointInfo, path: Path) -> FeatureConfig:
    if FEATURES_NOTE not in info.notes:
        raise OpenPairError(
            "the checkpoint does not say which features it was trained on", where=path, fix="Train it with openpair"
        )
    config = from_plain(FeatureConfig, json.loads(info.notes[FEATURES_NOTE]))
    assert isinstance(config, FeatureConfig)
    return config
