"""Where the page is served, and what is said when it cannot be."""

from __future__ import annotations

import socket
import sys

import pytest

from wm_mpc.nodes.viewer.serving import ServingError, free_port, is_foreign, served

HOST = "127.0.0.1"


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_free_port_is_taken_as_it_is(taken):
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        free = probe.getsockname()[1]
    assert free_port(HOST, free) == free


def test_a_taken_port_gives_the_next_free_one(taken):
    assert taken < free_port(HOST, taken) < taken + 50


def test_an_address_that_this_computer_has_not_is_refused():
    with pytest.raises(ServingError, match=r"host is '203\.0\.113\.9'"):
        free_port("203.0.113.9", 8080)


def test_no_free_port_is_said(monkeypatch, taken):
    monkeypatch.setattr("wm_mpc.nodes.viewer.serving._TRIED", 1)
    with pytest.raises(ServingError, match=f"no port from {taken} to {taken} is free"):
        free_port(HOST, taken)


def test_without_viser_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with (
        pytest.raises(ServingError, match=r"viser is not installed.*pip install viser"),
        served(HOST, 8080, "x"),
    ):
        pass


def test_the_page_is_served_where_it_should_be_and_quietly(capsys):
    port = free_port(HOST, 18080)
    with served(HOST, port, "x"), socket.create_connection((HOST, port), 5.0) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"200" in connection.recv(100)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("origin", "host", "served_on"),
    [
        (None, "127.0.0.1:8080", "127.0.0.1"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1"),
        ("http://localhost:8080", "localhost:8080", "127.0.0.1"),
        ("http://[::1]:8080", "[::1]:8080", "::1"),
        ("http://robot.lan:8080", "robot.lan:8080", "0.0.0.0"),
    ],
)
def test_our_own_page_is_not_foreign(origin, host, served_on):
    assert not is_foreign(origin, host, served_on)


@pytest.mark.parametrize(
    ("origin", "host", "served_on"),
    [
        ("https://evil.example", "127.0.0.1:8080", "127.0.0.1"),
        ("null", "127.0.0.1:8080", "127.0.0.1"),
        ("http://127.0.0.1:9000", "127.0.0.1:8080", "127.0.0.1"),  # another program of ours
        ("http://evil.example:8080", "evil.example:8080", "127.0.0.1"),  # its name for us
        (None, "evil.example:8080", "127.0.0.1"),
        ("https://evil.example", "robot.lan:8080", "0.0.0.0"),
        (None, "", "127.0.0.1"),
    ],
)
def test_another_page_is_foreign(origin, host, served_on):
    assert is_foreign(origin, host, served_on)


def answer(port, *headers):
    lines = ["GET / HTTP/1.1", *headers, "", ""]
    with socket.create_connection((HOST, port), 5.0) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(100).split()[1]


def test_only_our_own_page_may_connect():
    port = free_port(HOST, 18080)
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    with served(HOST, port, "x"):
        own, foreign = f"Origin: http://{HOST}:{port}", "Origin: https://evil.example"
        assert answer(port, f"Host: {HOST}:{port}") == b"200"
        assert answer(port, f"Host: {HOST}:{port}", foreign) == b"403"
        assert answer(port, "Host: evil.example") == b"403"
        assert answer(port, f"Host: {HOST}:{port}", own, *upgrade) == b"101"
        assert answer(port, f"Host: {HOST}:{port}", foreign, *upgrade) == b"403"
