"""The published reward world model, against golden outputs."""

from __future__ import annotations

import model_goldens as golden
import numpy as np
import pytest
import torch

from openpair.rewards.world_model import RewardWorldModel, RewardWorldModelConfig

pytestmark = golden.needs_goldens


@pytest.fixture(scope="module")
def network() -> RewardWorldModel:
    module = RewardWorldModel(RewardWorldModelConfig.published()).eval()
    module.load_state_dict(golden.seeded_state("rwm"), strict=True)
    return module


def test_parameters_have_the_published_names_and_shapes(network: RewardWorldModel) -> None:
    golden.assert_same_state_names(network, "rwm")


@torch.no_grad()
def test_rewards_and_logits_are_the_golden_ones(network: RewardWorldModel) -> None:
    candidates = torch.from_numpy(golden.arrays("rwm.npz")["candidates"])
    with (
        golden.captured(network, "cluster_encoder") as plans,
        golden.captured(network, "encode_ego_feat_mlp") as ego,
        golden.captured(network, "latent_world_model") as imagined,
        golden.captured(network, "reward_conv_net") as seen,
        golden.captured(network, "reward_cat_head") as feature,
    ):
        outputs = network(**golden.inputs(), agent_trajectory=candidates)
    golden.assert_close("rwm", "traj_tokens", plans[0])
    golden.assert_close("rwm", "ego_feat", ego[0])
    golden.assert_close("rwm", "wm_out_sample", imagined[0][:, :, ::32])
    golden.assert_close("rwm", "reward_conv", seen[0][:, ::4])
    golden.assert_close("rwm", "reward_feature", feature[0][:, ::4])
    golden.assert_close("rwm", "sim_rewards", outputs["sim_rewards"])
    golden.assert_close("rwm", "sim_logits", outputs["sim_logits"])
    assert np.array_equal(outputs["sim_logits"][:, 0].argmax(1).numpy(), golden.arrays("rwm.npz")["argmax"])
