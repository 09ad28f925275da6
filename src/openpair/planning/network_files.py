"""The files that the networks of a planner come from: a run folder, or files named one by one. Imports nothing heavy.

A run folder holds ``il/policy``, ``rl/sampler`` and ``reward/reward_model`` (each .safetensors + .json), perhaps
``correction/sampler``, and ``planner.json``, which says how they plan. Files named one by one may be ours, or released
ones as downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openpair.errors import OpenPairError
from openpair.kinds import EVERY_PART, PARTS
from openpair.nn.inference_mode import InferenceMode
from openpair.planning.changes import NO_CHANGES, PlannerChanges
from openpair.planning.config import PlannerConfig
from openpair.planning.planner_file import PLANNER_FILE, StoredPlanner
from openpair.planning.pretrained import run_folder

POLICY_FILE = Path("il") / "policy.safetensors"


SAMPLER_FILE = Path("rl") / "sampler.safetensors"


REWARD_MODEL_FILE = Path("reward") / "reward_model.safetensors"


CORRECTOR_FILE = Path("correction") / "sampler.safetensors"

IN_RUN_FOLDER = {
    "policy": POLICY_FILE,
    "sampler": SAMPLER_FILE,
    "reward_model": REWARD_MODEL_FILE,
    "corrector": CORRECTOR_FILE,
    "planner": PLANNER_FILE,
}


@dataclass(frozen=True)
class NetworkFiles:
    """Where the networks of a planner lie; None for those that it does without.

    Attributes:
        policy, sampler, reward_model: checkpoint files, ours or released.
        mode: how networks of the published size are run.
        planner: file of the planner's settings.
        corrector: checkpoint file of the network that corrects chosen plans.
    """

    policy: Path | None = None
    sampler: Path | None = None
    reward_model: Path | None = None
    mode: InferenceMode = "optimised"
    planner: Path | None = None
    corrector: Path | None = None

    @staticmethod
    def find(path: Path) -> NetworkFiles:
        """Those of a run folder, of the package (``pretrained``), or a single policy's file.

        Raises OpenPairError for a folder without any.
        """
        path = run_folder(path).resolve()
        if path.is_file():
            return NetworkFiles(policy=path)
        named: dict[str, Any] = {part: path / file for part, file in IN_RUN_FOLDER.items() if (path / file).exists()}
        found = NetworkFiles(**named)
        if not found.by_part():
            raise OpenPairError(
                "the folder holds no trained network",
                where=path,
                fix=f"Give a folder that 'openpair train' or 'openpair demo' wrote, with {POLICY_FILE}",
            )
        return found

    def by_part(self) -> dict[str, Path]:
        """Part ("policy" ...) -> file, for those that there are."""
        return {part: file for part in EVERY_PART if (file := getattr(self, part)) is not None}

    def all_files(self) -> list[Path]:
        """Every file that decides how the planner plans: each checkpoint, its JSON, the planner's settings."""
        pairs = [(file, file.with_suffix(".json")) for file in self.by_part().values()]
        files = [file for pair in pairs for file in dict.fromkeys(pair) if file.exists()]
        return files if self.planner is None else [*files, self.planner]

    def stored_planner(self) -> StoredPlanner:
        """The planner's settings; defaults where no file names any. Raises OpenPairError for a damaged file."""
        return StoredPlanner() if self.planner is None else StoredPlanner.read(self.planner)


def planner_of(
    files: NetworkFiles,
    mode: str | None,
    changes: PlannerChanges = NO_CHANGES,
    *,
    given_root: bool = False,
    where: str | Path,
) -> tuple[str, PlannerConfig]:
    """Mode and settings that networks plan with: those of the mode, as stored beside the networks, with changes.

    Args:
        files: the networks, and the file of the planner's settings.
        mode: None takes "pair" around a given root, else the stored one where all networks are there, else "il".
        changes: to what is stored.
        given_root: True where another agent's plan is the root.
        where: names the source in complaints.

    Raises OpenPairError for an unknown mode, a damaged file and a mode with a root of its own where one is given.
    """
    stored = files.stored_planner()
    complete = files.by_part().keys() >= PARTS.keys()
    chosen = mode or ("pair" if given_root else stored.mode if complete else "il")
    config = stored.config(chosen, where=where).changed(changes)
    if given_root and config.root != "policy":
        raise OpenPairError(f"mode '{chosen}' has a root of its own", where=where, fix="Give 'pair' or no mode")
    return chosen, config
