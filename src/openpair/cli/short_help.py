"""Short help of a command: what it does, the options that matter, examples. Read from source: nothing is imported.

``openpair COMMAND --help-all`` lists every option with all there is to say.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WIDTH = 80
OPTIONS_SHOWN = 10
EXAMPLES_SHOWN = 2
MAIN = "MAIN_OPTIONS"
"""Attribute of a command with more than ten options: those that matter."""


@dataclass(frozen=True)
class Option:
    """An option as its class declares it.

    Attributes:
        name: of the field.
        meaning: first sentence of what stands below it.
        positional: given by its place.
        required: without a default.
    """

    name: str
    meaning: str
    positional: bool
    required: bool

    @property
    def written(self) -> str:
        """As it is typed."""
        return self.name.upper() if self.positional else f"--{self.name.replace('_', '-')}"


def short_help(command: str, file: Path, class_name: str) -> str:
    """Help of at most ten options.

    Args:
        command: its words after ``openpair``.
        file: source of the module.
        class_name: the dataclass that is the command.
    """
    body = _class_in(file, class_name)
    about, examples = _about(ast.get_docstring(body) or "")
    options, main = list(_options(body)), _main(body)
    shown = [option for option in options if option.name in main or option.positional] if main else options
    shown = shown[:OPTIONS_SHOWN]
    places = "".join(f" {option.written}" for option in options if option.positional)
    parts = [f"usage: openpair {command}{places} [OPTIONS]", textwrap.fill(about, WIDTH)]
    if shown:
        parts.append("\n".join(["options:", *_rows(shown)]))
    if examples:
        parts.append("\n".join(["examples:", *(f"  {example}" for example in examples[:EXAMPLES_SHOWN])]))
    return "\n\n".join([*parts, f"openpair {command} --help-all says more, and lists all options."])


def option_names(file: Path, class_name: str) -> list[str]:
    """All options of a command as they are typed, help included."""
    options = [option.written for option in _options(_class_in(file, class_name)) if not option.positional]
    return [*options, "--help", "--help-all"]


def _class_in(file: Path, class_name: str) -> ast.ClassDef:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)


def _about(text: str) -> tuple[str, list[str]]:
    """First paragraph of a docstring, and its examples, each on one line."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(text).replace("``", "'").split("\n\n")]
    examples = [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]
    return paragraphs[0], examples


def _options(body: ast.ClassDef) -> Iterator[Option]:
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        kind = ast.unparse(node.annotation)
        if "ClassVar" in kind or "arg(name=''" in kind:
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = " ".join(str(after.value.value).split())
        meaning = re.split(r"(?<=[.;])\s", text, maxsplit=1)[0].rstrip(".;")
        yield Option(node.target.id, meaning, "Positional" in kind, node.value is None)


def _main(body: ast.ClassDef) -> tuple[str, ...]:
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == MAIN:
            assert node.value is not None
            return tuple(ast.literal_eval(node.value))
    return ()


def _rows(options: list[Option]) -> Iterator[str]:
    width = max(len(option.written) for option in options) + 4
    for option in options:
        needed = " (required)" if option.required and not option.positional else ""
        text = textwrap.wrap(option.meaning + needed, WIDTH - width) or [""]
        yield f"  {option.written}".ljust(width) + text[0]
        yield from (" " * width + line for line in text[1:])
