"""Where the page is served, and the library that serves it."""

from __future__ import annotations

import contextlib
import errno
import io
import socket
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


@contextlib.contextmanager
def served(host: str, port: int, label: str) -> Iterator[Any]:
    """A server of viser for the length of the block. Raises ServingError."""
    try:
        import viser
    except ModuleNotFoundError as missing:
        raise ServingError(
            f"{missing.name} is not installed, so there is no page; install it: pip install viser"
        ) from None
    with contextlib.redirect_stdout(io.StringIO()):  # it would draw a table
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    try:
        yield server
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()
