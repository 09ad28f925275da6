"""A worker must not outlive the process that started it: a run begun anew would have two writers."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Called in a process that ``multiprocessing`` started: it is killed when its parent ends, however that ends.

    Linux kills it at once. Elsewhere, and where that is not allowed, a thread waits for the parent's end. Interrupts
    (Ctrl-C reaches all processes of a terminal) are left to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # it ended before the line above
            os._exit(1)

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
