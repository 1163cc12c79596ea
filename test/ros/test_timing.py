"""Latencies and the clocks that pace a control loop."""

from __future__ import annotations

import itertools
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.ros.timing import (
    STAGES,
    LatencyTracker,
    OwnClock,
    StageClock,
    StageTimes,
    SystemPacer,
    from_seconds,
    to_duration,
    to_nanoseconds,
    to_stamp,
    trip_seconds,
)
from wm_mpc.units import SECOND

MS = 1_000_000


def never():
    return False


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_keep_every_nanosecond(nanoseconds):
    assert to_nanoseconds(to_stamp(nanoseconds)) == nanoseconds
    assert to_nanoseconds(to_duration(nanoseconds)) == nanoseconds


def test_seconds_are_rounded_to_the_nearest_nanosecond():
    assert from_seconds(0.1) == 100 * MS


def test_latencies_are_summarised_in_seconds():
    tracker = LatencyTracker()
    for milliseconds in range(1, 101):
        tracker.add(milliseconds / 1000)
    summary = tracker.summary()
    assert summary.count == 100
    assert summary.mean == pytest.approx(0.0505)
    assert summary.p50 == pytest.approx(0.0505)
    assert summary.p99 == pytest.approx(0.09901)
    assert summary.max == 0.1


def test_old_latencies_leave_the_window():
    tracker = LatencyTracker(window=3)
    for seconds in (9.0, 1.0, 1.0, 1.0):
        tracker.add(seconds)
    assert tracker.summary().max == 1.0


def test_latency_of_nothing_is_not_a_number():
    summary = LatencyTracker().summary()
    assert summary.count == 0
    assert math.isnan(summary.p99)


class FakeClock:
    """Stands still unless told; reading it costs `cost` ns, so that waiting comes to an end."""

    def __init__(self, cost=MS):
        self.time, self.cost = 5_000 * MS, cost

    def __call__(self):
        self.time += self.cost
        return self.time


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch, request):
    if "pacer" in request.node.name:
        monkeypatch.setattr(time, "sleep", lambda seconds: None)


def test_pacer_keeps_its_grid():
    pacer = SystemPacer(FakeClock(), 100 * MS)
    start = pacer.stamp
    stamps = [pacer.wait(never) - start for _ in range(3)]
    assert stamps == [100 * MS, 200 * MS, 300 * MS]
    assert pacer.overruns == 0


def test_pacer_that_is_late_skips_without_a_burst():
    clock = FakeClock()
    pacer = SystemPacer(clock, 100 * MS)
    start = pacer.stamp
    clock.time += 350 * MS
    assert pacer.wait(never) - start == 300 * MS
    assert pacer.overruns == 2
    assert pacer.wait(never) - start == 400 * MS


def test_pacer_survives_a_clock_that_is_set_back():
    clock = FakeClock()
    pacer = SystemPacer(clock, 100 * MS)
    clock.time -= 3_600_000 * MS
    assert pacer.wait(never) - clock.time <= 100 * MS


def test_pacer_stops_waiting_when_asked():
    pacer = SystemPacer(FakeClock(cost=0), 100 * MS)
    pacer.wait(lambda: True)


def test_own_clock_does_not_wait_in_lockstep():
    clock = OwnClock(100 * MS)
    assert clock.now() == clock.stamp > 0
    start = time.monotonic()
    stamps = [clock.wait(never) for _ in range(100)]
    assert time.monotonic() - start < 1.0
    assert {b - a for a, b in itertools.pairwise(stamps)} == {100 * MS}


@pytest.mark.timing
def test_own_clock_runs_faster_by_its_factor_and_ticks():
    ticks = []
    clock = OwnClock(100 * MS, factor=5.0, tick=ticks.append)
    first = clock.stamp
    start = time.monotonic()
    for _ in range(5):
        clock.wait(never)
    assert time.monotonic() - start == pytest.approx(0.1, abs=0.08)
    assert clock.stamp - first == 500 * MS
    assert ticks == sorted(ticks)
    assert all(first <= tick <= clock.stamp for tick in ticks)
    assert len(ticks) >= 5


@pytest.mark.timing
def test_own_clock_that_is_late_slows_down_instead_of_skipping():
    clock = OwnClock(10 * MS, factor=1.0)
    first = clock.stamp
    time.sleep(0.05)
    assert clock.wait(never) - first == 10 * MS
    assert clock.overruns == 1
    start = time.monotonic()
    clock.wait(never)
    assert time.monotonic() - start > 0.005


def test_stages_add_up_to_the_way_from_image_to_plan():
    times = StageTimes()
    times.add(dict(zip(STAGES, (0.001, 0.002, 0.003, 0.004, 0.010, 0.005), strict=True)))
    values = {name: float(value) for name, value in times.values().items()}
    assert values["image to plan p50 (ms)"] == 25.0
    assert values["overhead p50 (ms)"] == 11.0
    assert values["wait p99 (ms)"] == 2.0


def test_a_trip_that_is_not_known_counts_as_none():
    times = StageTimes()
    times.add({name: math.nan if name == "receive" else 0.001 for name in STAGES})
    assert times.values()["receive p50 (ms)"] == "nan"
    assert times.values()["image to plan p50 (ms)"] == "5.000"


def test_laps_follow_each_other_without_a_gap():
    before = time.monotonic()
    watch = StageClock(before, 0.5)
    watch.lap("wait")
    watch.lap("convert")
    watch.lap_two("encode", "plan", 0.0)
    watch.lap("publish")
    passed = time.monotonic() - before
    assert tuple(sorted(watch.seconds)) == tuple(sorted(STAGES))
    assert sum(watch.seconds.values()) - 0.5 <= passed


@pytest.mark.parametrize(
    ("sent", "now", "seconds"),
    [(5 * SECOND, 6 * SECOND, 1.0), (0, SECOND, None), (2 * SECOND, SECOND, None)],
)
def test_trips_are_known_where_clocks_agree(sent, now, seconds):
    found = trip_seconds(sent, now)
    assert math.isnan(found) if seconds is None else found == seconds
