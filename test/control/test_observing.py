"""Whether an observation may be planned from: ages, clocks, image and state of one moment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wm_mpc.control.observation_check import ObservationCheck
from wm_mpc.control.observing import (
    Ahead,
    ClockWatch,
    Warnings,
    judge_age,
    judge_ahead,
    judge_pair,
)
from wm_mpc.control.state_history import StateHistory

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
PERIOD, TIMEOUT = 0.1, 0.5


def ahead_of(*seconds):
    """Stamps that came so far ahead of the clock."""
    ahead = Ahead()
    for value in seconds:
        ahead.add(T0 + round(value * 1e9), T0)
    return ahead


def judged(*seconds, is_simulated=False):
    ahead = ahead_of(*seconds)
    return judge_ahead(
        "image", ahead, now=ahead.newest, period=PERIOD, timeout=TIMEOUT, is_simulated=is_simulated
    )


@pytest.mark.parametrize("seconds", [0.0, -0.001, -0.2, -0.45, 0.015])
def test_images_of_the_past_are_only_late_however_much(seconds):
    found = judged(*[seconds] * 5)
    assert (found.hold, found.warning) == ("", "")


@pytest.mark.parametrize("seconds", [0.025, 0.05, 0.09])
def test_from_a_fraction_of_a_period_in_the_future_on_it_is_said_with_the_remedy(seconds):
    found = judged(*[seconds] * 5)
    assert not found.hold
    assert f"image stamps are {seconds * 1e3:.0f} ms in the future" in found.warning
    assert "chrony, PTP" in found.warning


@pytest.mark.parametrize("seconds", [0.11, 0.3, 0.45, 5.0])
def test_from_a_period_in_the_future_on_the_robot_holds(seconds):
    found = judged(seconds)
    assert f"image stamps are {seconds:.2f} s in the future" in found.hold
    assert "clocks differ" in found.hold
    assert found.is_fault


def test_jitter_is_no_clock_that_is_wrong():
    assert judged(0.03, -0.04, 0.038, -0.02, -0.01) == judged(-0.1)


def test_what_was_wrong_before_is_not_said_of_a_clock_that_is_right_again():
    assert judged(*[5.0] * 9, -0.01) == judged(-0.1)


def test_simulated_time_may_come_after_the_image():
    assert judged(*[0.15] * 5, is_simulated=True) == judged(-0.1)
    assert "is /clock published" in judged(0.6, is_simulated=True).hold


def test_silence_and_old_stamps_are_told_apart():
    said = {"timeout": TIMEOUT}
    assert "no image for 0.6 s" in judge_age("image", silence=0.6, age=0.6, **said).hold
    assert "image stamps are 0.60 s old" in judge_age("image", silence=0.1, age=0.6, **said).hold
    assert not judge_age("image", silence=0.5, age=0.5, **said).hold
    assert "use_sim_time" in judge_age("image", silence=0.1, age=1.7e9, **said).hold


# ------------------------------------------------------------------------------ one moment


def paired(offset, *, every=0.01):
    """The state of a moment so many seconds after the last of some measurements."""
    history = StateHistory(["elbow"])
    history.keep(60.0)
    for k in range(20):
        history.add(T0 - round((19 - k) * every * 1e9), 0.0, {"elbow": 1.0})
    return history.at(T0 - round(offset * 1e9))


def judged_pair(offset, **options):
    return judge_pair(paired(offset, **options), where="/joint_states", period=PERIOD)


@pytest.mark.parametrize("offset", [-0.05, -0.02, 0.0])
def test_a_state_within_half_a_period_of_the_image_is_good(offset):
    found = judged_pair(offset)
    assert (found.hold, found.warning) == ("", "")


def test_beyond_half_a_period_the_distance_is_said():
    found = judged_pair(-0.07)
    assert not found.hold
    assert "elbow on /joint_states is 70 ms older than the image" in found.warning


def test_a_state_that_is_younger_than_the_image_is_said_to_be():
    history = StateHistory(["elbow"])
    history.add(T0 + 60 * MS, 0.0, {"elbow": 1.0})
    found = judge_pair(history.at(T0), where="/joint_states", period=PERIOD)
    assert "60 ms newer than the image" in found.warning


@pytest.mark.parametrize("offset", [-0.11, -0.4, -3.0])
def test_beyond_a_period_the_robot_holds(offset):
    found = judged_pair(offset)
    assert f"elbow on /joint_states is {-offset * 1e3:.0f} ms older" in found.hold
    assert "accepted: up to 100 ms" in found.hold


@pytest.mark.parametrize("offset", [-0.15, -0.2, -0.29])
def test_a_state_that_is_measured_seldom_makes_no_stop_and_go(offset):
    """At 5 Hz beside a control period of 0.1 s: it is said, and the robot goes on."""
    found = judged_pair(offset, every=0.2)
    assert not found.hold
    assert "ms older than the image" in found.warning
    assert judged_pair(-0.31, every=0.2).hold


def test_what_was_wrong_with_the_newest_measurement_is_the_reason():
    found = judge_pair(
        paired(-0.2), where="/odom", period=PERIOD, fault="odometry: vx is nan; finite needed"
    )
    assert found.hold == "odometry: vx is nan; finite needed"


# ------------------------------------------------------------------------------ all at once


@dataclasses.dataclass
class Came:
    stamp: int
    received: float


class Robot:
    """Its measurements, without any middleware."""

    def __init__(self, *names):
        self.history, self.ahead, self.heard = StateHistory(names), Ahead(), ""

    def measure(self, at, value=0.0, names=None):
        values = dict.fromkeys(names or self.history.names, value)
        self.ahead.add(T0 + at * MS, T0 + at * MS)
        self.history.add(T0 + at * MS, at * 1e-3, values)

    def why_missing(self):
        return self.heard


@pytest.fixture
def said():
    return []


@pytest.fixture
def check(said):
    return ObservationCheck(
        PERIOD, image_topic="/left/cam", state_topic="/left/joint_states", is_simulated=False,
        warn=said.append,
    )  # fmt: skip


def at(check, ms):
    return check.at(T0 + ms * MS, ms * 1e-3, TIMEOUT)


def test_what_never_came_is_named_with_its_topic_and_is_no_fault(check):
    found = at(check, 0).image(None, Ahead())
    assert (found.hold, found.is_fault) == ("no image received yet on /left/cam", False)
    robot = Robot("elbow")
    found = at(check, 0).state(None, robot)
    assert found.hold == "no robot state received yet on /left/joint_states"
    assert not found.is_fault


def test_a_joint_that_never_came_is_named_with_those_that_did(check):
    robot = Robot("elbow", "finger")
    robot.heard = "finger not among the joints heard: elbow"
    assert at(check, 0).state(None, robot).hold == (
        "no robot state received yet on /left/joint_states: finger not among the joints heard: "
        "elbow"
    )


def test_a_joint_that_falls_silent_is_named_though_the_others_go_on(check):
    robot = Robot("elbow", "finger")
    robot.measure(0)
    for ms in range(10, 1000, 10):
        robot.measure(ms, names=["elbow"])
    found = at(check, 990).state(robot.history.at(T0 + 990 * MS), robot)
    assert found.hold.startswith("no robot state for 1.0 s")
    assert found.hold.endswith("finger on /left/joint_states")


def test_messages_of_which_nothing_can_be_used_are_the_reason(check):
    robot = Robot("elbow")
    robot.measure(0)
    robot.history.refuse({"elbow": "joint_states: elbow is inf"})
    found = at(check, 600).state(robot.history.at(T0 + 600 * MS), robot)
    assert found.hold == "joint_states: elbow is inf"


def test_states_from_a_clock_that_is_ahead_do_not_pass_for_those_of_an_image(check):
    """They are paired by stamp with an image of long after."""
    robot = Robot("elbow")
    for ms in range(0, 1000, 10):
        robot.history.add(T0 + (ms + 300) * MS, ms * 1e-3, {"elbow": ms * 1e-3})
        robot.ahead.add(T0 + (ms + 300) * MS, T0 + ms * MS)
    state = robot.history.at(T0 + 980 * MS)
    assert state.offset == 0.0
    found = at(check, 990).state(state, robot)
    assert "robot state stamps are 0.30 s in the future" in found.hold


def test_a_constant_latency_of_the_camera_is_no_fault(check, said):
    robot, latency = Robot("elbow"), 200
    for ms in range(2000):
        robot.measure(ms, ms * 1e-3)
        if ms >= latency and ms % 50 == 0:
            stamp = T0 + (ms - latency) * MS
            now = at(check, ms)
            assert not now.image(Came(stamp, ms * 1e-3), ahead_of(-0.2)).hold
            state = robot.history.at(stamp)
            assert not now.state(state, robot).hold
            np.testing.assert_allclose(state.values, [(ms - latency) * 1e-3], atol=1e-6)
    assert not said
    assert check.values() == {"state offset from image (ms)": "0.0"}


def test_a_warning_is_said_once_and_stays_for_a_while(check, said):
    robot = Robot("elbow")
    for ms in range(0, 400, 10):
        robot.measure(ms)
    for k in range(5):
        at(check, 460 + k).state(robot.history.at(T0 + (460 + k) * MS), robot)
    assert len(said) == 1
    assert check.warnings.text(0.5) == check.warnings.text(2.4) != ""
    assert check.warnings.text(2.5) == ""
    assert check.values() == {"state offset from image (ms)": "-74.0"}


def test_two_warnings_are_told_together():
    warnings = Warnings()
    assert warnings.see("clock", "one clock is wrong", 0.0)
    assert warnings.see("pair", "state of another moment", 1.0)
    assert not warnings.see("pair", "", 1.5)
    assert warnings.text(1.5) == "one clock is wrong; state of another moment"
    assert warnings.text(2.5) == "state of another moment"


def test_a_clock_set_back_is_noticed_and_one_that_is_adjusted_is_not():
    clock = ClockWatch()
    assert not clock.went_back(T0)
    assert not clock.went_back(T0 + 10 * MS)
    assert not clock.went_back(T0 + 5 * MS)
    assert clock.went_back(T0 - 100_000 * MS)
    assert not clock.went_back(T0)  # ahead again
