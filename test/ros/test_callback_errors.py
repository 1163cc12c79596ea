"""Errors of callbacks: what is logged, counted and shown, on a clock in the hands of the test."""

from __future__ import annotations

import pytest

from wm_mpc.ros.callback_errors import SHOWN, CallbackErrors


class Node:
    """Keeps what it logs."""

    def __init__(self):
        self.lines = []

    def get_logger(self):
        return self

    def error(self, line):
        self.lines.append(line)


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def errors(node, clock):
    return CallbackErrors(node, clock)


def raised(value):
    try:
        return 1 / value if value == 0 else int("x" * value)
    except Exception as error:
        return error


def test_an_error_is_logged_with_where_what_and_the_line_of_code(errors, node):
    errors.caught("topic /odom", raised(0))
    assert "topic /odom: ZeroDivisionError: division by zero" in node.lines[0]
    assert "test_callback_errors.py" in node.lines[0]


def test_the_same_error_is_logged_once_in_ten_seconds_and_counted_always(errors, node, clock):
    for _ in range(50):
        errors.caught("topic /odom", raised(0))
        clock.seconds += 0.1
    assert (len(node.lines), errors.count) == (1, 50)
    clock.seconds += 6.0
    errors.caught("topic /odom", raised(0))
    assert len(node.lines) == 2
    assert "49 times more" in node.lines[1]
    assert "\n" not in node.lines[1]


def test_another_error_is_logged_at_once(errors, node):
    errors.caught("topic /odom", raised(0))
    errors.caught("topic /odom", raised(3))
    errors.caught("topic /goal/image", raised(0))
    assert len(node.lines) == 3


def test_an_error_is_recent_for_ten_seconds_and_the_last_for_ever(errors, clock):
    assert (errors.recent(), errors.last) == ("", "none")
    errors.caught("timer", raised(0))
    clock.seconds += SHOWN - 0.1
    assert errors.recent() == errors.last == "timer: ZeroDivisionError: division by zero"
    clock.seconds += 0.2
    assert errors.recent() == ""
    assert errors.last.startswith("timer")


def test_errors_of_ever_new_kinds_fill_neither_log_nor_memory(errors, node):
    for number in range(1000):
        errors.caught(f"topic /t{number}", raised(0))
    assert (errors.count, len(node.lines)) == (1000, 101)


def test_a_long_message_is_shortened(errors):
    errors.caught("topic /odom", ValueError("x" * 100_000))
    assert len(errors.last) < 400
