"""Why a scene failed, in words, and what a command ends with where some did."""

from __future__ import annotations

import traceback

from openpair.errors import OpenPairError

EXIT_OK = 0
EXIT_SCENES_FAILED = 3


def exit_status(*, some_failed: bool, nothing_done: bool, allow_failures: bool) -> int:
    """0 where all scenes (or drives) were done, 3 where some failed: 0 where failures are allowed and anything was
    done."""
    return EXIT_SCENES_FAILED if nothing_done or (some_failed and not allow_failures) else EXIT_OK


AGENT_ERRORS = (Exception, SystemExit)
"""What an agent may fail with. One that calls ``sys.exit`` ends its own plan, not the work of the others."""


def describe(error: BaseException) -> str:
    """Reason of a failure. Errors other than OpenPairError are named, with the line that raised them.

    Characters that UTF-8 cannot write, as in undecodable file names, are escaped.
    """
    return _reason(error).encode(errors="backslashreplace").decode()


def _reason(error: BaseException) -> str:
    if isinstance(error, OpenPairError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {error}"
