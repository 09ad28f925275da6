"""The sub-metrics in plain words, for readers who meet them for the first time."""

from __future__ import annotations

from dataclasses import dataclass

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES
from openpair.datatypes.sub_metrics import Role, multipliers, sub_metrics, weights


@dataclass(frozen=True)
class Term:
    """One entry: short name, full name, meaning, and how it enters the score of a protocol."""

    short: str
    name: str
    meaning: str
    weight: str


def glossary(protocol: Protocol) -> tuple[Term, ...]:
    """Entries for the sub-metrics of a protocol, in the order of its tables."""
    total = sum(weights(protocol).values())
    return tuple(
        Term(metric.short, metric.name.replace("_", " "), metric.meaning, _entry(metric.roles[protocol], total))
        for metric in sub_metrics(protocol)
    )


def _entry(role: Role, total: float) -> str:
    return f"{role:.0f} of {total:.0f}" if isinstance(role, float) else role


def formula(protocol: Protocol) -> str:
    """How the sub-metrics become the score."""
    name = "PDMS" if protocol is Protocol.V1_1 else "EPDMS"
    product = " × ".join(SHORT_NAMES[factor] for factor in multipliers(protocol))
    shares = weights(protocol)
    mean = " + ".join(f"{weight:.0f} {SHORT_NAMES[metric]}" for metric, weight in shares.items())
    return f"{name} = {product} × ({mean}) / {sum(shares.values()):.0f}"
