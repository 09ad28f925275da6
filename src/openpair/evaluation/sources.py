"""Names of datasets and agents that travel to worker processes, and how each becomes the thing it names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openpair.checksums import hash_files
from openpair.datasets.base import Dataset, SceneKey, predecessor_of
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError, did_you_mean
from openpair.evaluation.agents import (
    Agent,
    ConstantVelocityAgent,
    HumanAgent,
    PdmClosedAgent,
    PlansFileAgent,
    check_plan,
)
from openpair.evaluation.plans_file import read_plans
from openpair.evaluation.plugins import agent_of, is_python_function, load_plugin, plugin_names
from openpair.planning.changes import NO_CHANGES, PlannerChanges
from openpair.planning.config import PlannerConfig
from openpair.planning.network_files import NetworkFiles, planner_of
from openpair.planning.pretrained import PRETRAINED, run_folder

if TYPE_CHECKING:
    from openpair.planning.scene_planner import RootPlanner

RELEASED = "released"
"""Name of the planner whose networks are given one by one."""

WIRE, SCHEME = "grpc", "grpc://"
"""Kind and address of a planner in another process ('openpair serve')."""

RECORDED = "recorded"
"""The human, who in closed loop is where the recording has it, free of what a tracker makes of a plan."""

BUILT_IN_AGENTS = ("human", "constant_velocity", "pdm_closed")
TWO_STAGE_AGENTS = ("constant_velocity", "pdm_closed")
"""Those that can drive second-stage scenes, where no human drove."""


@dataclass(frozen=True)
class DatasetSource:
    """A dataset by name and folder, or one that is open already (which then stays in this process).

    Attributes:
        name: as it is registered (:mod:`openpair.datasets.registry`).
        root: its folder; None for the world that comes with the package.
        options: further options of :func:`openpair.datasets.registry.open_dataset` (``split`` ...).
        ready: an open dataset instead.
    """

    name: str
    root: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    ready: Dataset | None = None

    def open(self) -> Dataset:
        """Open the dataset. Raises OpenPairError for a folder that is not one."""
        if self.ready is not None:
            return self.ready
        from openpair.datasets.registry import open_dataset

        return open_dataset(self.name, self.root, **self.options)


@dataclass(frozen=True)
class AgentContext:
    """What an agent may need while it is built.

    Attributes:
        dataset: gives sensors.
        prepare: gives the prepared scene of the protocol that is evaluated.
        seed: seed of the evaluation, for agents that draw at random.
    """

    dataset: Dataset
    prepare: Callable[[Scene], ScoringScene]
    seed: int


@dataclass(frozen=True)
class AgentSource:
    """An agent by name, or one that is built already (which then stays in this process).

    Attributes:
        name: name in tables and files.
        kind: one of BUILT_IN_AGENTS, RECORDED, "plans", "checkpoint", "released", "plugin", "grpc" or "ready".
        path: file or folder of plans, checkpoints and plug-ins.
        mode: which planner of a checkpoint folder, where it holds several ("il", "pair" ...).
        ready: the built agent.
        files: "released": its networks.
        entry: "plugin": its registered name, or FILE.py:FUNCTION; "grpc": its address.
        root: whose plan the candidates of a checkpoint grow around, in place of its own policy's.
        changes: to the planner's settings that are stored beside the networks.
    """

    name: str
    kind: str
    path: Path | None = None
    mode: str | None = None
    ready: Agent | None = None
    files: NetworkFiles | None = None
    entry: str | None = None
    root: AgentSource | None = None
    changes: PlannerChanges = NO_CHANGES

    @property
    def is_planner(self) -> bool:
        """Whether it is a planner with trained networks, which has settings."""
        return self.kind in ("checkpoint", RELEASED)

    @property
    def may_use_torch(self) -> bool:
        """Whether it has trained networks, or is from outside and may import torch with its first plan."""
        own = self.kind not in (*BUILT_IN_AGENTS, RECORDED, "plans")
        return own or (self.root is not None and self.root.may_use_torch)

    def build(self, context: AgentContext) -> Agent:
        """The agent. Raises OpenPairError for plans, checkpoints or plug-ins that cannot be used."""
        if self.ready is not None:
            return self.ready
        if self.kind in ("human", RECORDED):
            return HumanAgent(name=self.name, follows_recording=self.kind == RECORDED)
        if self.kind == "constant_velocity":
            return ConstantVelocityAgent(name=self.name)
        if self.kind == "pdm_closed":
            return PdmClosedAgent(context.prepare, name=self.name)
        if self.kind == WIRE and self.entry is not None:
            from openpair.wire.client import WireAgent

            return WireAgent(self.entry, context.dataset, self.name)
        if self.entry is not None:
            return agent_of(load_plugin(self.entry)(context), context, self.name)
        if self.kind == "plans" and self.path is not None:
            return PlansFileAgent(read_plans(self.path), name=self.name)
        from openpair.planning.scene_planner import load_planner

        root = None if self.root is None else root_planner(self.root.build(context))
        return load_planner(
            self._planner_source(),
            mode=self.mode,
            changes=self._all_changes(),
            dataset=context.dataset,
            name=self.name,
            seed=context.seed,
            root=root,
        )

    def planner(self) -> tuple[str, PlannerConfig]:
        """Mode and settings that its networks plan with. Raises OpenPairError for a mode or a file that is wrong."""
        source = self._planner_source()
        files = source if isinstance(source, NetworkFiles) else NetworkFiles.find(source)
        return planner_of(
            files, self.mode, self._all_changes(), given_root=self.root is not None, where=self.path or self.name
        )

    def _planner_source(self) -> NetworkFiles | Path:
        source = self.files or self.path
        if source is None:
            raise ValueError(f"agent source {self} has no path")
        return source

    def _all_changes(self) -> PlannerChanges:
        """Those asked for. A file of plans as the root knows nothing of the scenes before its own: no memory."""
        if self.root is not None and self.root.plans_path() is not None:
            return replace(self.changes, previous_plan_bonus="none")
        return self.changes

    def sha256(self) -> str | None:
        """Hash of the file, or of all files of the folder, that the agent is read from, and its root's."""
        own = None
        if self.files is not None:
            own = hash_files(self.files.all_files())
            if self.files.mode not in ("plain", "optimised"):  # these two differ by rounding alone
                own = hashlib.sha256(f"{own} {self.files.mode}".encode()).hexdigest()
        elif self.path is not None:
            own = hash_path(self.path)
        if self.changes != NO_CHANGES:
            own = hashlib.sha256(f"{own} {self.changes.plain()}".encode()).hexdigest()
        if self.root is None:
            return own
        return hashlib.sha256(f"{own} {self.root.entry or self.root.kind} {self.root.sha256()}".encode()).hexdigest()

    def plans_path(self) -> Path | None:
        """The file of plans that the agent, or its root, is; such agents plan for the scenes of the file alone."""
        if self.root is not None:
            return self.root.plans_path()
        return self.path if self.kind == "plans" else None


def root_planner(agent: Agent) -> RootPlanner:
    """An agent as the root of candidates. Raises OpenPairError for one that lets the truth choose."""
    if agent.uses_truth:
        raise OpenPairError("the root lets the true score pick its plan", where=agent.name, fix="Use another mode")

    def plan(scenes: Sequence[Scene]) -> NDArray[np.float64]:
        batch = getattr(agent, "plan_batch", None)
        plans = batch(scenes) if batch is not None else [agent.plan(scene) for scene in scenes]
        return np.stack([check_plan(one, agent=agent.name) for one in plans])

    return plan


def ready_agent(agent: Agent) -> AgentSource:
    """Source of an agent that is built already; such evaluations run in this process."""
    return AgentSource(agent.name, "ready", ready=agent)


def parse_agent(spec: str, released: NetworkFiles | None = None) -> AgentSource:
    """Source of an agent as the command line names it.

    Args:
        spec: ``[NAME=]AGENT``, where AGENT is ``human | constant_velocity | pdm_closed | released``, ``PLANS.npz``,
            ``CHECKPOINT[@MODE]`` (``pretrained``: the networks of the package), a name that an installed package
            registers, ``FILE.py:FUNCTION``, ``grpc://HOST:PORT``, or ``AGENT+CHECKPOINT[@MODE]``: candidates and
            reward model of a checkpoint around another agent's plan.
        released: the networks of ``released``.

    Raises OpenPairError for a name that is no agent and a path that does not exist.
    """
    name, what = "", spec
    if "=" in spec and not Path(spec).exists():
        name, what = spec.split("=", 1)
    if "+" in what and not _exists(what):
        root_spec, upon = what.split("+", 1)
        root = parse_agent(root_spec, released)
        planner = _parse_one(upon, "", released)
        if not planner.is_planner:
            raise OpenPairError(
                f"'{upon}' has neither a sampler nor a reward model", where="--agent", fix="Give AGENT+CHECKPOINT"
            )
        return replace(planner, name=name or f"{root.name}+{planner.name}", root=root)
    return _parse_one(what, name, released)


def _exists(what: str) -> bool:
    return Path(what).exists() or Path(what.rsplit("@", 1)[0]).exists() or is_python_function(what)


def _parse_one(what: str, name: str, released: NetworkFiles | None) -> AgentSource:
    """Source of an agent that stands alone."""
    if what in (*BUILT_IN_AGENTS, RECORDED):
        return AgentSource(name or what, what)
    if what.startswith(SCHEME):
        if not what[len(SCHEME) :].rpartition(":")[2].isdecimal():
            raise OpenPairError(f"'{what}' is no address", where="--agent", fix=f"Give {SCHEME}HOST:PORT")
        return AgentSource(name or WIRE, WIRE, entry=what)
    if what.partition("@")[0] == RELEASED and not _exists(what):
        return _released(what, name, released)
    if is_python_function(what):
        file, function = what.rsplit(":", 1)
        return AgentSource(name or function, "plugin", Path(file), entry=what)
    path, mode = Path(what), None
    if not path.exists() and "@" in what:
        stem, mode = what.rsplit("@", 1)
        path = Path(stem)
    path = run_folder(path)
    if not path.exists():
        registered = plugin_names()
        if what in registered:
            return AgentSource(name or what, "plugin", entry=what)
        names = (*BUILT_IN_AGENTS, PRETRAINED, *registered)
        raise OpenPairError(
            f"'{what}' is neither an agent nor a file",
            where="--agent",
            fix=f"{did_you_mean(what, names)}Give {', '.join(names)}, a file of plans (.npz), a checkpoint or "
            "FILE.py:FUNCTION",
        )
    if path.suffix == ".npz":
        return AgentSource(name or path.stem, "plans", path)
    label = path.stem if path.is_file() else path.name
    return AgentSource(name or (f"{label}@{mode}" if mode else label), "checkpoint", path, mode)


def _released(what: str, name: str, released: NetworkFiles | None) -> AgentSource:
    if released is None or not released.by_part():
        raise OpenPairError(
            "the networks of 'released' are not given",
            where="--agent",
            fix="Name their files: --base FILE --tree FILE --rwm FILE",
        )
    return AgentSource(name or what, RELEASED, mode=what.partition("@")[2] or None, files=released)


def parse_agents(
    specs: Sequence[str], released: NetworkFiles | None = None, changes: PlannerChanges = NO_CHANGES
) -> tuple[AgentSource, ...]:
    """Sources of several agents; ``changes`` hold for every planner among them. Raises OpenPairError if two have the
    same name, or there are none."""
    sources = tuple(with_changes(parse_agent(spec, released), changes) for spec in specs)
    if not sources:
        raise OpenPairError("no agent is given", where="--agent", fix=f"Give one of {', '.join(BUILT_IN_AGENTS)}")
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise OpenPairError(
                f"two agents are called '{name}'", where="--agent", fix="Name them apart: --agent NAME=PATH"
            )
    return sources


def with_changes(source: AgentSource, changes: PlannerChanges) -> AgentSource:
    """The same agent with other settings of its planner, and of its root's; agents without settings as they are."""
    root = None if source.root is None else with_changes(source.root, changes)
    return replace(source, root=root, changes=changes if source.is_planner else NO_CHANGES)


def planner_notes(sources: Sequence[AgentSource], dataset: Dataset, keys: Sequence[SceneKey]) -> dict[str, Any]:
    """What a summary says of the planners among some agents: {} or {"planners": agent -> mode, settings, and the
    number of scenes that have a previous plan}."""
    notes: dict[str, Any] = {}
    for source in sources:
        if source.is_planner:
            mode, config = source.planner()
            known = [key for key in keys if config.remembers and not key.is_whole_log and key.log_name]
            count = sum(predecessor_of(dataset, key.token) is not None for key in known)
            notes[source.name] = {"mode": mode, **config.record(), "scenes_with_previous_plan": count}
    return {"planners": notes} if notes else {}


def hash_path(path: Path) -> str:
    """SHA-256 of a file; of a run folder: of its networks and their configurations."""
    return hash_files([path] if path.is_file() else NetworkFiles.find(path).all_files())
