"""What a robot executes until the next plan arrives."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.control.timeline import Timeline
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

MS = 1_000_000


def commitments(kind="velocity", low=-10.0):
    action = ActionSpec(("a",), kind, "1", (low,), (10.0,))
    state = StateSpec((), (), "odom")
    return Timeline.of(RobotSpec("toy", action, state, ImageSpec(16, 16), 0.1, 1))


def column(*values):
    return np.array(values, float)[:, None]


def test_point_k_applies_for_one_period_from_k_periods_after_the_start():
    sent = commitments()
    sent.put(1000 * MS, column(1, 2, 3))
    times = [1000, 1099, 1100, 1200, 1299]
    assert [sent.at(t * MS)[0] for t in times] == [1, 1, 2, 3, 3]


def test_rest_applies_before_the_first_plan_and_after_the_last_point():
    sent = commitments()
    sent.put(1000 * MS, column(1, 2, 3))
    assert sent.at(999 * MS) == 0
    assert sent.at(1300 * MS) == 0


def test_rest_is_inside_the_limits():
    assert commitments(low=2.0).at(0) == 2.0


def test_position_robot_stays_where_its_plan_ends():
    sent = commitments("position")
    sent.put(1000 * MS, column(1, 2, 3))
    assert sent.at(5000 * MS) == 3


def test_newer_plan_replaces_the_rest_of_the_older():
    sent = commitments()
    sent.put(1000 * MS, column(1, 2, 3))
    sent.put(1100 * MS, column(7))
    assert [sent.at(t * MS)[0] for t in (1050, 1150, 1250)] == [1, 7, 0]


def test_empty_plan_holds_from_its_start():
    sent = commitments()
    sent.put(1000 * MS, column(1, 2, 3))
    sent.hold(1100 * MS)
    assert [sent.at(t * MS)[0] for t in (1050, 1150)] == [1, 0]


def test_between_gives_the_periods_that_begin_before_the_arrival():
    sent = commitments()
    sent.put(1000 * MS, column(1, 2, 3))
    assert sent.between(1000 * MS, 1000 * MS).shape == (0, 1)
    assert sent.between(1000 * MS, 1001 * MS).tolist() == [[1]]
    assert sent.between(1000 * MS, 1100 * MS).tolist() == [[1]]
    assert sent.between(1000 * MS, 1101 * MS).tolist() == [[1], [2]]
    assert sent.between(1200 * MS, 1450 * MS).tolist() == [[3], [0], [0]]


def test_between_uses_each_plan_while_it_applies():
    sent = commitments()
    sent.put(1000 * MS, column(1, 2, 3))
    sent.put(1200 * MS, column(7, 8))
    assert sent.between(1050 * MS, 1400 * MS).tolist() == [[1], [2], [7], [8]]


def test_arrival_before_the_start_commits_nothing():
    assert commitments().between(1000 * MS, 500 * MS).shape == (0, 1)


@pytest.mark.parametrize("offset", [0, 1_700_000_000_000_000_000])
def test_times_since_1970_are_as_exact_as_small_ones(offset):
    sent = commitments()
    sent.put(offset, column(1, 2))
    assert sent.at(offset + 100 * MS - 1) == 1
    assert sent.at(offset + 100 * MS) == 2


def test_rest_of_a_position_robot_is_unknown_before_its_first_plan():
    timeline = commitments("position")
    assert timeline.at(0) is None
    assert timeline.between(0, 250 * MS, np.array([1.5])).tolist() == [[1.5]] * 3


def test_position_robot_holds_with_the_given_action_until_the_next_plan():
    timeline = commitments("position")
    timeline.put(1000 * MS, column(1, 2, 3))
    timeline.hold(1150 * MS, np.array([1.9]))
    assert [timeline.at(t * MS)[0] for t in (1120, 1160, 9000)] == [2, 1.9, 1.9]
    timeline.put(2000 * MS, column(5))
    assert [timeline.at(t * MS)[0] for t in (1999, 2000, 2100)] == [1.9, 5, 5]


def test_position_robot_that_was_not_measured_holds_where_its_plan_has_brought_it():
    timeline = commitments("position")
    timeline.put(1000 * MS, column(1, 2, 3))
    timeline.hold(1150 * MS)
    assert timeline.at(5000 * MS) == 2


def test_a_hold_is_no_plan():
    timeline = commitments()
    timeline.put(0, column(1))
    assert not timeline.entry_at(0).is_rest
    timeline.hold(1)
    assert timeline.entry_at(1).is_rest
    timeline = commitments("position")
    timeline.hold(0, np.array([2.0]))
    assert timeline.entry_at(10**15).is_rest


@pytest.mark.parametrize("kind", ["velocity", "position"])
def test_ahead_is_what_applies_period_by_period(kind):
    timeline = commitments(kind)
    timeline.put(1000 * MS, column(1, 2, 3))
    expected = [timeline.at((1150 + 100 * k) * MS)[0] for k in range(5)]
    assert timeline.ahead(1150 * MS, 5)[:, 0].tolist() == expected
    assert timeline.ahead(9150 * MS, 2)[:, 0].tolist() == expected[-2:]


def test_old_plans_are_forgotten_and_the_one_in_force_is_not():
    timeline = commitments()  # remembers three periods
    for number in range(50):
        timeline.put(number * 100 * MS, column(number))
    assert len(timeline.entries) <= 5
    assert timeline.at(4800 * MS) == 48
