"""Which status of a controller counts as that of now. The clock is ours."""

from __future__ import annotations

import types

import pytest

from wm_mpc.codes import HoldCode
from wm_mpc.ros import client_status
from wm_mpc.ros.client_status import NewestStatus


class Watch:
    """The newest status, and a clock that stands until it is set."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        clock = types.SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(client_status, "time", clock)
        self.newest = NewestStatus()

    def hear(self, code, at):
        self.now = at
        self.newest.hear(types.SimpleNamespace(code=code))

    def answered(self, at):
        self.now = at
        self.newest.answered()


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


def test_without_a_status_nothing_is_told(watch):
    assert not watch.newest.is_fresh()
    assert not watch.newest.is_recent()
    assert not watch.newest.tells_hold(False, 0.0)


def test_a_status_is_of_now_for_three_seconds(watch):
    watch.hear("planning", 100.0)
    watch.now = 103.0
    assert watch.newest.is_fresh()
    watch.now = 103.1
    assert not watch.newest.is_fresh()


def test_after_a_request_an_old_status_is_not_of_now(watch):
    watch.hear("planning", 100.0)
    watch.answered(101.0)
    assert not watch.newest.is_fresh()


def test_another_code_is_of_now_at_once_and_the_same_a_little_later(watch):
    watch.hear("planning", 100.0)
    watch.answered(101.0)
    watch.hear("planning", 101.1)
    assert not watch.newest.is_fresh()
    watch.hear(HoldCode.NO_GOAL, 101.2)
    assert watch.newest.is_fresh()
    watch.answered(102.0)
    watch.hear(HoldCode.NO_GOAL, 102.5)
    assert watch.newest.is_fresh()


def test_a_hold_is_told_by_its_code_and_by_nothing_from_before(watch):
    watch.hear(HoldCode.NO_GOAL, 100.0)
    watch.hear("planning", 101.1)  # late: it was sent before the robot held
    assert not watch.newest.tells_hold(True, 101.0)
    watch.hear(HoldCode.PERSON, 101.3)
    assert watch.newest.tells_hold(True, 101.0)
    assert not watch.newest.tells_hold(True, 102.0)
    assert not watch.newest.tells_hold(False, 101.0)
    watch.hear("planning", 103.0)
    assert watch.newest.tells_hold(False, 102.0)
