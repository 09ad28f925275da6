"""v2.2 as the reward, with extended comfort against the policy's own plan of half a second ago."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from openpair.checkpoints import load_checkpoint
from openpair.configs.experiment import ExperimentConfig, preset
from openpair.configs.runs import RunPlan, reward_model_config, start_reinforcement, start_reward_model
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.rewards.base import HEAD_NAMES
from openpair.rewards.exact import PreviousDrive, score_after
from openpair.rewards.world_model import RewardWorldModelConfig
from openpair.scoring import score_prepared
from openpair.scoring.epdms import epdms
from openpair.scoring.extended_comfort import extended_comfort
from openpair.training.candidate_pool import CandidatePool
from openpair.training.data import DataSpec, StoreLocation, build_training_data, locate_predecessors, with_predecessors
from openpair.training.loop import read_curve, run_interleaved

EC = HEAD_NAMES.index("EC")
SCENES = DataSpec(options={"split": "train", "max_scenes": 3})


def experiment() -> ExperimentConfig:
    config = preset("quick_group_5")
    return replace(
        config,
        protocol=Protocol.V2_2,
        extended_comfort_reward=True,
        reinforcement=replace(config.reinforcement, steps=1, batch_size=3, advantage="sibling_tree"),
        reward_model=replace(config.reward_model, steps=2, batch_size=3, refreshes=1),
        pool=replace(config.pool, tree_sets=1, mild_sets=1, wide_sets=0, refresh_sets=1),
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> StoreLocation:
    spec, config = with_predecessors(SCENES), experiment()
    folder = tmp_path_factory.mktemp("stores")
    built = build_training_data(spec, folder, config.features, Protocol.V2_2, workers=1)
    return locate_predecessors(spec, built)


def test_only_the_chosen_scenes_are_learned_from_and_each_knows_the_one_before(stores: StoreLocation) -> None:
    data = stores.open()
    assert set(data.tokens) == {key.token for key in SCENES.open().keys()}
    assert data.earlier is not None
    assert data.earlier.known.tolist() == [False, True, True]  # the first scene is at the beginning of its log
    assert data.earlier.tokens[0] == data.tokens[0]
    batch, known = data.earlier.batch(np.array([2, 0]))
    assert batch.tokens == (data.earlier.tokens[2], data.tokens[0]) and known.tolist() == [True, False]
    for now, before in zip(data.tokens[1:], data.earlier.tokens[1:], strict=True):
        gap_us = data.prepared.load(now).time_us - data.prepared.load(before).time_us
        assert 400_000 < gap_us < 550_000


def test_a_plan_is_scored_against_the_drive_before(stores: StoreLocation) -> None:
    data = stores.open()
    assert data.earlier is not None
    before, now = data.prepared.load(data.earlier.tokens[1]), data.prepared.load(data.tokens[1])
    plans = np.stack([np.asarray(now.human_trajectory), np.zeros((8, 3))])
    then = score_prepared(before, np.asarray(before.human_trajectory)[None])
    drive = PreviousDrive(np.asarray(then.evidence["simulated_states"][0]), before.time_us)
    plain = score_prepared(now, plans)
    scores = score_after(now, plain, drive)
    comfort = extended_comfort(
        drive.states, np.asarray(plain.evidence["simulated_states"]), (now.time_us - before.time_us) * 1e-6
    )
    np.testing.assert_array_equal(scores.metrics["two_frame_extended_comfort"], comfort)
    expected = epdms({**plain.metrics, "two_frame_extended_comfort": comfort})
    np.testing.assert_allclose(scores.score, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(score_after(now, plain, None).score, plain.score)


def test_the_previous_drive_is_the_best_of_the_candidates(stores: StoreLocation) -> None:
    data = stores.open()
    human = data.human_plans()[:1]
    standing = torch.zeros_like(human)
    (drive,) = data.reward().best_drives(data.tokens[:1], torch.stack([standing, human], dim=1))
    scores = data.reward().score(data.tokens[:1], torch.stack([standing, human], dim=1)).score[0]
    alone = score_prepared(data.prepared.load(data.tokens[0]), [standing, human][int(scores.argmax())].double().numpy())
    np.testing.assert_allclose(drive.states, alone.evidence["simulated_states"][0], atol=1e-9)


def test_branch_pool_refresh_and_reward_model_count_it(stores: StoreLocation, tmp_path: Path) -> None:
    plan = RunPlan(experiment(), stores, None, tmp_path)
    run_interleaved([start_reinforcement(plan, "cpu", lambda progress: None)])
    assert 0.0 <= read_curve(tmp_path / "rl")[-1]["leaf_extended_comfort"] <= 1.0
    run_interleaved([start_reward_model(plan, "cpu", lambda progress: None)])
    files = sorted((tmp_path / "reward").glob("*-*.safetensors"))
    pools = [CandidatePool.load(path) for path in files if not path.name.startswith("state")]
    assert [pool.num_sets for pool in pools] == [2, 1]  # the pool and its refresh
    for pool in pools:
        assert pool.candidates.shape[2] == 6
        assert pool.metrics[0, :, EC].isnan().all()
        assert set(pool.metrics[1:, :, EC].flatten().tolist()) <= {0.0, 1.0}
    config = load_checkpoint(tmp_path / "reward" / "reward_model.safetensors")[1].config
    assert (config.protocol, config.extended_comfort) == (Protocol.V2_2, True)


def test_the_reward_model_follows_the_protocol() -> None:
    config = replace(preset("demo"), protocol=Protocol.V2_2)
    own = reward_model_config(config)
    assert own == replace(config.networks.reward_model, protocol=Protocol.V2_2)
    assert reward_model_config(preset("demo")) == preset("demo").networks.reward_model
    assert isinstance(reward_model_config(replace(preset("demo_rwm"), protocol=Protocol.V2_2)), RewardWorldModelConfig)


def test_what_cannot_be_is_refused(stores: StoreLocation, tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="come without those half a second before"):
        with_predecessors(DataSpec("navsim"))
    for plan in (
        RunPlan(replace(experiment(), protocol=Protocol.V1_1), stores, None, tmp_path),
        RunPlan(experiment(), replace(stores, predecessors=None), None, tmp_path),
    ):
        with pytest.raises(OpenPairError, match=r"extended comfort is no part|hold no scenes half a second"):
            start_reinforcement(plan, "cpu", lambda progress: None)
