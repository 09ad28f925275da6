"""The page's server: one address with a random token, on this machine alone, that reads and never writes.

Nothing it serves is named by a path: pages and scripts are built from the package, and everything else is looked up by
token among the scenes and agents that are open. So no request can reach another file.
"""

from __future__ import annotations

import gzip
import hmac
import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from openpair.errors import OpenPairError
from openpair.viewer.desk import Desk
from openpair.viewer.page import served_page, served_script, served_style

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAX_DIGITS = 6
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def make_app(desk: Desk, token: str, hosts: tuple[str, ...] = LOOPBACK) -> ASGIApp:
    """The application.

    Args:
        desk: what is open.
        token: first part of every path; without it everything is 404.
        hosts: names by which requests may call it; others are refused, so that no foreign page can reach it under a
            name of its own (DNS rebinding). Empty allows all.
    """

    async def answer(make: Callable[[], dict[str, Any]]) -> Response:
        def work() -> Response:
            with desk.waited_for():
                try:
                    return _json(make())
                except OpenPairError as error:
                    return _json({"error": str(error)}, status=422)

        return await anyio.to_thread.run_sync(work)

    # Made and compressed once, before anybody waits for it.
    still = {
        "/": _Still(served_page(), "text/html"),
        "/app.js": _Still(served_script(), "text/javascript"),
        "/app.css": _Still(served_style(), "text/css"),
        "/data/table": _Still(_text(desk.table()), "application/json"),
    }

    async def scene(request: Request) -> Response:
        keys = request.query_params.getlist("agent")
        return await answer(lambda: desk.scene(request.path_params["scene"], keys))

    async def sensors(request: Request) -> Response:
        key, step = request.query_params.get("agent", ""), request.query_params.get("step", "0")
        if not step.isdecimal() or len(step) > MAX_DIGITS:
            return _json({"error": "the step is no number"}, status=422)
        return await answer(lambda: desk.sensors(request.path_params["scene"], key, int(step)))

    async def inside(request: Request) -> Response:
        key = request.query_params.get("agent", "")
        return await answer(lambda: desk.inside(request.path_params["scene"], key))

    async def happenings(request: Request) -> Response:
        return await answer(desk.happenings)

    async def charts(request: Request) -> Response:
        return await answer(desk.charts)

    app = Starlette(
        routes=[
            *(Route(path, body.answer) for path, body in still.items()),
            Route("/data/happenings", happenings),
            Route("/data/charts", charts),
            Route("/data/scene/{scene:path}", scene),
            Route("/data/sensors/{scene:path}", sensors),
            Route("/data/inside/{scene:path}", inside),
        ]
    )
    return _Guard(GZipMiddleware(app, minimum_size=2000, compresslevel=1), token, hosts)


class _Still:
    """An answer that does not change, as it is and compressed."""

    def __init__(self, text: str, media_type: str) -> None:
        self._plain, self._media_type = text.encode(), media_type
        self._packed = gzip.compress(self._plain, compresslevel=6)

    async def answer(self, request: Request) -> Response:
        headers = {"Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self._plain, media_type=self._media_type, headers=headers)
        headers["Content-Encoding"] = "gzip"
        return Response(self._packed, media_type=self._media_type, headers=headers)


class _Guard:
    """Lets through what knows the token and calls the server by a name of its own; adds the headers."""

    def __init__(self, app: ASGIApp, token: str, hosts: tuple[str, ...]) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                added = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in known)]
            await send(message)

        await (self._refusal(scope) or self._inner(scope))(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Callable[[Scope, Receive, Send], Awaitable[None]] | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if self._hosts and name.lower() not in self._hosts:
            return PlainTextResponse("This address is not served here.\n", status_code=421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Only reading is possible.\n", status_code=405)
        first = scope["path"].lstrip("/").partition("/")[0]
        if not hmac.compare_digest(first.encode(), self._token.encode()):
            return PlainTextResponse(
                "Not found. Use the whole address that 'openpair view' printed.\n", status_code=404
            )
        return None

    def _inner(self, scope: Scope) -> ASGIApp:
        """The application sees paths without the token; the page itself ends with a slash, for relative addresses."""
        path = scope["path"][1 + len(self._token) :]
        if not path:
            return Response(status_code=307, headers={"location": f"/{self._token}/"})
        scope["path"], scope["raw_path"] = path, path.encode()
        return self._app


def _json(data: dict[str, Any], status: int = 200) -> Response:
    return Response(_text(data), status_code=status, media_type="application/json")


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def make_server(app: ASGIApp) -> uvicorn.Server:
    """The server: ``run(sockets=[listener])`` serves until interrupted, or until ``should_exit`` is set."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", server_header=False)
    return uvicorn.Server(config)


def address(listener: socket.socket, token: str) -> str:
    """The page's whole address."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/{token}/"
