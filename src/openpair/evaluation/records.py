"""One row per scene and agent: in memory, in scores.csv, and in the partial file of an unfinished evaluation."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openpair.checksums import check, sealed_json
from openpair.damage import is_damage, reading
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError
from openpair.files import disk_errors, write_atomically

SCORES_FILE = "scores.csv"
MAPPINGS_FILE = "mappings.csv"
SUMMARY_FILE = "summary.json"
PARTIAL_FILE = "scores.partial.jsonl"
REQUEST = "request"
"""Entry of summary.json and of the partial file: hashes of what decides the results."""


@dataclass(frozen=True)
class ScoreRow:
    """The result of one agent on one scene.

    Attributes:
        dataset, log, token: the scene.
        agent: name of the agent.
        protocol: "v1.1" or "v2.2".
        metrics: sub-metrics by name, in [0, 1], NaN where undefined; empty where the scene failed.
        score: PDMS or EPDMS in [0, 1]; None where the scene failed. A failure is never a 0.
        error: why it failed; empty where it did not.
    """

    dataset: str
    log: str
    token: str
    agent: str
    protocol: str
    metrics: dict[str, float] = field(default_factory=dict)
    score: float | None = None
    error: str = ""

    @property
    def failed(self) -> bool:
        return self.score is None


def csv_columns(protocol: Protocol) -> tuple[str, ...]:
    """Columns of scores.csv."""
    return ("dataset", "log", "token", "agent", "protocol", *metric_names(protocol), "score", "error")


def scores_csv(rows: Iterable[ScoreRow], protocol: Protocol) -> str:
    """Text of scores.csv. Numbers have all their digits; undefined and failed ones are empty."""
    names = metric_names(protocol)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_columns(protocol))
    for row in rows:
        numbers = [_cell(row.metrics.get(name)) for name in names]
        error = " ".join(row.error.split())
        writer.writerow([row.dataset, row.log, row.token, row.agent, row.protocol, *numbers, _cell(row.score), error])
    return text.getvalue()


def read_scores(path: Path) -> list[ScoreRow]:
    """Rows of a scores.csv. Raises OpenPairError for a file that is not one."""
    fix = "Copy it again, or evaluate again"
    with reading(path, "the table of scores", fix=fix), path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        header = tuple(reader.fieldnames or ())
        protocol = next((p for p in Protocol if csv_columns(p) == header), None)
        if protocol is None:
            raise OpenPairError("this is not a scores.csv of 'openpair eval'", where=path)
        return [_row_from_csv(cells, protocol) for cells in reader]


def _row_from_csv(cells: dict[str, str], protocol: Protocol) -> ScoreRow:
    if None in cells or None in cells.values():
        raise ValueError("a line has another number of cells than the header")
    failed = cells["score"] == ""
    if not failed and not math.isfinite(float(cells["score"])):
        raise ValueError(f"a score of {cells['score'][:20]}")
    metrics = {} if failed else {n: float(cells[n]) if cells[n] else math.nan for n in metric_names(protocol)}
    keys = ("dataset", "log", "token", "agent", "protocol", "error")
    return ScoreRow(**{k: cells[k] for k in keys}, metrics=metrics, score=None if failed else float(cells["score"]))


def _cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))


@dataclass(frozen=True)
class ChunkResult:
    """What one chunk of scenes gave.

    Attributes:
        rows: by scene, then by agent.
        digests: a digest of each scene's data; "" where it failed.
        truth_agents: agents whose plan was picked by the true score.
        mapping_rows: two stages: "combined", "stage_one" and "stage_two" -> one row per agent, named by the mapping's
            first-stage token.
        plans: agent -> token -> (8, 3) the plan that was scored; ego rear-axle frame.
    """

    rows: list[ScoreRow]
    digests: list[str]
    truth_agents: tuple[str, ...] = ()
    mapping_rows: dict[str, list[ScoreRow]] = field(default_factory=dict)
    plans: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)


class PartialResults:
    """Finished chunks of an evaluation, one JSON line with a checksum each, appended as they come.

    The first line holds the request (:func:`openpair.evaluation.identity.request_of`). A file of another request is
    not resumed but replaced; a last line cut short by a kill or a full disk is dropped, and so is every line whose
    checksum is wrong. A context manager: closes the file, and deletes it where no chunk was finished. Without a folder
    nothing is written.
    """

    def __init__(self, folder: Path | None, request: Mapping[str, str]) -> None:
        self.finished: dict[int, ChunkResult] = {}
        self._path = None if folder is None else folder / PARTIAL_FILE
        self._stream: io.FileIO | None = None
        if self._path is None:
            return
        header = json.dumps({REQUEST: request})
        text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.exists() else ""
        lines = text.split("\n")
        if lines[0] == header:
            for line in lines[1:-1]:  # what follows the last newline was cut short
                self._take(line)
        # Rewritten rather than appended to: drops a line that was cut short.
        kept = [header, *(_chunk_line(i, chunk) for i, chunk in self.finished.items())]
        write_atomically(self._path, "\n".join(kept) + "\n")
        self._stream = self._path.open("ab", buffering=0)

    def __enter__(self) -> PartialResults:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
        if not self.finished:
            self.delete()

    def _take(self, line: str) -> None:
        try:
            data = json.loads(line)
            check(line.encode())
            self.finished[int(data["chunk"])] = ChunkResult(
                _rows_from_json(data["rows"]),
                list(data["digests"]),
                tuple(data["truth_agents"]),
                {name: _rows_from_json(rows) for name, rows in data["mapping_rows"].items()},
                data["plans"],
            )
        except Exception as error:
            if not (is_damage(error) or isinstance(error, AttributeError)):  # a list where a dictionary belongs
                raise
            return  # a damaged line is a chunk to compute again

    def add(self, chunk: int, result: ChunkResult) -> None:
        """Append a finished chunk; it survives a kill from here on. Raises DiskFull."""
        self.finished[chunk] = result  # first: an interrupt while it is written must not delete the file
        if self._stream is not None and self._path is not None:
            line = (_chunk_line(chunk, result) + "\n").encode()
            with disk_errors(self._path, size_bytes=len(line)):
                left = memoryview(line)
                while left:
                    left = left[self._stream.write(left) :]
                os.fsync(self._stream.fileno())

    def delete(self) -> None:
        """Remove the file: the final results are written, or there are none."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _chunk_line(chunk: int, result: ChunkResult) -> str:
    data = {
        "chunk": chunk,
        "rows": _rows_to_json(result.rows),
        "digests": result.digests,
        "truth_agents": result.truth_agents,
        "mapping_rows": {name: _rows_to_json(rows) for name, rows in result.mapping_rows.items()},
        "plans": result.plans,
    }
    return sealed_json(data, allow_nan=False).decode()


def _rows_to_json(rows: Sequence[ScoreRow]) -> list[dict[str, Any]]:
    return [{**asdict(row), "metrics": _none_from_nan(row.metrics)} for row in rows]


def _rows_from_json(rows: Sequence[dict[str, Any]]) -> list[ScoreRow]:
    return [ScoreRow(**{**row, "metrics": _nan_from_none(row["metrics"])}) for row in rows]


def _none_from_nan(metrics: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}


def _nan_from_none(metrics: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def rows_of_agent(rows: Sequence[ScoreRow], agent: str) -> list[ScoreRow]:
    """Rows of one agent, in the order of the scenes."""
    return [row for row in rows if row.agent == agent]
