"""``openpair explain``: why a plan scored what it scored, in words and in a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from openpair.errors import OpenPairError
from openpair.planning.changes import NO_CHANGES, PlannerChanges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from openpair.datatypes.scoring_scene import ScoringScene
    from openpair.visualization.explanation import Explanation


@dataclass(frozen=True)
class Explain:
    """Say why a plan scored what it scored: each sub-metric with its moment, the object, the lane and the arithmetic.

    Prints the reasons and writes a page with the scene from above, on which the first offence is marked and time can
    be moved. Give a golden case (.npz), a metric cache of NAVSIM (.pkl) or the token of a scene of a dataset.

    Example: openpair explain CASE.npz --plan 3

    Example: openpair explain TOKEN --dataset navsim --root DIR --agent constant_velocity --protocol v2.2
    """

    MAIN_OPTIONS: ClassVar = ("plan", "protocol", "dataset", "root", "split", "agent", "out")

    scene: tyro.conf.Positional[str]
    """A golden case (.npz), a metric cache of NAVSIM (.pkl), or the token of a scene."""

    plan: int = 0
    """Which plan of a case."""

    protocol: Literal["v1.1", "v2.2"] | None = None
    """v1.1 gives PDMS, v2.2 gives EPDMS. Default: what a case was cut for; v1.1 for a token."""

    dataset: str = "world"
    """Where a token is looked up."""

    root: Path | None = None
    """Folder of the dataset, as for 'openpair eval'."""

    split: str | None = None
    """Part of the dataset, as for 'openpair eval'."""

    agent: str = "human"
    """Whose plan of a token or metric cache: human, constant_velocity, pdm_closed, a file of plans or a checkpoint, as
    for 'openpair eval'."""

    seed: int = 0
    """Seed of an agent that draws at random."""

    human_filter: bool = True
    """v2.2: forgive sub-metrics that the human himself failed, as NAVSIM does by default."""

    planner: PlannerChanges = NO_CHANGES
    """Changes to how trained networks plan, as for 'openpair eval'."""

    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o", "--output"])] = None
    """File to write: .html (a page) or .svg (the drawing alone). Default: explanation-SCENE-PLAN.html here."""

    def run(self) -> int:
        """Explain, print, write, return the exit status."""
        from openpair.visualization.explanation import explain
        from openpair.visualization.explanation_page import explanation_text, write_explanation

        if self.out is not None and self.out.suffix not in (".html", ".svg"):
            raise OpenPairError("the file is neither .html nor .svg", where=self.out, fix="Choose one of the two")
        kinds = {".npz": self._case, ".pkl": self._metric_cache}
        scene, plan, label = kinds.get(Path(self.scene).suffix, self._token)()
        explanation = explain(scene, plan, label, human_filter=self.human_filter)
        path = self.out or Path(default_name(explanation))
        try:
            write_explanation(explanation, path)
        except OSError as error:
            raise OpenPairError(f"the file cannot be written ({error.strerror})", where=path) from None
        print(f"{explanation_text(explanation)}\n\n{path}")
        return 0

    def _case(self) -> tuple[ScoringScene, NDArray[np.float64], str]:
        """Scene and plan of a golden case."""
        from openpair.datatypes.columns import Protocol
        from openpair.scoring.cases import case_protocol, read_case, scene_from_case

        path = Path(self.scene)
        case = read_case(path)
        if "trajs" not in case or "in_version" not in case:
            raise OpenPairError("the case has no plans", where=path, fix="Give a golden case of the score")
        plans = case["trajs"]
        if not 0 <= self.plan < len(plans):
            raise OpenPairError(
                f"the case has no plan {self.plan}", where=path, fix=f"Choose --plan 0 to {len(plans) - 1}"
            )
        protocol = case_protocol(case) if self.protocol is None else Protocol(self.protocol)
        return scene_from_case(case, protocol, path.stem), plans[self.plan], f"plan {self.plan}"

    def _metric_cache(self) -> tuple[ScoringScene, NDArray[np.float64], str]:
        """Scene of one of NAVSIM's metric caches and a plan that needs no more than it holds."""
        from openpair.datasets.navsim.metric_cache import read_metric_cache
        from openpair.evaluation.plans_file import read_plans
        from openpair.evaluation.sources import parse_agent
        from openpair.preparation.prepare import reference_plan

        agent = parse_agent(self.agent)
        scene = read_metric_cache(Path(self.scene))
        if self.protocol not in (None, scene.protocol.value):
            raise OpenPairError(
                f"the metric cache is one of {scene.protocol.value}", where=self.scene, fix="Leave --protocol out"
            )
        if agent.kind == "pdm_closed":
            return scene, reference_plan(scene), agent.name
        if agent.kind == "human" and scene.human_trajectory is not None:
            return scene, scene.human_trajectory, agent.name
        if agent.kind == "plans" and agent.path is not None:
            return scene, read_plans(agent.path).plan_of(scene.token), agent.name
        raise OpenPairError(
            f"a metric cache of {scene.protocol.value} does not say what '{agent.name}' would drive",
            where="--agent",
            fix="Give pdm_closed or a file of plans (.npz)",
        )

    def _token(self) -> tuple[ScoringScene, NDArray[np.float64], str]:
        """Scene of a dataset and the plan an agent makes for it."""
        from openpair.datasets.choice import SceneChoice, choose_scenes
        from openpair.datatypes.columns import Protocol
        from openpair.evaluation.agents import check_plan
        from openpair.evaluation.sources import AgentContext, DatasetSource, parse_agent, with_changes
        from openpair.preparation.prepare import prepare_scene

        agent_source = with_changes(parse_agent(self.agent), self.planner)
        name, options = choose_scenes(self.dataset, self.root, SceneChoice(self.split))
        dataset = DatasetSource(name, self.root, options).open()
        if all(key.token != self.scene for key in dataset.keys()):
            part = "" if self.split is None else f" (split {self.split})"
            raise OpenPairError(
                f"the dataset {self.dataset}{part} has no such scene",
                where=self.scene,
                fix="Check --dataset, --root and --split, or give a golden case (.npz)",
            )
        scene = dataset.load_scene(self.scene)
        prepared = prepare_scene(scene, Protocol(self.protocol or "v1.1"))
        agent = agent_source.build(AgentContext(dataset, lambda _: prepared, self.seed))
        return prepared, check_plan(agent.plan(scene), agent=agent.name), agent.name


def default_name(explanation: Explanation) -> str:
    """``explanation-case006-plan-3.html``."""
    words = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{explanation.scene.token}-{explanation.label}").strip("-.")
    return f"explanation-{words}.html"
