"""What the demo's report says besides the scores: of networks that it trained, or of those of the package."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from openpair.checkpoints import read_info
from openpair.cli.demo_steps import branches_of
from openpair.configs.runs import BRANCH_FILES, RunPlan, branch_settings
from openpair.datatypes.columns import Protocol
from openpair.evaluation.summary import Summary
from openpair.planning.config import ABOUT, WIDE
from openpair.planning.pretrained import FOLDER, PRETRAINED, read_provenance
from openpair.training.curve_file import read_curve
from openpair.visualization.report_data import BranchCurves, CurvePanel, Series


@dataclass(frozen=True)
class Story:
    """Whose scores a report shows.

    Attributes:
        title: of the report.
        networks: run folder that its planner is loaded from.
        protocol, seed: of the evaluation.
        about: first paragraph: where the networks come from, and what was scored.
        made: (name, value) how it was made.
        limits: what the report does not show.
        descriptions: agent -> how it plans.
        branches: learning curves; none where nothing was trained.
        warning: stands above the report; empty where nothing is to be warned of.
    """

    title: str
    networks: Path
    protocol: Protocol
    seed: int
    about: str
    made: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=lambda: ABOUT)
    branches: tuple[BranchCurves, ...] = ()
    warning: str = ""


TRUTH_READERS = "Networks that read the truth are not to be compared with ones that see."
CORRECTED = {
    "pair": ABOUT["pair_corrected"],
    "human_pair": "the same around the human's plan",
}
"""How PaIR plans where it has a corrector."""

ONE_SEED = "One seed. Intervals come from resampling logs; they do not cover the randomness of training."


def trained_story(plan: RunPlan, summary: Summary, *, seconds: float) -> Story:
    """Of a run that the demo trained, in ``seconds`` from its start to here."""
    known, corrects = plan.config.features.known, "correction" in branches_of(plan.config)
    return Story(
        title="OpenPaIR demo",
        networks=plan.folder,
        protocol=plan.config.protocol,
        seed=plan.config.seed,
        about="An imitation policy and a reinforcement sampler were trained side by side on the training towns, "
        "neither reading the other's weights; then a reward model on exactly scored candidates"
        + (
            "; last a corrector, by reinforcement around the plans that the reward model chooses. "
            if corrects
            else ". "
        )
        + ("All read the truth (agents, lanes, lights, edges of the road) in place of sensors. " if known else "")
        + _scored_by(summary),
        made=_made(plan, seconds),
        limits=(
            "A small simulated world and networks of about a million parameters trained for minutes: the figures say "
            "whether the method works here, not how it does on recorded data.",
            *([TRUTH_READERS + " 'openpair demo --preset demo' trains ones that see."] if known else []),
            ONE_SEED,
        ),
        descriptions={**ABOUT, **CORRECTED} if corrects else ABOUT,
        branches=_curves(plan),
        warning=_warning(plan, summary.scenes_expected),
    )


TOUR_DESCRIPTIONS = {
    **ABOUT,
    "il_rwm_wide": f"15 neighbours of its plan, {WIDE:g} times as far as mild ones, chosen from by the reward model "
    "(fair control)",
    **CORRECTED,
}
"""How the networks of the package plan (planning/data/pretrained/planner.json)."""


def tour_story(protocol: Protocol, seed: int, summary: Summary, *, all_scenes: int, seconds: float) -> Story:
    """Of the networks that come with the package, on some of ``all_scenes`` test scenes."""
    trained = read_provenance()
    few = f"{summary.scenes_expected} of {all_scenes} test scenes"
    return Story(
        title="OpenPaIR tour",
        networks=FOLDER,
        protocol=protocol,
        seed=seed,
        about="Imitation policy, tree, reward model and corrector come with the package. They were trained on the "
        "training towns of the embedded world and read the truth (agents, lanes, lights, edges of the road) in place "
        "of sensors. " + _scored_by(summary),
        made=(
            ("command", "openpair demo --preset tour"),
            ("networks", f"{PRETRAINED}, which come with the package"),
            ("trained by", f"{trained['command']}; {trained['machine']}"),
            ("this run", f"{seconds / 60:.1f} min"),
            ("machine", _machine()),
        ),
        limits=(
            TRUTH_READERS,
            f"{few}: intervals are wide. docs/known-results.md has all.",
            ONE_SEED,
        ),
        descriptions=TOUR_DESCRIPTIONS,
        warning="Nothing was trained in this run. The planner comes with the package and reads the truth in place of "
        f"sensors; {few} were scored. 'make demo' trains one from nothing.",
    )


def _scored_by(summary: Summary) -> str:
    return (
        f"All plans were scored by the exact {summary.score_name} of NAVSIM {summary.protocol} in the test towns, "
        "which were not trained on."
    )


def _warning(plan: RunPlan, scenes: int) -> str:
    """What stands above the report of networks that were hardly trained."""
    if not plan.config.name.startswith("quick"):
        return ""
    steps = sum(_steps(plan).values())
    return (
        f"Nothing was learned here. The preset '{plan.config.name}' trains for {steps} steps in all and evaluates "
        f"{scenes} scenes, to show that everything works; its figures mean nothing. 'make demo' trains for real."
    )


def _curves(plan: RunPlan) -> tuple[BranchCurves, ...]:
    points = {branch: read_curve(plan.folder / branch) for branch in branches_of(plan.config)}

    def series(branch: str, figure: str, label: str, *, dashed: bool = False) -> Series:
        known = [(p["step"], p[figure]) for p in points.get(branch, ()) if figure in p]
        return Series(label, [x for x, _ in known], [y for _, y in known], dashed=dashed)

    def scores(title: str, *lines: Series) -> CurvePanel:
        return CurvePanel(title, "step", "score", lines, percent=True)

    every = {
        "il": BranchCurves(
            "Imitation branch",
            "Learns the human's plan, the agents and the map around.",
            (
                CurvePanel(
                    "Distance to the human's plan",
                    "step",
                    "m",
                    (
                        series("il", "val_distance_m", "validation towns, mean over 4 s"),
                        series("il", "val_end_distance_m", "validation towns, at 4 s"),
                    ),
                ),
                CurvePanel("Loss", "step", "", (series("il", "trajectory_l1", "plan (L1, training)"),)),
            ),
        ),
        "rl": BranchCurves(
            "Reinforcement branch",
            "Grows trees around moved human plans; GRPO on exact scores.",
            (
                scores(
                    "Scores of the tree",
                    series("rl", "val_best_of_tree", "best of leaves and root, validation"),
                    series("rl", "val_leaf_score", "mean leaf, validation"),
                    series("rl", "val_root_score", "root, validation", dashed=True),
                ),
                scores(
                    "Scores while exploring",
                    series("rl", "best_leaf_score", "best leaf, training"),
                    series("rl", "leaf_score", "mean leaf, training"),
                    series("rl", "human_score", "human, training", dashed=True),
                ),
            ),
        ),
        "reward": BranchCurves(
            "Reward model",
            "Learns the sub-scores of candidates.",
            (
                scores(
                    "Score of the chosen candidate",
                    series("reward", "val_best_score", "best of the set, validation", dashed=True),
                    series("reward", "val_chosen_score", "chosen, validation"),
                    series("reward", "val_root_score", "root, validation", dashed=True),
                ),
                CurvePanel("Loss", "step", "", (series("reward", "sub_scores", "sub-scores (training)"),)),
            ),
        ),
        "correction": BranchCurves(
            "Corrector",
            "Moves the plans that the reward model chose; GRPO on exact scores.",
            (
                scores(
                    "Score of the plan",
                    series("correction", "val_leaf_score", "corrected, validation"),
                    series("correction", "val_root_score", "before, validation", dashed=True),
                ),
                scores(
                    "Scores while exploring",
                    series("correction", "leaf_score", "mean correction, training"),
                ),
            ),
        ),
    }
    return tuple(every[branch] for branch in points)


def _made(plan: RunPlan, seconds: float) -> tuple[tuple[str, str], ...]:
    infos = {branch: read_info(plan.folder / BRANCH_FILES[branch]) for branch in branches_of(plan.config)}
    train, validation = plan.open()
    minutes = {branch: info.metrics.get("train_seconds", 0.0) / 60 for branch, info in infos.items()}
    return (
        ("command", f"openpair demo --preset {plan.config.name}"),
        ("seed", str(plan.config.seed)),
        ("scenes", f"{len(train.tokens)} training, {len(validation.tokens) if validation else 0} validation"),
        ("left out", "; ".join(f"{t}: {r}" for t, r in train.failures().items()) or "none"),
        ("steps", ", ".join(f"{b} {n}" for b, n in _steps(plan).items())),
        ("training", ", ".join(f"{branch} {value:.1f} min" for branch, value in minutes.items())),
        ("this run", f"{seconds / 60:.1f} min"),
        ("data hash", train.fingerprint()),
        ("machine", _machine()),
        ("versions", ", ".join(f"{k} {v}" for k, v in infos["il"].versions.items())),
    )


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _steps(plan: RunPlan) -> dict[str, int]:
    return {branch: branch_settings(plan.config, branch).steps for branch in branches_of(plan.config)}
