"""The data beside the project root; tests that need them skip where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def shared_folder(relative: str) -> Path:
    """A folder of the shared data; skips the test where it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs {relative} in ../shared beside the project root")
    return path
