"""What the configurations of imitation policies have in common. Imports nothing heavy."""

from __future__ import annotations

from openpair.kinds import POLICIES
from openpair.nn.registered_config import RegisteredConfig


class PolicyConfig(RegisteredConfig):
    """Base of the configurations of imitation policies."""

    kinds = POLICIES
