"""The node `sim` over the real middleware, with the real physics."""

from __future__ import annotations

import itertools
import math
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.messages.progress_statuses import EpisodeStatus
from wm_mpc.ros import qos
from wm_mpc.ros.messages import actions_to_trajectory, image_to_rgb
from wm_mpc.ros.status import from_diagnostics
from wm_mpc.ros.timing import from_seconds, to_nanoseconds
from wm_mpc.sim.disturbance import Disturbance
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall

pytestmark = pytest.mark.ros

PERIOD = from_seconds(Wall.spec.control_period)


def stamp_of(message):
    return to_nanoseconds(message.header.stamp)


def position(odometry):
    return np.array([odometry.pose.pose.position.x, odometry.pose.pose.position.y])


def speed(odometry):
    return math.hypot(odometry.twist.twist.linear.x, odometry.twist.twist.linear.y)


def episode_start(seed, number):
    """What episode `number` (from 1) of a seed begins with: observation and goal."""
    with simulate(Wall()) as simulation:
        observation = simulation.reset(episode_rng(seed, "node", number - 1))
        return observation, simulation.goal, simulation.task.pose()


# ---------------------------------------------------------------------------- observations


def test_observation_stamps_are_one_control_period_apart(start_sim):
    sim = start_sim()
    sim.wait_until(lambda: len(sim.images) > 8, "images")
    stamps = [stamp_of(image) for image in sim.images]
    steps = np.diff(stamps)
    # A machine that is too busy skips whole periods; it never shifts the grid.
    assert (steps > 0).all()
    assert (steps % PERIOD == 0).all()
    assert steps.min() == PERIOD
    assert abs(stamps[-1] / 1e9 - time.time()) < 2.0


def test_image_state_and_camera_info_carry_the_same_stamp(start_sim):
    sim = start_sim()
    infos = sim.observer.listen(CameraInfo, "camera/camera_info", qos.SENSOR_DATA)
    sim.wait_until(lambda: len(infos) > 3, "camera info")
    assert {stamp_of(info) for info in infos[:3]} <= {stamp_of(state) for state in sim.states}
    sim.wait_until(lambda: stamp_of(sim.images[-1]) >= stamp_of(infos[2]), "the image")
    assert {stamp_of(info) for info in infos[:3]} <= {stamp_of(image) for image in sim.images}
    assert infos[0].k[0] > 0
    assert infos[0].header.frame_id == sim.images[0].header.frame_id == "camera"
    assert (sim.states[0].header.frame_id, sim.states[0].child_frame_id) == ("odom", "base_link")


def test_first_observation_and_goal_are_those_of_the_seed(start_sim):
    sim = start_sim(seed=7)
    observation, goal, pose = episode_start(7, 1)
    np.testing.assert_array_equal(image_to_rgb(sim.images[0], sim.spec.image), observation.image)
    np.testing.assert_allclose(position(sim.states[0]), pose, atol=1e-6)
    np.testing.assert_allclose(position(sim.goals[0]), goal.true_state[:2], atol=1e-6)


def test_a_camera_that_was_moved_sees_the_scene_and_the_goal_from_elsewhere(start_sim):
    sim = start_sim(seed=5, **{"disturbance.camera": 0.1})
    usual, _, _ = episode_start(5, 1)
    with simulate(Disturbance(camera=0.1).apply(Wall())) as simulation:
        moved = simulation.reset(episode_rng(5, "node", 0)).image
    first = np.frombuffer(sim.images[0].data, np.uint8).reshape(usual.image.shape)
    assert np.array_equal(first, moved)
    assert not np.array_equal(moved, usual.image)


def test_goal_reaches_a_node_that_starts_later(start_sim):
    sim = start_sim()
    goals = sim.observer.listen(Image, "goal/image", qos.LATCHED)
    sim.wait_until(lambda: goals, "the goal")
    _, goal, _ = episode_start(0, 1)
    np.testing.assert_array_equal(image_to_rgb(goals[0], sim.spec.image), goal.observation.image)


# ------------------------------------------------------------------------------ executing


def test_robot_does_as_planned(start_sim):
    sim = start_sim(settle=0.0)
    sim.plan(sim.stamp + PERIOD, (0.0, 0.3), points=30)
    sim.wait_until(lambda: sim.states[-1].twist.twist.linear.y > 0.25, "motion")
    assert sim.episode()["message"] == "executing the plan"


def test_episode_does_not_count_before_the_first_plan(start_sim):
    sim = start_sim(settle=0.0, episode_steps=2)
    sim.plan(sim.stamp, (0.0, 0.0), points=0)
    sim.wait_until(lambda: len(sim.episodes) > 5, "some steps")
    assert sim.episode() | {"steps": "0", "finished": "0"} == sim.episode()
    sim.plan(sim.stamp, (0.0, 0.0), points=30)
    sim.wait_until(lambda: sim.episode()["finished"] == "1", "the end of the episode")


@pytest.mark.timing
def test_robot_holds_when_plans_stop(start_sim):
    sim = start_sim(settle=0.0, plan_timeout=0.3)
    sim.plan(sim.stamp + PERIOD, (0.0, 0.2), points=100)
    sim.wait_until(lambda: speed(sim.states[-1]) > 0.1, "motion")
    sim.wait_until(lambda: speed(sim.states[-1]) < 0.01, "the robot to stand")
    assert "no new plan within plan_timeout" in sim.episode()["message"]
    assert sum(speed(state) > 0.1 for state in sim.states) <= 6, "0.3 s and a little"
    assert sim.episodes[-1].level == DiagnosticStatus.WARN
    sim.plan(sim.stamp + PERIOD, (0.0, -0.2), points=100)
    sim.wait_until(lambda: speed(sim.states[-1]) > 0.1, "motion again")


def test_robot_holds_when_the_points_run_out(start_sim):
    sim = start_sim(settle=0.0, plan_timeout=60.0)
    sim.plan(sim.stamp + PERIOD, (0.0, 0.2), points=4)
    sim.wait_until(lambda: speed(sim.states[-1]) > 0.1, "motion")
    sim.wait_until(lambda: speed(sim.states[-1]) < 0.01, "the robot to stand")
    assert "ran out of points" in sim.episode()["message"]


@pytest.mark.parametrize("action", [(5.0, 0.0), (math.nan, 0.0)])
def test_plan_that_makes_no_sense_stops_the_robot(start_sim, action):
    sim = start_sim(settle=0.0, plan_timeout=60.0)
    sim.plan(sim.stamp + PERIOD, (0.0, 0.2), points=100)
    sim.wait_until(lambda: speed(sim.states[-1]) > 0.1, "motion")
    sim.plan(sim.stamp + PERIOD, action)
    sim.wait_until(lambda: "refused" in sim.episode()["message"], "the refusal")
    sim.wait_until(lambda: speed(sim.states[-1]) < 0.01, "the robot to stand")


def test_stale_plan_of_last_episode_is_ignored(start_sim):
    sim = start_sim(settle=1.0)
    before = sim.stamp
    response = sim.observer.call(Trigger, "/sim/reset")
    assert response.success
    sim.wait_until(lambda: len(sim.goals) > 1, "the next episode")
    _, _, start = episode_start(0, 2)
    # One for the last episode's observation, and one that starts while the robot settles.
    for stamp in (before, sim.stamp + 2 * PERIOD):
        sim.plan(stamp, (0.5, 0.5), points=100)
    seen = len(sim.episodes)
    sim.wait_until(lambda: len(sim.episodes) > seen + 14, "the time after settling")
    np.testing.assert_allclose(sim.position(), start, atol=1e-3)
    assert sim.episode()["message"] == "holding: no plan yet"
    sim.plan(sim.stamp + PERIOD, (0.0, 0.2))
    sim.wait_until(lambda: speed(sim.states[-1]) > 0.1, "motion by a fresh plan")


# ------------------------------------------------------------------------------- lockstep


def lockstep_run(sim, slow):
    """Stamps, positions and pictures of 3 short episodes under plans that follow from the stamp."""
    record = []
    while sim.episode()["finished"] != "3" if sim.episodes else True:
        stamp = sim.stamp
        state = sim.wait_until(
            lambda at=stamp: next((s for s in sim.states if stamp_of(s) == at), None), "the state"
        )
        record.append((stamp, *position(state), hash(bytes(sim.images[-1].data))))
        if slow:
            time.sleep(random.uniform(0.0, 0.02))
        sim.plan(stamp, (math.sin(stamp / 1e9), math.cos(stamp / 3e8)), points=5)
        sim.wait_until(
            lambda at=stamp: sim.stamp != at or (sim.episodes and sim.episode()["finished"] == "3"),
            "the answer",
        )
    return record


def test_lockstep_is_reproducible_from_the_seed(start_sim):
    records = []
    for slow in (False, True):
        sim = start_sim(lockstep=True, seed=3, episodes=3, episode_steps=7)
        records.append(lockstep_run(sim, slow))
        sim.join()
    assert len(records[0]) == 21
    assert records[0] == records[1]


def test_a_listener_that_comes_late_gets_the_results_of_all_episodes(start_sim, observer):
    sim = start_sim(lockstep=True, seed=3, episode_steps=3)
    while not sim.episodes or sim.episode()["finished"] != "4":
        sim.answer((0.0, 0.0))
    results = observer.listen(DiagnosticStatus, "sim/result", qos.RESULTS)
    sim.wait_until(lambda: len(results) == 4, "the results of four episodes")
    found = [from_diagnostics(result, EpisodeStatus) for result in results]
    assert [(each.episode, each.finished, each.steps) for each in found] == [
        (number, number, 3) for number in (1, 2, 3, 4)
    ]


def test_lockstep_waits_for_its_planner(start_sim):
    sim = start_sim(lockstep=True)
    sim.wait_until(lambda: len(sim.images) > 2, "repetitions")
    assert len({stamp_of(image) for image in sim.images}) == 1
    assert sim.episodes == []


@pytest.mark.parametrize("periods", [-1, 1])
def test_lockstep_ignores_an_answer_to_something_else(start_sim, periods):
    sim = start_sim(lockstep=True)
    first = sim.stamp
    sim.plan(first + periods * PERIOD, (0.2, 0.2))
    seen = len(sim.images)
    # As often as before the first plan: a foreign plan is none.
    sim.wait_until(lambda: len(sim.images) > seen + 1, "repetitions", timeout=20.0)
    assert sim.stamp == first
    assert sim.answer((0.2, 0.2)) == first + PERIOD


def test_lockstep_repeats_an_observation_that_is_not_answered(start_sim):
    sim = start_sim(lockstep=True, lockstep_timeout=0.2)
    stamp, seen = sim.answer((0.0, 0.0)), len(sim.images)
    sim.wait_until(lambda: len(sim.images) > seen + 1, "repetitions")
    assert sim.stamp == stamp


def test_simulated_time_is_published_in_lockstep(start_sim, observer):
    clocks = observer.listen(Clock, "/clock", qos.CLOCK)
    sim = start_sim(lockstep=True)
    stamp = sim.answer((0.0, 0.0))
    sim.wait_until(lambda: clocks and to_nanoseconds(clocks[-1].clock) == stamp, "the clock")


@pytest.mark.timing
def test_simulated_time_runs_by_its_factor(start_sim, observer):
    clocks = observer.listen(Clock, "/clock", qos.CLOCK)
    sim = start_sim(real_time_factor=4.0)
    start, first = time.monotonic(), sim.stamp
    sim.wait_until(lambda: sim.stamp >= first + 20 * PERIOD, "two simulated seconds")
    assert 0.3 < time.monotonic() - start < 1.5
    times = [to_nanoseconds(message.clock) for message in clocks]
    assert times == sorted(times)
    assert len(times) > len(sim.images), "finer than the control period"


def test_simulator_makes_the_time_where_simulated_time_is_wanted(start_sim, observer):
    clocks = observer.listen(Clock, "/clock", qos.CLOCK)
    sim = start_sim(use_sim_time=True)
    sim.wait_until(lambda: len(clocks) > 3, "the clock")
    assert sim.stamp < from_seconds(60.0)


def test_no_clock_is_published_in_real_time(start_sim, observer):
    start_sim()
    assert observer.node.count_publishers("/clock") == 0


# ------------------------------------------------------------------------ goals and requests


def goal_pose(x, y, frame="odom"):
    message = PoseStamped()
    message.header.frame_id = frame
    message.pose.position.x, message.pose.position.y = x, y
    message.pose.orientation.w = 1.0
    return message


def test_person_can_set_the_goal(start_sim, observer):
    sim = start_sim()
    publisher = observer.node.create_publisher(PoseStamped, "goal_pose", qos.COMMAND)
    sim.wait_until(lambda: publisher.get_subscription_count() > 0, "the connection")
    publisher.publish(goal_pose(0.5, -0.5))
    sim.wait_until(lambda: np.allclose(position(sim.goals[-1]), (0.5, -0.5)), "the goal")


def test_goal_out_of_reach_is_refused_and_the_old_one_stays(start_sim, observer):
    sim = start_sim()
    publisher = observer.node.create_publisher(PoseStamped, "goal_pose", qos.COMMAND)
    sim.wait_until(lambda: publisher.get_subscription_count() > 0, "the connection")
    for message in (goal_pose(7.0, 0.0), goal_pose(math.nan, 0.0), goal_pose(0.5, 0.5, "camera")):
        publisher.publish(message)
    seen = len(sim.images)
    sim.wait_until(lambda: len(sim.images) > seen + 3, "some steps")
    assert len(sim.goals) == 1
    publisher.publish(goal_pose(0.5, 0.5))
    sim.wait_until(lambda: len(sim.goals) > 1, "the good goal")


def test_new_goal_keeps_the_robot_where_it_is(start_sim, observer):
    sim = start_sim(lockstep=True)
    sim.answer((0.3, 0.3))
    before, goal = sim.position(), position(sim.goals[-1])
    assert observer.call(Trigger, "/sim/new_goal").success
    sim.wait_until(lambda: len(sim.goals) > 1, "the goal")
    assert np.linalg.norm(position(sim.goals[-1]) - goal) > 1e-3
    np.testing.assert_allclose(sim.position(), before, atol=1e-9)


def test_without_own_goals_nothing_replaces_the_goal_of_a_person(start_sim, observer):
    """Neither the end of the steps, nor the robot at the goal of the simulation, nor a reset."""
    sim = start_sim(lockstep=True, seed=3, episode_steps=2)
    assert observer.set("sim", "own_goals", False).successful
    observer.call(Trigger, "/sim/new_goal")  # which a person asks for all the same
    sim.wait_until(lambda: len(sim.goals) == 2, "the goal")
    for _ in range(30):
        sim.answer(tuple(np.clip(3.0 * (position(sim.goals[-1]) - sim.position()), -1.0, 1.0)))
    observer.call(Trigger, "/sim/reset")
    for _ in range(3):
        sim.answer((0.0, 0.0))
    said = sim.episode()
    assert (said["episode"], said["steps"], said["finished"]) == ("2", "0", "0")
    assert "distance" not in said
    assert len(sim.goals) == 2


def test_own_goals_again_begin_an_episode_with_one(start_sim, observer):
    sim = start_sim(lockstep=True, seed=3, episode_steps=2)
    observer.set("sim", "own_goals", False)
    sim.answer((0.0, 0.0))
    observer.set("sim", "own_goals", True)
    sim.answer((0.0, 0.0))
    sim.wait_until(lambda: len(sim.goals) == 2, "the goal")
    for _ in range(3):
        sim.answer((0.0, 0.0))
    sim.wait_until(lambda: sim.episode()["finished"] == "1", "the end of the episode")


def test_a_run_of_some_episodes_needs_own_goals(start_sim, observer):
    start_sim(lockstep=True, episodes=3)
    result = observer.set("sim", "own_goals", False)
    assert not result.successful
    assert "own_goals is false and episodes is 3" in result.reason


def test_request_in_lockstep_makes_old_answers_invalid(start_sim, observer):
    sim = start_sim(lockstep=True)
    stamp = sim.answer((0.3, 0.3))
    observer.call(Trigger, "/sim/reset")
    sim.wait_until(lambda: sim.stamp == stamp + PERIOD, "the new episode's observation")
    observation, _, _ = episode_start(0, 2)
    np.testing.assert_array_equal(image_to_rgb(sim.images[-1], sim.spec.image), observation.image)
    sim.plan(stamp, (0.3, 0.3))
    sim.answer((0.0, 0.0))
    sim.wait_until(lambda: sim.episode()["episode"] == "2", "the first step")
    assert sim.episode()["steps"] == "1"


def test_invalid_parameter_is_rejected_with_reason(start_sim, observer):
    sim = start_sim()
    result = observer.set("sim", "plan_timeout", -1.0)
    assert not result.successful
    assert "plan_timeout" in result.reason
    assert "-1.0" in result.reason
    assert "0.01" in result.reason
    assert sim.node.get_parameter("plan_timeout").value == 1.0


# -------------------------------------------------------------------------------- a process


class GoalSeeker:
    """Answers every observation with the straight line to the goal, and reports plan times."""

    def __init__(self, observer):
        self._observer, self._goal, self._position = observer, None, None
        node = observer.node
        self._plans = node.create_publisher(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
        self._diagnostics = node.create_publisher(DiagnosticArray, "diagnostics", qos.STATUS)
        node.create_subscription(Odometry, "goal/state", self._on_goal, qos.LATCHED)
        node.create_subscription(Odometry, "odom", self._on_state, qos.ROBOT_STATE)

    def _on_goal(self, message):
        self._goal = position(message)

    def _on_state(self, message):
        if self._goal is None:
            return
        velocity = np.clip(3.0 * (self._goal - position(message)), -1.0, 1.0)
        spec = Wall.spec
        self._plans.publish(
            actions_to_trajectory(
                np.tile(velocity, (5, 1)), spec.action, spec.control_period, message.header.stamp
            )
        )
        entry = KeyValue(key="plan time mean (ms)", value="18.42")
        status = DiagnosticStatus(name="planner: mpc", values=[entry])
        self._diagnostics.publish(DiagnosticArray(status=[status]))


def test_run_ends_with_one_line_and_code_0(sim_process, observer, tmp_path):
    GoalSeeker(observer)
    film = tmp_path / "films" / "film.gif"
    process = sim_process(lockstep=True, episodes=4, episode_steps=30, record=film)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    # The straight line reaches the goal unless the wall is in between: not in the third episode.
    assert stdout.startswith("episodes 4  success 3  mean steps ")
    assert stdout.endswith("  mean plan 18.4 ms\n")
    assert stdout.count("\n") == 1
    assert "episode 1: reached the goal in " in stderr
    assert "episode 3: did not reach the goal in 30 steps" in stderr
    assert film.read_bytes().startswith(b"GIF89a")
    assert f"record: made the folder {film.parent}, which was not there" in stderr


@pytest.mark.timing
def test_interrupt_ends_the_node_within_a_second(sim_process, observer, tmp_path):
    """By either signal, in lockstep and in real time. They start together, and end in turn."""
    nodes = {}
    for number, lockstep in itertools.product((signal.SIGINT, signal.SIGTERM), (True, False)):
        name = f"{number.name}_{lockstep}"
        film = tmp_path / f"{name}.gif"
        images = observer.listen(Image, f"/{name}/camera/image_raw", qos.SENSOR_DATA)
        process = sim_process(namespace=f"/{name}", lockstep=lockstep, record=film)
        nodes[name] = process, number, lockstep, film, images
    for name, (*_, images) in nodes.items():
        observer.wait_until(lambda images=images: len(images) > 2, f"images of {name}", 30.0)
    for name, (process, number, lockstep, film, _) in nodes.items():
        process.send_signal(number)
        start = time.monotonic()
        stdout, stderr = process.communicate(timeout=40)
        assert time.monotonic() - start < 1.0, name
        assert (process.returncode, stdout) == (0, ""), name
        assert "Traceback" not in stderr
        if not lockstep:  # where there was no step without a plan
            assert PIL.Image.open(film).info["duration"] >= 200, "the film is complete all the same"


SLOW_GOALS = """
import time, sys
from wm_mpc.nodes.sim import node
from wm_mpc.sim.tasks.wall import Wall
def sample_goal(*_):
    print("drawing", flush=True)
    while True:
        time.sleep(0.01)
Wall.sample_goal = sample_goal
sys.exit(node.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_while_it_draws_a_goal(domain_id, number):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_GOALS], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"ROS_DOMAIN_ID": str(domain_id)},
    )  # fmt: skip
    try:
        assert any("drawing" in line for line in process.stdout)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"task": "moon"}, "task is 'moon'; accepted: "),
        ({"record": "film.avi"}, "record is 'film.avi'; accepted: "),
        ({"disturbance.friction": 2.0}, "task 'wall' has no friction that could be changed"),
    ],
)
def test_bad_start_is_one_line_and_code_1(sim_process, parameters, says):
    process = sim_process(**parameters)
    _, stderr = process.communicate(timeout=40)
    assert process.returncode == 1
    assert says in stderr
    assert "Traceback" not in stderr
