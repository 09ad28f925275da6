"""Cells and tables of Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from openpair.reproduction.results import ResultRow


def table_lines(header: Sequence[str], lines: Iterable[Sequence[str]], alignment: str) -> list[str]:
    """A Markdown table; ``alignment`` has l or r for each column."""
    rule = "|" + "|".join("---:" if side == "r" else "---" for side in alignment) + "|"
    return ["| " + " | ".join(header) + " |", rule, *("| " + " | ".join(cells) + " |" for cells in lines)]


def number(value: float) -> str:
    """One decimal, or a dash for an undefined number."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def counted(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def signed(value: float) -> str:
    """One decimal with its sign, or a dash."""
    return "-" if math.isnan(value) else "0.0" if abs(value) < 0.05 else f"{value:+.1f}"


def signed_interval(row: ResultRow) -> str:
    """``[+1.2, +3.4]``, or a dash."""
    return f"[{signed(row.low)}, {signed(row.high)}]" if row.estimate.has_interval else "-"


def with_half(row: ResultRow) -> str:
    """``83.1 ± 0.8``: the mean and half its interval, where there is one; metres with two decimals."""
    digits = 2 if row.metric.endswith("_m") else 1
    half = f" ± {(row.high - row.low) / 2:.{digits}f}" if row.estimate.has_interval else ""
    return "-" if math.isnan(row.mean) else f"{row.mean:.{digits}f}{half}"


def minutes(seconds: float | None) -> str:
    """Minutes with one decimal, or a dash."""
    return "-" if seconds is None else f"{seconds / 60:.1f}"


def hours(seconds: float) -> str:
    """``3.4 h``, or ``25 min`` for less than an hour and a half."""
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"
