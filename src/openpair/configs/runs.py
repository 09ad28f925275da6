"""From an experiment's configuration to running branches. Functions here are picklable: branches may be processes."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from openpair.checkpoints import build_network, network_class, save_checkpoint, to_plain
from openpair.configs.experiment import ExperimentConfig, PoolConfig
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.kinds import POLICIES
from openpair.nn.registered import RegisteredNetwork
from openpair.nn.registered_config import RegisteredConfig
from openpair.nn.trunk import PerceptionTrunk
from openpair.planning.config import WIDE, PlannerConfig
from openpair.planning.judgement import JUDGED_NUMBERS, judgement_of
from openpair.planning.network_files import CORRECTOR_FILE, POLICY_FILE, REWARD_MODEL_FILE, SAMPLER_FILE
from openpair.planning.networks import features_note, load_policy, load_reward_model, load_sampler
from openpair.planning.planner import choose, choose_in
from openpair.policies.base import ImitationPolicy
from openpair.preparation.store import PreparedStore
from openpair.rewards.base import RewardModel
from openpair.rewards.config import RewardNetworkConfig
from openpair.samplers.base import Sampler
from openpair.samplers.corrector_config import CorrectorConfig
from openpair.samplers.perturbations import as_many, control_candidates, noisy_roots, perturb
from openpair.training.batch import SceneBatch
from openpair.training.branch import BatchSplit, Branch, Save
from openpair.training.candidate_pool import CandidatePool, Proposer, build_pool
from openpair.training.correction import CorrectionBranch, Judge, SeenByJudge
from openpair.training.data import EarlierScenes, StoreLocation, TrainingData
from openpair.training.division import split_for
from openpair.training.figure_log import FigureLog, LogKind, open_log
from openpair.training.fine_tuning import FineTuningBranch
from openpair.training.imitation import ImitationBranch
from openpair.training.loop import BranchRun, Listener, Progress
from openpair.training.parallel import Starter
from openpair.training.ranks import ALONE, Ranks
from openpair.training.reinforcement import ReinforcementBranch
from openpair.training.reward_model import RewardModelBranch
from openpair.training.shown_scenes import DrawShown

SEQUENTIAL_SCHEMES = ("sequential", "sequential_regularised", "iterative")
"""Schemes that fine-tune the finished imitation policy itself; what the parallel scheme is measured against."""

BRANCH_FILES = {
    "il": POLICY_FILE,
    "rl": SAMPLER_FILE,
    "reward": REWARD_MODEL_FILE,
    "correction": CORRECTOR_FILE,
    **{scheme: Path(scheme) / POLICY_FILE.name for scheme in SEQUENTIAL_SCHEMES},
}
"""Finished network of each branch, below the run folder."""

MADE_OF = {"reward": "rl", "correction": "reward", **dict.fromkeys(SEQUENTIAL_SCHEMES, "il")}
"""Branch -> the branch whose finished network it begins with."""

NEAR = 0.5
"""Width of neighbours of chosen plans, in units of the root noise."""


@dataclass(frozen=True)
class RunPlan:
    """What a branch needs to start, wherever it runs.

    Attributes:
        config: the experiment.
        train: stores of the training scenes.
        validation: stores of the validation scenes, or None.
        folder: run folder.
        anchors: file with what the policy would fit to the training scenes otherwise (DiffusionDrive's anchors).
        ranks: the processes that train the branch.
        micro_batch: at most so many scenes at once on each, 0 for any number.
        log: where figures go, beside the curve files.
    """

    config: ExperimentConfig
    train: StoreLocation
    validation: StoreLocation | None
    folder: Path
    anchors: Path | None = None
    ranks: Ranks = ALONE
    micro_batch: int = 0
    log: LogKind = "none"

    def log_of(self, folder: Path) -> FigureLog | None:
        """The log of a branch whose run folder this is, on the rank that writes. Raises OpenPairError as open_log."""
        return open_log(self.log, folder) if self.ranks.leads else None

    def draw(self) -> DrawShown | None:
        """Draws validation scenes for the log; None where nobody looks, or there are none."""
        if self.log == "none" or self.validation is None or not self.ranks.leads:
            return None
        from openpair.visualization.shown_scene import draw_shown

        return partial(draw_shown, PreparedStore(self.validation.prepared))

    def split(self, branch: str) -> BatchSplit:
        """How the batches of a branch are split; it decides no result. Raises OpenPairError where they cannot be."""
        return split_for(self.ranks, branch_settings(self.config, branch).batch_size, self.micro_batch)

    def starter(self, branch: str) -> Starter:
        """Starter of a branch (:data:`BRANCH_FILES`)."""
        return partial(_START[branch], self)

    def branch_seed(self, branch: str) -> int:
        """Seed of a branch: branches draw independently of each other."""
        return zlib.crc32(f"{self.config.seed}/{branch}".encode())

    def open(self) -> tuple[TrainingData, TrainingData | None]:
        """Both splits."""
        return self.train.open(), self.validation.open() if self.validation else None


def start_imitation(plan: RunPlan, device: str, listener: Listener) -> BranchRun:
    """The IL branch, from its last saved step."""
    train, validation = plan.open()
    policy = _fresh(plan, "il", lambda: _fresh_policy(plan, train), device)
    branch = ImitationBranch(
        policy,
        plan.config.imitation,
        train,
        validation,
        **_common(plan, "il", train),
    )
    return _run(plan, branch, train, listener)


def start_reinforcement(plan: RunPlan, device: str, listener: Listener) -> BranchRun:
    """The RL branch, from its last saved step."""
    train, validation = plan.open()
    sampler = _fresh(plan, "rl", lambda: _network_of(plan.config.networks.sampler), device)
    branch = ReinforcementBranch(
        sampler,
        plan.config.reinforcement,
        train,
        (validation, validation.reward()) if validation else None,
        reward=train.reward(),
        **_common(plan, "rl", train),
        earlier=_earlier(plan.config, train),
    )
    return _run(plan, branch, train, listener)


def start_reward_model(plan: RunPlan, device: str, listener: Listener) -> BranchRun:
    """The reward model, from its last saved step; its candidate pools are made first, where they are not there yet."""
    train, validation = plan.open()
    sampler = load_sampler(plan.folder / SAMPLER_FILE).to(device)
    pools = {
        name: _pool(plan, name, data, sampler, device, listener)
        for name, data in (("train", train), ("validation", validation))
        if data is not None
    }
    model = _fresh(plan, "reward", lambda: _network_of(reward_model_config(plan.config)), device)
    if plan.config.reward_model.start_from_sampler and isinstance(sampler, PerceptionTrunk):
        copy_trunk(sampler, model)
    branch = RewardModelBranch(
        model,
        plan.config.reward_model,
        train,
        pools["train"],
        (validation, pools["validation"]) if validation else None,
        **_common(plan, "reward", train),
        refresh=_refresher(plan, train, sampler, device, listener),
    )
    return _run(plan, branch, train, listener)


def start_correction(plan: RunPlan, device: str, listener: Listener) -> BranchRun:
    """The branch that corrects what the finished reward model of the run chooses, from its last saved step."""
    train, validation = plan.open()
    settings = plan.config.correction
    model = load_reward_model(plan.folder / REWARD_MODEL_FILE).to(device)
    corrector = _fresh(plan, "correction", lambda: _network_of(corrector_config(plan.config)), device)
    assert isinstance(model, PerceptionTrunk)
    copy_trunk(model, corrector)
    branch = CorrectionBranch(
        judge_of(model.eval(), settings.temperature),
        corrector,
        settings,
        train,
        (validation, validation.reward()) if validation else None,
        reward=train.reward(),
        **_common(plan, "correction", train),
        earlier=_earlier(plan.config, train),
    )
    return _run(plan, branch, train, listener, of=REWARD_MODEL_FILE)


def judge_of(model: RewardModel, temperature: float) -> Judge:
    """A reward model that chooses among wide neighbours of roots, at this temperature."""
    config = PlannerConfig(candidates="wide", temperature=temperature)

    @torch.no_grad()
    def see(features: Mapping[str, Tensor]) -> SeenByJudge:
        context = model.encode(features)

        def chosen(root: Tensor) -> Tensor:
            return choose_in(context, root, control_candidates(root, WIDE), model, config).plan

        return SeenByJudge(chosen, judgement_of(model, context))

    return see


def start_sequential(scheme: str, plan: RunPlan, device: str, listener: Listener) -> BranchRun:
    """A sequential scheme, from its last saved step; it begins with the finished imitation policy of the run."""
    train, validation = plan.open()
    settings = getattr(plan.config, scheme)
    policy, reference = (load_policy(plan.folder / POLICY_FILE).to(device) for _ in range(2))
    branch = FineTuningBranch(
        scheme,
        policy,
        reference,
        settings,
        train,
        (validation, validation.reward()) if validation else None,
        reward=train.reward(),
        **_common(plan, scheme, train),
    )
    return _run(plan, branch, train, listener, of=POLICY_FILE)


_START: dict[str, Callable[[RunPlan, str, Listener], BranchRun]] = {
    "il": start_imitation,
    "rl": start_reinforcement,
    "reward": start_reward_model,
    "correction": start_correction,
    **{scheme: partial(start_sequential, scheme) for scheme in SEQUENTIAL_SCHEMES},
}


def branch_settings(config: ExperimentConfig, branch: str) -> Any:
    """The training settings of a branch: all have ``steps``, ``batch_size`` and ``optimiser``."""
    named = {"il": "imitation", "rl": "reinforcement", "reward": "reward_model"}
    return getattr(config, named.get(branch, branch))


def reward_model_config(config: ExperimentConfig) -> RewardNetworkConfig:
    """The experiment's reward model, which may combine its sub-scores as the experiment's reward does."""
    model = config.networks.reward_model
    return model.for_reward(config.protocol, extended_comfort=config.extended_comfort_reward)


def corrector_config(config: ExperimentConfig) -> CorrectorConfig:
    """The corrector of an experiment: it has the reward model's encoder. Raises OpenPairError where that one has none
    that can be taken."""
    trunk = getattr(config.networks.reward_model, "trunk", None)
    if trunk is None:
        raise OpenPairError(
            f"the reward model '{config.networks.reward_model.kind}' has no encoder that a corrector could begin with",
            where="correction",
            fix="Take a preset with the pose-aware reward model",
        )
    return CorrectorConfig.of_trunk(trunk, judged=JUDGED_NUMBERS)


def _earlier(config: ExperimentConfig, data: TrainingData) -> EarlierScenes | None:
    """The scenes before those of a split, where extended comfort is a part of the reward.

    Raises OpenPairError where it cannot be: another protocol, or stores without those scenes.
    """
    if not config.extended_comfort_reward:
        return None
    if config.protocol is not Protocol.V2_2:
        raise OpenPairError(
            "extended comfort is no part of v1.1", where="extended_comfort_reward", fix="Add --protocol v2.2"
        )
    if data.earlier is None:
        raise OpenPairError(
            "the stores hold no scenes half a second before the others", where="extended_comfort_reward"
        )
    return data.earlier


def _network_of(config: RegisteredConfig) -> nn.Module:
    """A fresh network of the kind that the class of its configuration says."""
    return build_network(config.kind, config)


def _fresh_policy(plan: RunPlan, train: TrainingData) -> ImitationPolicy:
    """The policy of the configuration, with what it fits to the training scenes."""
    config = plan.config.networks.policy
    policy_class = network_class(config.kind, POLICIES)
    assert issubclass(policy_class, ImitationPolicy)
    return policy_class.from_training(config, train, seed=plan.config.seed, fitted=plan.anchors)


def fingerprint(plan: RunPlan, train: TrainingData, settings: Any) -> str:
    """Changes with whatever decides the weights of a branch: seed, features, networks, its settings, its data."""
    config = plan.config
    parts = [config.seed, config.protocol, config.features, config.networks, settings, config.loop]
    parts += ["extended comfort"] if config.extended_comfort_reward else []
    given = [] if plan.anchors is None else [_file_hash(plan.anchors)]
    text = json.dumps([*(to_plain(part, unused=False) for part in parts), train.fingerprint(), *given])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _run(
    plan: RunPlan, branch: Branch, train: TrainingData, listener: Listener, *, of: Path | None = None
) -> BranchRun:
    """A branch in its folder, from its last saved step; ``of`` is the file of the network that it begins with."""
    settings = branch_settings(plan.config, branch.name)
    identity = fingerprint(plan, train, settings if of is None else [settings, _file_hash(plan.folder / of)])
    folder = plan.folder / branch.name
    return BranchRun(branch, folder, plan.config.loop, identity, listener, plan.log_of(folder), plan.draw())


def _common(plan: RunPlan, branch: str, train: TrainingData) -> dict[str, Any]:
    """What every branch is made with: its seed, how it is saved, how its batches are split."""
    return {"seed": plan.branch_seed(branch), "save": _saver(plan, branch, train), "split": plan.split(branch)}


def _fresh(plan: RunPlan, branch: str, build: Callable[[], nn.Module], device: str) -> Any:
    """A network with the initial weights that the seed gives this branch."""
    torch.manual_seed(plan.branch_seed(branch))
    return build().to(device)


def _saver(plan: RunPlan, branch: str, train: TrainingData) -> Save:
    def save(folder: Path, network: nn.Module, metrics: dict[str, float]) -> None:
        assert isinstance(network, RegisteredNetwork)
        save_checkpoint(
            folder / BRANCH_FILES[branch].name,
            network,
            seed=plan.config.seed,
            metrics=metrics,
            notes={**features_note(plan.config.features), "data": train.fingerprint(), "preset": plan.config.name},
        )

    return save


def _pool(
    plan: RunPlan, name: str, data: TrainingData, sampler: Sampler, device: str, listener: Listener
) -> CandidatePool:
    """The scored candidates of a split: read where they are there, made otherwise."""
    settings = plan.config.pool
    sampler_hash = _file_hash(plan.folder / SAMPLER_FILE)
    parts = [to_plain(settings, unused=False), plan.branch_seed("reward"), data.fingerprint(), sampler_hash]
    identity = json.dumps([*parts, "extended comfort"] if plan.config.extended_comfort_reward else parts)
    path = plan.folder / "reward" / f"pool-{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.safetensors"
    ranks = plan.ranks
    if not ranks.of_leader(path.exists()):
        pool = build_pool(
            data,
            data.reward(threads=torch.get_num_threads()),
            proposer(settings, sampler.eval(), device),
            seed=plan.branch_seed("reward"),
            earlier=_earlier(plan.config, data),
            on_progress=_from_leader(ranks, listener, f"candidates {name}"),
            ranks=ranks,
        )
        _save_pool(ranks, pool, path)
    return CandidatePool.load(path)


def _save_pool(ranks: Ranks, pool: CandidatePool, path: Path) -> None:
    """Write a pool on the rank that writes; the others wait for it."""
    if ranks.leads:
        pool.save(path)
    ranks.of_leader(None)


def _from_leader(ranks: Ranks, listener: Listener, what: str) -> Callable[[int, int], None]:
    """Tells a listener how far a pool is, on the rank that writes."""
    return lambda done, total: listener(Progress(what, done, total, {})) if ranks.leads else None


def _refresher(
    plan: RunPlan, train: TrainingData, sampler: Sampler, device: str, listener: Listener
) -> Callable[[RewardModel, int, bool], CandidatePool]:
    """Makes the sets that the reward model proposes in the course of its training; they are kept beside its state."""
    identity = fingerprint(plan, train, [plan.config.reward_model, plan.config.pool])

    def refresh(model: RewardModel, number: int, may_build: bool) -> CandidatePool:
        path = plan.folder / "reward" / f"refresh-{number}-{identity}.safetensors"
        ranks = plan.ranks
        if not ranks.of_leader(path.exists()):
            if not may_build:
                raise OpenPairError(
                    "candidates that the reward model learned from are no longer there",
                    where=path,
                    fix="Delete the folder to train the reward model again",
                )
            pool = build_pool(
                train,
                train.reward(threads=torch.get_num_threads()),
                choices_proposer(plan.config.pool, sampler.eval(), model.eval(), device),
                seed=zlib.crc32(f"{plan.branch_seed('reward')}/{number}".encode()),
                earlier=_earlier(plan.config, train),
                on_progress=_from_leader(ranks, listener, f"refresh {number}"),
                ranks=ranks,
            )
            _save_pool(ranks, pool, path)
        return CandidatePool.load(path)

    return refresh


def choices_proposer(settings: PoolConfig, sampler: Sampler, model: RewardModel, device: str) -> Proposer:
    """Candidate sets around what a reward model chooses today, each from a tree around a root of its own.

    By turns the tree grown around the chosen plan, and its smooth neighbours, nearer than those of the first pool: what
    the model likes too much is there to be scored exactly. The last candidate of a set is the chosen plan.
    """
    num_leaves = sampler.layout.num_leaves
    near = settings.root_noise.smooth.scaled(NEAR)

    def propose(batch: SceneBatch, generator: torch.Generator) -> Tensor:
        features = {name: value.to(device) for name, value in batch.features.items()}
        context = sampler.encode(features, perceive=False)

        def tree(_: Mapping[str, Tensor], root: Tensor) -> Tensor:
            return sampler.mean_leaves(context, root, strength=settings.tree_strength)

        sets = []
        for number in range(settings.refresh_sets):
            human, status = batch.targets["trajectory"], batch.features["status_feature"]
            root = noisy_roots(human, status, settings.root_noise, generator).to(device)
            chosen = choose(features, root, tree, model, PlannerConfig(temperature=settings.temperature)).plan
            around = (
                tree(features, chosen)
                if number % 2 == 0
                else perturb(chosen, near, num_samples=num_leaves, generator=generator)
            )
            sets.append(torch.cat([around, chosen[:, None]], dim=1).cpu())
        return torch.stack(sets, dim=1)

    return propose


def proposer(settings: PoolConfig, sampler: Sampler, device: str) -> Proposer:
    """Candidate sets of a scene, each around a root of its own: a moved human plan. All are as large as the tree's."""
    num_leaves = sampler.layout.num_leaves

    def propose(batch: SceneBatch, generator: torch.Generator) -> Tensor:
        features = {name: value.to(device) for name, value in batch.features.items()}
        context = sampler.encode(features)

        def tree(root: Tensor) -> Tensor:
            return sampler.mean_leaves(context, root.to(device), strength=settings.tree_strength).cpu()

        def wide(root: Tensor) -> Tensor:
            noise = settings.root_noise.smooth.scaled(WIDE)
            return perturb(root, noise, num_samples=num_leaves, generator=generator)

        def mild(root: Tensor) -> Tensor:
            return as_many(control_candidates(root), num_leaves)

        kinds = [tree] * settings.tree_sets + [mild] * settings.mild_sets + [wide] * settings.wide_sets
        sets = []
        for grow in kinds:
            human, status = batch.targets["trajectory"], batch.features["status_feature"]
            root = noisy_roots(human, status, settings.root_noise, generator)
            sets.append(torch.cat([grow(root), root[:, None]], dim=1))
        return torch.stack(sets, dim=1)

    return propose


def copy_trunk(source: PerceptionTrunk, target: nn.Module) -> list[str]:
    """Copy encoder, decoder and perception heads from one network to another, as far as it has them.

    Returns the names of the parameters that were copied: all that both have, in the same shape.
    """
    given, own = source.state_dict(), target.state_dict()
    shared = [name for name, value in own.items() if name in given and given[name].shape == value.shape]
    target.load_state_dict({**own, **{name: given[name] for name in shared}})
    return shared


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
