"""When to plan: simulated cameras of many rates, phases and moods."""

from __future__ import annotations

import itertools
import random

import pytest

from wm_mpc.control.schedule import PlanSchedule

MS, SECOND = 1_000_000, 1_000_000_000
TICK = 1 * MS  # how often the loop looks
PERIOD = 100 * MS


def camera(rate, *, phase=0.0, jitter=0.0, seconds=20.0, seed=0):
    """Arrival times (ns): one per period of the camera, each late by up to `jitter` periods."""
    rng = random.Random(seed)
    times = [(k + phase + rng.uniform(0.0, jitter)) / rate for k in range(int(seconds * rate))]
    return sorted(int(time * SECOND) for time in times)


def run(arrivals, *, period=PERIOD, seconds=20.0, busy=0, stall=None, schedule=None, start=0):
    """The plans as (time, age of the observation used, missed), times in ns.

    busy: how long a plan takes. stall: a (from, to) in which the loop itself does not run.
    """
    schedule = schedule or PlanSchedule()
    plans, waiting = [], iter(arrivals)
    upcoming, newest, used, free = next(waiting, None), None, None, 0
    for now in range(start, start + int(seconds * SECOND), TICK):
        if stall is not None and stall[0] <= now < stall[1]:
            continue
        while upcoming is not None and upcoming <= now:
            schedule.arrived(upcoming)
            newest, upcoming = upcoming, next(waiting, None)
        if now < free or newest is None:
            continue
        if schedule.is_due(now, period, is_new=newest != used):
            missed = schedule.planned(now, period)
            plans.append((now, now - newest, missed))
            used, free = newest, now + busy
    return plans


def rate_of(plans):
    return (len(plans) - 1) / ((plans[-1][0] - plans[0][0]) / SECOND)


PHASES = [0.0, 0.13, 0.5, 0.77, 0.99]


@pytest.mark.parametrize("rate", [10.0, 20.0, 30.0, 60.0])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.3])
def test_mean_rate_is_kept_when_the_camera_is_as_fast_or_a_multiple(rate, phase, jitter):
    plans = run(camera(rate, phase=phase, jitter=jitter))
    assert rate_of(plans) == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize("rate", [5.0, 7.0, 13.0, 25.0])
@pytest.mark.parametrize("phase", PHASES)
def test_mean_rate_is_kept_with_any_other_camera(rate, phase):
    plans = run(camera(rate, phase=phase))
    assert rate_of(plans) == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize("period", [20 * MS, 50 * MS, 200 * MS])
def test_any_rate_can_be_asked_for(period):
    plans = run(camera(50.0), period=period)
    assert rate_of(plans) == pytest.approx(SECOND / period, rel=0.05)


@pytest.mark.parametrize("rate", [10.0, 20.0, 30.0])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("jitter", [0.0, 0.1])
def test_observations_are_used_soon_after_they_arrive(rate, phase, jitter):
    settled = run(camera(rate, phase=phase, jitter=jitter))[100:]
    ages = [age for _, age, _ in settled]
    assert sum(ages) / len(ages) < 0.05 * PERIOD


@pytest.mark.parametrize("phase", PHASES)
def test_every_observation_of_an_equally_fast_camera_is_used_once(phase):
    plans = run(camera(10.0, phase=phase))[100:]
    used = [now - age for now, age, _ in plans]
    assert len(set(used)) == len(used)


@pytest.mark.parametrize("busy", [30 * MS, 90 * MS])
def test_rate_is_kept_while_planning_takes_time(busy):
    plans = run(camera(30.0), busy=busy)
    assert rate_of(plans) == pytest.approx(10.0, rel=0.05)
    assert sum(missed for _, _, missed in plans) == 0


def test_planning_that_takes_too_long_misses_due_times_and_says_so():
    plans = run(camera(30.0), busy=250 * MS)
    times = [now for now, _, _ in plans]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 250 * MS
    due = 20 * SECOND // PERIOD
    assert len(plans) + sum(missed for _, _, missed in plans) == pytest.approx(due, rel=0.05)


@pytest.mark.parametrize("stalled", ["camera", "loop"])
def test_there_is_no_burst_after_a_stall(stalled):
    begin, end = 8 * SECOND, 11 * SECOND + 40 * MS
    arrivals = camera(30.0)
    if stalled == "camera":  # its pictures come all at once afterwards
        arrivals = [end if begin <= time < end else time for time in arrivals]
        plans = run(arrivals)
    else:
        plans = run(arrivals, stall=(begin, end))
    times = [now for now, _, _ in plans]
    after = [b - a for a, b in itertools.pairwise(times) if a >= end]
    assert len(after) > 50
    assert min(after) > 0.5 * PERIOD
    in_first_second = sum(end <= now < end + SECOND for now in times)
    assert in_first_second <= 11


def test_loop_that_stood_still_reports_the_due_times_it_missed():
    plans = run(camera(30.0), stall=(8 * SECOND, 11 * SECOND))
    assert sum(missed for _, _, missed in plans) == pytest.approx(30, abs=2)


def test_camera_that_fell_silent_does_not_stop_planning():
    """The node decides what to do about old observations, and must come to it."""
    plans = run(camera(30.0, seconds=5.0))
    late = [plan for plan in plans if plan[0] > 6 * SECOND]
    assert rate_of(late) == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize("leap", [-1_000_000 * SECOND, -10 * SECOND, 10 * SECOND, 10**18])
def test_time_that_leaps_does_not_stop_planning(leap):
    schedule = PlanSchedule()
    start = 2_000_000 * SECOND
    run([start + time for time in camera(10.0)], schedule=schedule, start=start)
    start += 20 * SECOND + leap
    arrivals = [start + time for time in camera(10.0)]
    plans = run(arrivals, schedule=schedule, start=start)
    assert plans[0][0] <= arrivals[0] + 2 * PERIOD
    assert rate_of(plans) == pytest.approx(10.0, rel=0.05)


def test_first_plan_is_made_at_once():
    assert PlanSchedule().is_due(123, PERIOD, is_new=True)


def test_the_first_image_does_not_wait_for_a_grid_that_began_before_it():
    schedule = PlanSchedule()
    assert schedule.is_due(0, PERIOD, is_new=False)  # nothing to plan from: the robot holds
    schedule.planned(0, PERIOD)
    assert not schedule.is_due(30 * MS, PERIOD, is_new=False)
    schedule.arrived(30 * MS)
    assert schedule.is_due(30 * MS, PERIOD, is_new=True)


def test_remaining_time_counts_down_to_the_due_time():
    schedule = PlanSchedule()
    assert schedule.remaining(0) == 0
    schedule.is_due(0, PERIOD, is_new=True)
    schedule.planned(0, PERIOD)
    assert schedule.remaining(30 * MS) == 70 * MS
    assert schedule.remaining(130 * MS) == 0


def test_images_are_planned_from_at_once_again_soon_after_the_camera_began_anew():
    """As a simulation's does after each episode, with another phase."""
    rng = random.Random(1)
    arrivals, begins, time = [], set(), 0.0
    while time < 60.0:
        begins.add(len(arrivals))
        arrivals += [int((time + 0.1 * k + rng.uniform(0.0, 0.004)) * SECOND) for k in range(25)]
        time += 2.5 + rng.uniform(0.0, 0.1)
    plans = run(arrivals, seconds=60.0)
    waits = {}
    for now, age, _ in plans:
        waits.setdefault(now - age, age)
    steady = [
        waits[at] for number, at in enumerate(arrivals) if at in waits and number not in begins
    ]
    assert len(steady) > 400
    assert sorted(steady)[int(0.98 * len(steady))] <= 3 * MS
    assert rate_of(plans) < 10.3


@pytest.mark.parametrize("latest", [0.02, 0.03, 0.1])
def test_images_that_come_a_little_later_again_and_again_do_not_wait(latest):
    """As a simulation's do whose episodes are short, and begin a little late each time."""
    rng = random.Random(3)
    arrivals, time = [], 0.0
    while time < 60.0:
        arrivals += [int((time + 0.1 * k + rng.uniform(0.0, 0.004)) * SECOND) for k in range(8)]
        time += 0.8 + rng.uniform(0.0, latest)
    plans = run(arrivals, seconds=60.0, busy=20 * MS)
    waits = {}
    for now, age, _ in plans:
        waits.setdefault(now - age, age)
    assert len(waits) > 0.97 * len(arrivals)
    assert sorted(waits.values())[int(0.98 * len(waits))] <= 20 * MS


@pytest.mark.parametrize("late", [20, 40, 60, 74])
def test_an_image_that_comes_late_once_makes_no_other_image_wait(late):
    """As after the reset of a simulation that keeps its stamps: the next image comes in time."""
    rng = random.Random(5)
    arrivals = [
        k * PERIOD + (late * MS if k % 13 == 12 else int(rng.uniform(0.0, 4.0) * MS))
        for k in range(600)
    ]
    plans = run(arrivals, seconds=60.0, busy=20 * MS)
    waits = {}
    for now, age, _ in plans:
        waits.setdefault(now - age, age)
    assert len(waits) > 0.99 * len(arrivals)
    assert max(list(waits.values())[20:]) <= 20 * MS
    assert rate_of(plans) < 10.9  # while one is late, a plan is made from the one before
