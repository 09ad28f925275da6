"""The results page's section on closed loop: who drives how well, and where drives fail."""

from __future__ import annotations

from openpair.driving.summary import EVENT_COUNTS
from openpair.evaluation.tables import interval
from openpair.reproduction.drives import CLOSED_LOOP, DRIVING_SCORE, MEANS
from openpair.reproduction.markdown import counted, number, signed, table_lines
from openpair.reproduction.page_rows import PageInput, agents_of, difference_cells, mean_cell, shown
from openpair.reproduction.results import DRIVE_DIFFERENCES, DRIVE_TABLE, ResultRow, find

SPLIT_TITLES = {"test": "Test towns", "long": "Long routes"}
ABOUT_SPLITS = {"test": "of 18 s", "long": "of 60 s with turns and lights, in five towns of their own"}

NOT_DRIVEN = """## Closed loop

These networks did not drive; [those without vision](known-results.md#closed-loop) did."""

HEADERS = {
    DRIVING_SCORE: "driving score",
    "success": "success",
    "route_completion": "route",
    "nuplan_score": "nuPlan",
    "mean_plan_score": "PDMS of plans",
    "mean_extended_comfort": "EC",
    "comfort": "comfort",
    "at_fault_collisions": "collision",
    "off_road": "off road",
    "wrong_way": "wrong way",
    "red_lights": "red light",
}


def drives_section(page: PageInput) -> str:
    """Means, shares of drives with an event, and differences, for each split that was driven."""
    parts = []
    for table in dict.fromkeys(row.table for row in page.rows if row.table.startswith(DRIVE_TABLE)):
        parts += ["", *_split(page, table.removeprefix(DRIVE_TABLE), find(page.rows, table=table))]
    if not parts:
        return NOT_DRIVEN if page.network_input == "sensors" else ""
    return "\n".join(
        [
            "## Closed loop",
            "",
            "Here the plans are driven: a new one every 0.5 s from what the agent sees at the ego's own pose. The "
            "others do what was recorded ([definitions and sources](closed_loop.md)). Means over seeds and drives in "
            "percent; EC is the share of consecutive plans that agree. The last four columns are the share of drives "
            "with at least one at-fault collision, and so on: where agents fail. The human's way is driven by the same "
            "tracker as every plan.",
            *parts,
        ]
    )


def _split(page: PageInput, split: str, rows: list[ResultRow]) -> list[str]:
    choices = page.evidence.choices
    agents = agents_of([row for row in rows if " - " not in row.agent], choices, truth=False)
    header = ["agent", HEADERS[DRIVING_SCORE], "95% interval", *(HEADERS[name] for name in (*MEANS[1:], *EVENT_COUNTS))]
    lines = []
    for agent in agents:
        (score,) = find(rows, agent=agent, metric=DRIVING_SCORE)
        cells = [mean_cell(rows, agent, CLOSED_LOOP, name) for name in (*MEANS[1:], *EVENT_COUNTS)]
        lines.append([shown(agent, choices), f"**{number(score.mean)}**", interval(score.low, score.high), *cells])
    drives, seeds = max(row.scenes or 0 for row in rows), max(row.seeds for row in rows)
    parts = [
        f"### {SPLIT_TITLES.get(split, split)}",
        "",
        f"{counted(drives, 'drive')} {ABOUT_SPLITS.get(split, '')}, {counted(seeds, 'seed')}.",
        "",
        *table_lines(header, lines, "lr" + "l" + "r" * (len(header) - 3)),
    ]
    names = [f"{a} - {b}" for a, b in DRIVE_DIFFERENCES if find(rows, agent=f"{a} - {b}")]
    if not names:
        return parts
    metrics = (DRIVING_SCORE, "success", "nuplan_score")
    titles = ["difference", *(text for name in metrics for text in (HEADERS[name], "95% interval"))]
    titles += [HEADERS[name] for name in EVENT_COUNTS]
    lines = []
    for name in names:
        own = {row.metric: row for row in find(rows, agent=name)}
        cells = [shown(name, choices)]
        for metric in metrics:
            cells += difference_cells(own[metric])
        lines.append([*cells, *(signed(own[metric].mean) for metric in EVENT_COUNTS)])
    return [*parts, "", *table_lines(titles, lines, "l" + "rl" * len(metrics) + "r" * len(EVENT_COUNTS))]
