"""``import openpair``: its names, their documentation, and what is not imported before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import openpair

NAMES = [name for name in openpair.__all__ if name != "__version__"]
LIGHT = {"openpair", "importlib", "warnings"}
CALLABLE = [name for name in NAMES if name != "ADVANTAGES"]


def imported_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after some code, beyond those it starts with."""
    show = "import sys; before = set(sys.modules)\n{}\nprint(*{{m.split('.')[0] for m in set(sys.modules) - before}})"
    result = subprocess.run(
        [sys.executable, "-c", show.format(code)], capture_output=True, text=True, check=True, timeout=120
    )
    return set(result.stdout.split())


def test_nothing_is_imported_before_it_is_used() -> None:
    assert imported_by("import openpair; dir(openpair); openpair.__version__") <= LIGHT


def test_names_of_the_scorer_do_not_import_networks() -> None:
    loaded = imported_by("import openpair; openpair.score_prepared; openpair.prepare_scene; openpair.open_dataset")
    assert not loaded & {"torch", "torchvision", "timm", "tyro", "rich"}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_documented(name: str) -> None:
    assert name in dir(openpair)
    value = getattr(openpair, name)
    if name in CALLABLE:
        assert callable(value) and value.__doc__ and len(value.__doc__) > 30


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'scroe'"):
        _ = openpair.scroe


def test_the_stub_tells_editors_the_same_names() -> None:
    stub = ast.parse(Path(openpair.__file__).with_suffix(".pyi").read_text())
    told = {
        alias.asname: (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == openpair._NAMES
    (everything,) = (
        ast.literal_eval(node.value)
        for node in stub.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    )
    assert sorted(everything) == sorted(openpair.__all__)
