"""When pictures are due: between two plans, and more seldom on a busy computer."""

from __future__ import annotations

import threading

import pytest

from wm_mpc.view.pace import Pace

PERIOD = 0.1


class Clock:
    """Turned by whoever sleeps. late: s, by which each sleep ends too late."""

    def __init__(self, late=0.0):
        self.now, self.late = 100.0, late

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds + self.late


@pytest.mark.parametrize("rate", [2.0, 10.0, 30.0])
def test_without_plans_pictures_come_at_their_rate(rate):
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    for _ in range(5):
        began = clock.now
        pace.wait(began, 1 / rate)
        assert clock.now - began == pytest.approx(1 / rate, abs=0.006)


def test_pictures_wait_for_the_plan():
    pace = Pace()
    pace.planned()
    done = threading.Event()
    waiter = threading.Thread(target=lambda: (pace.wait(pace._clock(), 0.8), done.set()))
    waiter.start()
    assert not done.wait(0.65)  # the rate alone would let them go at 0.56 s
    pace.planned()
    assert done.wait(0.1)
    waiter.join()


def test_a_plan_from_before_does_not_count():
    pace = Pace()
    pace.planned()
    began = pace._clock()
    pace.wait(began, 0.2)
    assert pace._clock() - began > 0.2


def test_a_controller_that_stops_does_not_stop_the_pictures():
    pace = Pace()
    pace.planned()
    began = pace._clock()
    pace.wait(began, 0.1)
    assert pace._clock() - began < 1.0


def test_a_busy_computer_gets_fewer_pictures_and_a_free_one_gets_all_again():
    clock = Clock(late=0.05)
    pace = Pace(clock, clock.sleep)
    for _ in range(200):
        pace.wait(clock.now, PERIOD)
    assert pace.slowdown == 4
    began = clock.now
    pace.wait(began, PERIOD)
    assert clock.now - began >= 4 * PERIOD
    clock.late = 0.0
    for _ in range(200):
        pace.wait(clock.now, PERIOD)
    assert pace.slowdown == 1


def test_one_late_moment_changes_nothing():
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    for number in range(100):
        clock.late = 0.1 if number == 50 else 0.0
        pace.wait(clock.now, PERIOD)
        assert pace.slowdown == 1
