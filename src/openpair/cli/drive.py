"""``openpair drive``: agents drive logs in closed loop."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from openpair.errors import OpenPairError
from openpair.planning.changes import NO_CHANGES, PlannerChanges

if TYPE_CHECKING:
    from openpair.driving.runner import DriveTask

DEFAULT_AGENTS = ("human", "pdm_closed")
EXIT_WORKERS_DIED = 1
FAILURES_SHOWN = 10
VIDEOS_FOLDER = "videos"


@dataclass(frozen=True)
class Drive:
    """Let agents drive logs in closed loop, and judge the drives (docs/closed_loop.md).

    From the fourth frame of a log on the agent plans, and the ego follows the plan with the tracker and the vehicle of
    the scorer; every 0.5 s it plans anew, from what it sees at its own pose, until the log ends.

    Writes OUT/drives.csv (one row per drive and agent), OUT/summary.json (means with 95% intervals by log) and
    OUT/drives/ (one file per drive: ego, plans, events). An interrupted run goes on when the same command is run
    again. The number of workers never changes a result.

    Exit status: 0 all logs driven, 2 bad input, 3 drives failed.

    Example: openpair drive --dataset world --agent human --agent pdm_closed --max-drives 8 --out drives
    """

    MAIN_OPTIONS: ClassVar = (
        "dataset",
        "root",
        "split",
        "agent",
        "traffic",
        "replan",
        "max_drives",
        "log",
        "video",
        "workers",
        "out",
    )

    dataset: Literal["world", "navsim", "argoverse2"]
    """Where to drive. Recorded sensors cannot follow the ego: in navsim only agents that look at no sensors drive."""

    out: Path
    """Folder of the results; made if absent."""

    root: Path | None = None
    """Folder of the dataset; may be left out for the world that comes with OpenPaIR."""

    split: str | None = None
    """Part of the dataset; world: train, val, test (the default), or long: routes of a minute."""

    agent: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Who drives, as for 'openpair eval'; repeat it for several. 'recorded' is the human exactly where it was recorded,
    'human' tracks the recorded way as any plan. Files of plans and agents that let the true score pick cannot drive.
    Default: human and pdm_closed."""

    base: Path | None = None
    """--agent released: its imitation policy."""

    tree: Path | None = None
    """--agent released: its tree sampler."""

    rwm: Path | None = None
    """--agent released: its reward world model."""

    traffic: Literal["replay", "reactive"] = "replay"
    """replay: the others do what was recorded. reactive: vehicles keep their distance to the ego and to each other,
    stop at red lights and follow their lanes; everyone else is replayed."""

    replan: float = 0.5
    """Seconds from one plan to the next, a multiple of 0.1."""

    protocol: Literal["v1.1", "v2.2"] = "v1.1"
    """Which PDM score the plans made on the way get."""

    planner: PlannerChanges = NO_CHANGES
    """Changes to how trained networks plan; the settings beside them (planner.json) hold otherwise."""

    max_drives: int | None = None
    """Drive so many logs alone, spread evenly over the dataset."""

    log: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Drive this log alone; repeat it for several."""

    video: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also write OUT/videos/: an animation (WebP) of every drive, bird's eye view beside the front camera."""

    workers: int = 0
    """Processes; 0 means one per CPU core."""

    ray: str | None = None
    """Work on a Ray cluster instead: its address, or 'local'. Needs the extra 'ray'. Never changes a result."""

    seed: int = 0
    """Seed of agents that draw at random, and of the bootstrap."""

    allow_failures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Exit with 0 even if some drives failed. They are listed all the same."""

    def run(self) -> int:
        """Drive, print the table, return the exit status."""
        from openpair.datatypes.columns import Protocol
        from openpair.driving.runner import DriveTask, run_drives
        from openpair.evaluation.failures import exit_status
        from openpair.evaluation.sources import DatasetSource, parse_agents
        from openpair.planning.network_files import NetworkFiles
        from openpair.pools import Processes, Ray, WorkersDied
        from openpair.progress import ProgressView

        if self.workers < 0:
            raise OpenPairError(f"there cannot be {self.workers} workers", where="--workers", fix="Give 0 or more")
        names = self.agent or DEFAULT_AGENTS
        task = DriveTask(
            DatasetSource(self.dataset, self.root, dataset_options(self.dataset, self.split)),
            parse_agents(names, NetworkFiles(self.base, self.tree, self.rwm), self.planner),
            self.traffic,
            self.replan,
            Protocol(self.protocol),
            self.seed,
        )
        config = {
            "root": None if self.root is None else str(self.root),
            "agents_given": list(names),
            "max_drives": self.max_drives,
            **({"logs": list(self.log)} if self.log else {}),
        }
        workers = self.workers or os.cpu_count() or 1
        try:
            with ProgressView() as view:
                options: dict[str, Any] = {"max_drives": self.max_drives, "only": self.log, "config": config}
                options["on_progress"] = view.update
                if self.ray is not None:
                    with Ray(self.ray, self.workers) as cluster:
                        driven = run_drives(task, self.out, pool=cluster, **options)
                else:
                    driven = run_drives(task, self.out, pool=Processes(workers), **options)
        except WorkersDied as error:
            print(f"openpair drive: {error}", file=sys.stderr)
            return EXIT_WORKERS_DIED
        if self.video:
            self._write_videos(task)
        if len(driven.failed) < len(driven.rows):
            print(results_text(driven.summary))
        if driven.failed:
            print(failure_text(driven.summary), file=sys.stderr)
        print("\n".join(str(self.out / name) for name in ("drives.csv", "summary.json", "drives")))
        nothing_done = len(driven.failed) == len(driven.rows)
        return exit_status(
            some_failed=bool(driven.failed), nothing_done=nothing_done, allow_failures=self.allow_failures
        )

    def _write_videos(self, task: DriveTask) -> None:
        """An animation of every drive that got anywhere."""
        from openpair.driving.recording import read_recording
        from openpair.driving.records import DRIVES_FOLDER, read_drive_file
        from openpair.progress import ProgressView
        from openpair.visualization.drive_video import write_video
        from openpair.visualization.filed_drive import FiledDrive

        dataset = task.dataset.open()
        paths = sorted((self.out / DRIVES_FOLDER).glob("*.json"))
        with ProgressView() as view:
            for done, path in enumerate(paths):
                view.update("draw drives", done, len(paths))
                data = read_drive_file(path)
                if len(data.get("ego", ())) > 1:
                    recording = read_recording(dataset, data["row"]["log"])
                    write_video(self.out / VIDEOS_FOLDER / f"{path.stem}.webp", FiledDrive(data, recording, dataset))
            view.update("draw drives", len(paths), len(paths))


def dataset_options(dataset: str, split: str | None) -> dict[str, Any]:
    """Options of the class of a dataset to drive in. Raises OpenPairError for a split that it cannot have."""
    if dataset == "world":
        return {"split": split or "test"}
    if dataset == "argoverse2":
        if split is not None:
            raise OpenPairError("argoverse2 has no splits", where="--split", fix="Give the folder with --root")
        return {}
    from openpair.datasets.navsim.scene_filter import SceneFilter

    return {"split": split, "scene_filter": SceneFilter(frame_interval=1), "missing": "per_scene"}


def results_text(summary: dict[str, Any]) -> str:
    """A table of the means, in per cent, and of the drives with each kind of infraction."""
    columns = {
        "driving_score": "driving",
        "route_completion": "route",
        "success": "success",
        "nuplan_score": "nuPlan",
        "mean_plan_score": "plans",
    }
    counts = {"at_fault_collisions": "hit", "off_road": "off road", "wrong_way": "wrong way", "red_lights": "red"}
    width = max(map(len, summary["agents"]))
    lines = [
        f"{'':{width}}  drives  "
        + "".join(f"{name:>9}" for name in columns.values())
        + "".join(f"{name:>10}" for name in counts.values())
    ]
    for name, agent in summary["agents"].items():
        means = [agent["means"][column]["mean"] for column in columns]
        cells = "".join("        -" if math.isnan(mean) else f"{100 * mean:9.1f}" for mean in means)
        events = "".join(f"{agent['drives_with'][count]:10d}" for count in counts)
        lines.append(f"{name:{width}}  {agent['drives_scored']:6d}  {cells}{events}")
    lines.append("Scores in per cent; the last columns count drives.")
    return "\n".join(lines)


def failure_text(summary: dict[str, Any]) -> str:
    """What failed and why, the commonest reasons first."""
    drives = summary["drives"]
    head = f"openpair drive: {drives['failed']} of {drives['expected']} drives FAILED and are in no mean:"
    reasons = Counter(f"{failure['agent']}: {failure['reason']}" for failure in drives["failures"])
    lines = [f"  {count} x {reason}" for reason, count in reasons.most_common(FAILURES_SHOWN)]
    if len(reasons) > FAILURES_SHOWN:
        lines.append(f"  ... and {len(reasons) - FAILURES_SHOWN} more reasons; summary.json lists every drive.")
    return "\n".join([head, *lines])
