"""What the viewer knows, and what of it is old or gone. The clock is turned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.codes import GoalCode, Level, SimCode, StatusCode
from wm_mpc.messages.progress_statuses import EpisodeStatus, LearnerStatus
from wm_mpc.messages.statuses import GoalReport, MpcStatus
from wm_mpc.view.model import CAMERA_STALE, Path, ViewModel

PICTURE = np.zeros((4, 4, 3), np.uint8)
EPISODE = EpisodeStatus(SimCode.EXECUTING, "executes", "wall", 1, False, 3, {}, 0, 0, 0)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def model(clock):
    return ViewModel(60.0, clock)


def test_nothing_is_shown_of_a_robot_that_says_nothing(model):
    view = model.view()
    assert view.camera is view.goal is view.imagined is view.projection is None
    assert view.paths == view.goals == ()
    assert not view.is_live
    assert view.executing is None


def test_each_picture_has_a_number_of_its_own(model):
    model.on_picture("camera", PICTURE)
    first = model.view().camera
    model.on_picture("camera", PICTURE)
    assert model.view().camera.number == first.number + 1


def test_a_camera_that_stops_is_stale_and_its_last_picture_stays(model, clock):
    model.on_picture("camera", PICTURE)
    clock.now += CAMERA_STALE
    assert not model.view().is_camera_stale
    clock.now += 0.01
    assert model.view().is_camera_stale
    assert model.view().camera is not None
    model.on_picture("camera", PICTURE)
    assert not model.view().is_camera_stale


def test_the_plan_of_the_past_is_not_drawn(model, clock):
    model.on_picture("imagined", PICTURE)
    model.on_paths([Path("robot", np.zeros((3, 3)))])
    assert model.view().imagined is not None
    assert len(model.view().paths) == 1
    clock.now += 2.0
    assert model.view().imagined is None
    assert model.view().paths == ()


def test_the_goal_stays_however_old_it_is(model, clock):
    model.on_picture("goal", PICTURE)
    clock.now += 3600.0
    assert model.view().goal is not None


def test_the_plan_is_drawn_on_top_of_the_candidates(model):
    model.on_paths([Path(name, np.zeros((2, 3))) for name in ("robot", "elite", "block_", "elite")])
    assert [path.name for path in model.view().paths] == ["elite", "elite", "robot", "block_"]


def test_a_projection_needs_both_intrinsics_and_a_place(model):
    model.on_intrinsics(np.eye(3), 48, 64)
    assert model.view().projection is None
    model.on_camera_pose(np.zeros(3), np.eye(3))
    assert model.view().projection.width == 64


def test_a_killed_controller_is_gone_and_its_page_stays(model, clock):
    model.on_status(MpcStatus("mpc", Level.OK, StatusCode.PLANNING, "planning"))
    assert model.view().is_live
    clock.now += 10.0
    view = model.view()
    assert view.headline.word == "Gone"
    assert not view.is_live
    assert view.status is not None


@pytest.mark.parametrize("what", ["episode", "learner"])
def test_a_simulation_or_training_that_ended_is_not_shown(model, clock, what):
    status = EPISODE if what == "episode" else LearnerStatus("learner")
    getattr(model, f"on_{what}")(status)
    assert getattr(model.view(), what) == status
    clock.now += 6.0
    assert getattr(model.view(), what) is None


def test_goals_are_in_their_order_and_the_executing_one_is_known(model):
    codes = {3: GoalCode.WAITING, 1: GoalCode.REACHED, 2: GoalCode.EXECUTING}
    model.on_goals([GoalReport(number, code) for number, code in codes.items()])
    assert [goal.number for goal in model.view().goals] == [1, 2, 3]
    assert model.view().executing.number == 2


def test_parameters_are_kept_by_name(model):
    model.on_parameters({"rate": 10.0, "cost.mode": "all"})
    model.on_parameters({"rate": 5.0})
    assert model.view().parameters == {"rate": 5.0, "cost.mode": "all"}


def test_costs_and_losses_come_to_the_charts(model, clock):
    for cost in (1.0, 0.5):
        model.on_cost(cost)
        clock.now += 0.1
    assert model.charts()["cost"][1].tolist() == [1.0, 0.5]
    assert model.losses() == ((), ())
    model.on_learner(LearnerStatus("learner", losses={"a": 2.0}))
    names, columns = model.losses()
    assert names == ("a",)
    assert columns[1][-1] == 2.0


def episode(finished, successes):
    return EpisodeStatus(
        SimCode.EXECUTING, "", "push_t", finished + 1, False, 1, {}, finished, successes, 0
    )


def test_a_goal_gets_the_verdict_of_the_episode_in_which_it_was_planned_for():
    model = ViewModel(60.0, lambda: 0.0)
    model.on_episode(episode(4, 2))
    model.on_goals([GoalReport(1, GoalCode.EXECUTING), GoalReport(2, GoalCode.WAITING)])
    model.on_episode(episode(5, 3))
    assert model.view().verdicts == {1: True}
    model.on_goals([GoalReport(1, GoalCode.CANCELLED), GoalReport(2, GoalCode.EXECUTING)])
    model.on_episode(episode(5, 3))
    model.on_episode(episode(6, 3))
    assert model.view().verdicts == {1: True, 2: False}


def test_episodes_that_were_not_seen_to_end_give_no_verdict():
    model = ViewModel(60.0, lambda: 0.0)
    model.on_goals([GoalReport(1, GoalCode.EXECUTING)])
    model.on_episode(episode(4, 2))
    model.on_episode(episode(7, 5))
    assert model.view().verdicts == {}
