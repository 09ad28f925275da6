"""``openpair.train`` refuses what cannot be trained; what it trains is tested by examples/write_an_advantage.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import openpair


@pytest.mark.parametrize(("what", "says"), [("ill", "no branch 'ill'"), ("reward", "there is none")])
def test_what_cannot_be_trained_is_refused(what: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(openpair.OpenPairError, match=says):
        openpair.train(what, tmp_path, "quick")
