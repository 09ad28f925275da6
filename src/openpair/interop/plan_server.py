"""Plans for a process of another interpreter: sensors come in on stdin, plans go out on stdout.

python -m openpair.interop.plan_server CHECKPOINT [MODE]
"""

from __future__ import annotations

import io
import os
import sys

import numpy as np

from openpair.interop.navsim_agent import HEADER, MAX_INPUT_BYTES, checked_plan, write_message


def serve() -> None:
    """Answer messages until there are no more. An error goes out as a message, too."""
    # Whatever libraries print must not get between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    try:
        from openpair.interop.planner import SensorPlanner

        planner = SensorPlanner(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    except Exception as error:
        write_message(answers, f"{error or type(error).__name__}".encode(), is_error=True)
        return
    write_message(answers, " ".join(("ready", *planner.reads)).encode())
    while len(header := questions.read(HEADER.size)) == HEADER.size:
        (length,) = HEADER.unpack(header)
        if not 0 < length <= MAX_INPUT_BYTES:  # what follows cannot be told from the next message
            write_message(answers, f"a message of {length} bytes".encode(), is_error=True)
            return
        packed = questions.read(length)
        if len(packed) < length:
            return
        try:
            with np.load(io.BytesIO(packed), allow_pickle=False) as inputs:
                plan = checked_plan(planner.plan(dict(inputs)))
            reply = io.BytesIO()
            np.save(reply, plan)
            write_message(answers, reply.getvalue())
        except Exception as error:
            write_message(answers, f"{type(error).__name__}: {error}".encode(), is_error=True)


if __name__ == "__main__":
    serve()
