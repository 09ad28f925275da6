"""``openpair completion``: a script by which a shell completes commands and options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import tyro


@dataclass(frozen=True)
class Completion:
    """Print a script by which bash or zsh completes commands and options; files are completed as always.

    Example: eval "$(openpair completion bash)"
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh"]] = "bash"
    """Which shell: bash or zsh."""

    def run(self) -> int:
        """Print the script."""
        print(script(self.shell))
        return 0


def script(shell: str) -> str:
    """The script; for zsh with what lets it read bash's."""
    from openpair.cli.main import SUBCOMMANDS

    cases = "\n".join(f'    "{pattern}") words="{" ".join(words)}" ;;' for pattern, words in _cases())
    head = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return f"""{head}_openpair() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words=""
  case "$COMP_CWORD ${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
    "1 "*) words="{" ".join((*SUBCOMMANDS, "--help", "--version"))}" ;;
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _openpair openpair"""


def _cases() -> Iterator[tuple[str, list[str]]]:
    """Pattern of the words so far, and what may follow."""
    from openpair.cli.main import SUBCOMMANDS, Group, source_of
    from openpair.cli.short_help import option_names

    for name, command in SUBCOMMANDS.items():
        if isinstance(command, Group):
            yield f'2 {name} "*"', [*command.commands, "--help"]
            for inner, sub in command.commands.items():
                yield f'"*" {name} {inner}', option_names(source_of(sub), sub.class_name)
        else:
            yield f'"*" {name} "*"', option_names(source_of(command), command.class_name)
