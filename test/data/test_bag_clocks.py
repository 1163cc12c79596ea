"""Clocks that differ: actions and motion belong together afterwards, or the import is refused."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wm_mpc.data.bag import BagError

START = 1000.0  # s
PERIOD = 0.1
STEPS = 200


def same(time: float) -> float:
    """A clock that is right."""
    return time


@dataclasses.dataclass
class Drive:
    """A base that does at once what it is told, a new speed every half second.

    camera, robot, operator: the clocks that stamp pictures, odometry and commands, as functions of
    the recorder's; None: no stamp. late: s that a picture, an odometry message, a command travels.
    delay: s after which the base obeys.
    """

    camera: Callable[[float], float] | None = same
    robot: Callable[[float], float] | None = same
    operator: Callable[[float], float] | None = None
    late: Callable[[str, int], float] = lambda role, k: 0.0
    delay: int = 0

    def messages(self, bags):
        make, result, told = bags.Make(), [], speeds()

        def stamp(clock, time):
            return 0.0 if clock is None else clock(time)

        for k in range(STEPS):
            t = START + k * PERIOD
            v = told[max(0, k - self.delay)]
            at = stamp(self.camera, t)
            result.append(("/image", t + self.late("image", k), make.image(at, bags.gray(k))))
            odometry = make.odometry(stamp(self.robot, t), vx=v, wz=v / 2)
            result.append(("/odom", t + self.late("state", k), odometry))
            twist = make.twist(vx=told[k], wz=told[k] / 2)
            if self.operator is not None:
                twist = make.twist_stamped(self.operator(t - 0.001), vx=told[k], wz=told[k] / 2)
            result.append(("/cmd_vel", t - 0.001 + self.late("action", k), twist))
        return result


@dataclasses.dataclass
class Result:
    report: str
    fit: float  # correlation of action and speed in the same step
    pictures: np.ndarray  # their numbers
    speeds: np.ndarray
    steps: int


@pytest.fixture
def imported(bags, tmp_path):
    def run(drive, more=(), **settings):
        folder = tempfile.mkdtemp(dir=tmp_path)
        path = bags.write_bag(Path(folder) / "bag", [*drive.messages(bags), *more])
        with bags.reading(path, **settings) as read:
            values = read.streams.image.pictures[:, 0, 0, 0]
            speeds = read.joined("states", slice(-1))[:, 0]
            actions = read.joined("actions")[:, 0]
            pictures = values[read.joined("pictures", slice(-1))]
            fit = np.corrcoef(speeds, actions)[0, 1]
            return Result(read.report, float(fit), pictures, speeds, len(actions))

    return run


def off(seconds):
    return lambda time: time + seconds


def speeds():
    """What `Drive` is told at each step."""
    return np.repeat(np.random.default_rng(0).uniform(-0.3, 0.3, STEPS // 5 + 1), 5)


OFFSETS = [0.3, -0.3, 0.7, -0.7, 2.0, -2.0, 8.0, -8.0]


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_robot_whose_clock_is_off_has_the_right_actions_and_says_so(imported, offset):
    result = imported(Drive(off(offset), off(offset)))
    assert result.fit > 0.99
    assert result.steps > STEPS - 5
    assert f"received minus stamp is {-offset:+.3f} s" in result.report
    assert "action moved by this difference" in result.report
    assert "--stamps receive" in result.report


def test_clocks_that_agree_are_not_mentioned(imported):
    late = {"image": 0.04, "state": 0.02, "action": 0.0}
    result = imported(Drive(late=lambda role, k: late[role]))
    assert result.fit > 0.99
    assert "clock" not in result.report


@pytest.mark.parametrize("offset", [0.02, -0.02])
def test_clocks_that_nearly_agree_are_no_matter(imported, offset):
    result = imported(Drive(off(offset), off(offset)))
    assert result.fit > 0.75
    assert "another clock" not in result.report


def drifting(time):
    return time - 1.0 - 0.05 * (time - START)


def test_a_clock_that_drifts_is_followed(imported):
    result = imported(Drive(drifting, drifting), control_period=0.1)
    assert result.fit > 0.9
    assert "drifting" in result.report


@pytest.mark.parametrize(("before", "after"), [(0.0, 2.0), (2.0, 0.0), (-1.5, 1.5), (0.0, -0.4)])
def test_a_clock_that_is_set_in_mid_recording_is_followed(imported, before, after):
    def clock(time):
        return time + (before if time < START + 9.97 else after)

    result = imported(Drive(clock, clock))
    assert result.fit > 0.97
    assert result.steps > STEPS - 20
    assert "with 1 steps" in result.report
    assert "a clock was set" in result.report or "time jumped back" in result.report


def test_the_latency_of_a_camera_is_no_clock(imported):
    late = {"image": 0.2, "state": 0.0, "action": 0.0}
    result = imported(Drive(late=lambda role, k: late[role]))
    assert result.fit > 0.99
    assert "the images arrive 0.20 s after their stamps; this counts as camera latency" in (
        result.report
    )
    np.testing.assert_allclose(result.speeds, speeds()[result.pictures], atol=1e-6)


@pytest.mark.parametrize("offset", [2.0, -0.7])
def test_a_slow_camera_on_a_robot_whose_clock_is_off(imported, offset):
    late = {"image": 0.2, "state": 0.0, "action": 0.0}
    result = imported(Drive(off(offset), off(offset), late=lambda role, k: late[role]))
    assert result.fit > 0.99
    np.testing.assert_allclose(result.speeds, speeds()[result.pictures], atol=1e-6)


@pytest.mark.parametrize("offset", [1.0, 4.0, -4.0])
def test_a_camera_with_a_clock_of_its_own_is_matched_where_that_is_sure(imported, offset):
    """Pictures of the future, or older than any camera's."""
    result = imported(Drive(camera=off(offset)))
    np.testing.assert_allclose(result.speeds, speeds()[result.pictures], atol=1e-6)
    assert result.fit > 0.99
    assert "the stamps of image come from another clock" in result.report


def test_a_camera_that_may_be_slow_or_off_is_refused(imported):
    with pytest.raises(BagError, match=r"\+1\.500 s for the images.*is it slow.*--clock-offset"):
        imported(Drive(camera=off(-1.5)))


def test_who_knows_better_says_so(imported):
    clock = imported(Drive(camera=off(-1.5)), stamp_offset="auto")
    np.testing.assert_allclose(clock.speeds, speeds()[clock.pictures], atol=1e-6)


def test_a_slow_camera_is_believed_when_the_clocks_are_said_to_agree(imported):
    late = {"image": 1.5, "state": 0.0, "action": 0.0}
    result = imported(Drive(late=lambda role, k: late[role]), stamp_offset=0)
    np.testing.assert_allclose(result.speeds, speeds()[result.pictures], atol=1e-6)
    assert result.fit > 0.99


@pytest.mark.parametrize("operator", [0.0, 2.0, -3.0])
def test_stamped_commands_of_another_computer_are_matched(imported, operator):
    result = imported(Drive(off(2.0), off(2.0), off(operator)))
    assert result.fit > 0.99


@pytest.mark.parametrize(
    ("missing", "offset"),
    [
        (m, o)
        for m in ("camera", "robot")
        for o in (0.0, 2.0, -2.0, -4.0)
        if (m, o) != ("robot", -2.0)
    ],
)
def test_one_stream_without_stamps_is_matched_with_those_that_have_some(imported, missing, offset):
    clocks = {"camera": off(offset), "robot": off(offset)} | {missing: None}
    result = imported(Drive(**clocks))
    assert result.fit > 0.99
    np.testing.assert_allclose(result.speeds, speeds()[result.pictures], atol=1e-6)


def test_pictures_that_are_the_only_ones_with_stamps_may_be_slow_or_off(imported):
    with pytest.raises(BagError, match=r"is it slow, or does it use another clock"):
        imported(Drive(off(-2.0), None))
    assert imported(Drive(off(-2.0), None), stamp_offset="auto").fit > 0.99
    assert imported(Drive(off(-2.0), None), stamps="receive").fit > 0.99


def test_simulated_time_is_refused_until_it_is_said_what_counts(imported):
    def simulated(time):
        return time - START + 5.0

    with pytest.raises(
        BagError, match=r"from another clock.*--stamps receive.*--clock-offset auto"
    ):
        imported(Drive(simulated, simulated))
    assert imported(Drive(simulated, simulated), stamps="receive").fit > 0.99
    assert imported(Drive(simulated, simulated), stamp_offset="auto").fit > 0.99


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_simulated_time_of_another_speed_is_followed(imported, speed):
    def simulated(time):
        return 5.0 + speed * (time - START)

    result = imported(
        Drive(simulated, simulated), stamp_offset="auto", control_period=PERIOD * speed
    )
    assert result.fit > 0.9


def test_an_offset_that_is_stated_counts(imported):
    result = imported(Drive(off(3.0), off(3.0)), stamp_offset=-3.0)
    assert result.fit > 0.99
    assert "received minus stamp is -3 s by the clocks, as stated" in result.report


def test_a_network_that_hangs_for_a_while_is_no_clock(imported):
    """Everything of two seconds arrives at once."""

    def late(role, k):
        return (120 - k) * PERIOD if 100 <= k < 120 and role != "action" else 0.0

    result = imported(Drive(late=late))
    assert result.fit > 0.99
    assert "another clock" not in result.report


@pytest.mark.parametrize("late", [0.15, 0.3, 0.45])
def test_a_state_that_takes_long_to_compute_is_no_clock(imported, late):
    """As of visual odometry or motion capture: its stamps are right."""
    travels = {"image": 0.0, "state": late, "action": 0.0}
    result = imported(Drive(late=lambda role, k: travels[role]))
    assert result.fit > 0.99
    assert (
        f"the state arrives {late:.2f} s after its stamps, and the images sooner" in result.report
    )


@pytest.mark.parametrize("offset", [0.2, -0.2, -0.4, 0.6, -2.0])
def test_a_base_with_a_clock_of_its_own_is_matched_by_how_it_moves(imported, offset):
    """Its stamps alone do not tell it from one that is slow; that it moves too early does."""
    result = imported(Drive(robot=off(offset)))
    assert result.fit > 0.99
    if abs(offset) > 0.2:
        np.testing.assert_allclose(result.speeds, speeds()[result.pictures], atol=1e-6)
    assert "from another clock than the recorder's" in result.report


def test_a_state_that_travels_for_most_of_a_step_is_said(imported):
    result = imported(Drive(off(-0.08), off(-0.08)))
    assert "the state arrives 0.080 s after its stamps; this counts as travel time" in (
        result.report
    )


def test_messages_that_travel_unevenly_are_no_clock(imported):
    jitter = np.random.default_rng(1).exponential(0.03, (3, STEPS))
    roles = {"image": 0, "state": 1, "action": 2}
    late = {"image": 1.0, "state": 1.0, "action": 0.0}
    result = imported(Drive(late=lambda role, k: late[role] * jitter[roles[role], k]))
    assert result.fit > 0.99
    assert "another clock" not in result.report


def test_a_camera_whose_stamps_jitter_has_images_near_their_steps(imported):
    """The first stamp is the earliest: steps that began with it would come before their images."""
    jitter = np.random.default_rng(3).uniform(-0.02, 0.02, STEPS)
    jitter[0] = -0.02
    result = imported(Drive(lambda time: time + jitter[round((time - START) / PERIOD)]))
    said = re.search(
        r"images are a median (\d+) ms older than their step, at most (\d+) ms", result.report
    )
    assert int(said[1]) <= 25
    assert int(said[2]) < 100
    assert "WARNING" not in result.report
    assert result.fit > 0.99
    # Each step has the speed of the moment of its own image.
    assert (np.abs(result.speeds - speeds()[result.pictures]) < 1e-6).mean() > 0.75


def test_a_camera_slower_than_the_control_period_is_said(imported):
    result = imported(
        Drive(), control_period=0.02, image={"height": 20, "width": 20, "max_gap": 0.5}
    )
    assert "WARNING images are a median 40 ms older than their step" in result.report


def test_motion_that_comes_before_its_action_is_said(imported):
    """Whatever the stamps say: here the commands were recorded a second late."""
    result = imported(Drive(late=lambda role, k: 1.0 if role == "action" else 0.0))
    assert "WARNING the motion fits the actions 1 s later better (correlation 1.00" in result.report


def test_a_robot_that_takes_its_time_is_no_reason_to_warn(imported):
    assert "WARNING" not in imported(Drive(delay=3)).report


def test_resets_without_stamps_split_at_the_right_picture(imported, bags):
    resets = [("/reset", START + 5.03, bags.Make().numbers(0.0))]
    result = imported(Drive(off(2.0), off(2.0)), resets, split_at=["/reset"],
                      action={"topic": "/cmd_vel"})  # fmt: skip
    assert 50 not in result.pictures.tolist()  # the step from it is crossed by the reset
    assert {49, 51} <= set(result.pictures.tolist())


@pytest.mark.parametrize("age", [1.0, 6.0, 600.0])
@pytest.mark.parametrize("later", [(), (7.0, 13.0)])
def test_a_goal_latched_before_the_recording_is_no_clock(imported, bags, age, later):
    make = bags.Make()
    goals = [("/goal", START + 0.01, make.pose_stamped(START - age, 0.0, 0.0, 0.0))]
    goals += [("/goal", START + t, make.pose_stamped(START + t, 0.0, 0.0, 0.0)) for t in later]
    result = imported(Drive(), goals, split_at=["/goal"], action={"topic": "/cmd_vel"})
    assert "clock" not in result.report
    assert result.fit > 0.99
    assert result.steps > STEPS - 10


@pytest.mark.parametrize("age", [6.0, 600.0])
def test_a_latched_goal_of_a_robot_whose_clock_is_off_splits_where_it_should(imported, bags, age):
    make = bags.Make()
    stamps = [START - age, START + 7.03, START + 13.03]
    goals = [
        ("/goal", max(stamp, START + 0.01), make.pose_stamped(stamp - 2.0, 0.0, 0.0, 0.0))
        for stamp in stamps
    ]
    result = imported(Drive(off(-2.0), off(-2.0)), goals, split_at=["/goal"],
                      action={"topic": "/cmd_vel"})  # fmt: skip
    assert "with 1 steps" not in result.report
    assert result.fit > 0.99
    assert not {70, 130} & set(result.pictures.tolist())
