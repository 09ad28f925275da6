"""The networks that OpenPaIR has. A new one is its own file and one line here.

Everything else that a kind needs is on its class (:mod:`openpair.policies.base`, :mod:`openpair.samplers.base`,
:mod:`openpair.rewards.base`): its configuration with the presets, how it is built from training scenes, its loss, and
how a released file of it is recognised.
"""

from __future__ import annotations

from openpair.registry import Registry

POLICIES = Registry(
    "openpair.policies",
    "imitation policy",
    {
        "transfuser": "openpair.policies.transfuser:Transfuser",
        "diffusiondrive": "openpair.policies.diffusion_drive:DiffusionDrive",
    },
)

SAMPLERS = Registry(
    "openpair.samplers",
    "sampler",
    {
        "parallel_ir": "openpair.samplers.parallel_ir:ParallelIR",
        "kinematic": "openpair.samplers.kinematic_tree:KinematicTree",
        "flat": "openpair.samplers.flat:FlatSampler",
        "corrector": "openpair.samplers.corrector:Corrector",
    },
)

REWARD_MODELS = Registry(
    "openpair.reward_models",
    "reward model",
    {
        "rwm": "openpair.rewards.world_model:RewardWorldModel",
        "pose_aware": "openpair.rewards.pose_aware:PoseAwareRewardModel",
    },
)

PARTS = {"policy": POLICIES, "sampler": SAMPLERS, "reward_model": REWARD_MODELS}
"""The three parts of a planner -> the networks that can play them."""

CORRECTOR = "corrector"
"""A part that a planner may do without: a sampler with one leaf, which corrects the plan that was chosen."""

EVERY_PART = {**PARTS, CORRECTOR: SAMPLERS}


def network_kinds() -> tuple[str, ...]:
    """Names of all registered networks: policies, samplers, reward models."""
    return tuple(dict.fromkeys(name for kinds in PARTS.values() for name in kinds.names()))
