"""`evaluate --disturb`: what it measures, records, draws, and refuses."""

from __future__ import annotations

import dataclasses
import json
import unittest.mock

import numpy as np
import pytest

from wm_mpc.cli import evaluate
from wm_mpc.experiments.common.beside import Watched
from wm_mpc.experiments.common.disturbed import guard_errors, guard_summary
from wm_mpc.experiments.common.journal import Journal
from wm_mpc.experiments.success.cells import summarise
from wm_mpc.experiments.success.disturb_curve import guard_curve, label

QUICK = ["--task", "wall", "--planners", "adam", "--set", "planner.iterations=3"]


def run(tmp_path, *more, episodes="2", steps="6"):
    out = tmp_path / "out"
    arguments = [*QUICK, "--episodes", episodes, "--steps", steps, "--out", str(out), *more]
    assert evaluate.main(arguments) == 0
    return json.loads((out / "results.json").read_text()), out


def test_each_disturbance_has_a_row_with_the_guards_errors(tmp_path):
    results, out = run(tmp_path, "--disturb", "none,light:0.8", "--disturb", "covered:1+noise:2")
    rows = {cell["disturbance"]: cell for cell in results["cells"]}
    assert list(rows) == ["none", "light:0.8", "covered:1+noise:2"]
    assert results["disturbances"] == list(rows)
    for name in ("none", "light:0.8"):
        assert rows[name]["image_error_median"] <= rows[name]["image_error_p95"] < 1.5
        assert rows[name]["held_share"] == 0.0
    assert rows["covered:1+noise:2"]["image_error_median"] > 3.0
    assert rows["covered:1+noise:2"]["held_share"] == 1.0
    assert rows["covered:1+noise:2"]["holds"] == 0  # without --guard, it drives on
    table = (out / "results.md").read_text()
    assert "| pictures | image error p50 / p95 | held |" in table
    assert "light:0.8" in table
    assert (out / "guard.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((out / "guard.json").read_text())["disturbances"].keys() == rows.keys()


def test_with_the_guard_a_robot_in_danger_stands_still(tmp_path):
    results, out = run(tmp_path, "--disturb", "none,covered:1", "--guard")
    undisturbed, covered = results["cells"]
    assert undisturbed["holds"] == 0
    assert covered["holds"] == 2 * 6
    assert covered["success_rate"] == 0.0
    assert not (out / "guard.json").exists()  # success says nothing about a robot that is held


def test_an_evaluation_without_disturbances_is_as_before(benchmark):
    assert "disturbances" not in benchmark.identity()
    assert {cell.disturbance for cell in benchmark.cells()} == {""}
    disturbed = dataclasses.replace(benchmark, disturbances=("none",))
    assert disturbed.identity()["disturbances"] == ["none"]
    rows = summarise(benchmark, Journal(None, {}, {}), 1)
    assert not any("disturbance" in row for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--disturb", "lamp:1"], ["lamp", "light", "covered", "none"]),
        (["--disturb", "light:9"], ["light is 9", "from 0 to 4"]),
        (["--disturb", "beside:8+light:0.8"], ["beside stands alone"]),
        (["--disturb", "none", "--through-ros"], ["open and closed"]),
        (["--guard"], ["--disturb"]),
    ],
)
def test_what_is_not_accepted_is_refused_with_what_is(arguments, said, capsys):
    try:
        code = evaluate.main([*QUICK, *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2
    shown = capsys.readouterr().err
    assert all(word in shown for word in said)


def test_the_help_lists_every_disturbance_with_its_range():
    shown = evaluate.parser().format_help()
    for line in ("light:0..4", "shift:0..32", "jpeg:1..100", "covered:0..1"):
        assert line in shown


def test_a_cell_without_known_errors_says_so():
    assert guard_summary([float("nan")])["held_share"] is None
    assert guard_summary([1.0, 5.0]) == {
        "image_error_median": 3.0, "image_error_p95": 4.8, "held_share": 0.5,
    }  # fmt: skip


def test_a_picture_that_a_foreign_object_held_counts_as_held():
    extra = {"image_errors": [1.0, 0.2, 5.0, 0.4], "foreign_held": [1]}
    errors = guard_errors(extra)
    assert errors == [1.0, float("inf"), 5.0, 0.4]
    assert extra["image_errors"] == [1.0, 0.2, 5.0, 0.4]
    assert guard_summary(errors)["held_share"] == 0.5
    assert guard_summary(errors)["image_error_median"] == 1.0
    assert guard_summary([float("inf")])["image_error_median"] is None
    found = guard_curve({"none": 1.0, "patch:12": 0.1}, {"none": [0.5], "patch:12": errors})
    assert found["disturbances"]["patch:12"]["held"] == 0.5
    assert found["missed_dangers"] == 0.5


def test_an_object_beside_the_way_touches_nothing_that_moved():
    watched = Watched(unittest.mock.Mock())
    still = np.full((64, 64, 3), 90, np.uint8)
    for column in range(10, 50):
        image = still.copy()
        image[30:34, column : column + 4] = 250
        watched.images.append(image)
    for seed in range(20):
        seen = watched.disturber("beside:12", [seed])(still)
        rows, columns = np.nonzero((seen != still).any(-1))
        near = (rows > 25) & (rows < 38) & (columns > 5) & (columns < 58)
        assert len(rows) > 90
        assert not near.any()
    with pytest.raises(ValueError, match="beside:60"):
        watched.disturber("beside:60", [0])


# ------------------------------------------------------------------------------------- the curve


@pytest.mark.parametrize(
    ("success", "said"),
    [(0.9, "harmless"), (0.86, "harmless"), (0.8, "between"), (0.7, "dangerous")],
)
def test_what_is_dangerous_is_measured_by_success(success, said):
    assert label(success, 0.9) == said
    assert label(success, 0.0) == "harmless"


def test_a_guard_that_separates_has_no_false_holds_and_misses_nothing():
    found = guard_curve(
        {"none": 0.9, "light:0.8": 0.9, "dark:0.9": 0.0},
        {"none": [0.5, 0.7], "light:0.8": [0.9], "dark:0.9": [9.0, 12.0]},
    )
    assert (found["false_holds"], found["missed_dangers"], found["area"]) == (0.0, 0.0, 1.0)
    assert found["disturbances"]["dark:0.9"]["is"] == "dangerous"


def test_each_disturbance_counts_the_same_and_both_faults_are_counted():
    found = guard_curve(
        {"none": 1.0, "blur:1": 1.0, "shift:9": 0.1},
        {"none": [0.5] * 98, "blur:1": [1.0, 4.0], "shift:9": [1.0, 1.0, 1.0, 5.0]},
    )
    assert found["false_holds"] == 0.25
    assert found["missed_dangers"] == 0.75
    curve = found["curve"]
    assert curve["false_holds"] == sorted(curve["false_holds"], reverse=True)
    assert curve["missed_dangers"] == sorted(curve["missed_dangers"])


def test_without_undisturbed_pictures_or_errors_there_is_no_curve():
    assert guard_curve({"light:0.8": 1.0}, {"light:0.8": [1.0]}) is None
    assert guard_curve({"none": 1.0}, {"none": [float("nan")]}) is None


def test_without_danger_the_curve_says_what_it_knows():
    found = guard_curve({"none": 1.0}, {"none": [0.5]})
    assert found["false_holds"] == 0.0
    assert found["missed_dangers"] is found["area"] is None
