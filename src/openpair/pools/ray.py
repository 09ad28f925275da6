"""A Ray cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from openpair.errors import OpenPairError
from openpair.pools.base import Item, OpenWorker, Result, WorkersDied, name_item

LOCAL = "local"
MAX_RETRIES = 3
CONNECT_S = 10.0
ITEMS_IN_FLIGHT = 4
"""Pieces of work per worker that are handed to the cluster at a time."""


class Ray:
    """A Ray cluster as a :class:`~openpair.pools.base.Pool`. A context manager: leaving it lets go of the cluster.

    A worker that dies (killed, out of memory, its machine gone) loses its piece of work, which another worker begins
    again; after four times the run ends, and what is finished is kept.

    Args:
        address: "local" starts a cluster on this machine for as long as the run takes; otherwise an address that
            ``ray.init`` takes ("auto", "HOST:6379"). All machines need this package, and the folders of data and
            results under the same paths.
        workers: workers of a local cluster; of another one, for how many work is handed out (0: all its cores).

    Raises OpenPairError where Ray is not installed or the cluster does not answer.
    """

    def __init__(self, address: str, workers: int = 0) -> None:
        self.address, self.workers = address, workers
        self._ray = _import_ray()
        self._began = False

    def __enter__(self) -> Ray:
        if self._ray.is_initialized():
            self.workers = self.workers or self._cores()
            return self
        _check_reachable(self.address)
        options: dict[str, Any] = {"include_dashboard": False} if self.address == LOCAL else {"address": self.address}
        if self.address == LOCAL and self.workers:
            options["num_cpus"] = self.workers
        try:
            self._ray.init(log_to_driver=False, configure_logging=False, **options)
        except Exception as error:  # Ray raises its own kinds, and those of gRPC
            raise OpenPairError(
                f"the Ray cluster does not {'start' if self.address == LOCAL else 'answer'} "
                f"({' '.join(str(error).split())[:200]})",
                where=self.address,
                fix="Check its state with 'ray status'; on a busy machine, leave --ray out",
            ) from None
        self._began = True
        self.workers = self.workers or self._cores()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._began:
            self._ray.shutdown()

    def __call__(
        self, open_worker: Callable[[], Callable[[Item], Result]], items: Mapping[int, Item]
    ) -> Iterator[tuple[int, Result]]:
        """See :class:`~openpair.pools.base.Pool`."""
        ray = self._ray
        shared = ray.put(open_worker)
        remote = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(_work)
        waiting = list(items.items())[::-1]
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < ITEMS_IN_FLIGHT * self.workers:
                    number, item = waiting.pop()
                    running[remote.remote(shared.hex(), shared, item)] = number
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    number = running.pop(reference)
                    try:
                        result = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        cause = error.cause if isinstance(error.cause, Exception) else error
                        name_item(cause, number)
                        raise cause from None
                    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
                        raise WorkersDied(MAX_RETRIES + 1, len(waiting) + len(running) + 1) from error
                    yield number, result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _cores(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))


_opened: dict[str, Callable[[Any], Any]] = {}


def _work(name: str, open_worker: OpenWorker, item: Any) -> Any:
    """Runs in a worker process: opens what it works with at its first piece of work, and keeps it."""
    if name not in _opened:
        _opened.clear()
        _opened[name] = open_worker()
    return _opened[name](item)


def _check_reachable(address: str) -> None:
    """Ray itself waits for minutes where nobody listens. Raises OpenPairError at once instead."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return  # "local", "auto"
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        raise OpenPairError(
            f"the Ray cluster does not answer ({error.strerror or error})",
            where=address,
            fix="Check the address ('ray start --head' prints it), or use --ray local",
        ) from None


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise OpenPairError(
            "Ray is not installed", where="--ray", fix="Install the extra: pip install 'openpair[ray]'"
        ) from None
    return ray
