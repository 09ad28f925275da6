"""What a report is made of. Plain data: whoever evaluates fills it, :mod:`openpair.visualization.report` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from openpair.evaluation.statistics import Estimate
from openpair.evaluation.summary import Summary
from openpair.visualization.scene_view import GalleryScene


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        label: its name in the legend.
        x, y: (n,) points; NaN in ``y`` breaks the line.
        low, high: (n,) a band around it, or None.
        dashed: for references (a human score, a target).
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dashed: bool = False


@dataclass(frozen=True)
class CurvePanel:
    """A chart.

    Attributes:
        title: what is drawn.
        x_label, y_label: axes, with units.
        series: its lines, at most six.
        note: one sentence below it.
        percent: True where y is a score in [0, 1] to be read in percent.
        log_x: x is positive and drawn on a logarithmic scale, with a tick at every point.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    note: str = ""
    percent: bool = False
    log_x: bool = False


@dataclass(frozen=True)
class BranchCurves:
    """Learning curves of one branch: a column of charts beside those of the others.

    Attributes:
        name: "Imitation branch" ...
        note: what it learns from, one sentence.
        panels: its charts, most important first.
    """

    name: str
    note: str
    panels: tuple[CurvePanel, ...]


@dataclass(frozen=True)
class Comparison:
    """Two agents of the evaluation, compared scene by scene.

    Attributes:
        first, second: agent names; the difference is first minus second.
        question: what the comparison answers ("Does reinforcement add anything to imitation?").
    """

    first: str
    second: str
    question: str


@dataclass(frozen=True)
class FurtherTable:
    """Another evaluation (other towns, other protocol), shown below the main one."""

    title: str
    evaluation: Summary
    note: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything in a report.

    Attributes:
        title: heading of the page.
        headline: the result in one sentence.
        paragraphs: an honest summary: what was done, what holds, what does not.
        evaluation: the main evaluation; its agents are the rows of the results table.
        labels: agent name -> name for readers.
        descriptions: agent name -> how it plans, one sentence.
        comparisons: pairs that answer a question; both agents must be in the evaluation.
        branches: learning curves, one column each.
        scenes: the gallery.
        made: (name, value) facts about how it was made: command, seed, machine, duration ...
        limits: what this report does not show.
        further: further evaluations.
        method: agent whose row is marked; empty marks none.
        warning: stands above everything else; empty where nothing is to be warned of.
        scenes_link: relative address of a page that shows the scenes in a table; empty where there is none.
    """

    title: str
    headline: str
    paragraphs: tuple[str, ...]
    evaluation: Summary
    labels: dict[str, str] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    branches: tuple[BranchCurves, ...] = ()
    scenes: tuple[GalleryScene, ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    limits: tuple[str, ...] = ()
    further: tuple[FurtherTable, ...] = ()
    method: str = ""
    warning: str = ""
    scenes_link: str = ""


def difference(summary: Summary, first: str, second: str) -> Estimate:
    """Score of ``first`` minus ``second``, paired per scene. Raises KeyError where they were not compared."""
    for later, earlier, estimate in summary.differences:
        if (later, earlier) == (first, second):
            return estimate
        if (later, earlier) == (second, first):
            return Estimate(-estimate.mean, -estimate.high, -estimate.low, estimate.num_scenes, estimate.num_logs)
    raise KeyError(f"{first} and {second} were not compared")


def verdict(estimate: Estimate) -> str:
    """``"higher"``, ``"lower"`` or ``"no clear difference"``, by the 95% interval; without one, ``"not tested"``."""
    if not estimate.has_interval:
        return "not tested"
    if estimate.low > 0:
        return "higher"
    return "lower" if estimate.high < 0 else "no clear difference"
