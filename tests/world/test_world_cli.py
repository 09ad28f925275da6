"""``openpair world`` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from openpair.cli.main import main


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["world", *args])
    code = stopped.value.code
    return code if isinstance(code, int) else 1


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "--check") == 0
    assert "Every town is what the index says" in capsys.readouterr().out


def test_unpack(small_world: Path, tmp_path: Path) -> None:
    assert run("unpack", "--out", str(tmp_path), "--root", str(small_world), "--splits", "val") == 0
    assert len(list(tmp_path.glob("val-00/navsim_logs/val/*.pkl"))) == 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("info", "--root", "/nowhere"), "no world here"),
        (("build", "--out", "x", "--towns", "atlantis"), "no town 'atlantis'"),
    ],
)
def test_bad_input(args: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*args) == 2
    assert words in capsys.readouterr().err
