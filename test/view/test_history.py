"""The latest values, for charts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wm_mpc.codes import Level
from wm_mpc.messages.progress_statuses import LearnerStatus
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.view.histories import CHARTS, Histories
from wm_mpc.view.history import History


def test_columns_are_relative_to_now_and_old_rows_leave():
    history = History(("a", "b"), seconds=10.0)
    for now in range(20):
        history.add(float(now), (now, 2 * now))
    x, a, b = history.columns(19.0)
    assert x.tolist() == [float(k) for k in range(-10, 1)]
    assert a.tolist() == [float(k) for k in range(9, 20)]
    assert (b == 2 * a).all()


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_chart_always_has_an_extent(rows):
    history = History(("a",), seconds=10.0)
    for now in range(rows):
        history.add(float(now), (1.0,))
    x, a = history.columns(2.0)
    assert len(x) == len(a) >= 2
    assert x[0] < x[-1]


def test_unknown_numbers_take_their_neighbours():
    history = History(("a", "b"), seconds=100.0)
    history.add(0.0, (math.nan, 1.0))
    history.add(1.0, (5.0, math.inf))
    history.add(2.0, (math.nan, 3.0))
    _, a, b = history.columns(2.0)
    assert a.tolist() == [5.0, 5.0, 5.0]
    assert b.tolist() == [1.0, 1.0, 3.0]


def test_a_column_without_any_number_is_zero():
    history = History(("a", "b"), seconds=100.0)
    history.add(0.0, (1.0, math.nan))
    assert history.columns(0.0)[2].tolist() == [0.0, 0.0]


def test_a_row_without_any_number_is_left_out():
    history = History(("a", "b"), seconds=100.0)
    history.add(0.0, (math.nan, math.inf))
    assert len(history) == 0


def test_a_clock_that_was_set_back_begins_a_new_history():
    history = History(("a",), seconds=100.0)
    history.add(50.0, (1.0,))
    history.add(2.0, (7.0,))
    assert history.columns(2.0)[1].tolist() == [7.0, 7.0]


def test_the_number_of_rows_is_bounded():
    history = History(("a",), seconds=1e9, longest=5)
    for now in range(100):
        history.add(float(now), (1.0,))
    assert len(history) == 5


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 values for 1 columns"):
        History(("a",), 1.0).add(0.0, (1.0, 2.0))


def status(**values):
    named = {key.replace("_", " ") if "error" not in key else key: v for key, v in values.items()}
    return MpcStatus("mpc", Level.OK, "planning", "planning", named)


def test_a_status_fills_the_charts_with_thresholds_from_the_parameters():
    histories = Histories(60.0)
    values = {
        "image to plan p50 (ms)": "12.0", "plan p50 (ms)": "9.0", "encode p50 (ms)": "1.0",
        "overhead p50 (ms)": "2.0", "prediction_error": "0.2", "image_error": "0.6",
        "goal distance (model steps)": "1.5", "overruns": "3",
    }  # fmt: skip
    said = MpcStatus("mpc", Level.OK, "planning", "planning", values)
    parameters = {
        "surprise.slow": 2.0, "surprise.hold": 3.5, "surprise.image": 3.0, "goal.tolerance": 0.5,
    }  # fmt: skip
    histories.add_status(said, 1.0, parameters)
    newest = {
        name: [c[-1] for c in columns[1:]] for name, columns in histories.columns(1.0).items()
    }
    assert newest["stages"] == [12.0, 9.0, 1.0, 2.0]
    assert newest["surprise"] == [0.2, 0.6, 2.0, 3.5, 3.0]
    assert newest["distance"] == [1.5, 0.5]


def test_missed_steps_are_those_since_the_last_status():
    histories = Histories(60.0)
    for now, overruns in enumerate((7, 7, 10, 0)):  # then the controller was started again
        histories.add_status(status(overruns=str(overruns)), float(now), {})
    assert histories.columns(3.0)["missed"][1].tolist() == [0.0, 3.0, 0.0]


def test_without_a_measured_surprise_thresholds_alone_are_no_row():
    histories = Histories(60.0)
    histories.add_status(status(prediction_error="not known"), 0.0, {"surprise.hold": 3.5})
    assert len(histories.surprise) == 0


def test_every_chart_has_columns_of_one_length_from_the_start():
    for columns in Histories(60.0).columns(0.0).values():
        assert len({len(column) for column in columns}) == 1
    assert set(Histories(60.0).columns(0.0)) == set(CHARTS)


def test_another_set_of_losses_begins_a_new_chart():
    histories = Histories(60.0)
    histories.add_learner(LearnerStatus("learner"), 0.0)
    before = histories.losses
    assert before is None
    histories.add_learner(LearnerStatus("learner", losses={"a": 1.0}), 1.0)
    histories.add_learner(LearnerStatus("learner", losses={"a": 0.5}), 2.0)
    assert histories.losses.columns(2.0)[1].tolist() == [1.0, 0.5]  # type: ignore[attr-defined]
    histories.add_learner(LearnerStatus("learner", losses={"b": 9.0}), 3.0)
    assert histories.losses.names == ("b",)  # type: ignore[attr-defined]
    assert np.isfinite(histories.losses.columns(3.0)[1]).all()  # type: ignore[attr-defined]
