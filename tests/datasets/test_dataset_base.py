"""What all datasets share."""

from __future__ import annotations

import os
from pathlib import Path

from openpair.datasets.base import data_fingerprint


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"1")
    os.utime(path, ns=(1, 1))
    first = data_fingerprint([path], [])
    assert data_fingerprint([path], []) == first
    path.write_bytes(b"22")
    os.utime(path, ns=(1, 1))
    assert data_fingerprint([path], []) != first


def test_the_fingerprint_changes_with_the_choice_of_scenes() -> None:
    assert data_fingerprint([], ["a"]) != data_fingerprint([], ["a", "b"])
