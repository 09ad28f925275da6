"""Fresh networks of the registered kinds, and parameters into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from openpair.errors import OpenPairError
from openpair.kinds import PARTS, network_kinds
from openpair.nn.registered import RegisteredNetwork
from openpair.registry import Registry

NAMES_SHOWN = 6
"""At most so many names of parameters are shown in a sentence."""


def network_class(kind: str, kinds: Registry | None = None) -> type[RegisteredNetwork]:
    """The class of a kind.

    Args:
        kind: its name.
        kinds: the part of the planner to look among first, where two parts have kinds of that name.

    Raises OpenPairError for an unknown kind, and for something registered that is no network of that name.
    """
    registry = next((one for one in (kinds, *PARTS.values()) if one is not None and kind in one), None)
    if registry is None:
        raise OpenPairError(
            f"there is no network '{kind}'", where="kind", fix=f"Choose from {', '.join(network_kinds())}"
        )
    found = registry.load(kind)
    if not (isinstance(found, type) and issubclass(found, RegisteredNetwork)) or found.kind != kind:
        raise OpenPairError(
            f"what is registered as the {registry.what} '{kind}' is no network of that kind",
            where=f"{found.__module__}.{found.__qualname__}" if isinstance(found, type) else repr(found),
            fix="Register a class of a network whose attribute 'kind' is that name",
        )
    return found


def build_network(kind: str, config: Any = None) -> RegisteredNetwork:
    """A fresh network of a kind; without a configuration the published size, or the small one where none is published.

    Raises OpenPairError for an unknown kind and for a configuration of another kind.
    """
    built = network_class(kind, getattr(config, "kinds", None))
    if config is not None and not isinstance(config, built.config_class):
        raise OpenPairError(
            f"a {type(config).__name__} does not configure '{kind}'",
            where="config",
            fix=f"Use {built.config_class.__name__}",
        )
    return built(config)


def load_strictly(network: RegisteredNetwork, state: Mapping[str, Tensor], *, where: str) -> None:
    """Load parameters; nothing may be missing, left over, of another shape, or NaN.

    Raises OpenPairError that names what differs; the network is unchanged then.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    reshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    complaints = [
        f"{len(names)} {what} ({shown_names(names)})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    if complaints:
        raise OpenPairError(
            f"the parameters are not those of {type(network).__name__}: {'; '.join(complaints)}",
            where=where,
            fix="load it as the kind and size it was saved as",
        )
    broken = [name for name, value in state.items() if value.is_floating_point() and bool(value.isnan().any())]
    if broken:
        raise OpenPairError(
            f"{len(broken)} parameters hold NaN ({shown_names(broken)})",
            where=where,
            fix="The training run that wrote it diverged, or the file is damaged; take an earlier checkpoint",
        )
    network.load_state_dict(dict(state))


def shown_names(names: list[str]) -> str:
    """A few names for a sentence."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown}, ..."
