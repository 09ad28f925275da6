"""The last section of the results page: times, hashes, failures, what is missing."""

from __future__ import annotations

from openpair.reproduction.code_version import source_hash
from openpair.reproduction.markdown import minutes, table_lines
from openpair.reproduction.page_rows import PageInput
from openpair.reproduction.provenance import WHOLE, whole_seconds
from openpair.reproduction.results import not_run
from openpair.reproduction.scoring import V1, V2

MAX_FAILURES = 10


def made_section(page: PageInput) -> str:
    """How the results were made."""
    parts = ["## How it was made", ""]
    timed = {seed: parts for seed, parts in page.seconds.items() if parts}
    if timed:
        names = list(dict.fromkeys(name for own in timed.values() for name in own if name != WHOLE))
        lines = [[name.replace("_", " "), *(minutes(own.get(name)) for own in timed.values())] for name in names]
        lines.append(["**whole**", *(f"**{minutes(whole_seconds(own))}**" for own in timed.values())])
        header = ["minutes", *(f"seed {seed}" for seed in timed)]
        parts += [
            *table_lines(header, lines, "l" + "r" * len(timed)),
            "",
            "Parts may run side by side; whole is from beginning to end, or else their sum.",
            "",
        ]
    parts += _hashes(page)
    parts += ["", *_failures(page)]
    missing = not_run(page.evidence)
    parts += ["", "Not run: " + (", ".join(missing) if missing else "nothing is missing") + "."]
    return "\n".join(parts)


def _hashes(page: PageInput) -> list[str]:
    """One line a fact; one column, or one for each seed where they differ."""
    if not page.records:
        return ["Machine, versions and hashes were not recorded."]
    facts: dict[str, list[str]] = {}
    for record in page.records:
        scored = page.scored.get(record.seed, {})
        own = {
            "machine": record.machine,
            **{f"data, {name}": f"`{value[:16]}`" for name, value in record.data.items()},
            **{name: f"`{value}`" for name, value in scored.items() if name.startswith("data")},
            "configuration": f"`{record.configuration}`",
            "code, at the beginning": f"`{record.code}`",
            "code, when this page was written": f"`{source_hash()}`",
            **{name: f"`{value}`" for name, value in scored.items() if name.startswith("code")},
            "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        }
        for name, value in own.items():
            facts.setdefault(name, []).append(f"seed {record.seed}: {value}")
    lines = []
    for name, values in facts.items():
        same = {value.partition(": ")[2] for value in values}
        lines.append([name, next(iter(same)) if len(same) == 1 else "; ".join(values)])
    return table_lines(("", ""), lines, "ll")


def _failures(page: PageInput) -> list[str]:
    """Scenes that could not be scored, with their reasons."""
    lines = []
    for variant in (V1, V2):
        for seed, row in page.evidence.scores[variant].failures:
            lines.append(f"- {variant}, seed {seed}, {row.agent}, {row.log} {row.token}: {row.error}")
    if not lines:
        return ["Every scene was scored for every agent."]
    shown = lines[:MAX_FAILURES]
    more = [f"- and {len(lines) - len(shown)} more, in the files of scores"] if len(lines) > len(shown) else []
    return [f"{len(lines)} plans FAILED and are in no mean:", "", *shown, *more]
