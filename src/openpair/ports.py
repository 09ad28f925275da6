"""Listening on a port of this machine, with the reason in words where that is impossible."""

from __future__ import annotations

import errno
import socket

from openpair.errors import OpenPairError


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OpenPairError where the address is not this machine's, and
    where the port is in use or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # the address holds from here on
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
            raise OpenPairError(
                "this machine has no such address", where=f"--host {host}", fix="Leave it out"
            ) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise OpenPairError(
            f"port {port} cannot be used on {host} ({reason})",
            where="--port",
            fix="Choose another, or 0 for a free one",
        ) from None
    return listener
