"""The published tree and the published reward world model train like ours: another preset, the same commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from openpair.checkpoints import load_checkpoint
from openpair.configs.experiment import preset, preset_names
from openpair.configs.runs import RunPlan, start_reinforcement, start_reward_model
from openpair.errors import OpenPairError
from openpair.policies.diffusion_drive import DiffusionDriveConfig
from openpair.rewards.base import RewardContext
from openpair.rewards.world_model import RewardWorldModel, RewardWorldModelConfig
from openpair.samplers.parallel_ir import ParallelIRConfig
from openpair.training.data import DataSpec, build_training_data
from openpair.training.loop import run_interleaved


def test_a_preset_is_a_base_with_any_of_the_published_networks() -> None:
    config = preset("demo_diffusiondrive_parallel_ir_rwm")
    assert config.name == "demo_diffusiondrive_parallel_ir_rwm"
    networks = config.networks
    assert isinstance(networks.policy, DiffusionDriveConfig)
    assert isinstance(networks.sampler, ParallelIRConfig)
    assert networks.reward_model == RewardWorldModelConfig.small()
    assert preset("published_rwm").networks.reward_model == RewardWorldModelConfig.published()
    assert len(preset_names()) == len(set(preset_names())) == 3 * (2 * 7 * 2 * 2 + 7)
    for name in preset_names():
        assert preset(name).name == name
    with pytest.raises(OpenPairError, match=r"followed by any of _diffusiondrive, _parallel_ir, .*, _rwm"):
        preset("demo_rwm_parallel_ir")


def test_sampler_and_reward_model_train_and_are_what_the_preset_says(tmp_path: Path) -> None:
    config = preset("quick_parallel_ir_rwm")
    config = replace(
        config,
        reinforcement=replace(config.reinforcement, steps=1),
        reward_model=replace(config.reward_model, steps=1),
    )
    spec = DataSpec(options={"split": "train", "max_scenes": 4})
    stores = build_training_data(spec, tmp_path / "data", config.features, config.protocol, workers=1)
    plan = RunPlan(config, stores, None, tmp_path / "run")
    run_interleaved([start_reinforcement(plan, "cpu", lambda progress: None)])
    run_interleaved([start_reward_model(plan, "cpu", lambda progress: None)])
    sampler, info = load_checkpoint(tmp_path / "run" / "rl" / "sampler.safetensors", "parallel_ir")
    assert info.config == config.networks.sampler
    assert torch.isfinite(torch.cat([p.flatten() for p in sampler.parameters()])).all()
    load_checkpoint(tmp_path / "run" / "reward" / "reward_model.safetensors", "rwm")


def test_sets_that_train_together_are_scored_apart() -> None:
    """Candidates of the published reward model attend to each other: those of another set must not change a value."""
    torch.manual_seed(0)
    model = RewardWorldModel(RewardWorldModelConfig.small()).eval()
    d = model.config.d_model
    context = RewardContext(torch.randn(2, 64, d), torch.rand(2, 8))
    sets = torch.randn(2, 3, 5, 8, 3)
    with torch.no_grad():
        together = model.score_sets(context, sets)
        alone = model.score(context, sets[:, 1])
    for name, value in alone.items():
        assert together[name].shape[-1] == 15
        torch.testing.assert_close(together[name][..., 5:10], value)
