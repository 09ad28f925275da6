"""What tables of the results page are made of: names for readers, cells of agents, whole tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES, metric_names
from openpair.evaluation.tables import interval
from openpair.reproduction.agents import BASE, LABELS, OVER, label_of
from openpair.reproduction.choices import Choices
from openpair.reproduction.markdown import number, signed, signed_interval, table_lines
from openpair.reproduction.provenance import SeedRecord
from openpair.reproduction.results import BEST_SEQUENTIAL, Evidence, NetworkInput, ResultRow, find
from openpair.reproduction.scoring import V1, V2
from openpair.reproduction.seed_scores import SCORE

SCORE_NAMES = {V1: "PDMS", V2: "EPDMS"}
TRUTH = "best_of"
"""Occurs in names of agents whose plan the true score picks."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        path: relative to the page.
        caption: what it shows.
    """

    path: str
    caption: str


STEMS: Mapping[NetworkInput, str] = {"sensors": "results", "known": "known-results"}
"""Names of page and figures, and the beginning of those of images, by what networks read: both tracks lie side by side.
Older images of the name are removed."""


@dataclass(frozen=True)
class PageInput:
    """What the page tells.

    Attributes:
        evidence: scores and choices.
        rows: all result rows.
        seeds: that were run.
        records: how each was made, as far as it was recorded.
        scored: seed -> hashes of what its scores were made with.
        seconds: seed -> part -> seconds.
        pictures: by kind: "comparison", "learning", "drift", "ablations", "scenes".
        network_input: what the networks read.
        budget: length of their training, in multiples of the demo's; None where it is not known.
    """

    evidence: Evidence
    rows: Sequence[ResultRow]
    seeds: Sequence[int]
    records: Sequence[SeedRecord]
    scored: Mapping[int, Mapping[str, str]]
    seconds: Mapping[int, Mapping[str, float]]
    pictures: Mapping[str, Sequence[Picture]]
    network_input: NetworkInput = "sensors"
    budget: int | None = None

    @property
    def stem(self) -> str:
        """What the names of the page, of the file with its figures and of its images begin with."""
        return STEMS[self.network_input]


def agents_of(rows: Sequence[ResultRow], choices: Choices | None, *, truth: bool) -> list[str]:
    """Agents of a table in the order of labels; the control that was chosen appears once, as the fair control."""
    present = {row.agent for row in rows}
    return [
        agent
        for agent in LABELS
        if agent in present and (TRUTH in agent) == truth and not is_chosen_control(agent, choices)
    ]


def is_chosen_control(agent: str, choices: Choices | None) -> bool:
    """Whether this control is the fair one, which has a row of its own."""
    return choices is not None and agent == choices.il_rwm


def shown(agent: str, choices: Choices | None) -> str:
    """An agent for readers; the fair control says which it is."""
    names = []
    for name in agent.split(" - "):
        text = label_of(name)
        if choices is not None and name == "il_rwm":
            text = f"IL + reward model, {choices.il_rwm.removeprefix('il_rwm_')} neighbours (fair control)"
        if choices is not None and name == BEST_SEQUENTIAL:
            text = f"best sequential ({choices.sequential.replace('_', ' ')})"
        names.append(f"{text} †" if TRUTH in name else text)
    return OVER.join(names)


def best_agents(rows: Sequence[ResultRow], protocol: str) -> set[str]:
    """The learned agent with the greatest mean; human roots and agents that use the truth stand apart."""
    learned = [
        row
        for row in find(rows, protocol=protocol, metric=SCORE, base=BASE)
        if TRUTH not in row.agent and " - " not in row.agent
    ]
    return {max(learned, key=lambda row: row.mean).agent} if learned else set()


def metric_table(rows: Sequence[ResultRow], agents: Sequence[str], protocol: str, choices: Choices | None) -> list[str]:
    """Every sub-metric and the score of agents, one row each."""
    names = metric_names(Protocol(protocol))
    header = ["agent", *(SHORT_NAMES[name] for name in names), SCORE_NAMES[protocol], "95% interval"]
    lines = [
        [
            shown(agent, choices),
            *(mean_cell(rows, agent, protocol, name) for name in names),
            *score_cells(rows, agent, protocol),
        ]
        for agent in agents
    ]
    return table_lines(header, lines, "l" + "r" * (len(header) - 1))


def mean_cell(rows: Sequence[ResultRow], agent: str, protocol: str, metric: str) -> str:
    """Mean of one metric, or a dash."""
    found = find(rows, agent=agent, protocol=protocol, metric=metric)
    return number(found[0].mean) if found else "-"


def score_cells(rows: Sequence[ResultRow], agent: str, protocol: str, *, bold: bool = False) -> list[str]:
    """Score and interval."""
    found = find(rows, agent=agent, protocol=protocol, metric=SCORE)
    if not found:
        return ["-", "-"]
    (row,) = found
    mean = number(row.mean)
    return [f"**{mean}**" if bold else mean, interval(row.low, row.high)]


def difference_cells(row: ResultRow) -> list[str]:
    """A difference, bold where its interval excludes 0, and the interval."""
    sure = row.low > 0 or row.high < 0
    return [f"**{signed(row.mean)}**" if sure else signed(row.mean), signed_interval(row)]


def difference_table(rows: Sequence[ResultRow], names: Sequence[str], choices: Choices | None) -> list[str]:
    """Differences of scores with intervals, and of sub-metrics; one row each, bold where the interval excludes 0."""
    protocols = [p for p in (V1, V2) if find(rows, protocol=p)]
    columns = [(V1, name) for name in metric_names(Protocol.V1_1) if name != "driving_direction_compliance"]
    columns += [(V2, name) for name in ("traffic_light_compliance", "lane_keeping", "two_frame_extended_comfort")]
    columns = [column for column in columns if column[0] in protocols]
    header = ["difference", *(text for p in protocols for text in (SCORE_NAMES[p], "95% interval"))]
    header += [SHORT_NAMES[name] for _, name in columns]
    lines = []
    for name in names:
        cells = [shown(name, choices)]
        for protocol in protocols:
            (row,) = find(rows, agent=name, protocol=protocol, metric=SCORE)
            cells += difference_cells(row)
        for protocol, metric in columns:
            found = find(rows, agent=name, protocol=protocol, metric=metric)
            cells.append(signed(found[0].mean) if found else "-")
        lines.append(cells)
    return table_lines(header, lines, "l" + "r" * (len(header) - 1))
