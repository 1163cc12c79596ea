"""Where the page is served, and the library that serves it."""

from __future__ import annotations

import contextlib
import errno
import http
import io
import ipaddress
import socket
import urllib.parse
from collections.abc import Iterator
from typing import Any

_TRIED = 50  # ports


class ServingError(RuntimeError):
    """The page cannot be served; the text says why."""


def free_port(host: str, port: int) -> int:
    """The first port from `port` on that nobody has. Raises ServingError."""
    for candidate in range(port, min(port + _TRIED, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError as error:
                if error.errno == errno.EADDRINUSE or error.errno == errno.EACCES:
                    continue
                raise ServingError(f"host is {host!r}: {error.strerror}") from None
            return candidate
    raise ServingError(f"no port from {port} to {port + _TRIED - 1} is free on {host}")


def is_foreign(origin: str | None, host: str, served_on: str) -> bool:
    """Whether a request comes from another page than ours.

    Any page in the browser may connect to this computer. It must not drive a robot.

    Args:
        origin: The page that the browser names, such as "http://127.0.0.1:8080"; None: none.
        host: Whom the request means, such as "127.0.0.1:8080".
        served_on: The address on which the page is served.
    """
    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    if _is_loopback(served_on) and not _is_loopback(name):
        return True  # somebody's name for this computer
    return origin is not None and urllib.parse.urlsplit(origin).netloc != host


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def _guarded(served_on: str) -> Iterator[None]:
    """Within the block, servers of websockets that start refuse what `is_foreign`."""
    import websockets.asyncio.server as library

    serve = library.serve

    def guarded(*arguments: Any, process_request: Any, **options: Any) -> Any:
        def check(connection: Any, request: Any) -> Any:
            headers = request.headers
            if is_foreign(headers.get("Origin"), headers.get("Host", ""), served_on):
                return connection.respond(http.HTTPStatus.FORBIDDEN, "This is another page.\n")
            return process_request(connection, request)

        return serve(*arguments, process_request=check, **options)

    library.serve = guarded  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        library.serve = serve  # type: ignore[misc]


@contextlib.contextmanager
def served(host: str, port: int, label: str) -> Iterator[Any]:
    """A server of viser for the length of the block. Raises ServingError."""
    try:
        import viser
    except ModuleNotFoundError as missing:
        raise ServingError(
            f"{missing.name} is not installed, so there is no page; install it: pip install viser"
        ) from None
    # It would draw a table.
    with contextlib.redirect_stdout(io.StringIO()), _guarded(host):
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    try:
        yield server
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()
