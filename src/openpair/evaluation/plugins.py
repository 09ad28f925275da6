"""Agents from outside: found by the entry point group ``openpair.agents``, or in a Python file.

What is registered is a function that gets an :class:`~openpair.evaluation.sources.AgentContext` and returns whatever
plans: a torch module, a function of a scene, a file of plans, or an agent.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openpair.errors import OpenPairError
from openpair.evaluation.agents import Agent, CheckpointAgent, PlansFileAgent
from openpair.evaluation.plans_file import read_plans
from openpair.registry import Registry

if TYPE_CHECKING:
    from openpair.evaluation.sources import AgentContext

AGENTS = Registry("openpair.agents", "agent", {})
"""Agents that installed packages register."""

MakeAgent = Callable[["AgentContext"], Any]

_FIX = "Return a torch module, a function of a scene, the path of a file of plans (.npz) or an object with plan(scene)"


def plugin_names() -> tuple[str, ...]:
    """Names of all agents that installed packages register."""
    return AGENTS.names()


def is_python_function(spec: str) -> bool:
    """Whether a name on the command line is FILE.py:FUNCTION, with a file that is there."""
    path, colon, function = spec.rpartition(":")
    return bool(colon) and function.isidentifier() and path.endswith(".py") and Path(path).is_file()


def load_plugin(spec: str) -> MakeAgent:
    """The function behind a registered name or FILE.py:FUNCTION. Raises OpenPairError where it cannot be had."""
    try:
        if is_python_function(spec):
            return _function_of_file(*spec.rsplit(":", 1))
        make: MakeAgent = AGENTS.load(spec)
    except (ImportError, AttributeError, SyntaxError, ValueError) as error:
        raise OpenPairError(f"the agent cannot be imported ({error})", where=spec, fix=_FIX) from error
    return make


def _function_of_file(file: str, function: str) -> MakeAgent:
    path = Path(file).resolve()
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules.setdefault(path.stem, module)
    module_spec.loader.exec_module(module)
    make: MakeAgent = getattr(module, function)
    return make


def agent_of(thing: Any, context: AgentContext, name: str) -> Agent:
    """Whatever plans as an agent called ``name``. Raises OpenPairError for things that do not plan.

    A torch module gets ``camera_feature``, ``lidar_feature`` and ``status_feature`` of a batch of scenes, at the sizes
    of its attribute ``features`` (a FeatureConfig; the published sizes where it has none), and returns (B, 8, 3), alone
    or as ``trajectory`` of a dictionary.
    """
    if isinstance(thing, (str, Path)):
        return PlansFileAgent(read_plans(Path(thing)), name=name)
    if _is_module(thing):
        from openpair.evaluation.module_agent import module_agent

        return module_agent(thing, context, name)
    if hasattr(thing, "plan"):
        return CheckpointAgent(
            thing.plan,
            name,
            bool(getattr(thing, "uses_truth", False)),
            getattr(thing, "plan_batch", None),
            getattr(thing, "plan_candidates", None),
        )
    if callable(thing):
        return CheckpointAgent(thing, name)
    raise OpenPairError(f"agent '{name}' is a {type(thing).__name__}, which does not plan", where=name, fix=_FIX)


def _is_module(thing: Any) -> bool:
    """Whether it is a torch module; whoever made one has imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)
