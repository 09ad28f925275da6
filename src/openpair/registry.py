"""Kinds by name: those of OpenPaIR and those that installed packages register. Imported only when they are used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from openpair.errors import OpenPairError


class Registry:
    """Names of one group of kinds -> ``"module:attribute"``.

    Other packages add to it by an entry point of the same group in their metadata::

        [project.entry-points."openpair.policies"]
        my_policy = "my_package.policy:MyPolicy"

    Args:
        group: name of the entry-point group ("openpair.policies").
        what: one of its kinds in messages ("imitation policy").
        own: those that come with OpenPaIR, in the order in which they are shown.
    """

    def __init__(self, group: str, what: str, own: Mapping[str, str]) -> None:
        self.group, self.what = group, what
        self.own = dict(own)

    def names(self) -> tuple[str, ...]:
        """All names: OpenPaIR's, then those of other packages, sorted."""
        return (*self.own, *sorted(set(entry_points(group=self.group).names) - set(self.own)))

    def __contains__(self, name: str) -> bool:
        return name in self.own or bool(entry_points(group=self.group, name=name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def load(self, name: str, *, where: object = None) -> Any:
        """What is registered under a name.

        Raises OpenPairError for an unknown name, for one that several packages register, and for a module that cannot
        be imported.
        """
        if name in self.own:
            module, attribute = self.own[name].split(":")
            return getattr(importlib.import_module(module), attribute)
        found = _distinct(entry_points(group=self.group, name=name))
        if not found:
            raise self.unknown(name, where=where)
        if len(found) > 1:
            raise OpenPairError(
                f"several packages register the {self.what} '{name}' ({', '.join(point.value for point in found)})",
                where=where,
                fix="Uninstall all but one of them",
            )
        try:
            return found[0].load()
        except Exception as error:  # code of another package, which may fail in any way
            raise OpenPairError(
                f"the {self.what} '{name}' cannot be imported ({type(error).__name__}: {error})",
                where=found[0].value,
                fix="Mend or uninstall the package that registers it",
            ) from error

    def modules(self, name: str) -> tuple[str, ...]:
        """Modules that a name is imported from; none for an unknown one. Nothing is imported."""
        if name in self.own:
            return (self.own[name].partition(":")[0],)
        return tuple(point.module for point in _distinct(entry_points(group=self.group, name=name)))

    def unknown(self, name: str, *, where: object = None) -> OpenPairError:
        """The error for a name that nobody registers, with the closest one or all of them."""
        names = self.names()
        close = get_close_matches(name, names, n=1)
        hint = f"Did you mean '{close[0]}'" if close else f"There are: {', '.join(names)}"
        return OpenPairError(f"there is no {self.what} '{name}'", where=where, fix=hint)


def _distinct(points: Any) -> list[EntryPoint]:
    """Entry points without repetitions: a folder that is twice on sys.path registers its packages twice."""
    return list({point.value: point for point in points}.values())
