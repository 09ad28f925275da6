"""From nothing to results: data, training of every scheme for every seed, choices on validation, plans, scores, page.

Training resumes, scores are kept, and both are skipped where they are done; plans and figures of the validation towns
are made anew. The test towns are opened only when everything is trained and chosen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from openpair.checkpoints import to_plain
from openpair.checksums import sealed_json
from openpair.configs.experiment import ExperimentConfig
from openpair.configs.runs import BRANCH_FILES, MADE_OF, SEQUENTIAL_SCHEMES, RunPlan
from openpair.configs.train import check_same_settings, keep_settings
from openpair.features.cache import FeatureStore
from openpair.files import write_atomically
from openpair.planning.networks import TrainedNetworks, load_policy, load_reward_model, load_sampler
from openpair.planning.planner_file import StoredPlanner
from openpair.policies.base import ImitationPolicy
from openpair.pools import OnProgress
from openpair.reproduction.agents import BASE, MODE_OF_AGENT
from openpair.reproduction.choices import CHOICES, HUMAN_PAIR, PAIR, Choices, choose_all
from openpair.reproduction.drives import drive_all
from openpair.reproduction.planning import Before, PlannedAgent, plan_all
from openpair.reproduction.provenance import RUN_FILE, TIMING_FILE, read_seconds, record_seed
from openpair.reproduction.scoring import PLANS, neighbours_in_time, score_seed, seed_folder, with_predecessors
from openpair.reproduction.settings import SIZES, ReproductionConfig, ablation_experiment, second_experiment
from openpair.reproduction.validation import validate_seed
from openpair.samplers.perturbations import NUM_CONTROL_CANDIDATES
from openpair.training.data import DataSpec, StoreLocation, build_features_of, build_training_data
from openpair.training.loop import BranchRun, Listener, Progress
from openpair.training.parallel import BranchJob, Starter, train_concurrently, train_interleaved

SECOND = "diffusiondrive"
ABLATIONS = "ablations"


@dataclass(frozen=True)
class Reproduction:
    """A reproduction on its way.

    Attributes:
        config: what is run.
        run: folder for everything it makes.
        seeds: seeds of the experiment.
        workers: processes.
        on_progress: told (what, done, total).
        devices: where networks are trained, by turns; the rest is done on the CPU.
        chosen: choices of another reproduction, which hold here, too; None to choose on the validation towns.
    """

    config: ReproductionConfig
    run: Path
    seeds: tuple[int, ...]
    workers: int
    on_progress: OnProgress
    devices: tuple[str, ...] = ("cpu",)
    chosen: Choices | None = None

    @property
    def schemes(self) -> tuple[str, ...]:
        """Sequential schemes that are trained: all, or the one that was chosen."""
        return SEQUENTIAL_SCHEMES if self.chosen is None else (self.chosen.sequential,)

    def spec(self, split: str) -> DataSpec:
        """Scenes of a split of the embedded world."""
        experiment = self.config.experiment
        limits = {
            "train": experiment.train_scenes,
            "val": experiment.validation_scenes,
            "test": self.config.test_scenes,
        }
        return DataSpec(options={"split": split, "max_scenes": limits[split]})

    def stores(self) -> dict[str, StoreLocation]:
        """Scenes to learn from and to choose on, prepared once for all seeds."""
        experiment = self.config.experiment
        return {
            split: build_training_data(
                self.spec(split),
                self.run / "data" / split,
                experiment.features,
                experiment.protocol,
                workers=self.workers,
                on_progress=partial(self._tell_of, split),
            )
            for split in ("train", "val")
        }

    def features(self, split: str) -> FeatureStore:
        """What the networks see of a split, half a second before each scene included."""
        folder = build_features_of(
            with_predecessors(self.spec(split)),
            self.run / "data" / split,
            self.config.experiment.features,
            workers=self.workers,
            on_progress=partial(self._tell_of, split),
        )
        return FeatureStore(folder)

    def before(self, split: str) -> Before:
        """Which scene of a split lies half a second before which."""
        return neighbours_in_time(with_predecessors(self.spec(split)).open())

    def _tell_of(self, where: str, what: str, done: int, total: int) -> None:
        self.on_progress(f"{what} ({where})", done, total)

    def experiment(self, seed: int, base: ExperimentConfig | None = None) -> ExperimentConfig:
        """An experiment with a seed."""
        return replace(base or self.config.experiment, seed=seed)

    def train(self, seed: int, *, ablations: bool = False) -> None:
        """Train every scheme of a seed, or every ablation; what is trained already is left as it is."""
        stores = self.stores()
        self.keep_settings(seed, stores)
        find = ablation_jobs if ablations else training_jobs
        jobs = [
            replace(job, threads=1, device=self.devices[number % len(self.devices)])
            for number, job in enumerate(find(self, seed, stores))
        ]
        left = jobs_left(self.run, seed, jobs)

        def tell(progress: Progress) -> None:
            self.on_progress(f"seed {seed} {progress.branch}", progress.step, progress.total_steps)

        if self.workers > 1:
            train_concurrently(left, tell, at_once=self.workers)
        else:  # one by one, in this process: each of its own would begin with seconds of imports
            for job in left:
                train_interleaved([job], tell)
        self.note_seconds(seed, {job.name: branch_seconds(self.run, seed, job.name) for job in jobs})

    def keep_settings(self, seed: int, stores: dict[str, StoreLocation]) -> None:
        """Write the configuration beside the networks, and what made them."""
        folder = seed_folder(self.run, seed)
        folder.mkdir(parents=True, exist_ok=True)
        check_same_settings(self.experiment(seed), folder)
        keep_settings(self.experiment(seed), folder)
        if not (folder / RUN_FILE).exists():
            record_seed(
                self.run,
                seed,
                command=self.command(),
                configuration=to_plain(replace(self.config, experiment=self.experiment(0))),
                data={split: location.open().fingerprint() for split, location in stores.items()},
            )

    def command(self) -> str:
        """What was typed, without paths and machines."""
        usual = SIZES[self.config.name]().budget
        budget = "" if self.config.budget == usual else f" --budget {self.config.budget}"
        given = "" if self.chosen is None else f" --choices {CHOICES}"
        seeds = " ".join(map(str, self.seeds))
        return f"openpair reproduce --size {self.config.name}{budget}{given} --seeds {seeds}"

    def note_seconds(self, seed: int, seconds: dict[str, float]) -> None:
        """Add to the seed's timing.json; a part that is done again keeps the time of its first run."""
        path = seed_folder(self.run, seed) / TIMING_FILE
        known = read_seconds(self.run, seed)
        write_atomically(path, sealed_json(dict(sorted({**seconds, **known}.items())), end="\n", indent=2))

    @contextmanager
    def timed(self, seed: int, part: str) -> Iterator[None]:
        """Note how long a part of a seed takes."""
        started = time.perf_counter()
        yield
        self.note_seconds(seed, {part: time.perf_counter() - started})

    def validate(self) -> Choices:
        """Judge every agent and ablation on the validation towns, and choose what is left to choose."""
        validation = self.stores()["val"].open()
        store, before = self.features("val"), self.before("val")
        for seed in self.seeds:
            with self.timed(seed, "validation"):
                agents = agents_of_seed(self, seed, Choices())
                validate_seed(
                    seed_folder(self.run, seed),
                    agents,
                    ablation_agents(self, seed, next(agent for agent in agents if agent.name == PAIR)),
                    validation,
                    store,
                    before,
                    uses=self.config.uses,
                    on_progress=partial(self.on_progress, f"seed {seed} validation"),
                )
        choices = choose_all([seed_folder(self.run, seed) for seed in self.seeds], self.config.uses)
        self.keep_choices(choices)
        return choices

    def keep_choices(self, choices: Choices) -> None:
        """Write what was chosen, and beside each seed's networks how they plan."""
        choices.write(self.run / CHOICES)
        for seed in self.seeds:
            self.stored_planner(choices).write(seed_folder(self.run, seed))

    def stored_planner(self, choices: Choices) -> StoredPlanner:
        """How a seed's networks plan once something is chosen."""
        return choices.planner(self.config.experiment.pool.tree_strength)

    def plan(self, choices: Choices) -> None:
        """Plans of every agent on the test scenes."""
        store, before = self.features("test"), self.before("test")
        for seed in self.seeds:
            if seed == self.seeds[0]:
                self.keep_leaves(seed, store, choices)
            with self.timed(seed, "plans"):
                plan_all(
                    agents_of_seed(self, seed, choices),
                    store,
                    seed_folder(self.run, seed) / PLANS,
                    before=before,
                    on_progress=partial(self.on_progress, f"seed {seed} plans"),
                )

    def keep_leaves(self, seed: int, store: FeatureStore, choices: Choices) -> None:
        """All leaves of the main agent on the test scenes, for the pictures of scenes."""
        pair = next(agent for agent in agents_of_seed(self, seed, choices) if agent.name == PAIR)
        config = replace(pair.config, best_of=NUM_CONTROL_CANDIDATES, previous_plan_bonus=None, correction=0.0)
        plan_all([pair.changed(PAIR, config)], store, seed_folder(self.run, seed) / "leaves")

    def drive(self, choices: Choices) -> None:
        """Closed loop in the test towns."""
        drive_all(
            self.run,
            self.seeds,
            choices,
            self.config.drives,
            workers=self.workers,
            on_progress=self._tell_of,
        )

    def score(self) -> None:
        """Exact scores of all plans."""
        for seed in self.seeds:
            with self.timed(seed, "scores"):
                score_seed(
                    self.run,
                    seed,
                    spec=self.spec("test"),
                    stores=self.run / "data" / "test",
                    workers=self.workers,
                    on_progress=self.on_progress,
                )


def start_named(starter: Starter, name: str, device: str, listener: Listener) -> BranchRun:
    """A branch that reports under the name of its job: several branches of one kind train at the same time."""
    return starter(device, lambda p: listener(Progress(f"{name} {p.branch}", p.step, p.total_steps, p.figures)))


def training_jobs(reproduction: Reproduction, seed: int, stores: dict[str, StoreLocation]) -> Iterator[BranchJob]:
    """All that is trained for a seed. Both branches of the parallel scheme come first, then what builds on them."""
    folder = seed_folder(reproduction.run, seed)
    config = reproduction.config

    def job(name: str, branch: str, experiment: ExperimentConfig, where: Path) -> BranchJob:
        plan = RunPlan(reproduction.experiment(seed, experiment), stores["train"], stores["val"], where)
        after = (MADE_OF[branch],) if branch in MADE_OF else ()
        return BranchJob(name, partial(start_named, plan.starter(branch), name), after=after)

    yield job("il", "il", config.experiment, folder)
    yield job("rl", "rl", config.experiment, folder)
    yield job("reward", "reward", config.experiment, folder)
    if config.correct:
        yield job("correction", "correction", config.experiment, folder)
    for scheme in reproduction.schemes:
        yield job(scheme, scheme, config.experiment, folder)
    if config.second_policy:
        yield job(SECOND, "il", second_experiment(config), folder / SECOND)


def ablation_jobs(reproduction: Reproduction, seed: int, stores: dict[str, StoreLocation]) -> Iterator[BranchJob]:
    """RL branches of other presets, as long as the main one."""
    folder = seed_folder(reproduction.run, seed) / ABLATIONS
    for table in reproduction.config.ablations.values():
        for name, preset_name in table.items():
            experiment = ablation_experiment(reproduction.config, preset_name)
            plan = RunPlan(reproduction.experiment(seed, experiment), stores["train"], stores["val"], folder / name)
            yield BranchJob(name, partial(start_named, plan.starter("rl"), name))


def jobs_left(run: Path, seed: int, jobs: Sequence[BranchJob]) -> list[BranchJob]:
    """Jobs whose network is not there yet; nobody waits for those that are."""
    done = {job.name for job in jobs if job_network(run, seed, job.name).exists()}
    return [replace(job, after=tuple(set(job.after) - done)) for job in jobs if job.name not in done]


def job_network(run: Path, seed: int, job: str) -> Path:
    """The finished network of a job."""
    folder = seed_folder(run, seed)
    if job == SECOND:
        return folder / SECOND / BRANCH_FILES["il"]
    return folder / BRANCH_FILES[job] if job in BRANCH_FILES else folder / ABLATIONS / job / BRANCH_FILES["rl"]


def branch_seconds(run: Path, seed: int, job: str) -> float:
    """Seconds that a job has trained."""
    return float(json.loads((job_network(run, seed, job).parent / "state.json").read_text())["seconds"])


def agents_of_seed(reproduction: Reproduction, seed: int, choices: Choices) -> list[PlannedAgent]:
    """Every agent whose networks are trained, as tables name them."""
    folder, stored = seed_folder(reproduction.run, seed), reproduction.stored_planner(choices)
    features = reproduction.config.experiment.features
    sampler = load_sampler(folder / BRANCH_FILES["rl"])
    model = load_reward_model(folder / BRANCH_FILES["reward"])
    corrector = load_sampler(folder / BRANCH_FILES["correction"]) if reproduction.config.correct else None
    agents: list[PlannedAgent] = []

    def add(name: str, mode: str, policy: ImitationPolicy | None) -> None:
        networks = TrainedNetworks(features, policy, sampler, model, corrector)
        agents.append(PlannedAgent.of(name, networks, stored.config(mode), seed))

    policies = {BASE: folder / BRANCH_FILES["il"], SECOND: folder / SECOND / BRANCH_FILES["il"]}
    for base, path in policies.items():
        if not path.exists():
            continue
        policy = load_policy(path)
        for agent, mode in MODE_OF_AGENT.items():
            if base == BASE or agent not in ("il_rwm_untrained_tree", "tree_mean"):
                add(f"{base}.{agent}", mode, policy)
    for scheme in SEQUENTIAL_SCHEMES:
        path = folder / BRANCH_FILES[scheme]
        if not path.exists():
            continue
        policy = load_policy(path)
        add(f"{BASE}.{scheme}", "il", policy)
        if scheme == choices.sequential:
            add(f"{BASE}.sequential_rwm", MODE_OF_AGENT[choices.il_rwm], policy)
    add(HUMAN_PAIR, "human_pair", None)
    return agents


def ablation_agents(reproduction: Reproduction, seed: int, pair: PlannedAgent) -> dict[str, dict[str, PlannedAgent]]:
    """Table -> row -> PaIR with another trained sampler, the main one first; those that are trained."""
    folder = seed_folder(reproduction.run, seed)
    config = replace(pair.config, strength=reproduction.config.experiment.pool.tree_strength)
    tables: dict[str, dict[str, PlannedAgent]] = {}
    for table, rows in reproduction.config.ablations.items():
        paths = {name: folder / ABLATIONS / name / BRANCH_FILES["rl"] for name in rows}
        others = {name: load_sampler(path) for name, path in paths.items() if path.exists()}
        tables[table] = {"as published here": pair.changed(PAIR, config)}
        tables[table] |= {name: pair.changed(PAIR, config, sampler=sampler) for name, sampler in others.items()}
    return tables


def all_parts(reproduction: Reproduction, parts: Sequence[str]) -> None:
    """Do the named parts in their order: train, ablate, validate, plan, drive, score."""
    if "train" in parts:
        for seed in reproduction.seeds:
            reproduction.train(seed)
    if "ablate" in parts:
        for seed in reproduction.seeds[: reproduction.config.ablation_seeds]:
            reproduction.train(seed, ablations=True)
    choices = reproduction.chosen
    if choices is not None:
        reproduction.keep_choices(choices)
    elif "validate" in parts:
        choices = reproduction.validate()
    if {"plan", "drive"} & set(parts):
        choices = choices or Choices.read(reproduction.run / CHOICES)
        if "plan" in parts:
            reproduction.plan(choices)
        if "drive" in parts:
            reproduction.drive(choices)
    if "score" in parts:
        reproduction.score()
