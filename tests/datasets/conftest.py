"""Where the golden and recorded data lie; tests that need them skip where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest
from shared_data import shared_folder


@pytest.fixture(scope="session")
def navsim_splits() -> Path:
    """NAVSIM's published scene filters."""
    return shared_folder("real/navsim_splits")


@pytest.fixture(scope="session")
def navsim_root() -> Path:
    """Golden logs, maps and tables in NAVSIM's format."""
    return shared_folder("golden/navsim")


@pytest.fixture(scope="session")
def argoverse2_root() -> Path:
    """Two recorded Argoverse 2 logs."""
    return shared_folder("real/argoverse2")


@pytest.fixture(scope="session")
def argoverse2_cases() -> list[Path]:
    """Reference cases cut from these logs."""
    return sorted(shared_folder("golden/pdm_real/v1").glob("case_av2_*.npz"))
