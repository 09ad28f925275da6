"""How threads that compute wait for each other."""

from __future__ import annotations

import os

WAIT_POLICY = "OMP_WAIT_POLICY"


def let_idle_threads_sleep() -> None:
    """Threads of PyTorch sleep until there is work, unless the environment says otherwise.

    They spin by default, and where other programs want the cores this takes up to seven times the processor time. Read
    when torch is imported: of this process, if it has not been, and of those that it starts.
    """
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
