"""Configurations as JSON: nested dataclasses as plain values, and back by their type hints."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any

from openpair.datatypes.settings import unused_settings
from openpair.nn.registered_config import RegisteredConfig


def to_plain(value: Any, *, unused: bool = True) -> Any:
    """A configuration as JSON values; nested dataclasses carry the name of their class under ``"is"``.

    Without ``unused``, later settings at their defaults are left out (:mod:`openpair.datatypes.settings`).
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        left_out = set() if unused else unused_settings(value)
        names = [f.name for f in dataclasses.fields(value) if f.name not in left_out]
        return {"is": type(value).__name__, **{name: to_plain(getattr(value, name), unused=unused) for name in names}}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_plain(item, unused=unused) for item in value]
    return value


def from_plain(wanted: Any, value: Any) -> Any:
    """The reverse of :func:`to_plain`, by the type hints of dataclass ``wanted``; fields left out keep their defaults.

    Where ``wanted`` is the base of a part's configurations (:class:`openpair.policies.base.PolicyConfig`), the value is
    that of any registered kind.

    Raises ValueError for fields and classes that ``wanted`` does not know.
    """
    if isinstance(wanted, type) and issubclass(wanted, RegisteredConfig) and "kinds" in vars(wanted):
        return from_plain(wanted.named(value["is"]), value)
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return _from_union(typing.get_args(wanted), value)
    if dataclasses.is_dataclass(wanted):
        name = getattr(wanted, "__name__", "")
        if value["is"] != name:
            raise ValueError(f"a {value['is']} stands where a {name} belongs")
        hints = typing.get_type_hints(wanted)
        # A class names settings that it no longer has: files from before stay readable.
        given = {k: v for k, v in value.items() if k != "is" and k not in getattr(wanted, "RETIRED", ())}
        if unknown := given.keys() - hints.keys():
            raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
        return typing.cast(Any, wanted)(**{key: from_plain(hints[key], item) for key, item in given.items()})
    if origin is tuple:
        args = typing.get_args(wanted)
        repeated = len(args) == 2 and args[1] is Ellipsis
        if not repeated and len(args) != len(value):
            raise ValueError(f"{len(value)} values stand where {len(args)} belong")
        return tuple(from_plain(args[0] if repeated else args[i], item) for i, item in enumerate(value))
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return wanted(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(wanted, type) and not isinstance(value, wanted):
        raise ValueError(f"{value!r} stands where a {wanted.__name__} belongs")
    return value


def _from_union(options: tuple[Any, ...], value: Any) -> Any:
    for option in options:
        if typing.get_origin(option) is typing.Literal and value in typing.get_args(option):
            return value
        is_class = isinstance(value, dict) and getattr(option, "__name__", None) == value.get("is")
        if is_class or (value is None and option is type(None)):
            return from_plain(option, value) if is_class else None
    plain = [o for o in options if isinstance(o, type) and not dataclasses.is_dataclass(o) and o is not type(None)]
    if value is not None and not isinstance(value, dict) and plain:
        return from_plain(plain[0], value)
    raise ValueError(f"{value!r} is none of the known choices")
