"""Goals one after another."""

from __future__ import annotations

import math

import pytest

from wm_mpc.control.goals import GoalQueue, GoalStatus

WAITING, EXECUTING, REACHED, ABORTED, CANCELLED = GoalStatus


def statuses(queue):
    return [goal.status for goal in queue.all()]


def see(queue, distance, now=0.0, *, number=None, timeout=0.0):
    number = queue.current.number if number is None else number
    return queue.see(number, distance, now, tolerance=0.5, timeout=timeout)


@pytest.fixture
def queue():
    """With the goals a, b and c; two observations settle."""
    queue = GoalQueue(settle=2)
    for content in "abc":
        queue.append(content)
    return queue


def test_the_first_goal_is_executed_and_others_wait(queue):
    assert statuses(queue) == [EXECUTING, WAITING, WAITING]
    assert (queue.current.number, queue.current.content) == (1, "a")


def test_a_goal_is_reached_when_so_many_observations_in_a_row_are_near(queue):
    assert not see(queue, 0.4)
    assert not see(queue, 0.6)
    assert not see(queue, 0.4)
    assert see(queue, 0.3)
    assert statuses(queue) == [REACHED, EXECUTING, WAITING]
    assert queue.all()[0].distance == 0.3


def test_the_next_goal_begins_anew(queue):
    see(queue, 0.1, now=5.0)
    see(queue, 0.1, now=6.0)
    assert not see(queue, 0.1, now=7.0)
    assert queue.current.seconds == 0.0


def test_the_last_goal_stays_when_it_is_reached_until_another_comes():
    queue = GoalQueue(settle=1)
    queue.append("a")
    assert see(queue, 0.1)
    assert not see(queue, 9.0, now=100.0, timeout=1.0)  # pushed away: it goes back
    assert queue.current.status is REACHED
    queue.append("b")
    assert statuses(queue) == [REACHED, EXECUTING]
    assert queue.current.content == "b"


def test_a_distance_that_is_not_known_reaches_nothing(queue):
    assert not any(see(queue, math.nan) for _ in range(10))
    assert queue.current.status is EXECUTING


def test_a_goal_that_takes_too_long_is_aborted_with_the_reason(queue):
    assert not see(queue, 9.0, now=10.0, timeout=3.0)
    assert not see(queue, 9.0, now=13.0, timeout=3.0)
    assert see(queue, 9.0, now=13.1, timeout=3.0)
    first = queue.all()[0]
    assert (first.status, first.reason) == (ABORTED, "not reached within 3 s")
    assert queue.current.content == "b"


def test_time_that_goes_back_is_a_new_beginning(queue):
    see(queue, 9.0, now=100.0, timeout=3.0)
    assert not see(queue, 9.0, now=1.0, timeout=3.0)
    assert not see(queue, 9.0, now=3.0, timeout=3.0)


def test_an_observation_made_for_another_goal_does_not_count(queue):
    assert not any(see(queue, 0.1, number=2) for _ in range(5))
    assert queue.current.number == 1


def test_a_replacement_cancels_all_that_have_not_ended(queue):
    see(queue, 0.1)
    see(queue, 0.1)
    queue.replace("d")
    assert statuses(queue) == [REACHED, CANCELLED, CANCELLED, EXECUTING]
    assert [goal.number for goal in queue.all()] == [1, 2, 3, 4]
    assert queue.all()[2].reason == "another goal came in its place"


def test_skipped_goals_are_cancelled_and_the_next_begins(queue):
    assert queue.skip()
    assert statuses(queue) == [CANCELLED, EXECUTING, WAITING]
    assert queue.skip()
    assert queue.skip()
    assert queue.current is None
    assert not queue.skip()


def test_a_reached_goal_that_is_left_was_reached():
    queue = GoalQueue(settle=1)
    queue.append("a")
    see(queue, 0.1)
    queue.skip()
    assert statuses(queue) == [REACHED]


def test_cleared_goals_leave_none_to_plan_for(queue):
    assert queue.clear() == 3
    assert queue.current is None
    assert set(statuses(queue)) == {CANCELLED}
    assert queue.clear() == 0
    assert queue.append("d").number == 4
    assert queue.current.content == "d"  # type: ignore[attr-defined]


def test_another_content_is_another_revision(queue):
    queue.exchange(1, "A")
    queue.exchange(3, "C")
    assert [goal.content for goal in queue.all()] == ["A", "b", "C"]
    assert [goal.revision for goal in queue.all()] == [1, 0, 1]


def test_too_many_goals_are_refused_and_none_is_lost():
    queue = GoalQueue()
    for number in range(101):
        queue.append(number)
    with pytest.raises(ValueError, match="100 goals wait already"):
        queue.append("one more")
    assert len(queue.all()) == 101


def test_only_the_latest_goals_are_remembered():
    queue = GoalQueue(settle=1)
    for number in range(30):
        queue.replace(number)
    assert [goal.number for goal in queue.all()] == list(range(20, 31))
