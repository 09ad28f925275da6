"""``openpair bench startup``: what commands cost before they do anything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from openpair.errors import OpenPairError
from openpair.planning.pretrained import PRETRAINED, run_folder

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Limits:
    """Targets: processor time [s], memory [MB]; None for none."""

    cpu_s: float
    peak_mb: float | None = None


HELP = Limits(0.5, 80.0)
BASELINES = Limits(3.0, 300.0)
NETWORKS = Limits(7.0)

OPENPAIR = (sys.executable, "-m", "openpair.cli.main")

# The kernel counts the memory of the process that starts another one as the other's, so a small one starts it.
MEASURE = """
import json, os, sys
silent = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(pid, 0)
unit = 2**20 if sys.platform == "darwin" else 2**10
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit]))
"""


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        command: its words after ``openpair``.
        cpu_s: processor time, of the processes that it started too [s].
        peak_mb: greatest memory of one of these processes [MB].
        limits: its targets.
    """

    command: str
    cpu_s: float
    peak_mb: float
    limits: Limits

    @property
    def met(self) -> bool:
        """Whether both targets are met."""
        return self.cpu_s <= self.limits.cpu_s and self.peak_mb <= (self.limits.peak_mb or float("inf"))


@dataclass(frozen=True)
class BenchStartup:
    """Measure what starting costs: help of every command, a typing error, an evaluation of one scene of the world.

    Every command runs in a process of its own. Reported is processor time, which other programs hardly lengthen.
    """

    networks: Path = Path(PRETRAINED)
    """Run folder whose networks one scene is evaluated with too; default: those of the package."""

    repeats: int = 3
    """The fastest of so many runs counts."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Measure, print."""
        if self.repeats < 1:
            raise OpenPairError(f"{self.repeats} runs", where="--repeats", fix="Give 1 or more")
        if not run_folder(self.networks).exists():
            raise OpenPairError(f"there is no '{self.networks}'", where="--networks", fix="Check the path")
        costs = list(self.costs())
        if self.json:
            print(json.dumps([{**asdict(cost), "met": cost.met} for cost in costs], indent=2))
        else:
            from rich.console import Console

            Console().print(table(costs))
        return 0

    def costs(self) -> Iterator[Cost]:
        """What each command costs. Raises OpenPairError for one that does not end as it should."""
        for name in command_names():
            yield self._least((name, "--help"), HELP)
        yield self._least(("eval", "--agnet", "human"), HELP, status=2)
        yield self._evaluation((), BASELINES)
        yield self._evaluation(("--agent", str(self.networks)), NETWORKS)

    def _evaluation(self, agents: Sequence[str], limits: Limits) -> Cost:
        command = ("eval", "--dataset", "world", "--max-scenes", "1", "--workers", "1", *agents)
        return self._least(command, limits, writes=True)

    def _least(self, command: Sequence[str], limits: Limits, *, status: int = 0, writes: bool = False) -> Cost:
        """The fastest of the runs of a command; ``writes`` gives each an empty folder for its results."""
        runs = []
        for _ in range(self.repeats):
            with tempfile.TemporaryDirectory() as folder:
                out = ("--out", str(Path(folder) / "out")) if writes else ()
                runs.append(cost_of_process((*OPENPAIR, *command, *out), status=status))
        return Cost(" ".join(command), *min(runs), limits)


def command_names() -> list[str]:
    """The commands that ``openpair --help`` lists."""
    text = subprocess.run((*OPENPAIR, "--help"), capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z-]+)  ", text, re.MULTILINE)


def cost_of_process(command: Sequence[str], *, status: int = 0) -> tuple[float, float]:
    """Processor time [s] and greatest memory [MB] of a process. Raises OpenPairError for another exit status."""
    measured = subprocess.run((sys.executable, "-c", MEASURE, *command), capture_output=True, text=True, check=True)
    ended, cpu_s, peak_mb = json.loads(measured.stdout)
    if ended != status:
        raise OpenPairError(f"it ends with status {ended}, not {status}", where=" ".join(command))
    return cpu_s, peak_mb


def table(costs: Sequence[Cost]) -> Table:
    """The costs beside their targets."""
    from rich.table import Table

    out = Table(title="starting")
    for heading in ("openpair ...", "CPU [s]", "target", "memory [MB]", "target"):
        out.add_column(heading, justify="left" if heading.startswith("openpair") else "right")
    for cost in costs:
        peak_limit = "" if cost.limits.peak_mb is None else f"{cost.limits.peak_mb:.0f}"
        figures = (f"{cost.cpu_s:.2f}", f"{cost.limits.cpu_s:.1f}", f"{cost.peak_mb:.0f}", peak_limit)
        out.add_row(cost.command, *figures, style=None if cost.met else "red")
    return out
