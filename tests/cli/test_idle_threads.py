"""Commands let idle threads sleep, before torch is imported, unless the user says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from openpair.threads import WAIT_POLICY

CODE = """
import contextlib, os, sys
from openpair.cli.main import main
with contextlib.suppress(SystemExit):
    main(["bench", "train", "--preset", "demo", "--steps", "0"])
assert "torch" not in sys.modules
print(os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("said", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep(said: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != WAIT_POLICY}
    if said is not None:
        environment[WAIT_POLICY] = said
    done = subprocess.run((sys.executable, "-c", CODE), env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == expected
