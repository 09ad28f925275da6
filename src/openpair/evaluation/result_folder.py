"""A folder of results belongs to one request: the same request goes on in it, another one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openpair.errors import OpenPairError
from openpair.evaluation.records import PARTIAL_FILE, REQUEST, SCORES_FILE, SUMMARY_FILE


def check_free(folder: Path, request: Mapping[str, str]) -> None:
    """Raises OpenPairError where a folder holds results, finished or not, of another request.

    Args:
        folder: where results are to be written.
        request: hashes of what decides them (:func:`openpair.evaluation.identity.request_of`).
    """
    for name, what in ((SUMMARY_FILE, "results"), (PARTIAL_FILE, "unfinished results")):
        path = folder / name
        if not path.exists():
            continue
        held = _request_in(path)
        if held == request:
            continue
        others = [part for part in request if held.get(part) != request[part]]
        words = f"other {', '.join(others)}" if held else "an unknown request"
        raise OpenPairError(
            f"the folder holds {what} of {words}",
            where=folder,
            fix="Choose another --out, or replace them with --overwrite",
        )
    if (folder / SCORES_FILE).exists() and not any((folder / name).exists() for name in (SUMMARY_FILE, PARTIAL_FILE)):
        raise OpenPairError(
            f"the folder holds a {SCORES_FILE} that may be of another evaluation",
            where=folder,
            fix="Choose another --out, or replace it with --overwrite",
        )


def _request_in(path: Path) -> dict[str, Any]:
    """The request of a summary, or in the first line of a partial file; empty where it holds none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        data = json.loads(text if path.name == SUMMARY_FILE else text.partition("\n")[0])
        held = data[REQUEST]
    except (ValueError, KeyError, TypeError):
        return {}
    return held if isinstance(held, dict) else {}
