"""One finding of ``openpair doctor``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        subject: what ("maps", "GPU").
        status: "ok"; "note" where something is absent that not everyone needs; "missing" where work cannot go on.
        finding: what was found, in plain words.
        fix: what to do about it; empty where nothing is to be done.
    """

    subject: str
    status: str
    finding: str
    fix: str = ""
