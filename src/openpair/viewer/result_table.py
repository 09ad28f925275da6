"""Several results side by side: one row a scene (or log), one column an agent of a result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.happenings import Happening
from openpair.errors import OpenPairError
from openpair.viewer.columns import AgentColumn, Result


@dataclass(frozen=True, eq=False)
class Column:
    """One agent of one result on the page.

    Attributes:
        key: names it in addresses: ``<number of the result>.<agent>``.
        label: for readers; with the result's name where several are open.
        result: the result.
        column: the agent.
        rows: (S,) index of each scene of the book in the result, -1 where it is not in it.
    """

    key: str
    label: str
    result: Result
    column: AgentColumn
    rows: NDArray[np.int64]


class ResultTable:
    """Rows and columns of results that are looked at together; what a row looks like in detail is its subclass's.

    Args:
        results: none where training runs alone are looked at.

    Attributes:
        kind: tells the page which detail a row has.
        thing: what a row is, in words.
        happenings: what rows can be filtered by, by name.
        tokens, logs: (S,) rows.
        columns: agents of all results.
    """

    kind: ClassVar[str]
    thing: ClassVar[str]
    happenings: ClassVar[dict[str, Happening]] = {}

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = tuple(results)
        self.tokens: tuple[str, ...] = tuple(dict.fromkeys(token for r in results for token in r.tokens))
        self._place = {token: i for i, token in enumerate(self.tokens)}
        logs = {token: log for r in reversed(results) for token, log in zip(r.tokens, r.logs, strict=True)}
        self.logs = tuple(logs[token] for token in self.tokens)
        self.columns = tuple(self._columns())
        self._by_key = {column.key: column for column in self.columns}

    def can_draw(self, column: Column) -> bool:
        """Whether a row of this agent can be shown in detail."""
        raise NotImplementedError

    def scene(self, token: str, keys: Sequence[str]) -> dict[str, Any]:
        """One row in detail with some agents, as the page shows it. Raises OpenPairError where that cannot be done.

        Agents that cannot be shown stand under ``missing``: (label, reason).
        """
        raise NotImplementedError

    def _columns(self) -> Iterable[Column]:
        several = len(self.results) > 1
        for number, result in enumerate(self.results):
            rows = np.full(len(self.tokens), -1)
            rows[[self._place[token] for token in result.tokens]] = np.arange(len(result.tokens))
            for column in result.columns:
                label = f"{column.agent} ({result.name})" if several else column.agent
                yield Column(f"{number}.{column.agent}", label, result, column, rows)

    def column(self, key: str) -> Column:
        """An agent by its key. Raises OpenPairError for one that is not open."""
        if key not in self._by_key:
            raise OpenPairError(f"there is no agent '{key}' here", fix="Choose one of the table")
        return self._by_key[key]

    def table(self, tokens: Sequence[str] | None = None) -> dict[str, Any]:
        """Everything that the table of scenes shows, as plain columns; only of ``tokens`` where they are given."""
        places = np.arange(len(self.tokens)) if tokens is None else np.array([self.place(token) for token in tokens])
        logs = list(dict.fromkeys(self.logs[i] for i in places))
        number = {log: i for i, log in enumerate(logs)}
        return {
            "results": [
                {
                    "name": result.name,
                    "protocol": result.protocol.value,
                    "score_name": result.measure.score,
                    "dataset": result.origin.dataset,
                    "split": result.origin.split,
                    "note": result.note,
                    "formula": result.measure.formula,
                    "metrics": list(result.measure.shorts.values()),
                    "glossary": [[t.short, t.name, t.weight, t.meaning] for t in result.measure.terms],
                }
                for result in self.results
            ],
            "kind": self.kind,
            "happenings": list(self.happenings),
            "meanings": [happening.meaning for happening in self.happenings.values()],
            "logs": logs,
            "log": [number[self.logs[i]] for i in places],
            "token": [self.tokens[i] for i in places],
            "columns": [self._column_data(column, places) for column in self.columns],
        }

    def place(self, token: str) -> int:
        """Index of a scene or log by its name. Raises OpenPairError for one that is not open."""
        if token not in self._place:
            raise OpenPairError(f"this {self.thing} is in none of the results", where=token, fix="Check the token")
        return self._place[token]

    def _column_data(self, column: Column, places: NDArray[np.int64]) -> dict[str, Any]:
        own = column.rows[places]
        there = own >= 0
        new_row = {int(row): i for i, row in enumerate(own) if row >= 0}
        return {
            "key": column.key,
            "agent": column.column.agent,
            "label": column.label,
            "result": self.results.index(column.result),
            "truth": column.column.uses_truth,
            "plans": self.can_draw(column),
            "networks": column.column.checkpoint is not None,
            "scores": _compact(np.where(there, column.column.scores[own], np.nan)),
            "metrics": {
                column.result.measure.shorts[name]: _compact(np.where(there, values[own], np.nan))
                for name, values in column.column.metrics.items()
            },
            "errors": {new_row[row]: reason for row, reason in column.column.errors.items() if row in new_row},
        }


def _compact(values: NDArray[np.float64]) -> list[float | int | None]:
    """Numbers for JSON: four digits, whole numbers without a point, None where there is none."""
    rounded = np.round(values, 4)
    return [None if math.isnan(v) else int(v) if v == int(v) else v for v in rounded.tolist()]
