"""``openpair submit``: the file that NAVSIM's leaderboards take."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from openpair.errors import OpenPairError
from openpair.planning.changes import NO_CHANGES, PlannerChanges

if TYPE_CHECKING:
    import numpy as np

    from openpair.datasets.base import Dataset
    from openpair.evaluation.agents import Agent

SCENES_AT_A_TIME = 16
FAILURES_SHOWN = 10
EXIT_SOME_FAILED = 3


@dataclass(frozen=True)
class Submit:
    """Plan every scene of a test set and write the submission file of a NAVSIM leaderboard.

    The file unpickles in NAVSIM's environment (Python 3.9, numpy 1); NAVSIM is not needed to write it. Where a scene
    cannot be planned nothing is written: leaderboards refuse files with gaps.

    Exit status: 0 written, 2 bad input, 3 some scenes could not be planned.

    Example: openpair submit --root DIR --split test --tokens navtest.yaml --agent runs/pair --team-name X --authors Y
    --email Z --institution U --country V --out submission.pkl
    """

    MAIN_OPTIONS: ClassVar = (
        "agent",
        "out",
        "root",
        "split",
        "tokens",
        "leaderboard",
        "mapping",
        "team_name",
        "authors",
        "email",
    )

    agent: str
    """Who drives: a checkpoint (CHECKPOINT[@MODE]), a file of plans (.npz), constant_velocity."""

    out: Path
    """The file, such as submission.pkl."""

    team_name: str
    """Name of the team."""

    authors: str
    """Its members."""

    email: str
    """Where the leaderboard's organisers reach it."""

    institution: str
    """Where it works."""

    country: str
    """Country or region."""

    root: Path | None = None
    """NAVSIM's data folder, as for 'openpair eval'."""

    split: str | None = None
    """Folder of the logs, as for 'openpair eval'."""

    tokens: Path | None = None
    """v1: which scenes; NAVSIM's scene filter (.yaml) or a list of tokens."""

    leaderboard: Literal["v1", "v2"] = "v1"
    """v1: one stage. v2: both stages of a two-stage set."""

    mapping: Path | None = None
    """v2: NAVSIM's train_test_split/<name>.yaml, as for 'openpair eval --stages 2'."""

    second_stage: Path | None = None
    """v2: folder of the second stage."""

    seed: int = 0
    """Seed of agents that draw at random."""

    planner: PlannerChanges = NO_CHANGES
    """Changes to how trained networks plan, as for 'openpair eval'."""

    def run(self) -> int:
        """Plan, write the file, return the exit status."""
        from openpair.datatypes.columns import Protocol
        from openpair.evaluation.chunk import one_torch_thread
        from openpair.evaluation.sources import AgentContext, DatasetSource, parse_agent, with_changes
        from openpair.interop.submission import Team, submission_bytes, write_submission
        from openpair.preparation import prepare_scene

        source = with_changes(parse_agent(self.agent), self.planner)
        if source.kind == "human":
            raise OpenPairError("test sets hide what the human drove", where="--agent", fix="Submit a planner")
        name, options = self._dataset()
        dataset = DatasetSource(name, self.root, options).open()
        protocol = Protocol.V1_1 if self.leaderboard == "v1" else Protocol.V2_2
        agent = source.build(AgentContext(dataset, lambda scene: prepare_scene(scene, protocol), self.seed))
        if agent.uses_truth:
            raise OpenPairError("this agent lets the true score pick its plan", where="--agent", fix="Use another mode")
        with one_torch_thread((source,)):
            plans, failures = plan_all(agent, dataset)
        if failures:
            lines = [f"  {token}: {reason}" for token, reason in islice(failures.items(), FAILURES_SHOWN)]
            if len(failures) > FAILURES_SHOWN:
                lines.append(f"  ... and {len(failures) - FAILURES_SHOWN} more.")
            head = f"openpair submit: {len(failures)} of {len(dataset.keys())} scenes FAILED; nothing was written:"
            print("\n".join([head, *lines]), file=sys.stderr)
            return EXIT_SOME_FAILED
        team = Team(self.team_name, self.authors, self.email, self.institution, self.country)
        if self.leaderboard == "v1":
            stages = {"predictions": plans}
        else:
            firsts = {token for mapping in getattr(dataset, "mappings", ()) for token in mapping.tokens[:2]}
            stages = {
                "first_stage_predictions": {token: plan for token, plan in plans.items() if token in firsts},
                "second_stage_predictions": {token: plan for token, plan in plans.items() if token not in firsts},
            }
        write_submission(self.out, submission_bytes(team, stages))
        counts = ", ".join(f"{len(plans)} {stage.replace('_', ' ')}" for stage, plans in stages.items())
        print(f"{counts}: {self.out}")
        return 0

    def _dataset(self) -> tuple[str, dict[str, Any]]:
        """Name and options of the dataset: those that 'openpair eval' opens."""
        from openpair.datasets.choice import SceneChoice, choose_scenes

        choice = SceneChoice(self.split, self.tokens, mapping=self.mapping, second_stage=self.second_stage)
        name, options = choose_scenes("navsim", self.root, choice, stages=2 if self.leaderboard == "v2" else 1)
        if self.tokens is None and "scene_filter" in options:  # plans need no future, and a test set may have none
            options["scene_filter"] = replace(options["scene_filter"], fewest_future_frames=0)
        return name, options


def plan_all(agent: Agent, dataset: Dataset) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Plans (8, 3) of all scenes of a dataset by token, and why others failed."""
    from openpair.evaluation.agents import check_plan
    from openpair.evaluation.failures import describe
    from openpair.progress import ProgressView

    tokens = [key.token for key in dataset.keys()]
    plans: dict[str, np.ndarray] = {}
    failures: dict[str, str] = {}
    with ProgressView() as view:
        for done in range(0, len(tokens), SCENES_AT_A_TIME):
            for token in tokens[done : done + SCENES_AT_A_TIME]:
                try:
                    plans[token] = check_plan(agent.plan(dataset.load_scene(token)), agent=agent.name)
                except Exception as error:
                    failures[token] = describe(error)
            view.update("plan scenes", min(done + SCENES_AT_A_TIME, len(tokens)), len(tokens))
    return plans, failures
