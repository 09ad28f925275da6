"""Random damage of files, for tests."""

from __future__ import annotations

import os

import numpy as np

MUTATIONS = int(os.environ.get("OPENPAIR_MUTATIONS", "40"))
"""How many of each kind of file are tried."""
SEED = int(os.environ.get("OPENPAIR_MUTATION_SEED", "0"))


def mutated(data: bytes, draw: np.random.Generator) -> bytes:
    """One to four of: a byte changed, a stretch overwritten, removed or doubled, the end cut off."""
    result = bytearray(data)
    for _ in range(int(draw.integers(1, 5))):
        at = int(draw.integers(0, max(1, len(result))))
        length = int(draw.integers(1, 40))
        match int(draw.integers(0, 6)):
            case 0 | 1:
                result[at : at + 1] = draw.bytes(1)
            case 2:
                result[at : at + length] = draw.bytes(length)
            case 3:
                del result[at : at + length]
            case 4:
                result[at:at] = result[at : at + length]
            case 5:
                if draw.integers(0, 4) == 0:
                    del result[at:]
    return bytes(result)
