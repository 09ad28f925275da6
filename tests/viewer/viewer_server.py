"""A desk served on this machine, for tests of the server and of the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from openpair.ports import bind
from openpair.viewer.desk import Desk
from openpair.viewer.server import address, make_app, make_server, new_token


@dataclass
class Served:
    """A running server."""

    url: str
    desk: Desk
    token: str


@contextmanager
def serving(desk: Desk) -> Iterator[Served]:
    """Serve a desk on a free port of this machine."""
    token = new_token()
    with bind("127.0.0.1", 0) as listener:
        server = make_server(make_app(desk, token))
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        try:
            yield Served(address(listener, token), desk, token)
        finally:
            server.should_exit = True
            thread.join(timeout=10.0)
            desk.stop()
