"""``openpair view``: a window on results."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.datasets.base import Dataset
    from openpair.datatypes.columns import Protocol
    from openpair.viewer.columns import DataOrigin
    from openpair.viewer.desk import Desk
    from openpair.viewer.result_table import Column, ResultTable

EXPORTED_SCENES = 12


@dataclass(frozen=True)
class View:
    """Look at results in the browser: a table of scenes, each scene from above over its 4 s with every agent's plan and
    where it lost points, charts of scores and learning; or drives of the closed loop, from beginning to end.

    Serves a page on this machine until interrupted, and prints its address; the address holds a random token, and
    nothing else is served. With --export it writes one file instead, which opens anywhere.

    Example: openpair view demo

    Example: openpair view results/baseline results/mine --export worst.html

    Example: openpair view drives
    """

    MAIN_OPTIONS: ClassVar = ("agent", "dataset", "root", "export", "scene", "port", "browser")

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of 'openpair eval', 'demo' or 'reproduce', a file of 'compare --out', or a folder of NAVSIM's CSV files
    with plans (FILE.csv beside FILE.npz); folders of 'openpair train', whose curves are shown beside them or alone; or
    folders of 'openpair drive'."""

    agent: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Agents to look at first; give two to compare the first with the second. Default: pair and il, where they are
    there."""

    protocol: Literal["v1.1", "v2.2"] | None = None
    """Which scores of a reproduction: v1.1 (the default) or v2.2."""

    dataset: Literal["world", "navsim", "argoverse2"] | None = None
    """Where the scenes of NAVSIM's CSV files are; default: navsim."""

    split: str | None = None
    """Part of that dataset, as for 'openpair eval'."""

    root: Path | None = None
    """Folder of the dataset, where it is not where the result says."""

    export: Path | None = None
    """Write one self-contained page (.html) with some scenes, and serve nothing."""

    rerun: Path | None = None
    """Write a scene, or the drives of a log, for the Rerun viewer in 3D (.rrd; 'spawn' starts the viewer instead), and
    serve nothing: map, road users, plans, cameras, LiDAR, scores over time. Needs pip install 'openpair[rerun]'."""

    scene: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """--rerun: token of the scene, or name of the log; default: the greatest loss. --export: tokens of the scenes;
    default: the 12 with the greatest losses and gains of the first agent against the second."""

    cameras: bool = True
    """--export, --rerun: with cameras (and LiDAR), where the dataset has some."""

    host: str = "127.0.0.1"
    """Address to serve on. Anything but this machine's own lets others in who know the token."""

    port: int = 0
    """Port to serve on; 0 takes a free one."""

    browser: bool = False
    """Open the page in the browser at once."""

    def run(self) -> int:
        """Open the results, serve or export, return the exit status."""
        from openpair.viewer.export import export_scenes, telling_scenes

        if not self.results:
            raise OpenPairError("no result is named", where="RESULT", fix="Name the --out folder of 'openpair eval'")
        if self.export is not None and self.rerun is not None:
            raise OpenPairError("--export and --rerun write one thing each", fix="Give one of them")
        if self.export is not None and self.export.suffix != ".html":
            raise OpenPairError("the file is not .html", where=self.export, fix="Name it .html")
        desk = self._desk()
        if not desk.book.columns:
            return self._serve_learning(desk)
        first, second = self._agents(desk.book)
        if self.rerun is not None:
            return self._log(desk, first, second, self.rerun)
        if self.export is None:
            found = f"{len(desk.book.tokens)} {desk.book.kind}, {len(desk.book.columns)} agents"
            return self._serve(desk, found, fragment(first, second) if self.agent else "")
        tokens = list(self.scene) or telling_scenes(desk.book, first, second, EXPORTED_SCENES)
        keys = drawn_agents(desk.book, first, second)
        title = " and ".join(result.name for result in desk.book.results)
        size = export_scenes(desk, self.export, tokens, keys, title=title, cameras=self.cameras)
        print(f"{self.export}   ({len(tokens)} {desk.book.kind}, {size / 1e6:.1f} MB)")
        return 0

    def _log(self, desk: Desk, first: Column, second: Column | None, target: Path) -> int:
        """Write one scene, or the drives of one log, for Rerun."""
        from openpair.viewer.export import telling_scenes
        from openpair.viewer.rerun_log import log_row

        if len(self.scene) > 1:
            raise OpenPairError(f"{len(self.scene)} scenes are named", where="--scene", fix="Name one for --rerun")
        token = next(iter(self.scene), None) or telling_scenes(desk.book, first, second, 1)[0]
        for note in log_row(target, desk.book, token, drawn_agents(desk.book, first, second), sensors=self.cameras):
            print(note)
        print(f"{target}   ({desk.book.thing} {token}; open it with 'rerun {target}')")
        return 0

    def _desk(self) -> Desk:
        from openpair.datatypes.columns import Protocol
        from openpair.viewer.book import Book
        from openpair.viewer.charts import is_unscored, runs_of
        from openpair.viewer.desk import DriveDesk, SceneDesk
        from openpair.viewer.drive_book import DriveBook
        from openpair.viewer.drive_results import is_drives, open_drives
        from openpair.viewer.results import open_results

        if all(map(is_drives, self.results)):
            return DriveDesk(DriveBook([open_drives(path) for path in self.results], self._open_driven))
        protocol = None if self.protocol is None else Protocol(self.protocol)
        results, runs = [], []
        for path in self.results:
            opened = [] if is_unscored(path) else open_results(path, protocol=protocol, dataset=self.dataset)
            results += opened
            runs += runs_of(path, [c.checkpoint for result in opened for c in result.columns if c.checkpoint])
        return SceneDesk(Book(results, self._open_dataset), list(dict.fromkeys(runs)))

    def _open_dataset(self, origin: DataOrigin, protocol: Protocol) -> Dataset:
        """Where a result's scenes come from. Raises OpenPairError where that is not there."""
        from openpair.datasets.choice import SceneChoice, choose_scenes
        from openpair.datasets.registry import open_dataset

        root = self._root(origin)
        mapping = origin.config.get("mapping")
        choice = SceneChoice(self.split or origin.split, mapping=None if mapping is None else Path(mapping))
        dataset = "navsim" if origin.dataset.startswith("navsim") else origin.dataset
        name, options = choose_scenes(dataset, root, choice, stages=2 if origin.stages == 2 else 1)
        return open_dataset(name, root, **options)

    def _open_driven(self, origin: DataOrigin) -> Dataset:
        """Where drives were driven. Raises OpenPairError where that is not there."""
        from openpair.cli.drive import dataset_options
        from openpair.datasets.registry import open_dataset

        options = dataset_options(origin.dataset, self.split or origin.split)
        return open_dataset(origin.dataset, self._root(origin), **options)

    def _root(self, origin: DataOrigin) -> Path | None:
        root = self.root or (None if origin.root is None else Path(origin.root))
        if root is not None and not root.is_dir():
            raise OpenPairError(
                f"the dataset {origin.dataset} of this result is not there",
                where=root,
                fix="Say where it is: --root DIR",
            )
        return root

    def _agents(self, book: ResultTable) -> tuple[Column, Column | None]:
        """The agent looked at, and the one it is compared with."""
        if len(self.agent) > 2:
            raise OpenPairError(f"{len(self.agent)} agents are named", where="--agent", fix="Name one or two")
        named = [_named(book, name) for name in self.agent]
        if len(named) == 2:
            return named[0], named[1]
        if named:
            return named[0], None
        by_name = {column.column.agent.rpartition(".")[2]: column for column in reversed(book.columns)}
        if {"pair", "il"} <= by_name.keys():
            return by_name["pair"], by_name["il"]
        first = book.columns[-1]
        return first, next((column for column in book.columns if column is not first), None)

    def _serve_learning(self, desk: Desk) -> int:
        """Curves of training runs, without scenes."""
        asked = {"--export": self.export, "--rerun": self.rerun, "--agent": self.agent or None}
        for option, value in asked.items():
            if value is not None:
                raise OpenPairError(
                    "there are training runs alone here: no scenes and no scores yet",
                    where=option,
                    fix="Name a result of 'openpair eval' too",
                )
        count = len(desk.runs)
        return self._serve(desk, f"{count} training run{'s' * (count > 1)}, no scores yet", "tab=learning")

    def _serve(self, desk: Desk, found: str, fragment: str) -> int:
        from openpair.ports import bind
        from openpair.viewer.server import LOOPBACK, address, make_app, make_server, new_token

        token = new_token()
        with bind(self.host, self.port) as listener:
            on_loopback = self.host in LOOPBACK
            server = make_server(make_app(desk, token, LOOPBACK if on_loopback else ()))
            if not on_loopback:
                print(f"openpair view: serving on {self.host}: whoever reaches it and knows the address can look at it")
            page = address(listener, token)
            start = f"{page}#{fragment}" if fragment else page
            print(f"{found}: {start}")
            print("(Ctrl-C ends it)", flush=True)
            if self.browser:
                webbrowser.open(start)
            desk.start()
            try:
                server.run(sockets=[listener])
            finally:
                desk.stop()
        return 0


def drawn_agents(book: ResultTable, first: Column, second: Column | None) -> list[str]:
    """Keys of the agents drawn in every scene of a file: those compared and the human, where their plans are known."""
    human = next((c for c in book.columns if c.column.agent.rpartition(".")[2] == "human"), None)
    chosen = dict.fromkeys(c for c in (first, second, human) if c is not None)
    return [column.key for column in chosen if book.can_draw(column)]


def fragment(first: Column, second: Column | None, token: str = "") -> str:
    """The part of an address that says which agents are compared, and which scene is open."""
    from urllib.parse import urlencode

    values = {"scene": token, "a": first.key, "b": "-" if second is None else second.key}
    return urlencode({name: value for name, value in values.items() if value})


def _named(book: ResultTable, name: str) -> Column:
    from difflib import get_close_matches

    for column in book.columns:
        if name in (column.key, column.label, column.column.agent):
            return column
    names = [column.column.agent for column in book.columns]
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean '{close[0]}'" if close else f"It has {', '.join(dict.fromkeys(names))}"
    raise OpenPairError(f"no result has an agent '{name}'", where="--agent", fix=hint)
