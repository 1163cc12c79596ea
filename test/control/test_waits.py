"""Messages that waited to be read, because the process was stopped, are as old as they are."""

from __future__ import annotations

import pytest

from wm_mpc.control.schedule import StandingClock
from wm_mpc.control.waits import Waits

MS = 1_000_000
S = 1_000 * MS
T0 = 1_700_000_000 * S


def test_the_jitter_of_a_trip_is_no_wait():
    waits = Waits(20)
    for k in range(50):
        sent = T0 + k * 100 * MS
        assert waits.see("camera", sent, sent + (1 + k % 40) * MS) == 0.0


@pytest.mark.parametrize("offset", [0, -3600 * S, 5 * S])
def test_what_lay_there_while_the_process_was_stopped_is_old_on_any_clock(offset):
    """offset: of the publisher's clock."""
    waits = Waits(200)
    for k in range(30):
        waits.see("arm", T0 + offset + k * 10 * MS, T0 + k * 10 * MS + MS)
    woken = T0 + 5 * S  # it stopped after 0.3 s
    waited = [waits.see("arm", T0 + offset + k * 10 * MS, woken) for k in range(400, 500, 10)]
    assert waited == pytest.approx([1.0 - 0.1 * k - 0.001 for k in range(10)], abs=1e-6)
    assert waits.see("arm", woken + offset, woken + MS) == 0.0


def test_a_clock_that_was_set_counts_after_as_many_messages_as_may_wait():
    waits = Waits(20)
    for k in range(20):
        waits.see("camera", T0 + k * MS, T0 + k * MS)
    later = [waits.see("camera", T0 + k * MS, T0 + k * MS + 3 * S) for k in range(30)]
    assert later[:19] == [3.0] * 19
    assert later[19:] == [0.0] * 11


def test_publishers_on_different_computers_are_apart():
    waits = Waits(20)
    waits.see("arm", T0, T0)
    assert waits.see("gripper", T0 - 5 * S, T0) == 0.0


def test_a_middleware_that_does_not_say_when_it_was_sent_makes_no_wait():
    waits = Waits(20)
    waits.see("camera", T0, T0)
    assert waits.see("camera", 0, T0 + S) == 0.0


def test_thousands_of_publishers_are_not_kept():
    waits = Waits(20)
    for k in range(5000):
        waits.see(k, T0, T0)
    assert len(waits._trips) <= 64


def test_a_clock_that_stands_still_is_noticed_and_one_that_goes_slowly_is_not():
    clock = StandingClock()
    assert clock.stood(5, 0.0) == 0.0
    assert clock.stood(5, 0.4) == pytest.approx(0.4)
    assert clock.stood(6, 0.5) == 0.0
    assert [clock.stood(6 + k // 10, 0.5 + 0.1 * k) for k in range(30)][19] <= 1.0
    assert clock.stood(2, 9.0) == 0.0  # it was set back
