"""``openpair``: entry point. Finds the subcommand, runs it, turns bad input into one sentence and status 2."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from openpair.errors import OpenPairError
from openpair.files import disk_full, is_full

EXIT_WORKERS_DIED = 1
EXIT_BAD_INPUT = 2
EXIT_UNREAD = 141
EXIT_TERMINATED = 143

TYRO_OPTIONS = (tyro.conf.EnumChoicesFromValues, tyro.conf.SuppressFixed, tyro.conf.AvoidSubcommands)


@dataclass(frozen=True)
class Subcommand:
    """A subcommand is a dataclass with a ``run(self) -> int`` method in a module of ``openpair.cli``.

    Attributes:
        module: module below ``openpair.cli``; imported only when the command is called, so that help stays fast.
        class_name: the dataclass; its docstring is the help text, its fields are the options.
        summary: one line for ``openpair --help``.
    """

    module: str
    class_name: str
    summary: str


SUBCOMMANDS: dict[str, Subcommand] = {
    "score": Subcommand("score", "Score", "score plans of golden cases exactly as NAVSIM does"),
    "explain": Subcommand("explain", "Explain", "say and draw why a plan scored what it scored"),
    "eval": Subcommand("eval", "Eval", "evaluate agents on a dataset"),
    "drive": Subcommand("drive", "Drive", "let agents drive logs in closed loop"),
    "serve": Subcommand("serve", "Serve", "let other processes plan with an agent: AlpaSim's driver interface (gRPC)"),
    "cache": Subcommand("cache", "Cache", "prepare scenes and features once, for eval and train"),
    "compare": Subcommand("compare", "Compare", "compare two evaluations, paired per scene"),
    "view": Subcommand("view", "View", "look at results in the browser: scenes, plans, where points were lost"),
    "submit": Subcommand("submit", "Submit", "write the submission file of a NAVSIM leaderboard"),
    "doctor": Subcommand("doctor", "Doctor", "look for what is missing: folders, versions, GPU, disk, files, maps"),
    "train": Subcommand("train", "Train", "train: parallel | il | rl | reward"),
    "fit-anchors": Subcommand("fit_anchors", "FitAnchors", "fit DiffusionDrive's anchors to a training set"),
    "import-checkpoint": Subcommand("import_checkpoint", "ImportCheckpoint", "make a released checkpoint one of ours"),
    "export": Subcommand("export", "Export", "write a planner as one graph without Python (torch.export)"),
    "world": Subcommand("world", "World", "the embedded world: info | unpack | build | materialise"),
    "reproduce": Subcommand("reproduce", "Reproduce", "compare all schemes over several seeds, write the results page"),
    "demo": Subcommand("demo", "Demo", "train and evaluate everything on the embedded world, write a report"),
    "bench": Subcommand(
        "bench",
        "Bench",
        "measure speed: score | store | data | navtrain | sensors | models | samplers | view | startup",
    ),
}


def usage() -> str:
    """Text of ``openpair --help``."""
    width = max(map(len, SUBCOMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {sub.summary}" for name, sub in SUBCOMMANDS.items())
    return (
        "usage: openpair COMMAND [OPTIONS]\n\n"
        "Learning to drive by imitation and reinforcement in parallel.\n\n"
        f"commands:\n{rows}\n\n"
        "openpair COMMAND --help explains a command. openpair --version prints the version.\n"
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 workers died, 2 bad input, 3 some scenes failed, 130 interrupted."""
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        sys.exit(0 if args else EXIT_BAD_INPUT)
    if args[0] == "--version":
        from openpair import __version__

        print(f"openpair {__version__}")
        sys.exit(0)
    name, rest = args[0], args[1:]
    if name not in SUBCOMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name, SUBCOMMANDS, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        print(f"openpair: there is no command '{name}'.{hint} 'openpair --help' lists them.", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    sub = SUBCOMMANDS[name]
    command_class = getattr(importlib.import_module(f"openpair.cli.{sub.module}"), sub.class_name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # leave as after Ctrl-C: nothing half written
    try:
        # A command may choose its defaults by what is asked for (a preset).
        default = {"default": command_class.defaults(rest)} if hasattr(command_class, "defaults") else {}
        command = tyro.cli(command_class, prog=f"openpair {name}", args=rest, config=TYRO_OPTIONS, **default)
        status = command.run()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone ('| head'): nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_UNREAD)
    except OpenPairError as error:
        print(f"openpair {name}: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except RuntimeError as error:
        from openpair.pools import WorkersDied

        if not isinstance(error, WorkersDied):
            raise
        print(f"openpair {name}: {error}", file=sys.stderr)
        sys.exit(EXIT_WORKERS_DIED)
    except OSError as error:
        if not is_full(error):
            raise
        print(f"openpair {name}: {disk_full(Path(error.filename or os.curdir))}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print(f"openpair {name}: interrupted; run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
    sys.exit(status)


if __name__ == "__main__":
    main()
