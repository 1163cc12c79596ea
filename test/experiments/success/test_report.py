"""Tables, JSON and the picture, from made-up episodes."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from wm_mpc.experiments.success.evaluation import Evaluation
from wm_mpc.experiments.success.tables import markdown, save

from .conftest import record


def results_of(benchmark, episodes=4, success=lambda cell, episode: True, **settings):
    evaluation = Evaluation(benchmark, episodes, command="evaluate ...", code="0.1.0", **settings)
    for cell in benchmark.cells():
        for episode in range(episodes):
            evaluation._journal.add(record(cell, episode, success(cell, episode)))
    return evaluation.results()


def rows_of(text):
    """The first table as dicts."""
    lines = [line.strip("| ").split(" | ") for line in text.split("\n\n")[0].splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_table_has_a_row_for_every_cell(described):
    rows = rows_of(markdown(results_of(described)))
    assert len(rows) == 2 * 2 * 2 * 3  # loops, variants, planners; two seeds and pooled
    assert rows[0] == {
        "task": "wall", "goals": "random", "variant": "none", "training seed": "0",
        "planner": "adam", "loop": "open", "success": "100 % of 4", "95 % interval": "51-100 %",
        "within 50 steps": "100 %", "at the end": "100 %", "mean steps": "20.0",
        "plan p50 / p99 ms": "10.0 / 10.0", "time / CEM": "0.25", "time / CEM on none": "0.25",
    }  # fmt: skip


def test_columns_that_say_nothing_are_left_out(described):
    plain = dataclasses.replace(
        described, checkpoints=described.checkpoints[2:3], loops=("closed",), steps=50
    )
    (row, _) = rows_of(markdown(results_of(plain)))
    assert set(row) == {
        "task", "goals", "variant", "planner", "loop", "success", "95 % interval", "mean steps",
        "plan p50 / p99 ms", "time / CEM",
    }  # fmt: skip


def test_comparisons_and_what_they_mean_follow(described):
    text = markdown(results_of(described, success=lambda cell, _: cell.variant == "all"))
    assert "| closed | all adam | none adam | 8 | 8 | 0 | 0.00781 | 0.0625 | 0.333 |" in text
    assert "| closed | all adam | all cem | 8 | 0 | 0 | 1 | 1 | - |" in text
    assert "exact McNemar test, two-sided, of these models" in text
    assert "p, seeds: about models of other training seeds" in text
    assert "A, B: two rows of the table above" in text


@pytest.mark.parametrize(("planners", "explained"), [(("adam", "cem"), True), (("adam",), False)])
def test_what_a_column_means_is_said_if_it_says_something(described, planners, explained):
    text = markdown(results_of(dataclasses.replace(described, planners=planners)))
    assert "\n- variant: the world model, by the data synthesis" in text
    assert ("\n- time / CEM: median plan time, divided by that of cem" in text) == explained


def test_notes_tell_what_makes_numbers_incomparable(described):
    text = markdown(results_of(described, episodes=2, workers=2))
    assert "2 processes at once: plan times are not comparable" in text
    assert "Not finished" not in text
    evaluation = Evaluation(described, 3)
    evaluation._journal.add(record(described.cells()[0], 0))
    assert "**Not finished**: the same command continues." in markdown(evaluation.results())


def test_ceiling_is_labelled_in_the_table_and_explained(described):
    both = dataclasses.replace(described, planners=("adam", "true_simulator"), loops=("closed",))
    text = markdown(results_of(both))
    assert "| - | - | true_simulator (privileged) | closed |" in text
    assert "true_simulator is a ceiling, not a planner" in text
    assert "a new plan every 5 control steps" in text


@pytest.mark.slow
@pytest.mark.parametrize("loops", [("closed",), ("open", "closed"), ("open", "closed", "ros")])
def test_picture_is_drawn_whatever_was_measured(described, tmp_path, loops):
    planners = ("adam", "cem", "true_simulator")
    benchmark = dataclasses.replace(described, planners=planners, loops=loops)
    results = results_of(benchmark, success=lambda cell, episode: episode % 3 > 0)
    save(tmp_path, results, picture=True)
    picture = cv2.imread(str(tmp_path / "results.png"))
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(json.dumps(results))
    assert (tmp_path / "results.md").read_text() == markdown(results) + "\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "results.html", "results.json", "results.md", "results.png",
    ]  # fmt: skip


def test_cell_whose_plans_all_failed_is_reported(described, tmp_path):
    evaluation = Evaluation(described, 1)
    cell = described.cells()[0]
    evaluation._journal.add(record(cell, 0, success=False, plan_ms=[], holds=100))
    save(tmp_path, evaluation.results(), picture=True)
    assert "- / -" in (tmp_path / "results.md").read_text()


def test_results_say_where_they_come_from(described):
    results = results_of(described)
    assert results["command"] == "evaluate ..."
    assert (results["code"], results["seed"], results["complete"]) == ("0.1.0", 7, True)
    machine = {"cpu", "cores", "system", "python", "torch", "native"}
    assert results["machine"].keys() == machine
    assert len(results["checkpoints"]) == 4
    assert results["planners"]["cem"]["iterations"] == 30
    assert results["objective"]["mode"] == "all"
    assert len(results["date"]) == len("2025-01-31")
