"""An experiment: data, features, networks, both branches and the reward model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Annotated

import tyro

from openpair.datatypes.columns import Protocol
from openpair.datatypes.settings import later
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.kinds import PARTS
from openpair.nn.registered_config import preset_of
from openpair.nn.trunk_config import VectorTrunkConfig
from openpair.planning.changes import NO_CHANGES, PlannerChanges
from openpair.policies.config import PolicyConfig
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.rewards.config import RewardNetworkConfig
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.samplers.config import SamplerConfig
from openpair.samplers.flat_config import FlatSamplerConfig
from openpair.samplers.kinematic_config import KinematicTreeConfig, codes_of_group_size
from openpair.samplers.perturbation_config import RootNoise
from openpair.training.config import (
    CorrectionConfig,
    FineTuningConfig,
    ImitationConfig,
    LoopConfig,
    OptimiserConfig,
    ReinforcementConfig,
    RewardModelConfig,
)


@dataclass(frozen=True)
class NetworkConfig:
    """The three networks. Each has an encoder of its own, as in the paper.

    The class of each configuration says which network it is: any that is registered (:mod:`openpair.kinds`).

    Attributes:
        policy: of the imitation branch.
        sampler: of the reinforcement branch.
        reward_model: picks the plan.
    """

    policy: PolicyConfig
    sampler: SamplerConfig
    reward_model: RewardNetworkConfig


def _no_text(words: list[str]) -> NetworkConfig:
    raise ValueError(f"networks are a matter of the preset, not of {words}")


WHOLE = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="NETWORKS",
    instance_from_str=_no_text,
    is_instance=lambda value: isinstance(value, NetworkConfig),
    str_from_instance=lambda networks: [type(networks).__name__],
)
"""Keeps tyro out of the networks, none of whose settings is an option: help takes half the time."""


@dataclass(frozen=True)
class PoolConfig:
    """Candidate sets that the reward model learns from.

    Attributes:
        root_noise: how far the human plan is moved to become the root of a set.
        tree_sets: sets per scene with leaves of the trained sampler.
        mild_sets: sets with the mild control's candidates.
        wide_sets: sets of random neighbours, the widest.
        refresh_sets: sets per scene that a refresh replaces (``reward_model.refreshes``).
        tree_strength: share of the way to what it learned that the sampler's leaves go.
        temperature: at which a refresh takes the mean of candidates [score]; 0 takes the best.
    """

    root_noise: RootNoise = field(default_factory=RootNoise)
    tree_sets: int = 3
    mild_sets: int = 1
    wide_sets: int = 2
    refresh_sets: int = later(2)
    tree_strength: float = later(1.0)
    temperature: float = later(0.0)


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that decides a result, besides the data.

    Attributes:
        name: of the preset.
        seed: every random choice comes from it.
        protocol: which score is the reward.
        extended_comfort_reward: v2.2 on the embedded world: count extended comfort against the policy's own plan of
            half a second ago, for the tree's reward and the reward model's candidates.
        train_scenes: at most so many scenes are trained on, spread over all towns; None for all.
        validation_scenes: likewise for validation.
        features: sizes of inputs and targets.
        networks: sizes of the networks; another size is another preset.
        imitation: training of the IL branch.
        reinforcement: training of the RL branch.
        reward_model: training of the reward model.
        pool: its candidates.
        sequential: the imitation policy fine-tuned by reward alone.
        sequential_regularised: the same with the imitation loss beside the reward.
        iterative: phases of reward and of imitation by turns.
        loop: logging, validation and saving.
        correction: training of the network that corrects chosen plans.
        planner: settings that the networks plan with, kept beside them (planner.json); they decide nothing of training.
    """

    name: str
    seed: int
    protocol: Protocol
    train_scenes: int | None
    validation_scenes: int | None
    features: FeatureConfig
    networks: Annotated[NetworkConfig, tyro.conf.Fixed, WHOLE]
    imitation: ImitationConfig
    reinforcement: ReinforcementConfig
    reward_model: RewardModelConfig
    pool: PoolConfig = field(default_factory=PoolConfig)
    sequential: FineTuningConfig = field(default_factory=FineTuningConfig)
    sequential_regularised: FineTuningConfig = field(default_factory=lambda: FineTuningConfig(imitation_weight=0.1))
    iterative: FineTuningConfig = field(default_factory=lambda: FineTuningConfig(imitation_phase=50))
    loop: LoopConfig = field(default_factory=LoopConfig)
    extended_comfort_reward: bool = later(False)
    planner: PlannerChanges = NO_CHANGES
    correction: CorrectionConfig = later(CorrectionConfig())


DEMO_CORRECTION_STEPS = 500
"""Length of a corrector's training that goes with the demo's of the other networks."""

DEMO_STRENGTH, DEMO_TEMPERATURE = 0.25, 0.02
"""Chosen on the validation towns (docs/results.md, docs/log.md): a tree that goes all the way leaves less to choose
from, and what the reward model values alike is better met in the middle."""


def demo() -> ExperimentConfig:
    """A laptop's quarter of an hour: 2 cores, no GPU, the embedded world."""
    return ExperimentConfig(
        name="demo",
        seed=0,
        protocol=Protocol.V1_1,
        train_scenes=4000,
        validation_scenes=150,
        features=FeatureConfig.near(),
        networks=NetworkConfig(
            policy=TransfuserConfig.small(),
            sampler=KinematicTreeConfig.small(),
            reward_model=PoseAwareConfig.small(),
        ),
        imitation=ImitationConfig(steps=900, precision="bfloat16"),
        reinforcement=ReinforcementConfig(
            steps=300,
            trees_per_scene=8,
            advantage="covering",
            kl_target=3.0,
            optimiser=OptimiserConfig(learning_rate=5e-4),
            precision="bfloat16",
            strength=DEMO_STRENGTH,
        ),
        reward_model=RewardModelConfig(steps=600, precision="bfloat16"),
        pool=PoolConfig(
            tree_sets=2, mild_sets=1, wide_sets=1, tree_strength=DEMO_STRENGTH, temperature=DEMO_TEMPERATURE
        ),
        planner=PlannerChanges(
            strength=DEMO_STRENGTH, temperature=DEMO_TEMPERATURE, root_bonus=0.0, previous_plan_bonus="none"
        ),
        sequential=demo_sequential(learning_rate=3e-5),
        sequential_regularised=demo_sequential(imitation_weight=0.03),
        iterative=demo_sequential(imitation_phase=25),
        loop=LoopConfig(log_every=20, validate_every=200, save_every=100),
    )


def demo_sequential(
    *, learning_rate: float = 5e-5, imitation_weight: float = 0.0, imitation_phase: int = 0
) -> FineTuningConfig:
    """A sequential scheme with as many scene evaluations as the demo's reinforcement branch: 300 x 16 x 120.

    Chosen on the validation towns (docs/log.md): larger rates and wider noise drift away and lose.
    """
    return FineTuningConfig(
        steps=300,
        samples_per_scene=120,
        sigma_start=0.6,
        sigma_end=0.4,
        imitation_weight=imitation_weight,
        imitation_phase=imitation_phase,
        optimiser=OptimiserConfig(learning_rate=learning_rate, warmup_steps=10),
        precision="bfloat16",
    )


def quick() -> ExperimentConfig:
    """A few steps of everything: for tests, and to see that an installation works."""
    config = demo()
    return replace(
        config,
        name="quick",
        train_scenes=24,
        validation_scenes=8,
        imitation=replace(config.imitation, steps=4, batch_size=4),
        reinforcement=replace(config.reinforcement, steps=3, batch_size=4, trees_per_scene=2),
        reward_model=replace(config.reward_model, steps=4, batch_size=4),
        pool=replace(config.pool, tree_sets=1, mild_sets=1, wide_sets=0),
        sequential=quick_sequential(config.sequential),
        sequential_regularised=quick_sequential(config.sequential_regularised),
        iterative=replace(quick_sequential(config.iterative), imitation_phase=1),
        loop=LoopConfig(log_every=2, validate_every=0, save_every=2),
        correction=CorrectionConfig(steps=3, batch_size=4, trees_per_scene=2),
    )


def quick_sequential(config: FineTuningConfig) -> FineTuningConfig:
    """A few steps of a sequential scheme."""
    return replace(config, steps=2, batch_size=4, samples_per_scene=4)


def published() -> ExperimentConfig:
    """The paper's sizes and settings: 50 epochs of navtrain on 4 GPUs, batch 32 per GPU for IL and 16 for RL."""
    steps_per_epoch = 103_288 // 64
    return ExperimentConfig(
        name="published",
        seed=0,
        protocol=Protocol.V1_1,
        train_scenes=None,
        validation_scenes=1000,
        features=FeatureConfig.published(),
        networks=NetworkConfig(
            policy=TransfuserConfig.published(),
            sampler=KinematicTreeConfig.published(),
            reward_model=PoseAwareConfig.published(),
        ),
        imitation=ImitationConfig(
            steps=50 * steps_per_epoch // 2,
            batch_size=128,
            optimiser=OptimiserConfig(learning_rate=1e-4, warmup_steps=500),
            precision="bfloat16",
        ),
        reinforcement=ReinforcementConfig(
            steps=50 * steps_per_epoch,
            batch_size=64,
            optimiser=OptimiserConfig(learning_rate=2e-5, warmup_steps=500),
            precision="bfloat16",
        ),
        reward_model=RewardModelConfig(
            steps=30 * steps_per_epoch,
            batch_size=64,
            optimiser=OptimiserConfig(learning_rate=1e-4, warmup_steps=500),
            precision="bfloat16",
        ),
        sequential=published_sequential(),
        sequential_regularised=published_sequential(imitation_weight=0.03),
        iterative=published_sequential(imitation_phase=steps_per_epoch),
        loop=LoopConfig(log_every=50, validate_every=2000, save_every=500),
    )


def published_sequential(*, imitation_weight: float = 0.0, imitation_phase: int = 0) -> FineTuningConfig:
    """A sequential scheme with as many scene evaluations as the published reinforcement branch (4 x 15 a scene)."""
    return replace(
        demo_sequential(imitation_weight=imitation_weight, imitation_phase=imitation_phase),
        steps=50 * (103_288 // 64),
        batch_size=64,
        samples_per_scene=60,
        optimiser=OptimiserConfig(learning_rate=2e-5, warmup_steps=500),
    )


def with_network(config: ExperimentConfig, part: str, kind: str) -> ExperimentConfig:
    """The same experiment with another network, at the experiment's size.

    Args:
        config: an experiment.
        part: "policy", "sampler" or "reward_model".
        kind: a registered network (:mod:`openpair.kinds`).

    Raises OpenPairError for an unknown kind.
    """
    small = is_small(config)
    network = preset_of(PARTS[part], kind, small=small)
    changed = replace(config, networks=replace(config.networks, **{part: network}))
    if part == "policy" and not small and kind in PUBLISHED_IMITATION:
        return replace(changed, imitation=PUBLISHED_IMITATION[kind]())
    if part == "reward_model":  # the temperature was chosen for ours; of others, the favourite is the plan
        pool, planner = replace(config.pool, temperature=0.0), replace(config.planner, temperature=0.0)
        return replace(changed, pool=pool, planner=planner)
    return changed


def with_whole_trajectories(config: ExperimentConfig) -> ExperimentConfig:
    """The same experiment with 15 trajectories that are predicted at once, without a tree and without a root."""
    flat = with_network(config, "sampler", "flat")
    assert isinstance(flat.networks.sampler, FlatSamplerConfig)
    return replace(flat, networks=replace(flat.networks, sampler=flat.networks.sampler.whole()))


def with_group_size(config: ExperimentConfig, size: int) -> ExperimentConfig:
    """The same experiment with fewer leaves of our tree: 12, 9 or 5."""
    ours = with_network(config, "sampler", "kinematic").networks.sampler
    assert isinstance(ours, KinematicTreeConfig)
    sampler = replace(ours, codes=codes_of_group_size(size))
    return replace(config, networks=replace(config.networks, sampler=sampler))


def with_known(config: ExperimentConfig) -> ExperimentConfig:
    """The same experiment without vision: networks read the truth by the vector encoder.

    Networks are small and draw at most 4 trees a scene, so that the exact reward is half of a step of reinforcement.
    PaIR is what the validation towns chose on this track (docs/known-results.md): wide neighbours, and a corrector that
    has the last word.
    Raises OpenPairError for networks that read sensors alone.
    """
    size = VectorTrunkConfig() if is_small(config) else VectorTrunkConfig(d_model=128, d_ffn=512, layers=3, heads=8)
    networks = config.networks
    known = NetworkConfig(
        policy=networks.policy.on_truth(size),
        sampler=networks.sampler.on_truth(size),
        reward_model=networks.reward_model.on_truth(size),
    )
    return replace(
        config,
        features=FeatureConfig.truth(),
        networks=known,
        imitation=replace(config.imitation, precision="float32"),
        reinforcement=replace(
            config.reinforcement, precision="float32", trees_per_scene=min(config.reinforcement.trees_per_scene, 4)
        ),
        reward_model=replace(config.reward_model, precision="float32"),
        sequential=replace(config.sequential, precision="float32"),
        sequential_regularised=replace(config.sequential_regularised, precision="float32"),
        iterative=replace(config.iterative, precision="float32"),
        correction=replace(config.correction, steps=min(config.correction.steps, DEMO_CORRECTION_STEPS))
        if is_small(config)
        else config.correction,
        planner=replace(config.planner, candidates="wide", correction=1.0, temperature=0.05, previous_plan_bonus=0.04),
    )


def with_cameras(config: ExperimentConfig) -> ExperimentConfig:
    """The same experiment without LiDAR, of which no file is read: TransFuser is its latent variant.

    Raises OpenPairError for networks that have no such variant.
    """
    networks = config.networks
    seeing = NetworkConfig(
        policy=networks.policy.on_cameras(),
        sampler=networks.sampler.on_cameras(),
        reward_model=networks.reward_model.on_cameras(),
    )
    return replace(config, features=replace(config.features, lidar=False), networks=seeing)


def is_small(config: ExperimentConfig) -> bool:
    """Whether an experiment's networks are the demo's size."""
    return config.features != FeatureConfig.published()


def published_diffusion_drive_training() -> ImitationConfig:
    """DiffusionDrive's own: 100 epochs of navtrain on 8 GPUs, batch 64 per GPU, AdamW 6e-4, 3 epochs of warm-up."""
    batch_size = 8 * 64
    steps_per_epoch = 103_288 // batch_size
    optimiser = OptimiserConfig(
        learning_rate=6e-4, weight_decay=1e-4, warmup_steps=3 * steps_per_epoch, final_fraction=1e-6 / 6e-4
    )
    return ImitationConfig(100 * steps_per_epoch, batch_size, optimiser, precision="bfloat16")


PUBLISHED_IMITATION: dict[str, Callable[[], ImitationConfig]] = {"diffusiondrive": published_diffusion_drive_training}
"""Training of policies whose publication trains otherwise than TransFuser's."""

BASES: dict[str, Callable[[], ExperimentConfig]] = {"demo": demo, "quick": quick, "published": published}
"""Experiments by name, with TransFuser, our sampler and our reward model."""

Variation = Callable[[ExperimentConfig], ExperimentConfig]

NAMED_VARIATIONS: dict[str, dict[str, Variation]] = {
    "policy": {},
    "sampler": {
        "no_tree_offsets": partial(with_network, part="sampler", kind="flat"),
        "no_tree_whole": with_whole_trajectories,
        **{f"group_{size}": partial(with_group_size, size=size) for size in (12, 9, 5)},
    },
    "reward_model": {},
}
"""Presets of networks that are called otherwise than their kind, by part."""


KNOWN = "_known"
"""What a preset ends with where networks read the truth."""

CAMERA = "_camera"
"""What a preset ends with where networks read cameras, but no LiDAR."""

INPUTS: dict[str, Variation] = {KNOWN: with_known, CAMERA: with_cameras}
"""What networks read, by the end of a preset; of sensors that have no such end, cameras and LiDAR."""

SENSORS_ONLY = ("diffusiondrive", "rwm")
"""Networks that read sensors alone."""

WITHOUT_PRESET = ("transfuser", "kinematic", "pose_aware", "flat", "corrector")
"""The networks of every base, and those of :data:`NAMED_VARIATIONS`."""


def variations(part: str) -> dict[str, Variation]:
    """Other networks in the place of the base's, by the name that a preset takes: those of registered kinds, of other
    packages too, and named ones. Nothing is imported."""
    kinds = {kind: partial(with_network, part=part, kind=kind) for kind in PARTS[part] if kind not in WITHOUT_PRESET}
    return {**kinds, **NAMED_VARIATIONS[part]}


def preset_names() -> tuple[str, ...]:
    """Every preset: demo, demo_known, demo_diffusiondrive, demo_diffusiondrive_group_9_rwm ..."""
    chosen = product(*(("", *(f"_{name}" for name in variations(part))) for part in PARTS))
    sensors = ["".join(names) for names in chosen]
    suffixes = [*sensors, *(suffix + CAMERA for suffix in sensors)]
    suffixes += [suffix + KNOWN for suffix in sensors if not any(f"_{name}" in suffix for name in SENSORS_ONLY)]
    return tuple(base + suffix for base in BASES for suffix in suffixes)


def preset(name: str) -> ExperimentConfig:
    """An experiment by name: of :data:`BASES`, followed by :func:`variations`, at most one for each part, in
    order, and by one of :data:`INPUTS`.

    Raises OpenPairError for an unknown one.
    """
    end = next((end for end in INPUTS if name.endswith(end)), "")
    base, _, rest = name.removesuffix(end).partition("_")
    changes = _changes(f"_{rest}" if rest else "", list(PARTS))
    if base not in BASES or changes is None:
        known = [f"_{variation}" for part in PARTS for variation in variations(part)] + list(INPUTS)
        raise OpenPairError(
            f"there is no preset '{name}'",
            where="--preset",
            fix=f"Give {', '.join(BASES)}, followed by any of {', '.join(known)}, in order",
        )
    config = BASES[base]()
    for change in [*changes, *([INPUTS[end]] if end else [])]:
        config = change(config)
    return replace(config, name=name)


def _changes(suffix: str, parts: Sequence[str]) -> list[Variation] | None:
    """What a preset's suffix asks for, one variation a part at most; None where it cannot be read."""
    if not suffix:
        return []
    if not parts:
        return None
    for name, change in variations(parts[0]).items():
        if suffix.startswith(f"_{name}"):
            further = _changes(suffix.removeprefix(f"_{name}"), parts[1:])
            if further is not None:
                return [change, *further]
    return _changes(suffix, parts[1:])
