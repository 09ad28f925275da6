"""A policy, a sampler, a reward model and a dataset of another package, by entry points alone, trained and tried."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openpair.kinds import POLICIES
from openpair.registry import Registry

PACKAGE = '''
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.tree import TrajectoryTree, flat_layout
from openpair.policies.base import ImitationPolicy, PolicyConfig
from openpair.rewards.base import HEAD_NAMES, RewardContext, RewardModel, RewardNetworkConfig
from openpair.samplers.base import Sampler, SamplerConfig, SamplerContext


@dataclass(frozen=True)
class ToyPolicyConfig(PolicyConfig):
    hidden: int = 8
    mean_end_m: float = 0.0

    @staticmethod
    def small():
        return ToyPolicyConfig()


class ToyPolicy(ImitationPolicy):
    """Plans from the status alone, around the mean human plan of its training scenes."""

    kind = "toy"
    config_class = ToyPolicyConfig

    def __init__(self, config=None):
        super().__init__()
        self.config = config or ToyPolicyConfig()
        self.head = nn.Sequential(nn.Linear(8, self.config.hidden), nn.ReLU(), nn.Linear(self.config.hidden, 24))
        self.register_buffer("mean_plan", torch.zeros(8, 3))

    @classmethod
    def from_training(cls, config, train, *, seed, fitted=None):
        network = cls(config)
        network.mean_plan.copy_(train.human_plans().mean(dim=0))
        return network

    def forward(self, **features):
        return {"trajectory": self.mean_plan + self.head(features["status_feature"]).unflatten(1, (8, 3))}

    def loss(self, outputs, targets):
        return {"loss": (outputs["trajectory"] - targets["trajectory"]).abs().mean()}


@dataclass(frozen=True)
class ToySamplerConfig(SamplerConfig):
    codes: tuple[str, ...] = ("slower", "faster", "same")

    @staticmethod
    def small():
        return ToySamplerConfig()


class ToySampler(Sampler):
    """Leaves are the root, stretched by what the network says."""

    kind = "toy"
    config_class = ToySamplerConfig

    def __init__(self, config=None):
        super().__init__()
        self.config = config or ToySamplerConfig()
        leaves = len(self.config.codes)
        self.head = nn.Linear(8, leaves)
        self.layout = flat_layout(leaves)
        self.register_buffer("action_mask", torch.ones(leaves, 1, dtype=torch.bool), persistent=False)
        self.register_buffer("prior_mean", torch.zeros(leaves, 1), persistent=False)

    def encode(self, features, *, perceive=True):
        return SamplerContext(features["status_feature"][:, None], features["status_feature"])

    def expand(self, context, root, *, num_samples=1, sigma=0.0, generator=None, actions=None):
        mean = self.head(context.status)[:, None, :, None].expand(-1, num_samples, -1, -1)
        if actions is None:
            actions = mean + self.draw_noise(root, num_samples, sigma, generator)
        taken = actions.detach().float()
        leaves = root.detach()[:, None, None] * (1 + 0.1 * taken.tanh()[..., None])
        return TrajectoryTree(self.layout, root.detach(), leaves, taken, mean)


@dataclass(frozen=True)
class ToyRewardConfig(RewardNetworkConfig):
    hidden: int = 8

    @staticmethod
    def small():
        return ToyRewardConfig()


class ToyReward(RewardModel):
    """Likes what goes far, as far as it has learned to."""

    kind = "toy"
    config_class = ToyRewardConfig

    def __init__(self, config=None):
        super().__init__()
        self.config = config or ToyRewardConfig()
        self.head = nn.Sequential(nn.Linear(24, self.config.hidden), nn.ReLU(), nn.Linear(self.config.hidden, 9))

    def encode(self, features):
        return RewardContext(features["status_feature"][:, None], features["status_feature"])

    def score(self, context, candidates):
        logits = self.head(candidates.flatten(2) / 30).transpose(1, 2)
        assert logits.shape[1] == len(HEAD_NAMES)
        return {"sim_rewards": logits.sigmoid(), "reward_logits": logits, "sim_logits": logits.mean(1, keepdim=True)}

    def loss(self, outputs, targets):
        return {"loss": (outputs["sim_logits"][:, 0].sigmoid() - targets["candidate_scores"]).square().mean()}


class ToyDataset(WorldDataset):
    """A few scenes of a town."""

    name = "toy"
    default_splits = {"train": "train", "validation": "val", "test": "test"}

    def __init__(self, split="test", *, max_scenes: int = 4, root=None):
        super().__init__(split, root, max_scenes=min(max_scenes, 8))
'''

ENTRY_POINTS = """
[openpair.policies]
toy = outside_package:ToyPolicy

[openpair.samplers]
toy = outside_package:ToySampler

[openpair.reward_models]
toy = outside_package:ToyReward

[openpair.datasets]
toy = outside_package:ToyDataset
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as pip leaves one: a module and the metadata of its distribution."""
    folder = tmp_path / "site"
    info = folder / "outside_package-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "outside_package.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def openpair(site: Path, *args: object) -> None:
    """A command in a fresh process that has the package installed; its workers find it, too."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), *filter(None, sys.path)))}
    command = [sys.executable, "-m", "openpair.cli.main", *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kinds_of_another_package_are_trained_and_evaluated(site: Path, tmp_path: Path) -> None:
    run, results = tmp_path / "run", tmp_path / "results"
    common = ("--preset", "quick_toy_toy_toy", "--dataset", "toy", "--out", run, "--workers", 1, "--interleave")
    branches = ("imitation", "reinforcement", "reward-model")
    two = [word for branch in branches for word in (f"--{branch}.steps", "2")]
    openpair(site, "train", "parallel", *common, *two)
    openpair(site, "train", "reward", *common, *two)
    for part in ("il/policy", "rl/sampler", "reward/reward_model"):
        assert json.loads((run / f"{part}.json").read_text())["kind"] == "toy"
    settings = json.loads((run / "experiment.json").read_text())["networks"]
    assert settings["policy"] == {"is": "ToyPolicyConfig", "hidden": 8, "mean_end_m": 0.0}
    openpair(site, "eval", "--dataset", "toy", "--agent", run, "--out", results, "--workers", 1)
    scenes = json.loads((results / "summary.json").read_text())["scenes"]
    assert (scenes["expected"], scenes["failed"]) == (4, 0)


def test_names_are_found_without_importing_anything(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    assert POLICIES.names() == ("transfuser", "diffusiondrive", "toy")
    assert "toy" in POLICIES and "outside_package" not in sys.modules


def test_a_package_that_cannot_be_imported_is_named(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    (site / "outside_package-1.0.dist-info" / "entry_points.txt").write_text("[a.group]\nx = no_such_module:X\n")
    with pytest.raises(Exception, match=r"no_such_module:X: the thing 'x' cannot be imported \(ModuleNotFoundError"):
        Registry("a.group", "thing", {}).load("x")
    with pytest.raises(Exception, match="there is no thing 'y'"):
        Registry("a.group", "thing", {}).load("y")
