"""``openpair eval``: evaluate agents on a dataset."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from openpair.errors import OpenPairError
from openpair.planning.changes import NO_CHANGES, PlannerChanges

if TYPE_CHECKING:
    from openpair.evaluation.chunk import Task
    from openpair.evaluation.prepared import PrepareFromStore
    from openpair.evaluation.runner import Evaluation
    from openpair.evaluation.summary import Failure, Summary
    from openpair.planning.network_files import NetworkFiles

FAILURES_SHOWN = 10


@dataclass(frozen=True)
class Eval:
    """Evaluate agents on a dataset, exactly as NAVSIM scores plans.

    Writes OUT/scores.csv (one row per scene and agent, every sub-metric, the score, or the reason why there is none),
    OUT/plans/ (the plans, for 'openpair view') and OUT/summary.json (protocol, scenes expected, scored and failed,
    means with 95% intervals by log, versions).
    The same command resumes an interrupted evaluation; results of another one in OUT are refused. The number of workers
    never changes a result.

    Exit status: 0 all scenes scored, 2 bad input, 3 scenes failed.

    Example: openpair eval --dataset argoverse2 --root DIR --agent human --agent constant_velocity --out results
    """

    MAIN_OPTIONS: ClassVar = (
        "dataset",
        "root",
        "split",
        "tokens",
        "agent",
        "protocol",
        "prepared",
        "max_scenes",
        "workers",
        "out",
    )

    dataset: str
    """What kind of data: world, navsim, argoverse2, or what an installed package registers."""

    out: Path
    """Folder for scores.csv and summary.json; made if absent."""

    root: Path | None = None
    """Folder of the dataset. navsim: holds navsim_logs/, maps/ and, where there are any, sensor_blobs/. argoverse2:
    holds sensor logs. world: may be left out for the world that comes with OpenPaIR."""

    split: str | None = None
    """Part of the dataset; world: train, val or test (the default). navsim: a folder below navsim_logs/, or a split as
    NAVSIM names it (navtrain, navtest, navmini, navhard_two_stage ...), whose scene filter is found below
    NAVSIM_DEVKIT_ROOT."""

    tokens: Path | None = None
    """navsim: which scenes; NAVSIM's scene filter (.yaml) or a list of tokens (.csv with a column token, or .txt).
    Tokens that the folder lacks are listed as failed."""

    stages: Literal[1, 2] = 1
    """navsim, v2.2: 1 replays the recorded traffic; 2 evaluates a two-stage set (navhard), where traffic answers the
    plans in both stages. Two stages also write OUT/mappings.csv: one row per mapping and agent."""

    mapping: Path | None = None
    """--stages 2: which second-stage scenes follow which; NAVSIM's train_test_split/<name>.yaml. May be left out where
    --split is NAVSIM's name of the set and NAVSIM_DEVKIT_ROOT is set."""

    second_stage: Path | None = None
    """--stages 2: folder with synthetic_scene_pickles/; default: below the root, named as the set (navhard_two_stage/
    unless --split says otherwise)."""

    agent: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Who drives; repeat it for several. human, constant_velocity, pdm_closed, a file of plans (PLANS.npz: token (N,),
    poses (N, 8, 3)), a checkpoint, an agent of an installed package (docs/bring_your_own_policy.md), FILE.py:FUNCTION,
    released, or AGENT+CHECKPOINT: sampler and reward model of a checkpoint around another agent's plan. NAME=... sets
    the name in the results. Where plans are given without --tokens, the scenes are theirs. Default: human,
    constant_velocity and pdm_closed."""

    base: Path | None = None
    """--agent released: its imitation policy, DiffusionDrive or TransFuser; as downloaded, or imported."""

    tree: Path | None = None
    """--agent released: its tree sampler."""

    rwm: Path | None = None
    """--agent released: its reward world model."""

    inference: Literal["optimised", "plain", "bfloat16", "compiled", "compiled-bfloat16"] = "optimised"
    """--agent released: how its networks are run. optimised is faster than plain, with the same results up to rounding.
    bfloat16 is faster still, but moves plans by up to centimetres and may change close choices (docs/performance.md).
    compiled is torch.compile."""

    protocol: Literal["v1.1", "v2.2"] = "v1.1"
    """NAVSIM v1.1 gives PDMS, v2.2 gives EPDMS."""

    prepared: Path | None = None
    """Prepared scenes that 'openpair cache' wrote, read instead of preparing each scene again. Never changes a
    result; scenes that were prepared from other data are refused."""

    human_filter: bool = True
    """v2.2: forgive sub-metrics that the human himself failed, as NAVSIM does by default."""

    planner: PlannerChanges = NO_CHANGES
    """Changes to how trained networks plan; the settings beside them (planner.json) hold otherwise."""

    predecessors: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """v2.2: for extended comfort, compare each scene with the one half a second before even where that is none of the
    scenes evaluated: it is planned and scored too, and not counted."""

    carry_exemptions: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Do as NAVSIM's own scripts do in one process: the reference planner ignores a track in all scenes after the
    one in which it touched the ego. Scores then depend on the order of scenes (that of scores.csv). Works in one
    process and starts again after an interruption."""

    workers: int = 0
    """Processes; 0 means one per CPU core."""

    ray: str | None = None
    """Work on a Ray cluster instead: its address, or 'local'. Needs the extra 'ray'. Never changes a result."""

    max_scenes: int | None = None
    """Evaluate only this many scenes, spread evenly over the dataset."""

    seed: int = 0
    """Seed of agents that draw at random, and of the bootstrap."""

    allow_failures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Exit with 0 even if some scenes failed. They are listed all the same."""

    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace results of another evaluation in OUT."""

    def run(self) -> int:
        """Evaluate, print the table, return the exit status."""
        from openpair.cli.cache import ray_pool
        from openpair.datatypes.columns import Protocol
        from openpair.evaluation.chunk import Task
        from openpair.evaluation.runner import evaluate
        from openpair.evaluation.sources import BUILT_IN_AGENTS, TWO_STAGE_AGENTS, DatasetSource, parse_agents
        from openpair.progress import ProgressView

        protocol = Protocol(self.protocol)
        if self.carry_exemptions:
            self._check_order_matters()
        name, options = self.dataset_and_options()
        names = self.agent or (BUILT_IN_AGENTS if self.stages == 1 else TWO_STAGE_AGENTS)
        task = Task(
            DatasetSource(name, self.root, options),
            parse_agents(names, self.released(), self.planner),
            protocol,
            self.seed,
            self.human_filter,
            all_scenes=getattr(options.get("scene_filter"), "tokens", None) is not None,
            stages=self.stages,
            predecessors=self.predecessors,
            carry_exemptions=self.carry_exemptions,
        )
        if self.prepared is not None:
            task = replace(task, prepare=self._prepare(task))
        config = {
            "root": None if self.root is None else str(self.root),
            "agents": list(names),
            "released": {part: str(path) for part, path in self.released().by_part().items()},
            "mapping": None if self.mapping is None else str(self.mapping),
            "tokens": None if self.tokens is None else str(self.tokens),
            "max_scenes": self.max_scenes,
            "prepared": None if self.prepared is None else str(self.prepared),
        }
        with ray_pool(self.ray, self.workers) as pool, ProgressView() as view:
            evaluation = evaluate(
                task,
                out_dir=self.out,
                workers=self.workers,
                max_scenes=self.max_scenes,
                config=config,
                overwrite=self.overwrite,
                on_progress=view.update,
                pool=pool,
            )
        self._print(evaluation)
        return evaluation.exit_status(allow_failures=self.allow_failures)

    def _check_order_matters(self) -> None:
        """Refuse what does not go with scenes that depend on those before them."""
        for option, given in (("--prepared", self.prepared is not None), ("--stages 2", self.stages == 2)):
            if given:
                raise OpenPairError(
                    "there every scene stands for itself", where=option, fix="Leave it or --carry-exemptions out"
                )

    def _prepare(self, task: Task) -> PrepareFromStore:
        """Reads prepared scenes from the store; one that is of no use is refused here, not once per scene."""
        from openpair.evaluation.prepared import PrepareFromStore, find_store
        from openpair.training.data import source_of

        assert self.prepared is not None
        dataset = task.dataset.open()
        prepare = PrepareFromStore(find_store(self.prepared, task.protocol, source_of(dataset)))
        prepare.check(task.protocol, source_of(dataset), [key.token for key in dataset.keys()])
        return prepare

    def released(self) -> NetworkFiles:
        """The files of the agent ``released``. Raises OpenPairError for one that is not there."""
        from openpair.planning.network_files import NetworkFiles

        for option, path in (("--base", self.base), ("--tree", self.tree), ("--rwm", self.rwm)):
            if path is not None and not path.is_file():
                raise OpenPairError(f"there is no file '{path}'", where=option, fix="Check the path")
        return NetworkFiles(self.base, self.tree, self.rwm, self.inference)

    def dataset_and_options(self) -> tuple[str, dict[str, Any]]:
        """Name of the dataset and options that open it. Raises OpenPairError for options that do not fit together."""
        from openpair.datasets.choice import SceneChoice, choose_scenes

        if self.stages == 2 and self.protocol != "v2.2":
            raise OpenPairError(
                "two stages belong to navsim and v2.2", where="--stages", fix="Use --dataset navsim --protocol v2.2"
            )
        choice = SceneChoice(self.split, self.tokens, mapping=self.mapping, second_stage=self.second_stage)
        return choose_scenes(self.dataset, self.root, choice, stages=self.stages)

    def _print(self, evaluation: Evaluation) -> None:
        from openpair.evaluation.tables import print_table, results_table

        if not evaluation.nothing_scored:
            print_table(results_table(evaluation.summary))
        if evaluation.summary.failures:
            print(failure_text(evaluation.summary), file=sys.stderr)
        files = ["scores.csv", *(["mappings.csv"] if self.stages == 2 else []), "summary.json"]
        print("\n".join(str(self.out / name) for name in files))


def failure_text(summary: Summary) -> str:
    """What failed and why, the commonest reasons first, in words that cannot be overlooked."""
    head = f"openpair eval: {summary.scenes_failed} of {summary.scenes_expected} scenes FAILED and are in no mean:"
    by_reason: dict[str, list[Failure]] = {}
    for failure in summary.failures:
        by_reason.setdefault(f"{', '.join(failure.agents)}: {failure.reason}", []).append(failure)
    ranked = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    lines = []
    for reason, failures in ranked[:FAILURES_SHOWN]:
        first = failures[0].token if len(failures) == 1 else f"{len(failures)} scenes, first {failures[0].token}"
        log = f" ({failures[0].log})" if failures[0].log else ""
        lines.append(f"  {first}{log}; {reason}")
    if len(ranked) > FAILURES_SHOWN:
        lines.append(f"  ... and {len(ranked) - FAILURES_SHOWN} more reasons; summary.json lists every scene.")
    return "\n".join([head, *lines])
