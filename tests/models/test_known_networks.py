"""Networks of the known track: the same policies, samplers and reward model on the truth instead of sensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from openpair.checkpoints import load_checkpoint, save_checkpoint
from openpair.configs.experiment import preset, preset_names
from openpair.datasets.registry import open_dataset
from openpair.errors import OpenPairError
from openpair.features.build import build_targets
from openpair.features.config import FeatureConfig
from openpair.nn.surroundings import CHANNELS, CORNERS, Surroundings, box_gap
from openpair.planning.inputs import features_of
from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.rewards.pose_aware import PoseAwareRewardModel
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.samplers.base import Sampler
from openpair.samplers.flat import FlatSampler
from openpair.samplers.flat_config import FlatSamplerConfig
from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.kinematic_tree import KinematicTree
from openpair.samplers.parallel_ir import ParallelIR, ParallelIRConfig

KNOWN = preset("demo_known").networks
BATCH = 3
SMALL = {"layers": 1, "heads": 4, "d_ffn": 128, "head_hidden": 64}


@pytest.fixture(scope="module")
def features() -> dict[str, Tensor]:
    dataset = open_dataset("world", None, split="val", max_scenes=BATCH)
    return features_of(dataset, [dataset.load_scene(key.token) for key in dataset.keys()], FeatureConfig.truth())


@pytest.fixture(scope="module")
def targets() -> dict[str, Tensor]:
    dataset = open_dataset("world", None, split="val", max_scenes=BATCH)
    rows = [build_targets(dataset.load_scene(key.token), FeatureConfig.truth()) for key in dataset.keys()]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


def shuffled(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same scenes with agents, lanes and edges in another order, padding among them."""
    generator = torch.Generator().manual_seed(3)
    order = {
        group: torch.randperm(features[name].shape[1], generator=generator)
        for group, name in (
            ("known_agent", "known_agents"),
            ("known_lane", "known_lanes"),
            ("known_edge", "known_edges"),
        )
    }
    out = dict(features)
    for name, value in features.items():
        for group, rows in order.items():
            if name.startswith(group):
                out[name] = value[:, rows]
    return out


def tree() -> KinematicTree:
    config = KNOWN.sampler
    assert isinstance(config, KinematicTreeConfig)
    return KinematicTree(config)


def flat() -> FlatSampler:
    return FlatSampler(FlatSamplerConfig(trunk=KNOWN.policy.trunk, **SMALL))  # type: ignore[arg-type]


def parallel_ir() -> ParallelIR:
    return ParallelIR(replace(ParallelIRConfig.small(), trunk=KNOWN.policy.trunk))


def untrained_action_heads_differ(sampler: Sampler) -> None:
    """Weights large enough that what a sampler sees shows in its actions."""
    with torch.no_grad():
        for parameter in sampler.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))


@torch.no_grad()
def test_the_policy_does_not_depend_on_the_order_of_what_it_knows(features: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    assert isinstance(KNOWN.policy, TransfuserConfig)
    policy = Transfuser(KNOWN.policy).eval()
    for refiner in policy._refiners:
        torch.nn.init.normal_(refiner.mlp[-1].weight, std=0.1)
    plan, again = policy.plan(**features), policy.plan(**shuffled(features))
    assert plan.shape == (BATCH, 8, 3)
    assert torch.allclose(plan, again, atol=1e-4)
    empty = {**features, "known_agent_seen": torch.zeros_like(features["known_agent_seen"])}
    assert not torch.allclose(plan, policy.plan(**empty), atol=1e-3)


@pytest.mark.parametrize("build", [tree, flat, parallel_ir])
def test_samplers_grow_trees_on_the_truth(
    features: dict[str, Tensor], targets: dict[str, Tensor], build: Callable[[], Sampler]
) -> None:
    torch.manual_seed(0)
    sampler = build()
    untrained_action_heads_differ(sampler)
    root = targets["trajectory"]
    draw = torch.Generator().manual_seed(0)
    context = sampler.encode(features)
    grown = sampler.expand(context, root, num_samples=2, sigma=0.5, generator=draw)
    assert grown.leaves.shape == (BATCH, 2, sampler.layout.num_leaves, 8, 3) and grown.leaves.isfinite().all()
    loss = grown.mean.square().mean() + sampler.perception_loss(context, targets)["loss"]
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in sampler.vectors.parameters())  # type: ignore
    sampler.eval()
    with torch.no_grad():
        mean = sampler.expand(sampler.encode(features), root).mean
        assert torch.allclose(mean, sampler.expand(sampler.encode(shuffled(features)), root).mean, atol=1e-3)
        empty = {**features, "known_agent_seen": torch.zeros_like(features["known_agent_seen"])}
        assert not torch.allclose(mean, sampler.expand(sampler.encode(empty), root).mean, atol=1e-4)


def test_the_reward_model_scores_and_learns(features: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    assert isinstance(KNOWN.reward_model, PoseAwareConfig)
    model = PoseAwareRewardModel(KNOWN.reward_model)
    candidates = targets["trajectory"][:, None] * torch.linspace(0.5, 1.5, 5)[:, None, None]
    context = model.encode(features)
    outputs = {**context.perception, **model.score(context, candidates)}
    wanted = {"candidate_metrics": torch.rand(BATCH, 9, 5), "candidate_scores": torch.rand(BATCH, 5)}
    terms = model.loss(outputs, {**targets, **wanted})
    assert {"sub_scores", "calibration", "ranking", "forecast_m"} <= set(terms)
    assert all(value.isfinite() for value in terms.values())
    terms["loss"].backward()
    assert model.vectors is not None and all(p.grad is not None for p in model.vectors.parameters())
    model.eval()
    with torch.no_grad():
        value = model.score(model.encode(features), candidates)["sim_logits"]
        again = model.score(model.encode(shuffled(features)), candidates)["sim_logits"]
        assert torch.allclose(value, again, atol=1e-3)
        alone = model.score(model.encode(features), candidates[:, 2:3])["sim_logits"]
        assert torch.allclose(value[..., 2:3], alone, atol=1e-4)  # candidates do not see each other


def a_scene(*, agent: tuple[float, float, float, float, float], edges_y: float) -> Surroundings:
    """One car (x, y, heading, vx, vy) of 4 x 2 m, a lane ahead, a straight edge to the right; padding."""
    x = torch.linspace(0.0, 12.0, 7)
    lane = torch.stack((x, torch.zeros(7)), dim=-1)
    edge = torch.stack((x, torch.full((7,), edges_y)), dim=-1)
    state = torch.zeros(1, 4, 4, 5)
    state[:, 0] = torch.tensor(agent)
    first, lanes = torch.arange(4) == 0, torch.zeros(1, 3, 7, 2)
    lanes[0, 0] = lane
    return Surroundings.of_features(
        {
            "known_agents": state,
            "known_agent_seen": first[None, :, None].expand(1, 4, 4),
            "known_agent_kinds": torch.tensor([4.0, 2.0, 0.0]).expand(1, 4, 3),
            "known_lanes": lanes,
            "known_lane_kinds": torch.tensor([0.0, 0.0, 2.0, 15.0]).expand(1, 3, 4),
            "known_lane_there": first[None, :3],
            "known_edges": edge[None, None],
            "known_edge_there": torch.ones(1, 1, dtype=torch.bool),
        }
    )


def test_a_pose_sees_the_gap_to_where_a_car_will_be_and_the_edge() -> None:
    seconds = 0.5 * torch.arange(1, 9)
    plan = torch.stack((2.0 * seconds, torch.zeros(8), torch.zeros(8)), dim=-1)[None, None]
    # 20 m ahead of the rear axle and 3 m to the left, coming towards the ego at 2 m/s
    scene = a_scene(agent=(20.0, 3.0, math.pi, -2.0, 0.0), edges_y=-2.0)
    seen = scene.look_closely(plan)
    assert seen.shape == (1, 1, 8, CHANNELS + CORNERS)
    # at 2 s: the ego's centre at 4 + 1.461, the car's at 16, half lengths 2.588 and 2
    along, across = 16.0 - 5.461 - 2.588 - 2.0, 3.0 - 0.5 * 2.297 - 1.0
    gap = max(along, across)
    assert seen[0, 0, 3, 8] == pytest.approx((min(gap, 6.0) - 2.0) / 2, abs=1e-3)
    assert seen[0, 0, 3, 0] == pytest.approx((16.0 - 5.461) / 10, abs=1e-4)
    assert seen[0, 0, 3, 4] == pytest.approx(-4.0 / 10, abs=1e-4)  # they approach by 4 m/s
    edges = seen[0, 0, 3, -(3 + CORNERS) :]
    half = 0.5 * 2.297
    assert edges[0] == pytest.approx(2.0 / 2, abs=1e-4)  # the centre is 2 m inside
    assert sorted(edges[1:5].tolist()) == pytest.approx(sorted([(2 + half) / 2] * 2 + [(2 - half) / 2] * 2), abs=1e-4)
    off_road = scene.look_closely(plan - torch.tensor([0.0, 3.0, 0.0]))[0, 0, 3, -(3 + CORNERS)]
    assert off_road == pytest.approx(-0.5, abs=1e-4)


def test_what_is_seen_does_not_depend_on_the_frame() -> None:
    """A plan and its surroundings, both turned: the same numbers."""
    here = a_scene(agent=(9.0, 1.0, 0.3, 3.0, 1.0), edges_y=-3.0)
    angle = torch.tensor(0.8)
    turn = torch.stack((torch.stack((angle.cos(), -angle.sin())), torch.stack((angle.sin(), angle.cos()))))

    def turned(poses: Tensor) -> Tensor:
        return torch.cat((poses[..., :2] @ turn.T, poses[..., 2:] + angle), dim=-1)

    there = replace(
        here, future=turned(here.future), now=turned(here.now), lanes=here.lanes @ turn.T, edges=here.edges @ turn.T
    )
    seconds = 0.5 * torch.arange(1, 9)
    # From the first pose on: the speed at it is measured from where the ego is now, which does not turn.
    plan = torch.stack((2.5 * seconds, 0.1 * seconds, 0.05 * seconds), dim=-1)[None, None]
    a, b = here.look_closely(plan), there.look_closely(turned(plan))
    assert torch.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(("y", "heading"), [(0.0, 0.0), (3.0, 0.4), (1.0, 1.2), (-6.0, -2.0)])
def test_box_gap_is_negative_just_where_boxes_overlap(y: float, heading: float) -> None:
    from shapely.affinity import rotate, translate
    from shapely.geometry import box

    ego = box(-2.588, -1.1485, 2.588, 1.1485)
    for x in np.linspace(-8, 8, 33):
        other = translate(rotate(box(-2, -1, 2, 1), heading, origin=(0, 0), use_radians=True), x, y)
        numbers = (torch.tensor(float(v)) for v in (x, y, math.cos(heading), math.sin(heading), 4.0, 2.0))
        assert (float(box_gap(*numbers)) < 0) == (ego.intersection(other).area > 1e-9)


def test_checkpoints_bring_back_known_networks(tmp_path: Path, features: dict[str, Tensor]) -> None:
    assert isinstance(KNOWN.policy, TransfuserConfig)
    policy = Transfuser(KNOWN.policy).eval()
    save_checkpoint(tmp_path / "policy.safetensors", policy)
    loaded, info = load_checkpoint(tmp_path / "policy.safetensors")
    assert info.config == KNOWN.policy and loaded.reads == policy.reads
    assert isinstance(loaded, Transfuser) and torch.equal(loaded.plan(**features), policy.plan(**features))


def test_presets_without_vision() -> None:
    names = [name for name in preset_names() if name.endswith("_known")]
    assert {"demo_known", "quick_known", "demo_group_9_known", "demo_parallel_ir_known"} <= set(names)
    for name in names:
        assert preset(name).features == FeatureConfig.truth()
    with pytest.raises(OpenPairError):
        preset("demo_diffusiondrive_known")
