"""What every network of a planner has: a name under which it is registered, and a configuration of its own class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from openpair.nn.registered_config import RegisteredConfig


class RegisteredNetwork(nn.Module):
    """Base of all networks of a planner.

    Attributes:
        kind: name under which it is registered: in checkpoints and on the command line.
        config_class: class of its configuration.
        config: the one it was built from.
        telling_parameter: a parameter by which a released file is recognised; None where none is released.
        lenient: whether a released file may hold parameters that the network does not have.
    """

    kind: ClassVar[str]
    config_class: ClassVar[type[RegisteredConfig]]
    config: Any
    telling_parameter: ClassVar[str | None] = None
    lenient: ClassVar[bool] = True

    @classmethod
    def released_config(cls, state: Mapping[str, Tensor]) -> Any:
        """Configuration of the released network with these parameters; None for the published one."""
        return None
