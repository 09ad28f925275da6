"""The networks of a planner, loaded from their files."""

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
from openpair.kinds import EVERY_PART, PARTS
from openpair.nn.inference import prepared_for_inference
from openpair.planning.network_files import NetworkFiles
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler

FEATURES_NOTE = "features"
"""Note of a checkpoint that holds the configuration of its features."""


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks of a planner; those that it does without are None.

    Attributes:
        features: what they read of a scene, all together, and at which sizes.
        policy, sampler, reward_model: in eval mode.
        corrector: corrects chosen plans; in eval mode.
    """

    features: FeatureConfig
    policy: nn.Module | None = None
    sampler: nn.Module | None = None
    reward_model: nn.Module | None = None
    corrector: nn.Module | None = None

    @property
    def complete(self) -> bool:
        """Whether policy, sampler and reward model are there."""
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
        network, info = load_checkpoint(ours, EVERY_PART[part])
        return network, _feature_config(info, ours)
    state = read_state(path)
    kind = recognise(state, where=str(path))
    if kind not in EVERY_PART[part]:
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
