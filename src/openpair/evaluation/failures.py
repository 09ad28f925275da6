"""Why a scene failed, in words."""

from __future__ import annotations

import traceback

from openpair.errors import OpenPairError


def describe(error: Exception) -> str:
    """Reason of a failure. Errors other than OpenPairError are named, with the line that raised them."""
    if isinstance(error, OpenPairError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {error}"
