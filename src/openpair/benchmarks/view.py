"""``openpair bench view``: how long a reader of results waits, and how much memory the server takes.

Asked as the page asks, and in a browser where there is one (:mod:`openpair.benchmarks.view_browser`).
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlsplit

import numpy as np
import tyro

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from rich.table import Table

OPENPAIR = (sys.executable, "-m", "openpair.cli.main")
AGENTS = ("human", "constant_velocity", "pdm_closed")
SCAN_S = 600


@dataclass(frozen=True)
class Wait:
    """A figure beside its target.

    Attributes:
        what: is measured.
        value, target: in ``unit``.
    """

    what: str
    value: float
    target: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.target


@dataclass(frozen=True)
class BenchView:
    """Measure 'openpair view': the table of many scenes, scenes one after another, memory of the server.

    Opens a result with scenes of the embedded world (of 12,000 one in eleven is made up, to fill the table) and three
    agents; asks for what the page asks for at first; then, when the server has looked through all scenes, for some that
    were not asked for before, each with the plans of all three agents. The same again in headless Chromium, where
    Playwright (extra "dev") and Chromium are installed: until the table, and each scene, is on the screen. Other
    programs lengthen waits; processor time hardly.
    """

    scenes: int = 12_000
    """Rows of the table."""

    opened: int = 12
    """Scenes that are asked for, and as many more in the browser."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Measure, print."""
        waits, note = self.waits()
        if self.json:
            found = [{**vars(wait), "met": wait.met} for wait in waits]
            print(json.dumps({"waits": found, "not_measured": note}, indent=2))
        else:
            from rich.console import Console

            Console().print(table(waits))
            if note:
                print(note)
        return 0

    def waits(self) -> tuple[list[Wait], str]:
        """The figures, and what was not measured and why, or "".

        Raises OpenPairError where the server does not answer as it should.
        """
        from openpair.benchmarks.view_browser import chromium, watch

        if not 4 <= 2 * self.opened <= self.scenes:
            raise OpenPairError(
                f"{self.opened} and {self.opened} of {self.scenes} scenes cannot be opened",
                where="--opened",
                fix="Give 2 or more, half of --scenes at most",
            )
        browser, missing = chromium()
        with tempfile.TemporaryDirectory() as folder:
            tokens = write_result(Path(folder), self.scenes, 2 * self.opened)
            asked, watched = tokens[::2], tokens[1::2]
            with serving(Path(folder)) as (process, address):
                ask = Asker(address)
                page_s = ask.timed("", "app.js", "app.css", "data/table")
                ask.until_scanned()
                before = processor_s(process.pid)
                first = [ask.timed(scene_path(token)) for token in asked]
                used = (processor_s(process.pid) - before) / len(asked)
                again = ask.timed(scene_path(asked[-1]))
                seen = None if browser is None else watch(browser, address, watched)
                memory_mb = resident_mb(process.pid)
        waits = [
            Wait(f"page and table of {self.scenes} scenes", page_s, 1.0, "s"),
            Wait("a scene, median", float(np.median(first)), 0.2, "s"),
            Wait("a scene, processor time, mean", used, 0.2, "s"),
            Wait("a scene seen before", again, 0.2, "s"),
        ]
        if seen is not None:
            waits += [
                Wait("browser: table on the screen", seen.table_s, 1.0, "s"),
                Wait("browser: first scene on the screen", seen.first_scene_s, 1.0, "s"),
                Wait("browser: the same, processor time", seen.opened_cpu_s, 1.0, "s"),
                Wait("browser: a scene, from click to screen, median", float(np.median(seen.scenes_s)), 0.2, "s"),
                Wait("browser: the same, processor time, mean", seen.scene_cpu_s, 0.2, "s"),
            ]
        waits.append(Wait("memory of the server", memory_mb, 500.0, "MB"))
        return waits, missing


def write_result(folder: Path, count: int, opened: int) -> list[str]:
    """A result of the whole world as eval writes it, filled up evenly to ``count`` scenes; ``opened`` tokens that
    can be drawn, spread over the towns."""
    from openpair.datasets.registry import open_dataset
    from openpair.evaluation.records import SCORES_FILE, SUMMARY_FILE, ScoreRow, scores_csv

    keys = open_dataset("world", None, split="all", max_scenes=count).keys()
    known = [(key.log_name, key.token) for key in keys]
    made = [(f"log-{i // 20}", f"{i:016x}") for i in range(count - len(known))]
    order = np.argsort(np.concatenate([np.linspace(0, 1, len(known)), np.linspace(0, 1, len(made))]), kind="stable")
    both = [*known, *made]
    random = np.random.default_rng(0)
    metrics = dict.fromkeys(metric_names(Protocol.V1_1), 1.0)
    rows = [
        ScoreRow("world", log, token, agent, "v1.1", metrics, float(score))
        for log, token in (both[i] for i in order)
        for agent, score in zip(AGENTS, random.random(len(AGENTS)), strict=True)
    ]
    (folder / SCORES_FILE).write_text(scores_csv(rows, Protocol.V1_1))
    summary = {
        "dataset": "world",
        "split": "all",
        "protocol": "v1.1",
        "variant": {"human_filter": True},
        "scenes": {"expected": count},
        "agents": {agent: {"kind": agent} for agent in AGENTS},
        "seed": 0,
        "config": {},
    }
    (folder / SUMMARY_FILE).write_text(json.dumps(summary))
    spread = np.linspace(0, len(known) - 1, opened).round().astype(int)
    return [known[i][1] for i in spread]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``openpair view`` of a folder in a process of its own, and its address."""
    command = (*OPENPAIR, "view", str(folder))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+/", process.stdout.readline())
            if found is None:
                raise OpenPairError("the server does not start", where=" ".join(command[2:]))
            yield process, found.group()
        finally:
            process.terminate()
            process.wait(timeout=20)


class Asker:
    """Asks as a browser does: one connection that stays open, compressed answers.

    Args:
        address: of the page.
    """

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        self._path = where.path
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)

    def until_scanned(self) -> None:
        """Wait until the server has looked through all scenes. Raises OpenPairError where that takes too long."""
        for _ in range(SCAN_S):
            if json.loads(self._get("data/happenings"))["done"]:
                return
            time.sleep(1.0)
        raise OpenPairError(f"the server has not looked through all scenes within {SCAN_S} s")

    def timed(self, *paths: str) -> float:
        """Seconds until the answers to some paths, one after another, are there."""
        started = time.perf_counter()
        for path in paths:
            self._get(path)
        return time.perf_counter() - started

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", self._path + path, headers={"Accept-Encoding": "gzip"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OpenPairError(f"the server answers {answer.status}", where=path)
        return gzip.decompress(body) if answer.getheader("Content-Encoding") == "gzip" else body


def scene_path(token: str) -> str:
    """What the page asks for to show a scene with all agents."""
    return f"data/scene/{quote(token)}?" + "&".join(f"agent=0.{agent}" for agent in AGENTS)


def resident_mb(pid: int) -> float:
    """Greatest memory of a process so far [MB]; NaN where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return float("nan")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return float("nan") if found is None else int(found.group(1)) / 1024


def processor_s(pid: int) -> float:
    """Processor time of a process so far [s]; NaN where the system does not tell."""
    try:
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def table(waits: list[Wait]) -> Table:
    """The figures beside their targets."""
    from rich.table import Table

    out = Table(title="openpair view")
    for heading in ("", "measured", "target"):
        out.add_column(heading, justify="right" if heading else "left")
    for wait in waits:
        out.add_row(
            wait.what,
            f"{wait.value:.3g} {wait.unit}",
            f"{wait.target:g} {wait.unit}",
            style=None if wait.met else "red",
        )
    return out
