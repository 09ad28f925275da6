"""Names of datasets and agents that travel to worker processes, and how each becomes the thing it names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from openpair.datasets.base import Dataset
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.evaluation.agents import (
    Agent,
    ConstantVelocityAgent,
    HumanAgent,
    PdmClosedAgent,
    PlansFileAgent,
)
from openpair.evaluation.plans_file import read_plans
from openpair.training.pipeline import NETWORK_FILES, load_pipeline

BUILT_IN_AGENTS = ("human", "constant_velocity", "pdm_closed")
TWO_STAGE_AGENTS = ("constant_velocity", "pdm_closed")
"""Those that can drive second-stage scenes, where no human drove."""


@dataclass(frozen=True)
class DatasetSource:
    """A dataset by name and folder, or one that is open already (which then stays in this process).

    Attributes:
        name: "world", "navsim" or "argoverse2".
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
        kind: one of BUILT_IN_AGENTS, "plans", "checkpoint" or "ready".
        path: file or folder of plans and checkpoints.
        mode: which planner of a checkpoint folder, where it holds several ("il", "pair" ...).
        ready: the built agent.
    """

    name: str
    kind: str
    path: Path | None = None
    mode: str | None = None
    ready: Agent | None = None

    def build(self, context: AgentContext) -> Agent:
        """The agent. Raises OpenPairError for plans or checkpoints that cannot be used."""
        if self.ready is not None:
            return self.ready
        if self.kind == "human":
            return HumanAgent(name=self.name)
        if self.kind == "constant_velocity":
            return ConstantVelocityAgent(name=self.name)
        if self.kind == "pdm_closed":
            return PdmClosedAgent(context.prepare, name=self.name)
        if self.path is None:
            raise ValueError(f"agent source {self} has no path")
        if self.kind == "plans":
            return PlansFileAgent(read_plans(self.path), name=self.name)
        return load_pipeline(self.path, mode=self.mode, dataset=context.dataset, name=self.name, seed=context.seed)

    def sha256(self) -> str | None:
        """Hash of the file, or of all files of the folder, that the agent is read from."""
        return None if self.path is None else hash_path(self.path)


def ready_agent(agent: Agent) -> AgentSource:
    """Source of an agent that is built already; such evaluations run in this process."""
    return AgentSource(agent.name, "ready", ready=agent)


def parse_agent(spec: str) -> AgentSource:
    """Source of an agent as the command line names it.

    Args:
        spec: ``[NAME=]human | constant_velocity | pdm_closed | PLANS.npz | CHECKPOINT[@MODE]``.

    Raises OpenPairError for a name that is no agent and a path that does not exist.
    """
    name, what = "", spec
    if "=" in spec and not Path(spec).exists():
        name, what = spec.split("=", 1)
    if what in BUILT_IN_AGENTS:
        return AgentSource(name or what, what)
    path, mode = Path(what), None
    if not path.exists() and "@" in what:
        stem, mode = what.rsplit("@", 1)
        path = Path(stem)
    if not path.exists():
        close = get_close_matches(what, BUILT_IN_AGENTS, n=1)
        hint = f"Did you mean '{close[0]}'? " if close else ""
        raise OpenPairError(
            f"'{what}' is neither an agent nor a file",
            where="--agent",
            fix=f"{hint}Give {', '.join(BUILT_IN_AGENTS)}, a file of plans (.npz) or a checkpoint",
        )
    if path.suffix == ".npz":
        return AgentSource(name or path.stem, "plans", path)
    label = path.stem if path.is_file() else path.name
    return AgentSource(name or (f"{label}@{mode}" if mode else label), "checkpoint", path, mode)


def parse_agents(specs: Sequence[str]) -> tuple[AgentSource, ...]:
    """Sources of several agents. Raises OpenPairError if two have the same name, or there are none."""
    sources = tuple(parse_agent(spec) for spec in specs)
    if not sources:
        raise OpenPairError("no agent is given", where="--agent", fix=f"Give one of {', '.join(BUILT_IN_AGENTS)}")
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise OpenPairError(
                f"two agents are called '{name}'", where="--agent", fix="Name them apart: --agent NAME=PATH"
            )
    return sources


def hash_path(path: Path) -> str:
    """SHA-256 of a file; of a run folder: over the relative names and contents of its networks, sorted."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in map(path.joinpath, NETWORK_FILES) if file.exists())
    for file in files:
        if file != path:
            digest.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
