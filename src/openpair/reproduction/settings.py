"""What ``openpair reproduce`` runs: the main comparison, a second policy, ablations. Named sizes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from openpair.configs.experiment import DEMO_CORRECTION_STEPS, ExperimentConfig, demo, preset, quick
from openpair.configs.runs import SEQUENTIAL_SCHEMES
from openpair.datatypes.settings import later
from openpair.errors import OpenPairError
from openpair.planning.changes import CandidateSource

ROOT_BONUSES = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2)
"""Bonuses of a human root [score]; the validation towns choose."""

TEMPERATURES = (0.0, 0.02, 0.03, 0.05)
"""Temperatures of the mean over candidates [score] (0: the best is taken)."""

PREVIOUS_PLAN_BONUSES = (None, 0.0, 0.02, 0.04)
"""Bonuses of the previous plan as a candidate [score] (None: it is no candidate)."""

TOLERANCE = 0.3
"""Among the pairs of both that cost at most so many points of PDMS on the validation towns, the one with the greatest
previous-plan bonus, then temperature, is taken: PDMS does not see how plans of neighbouring frames agree."""

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the way to what it learned that a tree goes at inference; the validation towns choose. 0 is the untrained
tree, which has a row of its own."""


@dataclass(frozen=True)
class TreeUse:
    """How PaIR makes candidates of its tree: the validation towns choose.

    Attributes:
        strength: share of the way to what it learned that the tree goes.
        candidates: "tree": its leaves; "wide": wide neighbours of the mean of its leaves, the root being moved there.
        reroots: so many times the root first becomes the mean of the tree around it.
        correction: share of the way that the corrector moves the chosen plan.
    """

    strength: float
    candidates: CandidateSource = "tree"
    reroots: int = 0
    correction: float = 0.0

    @property
    def label(self) -> str:
        """For readers, and in names of validation tables."""
        if self.correction:
            return f"{self.candidates} neighbours, corrected by {100 * self.correction:g}%"
        moved = "" if not self.reroots else f", root moved {self.reroots} times" if self.reroots > 1 else ", root moved"
        return f"strength {self.strength:.2f}{moved}" + (", wide neighbours" if self.candidates == "wide" else "")


REROOTS = (1, 2, 3)
"""How often a root moves to the mean of the tree around it; the validation towns choose."""

TREE_USES = (
    *(TreeUse(strength) for strength in STRENGTHS),
    *(TreeUse(strength, source, k) for source in ("tree", "wide") for k in REROOTS[:2] for strength in STRENGTHS),
)
CORRECTIONS = (0.5, 1.0)
"""Shares of the way that a corrector moves chosen plans; the validation towns choose."""

CORRECTED_USES = tuple(TreeUse(1.0, "wide", correction=share) for share in CORRECTIONS)
"""Uses of a corrector: it has the last word over what the reward model chooses among wide neighbours."""

EVERY_USE = (*TREE_USES, *CORRECTED_USES)

MEAN_USES = tuple(TreeUse(strength, "none", k) for k in REROOTS for strength in STRENGTHS)
"""Ways to the mean of the tree as the plan, without a reward model."""


@dataclass(frozen=True)
class ReproductionConfig:
    """A reproduction.

    Attributes:
        name: of the size.
        experiment: data, networks and training of every scheme.
        second_policy: preset whose imitation policy is plugged in without retraining anything else; "" for none.
        second_policy_steps: steps of its imitation.
        ablations: name of the table -> rows: name -> preset of another RL branch, trained and judged on validation.
        ablation_seeds: for so many of the seeds they are trained.
        test_scenes: so many scenes of the test towns; None for all.
        correct: train a corrector, too.
        budget: length of training, in multiples of the demo's.
        drives: split -> so many of its logs are driven in closed loop (None: all).
    """

    name: str
    experiment: ExperimentConfig
    second_policy: str = "demo_diffusiondrive"
    second_policy_steps: int = 300
    ablations: dict[str, dict[str, str]] = field(default_factory=dict)
    ablation_seeds: int = 1
    test_scenes: int | None = None
    correct: bool = False
    budget: int = later(1)
    drives: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def uses(self) -> tuple[TreeUse, ...]:
        """Ways to use what reinforcement learned, of which the validation towns choose one."""
        return EVERY_USE if self.correct else TREE_USES


DRIVES = {"test": 40, "long": 20}
"""Logs of the test towns (18 s) and long routes (60 s) that are driven in closed loop."""


def world() -> ReproductionConfig:
    """The published one: the embedded world, the demo's settings, every scene of the validation towns."""
    return ReproductionConfig(
        name="world",
        experiment=replace(demo(), validation_scenes=None),
        drives=DRIVES,
        ablations={
            "ablation_tree": {
                "no tree, offsets": "demo_no_tree_offsets",
                "no tree, whole trajectory": "demo_no_tree_whole",
            },
            "ablation_group": {f"group {size}": f"demo_group_{size}" for size in (12, 9, 5)},
        },
    )


KNOWN_BUDGET = 3
"""Length of training on the known track, in multiples of the demo's, where nothing else is asked for."""


def known() -> ReproductionConfig:
    """The track without vision: networks read the truth, and train about three times as long as the demo's."""
    base = preset("demo_known")
    as_dear = {
        scheme: replace(getattr(base, scheme), steps=150)  # as many scene evaluations as reinforcement
        for scheme in SEQUENTIAL_SCHEMES
    }
    experiment = replace(
        base,
        validation_scenes=None,
        reinforcement=replace(base.reinforcement, kl_gain=0.05),
        **as_dear,
    )
    as_long = ReproductionConfig(name="known", experiment=experiment, second_policy="", correct=True, drives=DRIVES)
    return trained_longer(as_long, KNOWN_BUDGET)


def trained_longer(config: ReproductionConfig, times: int) -> ReproductionConfig:
    """A reproduction of the demo's length, every scheme of which trains so many times as long.

    Schedules of learning rate and exploration are drawn out; warm-up and the data stay as they are.
    Raises OpenPairError for fewer than one time.
    """
    if times < 1:
        raise OpenPairError(f"a budget of {times}", where="--budget", fix="Give 1 (as long as the demo) or more")
    branches = ("imitation", "reinforcement", "reward_model", "correction", *SEQUENTIAL_SCHEMES)
    longer = {
        name: replace(branch, steps=branch.steps * times // config.budget)
        for name in branches
        for branch in [getattr(config.experiment, name)]
    }
    return replace(config, experiment=replace(config.experiment, **longer), budget=times)


def gpu() -> ReproductionConfig:
    """The main comparison with sensors, ten times as long as the demo's, with a corrector: for one GPU."""
    config = replace(world(), name="gpu", second_policy="", ablations={}, correct=True)
    correction = replace(config.experiment.correction, steps=DEMO_CORRECTION_STEPS)
    config = replace(config, experiment=replace(config.experiment, correction=correction))
    return trained_longer(config, 10)


def small() -> ReproductionConfig:
    """A few steps of everything: shows that every part runs; its figures mean nothing."""
    return ReproductionConfig(
        name="small",
        experiment=quick(),
        second_policy="quick_diffusiondrive",
        second_policy_steps=3,
        test_scenes=8,
        correct=True,
        drives={"test": 1},
    )


SIZES: dict[str, Callable[[], ReproductionConfig]] = {"world": world, "known": known, "gpu": gpu, "small": small}
"""Reproductions by name."""


def reproduction(name: str, budget: int | None = None) -> ReproductionConfig:
    """A reproduction by name, trained ``budget`` times as long as the demo (None: as long as the size says).

    Raises OpenPairError for an unknown one, and for a budget below 1.
    """
    if name not in SIZES:
        raise OpenPairError(f"there is no size '{name}'", where="--size", fix=f"Give one of {', '.join(SIZES)}")
    config = SIZES[name]()
    return config if budget is None else trained_longer(config, budget)


def second_experiment(config: ReproductionConfig) -> ExperimentConfig:
    """The experiment whose imitation policy is the second one."""
    other = preset(config.second_policy)
    imitation = replace(config.experiment.imitation, steps=config.second_policy_steps)
    networks = replace(config.experiment.networks, policy=other.networks.policy)
    return replace(config.experiment, name=other.name, networks=networks, imitation=imitation)


def ablation_experiment(config: ReproductionConfig, name: str) -> ExperimentConfig:
    """The experiment of an ablation: another preset's sampler, trained as long as the main one."""
    other = preset(name)
    networks = replace(config.experiment.networks, sampler=other.networks.sampler)
    return replace(config.experiment, name=other.name, networks=networks)
