"""Short help, full help, typing errors at every level, and one name for outputs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from openpair.cli.completion import script
from openpair.cli.main import SUBCOMMANDS, Group, Subcommand, main
from openpair.cli.short_help import OPTIONS_SHOWN, short_help


def every_command() -> dict[str, Subcommand]:
    """All commands by their words, those of groups too."""
    found = {}
    for name, command in SUBCOMMANDS.items():
        if isinstance(command, Group):
            found.update({f"{name} {inner}": sub for inner, sub in command.commands.items()})
        else:
            found[name] = command
    return found


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(list(args))
    return int(exit_info.value.code or 0)


@pytest.mark.parametrize(("name", "sub"), every_command().items())
def test_short_help_is_short_and_names_options_that_there_are(name: str, sub: Subcommand) -> None:
    spec = importlib.util.find_spec(f"openpair.{sub.module}")
    assert spec is not None and spec.origin is not None
    text = short_help(name, Path(spec.origin), sub.class_name)
    shown = re.findall(r"^  (?:--([a-z-]+)|([A-Z]+))  ", text, re.MULTILINE)
    assert len(shown) <= OPTIONS_SHOWN
    fields = getattr(importlib.import_module(spec.name), sub.class_name).__dataclass_fields__
    assert {(option or place).lower().replace("-", "_") for option, place in shown} <= set(fields)
    assert set(getattr(importlib.import_module(spec.name), sub.class_name).__dict__.get("MAIN_OPTIONS", ())) <= set(
        fields
    )
    about = text.partition("examples:")[0]
    assert max(map(len, about.splitlines())) <= 80


def test_full_help_lists_every_option(capsys: pytest.CaptureFixture) -> None:
    assert run("eval", "--help") == 0
    short = capsys.readouterr().out
    assert "--agent" in short and "--carry-exemptions" not in short and "openpair eval --help-all" in short
    assert run("eval", "--help-all") == 0
    assert "--carry-exemptions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (("bench", "scroe"), "openpair bench: there is no command 'scroe'. Did you mean 'score'?"),
        (("world", "lst"), "openpair world: there is no command 'lst'. Did you mean 'list'?"),
    ],
)
def test_typing_errors_in_groups_get_a_suggestion(
    words: tuple[str, ...], suggestion: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(*words) == 2
    assert suggestion in capsys.readouterr().err


def test_a_group_alone_lists_its_commands(capsys: pytest.CaptureFixture) -> None:
    assert run("bench") == 2
    bench = SUBCOMMANDS["bench"]
    assert isinstance(bench, Group)
    text = capsys.readouterr().out
    assert all(f"  {name}" in text for name in bench.commands)


def test_every_benchmark_has_a_command() -> None:
    bench = SUBCOMMANDS["bench"]
    assert isinstance(bench, Group)
    folder = Path(importlib.util.find_spec("openpair.benchmarks").submodule_search_locations[0])  # type: ignore[union-attr,index]
    classes = {
        name for file in folder.glob("*.py") for name in re.findall(r"^class (Bench\w+)", file.read_text(), re.M)
    }
    assert {sub.class_name for sub in bench.commands.values()} == classes


@pytest.mark.parametrize("option", ["--out", "--output", "-o"])
def test_outputs_have_one_name_and_the_old_ones_work(option: str, tmp_path: Path) -> None:
    case = Path(__file__).parents[1] / "data" / "golden" / "pdm" / "v1" / "case006.npz"
    assert run("explain", str(case), option, str(tmp_path / "a.svg")) == 0
    assert run("score", str(case), option, str(tmp_path)) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "case006.npz"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ev"], {"eval"}),
        (["eval", "--overw"], {"--overwrite"}),
        (["bench", "st"], {"store", "startup"}),
        (["world", "list", "--wh"], {"--where"}),
        (["score", "case.npz", "--pro"], {"--protocol"}),
    ],
)
def test_bash_completes_commands_and_options(words: list[str], expected: set[str]) -> None:
    line = " ".join(f'"{word}"' for word in ["openpair", *words])
    code = f'{script("bash")}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _openpair; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(("bash", "-c", code), capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected
