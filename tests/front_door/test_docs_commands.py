"""Commands of README and docs are ones that there are: every line 'openpair ...' of a code block parses.

They are not run: most need data or a training. ``...`` and what follows stands for options that the reader knows.
"""

from __future__ import annotations

import importlib
import re
import shlex

import pytest
import tyro
from docs_examples import PAGES, ROOT

from openpair.cli.main import find

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LANGUAGES = ("", "bash", "sh", "console")


def commands() -> list[tuple[str, str]]:
    """(page, command line) of every command, continued lines joined and comments left out."""
    found = []
    for page in PAGES:
        for language, block in _BLOCK.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                if language in LANGUAGES and line.startswith("openpair "):
                    found.append((str(page.relative_to(ROOT)), line.partition("  #")[0].strip()))
    return found


def test_the_known_pages_have_commands() -> None:
    assert {"README.md", "docs/scoring.md", "docs/navsim_to_leaderboard.md"} <= {page for page, _ in commands()}


@pytest.mark.parametrize(("page", "line"), commands())
def test_it_parses(page: str, line: str) -> None:
    words = shlex.split(line.removesuffix(" ..."))[1:]
    if words[-1] == "--help":
        return
    complete = not line.endswith(" ...")
    name, sub, rest = find(words)
    command_class = getattr(importlib.import_module(f"openpair.{sub.module}"), sub.class_name)
    default = {"default": command_class.defaults(rest)} if hasattr(command_class, "defaults") else {}
    options = (tyro.conf.EnumChoicesFromValues, tyro.conf.SuppressFixed, tyro.conf.AvoidSubcommands)
    missing = () if complete else ("--dataset", "world", "--out", "x")
    tyro.cli(command_class, prog=name, args=[*rest, *missing], config=options, **default)
