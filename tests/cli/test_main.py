"""The command line as a whole: help, unknown words, one sentence for bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openpair import __version__
from openpair.cli.main import SUBCOMMANDS, main


def run(*args: str) -> int:
    """Exit status of a command."""
    with pytest.raises(SystemExit) as exit_info:
        main(list(args))
    return int(exit_info.value.code or 0)


def test_help_names_every_command(capsys: pytest.CaptureFixture) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture) -> None:
    assert run(name, "--help") == 0
    assert f"openpair {name}" in capsys.readouterr().out


def test_the_version_is_said(capsys: pytest.CaptureFixture) -> None:
    assert run("--version") == 0
    assert __version__ in capsys.readouterr().out


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture) -> None:
    assert run("evla") == 2
    assert "Did you mean 'eval'?" in capsys.readouterr().err


def test_a_mistyped_setting_gets_a_suggestion(capsys: pytest.CaptureFixture) -> None:
    assert run("train", "il", "--out", "x", "--imitation.stepz", "5") == 2
    assert "--imitation.steps" in capsys.readouterr().err


def test_a_setting_of_the_wrong_type_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert run("train", "il", "--out", "x", "--imitation.steps", "five") == 2
    assert "five" in capsys.readouterr().err


def test_an_unknown_preset_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture) -> None:
    assert run("train", "il", "--out", "x", "--preset", "huge") == 2
    assert "published" in capsys.readouterr().err


def test_the_reward_model_wants_a_sampler_first(tmp_path: object, capsys: pytest.CaptureFixture) -> None:
    assert run("train", "reward", "--out", str(tmp_path)) == 2
    assert "openpair train rl" in capsys.readouterr().err


def test_output_that_nobody_reads_ends_the_command_quietly(tmp_path: Path) -> None:
    case = Path(__file__).parents[1] / "data" / "golden" / "pdm" / "v1" / "case006.npz"
    command = [sys.executable, "-m", "openpair.cli.main", "explain", str(case), "-o", str(tmp_path / "a.svg")]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""
    assert (tmp_path / "a.svg").is_file()
