"""The node `mpc` over the real middleware: what it plans, and what it does when things go wrong."""

from __future__ import annotations

import array
import contextlib
import dataclasses
import functools
import itertools
import math
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Float64, Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from wm_mpc.control.settings import ControlSettings
from wm_mpc.native.library import library, why_not
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.ros import qos
from wm_mpc.ros.executors import UrgentCallbackGroup
from wm_mpc.ros.timing import to_nanoseconds, to_stamp
from wm_mpc.settings.build import build, nested
from wm_mpc.settings.fields import flat
from wm_mpc.sim.tasks.maze import Maze
from wm_mpc.sim.tasks.wall import Wall
from wm_mpc.spec import ActionSpec

from ..conftest import Observer, free_domain
from .running import RunningMpc

pytestmark = pytest.mark.ros
ROOT = Path(__file__).parents[2]
SPEC = Wall.spec


@pytest.fixture
def start_mpc(observer):
    with contextlib.ExitStack() as stack:

        def start(**parameters):
            return stack.enter_context(contextlib.closing(RunningMpc(observer, **parameters)))

        yield start


class SharedMpc(RunningMpc):
    """A node for many tests: what they set is taken back."""

    def __init__(self, observer):
        super().__init__(observer)
        self._former = {}
        self._picture = self.image

    def set(self, name, value):
        self._former.setdefault(name, self.node.get_parameter(name).value)
        return super().set(name, value)

    def begin(self):
        """It plans, and has said nothing yet."""
        self.image, self.has_odometry = self._picture, True
        self.camera(True)
        if self.node._goals.current is None:
            self.append_goal(self.goal)
        self.plans.clear()
        self.diagnostics.clear()
        self.wait_until(lambda: self.plans and self.plans[-1].points, "a plan")

    def end(self):
        self.camera(False)
        former = [Parameter(name, value=value) for name, value in self._former.items()]
        self._former = {}
        assert all(result.successful for result in self.node.set_parameters(former))


@pytest.fixture(scope="module")
def shared_mpc():
    """Gives the node that the tests share, or another one when it does not plan any more."""
    with contextlib.ExitStack() as stack:
        domain = stack.enter_context(contextlib.contextmanager(free_domain)())
        observer = stack.enter_context(contextlib.closing(Observer(domain)))
        running = []

        def begin():
            if not running:
                running.append(SharedMpc(observer))
                running[0].start()
            running[0].begin()
            return running[0]

        def give():
            try:
                return begin()
            except pytest.fail.Exception:
                running.pop().close()
                return begin()

        yield give
        for mpc in running:
            mpc.close()


@pytest.fixture
def mpc(shared_mpc):
    """A node that plans, for a test that leaves it so."""
    running = shared_mpc()
    yield running
    running.end()


def velocities(plan):
    return np.array([point.velocities for point in plan.points])


# ------------------------------------------------------------------------------------ planning


def test_plan_has_the_contract_form_and_stays_inside_the_limits(mpc):
    for plan in mpc.wait_for_plans(3):
        assert list(plan.joint_names) == ["vx", "vy"]
        assert len(plan.points) == 7 * SPEC.frame_skip
        assert np.isfinite(velocities(plan)).all()
        assert (np.abs(velocities(plan)) <= 1.0).all()
        offsets = [to_nanoseconds(point.time_from_start) for point in plan.points]
        assert offsets == [k * 100_000_000 for k in range(len(offsets))]
        assert abs(to_nanoseconds(plan.header.stamp) - mpc.now()) < 5e9


def test_plan_begins_with_what_the_robot_executes_meanwhile(mpc):
    first, second = mpc.wait_for_plans(2)[:2]
    shift = to_nanoseconds(second.header.stamp) - to_nanoseconds(first.header.stamp)
    index = shift // 100_000_000
    np.testing.assert_allclose(velocities(second)[0], velocities(first)[index])


@pytest.mark.timing
def test_plans_come_at_the_rate(mpc):
    mpc.wait_for_plans(1)
    seen, started = len(mpc.plans), time.monotonic()
    mpc.wait_until(lambda: len(mpc.plans) - seen >= 20, "20 plans")
    assert 20 / (time.monotonic() - started) == pytest.approx(10.0, rel=0.2)


def test_new_horizon_changes_the_next_plan_without_a_pause(mpc):
    assert mpc.set("planner.horizon", 3).successful
    seen = len(mpc.plans)
    plans = mpc.wait_for_plans(4)
    assert all(plan.points for plan in mpc.plans[seen:]), "a hold in between"
    assert len(plans[-1].points) == 3 * SPEC.frame_skip


def test_impossible_horizon_is_refused_with_a_reason(mpc):
    result = mpc.set("planner.horizon", 900)
    assert not result.successful
    assert "planner.horizon" in result.reason
    assert "range" in result.reason
    assert len(mpc.wait_for_plans(2)[-1].points) == 7 * SPEC.frame_skip


def test_contradicting_parameters_are_refused(mpc):
    result = mpc.set("planner.elites", 400)
    assert not result.successful
    assert "planner.samples" in result.reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_that_is_not_there_is_refused_and_planning_goes_on(mpc):
    result = mpc.set("planner.device", "cuda")
    assert not result.successful
    assert "no NVIDIA GPU" in result.reason
    assert "accepted: cpu" in result.reason
    assert mpc.wait_for_plans(2)


def test_checkpoint_cannot_change_while_active(mpc):
    result = mpc.set("checkpoint", "other")
    assert not result.successful
    assert "deactivate" in result.reason


@pytest.mark.parametrize("planner", ["cem", "mppi", "gd"])
def test_planner_can_be_exchanged_while_running(mpc, planner):
    assert mpc.set("planner.samples", 64).successful
    assert mpc.set("planner.type", planner).successful
    plans = mpc.wait_for_plans(3)
    assert (np.abs(velocities(plans[-1])) <= 1.0).all()


def test_changed_parameters_make_another_planner_and_objective():
    changed = {"planner.horizon": 3, "cost.state_weight": 0.25}
    settings = build(MpcSettings, nested(changed), base=MpcSettings())
    assert (settings.planner.horizon, settings.cost.state_weight) == (3, 0.25)
    with pytest.raises(ValueError, match="elites"):
        build(MpcSettings, nested({"planner.samples": 2, "planner.elites": 3}), base=settings)


def test_defaults_of_parameters_are_those_of_the_control_loop():
    mpc, control = flat(MpcSettings()), flat(ControlSettings())
    assert {name: mpc[name] for name in control} == control


@pytest.mark.parametrize("is_simulated", [False, True])
def test_observations_wait_for_no_other_callback_unless_time_comes_as_a_message(
    start_mpc, is_simulated
):
    mpc = start_mpc(use_sim_time=is_simulated)

    def groups():
        return {
            subscription.topic_name: subscription.callback_group
            for subscription in mpc.node.subscriptions
            if subscription.topic_name in ("/camera/image_raw", "/odom")
        }

    mpc.wait_until(lambda: len(groups()) == 2, "the subscriptions")
    for group in groups().values():
        assert isinstance(group, UrgentCallbackGroup) == (not is_simulated)


def test_cost_markers_and_imagined_frames_are_published(mpc):
    costs = mpc.observer.listen(Float64, "mpc/cost", qos.STATUS)
    markers = mpc.observer.listen(MarkerArray, "mpc/plan_markers", qos.STATUS)
    frames = mpc.observer.listen(Image, "mpc/imagined/image_raw", qos.SENSOR_DATA)
    mpc.wait_until(lambda: costs and markers and frames, "pictures")
    assert costs[-1].data >= 0.0
    assert (frames[-1].height, frames[-1].width) == (64, 64 * 8)
    path = next(marker for marker in markers[-1].markers if marker.points)
    assert len(path.points) == 8
    assert all(abs(point.x) < 2.0 and abs(point.y) < 2.0 for point in path.points)


def test_plan_is_also_streamed_point_by_point(start_mpc):
    mpc = start_mpc(**{"output.cmd_vel": True, "output.commands": True})
    twists = mpc.observer.listen(TwistStamped, "cmd_vel", qos.COMMAND)
    commands = mpc.observer.listen(Float64MultiArray, "commands", qos.COMMAND)
    mpc.start()
    mpc.wait_until(lambda: len(twists) > 5 and len(commands) > 5, "streams")
    planned = np.concatenate([velocities(plan) for plan in list(mpc.plans) if plan.points])
    moving = [list(command.data) for command in commands if any(command.data)]
    assert moving, "only zeros were streamed"
    assert np.abs(planned - np.array(moving[0])).max(1).min() < 1e-9


# -------------------------------------------------------------------------------------- safety


@pytest.mark.timing
def test_camera_that_falls_silent_makes_the_robot_hold_in_time(mpc):
    mpc.camera(False)
    last = time.monotonic()
    status = mpc.wait_for_hold("no image for")
    assert time.monotonic() - last < 0.5 + 0.1 + 0.5  # timeout, period, slack of a busy machine
    assert status.level == DiagnosticStatus.ERROR
    mpc.camera(True)
    mpc.wait_for_plans(2)


def test_without_a_goal_it_holds_and_says_so(start_mpc):
    mpc = start_mpc()
    mpc.camera(True)
    mpc.wait_for_hold("no goal received yet")


def test_without_a_robot_state_it_holds_and_says_so(start_mpc):
    mpc = start_mpc()
    mpc.has_odometry = False
    mpc.send_goal(mpc.goal)
    mpc.camera(True)
    mpc.wait_for_hold("no robot state received yet")


def test_robot_of_which_nothing_is_measured_needs_nothing_but_a_camera(start_mpc):
    mpc = start_mpc(checkpoint="maze")
    mpc.has_odometry = False
    mpc.start()
    for plan in mpc.wait_for_plans(3):
        efforts = np.array([point.effort for point in plan.points])
        assert efforts.shape[1] == 2
        assert np.abs(efforts).max() <= Maze.spec.action.high[0]


def test_robot_that_does_not_move_as_predicted_is_slowed_down(mpc):
    limit = 0.25 * max(SPEC.action.high) + 1e-9

    def fastest(plan):
        """Of the points that are not under way already."""
        return np.abs(velocities(plan)[3:]).max()

    mpc.wait_until(lambda: fastest(mpc.plans[-1]) > limit, "a fast plan")
    assert mpc.set("surprise.pace", 0.25).successful
    assert mpc.set("surprise.slow", 0.01).successful
    mpc.wait_until(lambda: mpc.value("validator") == "DEGRADED", "a degraded plan")
    said = "planning, degraded: predictions have"
    mpc.wait_until(lambda: mpc.message().startswith(said), "the reason")
    assert max(fastest(plan) for plan in mpc.wait_for_plans(5)) <= limit
    assert mpc.set("surprise.slow", 0.0).successful
    mpc.wait_until(lambda: mpc.message() == "planning", "the usual pace")


def test_old_stamps_make_the_robot_hold(mpc):
    mpc.camera(False)

    def send_old():
        mpc.send(mpc.image, age=3.0)
        return "stamps are" in mpc.message()

    mpc.wait_until(send_old, "the reason")
    mpc.wait_for_hold("old")


def _message(height, width, encoding, data_size, step=None):
    message = Image(height=height, width=width, encoding=encoding)
    message.step = width * (3 if "8" in encoding else 2) if step is None else step
    message.data = array.array("B", bytes(data_size))
    return message


BAD_IMAGES = {
    "1x1": (_message(1, 1, "rgb8", 3), "64x64 or larger"),
    "rgb565": (_message(64, 64, "rgb565", 64 * 64 * 2), "accepted encodings"),
    "truncated": (_message(64, 64, "rgb8", 100), "is truncated"),
    "empty": (Image(), "image is 0x0"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_image_makes_the_robot_hold_and_is_named(mpc, name):
    message, reason = BAD_IMAGES[name]
    mpc.camera(False)

    def send():
        mpc.send(message=message)
        return reason in mpc.message()

    mpc.wait_until(send, "the reason")
    mpc.wait_for_hold(reason)
    mpc.camera(True)
    mpc.wait_for_plans(2)


def test_nan_state_makes_the_robot_hold_and_is_named(mpc):
    mpc.camera(False)

    def send():
        mpc.send(mpc.image, state=(float("nan"), 0.0))
        return "vx is nan" in mpc.message()

    mpc.wait_until(send, "the reason")
    mpc.wait_for_hold("vx is nan")
    mpc.camera(True)
    mpc.wait_for_plans(2)


def test_nan_image_makes_the_robot_hold_and_is_named(mpc):
    """A depth-like 32FC1 picture of NaN: the only way an image can carry one."""
    message = Image(height=64, width=64, encoding="32FC1", step=256)
    message.data = array.array("B", np.full((64, 64), np.nan, np.float32).tobytes())
    mpc.camera(False)

    def send():
        mpc.send(message=message)
        return "32FC1" in mpc.message()

    mpc.wait_until(send, "the reason")
    mpc.wait_for_hold("image.value_range")


def test_covered_lens_makes_the_robot_hold_until_it_is_uncovered(start_mpc):
    mpc = start_mpc(**{"surprise.image": 3.0})
    mpc.start()
    picture, mpc.image = mpc.image, np.zeros_like(mpc.image)
    mpc.wait_for_hold("the camera shows what the model does not know")
    mark = len(mpc.plans)
    mpc.observer.wait_until(lambda: len(mpc.plans) > mark + 3, "more holds")
    assert not any(plan.points for plan in mpc.plans[mark:])
    assert mpc.value("validator") == "HOLD"
    mpc.image = picture
    mpc.wait_until(lambda: mpc.plans[-1].points, "a plan after the lens was uncovered")


def test_robot_that_does_not_move_as_predicted_holds_for_a_while(start_mpc):
    mpc = start_mpc(**{"surprise.hold": 0.01, "surprise.pause": 0.5})
    mpc.start()
    mpc.wait_for_hold("the robot does not do what the model predicts")
    held = mpc.now()
    mpc.wait_until(lambda: mpc.plans[-1].points, "another try")
    assert mpc.now() - held > 0.4e9


def test_a_goal_that_is_repeated_does_not_keep_the_robot_from_holding(start_mpc):
    """A camera as goal, or a program that publishes a picture at a rate, under new stamps."""
    mpc = start_mpc(**{"surprise.hold": 0.01, "surprise.pause": 0.5})
    mpc.start()

    def repeat():
        mpc.send_goal(mpc.goal)
        return "does not do what the model predicts" in mpc.message()

    mpc.wait_until(repeat, "a hold though the goal is repeated")
    assert mpc.value("goal") == "goal 1 executing, 0 waiting"


def test_stamps_from_the_future_are_said_and_from_a_period_on_make_the_robot_hold(mpc):
    mpc.camera(False)

    def send(age, text):
        mpc.send(mpc.image, age=age)
        return text in mpc.message()

    mpc.wait_until(
        lambda: send(-0.06, "planning, degraded: image stamps are"), "a warning in the status"
    )
    assert mpc.diagnostics[-1].status[0].level == DiagnosticStatus.WARN
    mpc.wait_until(lambda: send(-0.3, "s in the future (accepted: up to 0.1 s)"), "the reason")
    mpc.wait_for_hold("clocks differ")
    mpc.camera(True)
    mpc.wait_for_plans(2)


def test_diagnostics_tell_how_well_the_model_predicts(mpc):
    mpc.wait_until(lambda: _is_number(mpc.value("prediction_error")), "a prediction error")
    assert 0.0 < float(mpc.value("image_error")) < 3.0
    assert mpc.value("validator") == "SUCCESS"
    assert int(mpc.value("plans SUCCESS")) > 0


def _is_number(text):
    try:
        return not math.isnan(float(text))
    except (TypeError, ValueError):
        return False


def test_goal_of_the_wrong_size_is_refused_and_the_working_goal_stays(mpc):
    seen = len(mpc.plans)
    mpc.send_goal(np.zeros((10, 10, 3), np.uint8))
    mpc.wait_until(lambda: "goal refused: goal image is 10x10" in mpc.message(), "the refusal")
    assert mpc.diagnostics[-1].status[0].level == DiagnosticStatus.WARN
    assert "goal image is 10x10" in mpc.value("goals refused")
    mpc.wait_for_plans(3)
    assert all(plan.points for plan in mpc.plans[seen:])


def test_hold_service_stops_and_releases(mpc):
    assert mpc.observer.call(SetBool, "mpc/hold", SetBool.Request(data=True)).success
    mpc.wait_for_hold("a person asked for it")
    assert mpc.observer.call(SetBool, "mpc/hold", SetBool.Request(data=False)).success
    mpc.wait_for_plans(2)


@pytest.mark.timing
@pytest.mark.parametrize("how", ["hold", "clear_goals"])
def test_a_person_who_stops_the_robot_does_not_wait_for_the_next_plan(start_mpc, how):
    mpc = start_mpc(rate=0.5)  # Hz
    mpc.start()
    if how == "hold":
        assert mpc.observer.call(SetBool, "mpc/hold", SetBool.Request(data=True)).success
    else:
        assert mpc.observer.call(Trigger, "mpc/clear_goals").success
    mpc.wait_until(lambda: not mpc.plans[-1].points, "the hold", 1.0)


def test_a_hold_does_not_wait_for_pictures_that_are_drawn(mpc, monkeypatch):
    session, begun, drawn = mpc.node._session, threading.Event(), threading.Event()

    def draw(*_):
        begun.set()
        drawn.wait(10.0)

    monkeypatch.setattr(session._pictures, "publish", draw)
    assert begun.wait(10.0)
    session.hold_at_once()
    mpc.wait_until(lambda: not mpc.plans[-1].points, "the hold", 5.0)
    assert not drawn.is_set()
    drawn.set()


@pytest.mark.slow
def test_what_was_being_planned_when_a_person_stopped_the_robot_is_not_sent(start_mpc):
    """Not even if the person lets it go on before that search is over."""
    slow = {"planner.iterations": 1000, "planner.restarts": 64, "planner.samples": 64}
    mpc = start_mpc(time_budget=0.8, rate=1.0, observation_timeout=2.0, **slow)
    mpc.start()
    call = mpc.observer.call

    def stop(how):
        if how == "hold":
            assert call(SetBool, "mpc/hold", SetBool.Request(data=True)).success
        else:
            assert call(Trigger, "mpc/clear_goals").success

    def go_on(how):
        if how == "hold":
            assert call(SetBool, "mpc/hold", SetBool.Request(data=False)).success
        else:
            mpc.append_goal(mpc.goal)

    for how, stays in itertools.product(("hold", "clear_goals"), (True, False)):
        seen = len(mpc.plans)
        mpc.wait_until(lambda n=seen: len(mpc.plans) > n and mpc.plans[-1].points, "a plan")
        time.sleep(0.3)  # into the next search
        before = mpc.now()
        stop(how)
        asked = len(mpc.plans)
        if not stays:
            go_on(how)
        time.sleep(1.0 if stays else 0.6)
        late = [
            plan
            for plan in mpc.plans[asked:]
            if plan.points and to_nanoseconds(plan.header.stamp) < before
        ]
        assert not late, (how, stays)
        if stays:
            assert not any(plan.points for plan in mpc.plans[asked:]), how
            go_on(how)


def test_planner_fault_makes_the_robot_hold(start_mpc, monkeypatch):
    from wm_mpc.control.receding_horizon import RecedingHorizon

    def broken(*_, **__):
        raise ZeroDivisionError("injected")

    mpc = start_mpc()
    mpc.start()
    with monkeypatch.context() as patch:
        patch.setattr(RecedingHorizon, "plan", broken)
        mpc.expects_errors = True
        mpc.wait_for_hold("injected")
    mpc.wait_for_plans(2)


# ----------------------------------------------------------------------------------- lifecycle


def test_deactivation_holds_and_activation_goes_on(mpc):
    assert mpc.state() == "active"
    assert mpc.change_state(4)  # deactivate
    assert mpc.state() == "inactive"
    mpc.wait_until(lambda: not mpc.plans[-1].points, "the hold")
    seen = len(mpc.plans)
    mpc.wait_until(lambda: "not active" in mpc.message(), "the status")
    assert not any(plan.points for plan in mpc.plans[seen:])
    assert mpc.change_state(3)  # activate
    mpc.send_goal(mpc.goal)
    mpc.wait_for_plans(2)


def test_a_lifecycle_manager_finds_all_topics_before_the_node_is_active(start_mpc):
    """autostart off; each transition is asked for, as by nav2's manager."""
    mpc = start_mpc(autostart=False)
    graph = mpc.observer.node
    topics = ("planned_actions", "cmd_vel", "commands", "joint_trajectory")
    mpc.wait_until(lambda: mpc.diagnostics, "diagnostics")
    assert not any(graph.count_publishers(topic) for topic in topics)
    assert mpc.change_state(1)  # configure
    for topic in topics:
        mpc.wait_until(lambda t=topic: graph.count_publishers(t), topic)
    for topic in ("camera/image_raw", "odom", "goal/image", "goal/append/image"):
        mpc.wait_until(lambda t=topic: graph.count_subscribers(t), topic)
    mpc.send_goal(mpc.goal)
    mpc.camera(True)
    time.sleep(0.5)
    assert mpc.plans == []
    assert mpc.message() == "configured, not active"
    assert mpc.change_state(3)  # activate
    mpc.wait_for_plans(2)  # the goal that came before counts
    assert mpc.change_state(4)  # deactivate
    mpc.wait_until(lambda: not mpc.plans[-1].points, "the hold")
    silent = len(mpc.plans)
    time.sleep(0.5)
    assert len(mpc.plans) == silent
    assert graph.count_publishers("planned_actions") == 1
    assert mpc.change_state(3)
    mpc.wait_for_plans(2)


def test_what_is_set_while_inactive_counts_at_the_next_transition(start_mpc, announcer):
    mpc = start_mpc(**{"output.cmd_vel": True})
    mpc.start()
    types = functools.partial(mpc.observer.node.get_publishers_info_by_topic, "cmd_vel")
    assert not mpc.set("output.cmd_vel_type", "twist").successful
    assert mpc.change_state(4)  # deactivate
    assert mpc.set("output.cmd_vel_type", "twist").successful
    assert mpc.change_state(3)  # activate
    mpc.wait_for_plans(2)
    mpc.wait_until(
        lambda: [e.topic_type for e in types()] == ["geometry_msgs/msg/Twist"], "the type"
    )
    assert mpc.change_state(4)
    assert mpc.change_state(2)  # clean up
    mpc.wait_until(lambda: not types(), "the end of the topic")
    path = announcer.make("other.safetensors", control_period=0.2)
    assert mpc.set("checkpoint", str(path)).successful
    assert mpc.change_state(1)  # configure
    mpc.wait_until(lambda: mpc.value("checkpoint") == str(path), "the other checkpoint")
    assert mpc.change_state(3)
    mpc.send_goal(mpc.goal)
    mpc.wait_for_plans(2)
    assert mpc.change_state(7)  # shut down
    mpc.wait_until(lambda: not mpc.plans[-1].points, "the hold")
    assert mpc.state() == "finalized"


def test_odd_messages_on_any_topic_end_nothing(mpc):
    """Numbers too large for what reads them, none at all, and lists of wrong lengths."""
    odd = (1e200, 1e39, math.nan, math.inf)
    create = mpc.observer.node.create_publisher
    topics = {"odom": qos.ROBOT_STATE, "goal/state": qos.LATCHED, "goal/append/state": qos.APPENDED}
    states = [create(Odometry, topic, profile) for topic, profile in topics.items()]
    images = [
        create(Image, "goal/append/image", qos.APPENDED),
        create(Image, "goal/image", qos.LATCHED),
        create(Image, "camera/image_raw", qos.SENSOR_DATA),
    ]
    plans = create(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
    announced = create(String, "learner/checkpoint", qos.LATCHED)
    for value in odd:
        message = Odometry()
        message.header.stamp = to_stamp(mpc.now())
        message.pose.pose.orientation.x = message.twist.twist.linear.x = value
        for publisher in states:
            publisher.publish(message)
    for change in ({"height": 2**32 - 1}, {"step": 1}, {"encoding": "\x00"}, {"width": 0}):
        message = Image(**{"height": 2, "width": 2, "step": 6, "encoding": "rgb8", **change})
        message.data = array.array("B", b"odd")
        message.header.stamp = to_stamp(mpc.now())
        for publisher in images:
            publisher.publish(message)
    for publisher, message in ((plans, JointTrajectory()), (announced, String(data="\n" * 9999))):
        publisher.publish(message)
    assert mpc.state() == "active"  # and callbacks still run
    for publisher in (*states, *images, plans, announced):
        mpc.observer.node.destroy_publisher(publisher)
    mpc.wait_until(
        lambda: "goal image is 2x0" in (mpc.value("goals refused") or ""), "the last odd goal"
    )
    assert mpc.observer.call(Trigger, "mpc/clear_goals").success
    mpc.append_goal(mpc.goal)
    mpc.wait_for_plans(2)
    assert mpc.value("callback errors") == "0"


def test_missing_checkpoint_is_named_and_can_be_mended(start_mpc):
    mpc = start_mpc(checkpoint="no_such_model")
    mpc.wait_until(lambda: mpc.diagnostics, "diagnostics")
    mpc.wait_until(
        lambda: "no checkpoint 'no_such_model'" in mpc.message(),
        "the reason",
    )
    assert mpc.state() == "unconfigured"
    assert mpc.set("checkpoint", "wall").successful
    assert mpc.change_state(1)  # configure
    assert mpc.change_state(3)  # activate
    mpc.start()


def test_damaged_checkpoint_does_not_replace_the_good_one(start_mpc, tmp_path):
    path = tmp_path / "model.safetensors"
    shutil.copy(ROOT / "checkpoints" / "wall.safetensors", path)
    mpc = start_mpc(checkpoint=str(path))
    mpc.start()
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    response = mpc.observer.call(Trigger, "mpc/reload")
    assert not response.success
    assert "damaged" in response.message
    mpc.wait_for_plans(2)
    path.write_bytes(good)
    assert mpc.observer.call(Trigger, "mpc/reload").success
    mpc.wait_for_plans(2)


def test_wide_searches_run_between_plans_and_are_counted(start_mpc):
    mpc = start_mpc()
    mpc.start()
    for name, value in (("horizon", 2), ("wide_samples", 400), ("wide_period", 0.0)):
        assert mpc.set(f"planner.{name}", value).successful
    mpc.wait_until(lambda: int(mpc.value("wide plans") or 0) > 0, "a better plan of a wide search")
    mpc.wait_for_plans(3)
    assert mpc.message() == "planning"


def test_a_checkpoint_that_does_not_know_how_wrong_it_is_is_planned_with_under_a_warning(
    start_mpc, announcer
):
    mpc = start_mpc(checkpoint=str(announcer.make("unmeasured.safetensors")))
    mpc.start()
    mpc.wait_until(lambda: mpc.message().startswith("planning; the checkpoint"), "the complaint")
    assert mpc.value("planner") == "adam"
    assert mpc.set("planner.hasten", 0.1).successful
    assert mpc.set("planner.detour", 16).successful
    mpc.wait_until(lambda: "no second search" in mpc.value("planner"), "the second search is off")
    assert mpc.set("planner.wide_samples", 400).successful
    mpc.wait_until(
        lambda: "no wide search, the scene's usual step" in mpc.value("planner"), "nor a wide one"
    )
    assert mpc.set("planner.type", "cem").successful
    mpc.wait_until(lambda: "cem has no restarts" in mpc.value("planner"), "no wide search is said")
    assert mpc.set("planner.type", "adam").successful
    assert "no goal counts as reached" in mpc.message()
    assert mpc.diagnostics[-1].status[0].level == DiagnosticStatus.WARN
    assert mpc.value("familiarity") == "not measured"
    announcer.announce(ROOT / "checkpoints" / "wall.safetensors")
    assert mpc.observer.call(Trigger, "mpc/reload").success
    mpc.wait_until(lambda: mpc.message() == "planning", "a checkpoint that knows")
    assert mpc.diagnostics[-1].status[0].level == DiagnosticStatus.OK
    assert mpc.value("familiarity").startswith("measured on ")
    mpc.wait_until(lambda: mpc.value("planner") == "adam", "the second search is on")


def test_diagnostics_tell_what_computes_the_plans(start_mpc):
    mpc = start_mpc()
    mpc.start()
    arithmetic = {"native": "native", "torch": "torch, as planner.backend says"}
    if library() is None:
        arithmetic["native"] = f"torch: {why_not()}"
    for backend, expected in arithmetic.items():
        assert mpc.set("planner.backend", backend).successful
        mpc.wait_for_plans(2)

        def told(expected=expected):
            values = {v.key: v.value for v in mpc.diagnostics[-1].status[0].values}
            return values["arithmetic"] == expected

        mpc.wait_until(told, expected)


def test_without_autostart_it_waits_to_be_configured(start_mpc):
    mpc = start_mpc(autostart=False)
    mpc.wait_until(lambda: mpc.diagnostics, "diagnostics")
    assert mpc.state() == "unconfigured"
    assert not mpc.plans


# -------------------------------------------------------------------------------------- reload


class Announcer:
    """Announces checkpoints as the learner does, and makes them."""

    def __init__(self, observer, folder):
        self._publisher = observer.node.create_publisher(String, "learner/checkpoint", qos.LATCHED)
        self._folder = folder

    def announce(self, path):
        self._publisher.publish(String(data=str(path)))

    def make(self, name, **changes):
        """A copy of the shipped checkpoint, of a robot with these changes; its path."""
        from wm_mpc.model.checkpoint import load_checkpoint, save_checkpoint
        from wm_mpc.model.world_model import WorldModel

        model, _ = load_checkpoint(ROOT / "checkpoints" / "wall.safetensors")
        other = WorldModel(dataclasses.replace(model.spec, **changes), model.architecture)
        other.load_state_dict(model.state_dict())
        path = self._folder / name
        save_checkpoint(other, path, {})
        return path


@pytest.fixture
def announcer(observer, tmp_path):
    return Announcer(observer, tmp_path)


def diagnosis(mpc, key):
    values = mpc.diagnostics[-1].status[0].values if mpc.diagnostics else []
    return {entry.key: entry.value for entry in values}.get(key, "")


def test_announced_checkpoint_is_taken_up_without_a_hold(start_mpc, announcer):
    mpc = start_mpc(auto_reload=True)
    mpc.start()
    seen = len(mpc.plans)
    path = announcer.make("new.safetensors")
    announcer.announce(path)
    mpc.wait_until(lambda: diagnosis(mpc, "checkpoint") == str(path), "the new checkpoint")
    mpc.wait_for_plans(3)
    assert all(plan.points for plan in mpc.plans[seen:])
    assert diagnosis(mpc, "last reload") == f"loaded {path}"


def test_checkpoint_announced_before_the_start_is_taken_up(start_mpc, announcer):
    path = announcer.make("early.safetensors")
    announcer.announce(path)
    mpc = start_mpc(auto_reload=True)
    mpc.wait_until(lambda: diagnosis(mpc, "checkpoint") == str(path), "the announced checkpoint")


def test_without_auto_reload_it_waits_until_it_is_asked_or_switched_on(start_mpc, announcer):
    mpc = start_mpc()
    mpc.start()
    path = announcer.make("new.safetensors")
    announcer.announce(path)
    mpc.wait_for_plans(10)
    assert diagnosis(mpc, "last reload") == "none"
    response = mpc.observer.call(Trigger, "mpc/reload")
    assert response.success
    assert response.message == f"loaded {path}"
    mpc.wait_until(lambda: diagnosis(mpc, "checkpoint") == str(path), "the new checkpoint")
    newer = announcer.make("newer.safetensors")
    announcer.announce(newer)
    mpc.wait_for_plans(5)
    assert diagnosis(mpc, "checkpoint") == str(path)
    assert mpc.set("auto_reload", True).successful
    mpc.wait_until(lambda: diagnosis(mpc, "checkpoint") == str(newer), "the newer checkpoint")
    mpc.wait_for_plans(2)


def test_file_that_was_written_again_is_loaded_again(start_mpc, announcer, monkeypatch):
    from wm_mpc.nodes.mpc import loading as module

    mpc = start_mpc(auto_reload=True)
    mpc.start()
    loaded = []
    load = module.load_checkpoint  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "load_checkpoint", lambda path: loaded.append(path) or load(path))
    path = announcer.make("new.safetensors")
    announcer.announce(path)
    mpc.wait_until(lambda: loaded == [path], "the first loading")
    announcer.announce(path)  # as it is
    announcer.make("new.safetensors")
    announcer.announce(path)
    mpc.wait_until(lambda: loaded == [path, path], "the second loading")
    mpc.wait_for_plans(5)
    assert loaded == [path, path]


def largest_step(plans):
    positions = [np.array([point.positions for point in plan.points]) for plan in plans]
    return max(float(np.abs(np.diff(rows, axis=0)).max()) for rows in positions)


def test_the_largest_jump_counts_from_the_next_activation_on_and_for_exchanged_checkpoints(
    start_mpc, announcer
):
    """Its range is 2 m: 0.05 of that is 0.1 m a control period."""
    action = ActionSpec(("x", "y"), "position", "m", (-1.0, -1.0), (1.0, 1.0))
    path = announcer.make("arm.safetensors", action=action)
    mpc = start_mpc(checkpoint=str(path), **{"limits.lag": 0.0})
    mpc.start()
    assert 0.03 < largest_step(mpc.wait_for_plans(3)) < 0.1001
    refused = mpc.set("limits.largest_jump", 0.01)
    assert not refused.successful
    assert "limits.largest_jump stays 0.05" in refused.reason
    assert "deactivate the node first" in refused.reason
    assert mpc.change_state(4)  # deactivate
    assert mpc.set("limits.largest_jump", 0.01).successful
    reloaded = mpc.observer.call(Trigger, "mpc/reload")
    assert reloaded.success, reloaded.message
    assert mpc.change_state(3)  # activate
    assert 0.006 < largest_step(mpc.wait_for_plans(3)) < 0.0201
    other = announcer.make("other.safetensors", action=action)
    announcer.announce(other)
    mpc.wait_until(
        lambda: mpc.observer.call(Trigger, "mpc/reload").message == f"loaded {other}", "it"
    )
    mpc.wait_until(lambda: diagnosis(mpc, "checkpoint") == str(other), "the exchange")
    assert 0.006 < largest_step(mpc.wait_for_plans(5)) < 0.0201


def test_checkpoint_of_another_robot_is_refused(start_mpc, announcer):
    mpc = start_mpc(auto_reload=True)
    mpc.start()
    announcer.announce(announcer.make("other.safetensors", control_period=0.05))
    mpc.wait_until(lambda: "of another robot" in diagnosis(mpc, "last reload"), "the refusal")
    assert diagnosis(mpc, "checkpoint").endswith("wall.safetensors")
    mpc.wait_for_plans(2)


NOT_A_CHECKPOINT = {
    "empty": lambda folder: "",
    "name of a shipped one": lambda folder: "wall",
    "relative": lambda folder: "checkpoints/wall.safetensors",
    "of the user's home": lambda folder: "~/wall.safetensors",
    "other suffix": lambda folder: folder / "model.pt",
    "directory": lambda folder: folder / "folder.safetensors",
    "pipe": lambda folder: folder / "pipe.safetensors",
    "too long": lambda folder: "/" + "a" * 5000 + ".safetensors",
}


@pytest.mark.parametrize("name", NOT_A_CHECKPOINT)
def test_announcement_of_anything_but_a_file_is_refused(tmp_path, name):
    from wm_mpc.model.checkpoint import CheckpointError
    from wm_mpc.nodes.mpc.reload import announced_checkpoint

    (tmp_path / "model.pt").write_bytes(b"")
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="accepted: the absolute path of an existing"):
        announced_checkpoint(str(NOT_A_CHECKPOINT[name](tmp_path)))


def test_damaged_announced_checkpoint_keeps_the_old_one(start_mpc, announcer, tmp_path):
    mpc = start_mpc(auto_reload=True)
    mpc.start()
    seen = len(mpc.plans)
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"no tensors at all")
    announcer.announce(path)
    mpc.wait_until(lambda: "is damaged" in diagnosis(mpc, "last reload"), "the refusal")
    announcer.announce("no path at all")
    mpc.wait_until(lambda: "'no path at all'" in diagnosis(mpc, "last reload"), "the refusal")
    mpc.wait_for_plans(2)
    assert all(plan.points for plan in mpc.plans[seen:])
    good = announcer.make("good.safetensors")
    announcer.announce(good)
    mpc.wait_until(lambda: diagnosis(mpc, "checkpoint") == str(good), "the good one")


def slowly(kind, load):
    """Loading that takes 0.6 s more: of a slow disk, or of a model that is much larger."""

    def slow(path):
        until = time.monotonic() + 0.6
        if kind == "disk":
            time.sleep(0.6)
        while time.monotonic() < until:
            load(path)
        return load(path)

    return slow


@pytest.mark.timing
def test_reload_does_not_miss_a_period(start_mpc, announcer, monkeypatch):
    """Loading takes six periods: in the planning thread it would leave a gap as long, among the
    callbacks it would keep observations away as long."""
    from wm_mpc.nodes.mpc import loading as module

    mpc = start_mpc()
    mpc.start()
    times = []  # (arrival of a plan, stamp of its observation), s
    mpc.observer.node.create_subscription(
        JointTrajectory, "planned_actions",
        lambda plan: times.append((time.monotonic(), to_nanoseconds(plan.header.stamp) / 1e9)),
        qos.PLANNED_ACTIONS,
    )  # fmt: skip

    def largest_gaps(first=0):
        return np.diff(times[first:], axis=0).max(0)

    def reload():
        """Largest gaps between plans and between observations, and holds, while it reloads."""
        first, before, started = len(times) - 1, len(mpc.plans), time.monotonic()
        assert mpc.observer.call(Trigger, "mpc/reload").success
        assert time.monotonic() - started > 0.6
        count = len(times)
        mpc.wait_until(lambda: len(times) >= count + 3, "plans after the reload")
        return *largest_gaps(first), sum(not plan.points for plan in mpc.plans[before:])

    mpc.wait_until(lambda: len(times) > 15, "plans")
    # No worse than without a reload: this machine may be busy.
    usual = largest_gaps()
    allowed = np.minimum(0.5, np.maximum((0.15, 0.25), 1.2 * usual))
    announcer.announce(announcer.make("new.safetensors"))
    load = module.load_checkpoint  # type: ignore[attr-defined]
    for kind in ("disk", "processor"):
        monkeypatch.setattr(module, "load_checkpoint", slowly(kind, load))
        found, is_good = [], False
        while not is_good and len(found) < 3:
            found.append(reload())
            is_good = bool((np.array(found[-1]) < [*allowed, 1.0]).all())
        print(f"{kind}: largest gaps {found} s; usual {usual.round(3)} s")
        assert is_good, f"{kind}: gaps between plans, observations, and holds: {found}"


# ----------------------------------------------------------------------------- with the sim


def test_robot_reaches_its_goals_in_lockstep(start_mpc, start_sim):
    mpc = start_mpc(lockstep=True, use_sim_time=True)
    sim = start_sim(task="wall", seed=11, lockstep=True, episodes=2)
    sim.wait_until(lambda: sim.episodes and sim.episode()["successes"] == "2", "two goals", 60.0)
    sim.join()
    assert not mpc.failures
