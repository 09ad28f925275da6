"""``openpair``: entry point. Finds the subcommand, runs it, turns bad input into one sentence and status 2."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from openpair.errors import OpenPairError
from openpair.files import disk_full, is_full
from openpair.threads import let_idle_threads_sleep

NETWORK_LIBRARIES = ("torch", "torchvision", "timm")
"""Modules of the extra 'train', without which everything but networks works."""

EXIT_WORKERS_DIED = 1
EXIT_BAD_INPUT = 2
EXIT_UNREAD = 141
EXIT_TERMINATED = 143

HELP = ("-h", "--help", "--help-all")


class Command(Protocol):
    """What a command line becomes."""

    def run(self) -> int: ...


@dataclass(frozen=True)
class Subcommand:
    """A subcommand is a dataclass with a ``run(self) -> int`` method.

    Attributes:
        module: module below ``openpair``; imported only when the command is called, so that help stays fast.
        class_name: the dataclass; its docstring is the help text, its fields are the options.
        summary: one line for help.
    """

    module: str
    class_name: str
    summary: str


@dataclass(frozen=True)
class Group:
    """A command that is a choice of others (``openpair bench score``).

    Attributes:
        summary: one line for ``openpair --help``, before the names of its commands.
        commands: by name.
    """

    summary: str
    commands: dict[str, Subcommand]


BENCHMARKS = {
    "score": Subcommand("benchmarks.score", "BenchScore", "the scorer: candidates, batches, memory"),
    "store": Subcommand("benchmarks.store", "BenchStore", "prepared scenes: building, size, loading"),
    "data": Subcommand("benchmarks.data", "BenchData", "what a training step reads"),
    "packing": Subcommand("benchmarks.packing", "BenchPacking", "formats of stored features: size, time"),
    "navtrain": Subcommand("benchmarks.navtrain", "BenchNavtrain", "opening a split of navtrain's size"),
    "train": Subcommand("benchmarks.train", "BenchTrain", "steps of training, and what they wait for"),
    "sensors": Subcommand("benchmarks.sensors", "BenchSensors", "ray-cast cameras and LiDAR"),
    "models": Subcommand("benchmarks.models", "BenchModels", "networks: time, memory, precision"),
    "samplers": Subcommand("benchmarks.samplers", "BenchSamplers", "tree samplers"),
    "view": Subcommand("benchmarks.view", "BenchView", "what readers of a page of results wait for"),
    "startup": Subcommand("benchmarks.startup", "BenchStartup", "what commands cost before they do anything"),
}

WORLD = {
    "info": Subcommand("cli.world", "Info", "towns, logs and scenes of a world"),
    "list": Subcommand("cli.world_scenes", "List", "tokens of scenes by what happens in them"),
    "show": Subcommand("cli.world_scenes", "Show", "what happens in a scene, with a picture"),
    "unpack": Subcommand("cli.world", "Unpack", "write the world in NAVSIM's format"),
    "build": Subcommand("cli.world", "Build", "simulate towns of your own"),
    "materialise": Subcommand("cli.world", "Materialise", "write cameras and LiDAR as files"),
}

SUBCOMMANDS: dict[str, Subcommand | Group] = {
    "score": Subcommand("cli.score", "Score", "score plans of golden cases exactly as NAVSIM does"),
    "explain": Subcommand("cli.explain", "Explain", "say and draw why a plan scored what it scored"),
    "eval": Subcommand("cli.eval", "Eval", "evaluate agents on a dataset"),
    "drive": Subcommand("cli.drive", "Drive", "let agents drive logs in closed loop"),
    "serve": Subcommand("cli.serve", "Serve", "let other processes plan: AlpaSim's driver interface (gRPC)"),
    "cache": Subcommand("cli.cache", "Cache", "prepare scenes and features once, for eval and train"),
    "compare": Subcommand("cli.compare", "Compare", "compare two evaluations, paired per scene"),
    "view": Subcommand("cli.view", "View", "look at results in the browser: scenes, plans, where points were lost"),
    "submit": Subcommand("cli.submit", "Submit", "write the submission file of a NAVSIM leaderboard"),
    "doctor": Subcommand("cli.doctor", "Doctor", "look for what is missing: folders, versions, GPU, disk, files, maps"),
    "train": Subcommand("cli.train", "Train", "train: parallel | il | rl | reward"),
    "runs": Subcommand("cli.runs", "Runs", "list training runs: state and best figures"),
    "fit-anchors": Subcommand("cli.fit_anchors", "FitAnchors", "fit DiffusionDrive's anchors to a training set"),
    "import-checkpoint": Subcommand(
        "cli.import_checkpoint", "ImportCheckpoint", "make a released checkpoint one of ours"
    ),
    "export": Subcommand("cli.export", "Export", "write a planner as one graph without Python (torch.export)"),
    "world": Group("the embedded world", WORLD),
    "reproduce": Subcommand(
        "cli.reproduce", "Reproduce", "compare all schemes over several seeds, write the results page"
    ),
    "demo": Subcommand("cli.demo", "Demo", "train and evaluate everything on the embedded world, write a report"),
    "bench": Group("measure speed", BENCHMARKS),
    "completion": Subcommand("cli.completion", "Completion", "let bash or zsh complete commands and options"),
}


def usage() -> str:
    """Text of ``openpair --help``."""
    return (
        "usage: openpair COMMAND [OPTIONS]\n\n"
        "Learning to drive by imitation and reinforcement in parallel.\n\n"
        f"commands:\n{_rows(SUBCOMMANDS)}\n\n"
        "openpair COMMAND --help explains a command. openpair --version prints the version.\n"
    )


def group_usage(name: str, group: Group) -> str:
    """Text of ``openpair GROUP --help``."""
    return (
        f"usage: openpair {name} COMMAND [OPTIONS]\n\n"
        f"{group.summary[0].upper()}{group.summary[1:]}.\n\n"
        f"commands:\n{_rows(group.commands)}\n\n"
        f"openpair {name} COMMAND --help explains a command.\n"
    )


def _rows(commands: Mapping[str, Subcommand | Group]) -> str:
    width = max(map(len, commands))
    return "\n".join(f"  {name:<{width}}  {_summary(command)}" for name, command in commands.items())


def _summary(command: Subcommand | Group) -> str:
    names = f": {' | '.join(command.commands)}" if isinstance(command, Group) else ""
    return command.summary + names


def find(args: Sequence[str]) -> tuple[str, Subcommand, Sequence[str]]:
    """The command that is called: its words, the command, what follows. Help and mistakes end here."""
    words: list[str] = []
    commands: Mapping[str, Subcommand | Group] = SUBCOMMANDS
    text = usage()
    rest = list(args)
    while True:
        if not rest or rest[0] in HELP:
            print(text)
            sys.exit(0 if rest else EXIT_BAD_INPUT)
        word = rest.pop(0)
        if word not in commands:
            from difflib import get_close_matches

            close = get_close_matches(word, commands, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            before = " ".join(["openpair", *words])
            print(f"{before}: there is no command '{word}'.{hint} '{before} --help' lists them.", file=sys.stderr)
            sys.exit(EXIT_BAD_INPUT)
        words.append(word)
        command = commands[word]
        if isinstance(command, Subcommand):
            return " ".join(words), command, rest
        commands, text = command.commands, group_usage(word, command)


def source_of(sub: Subcommand) -> Path:
    """File of the module of a command, which is not imported."""
    spec = importlib.util.find_spec(f"openpair.{sub.module}")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


def parse(name: str, sub: Subcommand, args: Sequence[str]) -> Command:
    """The command with its options. Raises SystemExit for help and mistakes."""
    if args and args[0] in ("-h", "--help"):
        from openpair.cli.short_help import short_help

        print(short_help(name, source_of(sub), sub.class_name))
        sys.exit(0)
    import tyro

    words = ["--help" if word == "--help-all" else word for word in args]
    command_class = getattr(importlib.import_module(f"openpair.{sub.module}"), sub.class_name)
    # A command may choose its defaults by what is asked for (a preset).
    default = {"default": command_class.defaults(words)} if hasattr(command_class, "defaults") else {}
    options = (tyro.conf.EnumChoicesFromValues, tyro.conf.SuppressFixed, tyro.conf.AvoidSubcommands)
    command: Command = tyro.cli(
        command_class, prog=f"openpair {name}", args=words, config=options, console_outputs=speaks(), **default
    )
    return command


def speaks() -> bool:
    """Whether this process says what is wrong with the words of the command: of several that a launcher started with
    the same words (torchrun), the first one does."""
    return os.environ.get("RANK", "0") == "0"


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 workers died, 2 bad input, 3 scenes failed, 130 interrupted."""
    args = sys.argv[1:] if argv is None else argv
    if args[:1] == ["--version"]:
        from openpair import __version__

        print(f"openpair {__version__}")
        sys.exit(0)
    name, sub, rest = find(args)
    let_idle_threads_sleep()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # leave as after Ctrl-C: nothing half written
    command: Command | None = None
    try:
        command = parse(name, sub, rest)
        status = command.run()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone ('| head'): nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_UNREAD)
    except OpenPairError as error:
        if command is not None or speaks():
            print(f"openpair {name}: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in NETWORK_LIBRARIES:
            raise
        print(
            f"openpair {name}: {error.name} is not installed; trained networks need it. "
            "Install the extra: pip install 'openpair[train]'",
            file=sys.stderr,
        )
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
