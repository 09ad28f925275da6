"""Ways to run a network, by name. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

InferenceMode = Literal["plain", "optimised", "bfloat16", "compiled", "compiled-bfloat16"]
"""Ways to run a network: as it is; optimised, the same up to rounding; in bfloat16; by torch.compile."""
