"""Agents that learn nothing: human, constant velocity, PDM-Closed. They need no files of plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.evaluation.agents import ConstantVelocityAgent, HumanAgent
from openpair.preparation.prepare import reference_plan
from openpair.reproduction.agents import HUMAN, RULES
from openpair.reproduction.code_version import source_hash


@dataclass(frozen=True)
class Baseline:
    """A planner that only looks at the scene.

    Attributes:
        name: ``<base>.<agent>``.
        plan: prepared scene -> (8, 3) plan.
    """

    name: str
    plan: Callable[[ScoringScene], NDArray[np.floating]]

    @property
    def sha256(self) -> str:
        """Hash of what makes the plans."""
        return source_hash(("evaluation/agents.py", "preparation", "reproduction/baselines.py"))

    def of(self, scene: ScoringScene) -> NDArray[np.float64] | None:
        """(1, 8, 3) plan of a scene; None where it cannot be made."""
        try:
            return np.asarray(self.plan(scene), np.float64)[None]
        except OpenPairError:
            return None


def baselines(dataset: Dataset) -> tuple[Baseline, ...]:
    """Human, constant velocity and PDM-Closed (as the scorer of each protocol chooses its proposal)."""
    human, constant = HumanAgent(), ConstantVelocityAgent()
    return (
        Baseline(f"{HUMAN}.human", lambda scene: human.plan(dataset.load_scene(scene.token))),
        Baseline(f"{RULES}.constant_velocity", lambda scene: constant.plan(dataset.load_scene(scene.token))),
        Baseline(f"{RULES}.pdm_closed", reference_plan),
    )
