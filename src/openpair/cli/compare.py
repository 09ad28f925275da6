"""``openpair compare``: two evaluations, paired per scene."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.evaluation.comparison import Comparison, Results, SceneChange
    from openpair.evaluation.statistics import Estimate

TOKENS_SHOWN = 3
EXIT_NOTHING_COMPARED = 2


@dataclass(frozen=True)
class Compare:
    """Compare two results of 'openpair eval', scene by scene: B minus A.

    Means are over the scenes that both scored; the interval of a difference resamples logs (95%). Scenes that one run
    lacks or failed on are counted and named, and are in no mean. Results of different protocols, variants (human
    filter, stages, traffic) or data are refused.

    With one result alone, two of its agents are compared: the two that --agent names, or its only two.

    Example: openpair compare results/baseline results/mine --agent human --agent mine

    Example: openpair compare results --agent human --agent mine
    """

    first: tyro.conf.Positional[Path]
    """A: --out folder of the first evaluation."""

    second: tyro.conf.Positional[Path | None] = None
    """B: --out folder of the second; left out: the first again."""

    agent: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Which agents: one name for both, or one of A and one of B. Default: all names that both have, or the only one of
    each."""

    scenes: int = 5
    """How many of the greatest gains and losses are listed."""

    out: Path | None = None
    """File (.json) for all of it, with every scene that changed."""

    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace a file of another comparison."""

    seed: int = 0
    """Seed of the bootstrap."""

    def run(self) -> int:
        """Compare, print, return the exit status: 2 where the runs share no scored scene."""
        from openpair.evaluation.comparison import (
            check_comparable,
            compare,
            pairs_of_agents,
            read_results,
            two_agents,
        )
        from openpair.files import write_atomically

        if self.scenes < 0:
            raise OpenPairError(f"{self.scenes} scenes cannot be listed", where="--scenes", fix="Give 0 or more")
        first = read_results(self.first)
        second = first if self.second is None else read_results(self.second)
        agents = self.agent if self.second is not None else two_agents(first, self.agent)
        check_comparable(first, second)
        pairs = pairs_of_agents(first, second, agents)
        comparisons = [compare(first, second, pair, seed=self.seed) for pair in pairs]
        for comparison in comparisons:
            self._print(comparison, first)
        if self.out is not None:
            text = comparisons_json(comparisons, first, second, seed=self.seed)
            if not self.overwrite:
                check_same_comparison(self.out, text)
            write_atomically(self.out, text)
            print(self.out)
        if all(comparison.num_scenes == 0 for comparison in comparisons):
            print("openpair compare: no scene was scored in both results", file=sys.stderr)
            return EXIT_NOTHING_COMPARED
        return 0

    def _print(self, comparison: Comparison, first: Results) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.measure import Measurement
        from rich.table import Table

        from openpair.datatypes.scores import SHORT_NAMES
        from openpair.evaluation.tables import difference_text, percent

        console = Console()
        a, b = comparison.agents
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("", f"A: {a}", f"B: {b}", "B minus A [95%]", "scenes"):
            table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
        for number, change in enumerate(comparison.changes):
            name = comparison.score_name if number == 0 else SHORT_NAMES[change.name]
            means = (percent(100 * change.first.mean), percent(100 * change.second.mean))
            difference = difference_text(change.difference)
            table.add_row(
                name, *means, difference, str(change.difference.num_scenes), style="bold" if number == 0 else None
            )
        needed = Measurement.get(console, console.options.update(max_width=1000), table).maximum
        Console(width=max(console.width, needed)).print(table)
        console.print(
            f"{first.summary['dataset']}, protocol {comparison.protocol}: {comparison.num_scenes} scenes scored in "
            f"both, {len(comparison.gains)} better, {len(comparison.losses)} worse, {comparison.num_equal} equal in B.",
            style="dim",
            highlight=False,
        )
        for tokens, meaning in (
            (comparison.only_in[0], "only in A"),
            (comparison.only_in[1], "only in B"),
            (comparison.failed_in[0], "FAILED in A alone"),
            (comparison.failed_in[1], "FAILED in B alone"),
            (comparison.failed_in[2], "FAILED in both"),
        ):
            if tokens:
                console.print(
                    f"{len(tokens)} scenes {meaning}, in no mean: {_listed(tokens)}", style="bold red", highlight=False
                )
        for scenes, meaning in ((comparison.gains, "greatest gains"), (comparison.losses, "greatest losses")):
            if scenes and self.scenes:
                console.print(f"{meaning}:", highlight=False)
                for scene in scenes[: self.scenes]:
                    print(f"  {_scene_line(scene)}")


def check_same_comparison(path: Path, text: str) -> None:
    """Raises OpenPairError where a file holds anything but an earlier comparison of the same results and agents."""
    if not path.exists():
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        new = json.loads(text)
        same = _request(held) == _request(new)
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise OpenPairError(
            "the file holds something else", where=path, fix="Choose another --out, or replace it with --overwrite"
        )


def _request(comparisons: dict[str, Any]) -> list[Any]:
    """What was compared: folders, agents, seed."""
    folders = [comparisons[side]["folder"] for side in ("a", "b")]
    return [*folders, comparisons["seed"], [pair["agents"] for pair in comparisons["comparisons"]]]


def comparisons_json(comparisons: list[Comparison], first: Results, second: Results, *, seed: int) -> str:
    """Text of the file that ``--out`` names. Undefined numbers are null."""
    head = {key: first.summary[key] for key in ("dataset", "protocol", "variant")}
    data = {
        **head,
        "a": _origin(first),
        "b": _origin(second),
        "seed": seed,
        "comparisons": [
            {
                "agents": {"a": c.agents[0], "b": c.agents[1]},
                "scenes_compared": c.num_scenes,
                "scenes_equal": c.num_equal,
                "only_in_a": c.only_in[0],
                "only_in_b": c.only_in[1],
                "failed_in_a": c.failed_in[0],
                "failed_in_b": c.failed_in[1],
                "failed_in_both": c.failed_in[2],
                "metrics": {
                    change.name: {
                        "a": _estimate(change.first),
                        "b": _estimate(change.second),
                        "b_minus_a": _estimate(change.difference),
                    }
                    for change in c.changes
                },
                "better": [_scene_data(scene) for scene in c.gains],
                "worse": [_scene_data(scene) for scene in c.losses],
            }
            for c in comparisons
        ],
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _origin(results: Results) -> dict[str, Any]:
    keys = ("versions", "data_sha256", "seed", "scenes")
    origin = {key: results.summary.get(key) for key in keys}
    origin["scenes"] = {k: v for k, v in results.summary["scenes"].items() if k != "failures"}
    return {"folder": str(results.folder), **origin}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(estimate).items()}


def _scene_data(scene: SceneChange) -> dict[str, Any]:
    metrics = {n: [None if math.isnan(v) else v for v in pair] for n, pair in scene.metrics.items()}
    return {"log": scene.log, "token": scene.token, "a": scene.first, "b": scene.second, "changed": metrics}


def _scene_line(scene: SceneChange) -> str:
    from openpair.evaluation.comparison import change_text

    scores = f"{100 * scene.first:5.1f} -> {100 * scene.second:5.1f}"
    return f"{100 * scene.difference:+6.1f}  {scores}  {scene.token}  {scene.log}  {change_text(scene)}".rstrip()


def _listed(tokens: tuple[str, ...]) -> str:
    more = f" and {len(tokens) - TOKENS_SHOWN} more" if len(tokens) > TOKENS_SHOWN else ""
    return ", ".join(tokens[:TOKENS_SHOWN]) + more
