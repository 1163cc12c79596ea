"""What is short and urgent is not interrupted by other threads."""

from __future__ import annotations

import sys
import threading

import pytest

from wm_mpc.ros.interpreter import SWITCH, undisturbed


@pytest.fixture
def interval():
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    yield sys.getswitchinterval
    sys.setswitchinterval(before)


def test_other_threads_wait_longer_within_and_as_long_as_before_afterwards(interval):
    with undisturbed():
        assert interval() == pytest.approx(1e-3)
        with undisturbed():
            assert interval() == pytest.approx(1e-3)
        assert interval() == pytest.approx(1e-3)
    assert interval() == pytest.approx(SWITCH)


def test_an_error_within_changes_nothing_afterwards(interval):
    with pytest.raises(ValueError, match="within"), undisturbed():
        int("within")
    assert interval() == pytest.approx(SWITCH)


def test_an_interval_that_is_longer_stays(interval):
    sys.setswitchinterval(0.005)
    with undisturbed():
        assert interval() == pytest.approx(0.005)
    assert interval() == pytest.approx(0.005)


def test_two_threads_that_overlap_leave_the_interval_as_it_was(interval):
    is_inside, may_leave = threading.Event(), threading.Event()

    def other():
        with undisturbed():
            is_inside.set()
            may_leave.wait(10.0)

    thread = threading.Thread(target=other)
    with undisturbed():
        thread.start()
        assert is_inside.wait(10.0)
    assert interval() == pytest.approx(1e-3)  # the other one is still inside
    may_leave.set()
    thread.join(10.0)
    assert interval() == pytest.approx(SWITCH)
