"""The one exception that OpenPaIR raises for bad input.

Its text is a sentence a user can act on: what is wrong, where, and what to do. The command line prints it
and exits with status 2. Programming errors stay ordinary Python exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable


class OpenPairError(Exception):
    """Input that cannot be used.

    Args:
        what: what is wrong, without a final stop ("the file is not a NAVSIM log").
        where: file, scene, token or option it concerns.
        fix: what the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, fix: str = "") -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        place = f"{self.where}: " if self.where else ""
        advice = f" {fix.rstrip('.')}." if fix else ""
        super().__init__(f"{place}{what.rstrip('.')}.{advice}")

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel between processes with all their parts."""
        return _rebuild, (type(self), self.what, self.where, self.fix)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The beginning of a ``fix``, with a space at its end: "Did you mean 'pair'?" for the known name that is nearest;
    empty where none is."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f"Did you mean '{close[0]}'? " if close else ""


def _rebuild(kind: type[OpenPairError], what: str, where: object, fix: str) -> OpenPairError:
    return kind(what, where=where, fix=fix)
