"""docs/results.md: tables shaped like the paper's, targets, figures. What goes in is read already; text comes out."""

from __future__ import annotations

from collections.abc import Sequence

from openpair.datatypes.scores import SHORT_NAMES
from openpair.reproduction.agents import BASE, BASE_LABELS, HUMAN, RULES, label_of
from openpair.reproduction.choices import Choices
from openpair.reproduction.markdown import hours, signed, signed_interval, table_lines, with_half
from openpair.reproduction.page_drives import drives_section
from openpair.reproduction.page_grids import GRIDS
from openpair.reproduction.page_made import made_section
from openpair.reproduction.page_rows import (
    SCORE_NAMES,
    PageInput,
    Picture,
    agents_of,
    best_agents,
    difference_table,
    is_chosen_control,
    mean_cell,
    metric_table,
    score_cells,
    shown,
)
from openpair.reproduction.page_training import training_section
from openpair.reproduction.provenance import whole_seconds
from openpair.reproduction.results import DIFFERENCES, PLUG_IN_AGENTS, VALIDATION, find, targets_of
from openpair.reproduction.scoring import V1, V2
from openpair.reproduction.seed_scores import SCORE

MAIN_METRICS = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "ego_progress",
    "time_to_collision_within_bound",
    "comfort",
)
"""Columns of the main table, as in the paper; all of PDMS."""


def results_page(page: PageInput) -> str:
    """Text of the page."""
    sections = [
        _head(page),
        _main(page),
        _targets(page),
        _differences(page),
        _plug_in(page),
        _human(page),
        training_section(page),
        drives_section(page),
        _unfiltered(page),
        _further(page),
        _validation(page),
        _figures(page),
        made_section(page),
    ]
    return "\n\n".join(section.strip() for section in sections if section.strip()) + "\n"


def _head(page: PageInput) -> str:
    scores = page.evidence.scores[V1]
    commands = list(dict.fromkeys(record.command for record in page.records))
    machines = list(dict.fromkeys(record.machine for record in page.records))
    total = sum(map(whole_seconds, page.seconds.values()))
    facts = [
        ("command", "; ".join(f"`{command}`" for command in commands) or "not recorded"),
        (
            "scenes",
            f"{len(scores.tokens)} in {len(set(scores.logs))} logs of the test towns, where nothing was chosen",
        ),
        ("seeds", f"{len(page.seeds)} ({', '.join(map(str, page.seeds))})"),
        ("machine", "; ".join(machines) or "not recorded"),
        ("time", f"{hours(total)} for all seeds together" if total else "not recorded"),
    ]
    return "\n".join(
        [
            "# Results" if page.network_input == "sensors" else "# Results without vision",
            "",
            "The claim of [PaIR-Drive](https://arxiv.org/abs/2603.13842), measured on the embedded world: does "
            "learning by imitation and by reinforcement side by side drive better than imitation alone, than "
            "fine-tuning, than the same reward model without a tree? The command below writes this page; "
            f"[{page.stem}.json]({page.stem}.json) holds the same figures.",
            "",
            INPUTS[page.network_input],
            "",
            *table_lines(("", ""), facts, "ll"),
            "",
            "Every figure is a mean over seeds and scenes in percent points: exact scores, one plan per scene. "
            "Intervals of 95% come from resampling seeds and logs, independently of each other; with few seeds they "
            "are too narrow rather than too wide. Differences are paired per seed and scene. PDMS is NAVSIM's score of "
            "v1.1, EPDMS that of v2.2 with human filter and with extended comfort against the agent's own previous "
            "plan, half a second earlier. What the sub-metrics mean: [glossary](glossary.md); what the agents do: "
            "[method](method.md).",
        ]
    )


INPUTS = {
    "sensors": "Networks see cameras and LiDAR here. The same comparison with networks that read the truth: "
    "[results without vision](known-results.md).",
    "known": "Networks read the truth here (agents with 1.5 s of history, lanes, lights, edges of the road, and the "
    "driving command), so that perception limits nobody. With cameras and LiDAR: [results](results.md).",
}
"""What networks read, in a sentence."""


def _main(page: PageInput) -> str:
    rows = find(page.rows, table="main")
    parts = ["## Main comparison", "", *_pictures(page, "comparison")]
    agents = agents_of(rows, page.evidence.choices, truth=False)
    header = ("agent", *(SHORT_NAMES[name] for name in MAIN_METRICS), "PDMS", "95% interval", "EPDMS", "95% interval")
    best = {protocol: best_agents(rows, protocol) for protocol in (V1, V2)}

    def line(agent: str) -> list[str]:
        cells = [shown(agent, page.evidence.choices)]
        cells += [mean_cell(rows, agent, V1, metric) for metric in MAIN_METRICS]
        for protocol in (V1, V2):
            cells += score_cells(rows, agent, protocol, bold=agent in best[protocol])
        return cells

    parts += table_lines(header, [line(agent) for agent in agents], "l" + "r" * (len(header) - 1))
    truth = agents_of(rows, page.evidence.choices, truth=True)
    if truth:
        parts += [
            "",
            "**Best of 6 by the true score.** The true score of each protocol picks one of the reward model's six "
            "favourites. That uses what a car cannot know. The rows show what the candidates hold, not how anyone "
            "drives; do not compare them with the rows above.",
            "",
            *table_lines(header, [line(agent) for agent in truth], "l" + "r" * (len(header) - 1)),
        ]
    parts += ["", "### EPDMS in full", "", *metric_table(rows, [*agents, *truth], V2, page.evidence.choices)]
    parts += ["", _choices(page)]
    return "\n".join(parts)


def _manner(choices: Choices) -> str:
    """How agents with a reward model come from candidates to a plan, as the end of a sentence."""
    plan = (
        "the plan is the mean of all candidates, each weighted by exp(predicted score / temperature) with a "
        f"temperature of {100 * choices.temperature:g} points"
        if choices.temperature
        else "the plan is the candidate with the highest predicted score"
    )
    memory = (
        "the previous plan is no candidate"
        if choices.previous_plan_bonus is None
        else "the previous plan (made 0.5 s earlier, driven on) is a candidate too, with a bonus of "
        f"{100 * choices.previous_plan_bonus:g} points"
    )
    return f"{plan}; {memory}. Both hold for the controls as well."


def _trees(count: int) -> str:
    return "one tree" if count == 1 else f"{count} trees, each around the mean of the one before"


def _use(choices: Choices) -> str:
    """How PaIR uses what reinforcement learned, as a part of a sentence."""
    if choices.correction:
        return (
            f"PaIR's corrector moves what the reward model chooses among {choices.candidates} neighbours by "
            f"{100 * choices.correction:g}% of what it learned"
        )
    tree = f"PaIR's tree goes {100 * choices.strength:g}% of the way to what it learned"
    if not choices.reroots:
        return tree
    around = "its candidates are wide neighbours of" if choices.candidates == "wide" else "its tree grows again around"
    return f"{tree}, and {around} the mean of {_trees(choices.reroots)}"


def _choices(page: PageInput) -> str:
    choices = page.evidence.choices
    if choices is None:
        return (
            "Nothing was chosen on the validation towns yet: the fair control and the best sequential scheme are open."
        )
    return (
        f"Chosen on the validation towns: the fair control is {label_of(choices.il_rwm)}; the best sequential scheme, "
        f"which also gets the reward model, is {label_of(choices.sequential)}; {_use(choices)}; without a reward model "
        f"the plan is the mean of {_trees(choices.mean_reroots)} at {100 * choices.mean_strength:g}%; a human root has "
        f"a bonus of {100 * choices.human_root_bonus:g} points, and a temperature of "
        f"{100 * choices.human_temperature:g} points; " + _manner(choices)
    )


def _targets(page: PageInput) -> str:
    header = ("PaIR ...", "difference", "", "bar", "good", "measured", "95% interval", "", "paper")
    rows = find(page.rows, table="targets")
    lines = []
    for target in targets_of(page.evidence):
        found = [row for row in rows if row.target == target]
        score = "" if target.metric == SCORE else f" {SHORT_NAMES[target.metric]}"
        where = "" if target.scenes == "all" else " (human at least 85)"
        name = f"{shown(target.difference, page.evidence.choices)}{where}"
        base = "" if target.base not in BASE_LABELS or target.base == BASE else f", {BASE_LABELS[target.base]}"
        cells = [f"{target.what}{base}", name, f"{SCORE_NAMES[target.protocol] if not score else score.strip()}"]
        cells += [target.bar_text(), f"{target.good:+g}" if target.good else "0"]
        if found:
            (row,) = found
            cells += [signed(row.mean), signed_interval(row), "**met**" if row.is_met else "**missed**"]
        else:
            cells += ["-", "-", "not run"]
        lines.append([*cells, "-" if target.paper is None else f"{target.paper:+.1f}"])
    met = sum(row.is_met for row in rows)
    return "\n".join(
        [
            "## Targets",
            "",
            f"Set before anything was measured; points. {met} of {len(lines)} met"
            + (f", {len(lines) - len(rows)} not run." if len(rows) < len(lines) else ".")
            + " The last column is the paper's margin on navtest, another data set.",
            "",
            *table_lines(header, lines, "lllrrrrlr"),
        ]
    )


def _differences(page: PageInput) -> str:
    rows = find(page.rows, table="differences")
    names = [f"{a} - {b}" for a, b in DIFFERENCES if find(rows, agent=f"{a} - {b}")]
    if not names:
        return ""
    return "\n".join(
        [
            "## Differences",
            "",
            "First minus second, paired per seed and scene; bold where the interval excludes 0.",
            "",
            *difference_table(rows, names, page.evidence.choices),
        ]
    )


def _plug_in(page: PageInput) -> str:
    rows = find(page.rows, table="plug_in")
    if not rows:
        return ""
    parts = [
        "## Plugged into a second imitation policy",
        "",
        "Tree and reward model are those of the main comparison. They were trained without any policy, and were not "
        "retrained.",
    ]
    for base in dict.fromkeys(row.base for row in rows):
        own = find(rows, base=base)
        names = [agent for agent in PLUG_IN_AGENTS if find(own, agent=agent)]
        agents = [agent for agent in names if not is_chosen_control(agent, page.evidence.choices)]
        parts += ["", f"### {BASE_LABELS.get(base, base)}"]
        for protocol in (V1, V2):
            parts += ["", *metric_table(own, agents, protocol, page.evidence.choices)]
        differences = [name for name in dict.fromkeys(row.agent for row in own) if " - " in name]
        if differences:
            parts += ["", *difference_table(own, differences, page.evidence.choices)]
    return "\n".join(parts)


def _human(page: PageInput) -> str:
    titles = (
        ("human_bad_v1", "Human bad v1: scenes in which the human scores below 85 PDMS"),
        ("human_bad_v2", "Human bad v2: scenes in which the human scores below 80 EPDMS"),
        ("human_good", "Good humans: all other scenes"),
    )
    parts = ["## The human, corrected", "", "The tree grows around the human's own plan; the reward model chooses."]
    for table, title in titles:
        rows = find(page.rows, table=table)
        if not rows:
            continue
        parts += ["", f"### {title}"]
        for protocol in (V1, V2):
            own = find(rows, protocol=protocol)
            agents = [agent for agent in ("human", "human_pair") if find(own, agent=agent)]
            if not agents:
                continue
            scenes = find(own, agent=agents[0], metric=SCORE)[0].scenes
            parts += ["", f"{scenes} scenes.", "", *metric_table(own, agents, protocol, page.evidence.choices)]
            for row in find(own, agent="human_pair - human", metric=SCORE):
                parts += ["", f"Difference: {signed(row.mean)} {signed_interval(row)}."]
    return "\n".join(parts)


def _unfiltered(page: PageInput) -> str:
    rows = find(page.rows, table="unfiltered")
    agents = agents_of(rows, page.evidence.choices, truth=False)
    return "\n".join(
        [
            "## EPDMS without human filter",
            "",
            "NAVSIM's human filter forgives what the human driver did too. Here nothing is forgiven.",
            "",
            *metric_table(rows, agents, V2, page.evidence.choices),
        ]
    )


def _further(page: PageInput) -> str:
    rows = find(page.rows, table="further")
    if not rows:
        return ""
    agents = list(dict.fromkeys(row.agent for row in rows))
    return "\n".join(["## Further agents", "", *metric_table(rows, agents, V1, page.evidence.choices)])


VALIDATION_TITLES = {
    "ablation_tree": "Tree or no tree",
    "ablation_group": "Group size",
    "ablation_advantage": "Advantage estimators",
    "reward_model": "Dependence on the reward model",
    f"{VALIDATION}agents": "All agents, taking the best candidate",
}


def _validation(page: PageInput) -> str:
    tables = list(dict.fromkeys(row.table for row in page.rows if row.scenes is None))
    if not tables:
        return ""
    known = [table for table in VALIDATION_TITLES if table in tables]
    parts = [
        "## Ablations and choices (validation towns)",
        "",
        "Figures of the **validation towns**, where settings are chosen; not comparable with those of the test towns "
        "above. Means over seeds; ± is half the 95% interval of Student's t over seeds, where there are at least two.",
    ]
    for table in [*known, *(table for table in tables if table not in (*known, *GRIDS))]:
        rows = find(page.rows, table=table)
        title = VALIDATION_TITLES.get(table, table.removeprefix(VALIDATION).replace("_", " ").capitalize())
        metrics = list(dict.fromkeys(row.metric for row in rows))
        names = list(dict.fromkeys((row.base, row.agent) for row in rows))
        lines = []
        for base, agent in names:
            cells = [_validation_name(base, agent)]
            for metric in metrics:
                found = find(rows, base=base, agent=agent, metric=metric)
                cells.append(with_half(found[0]) if found else "-")
            lines.append(cells)
        header = ["", *(_metric_name(metric) for metric in metrics)]
        parts += ["", f"### {title} (validation towns)", "", *table_lines(header, lines, "l" + "r" * len(metrics))]
    for table, grid in GRIDS.items():
        rows = find(page.rows, table=table)
        if rows:
            parts += ["", *grid(rows)]
    return "\n".join(parts)


def _validation_name(base: str, agent: str) -> str:
    return label_of(agent) if base in (BASE, HUMAN, RULES) else f"{BASE_LABELS.get(base, base)}: {label_of(agent)}"


def _metric_name(metric: str) -> str:
    if metric == "drift_m":
        return "distance to IL [m]"
    return SHORT_NAMES.get(metric, {"score": "PDMS"}.get(metric, metric.replace("_", " ")))


def _figures(page: PageInput) -> str:
    parts: list[str] = []
    titles = (
        (
            "learning",
            "## Learning curves",
            "Validation towns. Lines are means over seeds; bands reach from the least to the greatest.",
        ),
        (
            "drift",
            "## Policy drift of the sequential schemes",
            "What fine-tuning does to the imitation policy along training, on the validation towns.",
        ),
        ("ablations", "## Learning curves of the ablations", ""),
        (
            "scenes",
            "## Scenes",
            "Test scenes chosen by rule: greatest gains, greatest losses, some drawn at random. Dotted black: the "
            "human; dashed violet: IL; thin lines: candidates, from red (score 0) to teal (score 1); thick blue: the "
            "chosen plan.",
        ),
    )
    for kind, title, words in titles:
        pictures = page.pictures.get(kind, ())
        if not pictures:
            continue
        parts += ["", title, *(["", words] if words else []), ""]
        parts += _gallery(pictures) if kind == "scenes" else _pictures(page, kind)
    return "\n".join(parts)


def _gallery(pictures: Sequence[Picture], columns: int = 3) -> list[str]:
    """Pictures side by side, captions below."""
    lines = ["| " + " | ".join([""] * columns) + " |", "|" + "---|" * columns]
    for start in range(0, len(pictures), columns):
        row = pictures[start : start + columns]
        cells = [f'<img src="{p.path}" alt="{p.caption}" width="280"><br>{p.caption}' for p in row]
        lines.append("| " + " | ".join(cells + [""] * (columns - len(row))) + " |")
    return lines


def _pictures(page: PageInput, kind: str) -> list[str]:
    return [line for picture in page.pictures.get(kind, ()) for line in (f"![{picture.caption}]({picture.path})", "")]
