"""Whole evaluations in the real simulator, with the shipped world model: killed and continued."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest

from wm_mpc.cli import evaluate
from wm_mpc.experiments.common.journal import JournalError
from wm_mpc.experiments.common.protocol import Cell, run_jobs
from wm_mpc.experiments.success.evaluation import Evaluation

ARGUMENTS = [
    "--planners", "adam,cem", "--loops", "open,closed", "--episodes", "3", "--steps", "15",
    "--seed", "3", "--set", "planner.iterations=3", "planner.samples=20", "planner.elites=5",
]  # fmt: skip


def outcomes(folder):
    """What happened in every episode, by cell; without times, which differ."""
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    return {
        (*entry["cell"].values(), entry["episode"]): (
            entry["success"], entry["steps"], entry["errors"], len(entry["plan_ms"]),
        )
        for entry in lines
        if "cell" in entry
    }  # fmt: skip


def command(folder):
    return [sys.executable, "-m", "wm_mpc.cli.evaluate", *ARGUMENTS, "--out", str(folder)]


@pytest.mark.slow
def test_killed_evaluation_continues_and_ends_as_an_uninterrupted_one(tmp_path, capsys):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(command(killed), stderr=subprocess.DEVNULL)
    journal = killed / "episodes.jsonl"
    deadline = time.monotonic() + 120
    while not (journal.is_file() and journal.read_text().count("\n") > 5):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = outcomes(killed)
    assert 4 <= len(finished) < 12

    results = []
    for folder in (killed, whole):
        code = evaluate.main(command(folder)[3:])
        said = capsys.readouterr()
        assert code == 0, said.err
        results.append(json.loads((folder / "results.json").read_text()))
        assert said.out == (folder / "results.md").read_text()
    assert outcomes(killed) == outcomes(whole)
    assert outcomes(killed).items() >= finished.items()
    assert all(result["complete"] for result in results)
    names = ("variant", "planner", "loop", "episodes", "success_rate", "steps_mean")
    tables = [[[cell[name] for name in names] for cell in result["cells"]] for result in results]
    assert tables[0] == tables[1]


def test_finished_evaluation_is_not_run_again_and_can_be_extended(benchmark, tmp_path):
    small = dataclasses.replace(benchmark, loops=("open",), planners=("adam",))
    first = Evaluation(small, 2, out=tmp_path)
    first.run()
    seen = []
    Evaluation(small, 2, out=tmp_path).run(seen.append)
    assert seen == []
    results = Evaluation(small, 3, out=tmp_path).run(seen.append)
    assert seen == [1]
    assert results["cells"][0]["episodes"] == 3


def test_other_settings_need_another_folder_or_a_fresh_start(benchmark, tmp_path):
    small = dataclasses.replace(benchmark, loops=("open",), planners=("adam",))
    Evaluation(small, 1, out=tmp_path).run()
    longer = dataclasses.replace(small, steps=30)
    with pytest.raises(JournalError, match="started with steps 20, not 30"):
        Evaluation(longer, 1, out=tmp_path)
    assert Evaluation(longer, 1, out=tmp_path, fresh=True).done() == 0


def test_cells_take_turns_within_each_episode(benchmark):
    jobs = [(episode, benchmark.cells()) for episode in range(2)]
    order = [(record.episode, record.cell) for record in run_jobs(benchmark, jobs)]
    assert order == [(episode, cell) for episode in range(2) for cell in benchmark.cells()]


def test_all_cells_face_the_same_episodes(benchmark):
    """An action weight so large that no planner moves: the errors are those of the starts."""
    objective = dataclasses.replace(benchmark.settings.objective, action_weight=100.0)
    lazy = dataclasses.replace(
        benchmark, steps=1,
        settings=dataclasses.replace(benchmark.settings, objective=objective),
    )  # fmt: skip
    records = list(run_jobs(lazy, [(episode, lazy.cells()) for episode in range(3)]))
    distances = np.array([record.errors["distance"] for record in records]).reshape(3, -1)
    assert np.ptp(distances, axis=1).max() < 0.11  # m, one step at full speed
    assert np.ptp(distances[:, 0]) > 0.11


@pytest.mark.slow
def test_workers_change_times_only(benchmark):
    small = dataclasses.replace(benchmark, loops=("open",))
    jobs = [(episode, small.cells()) for episode in range(3)]

    def by_cell(records):
        return {(r.cell, r.episode): dataclasses.replace(r, plan_ms=[]) for r in records}

    assert by_cell(run_jobs(small, jobs, workers=2)) == by_cell(run_jobs(small, jobs))


@pytest.mark.slow
def test_ceiling_reaches_the_goals_of_the_wall_task(benchmark):
    ceiling = dataclasses.replace(
        benchmark, checkpoints=(), planners=("true_simulator",), loops=("closed",), steps=60,
        settings=dataclasses.replace(
            benchmark.settings,
            planners={
                "true_simulator": dataclasses.replace(
                    benchmark.settings.planners["cem"], samples=20, elites=5, iterations=2
                )
            },
        ),
    )  # fmt: skip
    (cell,) = ceiling.cells()
    assert cell == Cell("-", None, "true_simulator", "closed")
    records = list(run_jobs(ceiling, [(episode, [cell]) for episode in range(2)]))
    assert [record.success for record in records] == [True, True]
    assert all(len(record.plan_ms) == -(-record.steps // 5) for record in records)
    again = list(run_jobs(ceiling, [(1, [cell])]))
    assert again[0].errors == records[1].errors


def test_films_of_the_first_successes_and_failures_are_kept(benchmark, tmp_path):
    filmed = dataclasses.replace(benchmark, loops=("closed",), planners=("adam",), films=1, steps=8)
    results = Evaluation(filmed, 4, out=tmp_path).run()
    names = sorted(path.name for path in (tmp_path / "films").iterdir())
    assert 0 < len(names) <= 2
    for name in names:
        assert name.startswith(("all_s0_adam_closed_success_", "all_s0_adam_closed_failure_"))
        with PIL.Image.open(tmp_path / "films" / name) as film:
            assert film.n_frames > 1  # type: ignore[attr-defined]
    rate = results["cells"][0]["success_rate"]
    assert len(names) == (rate > 0) + (rate < 1)
    Evaluation(filmed, 4, out=tmp_path, fresh=True)
    assert list((tmp_path / "films").iterdir()) == []


def test_wide_searches_that_do_not_take_place_are_said(tmp_path, capsys):
    arguments = [
        "--checkpoint", "wall", "--planners", "adam,cem", "--loops", "open", "--episodes", "1",
        "--steps", "2", "--set", "planner.wide_samples=100", "planner.iterations=2",
        "planner.samples=20", "planner.elites=5",
    ]  # fmt: skip
    assert evaluate.main([*arguments, "--out", str(tmp_path / "asked")]) == 0
    warnings = capsys.readouterr().err
    assert "no wide search of cem, cem has no restarts" in warnings
    assert "no wide search of adam" not in warnings
    assert "no wide search in the open loop" in warnings
    without = [text for text in arguments if "wide" not in text]
    assert evaluate.main([*without, "--out", str(tmp_path / "usual")]) == 0
    assert "wide" not in capsys.readouterr().err
