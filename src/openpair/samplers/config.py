"""What the configurations of samplers have in common. Imports nothing heavy."""

from __future__ import annotations

from openpair.kinds import SAMPLERS
from openpair.nn.registered_config import RegisteredConfig


class SamplerConfig(RegisteredConfig):
    """Base of the configurations of samplers. They offer ``codes``, the names of the leaves (tuple of str)."""

    kinds = SAMPLERS
