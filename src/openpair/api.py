"""The functions of ``import openpair`` that put several rooms together; everything else there is a name of its room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datasets.choice import SceneChoice, choose_scenes
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.evaluation import comparison
from openpair.evaluation.agents import Agent
from openpair.evaluation.chunk import Task
from openpair.evaluation.comparison import Comparison, check_comparable, pairs_of_agents, read_results, two_agents
from openpair.evaluation.plugins import agent_of
from openpair.evaluation.runner import Evaluation
from openpair.evaluation.runner import evaluate as evaluate_task
from openpair.evaluation.sources import AgentContext, AgentSource, DatasetSource, parse_agent, ready_agent
from openpair.planning.changes import NO_CHANGES, PlannerChanges
from openpair.planning.network_files import NetworkFiles
from openpair.planning.pretrained import run_folder
from openpair.planning.scene_planner import ScenePlanner
from openpair.planning.scene_planner import load_planner as load_scene_planner
from openpair.pools import OnProgress, silent
from openpair.preparation.prepare import prepare_scene

if TYPE_CHECKING:
    from torch import nn

PlanFunction = Callable[[Scene], NDArray[np.floating]]
"""Scene -> plan (8, 3) x [m], y [m], heading [rad] at 0.5 s ... 4.0 s, ego rear-axle frame."""

AnyAgent = Union[str, Path, Agent, PlanFunction, "nn.Module"]
"""Whatever plans: a name of ``openpair eval --agent``, a file of plans, an agent, a function or a torch module."""


def load_planner(
    run: Path | str | NetworkFiles,
    dataset: Dataset,
    *,
    mode: str | None = None,
    changes: PlannerChanges = NO_CHANGES,
    name: str = "planner",
    seed: int = 0,
) -> ScenePlanner:
    """A planner from a run folder, or a policy alone from its checkpoint file.

    ``planner.plan(scene)`` gives the plan, (8, 3) x [m], y [m], heading [rad], ego rear-axle frame;
    ``planner.plan_batch(scenes)`` gives (B, 8, 3); ``planner.choose(scenes)`` also gives all candidates (B, N, 8, 3)
    with what the reward model predicts of each (B, N).

    Args:
        run: folder of ``openpair train``, "pretrained" for the networks of the package, file of a policy, or files
            named one by one.
        dataset: gives the sensors of the scenes to come.
        mode: a name of :data:`openpair.planning.config.MODES`; None takes the mode that is stored beside the networks
            where all of them are there, else "il".
        changes: to the settings that are stored beside the networks.
        name: in tables and files.
        seed: of policies that draw at random.

    Raises:
        OpenPairError: no such folder, an unknown mode, or a network that the mode needs is missing.
    """
    source = run if isinstance(run, NetworkFiles) else run_folder(Path(run))
    if isinstance(source, Path) and not source.exists():
        raise OpenPairError("there is no such run folder or checkpoint", where=source, fix="Check the path")
    return load_scene_planner(source, mode=mode, changes=changes, dataset=dataset, name=name, seed=seed)


def evaluate(
    agents: Sequence[AnyAgent] | Mapping[str, AnyAgent],
    dataset: str | Dataset = "world",
    *,
    root: Path | str | None = None,
    split: str | None = None,
    tokens: Path | None = None,
    protocol: Protocol | str = Protocol.V1_1,
    max_scenes: int | None = None,
    seed: int = 0,
    human_filter: bool = True,
    workers: int = 1,
    out: Path | str | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Score agents on the scenes of a dataset, as ``openpair eval`` does.

    ``evaluation.summary.agents`` has the mean score of each agent with its 95% interval by log;
    ``evaluation.rows`` has every scene.

    Args:
        agents: who drives; a sequence, or name in tables -> agent. Each is a name ("human", "constant_velocity",
            "pdm_closed", a run folder, ``FILE.py:FUNCTION`` ...), a file of plans, a function of a scene, a torch
            module that gives plans (B, 8, 3) from features, or an object with ``plan(scene)``.
        dataset: its name, or one that is open.
        root: folder of a dataset that is given by name.
        split: part of a dataset that is given by name; None takes "test" of the world.
        tokens: navsim: file that names the scenes.
        protocol: "v1.1" gives PDMS, "v2.2" EPDMS.
        max_scenes: so many scenes alone, spread evenly over the dataset.
        seed: of agents that draw at random, and of the intervals.
        human_filter: v2.2: forgive sub-metrics that the human himself failed.
        workers: processes; agents that are objects of this process are evaluated in it.
        out: folder for scores.csv and summary.json; None writes nothing.
        overwrite: replace results of another evaluation in ``out``; agents that are objects are never the same.
        on_progress: told (what is done, scenes done, scenes in all).

    Raises:
        OpenPairError: input that makes the whole evaluation impossible. A scene that fails is a row with its reason.
    """
    given: Mapping[str, AnyAgent] = agents if isinstance(agents, Mapping) else _named(agents)
    if not given:
        raise OpenPairError("no agent is given", where="agents", fix="Give 'human', a function of a scene ...")
    source = _dataset_source(dataset, None if root is None else Path(root), SceneChoice(split, tokens))
    if any(not isinstance(agent, (str, Path)) for agent in given.values()) and source.ready is None:
        source = ready_dataset(source.open())
    score = Protocol(protocol)
    sources = tuple(_source_of(name, agent, source, score, seed) for name, agent in given.items())
    return evaluate_task(
        Task(source, sources, score, seed, human_filter),
        out_dir=None if out is None else Path(out),
        workers=workers,
        max_scenes=max_scenes,
        overwrite=overwrite,
        on_progress=on_progress,
    )


def ready_dataset(dataset: Dataset) -> DatasetSource:
    """Source of a dataset that is open already; such evaluations run in this process."""
    return DatasetSource(dataset.name, ready=dataset)


def _dataset_source(dataset: str | Dataset, root: Path | None, choice: SceneChoice) -> DatasetSource:
    if not isinstance(dataset, str):
        return ready_dataset(dataset)
    name, options = choose_scenes(dataset, root, choice)
    return DatasetSource(name, root, options)


def _named(agents: Sequence[AnyAgent]) -> dict[str, AnyAgent]:
    """Agents by the names that they bring. Raises OpenPairError where two have the same."""
    named: dict[str, AnyAgent] = {}
    for agent in agents:
        if isinstance(agent, (str, Path)):
            name = parse_agent(str(agent)).name
        else:
            name = str(getattr(agent, "name", None) or getattr(agent, "__name__", type(agent).__name__))
        if name in named:
            raise OpenPairError(f"two agents are called '{name}'", where="agents", fix="Give a dict: name -> agent")
        named[name] = agent
    return named


def _source_of(name: str, agent: AnyAgent, dataset: DatasetSource, protocol: Protocol, seed: int) -> AgentSource:
    if isinstance(agent, (str, Path)):
        return parse_agent(f"{name}={agent}")
    context = AgentContext(dataset.open(), lambda scene: prepare_scene(scene, protocol), seed)
    return ready_agent(agent_of(agent, context, name))


def compare(
    first: Path | str, second: Path | str | None = None, agents: Sequence[str] = (), *, seed: int = 0
) -> list[Comparison]:
    """Compare two evaluations, or two agents of one, paired per scene.

    ``comparison.score.difference`` is the second minus the first, with its 95% interval by log.

    Args:
        first: folder of an evaluation (``out``).
        second: folder of another one; None compares two agents of the first.
        agents: one name for both, or one of the first and one of the second; none: all that both have.
        seed: of the intervals.

    Raises:
        OpenPairError: a folder without results; results of different protocols, variants or data; unknown agents.
    """
    a = read_results(Path(first))
    b = a if second is None else read_results(Path(second))
    if second is None:
        agents = two_agents(a, agents)
    check_comparable(a, b)
    return [comparison.compare(a, b, pair, seed=seed) for pair in pairs_of_agents(a, b, agents)]
