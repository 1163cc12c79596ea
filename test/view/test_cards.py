"""Texts of the page."""

from __future__ import annotations

from pathlib import Path

from wm_mpc.codes import GoalCode, HoldCode, LearnerCode, Level
from wm_mpc.messages.progress_statuses import LearnerStatus
from wm_mpc.messages.statuses import GoalReport, MpcStatus
from wm_mpc.view.cards import goals_card, said_card, state_card, training_card
from wm_mpc.view.model import ViewModel


def view(code=HoldCode.STALE_IMAGE, sentence="image is 2.0 s old", **values):
    model = ViewModel(60.0, lambda: 0.0)
    model.on_status(MpcStatus("mpc", Level.ERROR, code, sentence, values))
    return model.view()


def test_the_state_says_what_why_and_with_what():
    card = state_card(view(checkpoint="/shared/push_t.safetensors", planner="cem"))
    for part in ("Holding", "image is 2.0 s old", "push_t", "cem", "wm-bad", "hold.stale_image"):
        assert part in card
    assert "/shared" not in card


def test_what_a_node_says_cannot_become_part_of_the_page():
    evil = "<script>alert(1)</script>"
    assert "<script" not in state_card(view(sentence=evil, planner=evil, checkpoint=evil))
    assert "<script" not in said_card(evil, is_refusal=True)
    assert "<script" not in goals_card((GoalReport(1, GoalCode.ABORTED, evil),))
    learner = LearnerStatus("l", LearnerCode.FAILED, evil, stage=evil, losses={evil: 1.0})
    assert "<script" not in training_card(learner)


def test_the_newest_goals_come_first_and_unknown_distances_are_empty():
    goals = (
        GoalReport(1, GoalCode.ABORTED, "too late", distance=2.0, tolerance=0.5),
        GoalReport(2, GoalCode.EXECUTING),
    )
    card = goals_card(goals)
    assert card.index("executing") < card.index("aborted")
    assert "2.00 / 0.50" in card
    assert "too late" in card
    assert "nan" not in card


def test_waiting_goals_are_counted():
    goals = tuple(GoalReport(number, GoalCode.WAITING) for number in range(1, 20))
    assert "19 waiting" in goals_card(goals)


def test_a_training_shows_its_losses_and_the_time_left():
    learner = LearnerStatus(
        "learner", LearnerCode.TRAINING, seconds=61.0, stage="dynamics", update=25, total=100,
        seconds_left=125.0, losses={"one step": 0.125}, checkpoint=Path("/x/new.safetensors"),
    )  # fmt: skip
    card = training_card(learner)
    for part in ("25.0%", "2 min 5 s", "dynamics", "one step", "0.125", "new.safetensors"):
        assert part in card


def test_without_a_learner_the_page_says_so():
    assert "No learner" in training_card(None)


def cancelled(*numbers):
    reason = "another goal came in its place"
    goals = [GoalReport(number, GoalCode.CANCELLED, reason) for number in numbers]
    return (*goals, GoalReport(max(numbers) + 1, GoalCode.EXECUTING))


def test_goals_that_a_simulation_replaced_show_whether_they_were_reached():
    card = goals_card(cancelled(1, 2, 3), {1: True, 2: False})
    newest, missed, reached = (card.index(word) for word in ("ended", "missed", "reached"))
    assert newest < missed < reached
    assert "cancelled" not in card
    assert card.count("another goal came in its place") == 1


def test_a_reached_goal_stays_reached_whatever_the_simulation_saw():
    assert "missed" not in goals_card((GoalReport(1, GoalCode.REACHED),), {1: False})


def test_fewer_pictures_on_a_busy_computer_are_said():
    assert "5 per second, as this computer is busy" in state_card(view(), 5.0)
    assert "busy" not in state_card(view())
