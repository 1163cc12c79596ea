"""A callback lets the thread it wakes go first, but not for long."""

import threading
import time

import pytest

from wm_mpc.ros.handover import Handover


class Worker(threading.Thread):
    """Sleeps until something is offered, then does `work`."""

    def __init__(self, handover, work):
        super().__init__(daemon=True)
        self.handover, self.work, self.woken = handover, work, threading.Event()
        self.start()
        while not handover._sleeps:
            time.sleep(0.001)

    def run(self):
        self.handover.sleep(10.0)
        self.woken.set()
        self.work()


def offer_seconds(handover):
    began = time.monotonic()
    handover.offer()
    return time.monotonic() - began


def test_a_callback_stays_behind_until_the_worker_says_so():
    handover, events = Handover(threading.Event()), []

    def work():
        events.append("worked")
        handover.over()

    worker = Worker(handover, work)
    handover.offer()
    events.append("callback goes on")
    worker.join(5.0)
    assert events[0] == "worked"


def test_a_callback_does_not_stay_long_behind_a_worker_that_takes_long():
    handover, end = Handover(threading.Event()), threading.Event()
    worker = Worker(handover, lambda: end.wait(10.0))
    assert offer_seconds(handover) < 2.0
    assert worker.woken.wait(5.0)
    end.set()


def test_nobody_waits_for_a_worker_that_is_busy():
    handover = Handover(threading.Event())
    waits = min(offer_seconds(handover) for _ in range(20))
    assert waits < 0.004  # less than it would stay behind
    # What was offered is not lost: the worker does not sleep.
    began = time.monotonic()
    handover.sleep(10.0)
    assert time.monotonic() - began < 5.0


def test_the_event_may_be_set_by_others():
    wake = threading.Event()
    worker = Worker(Handover(wake), lambda: None)
    wake.set()
    assert worker.woken.wait(5.0)


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_sleep_ends_by_itself(seconds):
    Handover(threading.Event()).sleep(seconds)
