"""Progress is a bar in a terminal, and some lines in a log."""

from __future__ import annotations

import io
import sys
import types

import pytest

from wm_mpc.cli.bars import Lines, advancing, bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log():
    """Lines on 200 units, what they printed, and the clock."""
    clock, out = types.SimpleNamespace(seconds=0.0), io.StringIO()
    return Lines(200, "train", 0, out, lambda: clock.seconds), out, clock


def test_each_tenth_has_a_line_with_the_time_that_is_left(log):
    lines, out, clock = log
    for _ in range(200):
        clock.seconds += 1.0
        lines.update()
    printed = out.getvalue().splitlines()
    assert len(printed) == 11
    assert printed[0] == "train: 5 %, 00:10, 03:10 left"  # soon
    assert printed[1] == "train: 10 %, 00:20, 03:00 left"
    assert printed[-1] == "train: 100 %, 03:20, 00:00 left"
    assert "\r" not in out.getvalue()


def test_long_work_soon_prints_how_long_it_takes(log):
    lines, out, clock = log
    for _ in range(3):
        clock.seconds += 6.0
        lines.update()
    assert out.getvalue() == "train: 1 %, 00:12, 19:48 left\n"


def test_short_work_prints_nothing(log):
    lines, out, clock = log
    for _ in range(200):
        clock.seconds += 0.02
        lines.update()
    lines.close()
    assert out.getvalue() == ""


def test_what_was_done_before_does_not_shorten_the_time_that_is_left():
    clock, out = types.SimpleNamespace(seconds=0.0), io.StringIO()
    lines = Lines(100, "collect", 50, out, lambda: clock.seconds)
    clock.seconds = 10.0
    lines.update(10)
    assert out.getvalue() == "collect: 60 %, 00:10, 00:40 left\n"


def test_a_line_ends_with_the_values_and_begins_with_what_is_going_on_now(log):
    lines, out, clock = log
    lines.n, clock.seconds = 30, 9.0
    lines.set_postfix({"loss": "0.5"}, refresh=False)
    lines.set_description_str("dynamics", refresh=False)
    lines.refresh()
    assert out.getvalue() == "dynamics: 10 %, 00:09, 00:51 left, loss 0.5\n"


def test_an_unknown_total_prints_nothing():
    clock, out = types.SimpleNamespace(seconds=0.0), io.StringIO()
    with Lines(None, "import", 0, out, lambda: clock.seconds) as lines:
        clock.seconds = 100.0
        lines.update(5000)
    assert out.getvalue() == ""


@pytest.mark.parametrize(("kind", "drawn"), [(Terminal, True), (io.StringIO, False)])
def test_only_a_terminal_gets_a_bar(monkeypatch, kind, drawn):
    out = kind()
    monkeypatch.setattr(sys, "stderr", out)
    with bar(10, "collect", "episode") as shown:
        shown.update(10)
    with advancing(10, "read", "message") as advance:
        advance(10)
    assert ("\r" in out.getvalue()) == drawn
