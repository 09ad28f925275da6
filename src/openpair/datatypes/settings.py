"""Settings that came later: at their default they do not change which training run this is."""

from __future__ import annotations

from dataclasses import Field, field, fields
from typing import Any

LATER = "later"


def later(default: Any) -> Any:
    """Field of a configuration that was added when runs without it existed already.

    At its default nothing is different from before, so it stays out of fingerprints (:func:`is_unused`) and those runs
    can go on.
    """
    return field(default=default, metadata={LATER: True})


def is_unused(setting: Field[Any], value: Any) -> bool:
    """Whether a field is a later setting at its default."""
    return bool(setting.metadata.get(LATER, False)) and bool(value == setting.default)


def unused_settings(config: Any) -> set[str]:
    """Names of a configuration's later settings that are at their defaults."""
    return {setting.name for setting in fields(config) if is_unused(setting, getattr(config, setting.name))}
