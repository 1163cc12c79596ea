"""The robot's state over time: what it was at the moment an image was taken."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.control.state_history import StateHistory
from wm_mpc.data.resample import interpolate
from wm_mpc.units import wrapped

MS = 1_000_000
T0 = 1_700_000_000_123_456_789  # a time of day, as on a robot


def history(names=("elbow",), angles=(), *, keep=1.0):
    subject = StateHistory(names, angles)
    subject.keep(keep)
    return subject


def fill(subject, values, *, every=1, start=0, names=("elbow",)):
    """One measurement of all names each `every` ms."""
    for k, value in enumerate(values):
        at = start + k * every
        subject.add(T0 + at * MS, at * 1e-3, dict.fromkeys(names, value))


def test_an_image_200_ms_old_gets_the_state_of_its_moment_beside_states_at_1_khz():
    subject = history()
    fill(subject, np.arange(0.0, 1.001, 0.001))
    state = subject.at(T0 + 800 * MS)
    assert state.values == pytest.approx([0.8])
    assert (state.stamp, state.offset) == (T0 + 800 * MS, 0.0)


def test_between_two_measurements_the_state_is_on_the_line_between_them():
    subject = history()
    fill(subject, [1.0, 2.0], every=40)
    state = subject.at(T0 + 10 * MS)
    assert state.values == pytest.approx([1.25])
    assert state.offset == pytest.approx(-0.01)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=20),
    st.data(),
)
def test_states_are_interpolated_as_the_import_does(gaps, data):
    times = T0 + MS * np.cumsum([0, *gaps])
    numbers = st.floats(-3.1, 3.1)
    values = np.array(
        data.draw(st.lists(st.tuples(numbers, numbers), min_size=len(times), max_size=len(times)))
    )
    at = data.draw(st.integers(int(times[0]), int(times[-1])))
    subject = history(("x", "yaw"), ("yaw",), keep=60.0)
    for time, row in zip(times.tolist(), values.tolist(), strict=True):
        subject.add(time, 0.0, {"x": row[0], "yaw": row[1]})
    expected, _ = interpolate(times, values, np.array([at]), 500 * MS, angles=[1])
    change = subject.at(at).values - expected[0]
    assert abs(change[0]) < 1e-5
    assert abs(wrapped(change[1:])) < 1e-5


@pytest.mark.parametrize(("first", "second", "middle"), [
    (3.1, -3.1, math.pi), (-3.0, 3.0, -math.pi), (6.2, 6.4, 6.3 - 2 * math.pi), (-0.1, 0.1, 0.0),
])  # fmt: skip
def test_angles_go_the_short_way(first, second, middle):
    subject = history(("yaw",), ("yaw",))
    fill(subject, [first, second], every=20, names=("yaw",))
    found = subject.at(T0 + 10 * MS).values
    assert abs(wrapped(found - middle)) < 1e-5
    assert abs(found) <= math.pi + 1e-5


@pytest.mark.parametrize(("at", "value", "offset"), [
    (-30, 1.0, 0.03), (70, 2.0, -0.02), (50, 2.0, 0.0),
])  # fmt: skip
def test_outside_of_what_was_measured_the_nearest_counts_and_its_distance_is_told(
    at, value, offset
):
    subject = history()
    fill(subject, [1.0, 2.0], every=50)
    state = subject.at(T0 + at * MS)
    assert state.values == pytest.approx([value])
    assert state.offset == pytest.approx(offset)
    assert state.stamp == T0 + (at + round(offset * 1e3)) * MS


def test_a_line_does_not_bridge_more_than_half_a_second():
    subject = history(keep=60.0)
    fill(subject, [1.0, 2.0], every=501)
    assert subject.at(T0 + 100 * MS).values == pytest.approx([1.0])
    assert subject.at(T0 + 400 * MS).values == pytest.approx([2.0])


def test_arm_and_gripper_publish_apart_each_at_a_rate_of_its_own():
    subject = history(("elbow", "finger"))
    fill(subject, np.arange(0.0, 1.0, 0.002), every=2, names=("elbow",))
    fill(subject, [5.0, 6.0, 7.0], every=100, start=703, names=("finger",))
    state = subject.at(T0 + 853 * MS)
    assert state.values == pytest.approx([0.853, 6.5], abs=1e-5)
    assert (state.entry, abs(state.offset), state.every) == ("finger", 0.05, 0.1)


def test_an_entry_that_was_never_measured_is_named():
    subject = history(("elbow", "finger"))
    fill(subject, [1.0])
    assert subject.at(T0) is None
    assert subject.missing() == ["finger"]


def test_the_entry_that_has_been_silent_longest_is_named():
    subject = history(("elbow", "finger"))
    fill(subject, [1.0], names=("finger",), start=5)
    fill(subject, [1.0], names=("elbow",), start=900)
    state = subject.at(T0 + 900 * MS)
    assert (state.silent, state.received, state.newest) == ("finger", 0.005, T0 + 5 * MS)


def test_measurements_that_overtake_one_another_are_put_in_order():
    subject = history()
    for at in (0, 10, 30, 20, 40):
        subject.add(T0 + at * MS, 0.0, {"elbow": float(at)})
    assert subject.at(T0 + 25 * MS).values == pytest.approx([25.0])


def test_two_publishers_of_one_joint_with_one_stamp_count_once():
    subject = history()
    fill(subject, [1.0, 1.0])
    fill(subject, [2.0, 2.0])
    assert subject.at(T0).values == pytest.approx([2.0])


def test_a_clock_that_went_back_leaves_no_measurement_of_a_time_to_come():
    subject = history(keep=60.0)
    fill(subject, np.zeros(100), every=10, start=50_000)
    fill(subject, np.ones(3), every=10)
    assert not subject.is_told(T0 + 50_000 * MS)
    state = subject.at(T0 + 30 * MS)
    assert state.values == pytest.approx([1.0])
    assert state.offset == pytest.approx(-0.01)


def test_a_clock_that_went_back_a_little_is_believed_after_some_measurements():
    subject = history()
    fill(subject, np.zeros(100), every=10)  # until 990 ms
    fill(subject, np.ones(12), every=10, start=500)
    assert not subject.is_told(T0 + 700 * MS)
    assert subject.at(T0 + 610 * MS).values == pytest.approx([1.0])


def test_measurements_that_another_node_sends_on_later_take_nothing_away():
    subject = history()
    for ms in range(1000):
        subject.add(T0 + ms * MS, ms * 1e-3, {"elbow": ms * 1e-3})
        if ms % 5 == 0 and ms > 300:
            subject.add(T0 + (ms - 150) * MS, ms * 1e-3, {"elbow": (ms - 150) * 1e-3})
    state = subject.at(T0 + 950 * MS)
    assert (state.values, state.offset) == (pytest.approx([0.95]), 0.0)


def test_a_stamp_far_in_the_future_does_no_lasting_harm():
    subject = history()
    fill(subject, np.zeros(100), every=10)
    subject.add(T0 + 10**9 * MS, 1.0, {"elbow": 7.0})
    fill(subject, np.ones(100), every=10, start=1000)
    state = subject.at(T0 + 1500 * MS)
    assert (state.values, state.offset) == ([1.0], 0.0)


@pytest.mark.parametrize(("rate", "keep", "most"), [(1000, 0.5, 1600), (10_000, 60.0, 20_000)])
def test_memory_is_bounded_by_time_and_by_number(rate, keep, most):
    subject = history(keep=keep)
    step = 1000 * MS // rate
    for k in range(40_000):
        subject.add(T0 + k * step, 0.0, {"elbow": float(k)})
    kept = len(subject._tracks["elbow"].stamps)
    assert min(keep * rate, 20_000) <= kept <= most


def test_what_was_wrong_is_told_until_a_good_measurement_comes():
    subject = history(("elbow", "finger"))
    subject.refuse({"elbow": "elbow is nan"})
    assert (subject.fault("elbow"), subject.fault("finger")) == ("elbow is nan", "")
    fill(subject, [1.0])
    assert subject.fault("elbow") == ""


def test_only_what_is_due_soon_is_waited_for():
    subject = history(("elbow", "finger"))
    fill(subject, np.zeros(100), every=5, names=("elbow",))  # until 495 ms
    fill(subject, np.zeros(5), every=100, names=("finger",))  # until 400 ms
    at, now = T0 + 496 * MS, 0.497
    assert subject.is_coming(at, now, within=0.01)  # the elbow
    fill(subject, [0.0], start=500, names=("elbow",))
    assert not subject.is_told(at)
    assert not subject.is_coming(at, 0.45, within=0.01)  # the finger comes 50 ms later
    assert subject.is_coming(at, 0.495, within=0.01)
    assert subject.is_coming(at, 2.0, within=0.01)  # overdue


def test_what_was_never_measured_may_come_at_any_time():
    assert history().is_coming(T0, 0.0, within=0.01)


def test_a_robot_without_a_measured_state_has_none_at_any_time():
    assert history(()).at(T0) is None
    assert history(()).is_told(T0)
