"""Exact scores of all plans of a seed: both protocols, v2.2 with and without human filter, extended comfort included.

All agents of a scene are scored in one call. Extended comfort compares an agent's plan with its own plan of the scene
half a second before. Best-of-N agents: the true score of the protocol picks, before extended comfort, which takes two
scenes to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.checksums import read_sealed_json, sealed_json
from openpair.datasets.base import Dataset, SceneKey
from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import PlanScores
from openpair.errors import OpenPairError
from openpair.evaluation.judge import Judged, Place, judge, unfiltered, unjudged, with_extended_comfort
from openpair.evaluation.records import ScoreRow, read_scores, scores_csv
from openpair.files import write_atomically
from openpair.pools import OnProgress, silent
from openpair.preparation.store import PreparedStore
from openpair.reproduction.baselines import Baseline, baselines
from openpair.reproduction.code_version import source_hash
from openpair.reproduction.plan_files import AgentPlans, plan_paths, read_agent_plans
from openpair.scoring import score_prepared
from openpair.training.data import DataSpec, build_prepared_scenes

V1, V2, UNFILTERED = "v1.1", "v2.2", "v2.2-unfiltered"
VARIANTS: dict[Protocol, tuple[str, ...]] = {Protocol.V1_1: (V1,), Protocol.V2_2: (V2, UNFILTERED)}
"""Tables of scores that one pass over the scenes of a protocol gives."""

PLANS, SCORES, INPUTS = "plans", "scores", "inputs.json"
TEST_SCENES = DataSpec(options={"split": "test"})
Agent = AgentPlans | Baseline
SCORING_CODE = ("scoring", "simulation", "preparation", "geometry", "evaluation/judge.py", "reproduction/scoring.py")


def seed_folder(run: Path, seed: int) -> Path:
    """Where everything of a seed lies."""
    return run / f"seed-{seed}"


def scores_path(run: Path, seed: int, variant: str) -> Path:
    """Scores of a seed: :data:`V1`, :data:`V2` or :data:`UNFILTERED`."""
    return seed_folder(run, seed) / SCORES / f"{variant}.csv"


def with_predecessors(spec: DataSpec) -> DataSpec:
    """The same scenes and those half a second before, where the dataset can add them."""
    return replace(spec, options={**spec.options, "predecessors": True}) if spec.name == "world" else spec


def neighbours_in_time(dataset: Dataset) -> dict[str, str]:
    """Token -> token of the scene half a second before it, for scenes that count and have one in the dataset."""
    if not isinstance(dataset, WorldDataset):
        return {}
    known = {key.token for key in dataset.keys()}
    return {token: earlier for token, earlier in dataset.predecessors().items() if earlier in known}


def chosen_tokens(dataset: Dataset) -> set[str]:
    """Scenes that count; the others are there for extended comfort alone."""
    keys = dataset.chosen_keys() if hasattr(dataset, "chosen_keys") else dataset.keys()
    return {key.token for key in keys}


def score_seed(
    run: Path,
    seed: int,
    *,
    spec: DataSpec = TEST_SCENES,
    stores: Path | None = None,
    workers: int = 1,
    on_progress: OnProgress = silent,
) -> list[Path]:
    """Score all plans of a seed and write ``scores/v1.1.csv``, ``v2.2.csv`` and ``v2.2-unfiltered.csv``.

    Agents whose plans, scenes and scoring code are as they were are not scored again; every file is there whole or not
    at all. A scene that cannot be scored is a row with its reason.

    Args:
        run: run folder; plans lie in ``seed-<seed>/plans/<base>.<agent>.npz``. Human, constant velocity and PDM-Closed
            are scored beside them.
        seed: which seed.
        spec: the scenes that count; those before them are added here.
        stores: where prepared scenes are kept for all seeds; default ``<run>/data``.
        workers: processes that prepare scenes.
        on_progress: told how far it is.

    Returns the files. Raises OpenPairError for plans that cannot be read, or of scenes that the dataset does not have.
    """
    paths = plan_paths(seed_folder(run, seed) / PLANS)
    plans = [read_agent_plans(path) for path in paths]
    dataset = with_predecessors(spec).open()
    _check_known(plans, paths, dataset)
    given = {agent.name for agent in plans}
    agents: list[Agent] = [*plans, *(agent for agent in baselines(dataset) if agent.name not in given)]
    folder = seed_folder(run, seed) / SCORES
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for protocol, variants in VARIANTS.items():
        scenes = spec if protocol is Protocol.V1_1 else with_predecessors(spec)
        source = scenes.open()
        memory = ScoreFiles(folder, protocol, source)
        kept, todo = memory.take_up(agents)
        if todo:
            store = build_prepared_scenes(
                scenes, stores or run / "data", protocol, workers=workers, on_progress=on_progress
            )
            fresh = score_agents(todo, source, PreparedStore(store, protocol=protocol), on_progress=on_progress)
            for variant in variants:
                kept[variant].extend(fresh[variant])
        written += memory.write(agents, kept, changed=bool(todo))
    return written


def score_agents(
    agents: Sequence[Agent],
    dataset: Dataset,
    store: PreparedStore,
    *,
    on_progress: OnProgress = silent,
) -> dict[str, list[ScoreRow]]:
    """Rows of every variant of the store's protocol: one per scene that counts and agent, by scene, then by agent."""
    variants, keys = VARIANTS[store.protocol], list(dataset.keys())
    counting = chosen_tokens(dataset)
    rows: dict[str, list[ScoreRow]] = {variant: [] for variant in variants}
    earlier: dict[str, Judged] = {}
    for number, key in enumerate(keys):
        judged = _judge(agents, key, store, dataset.name)
        for variant, scene in judged.items():
            complete = scene
            if store.protocol is Protocol.V2_2:
                complete = with_extended_comfort(earlier.get(variant), scene)
            if key.token in counting:
                rows[variant].extend(complete.rows.values())
        earlier = judged
        on_progress(f"score {store.protocol.value}", number + 1, len(keys))
    return rows


def _judge(agents: Sequence[Agent], key: SceneKey, store: PreparedStore, dataset: str) -> dict[str, Judged]:
    """Every variant's rows of one scene, without extended comfort."""
    variants = VARIANTS[store.protocol]
    place = Place(dataset, key.log_name, key.token, store.protocol)
    try:
        scene = store.load(key.token)
    except OpenPairError as error:
        return dict.fromkeys(variants, unjudged(place, [agent.name for agent in agents], str(error)))
    given = {agent.name: agent.of(scene) for agent in agents}
    plans = {name: "the agent has no plan of this scene" if plan is None else plan for name, plan in given.items()}

    def score(every: NDArray[np.float64]) -> dict[str, PlanScores]:
        scores = score_prepared(scene, every)
        return {variant: unfiltered(scores) if variant == UNFILTERED else scores for variant in variants}

    return judge(place, scene, plans, score, variants)


class ScoreFiles:
    """The files of scores of one protocol, and what they were made from.

    ``inputs.json`` holds, for each protocol, hashes of the scenes, of the scoring code, of every agent's plans and of
    the files themselves: a file that was exchanged or cut short is made again.
    """

    def __init__(self, folder: Path, protocol: Protocol, dataset: Dataset) -> None:
        self.folder, self.protocol = folder, protocol
        self._order = {key.token: number for number, key in enumerate(dataset.keys())}
        self._scenes, self._code = dataset.fingerprint(), source_hash(SCORING_CODE)

    def take_up(self, agents: Sequence[Agent]) -> tuple[dict[str, list[ScoreRow]], list[Agent]]:
        """Rows by variant that are still good, and the agents that are to be scored."""
        empty: dict[str, list[ScoreRow]] = {variant: [] for variant in VARIANTS[self.protocol]}
        inputs = _read_inputs(self.folder).get(self.protocol.value, {})
        if (inputs.get("scenes"), inputs.get("code")) != (self._scenes, self._code):
            return empty, list(agents)
        if inputs.get("files") != self._file_hashes():
            return empty, list(agents)
        same = {agent.name for agent in agents if inputs["plans"].get(agent.name) == agent.sha256}
        kept = {
            variant: [row for row in read_scores(self.folder / f"{variant}.csv") if row.agent in same]
            for variant in empty
        }
        return kept, [agent for agent in agents if agent.name not in same]

    def write(self, agents: Sequence[Agent], rows: Mapping[str, list[ScoreRow]], *, changed: bool) -> list[Path]:
        """Write rows and what they were made from; returns the files."""
        inputs = _read_inputs(self.folder)
        own = inputs.get(self.protocol.value, {})
        hashes = {agent.name: agent.sha256 for agent in agents}
        paths = [self.folder / f"{variant}.csv" for variant in rows]
        if changed or own.get("plans") != hashes:
            rank = {name: number for number, name in enumerate(hashes)}
            for path, variant in zip(paths, rows, strict=True):
                ordered = sorted(rows[variant], key=lambda row: (self._order[row.token], rank[row.agent]))
                write_atomically(path, scores_csv(ordered, self.protocol))
            inputs[self.protocol.value] = {
                "scenes": self._scenes,
                "code": self._code,
                "plans": hashes,
                "files": self._file_hashes(),
            }
            write_atomically(self.folder / INPUTS, sealed_json(inputs, end="\n", indent=1, sort_keys=True))
        return paths

    def _file_hashes(self) -> dict[str, str]:
        paths = [self.folder / f"{variant}.csv" for variant in VARIANTS[self.protocol]]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}


def _read_inputs(folder: Path) -> dict[str, Any]:
    """What the scores were made from, by protocol; nothing where that is damaged, so that they are made again."""
    try:
        return read_sealed_json(folder / INPUTS)
    except (OSError, ValueError, TypeError):
        return {}


def scored_with(run: Path, seed: int) -> dict[str, str]:
    """Hashes (16 hex characters) of what the scores of a seed were made with: "data, test" and "code, scoring"; empty
    where nothing was scored."""
    inputs = _read_inputs(seed_folder(run, seed) / SCORES).get(Protocol.V1_1.value)
    return {"data, test": inputs["scenes"][:16], "code, scoring": inputs["code"][:16]} if inputs else {}


def _check_known(plans: Sequence[AgentPlans], paths: Sequence[Path], dataset: Dataset) -> None:
    """Raises OpenPairError for plans of scenes that the dataset does not have."""
    known = {key.token for key in dataset.keys()}
    for agent, path in zip(plans, paths, strict=True):
        foreign = sorted(agent.rows.keys() - known)
        if foreign:
            raise OpenPairError(
                f"{len(foreign)} of {len(agent.rows)} plans are of scenes that are not evaluated ({foreign[0]} ...)",
                where=path,
                fix="Plan and score the same scenes",
            )
