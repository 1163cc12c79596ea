"""How commands to an arm are judged, and how late holds are: on made-up messages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wm_mpc.experiments.faults.commanded import (
    Commanded,
    Course,
    applied,
    farthest,
    jumps,
    steps,
    within,
)
from wm_mpc.experiments.faults.hold_latency import HoldBook, HoldLatencies, failures, summary
from wm_mpc.experiments.faults.judging import HOLDS_OF_POSITIONS, _judge_latencies
from wm_mpc.ros.timing import to_stamp

MS = 1_000_000
CHANGE = np.array([0.1, 0.1])


def plan(received, *points, start=None, period=100 * MS, first=0):
    start = received if start is None else start
    times = start + period * (first + np.arange(len(points), dtype=np.int64))
    return Commanded(received, start, times, np.array(points, float).reshape(-1, 2))


def standing(place=(0.0, 0.0)):
    course = Course()
    for moment in range(0, 2000, 10):
        course.add(moment * MS, np.array(place))
    return course


def test_points_apply_in_their_time_until_the_next_plan_comes():
    plans = [
        plan(150 * MS, (0, 0), (1, 0), (2, 0), start=50 * MS),
        plan(300 * MS, (9, 0), start=300 * MS),
    ]
    rows = applied(plans, "planned_actions", 400 * MS)
    assert [(moment // MS, point[0]) for moment, point in rows] == [(150, 1), (250, 2), (300, 9)]


def test_a_request_to_hold_commands_no_position():
    rows = applied([plan(0, (0, 0), (1, 0)), plan(50 * MS)], "planned_actions", 400 * MS)
    assert len(rows) == 1


def test_a_trajectory_is_interpolated_from_the_last_set_point():
    first = plan(0, (0, 0), (1, 0), first=1)
    second = plan(150 * MS, (0.5, 0), start=150 * MS, first=1)
    rows = dict(applied([first, second], "joint_trajectory", 300 * MS))
    assert rows[140 * MS][0] == pytest.approx(0.4)
    assert rows[200 * MS][0] == pytest.approx(0.45, abs=0.01)
    assert max(point[0] for point in rows.values()) <= 0.5


def test_steps_are_told_in_rate_limits():
    rows = [(0, np.array([0.05, 0.0])), (1, np.array([0.05, 0.2])), (2, np.array([0.1, 0.2]))]
    found = steps(rows, standing(), CHANGE, late=0)
    assert (found.largest, found.first) == (2.0, 0.5)
    assert within([plan(0, (0, 0), (0.1, -0.3))], CHANGE) == 3.0
    assert math.isnan(steps([], standing(), CHANGE, late=0).largest)


def test_only_a_step_to_where_the_arm_is_may_be_larger_than_the_limit():
    away = [(0, np.array([0.3, 0.0])), (MS, np.array([0.0, 0.0]))]
    assert jumps(away, standing(), CHANGE, late=0) == []
    found = jumps(away[::-1], standing(), CHANGE, late=0)
    assert found == ["a step of 3.00 rate limits, to 3.00 from the arm"]


def test_an_arm_that_moved_on_is_judged_by_where_it_was_when_it_was_measured():
    course = Course()
    for moment in range(10):
        course.add(moment * MS, np.array([0.1 * moment, 0.0]))
    point = np.array([0.4, 0.0])
    assert course.away(point, 0, 9 * MS)[0] == pytest.approx(0.0)
    assert course.away(point, 8 * MS, 9 * MS)[0] == pytest.approx(0.4)
    assert farthest([(9 * MS, point)], course, CHANGE) == pytest.approx(5.0)


def book_with_a_hold(sent=1000 * MS):
    book = HoldBook(("planned_actions", "commands"))
    book.plan(900 * MS, 14, 901 * MS)
    book.plan(sent, 0, sent + MS)
    return book


def test_a_hold_is_as_late_as_the_first_message_at_rest_after_it():
    book = book_with_a_hold()
    book.rest("commands", 999 * MS, 999 * MS)  # it left before
    book.rest("commands", 1001 * MS, 1002 * MS)
    book.rest("commands", 1101 * MS, 1101 * MS)
    assert book.latencies() == {"planned_actions": [0.001], "commands": [0.002]}
    assert failures(book.latencies()) == []
    assert summary(book.latencies())["commands"] == {"holds": 1, "p50": 2.0, "p99": 2.0, "max": 2.0}


def test_a_hold_that_goes_on_counts_once():
    book = book_with_a_hold()
    book.plan(1100 * MS, 0, 1101 * MS)
    assert len(book.latencies()["planned_actions"]) == 1


@pytest.mark.parametrize("answer", [None, 2500, 1006])
def test_a_hold_that_is_lost_or_late_fails(answer):
    book = book_with_a_hold()
    if answer is not None:
        book.rest("commands", answer * MS, answer * MS)
    assert any("commands: p99" in failure for failure in failures(book.latencies()))


def test_too_few_holds_prove_nothing():
    assert (
        "1 holds were seen, 50 are needed" in failures(book_with_a_hold().latencies(), fewest=50)[0]
    )


def test_a_node_that_starts_begins_no_hold():
    book = HoldBook(("planned_actions",))
    book.plan(900 * MS, 14, 901 * MS)
    book.listen()
    book.plan(1000 * MS, 0, 1001 * MS)
    assert book.latencies() == {"planned_actions": []}


def test_nobody_listens_while_two_nodes_plan():
    book = HoldBook(("planned_actions",))
    book.listen(False)
    book.plan(900 * MS, 14, 901 * MS)
    book.plan(1000 * MS, 0, 1001 * MS)
    assert book.latencies() == {"planned_actions": []}


@pytest.mark.parametrize("output", ["planned_actions", "commands", "joint_trajectory"])
def test_silence_commands_nothing(output):
    assert applied([], output, 400 * MS) == []


class Listener:
    """Gives subscriptions what the middleware would, at moments of the test (ms)."""

    def __init__(self):
        self.callbacks = {}

    def create_subscription(self, _, topic, callback, __, *, raw):
        assert raw
        self.callbacks[topic] = callback

    def give(self, topic, message, left, received):
        info = {"source_timestamp": left * MS, "received_timestamp": received * MS}
        self.callbacks[topic](bytes(serialize_message(message)), info)


def trajectory(stamp, points, **fields):
    message = JointTrajectory(points=[JointTrajectoryPoint(**fields) for _ in range(points)])
    message.header.stamp = to_stamp(stamp * MS)
    return message


def test_what_an_arm_is_sent_is_read_at_the_end():
    node = Listener()
    latencies = HoldLatencies(node, ("planned_actions", "commands", "joint_trajectory"))
    for start in (1000, 2000):
        node.give("planned_actions", trajectory(start, 5, positions=[1.0]), start, start)
        node.give("commands", Float64MultiArray(data=[1.0]), start, start)
        hold = start + 50
        node.give("commands", Float64MultiArray(data=[1.0]), hold + 2, hold + 3)
        node.give("joint_trajectory", trajectory(hold, 1, positions=[1.0]), hold + 4, hold + 7)
        node.give("planned_actions", trajectory(hold, 0), hold + 5, hold + 8)
    node.give("planned_actions", trajectory(3000, 5, positions=[1.0]), 3000, 3000)
    assert latencies.found() == {
        "planned_actions": [0.008] * 2, "commands": [0.003] * 2, "joint_trajectory": [0.007] * 2,
    }  # fmt: skip
    left = latencies.found("source_timestamp")
    assert left["joint_trajectory"] == [0.004, 0.004]


def test_a_trajectory_that_comes_before_the_first_plan_is_no_hold():
    node = Listener()
    latencies = HoldLatencies(node, ("planned_actions", "commands", "joint_trajectory"))
    node.give("joint_trajectory", trajectory(1000, 1, positions=[1.0]), 1000, 1000)
    node.give("commands", Float64MultiArray(data=[1.0]), 1001, 1001)
    node.give("planned_actions", trajectory(1002, 0), 1002, 1003)
    assert latencies.found() == {"planned_actions": [], "commands": [], "joint_trajectory": []}


@pytest.mark.parametrize(("measures", "fails"), [(True, True), (False, False)])
def test_a_line_that_was_asked_for_needs_enough_holds_for_a_p99(measures, fails):
    node = Listener()
    latencies = HoldLatencies(node, ("planned_actions",))
    node.give("planned_actions", trajectory(1000, 5, positions=[1.0]), 1000, 1000)
    node.give("planned_actions", trajectory(1050, 0), 1050, 1051)
    outcome = _judge_latencies(latencies, HOLDS_OF_POSITIONS, measures=measures)
    assert bool(outcome.failures) == fails
    assert all("1 holds were seen, 200 are needed" in failure for failure in outcome.failures)
    assert outcome.figures["hold latency (ms)"]["planned_actions"]["p99"] == 1.0


def test_nothing_is_heard_of_two_nodes_that_plan():
    node = Listener()
    latencies = HoldLatencies(node, ("planned_actions",))
    latencies.listen(False)
    node.give("planned_actions", trajectory(1000, 5, positions=[1.0]), 1000, 1000)
    latencies.listen()
    node.give("planned_actions", trajectory(1050, 0), 1050, 1051)
    assert latencies.found() == {"planned_actions": []}
