"""The loop `ros`: real nodes, real topics, `ros2 launch` as a user starts it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess

import pytest
import yaml

from wm_mpc.experiments.common.protocol import run_jobs
from wm_mpc.experiments.common.settings import task_settings
from wm_mpc.experiments.success.evaluation import Evaluation
from wm_mpc.experiments.success.through_ros import (
    Domain,
    LaunchError,
    free_domain,
    launch_command,
    node_parameters,
    run_cell,
)

needs_ros2 = pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2: run make setup")


@pytest.fixture
def over_ros(benchmark):
    """The gradient planner as it is shipped, over ROS."""
    return dataclasses.replace(
        benchmark, loops=("ros",), planners=("adam",), steps=40, settings=task_settings("wall")
    )


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.launch
@needs_ros2
def test_two_episodes_through_the_nodes_make_a_cell(over_ros, tmp_path, domain_id):
    seen = []
    evaluation = Evaluation(over_ros, 2, out=tmp_path, ros_domain=domain_id)
    results = evaluation.run(seen.append)
    (cell,) = results["cells"]
    assert (cell["loop"], cell["planner"], cell["variant"]) == ("ros", "adam", "all")
    assert (cell["episodes"], sum(seen), results["complete"]) == (2, 2, True)
    assert 0 < cell["plan_ms_p50"] <= cell["plan_ms_p99"]
    assert cell["success_rate"] in (0.0, 0.5, 1.0)

    records = evaluation._journal.of(over_ros.cells()[0], 2)
    trips = sum(len(record.extra["round_trip_ms"]) for record in records)
    assert trips <= sum(record.steps for record in records) + 1
    assert ("round_trip_ms_p50" in cell) == (trips > 0)
    assert 0 < cell.get("round_trip_ms_p50", 1) < 1000

    # Finished, so nothing is launched any more.
    assert Evaluation(over_ros, 2, out=tmp_path, ros_domain=domain_id).run()["complete"]


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.launch
@needs_ros2
def test_episodes_over_ros_are_those_of_the_other_loops(over_ros, tmp_path, domain_id):
    """An action weight so large that the robot hardly moves: errors are those of the starts."""
    objective = dataclasses.replace(over_ros.settings.objective, action_weight=100.0)
    lazy = dataclasses.replace(
        over_ros, steps=1, settings=dataclasses.replace(over_ros.settings, objective=objective)
    )
    over_topics = run_cell(lazy, lazy.cells()[0], 4, tmp_path, Domain(domain_id))
    closed = dataclasses.replace(lazy, loops=("closed",))
    in_process = list(run_jobs(closed, [(episode, closed.cells()) for episode in range(4)]))
    for one, other in zip(over_topics, in_process, strict=True):
        assert one.episode == other.episode
        assert one.errors["distance"] == pytest.approx(other.errors["distance"], abs=0.02)


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.launch
@needs_ros2
def test_node_that_cannot_run_is_told_with_its_last_words(over_ros, tmp_path, domain_id):
    broken = dataclasses.replace(over_ros, goals="nowhere")
    with pytest.raises(LaunchError, match=r"received 0 of 1 episodes .*exit code") as error:
        run_cell(broken, broken.cells()[0], 1, tmp_path, Domain(domain_id))
    assert (tmp_path / "all_s0_adam_ros.log").read_text()
    assert "draws no goals of kind 'nowhere'" in (tmp_path / "all_s0_adam_ros.log").read_text()
    assert "last words" in str(error.value)


def test_nodes_get_the_settings_and_episodes_of_the_evaluation(benchmark):
    over_ros = dataclasses.replace(benchmark, loops=("ros",), threads=2)
    cell = over_ros.cells()[1]  # cem
    nodes = node_parameters(over_ros, cell)
    simulation = nodes["/**/sim"]["ros__parameters"]
    assert simulation["episode_stream"] == "evaluate"
    assert (simulation["goals"], simulation["episode_steps"]) == ("random", 20)
    assert simulation["plan_timeout"] == 1.0  # of the task's own file
    controller = nodes["/**/mpc"]["ros__parameters"]
    assert controller["planner"]["iterations"] == 2
    assert controller["cost"]["mode"] == "all"
    assert controller["threads"] == 2
    assert yaml.safe_load(yaml.safe_dump(nodes)) == nodes


def test_launch_command_is_what_a_user_would_type(benchmark, tmp_path):
    over_ros = dataclasses.replace(benchmark, loops=("ros",))
    command = launch_command(over_ros, over_ros.cells()[1], 5, tmp_path / "cell.yaml")
    assert command[:4] == ["ros2", "launch", "wm_mpc", "sim.launch.py"]
    assert {"task:=wall", "planner:=cem", "episodes:=5", "seed:=7", "lockstep:=true"} < set(command)


def test_two_evaluations_have_different_domains():
    with free_domain() as one, free_domain() as other:
        assert one.number != other.number
    with free_domain() as again:
        assert again.number == one.number
    with free_domain(42) as wanted:
        assert wanted == Domain(42)


def test_domain_stays_taken_as_long_as_a_launch_of_a_killed_evaluation_runs():
    with free_domain() as domain:
        launch = subprocess.Popen(["sleep", "60"], pass_fds=domain.locks)
    try:
        with free_domain() as other:
            assert other.number != domain.number
    finally:
        launch.kill()
        launch.wait()
    with free_domain() as again:
        assert again.number == domain.number


def test_missing_ros2_command_is_one_clear_error(over_ros, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(LaunchError, match="no command ros2: source your ROS 2"):
        run_cell(over_ros, over_ros.cells()[0], 1, tmp_path, Domain(7))
