"""The house as it is drawn: no import goes in a circle, and every room is in the contracts and in CONTRIBUTING."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import in src, those within functions too; those for type checkers alone are none at run time."""
    return grimp.build_graph("openpair", exclude_type_checking_imports=True, cache_dir=None)


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported not in number:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], number[imported])
        if lowest[module] == number[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph.modules):
        if module not in number:
            visit(module)
    return found


def test_no_import_goes_in_a_circle(graph: grimp.ImportGraph) -> None:
    assert circles(graph) == []


def test_a_circle_would_be_found(graph: grimp.ImportGraph) -> None:
    other = grimp.build_graph("openpair", exclude_type_checking_imports=True, cache_dir=None)
    other.add_import(importer="openpair.errors", imported="openpair.cli.main")
    assert any("openpair.errors" in group for group in circles(other))


def rooms() -> set[str]:
    """Modules and packages right below openpair."""
    found = {path.stem for path in (PROJECT / "src" / "openpair").iterdir() if path.suffix == ".py" or path.is_dir()}
    return found - {"__init__", "__pycache__"}


def test_every_room_is_in_the_layers() -> None:
    text = (PROJECT / "pyproject.toml").read_text()
    layers = text[text.index("layers = [") :]
    assert set(re.findall(r"\w+", layers[: layers.index("]")])) - {"layers"} == rooms()
    assert "exhaustive = true" in text
    assert "ignore_imports" not in text and "exhaustive_ignores" not in text


def test_every_room_is_in_contributing() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    first_cells = re.findall(r"^\| (`.*?) \|", text[text.index("| room |") :], re.MULTILINE)
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == rooms()


def test_files_named_in_contributing_are_there() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:src|tests|docs)/[\w/.-]+)`", text)
    assert len(named) > 10
    assert [name for name in named if not (PROJECT / name).exists()] == []
