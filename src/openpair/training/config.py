"""Settings of the branches' training and of the loop that they run through. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from openpair.datatypes.settings import later
from openpair.rl.config import SOFT_TEMPERATURE
from openpair.samplers.perturbation_config import PerturbationConfig, RootNoise


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with warm-up and cosine decay.

    Attributes:
        learning_rate: peak learning rate.
        weight_decay: decoupled weight decay; not applied to biases, norms and embeddings (tensors of one dimension).
        warmup_steps: steps of linear warm-up.
        final_fraction: share of the peak rate that is left at the last step.
        clip_norm: gradients are scaled down to this norm.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 50
    final_fraction: float = 0.02
    clip_norm: float = 5.0


Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class LoopConfig:
    """How often a run logs, validates and saves.

    Attributes:
        log_every: steps between two logged means of the training figures.
        validate_every: steps between two validations; 0 validates only at the end.
        save_every: steps between two saved states.
        save_seconds: time between two saved states at most; what an interruption costs [s].
        average: decay a step of a moving average of the weights, which is validated and exported then; 0 for none.
        keep_best: keep the network with the best figure of the validation scenes, in BRANCH/best.
        keep_last: so many networks of the last validations are kept, in BRANCH/snapshots.
    """

    log_every: int = 20
    validate_every: int = 0
    save_every: int = 100
    save_seconds: float = later(180.0)
    average: float = later(0.0)
    keep_best: bool = later(False)
    keep_last: int = later(0)


@dataclass(frozen=True)
class ImitationConfig:
    """Settings of the imitation branch.

    Attributes:
        steps: optimiser steps.
        batch_size: scenes per step.
        optimiser: learning rate and schedule.
        precision: of the forward pass.
    """

    steps: int = 1500
    batch_size: int = 16
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    precision: Precision = "float32"


@dataclass(frozen=True)
class ReinforcementConfig:
    """Settings of the reinforcement branch.

    Attributes:
        steps: batches of scenes; each is drawn, scored and learned from ``updates_per_batch`` times.
        batch_size: scenes per step.
        trees_per_scene: S, trees drawn per scene.
        updates_per_batch: optimiser steps on the same trees; from the second on the clipped ratio differs from 1.
        advantage: name of the estimator, of leaves (:data:`openpair.rl.advantages.ESTIMATORS`) or of nodes
            (:data:`openpair.rl.tree_advantages.NODE_ESTIMATORS`).
        soft_temperature: ``best_of_set_soft``: temperature of the soft best, in units of score.
        per_code_weight: ``mixed``: share of the per-code advantage beside the best of the set.
        clip_range: of the probability ratio.
        sigma_start: exploration at the first step, raw action units.
        sigma_end: exploration at the last step.
        kl_weight: start value of the dynamic KL weight.
        kl_target: KL per node that the dynamic weight aims at [nat].
        kl_gain: gain of the weight's proportional control (:func:`openpair.rl.grpo.steered_kl_weight`); 0 moves it by
            steps of 1.5 instead (:func:`openpair.rl.grpo.adapt_kl_weight`).
        kl_reference: ``prior``: the policy at the start of training; ``old``: the policy before the update (the paper),
            which holds nothing back where ``updates_per_batch`` is 1.
        imitation_weight: weight of the L1 between the human plan and the nearest leaf of the tree at its mean [1/m].
        perception_weight: weight of the encoder's perception losses.
        root_noise: how far the human plan is moved before it becomes the root.
        optimiser: learning rate and schedule.
        precision: of the encoder's forward pass.
        validation_scenes: at most so many scenes are used to validate.
        strength: share of the way to what was learned that leaves go where the tree is judged at its mean.
    """

    steps: int = 800
    batch_size: int = 16
    trees_per_scene: int = 4
    updates_per_batch: int = 1
    advantage: str = "covering"
    soft_temperature: float = later(SOFT_TEMPERATURE)
    per_code_weight: float = later(0.0)
    clip_range: float = 0.2
    sigma_start: float = 0.8
    sigma_end: float = 0.4
    kl_weight: float = 0.1
    kl_target: float = 3.0
    kl_reference: Literal["prior", "old"] = "prior"
    imitation_weight: float = 0.0
    perception_weight: float = 0.1
    root_noise: RootNoise = field(default_factory=RootNoise)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    precision: Precision = "float32"
    validation_scenes: int = 128
    strength: float = later(1.0)
    kl_gain: float = later(0.0)


@dataclass(frozen=True)
class CorrectionConfig(ReinforcementConfig):
    """Settings of the branch that corrects chosen plans: those of reinforcement, with one leaf a tree.

    Attributes:
        temperature: at which the reward model takes the mean of candidates [score]; 0 takes the best.
    """

    steps: int = 1500
    batch_size: int = 32
    trees_per_scene: int = 32
    advantage: str = "per_code_scene"
    sigma_start: float = 0.5
    sigma_end: float = 0.3
    kl_weight: float = 0.03
    kl_target: float = 0.3
    kl_gain: float = 0.05
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-4))
    temperature: float = 0.05


@dataclass(frozen=True)
class RewardModelConfig:
    """Settings of the reward model's training.

    Attributes:
        steps: optimiser steps.
        batch_size: scenes per step.
        sets_per_step: candidate sets of a scene that a step looks at.
        refreshes: how often in the course of training a part of the pool is replaced by sets around what the model
            chooses at that moment (closed loop), evenly spread over the steps; 0 leaves the pool as it is.
        start_from_sampler: begin with the encoder of the RL branch instead of a fresh one. It has learned to perceive
            already, and knows nothing of any imitation policy.
        optimiser: learning rate and schedule.
        precision: of the encoder's forward pass.
    """

    steps: int = 1000
    batch_size: int = 16
    sets_per_step: int = 2
    start_from_sampler: bool = True
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    precision: Precision = "float32"
    refreshes: int = later(0)


@dataclass(frozen=True)
class FineTuningConfig:
    """Settings of a sequential scheme.

    Attributes:
        steps: optimiser steps with reinforcement; phases of imitation come on top.
        batch_size: scenes per step.
        samples_per_scene: plans drawn, scored and compared per scene.
        exploration: size of the smooth changes that one unit of noise makes.
        sigma_start, sigma_end: noise at the first and the last step, in units of ``exploration``.
        updates_per_batch: optimiser steps on the same samples.
        clip_range: of the probability ratio.
        kl_weight: start value of the dynamic weight of the KL to the imitation policy; 0 leaves it out.
        kl_target: KL that the dynamic weight aims at [nat].
        imitation_weight: weight of the imitation loss beside the reward: the regulariser.
        imitation_phase: iterative scheme: after as many steps of reinforcement follow as many of pure imitation.
        optimiser: learning rate and schedule.
        precision: of the forward pass.
        validation_scenes: at most so many scenes are used to validate.
    """

    steps: int = 350
    batch_size: int = 16
    samples_per_scene: int = 60
    exploration: PerturbationConfig = field(default_factory=PerturbationConfig)
    sigma_start: float = 1.0
    sigma_end: float = 0.5
    updates_per_batch: int = 1
    clip_range: float = 0.2
    kl_weight: float = 0.0
    kl_target: float = 1.0
    imitation_weight: float = 0.0
    imitation_phase: int = 0
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-4))
    precision: Precision = "float32"
    validation_scenes: int = 128

    @property
    def total_steps(self) -> int:
        """Optimiser steps in all, phases of imitation included."""
        return self.steps * (2 if self.imitation_phase else 1)
