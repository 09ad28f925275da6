"""Processes of a launcher (torchrun, SLURM) become the ranks of a training run, or say in one sentence why not."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from openpair.errors import OpenPairError
from openpair.training.parallel import default_devices
from openpair.training.ranks import RankLost, Ranks

START_LIMIT_S = 50.0
"""So long ranks wait for each other at the start."""

EXCHANGE_LIMIT = timedelta(minutes=30)
"""So long an exchange of tensors waits for a rank that is still there."""

WAIT_LIMIT = timedelta(days=7)
"""So long ranks wait for rank 0 to prepare data."""

LAST_WORDS_S = 3.0
"""So long a rank that has lost another one waits for its reason."""

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_REASON, _SPOKEN = "openpair/reason", "openpair/spoken"


@dataclass(frozen=True)
class Launch:
    """What a launcher says of this process, in environment variables.

    Attributes:
        rank: among all processes.
        size: how many processes there are.
        local_rank: among those of this machine.
        local_size: how many there are on this machine.
        address: of rank 0, "host:port".
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str


def read_launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """What the launcher says; None for a process that was started alone.

    Raises OpenPairError where a variable is missing or is no number, or the numbers make no sense; SystemExit on ranks
    other than 0, since all of them see the same.
    """
    try:
        return _launch(environment)
    except OpenPairError:
        rank = environment.get("RANK", "0")
        if rank.isdecimal() and int(rank) > 0:
            raise SystemExit(2) from None
        raise


def _launch(environment: Mapping[str, str]) -> Launch | None:
    given = [name for name in VARIABLES[:2] if environment.get(name)]
    if not given:
        return None
    missing = [name for name in VARIABLES if not environment.get(name)]
    if missing:
        raise OpenPairError(
            f"the environment variable {' and '.join(missing)} is not set, but {' and '.join(given)} is",
            where="ranks",
            fix="Start with torchrun, which sets all of them",
        )

    def number(name: str, default: int, low: int, high: int) -> int:
        text = environment.get(name) or str(default)
        if not text.isdecimal() or not low <= int(text) <= high:
            raise OpenPairError(
                f"{name} is '{text}', not a number from {low} to {high}", where="ranks", fix="Start with torchrun"
            )
        return int(text)

    size = number("WORLD_SIZE", 1, 1, 1_000_000)
    rank = number("RANK", 0, 0, size - 1)
    port = number("MASTER_PORT", 0, 1, 65535)
    if size == 1:
        return None
    local_size = number("LOCAL_WORLD_SIZE", size, 1, size)
    local_rank = number("LOCAL_RANK", rank % local_size, 0, local_size - 1)
    return Launch(rank, size, local_rank, local_size, f"{environment['MASTER_ADDR']}:{port}")


def device_of(launch: Launch, devices: Sequence[str]) -> str:
    """Where a rank trains: its own of the devices of its machine; by default a GPU each where there are any.

    Raises OpenPairError for more ranks than GPUs on a machine.
    """
    chosen = devices or default_devices()
    if all(torch.device(device).type == "cpu" for device in chosen):
        return "cpu"
    if len(chosen) < launch.local_size:
        raise OpenPairError(
            f"{launch.local_size} ranks on one machine have only {len(chosen)} devices ({', '.join(chosen)})",
            where="--devices",
            fix="Start as many processes as there are devices, or give --devices cpu",
        )
    return chosen[launch.local_rank]


@dataclass(frozen=True)
class World:
    """All ranks of a run.

    Attributes:
        launch: what the launcher said.
        device: where this rank trains.
        everyone: all ranks as one group.
    """

    launch: Launch
    device: str
    everyone: Ranks

    def group(self, members: Sequence[int]) -> Ranks | None:
        """Some of the ranks as a group of their own, with own process groups; None on ranks that are not in it.

        Every rank of the world calls this, in the same order.
        """
        backend = "nccl" if torch.device(self.device).type == "cuda" else "gloo"
        tensors = dist.new_group(list(members), timeout=EXCHANGE_LIMIT, backend=backend)
        control = dist.new_group(list(members), timeout=WAIT_LIMIT, backend="gloo")
        if self.launch.rank not in members:
            return None
        return Ranks(list(members).index(self.launch.rank), len(members), tensors, control)


@contextmanager
def joined(
    launch: Launch, devices: Sequence[str], settings: Mapping[str, object], *, limit_s: float = START_LIMIT_S
) -> Iterator[World]:
    """The ranks of a launch, while the block lasts. Errors are said once: by rank 0, or by another one if it is gone.

    Args:
        launch: what the launcher said.
        devices: where to train, as the user said.
        settings: what has to be the same on all ranks, by name.
        limit_s: how long to wait for ranks that do not come [s].

    Raises:
        OpenPairError: ranks that do not come, or differ in device, version or settings; and what the block raises, on
            the rank that speaks.
        SystemExit: with status 2, on the others.
    """
    _meet(launch, timedelta(seconds=limit_s))
    store: Any = dist.distributed_c10d._get_default_store()  # kept here: on rank 0 it may be what the others ask
    try:
        with _one_voice(launch, store):
            world = _world(launch, devices, settings)
            yield world
            world.everyone.any(False)  # rank 0 stays until all are done
    except OpenPairError:
        _leave()
        time.sleep(LAST_WORDS_S / 3)  # the others ask whether somebody has spoken
        raise
    finally:
        _leave()


def _meet(launch: Launch, limit: timedelta) -> None:
    try:
        dist.init_process_group("gloo", rank=launch.rank, world_size=launch.size, timeout=limit)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        if "address already in use" in reason.lower() or "EADDRINUSE" in reason:
            what, fix = "the port is in use", "Give another one: torchrun --master-port"
        else:
            what = f"the {launch.size} ranks did not meet within {limit.total_seconds():.0f} s ({reason[:200]})"
            fix = "Look whether all processes were started, and can reach that address"
        raise OpenPairError(what, where=launch.address, fix=fix) from error


def _world(launch: Launch, devices: Sequence[str], settings: Mapping[str, object]) -> World:
    from openpair import __version__

    everyone = Ranks(launch.rank, launch.size, dist.group.WORLD, dist.group.WORLD)
    try:
        device, problem = device_of(launch, devices), None
    except OpenPairError as error:
        device, problem = "none", error
    # One exchange for all of it, so that a rank that cannot go on is still heard.
    facts: dict[str, object] = {
        "PyTorch": torch.__version__,
        "OpenPaIR": __version__,
        "kind of device": torch.device(device).type if problem is None else None,
        **settings,
    }
    everyone_says = everyone.gather_objects((platform.node(), problem, facts))
    for _, theirs, _ in everyone_says:
        if theirs is not None:
            raise theirs
    for rank, (host, _, theirs_facts) in enumerate(everyone_says):
        for name, value in everyone_says[0][2].items():
            if theirs_facts.get(name) != value:
                raise OpenPairError(
                    f"ranks differ ({name}): rank 0 has {value}, rank {rank} on {host} has {theirs_facts.get(name)}",
                    where="ranks",
                    fix="Start the same command in the same installation on all of them",
                )
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max((os.cpu_count() or 1) // launch.local_size, 1))
    waiting = dist.new_group(timeout=WAIT_LIMIT, backend="gloo")
    return World(launch, device, Ranks(launch.rank, launch.size, waiting, waiting))


@contextmanager
def _one_voice(launch: Launch, store: Any) -> Iterator[None]:
    """Raises an error of any rank on the rank that speaks; the others end without a word."""
    try:
        yield
    except RankLost as lost:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher ends us soon: say why before
        said = _last_words(store, launch)
        if said is None:
            raise SystemExit(2) from lost
        if isinstance(said, OpenPairError):
            raise said from lost
        raise
    except OpenPairError as error:
        if launch.rank == 0:
            _tell(store, _SPOKEN, "yes")
            raise
        _tell(store, _REASON, f"rank {launch.rank} ({platform.node()}): {error}")
        raise SystemExit(2) from error


def _last_words(store: Any, launch: Launch) -> OpenPairError | bool | None:
    """What to say after another rank has gone: its reason, True for nothing known, None where another rank speaks."""
    waited = time.monotonic() + LAST_WORDS_S
    while time.monotonic() < waited:
        try:
            if launch.rank == 0:
                if store.check([_REASON]):
                    _tell(store, _SPOKEN, "yes")
                    return OpenPairError(store.get(_REASON).decode())
            elif store.check([_SPOKEN]):
                return None
        except RuntimeError:  # the store went with rank 0
            return True if launch.rank == 1 else None
        if launch.rank == 0 and time.monotonic() > waited - LAST_WORDS_S / 2:
            _tell(store, _SPOKEN, "yes")
            return True
        time.sleep(0.05)
    return True if launch.rank == 1 else None


def _tell(store: Any, key: str, value: str) -> None:
    try:
        store.set(key, value)
    except RuntimeError:  # nobody is left to hear it
        return


def _leave() -> None:
    """Give up the process groups; what others still wait for fails at once."""
    if not dist.is_initialized():
        return
    try:
        dist.destroy_process_group()
    except RuntimeError:  # of a group whose ranks have gone
        return
