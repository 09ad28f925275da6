"""``planner.json`` in a run folder: how its networks are to plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from openpair.damage import reading
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.planning.changes import NO_CHANGES, PlannerChanges
from openpair.planning.config import PlannerConfig, mode_config

PLANNER_FILE = Path("planner.json")
FORMAT_VERSION = 1

HUMAN_ROOT_BONUS = 0.03
"""Bonus of a human root before it is corrected [score]; chosen on the validation towns (docs/known-results.md)."""


@dataclass(frozen=True)
class StoredPlanner:
    """The settings that were chosen for a run's networks.

    Attributes:
        mode: of the planner where none is asked for.
        settings: of every mode that they concern.
        modes: mode -> settings that it has of its own.
    """

    mode: str = "pair"
    settings: PlannerChanges = NO_CHANGES
    modes: Mapping[str, PlannerChanges] = field(default_factory=dict)

    def config(self, mode: str, *, where: str | Path = PLANNER_FILE) -> PlannerConfig:
        """Settings of a mode. Raises OpenPairError for an unknown one."""
        return mode_config(mode, where=where).changed(self.settings).changed(self.modes.get(mode, NO_CHANGES))

    @staticmethod
    def of_experiment(settings: PlannerChanges) -> StoredPlanner:
        """That of a training with these settings.

        What says how reinforcement is used (candidates, reroots, correction) concerns PaIR alone: its controls keep
        their own. A corrected human root has :data:`HUMAN_ROOT_BONUS`.
        """
        use = PlannerChanges(candidates=settings.candidates, reroots=settings.reroots, correction=settings.correction)
        common = replace(settings, candidates=None, reroots=None, correction=None)
        if use == NO_CHANGES:
            return StoredPlanner(settings=common)
        human = replace(use, root_bonus=HUMAN_ROOT_BONUS) if use.correction else NO_CHANGES
        return StoredPlanner(settings=common, modes={"pair": use, "pair_best_of_6": use, "human_pair": human})

    def write(self, folder: Path) -> Path:
        """Write it into a run folder, whole or not at all; a file that says the same stays as it is."""
        content = {
            "format": FORMAT_VERSION,
            "mode": self.mode,
            "settings": self.settings.plain(),
            "modes": {mode: changes.plain() for mode, changes in self.modes.items()},
        }
        path, text = folder / PLANNER_FILE, json.dumps(content, indent=2) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
        return path

    @staticmethod
    def read(path: Path) -> StoredPlanner:
        """Raises OpenPairError for a file that is damaged, of another format, or names what no planner has."""
        fix = "Restore the file, or delete it to plan with the defaults"
        with reading(path, "the planner's settings", fix=fix):
            content = json.loads(path.read_text(encoding="utf-8"))
            version, mode, settings, modes = (content[name] for name in ("format", "mode", "settings", "modes"))
            parts = (content, settings, modes, *(modes.values() if isinstance(modes, dict) else ()))
            if not isinstance(mode, str) or not all(isinstance(part, dict) for part in parts):
                raise TypeError("a part of it is of another kind")
        unknown = sorted(content.keys() - {"format", "mode", "settings", "modes"})
        if unknown:
            raise OpenPairError(f"the planner's settings name '{unknown[0]}', which none has", where=path, fix=fix)
        if version != FORMAT_VERSION:
            raise OpenPairError(
                f"the planner's settings have format {version}, this version reads {FORMAT_VERSION}",
                where=path,
                fix="Use the version of OpenPaIR that wrote them",
            )
        own = {name: PlannerChanges.of(values, where=path) for name, values in modes.items()}
        stored = StoredPlanner(mode, PlannerChanges.of(settings, where=path), own)
        for name in (mode, *modes):
            stored.config(name, where=path)  # refuses values out of range
        return stored
