"""What is said about episodes."""

from __future__ import annotations

from wm_mpc.sim.scoreboard import Scoreboard, errors_text


def test_lines_and_summary_read_as_promised():
    board = Scoreboard()
    board.add(True, 41)
    assert (
        board.episode_line(1, True, 41, {"distance": 0.062})
        == "episode 1: reached the goal in 41 steps (distance 0.062 m), 1 of 1"
    )
    board.add(False, 100)
    assert (
        board.episode_line(2, False, 100, {"distance": 0.4, "angle": 0.1})
        == "episode 2: did not reach the goal in 100 steps "
        "(distance 0.400 m, angle 0.10 rad), 1 of 2"
    )
    assert board.summary(18.44) == "episodes 2  success 1  mean steps 41.0  mean plan 18.4 ms"


def test_mean_steps_are_of_successful_episodes_only():
    board = Scoreboard()
    for success, steps in [(True, 10), (False, 100), (True, 20)]:
        board.add(success, steps)
    assert "mean steps 15.0" in board.summary(None)


def test_what_is_unknown_is_not_invented():
    assert Scoreboard().summary(None) == ("episodes 0  success 0  mean steps n/a  mean plan n/a")


def test_unit_is_left_out_where_it_is_not_known():
    assert errors_text({"overlap": 0.5}) == "overlap 0.50"
