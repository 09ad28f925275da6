"""What decides the results of an evaluation, as hashes: a folder of results belongs to one request alone."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openpair.checksums import hash_files
from openpair.datasets.base import Dataset, SceneKey
from openpair.evaluation.plugins import AGENTS, is_python_function
from openpair.evaluation.sources import AgentSource
from openpair.evaluation.summary import versions

if TYPE_CHECKING:
    from openpair.evaluation.chunk import Task


def request_of(task: Task, dataset: Dataset, keys: Sequence[SceneKey], hashes: dict[str, str | None]) -> dict[str, str]:
    """Hash of each thing that decides results: data, scenes, agents with their files and code, settings, versions.

    An agent built in memory has no file to recognise it by: it is equal to no other.

    Args:
        task, dataset, keys: what is evaluated.
        hashes: agent -> hash of the files that it is read from.
    """
    in_memory = any(source.ready is not None for source in task.agents)
    agents = [[repr(replace(a, ready=None)), hashes[a.name], agent_code(a)] for a in task.agents]
    parts: dict[str, Any] = {
        "versions": versions(),
        "dataset": [task.dataset.name, str(task.dataset.root), repr(sorted(task.dataset.options.items()))],
        "data": dataset.fingerprint(),
        "agents": [agents, secrets.token_hex(8) if in_memory else ""],
        "protocol": [task.protocol.value, task.human_filter, task.stages, task.predecessors, task.carry_exemptions],
        "seed": task.seed,
        "scenes": [[key.log_name, key.token] for key in keys],
    }
    return {name: hashlib.sha256(json.dumps(part).encode()).hexdigest()[:16] for name, part in parts.items()}


def is_resumable(task: Task) -> bool:
    """Whether unfinished results can be taken up: agents built in memory may be others, and what scenes carry on to the
    next ones is in no file."""
    return not task.carry_exemptions and all(source.ready is None for source in task.agents)


def agent_code(source: AgentSource) -> str | None:
    """Hash of the Python files of a plug-in, its root's included; None for agents of this package alone."""
    files = [*plugin_files(source.entry or ""), *(plugin_files(source.root.entry or "") if source.root else ())]
    return hash_files(files) if files else None


def plugin_files(entry: str) -> list[Path]:
    """Python files of a plug-in, without running it.

    Of FILE.py:FUNCTION the file and those that it imports from its folder, directly or through each other; of a
    registered name all of the package that registers it.
    """
    if is_python_function(entry):
        file = Path(entry.rpartition(":")[0])
        finder = ModuleFinder(path=[str(file.parent)])
        try:
            finder.run_script(str(file))
        except (SyntaxError, UnicodeDecodeError):
            return [file]  # building the agent says what is wrong with it
        names = [getattr(module, "__file__", None) for module in finder.modules.values()]
        found = {Path(name) for name in names if name}
        return sorted({file, *found})
    for module_name in AGENTS.modules(entry):
        spec = importlib.util.find_spec(module_name.partition(".")[0])
        if spec is not None and spec.submodule_search_locations:
            return sorted(path for folder in spec.submodule_search_locations for path in Path(folder).rglob("*.py"))
        if spec is not None and spec.origin:
            return [Path(spec.origin)]
    return []
