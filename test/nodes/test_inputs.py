"""What the node `mpc` hears: joints by name, images with the state of their moment, goals."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from nav_msgs.msg import Odometry
from rclpy.clock import ROSClock
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import Image, JointState

from wm_mpc.nodes.mpc.goals import Goals
from wm_mpc.nodes.mpc.inputs import Inputs
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image, state_to_odometry
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

pytestmark = pytest.mark.ros
MS = 1_000_000
T0 = 1_700_000_000_000_000_000


def robot(*, states=("elbow",), source="joint_states", kind="velocity", actions=("elbow",)):
    size = len(actions)
    return RobotSpec(
        "arm",
        ActionSpec(tuple(actions), kind, "", (-3.0,) * size, (3.0,) * size),
        StateSpec(tuple(states), ("",) * len(states), source),
        ImageSpec(16, 16),
        0.1,
        2,
    )


class Listener:
    """Inputs on a real node whose time is set by hand, in ms since T0."""

    def __init__(self, observer, spec, **options):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=observer.domain_id)
        self.node = rclpy.create_node("listener", namespace="left", context=self._context)
        clock = self.node.get_clock()
        assert isinstance(clock, ROSClock)
        clock._set_ros_time_is_active(True)
        self.inputs = Inputs(
            self.node, spec, transport="raw", state_type="auto", on_image=lambda: None, **options
        )
        self.now = 0

    @property
    def now(self):
        return self._now

    @now.setter
    def now(self, ms):
        self._now = ms
        self.node.get_clock().set_ros_time_override(Time(nanoseconds=T0 + round(ms * MS)))  # type: ignore[attr-defined]

    def image(self, at, latency=0):
        """A picture of a moment, that comes `latency` ms later."""
        self.now = at + latency
        message = rgb_to_image(np.zeros((16, 16, 3), np.uint8), to_stamp(T0 + round(at * MS)))
        self.inputs._store_image(message, {})

    def joints(self, at, names, position, velocity=()):
        self.now = max(self.now, at)
        message = JointState(name=list(names))
        message.position = [float(value) for value in position]
        message.velocity = [float(value) for value in velocity]
        message.header.stamp = to_stamp(T0 + round(at * MS))
        self.inputs._store_state(message)

    def joints_of_other_clock(self, at, ahead, names, position):
        now, self.now = self.now, at
        message = JointState(name=list(names), position=[float(value) for value in position])
        message.header.stamp = to_stamp(T0 + (at + ahead) * MS)
        self.inputs._store_state(message)
        self.now = now

    def odometry(self, at, **values):
        self.now = max(self.now, at)
        self.inputs._store_state(state_to_odometry(values, to_stamp(T0 + round(at * MS))))

    def state(self):
        return self.inputs.snapshot(wait_for_state=0.0).state

    def why(self, timeout=0.5):
        """Why the robot must hold; empty when it need not."""
        return self.inputs.why_unusable(self.inputs.snapshot(wait_for_state=0.0), timeout).hold

    def close(self):
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def listen(observer):
    with contextlib.ExitStack() as stack:
        yield lambda spec, **options: stack.enter_context(
            contextlib.closing(Listener(observer, spec, **options))
        )


# -------------------------------------------------------------------------------- one moment


def test_a_camera_200_ms_late_is_paired_with_the_state_of_its_moment(listen):
    arm = listen(robot())
    for ms in range(1001):
        arm.joints(ms, ["elbow"], [ms / 1000])
    arm.image(at=800, latency=200)
    assert arm.why() == ""
    assert arm.state().values == pytest.approx([0.8])
    assert arm.inputs.values()["state offset from image (ms)"] == "0.0"
    assert arm.inputs.values()["image age on arrival (ms)"] == "200.0"
    assert arm.inputs.warning == ""


def test_states_of_another_moment_are_said_and_of_another_period_are_refused(listen):
    arm = listen(robot())
    for ms in range(0, 300, 10):
        arm.joints(ms, ["elbow"], [0.0])
    arm.image(at=360)
    assert arm.why() == ""
    assert "elbow on /left/joint_states is 70 ms older" in arm.inputs.warning
    arm.image(at=420)
    assert "elbow on /left/joint_states is 130 ms older" in arm.why()


@pytest.mark.parametrize("waits", [1, 2])
def test_a_state_that_comes_a_little_after_its_image_is_waited_for(listen, waits):
    """It comes while the first or the second wait lasts."""
    asked = []

    def bring():
        asked.append(1)
        if len(asked) == waits:
            threading.Thread(target=arm.joints, args=(9000, ["elbow"], [1.0])).start()

    slow = dataclasses.replace(robot(), control_period=10.0)  # no race on a busy machine
    arm = listen(slow, on_wait=bring)
    arm.joints(0, ["elbow"], [0.0])
    arm.image(at=9000)
    state = arm.inputs.snapshot(wait_for_state=5.0 if waits == 1 else 0.0).state
    assert (state.values, len(asked)) == ([1.0], waits)


def test_a_yaw_between_two_odometries_goes_the_short_way(listen):
    spec = robot(states=("yaw",), source="odom", actions=("vx",))
    base = listen(
        RobotSpec(
            "base", spec.action, StateSpec(("yaw",), ("rad",), "odom", ("yaw",)), spec.image, 0.1, 2
        )
    )
    base.odometry(0, yaw=math.pi - 0.1)
    base.odometry(20, yaw=-math.pi + 0.1)
    base.image(at=10)
    assert abs(abs(float(base.state().values[0])) - math.pi) < 1e-5


# ---------------------------------------------------------------------------- joints by name


def test_arm_and_gripper_that_publish_apart_make_one_state(listen):
    arm = listen(robot(states=("elbow", "finger", "elbow/velocity")))
    for ms in range(0, 500, 2):
        arm.joints(ms, ["elbow"], [ms / 1000], [1.0])
    for ms in range(1, 500, 20):
        arm.joints(ms, ["finger"], [0.25])
    arm.image(at=401, latency=99)
    assert arm.why() == ""
    assert arm.state().values == pytest.approx([0.401, 0.25, 1.0])


def test_messages_without_the_model_s_joints_make_no_hold(listen):
    arm = listen(robot())
    for ms in range(0, 500, 10):
        arm.joints(ms, ["elbow"], [1.0])
        arm.joints(ms + 5, ["finger"], [9.0])
        arm.joints(ms + 6, [], [])
        arm.image(at=ms + 5)
        assert arm.why() == ""
        assert arm.state().values == pytest.approx([1.0])
    assert "state messages refused" not in arm.inputs.values()


def test_a_joint_of_the_model_that_nobody_publishes_is_named(listen):
    arm = listen(robot(states=("elbow", "wrist")))
    arm.joints(0, ["elbow", "finger"], [0.0, 0.0])
    arm.image(at=0)
    assert arm.why() == (
        "no robot state received yet on /left/joint_states: wrist not among the joints heard: "
        "elbow, finger"
    )


def test_before_anything_came_the_topics_are_named(listen):
    arm = listen(robot())
    assert arm.why() == "no image received yet on /left/camera/image_raw"
    arm.image(at=0)
    assert arm.why() == "no robot state received yet on /left/joint_states"


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        ([math.nan], "joint_states: elbow is nan"),
        ([1e39], "joint_states: elbow is 1e+39; accepted: numbers up to"),
        ([1.0, 2.0], "joint_states has 2 values of position for 1 joints"),
    ],
)
def test_a_joint_that_cannot_be_read_makes_a_hold_within_a_period_and_is_counted(
    listen, position, reason
):
    arm = listen(robot())
    for ms in range(0, 200, 10):
        arm.joints(ms, ["elbow"], [0.0])
    for ms in range(200, 400, 10):
        arm.joints(ms, ["elbow"], position)
        arm.image(at=ms)
        assert (reason in arm.why()) == (ms > 290)
    assert f"20; last: {reason}" in arm.inputs.values()["state messages refused"]


def test_one_broken_message_between_good_ones_is_counted_and_nothing_more(listen):
    arm = listen(robot())
    for ms in range(0, 200, 10):
        arm.joints(ms, ["elbow"], [math.nan if ms == 150 else ms / 1000])
        arm.image(at=ms)
        assert arm.why() == ""
    arm.image(at=150, latency=40)
    assert arm.state().values == pytest.approx([0.15])
    assert arm.inputs.values()["state messages refused"].startswith("1; last: ")


# --------------------------------------------------------------------------------- positions


def test_positions_of_all_joints_heard_and_of_the_base_are_known_by_name(listen):
    arm = listen(robot(states=("vx",), source="odom", kind="position", actions=("elbow", "x")))
    arm.joints(0, ["elbow", "wrist"], [1.0, 2.0])
    arm.joints(1, ["finger"], [0.25])
    arm.odometry(2, x=3.0, y=4.0, yaw=0.5)
    arm.joints(3, ["elbow"], [1.5])
    found = arm.inputs.measured_positions(10.0)
    assert found == pytest.approx(
        {"elbow": 1.5, "wrist": 2.0, "finger": 0.25, "x": 3.0, "y": 4.0, "yaw": 0.5}
    )
    assert arm.inputs.measured_positions(-1.0) == {}


def test_a_joint_that_another_node_sends_on_later_is_where_its_driver_says(listen):
    arm = listen(robot())
    arm.joints(100, ["elbow"], [1.0])
    arm.joints(0, ["elbow", "finger"], [0.0, 0.5])
    assert arm.inputs.measured_positions(10.0) == {"elbow": 1.0, "finger": 0.5}


def test_where_a_joint_is_that_is_named_twice_is_unknown(listen):
    arm = listen(robot(kind="position"))
    arm.joints(0, ["elbow", "wrist", "elbow"], [1.0, 2.0, 3.0])
    assert arm.inputs.measured_positions(10.0) == {"wrist": 2.0}


def test_positions_that_are_none_are_unknown(listen):
    arm = listen(robot(kind="position"))
    arm.joints(0, ["elbow", "wrist"], [math.nan, 1.0])
    arm.joints(1, ["finger"], [])
    arm.odometry(2, x=1e200)
    message = Odometry()
    message.pose.pose.orientation.w = 0.0
    arm.inputs._store_state(message)
    assert arm.inputs.measured_positions(10.0) == {"wrist": 1.0, "x": 0.0, "y": 0.0}


@pytest.mark.parametrize(
    ("spec", "topics"),
    [
        (robot(states=("vx",), source="odom", kind="position"), {"odom", "joint_states"}),
        (robot(states=(), source="odom", kind="position"), {"odom", "joint_states"}),
        (robot(states=("vx",), source="odom", actions=("vx",)), {"odom"}),
        (robot(kind="position"), {"joint_states"}),
        (robot(kind="position", actions=("x", "y")), {"odom", "joint_states"}),
    ],
)
def test_what_rest_needs_is_listened_to_though_the_model_measures_something_else(
    listen, spec, topics
):
    subscriptions = {s.topic_name for s in listen(spec).node.subscriptions}
    states = {"/left/odom", "/left/joint_states"}
    assert subscriptions & states == {f"/left/{topic}" for topic in topics}


def test_a_joint_that_made_a_whole_turn_keeps_its_own_count(listen):
    """The model's angle is between -pi and pi; a command must not unwind the joint."""
    spec = robot(kind="position")
    turning = RobotSpec(
        "arm", spec.action, StateSpec(("elbow",), ("rad",), "joint_states", ("elbow",)),
        spec.image, 0.1, 2,
    )  # fmt: skip
    arm = listen(turning)
    arm.joints(0, ["elbow"], [7.0])
    arm.joints(10, ["elbow"], [7.1])
    arm.image(at=5)
    state = arm.state().values
    assert state == pytest.approx([7.05 - 2 * math.pi], abs=1e-5)
    assert arm.inputs.state_positions(state)["elbow"] == pytest.approx(7.05, abs=1e-5)


# ------------------------------------------------------------------------------------ clocks


@pytest.mark.parametrize("ahead", [300, 450, 5000])
def test_an_image_from_the_future_makes_a_hold(listen, ahead):
    arm = listen(robot())
    for ms in range(0, 100, 10):
        arm.joints(ms + ahead, ["elbow"], [0.0])
    arm.image(at=100 + ahead, latency=-ahead)
    assert f"image stamps are {ahead / 1000:.2f} s in the future" in arm.why()


def test_one_publisher_of_joints_whose_clock_is_ahead_is_named_beside_a_faster_one(listen):
    """Its joints would be those of another moment."""
    arm = listen(robot(states=("elbow", "finger")))
    for ms in range(0, 1000, 2):
        arm.joints(ms, ["elbow"], [0.0])
        if ms % 50 == 0:
            arm.joints_of_other_clock(ms, 300, ["finger"], [0.0])
    arm.image(at=990)
    assert "robot state stamps of finger are 0.30 s in the future" in arm.why()


def test_after_a_clock_was_set_back_nothing_of_the_time_to_come_is_used(listen):
    arm = listen(robot())
    for ms in range(100_000, 101_000, 10):
        arm.joints(ms, ["elbow"], [9.0])
        arm.image(at=ms)
    assert arm.why() == ""
    arm.now = 0
    arm.joints(0, ["elbow"], [1.0])
    assert arm.why() == "no image received yet on /left/camera/image_raw"
    arm.image(at=0)
    assert arm.why() == ""
    assert (arm.state().values, arm.state().offset) == ([1.0], 0.0)


def test_stamps_that_are_empty_count_as_the_time_of_arrival(listen):
    arm = listen(robot())
    arm.now = 50
    arm.inputs._store_state(JointState(name=["elbow"], position=[2.0]))
    message = rgb_to_image(np.zeros((16, 16, 3), np.uint8), to_stamp(0))
    arm.inputs._store_image(message, {})
    assert arm.why() == ""
    assert arm.state().values == [2.0]


@pytest.mark.parametrize("stamped", [True, False])
def test_what_lay_there_while_the_node_was_stopped_is_old(listen, monkeypatch, stamped):
    """Neither a place nor an image of that time counts as present."""
    arm = listen(robot())
    clock = {"read": T0}
    monkeypatch.setattr("wm_mpc.nodes.mpc.inputs.time.time_ns", lambda: clock["read"])

    def come(sent, read):
        """ms: when robot and camera sent something, and when it is read."""
        arm.now, clock["read"] = read, T0 + read * MS
        stamp = to_stamp(T0 + sent * MS if stamped else 0)
        info = {"source_timestamp": T0 + sent * MS}
        joints = JointState(name=["elbow"], position=[sent / 1000])
        joints.header.stamp = stamp
        arm.inputs._hear_state(joints, info)
        arm.inputs._store_image(rgb_to_image(np.zeros((16, 16, 3), np.uint8), stamp), info)

    for ms in range(0, 300, 100):
        come(ms, ms + 1)
    assert arm.why() == ""
    come(400, 3000)  # it was stopped from 0.3 to 3 s
    assert "2.60 s old" in arm.why()
    assert arm.inputs.measured_positions(0.2) == {}
    come(3000, 3001)
    assert arm.why() == ""
    assert arm.inputs.measured_positions(0.2) == {"elbow": 3.0}


def test_odometry_of_another_frame_is_said_once_and_warned_of_for_a_while(listen):
    base = listen(robot(states=("x", "vx"), source="odom", actions=("vx",)))
    said = []
    base.inputs._warn = said.append
    for ms, frame in ((0, "odom"), (100, "odom"), (200, "map"), (300, "map")):
        base.now = ms
        message = state_to_odometry({"x": 0.1}, to_stamp(T0 + ms * MS), frame)
        base.inputs._store_state(message)
        base.image(at=ms)
    assert [text for text in said if "several frames" in text] == [
        "the messages of /left/odom are of several frames, and their numbers are mixed: "
        "frame_id (2 'odom', 1 'map')"
    ]
    assert "warning.frames" in base.inputs.warned()


def test_odometry_of_one_frame_says_nothing(listen):
    base = listen(robot(states=("x", "vx"), source="odom", actions=("vx",)))
    for ms in range(0, 500, 50):
        base.odometry(ms, x=0.1)
    assert "warning.frames" not in base.inputs.warned()


# ------------------------------------------------------------------------------------- goals


VOLATILE = QoSProfile(depth=10)
CAMERA = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.mark.parametrize(
    "profile", [VOLATILE, CAMERA, LATCHED], ids=["default", "camera", "latched"]
)
def test_a_goal_comes_once_whatever_it_is_published_with(listen, observer, profile):
    from wm_mpc.ros.running import spinning

    arm = listen(robot())
    publisher = observer.node.create_publisher(Image, "/left/goal/image", profile)
    goals = Goals(arm.node)
    goals.begin(arm.inputs)
    with spinning(arm.node):
        observer.wait_until(lambda: publisher.get_subscription_count() >= 1, "a connection")

        def current():
            goals.take(arm.inputs.snapshot())
            return goals.current

        for number, level in enumerate((50, 200), 1):
            picture = np.full((16, 16, 3), level, np.uint8)

            def came(number=number, picture=picture):
                publisher.publish(rgb_to_image(picture, to_stamp(T0)))
                return current() is not None and current().number == number

            observer.wait_until(came, f"goal {number}")
        observer.wait_until(lambda: current().number == 2, "no other goal")


class Pictures:
    """A publisher of goal pictures, straight into the node's inputs."""

    def __init__(self, listener):
        self.listener, self.goals = listener, Goals(listener.node)
        self.goals.begin(listener.inputs)
        self._writes = 0

    def send(self, picture, state=None, *, stamp=None):
        self._writes += 1
        at = to_stamp(self._writes if stamp is None else stamp)
        info = {"source_timestamp": self._writes}
        if state is not None:
            self.listener.inputs._goals.store_state(
                JointState(
                    header=rgb_to_image(picture, at).header, name=["elbow"], position=[state]
                ),
                info,
            )
        for _ in qos.GOALS:  # each subscription brings it
            self.listener.inputs._goals.store_image(rgb_to_image(picture, at), info)
        self.goals.take(self.listener.inputs.snapshot(wait_for_state=0.0))
        return self.goals.current


@pytest.fixture
def pictures(listen):
    return Pictures(listen(robot()))


def scene(level=40, at=6):
    picture = np.full((16, 16, 3), level, np.uint8)
    picture[at : at + 4, 6:10] = 200
    return picture


def test_a_picture_repeated_with_new_stamps_is_one_goal_and_changes_nothing(pictures):
    first = pictures.send(scene(), 0.5)
    for _ in range(20):
        goal = pictures.send(scene(), 0.5)
    assert (goal.number, goal.revision) == (first.number, first.revision) == (1, 0)
    assert pictures.listener.inputs.snapshot(wait_for_state=0.0).goal_number == 2  # image, state


def test_the_newest_stamp_of_a_repeated_goal_is_told(pictures):
    pictures.send(scene())
    goal = pictures.send(scene(), stamp=77)
    assert goal.content.image.header.stamp == to_stamp(77)


def test_another_picture_is_another_goal(pictures):
    pictures.send(scene())
    assert pictures.send(scene(at=9)).number == 2


def test_another_state_of_the_same_picture_is_the_same_goal_made_new(pictures):
    pictures.send(scene(), 0.5)
    goal = pictures.send(scene(), 0.75)
    assert goal.number == 1
    assert goal.revision > 0


def test_a_noisy_camera_as_goal_is_one_goal_planned_for_as_it_looks_now(pictures):
    rng = np.random.default_rng(0)
    for k in range(20):
        noise = rng.normal(0.0, 3.0, (16, 16, 3))
        goal = pictures.send(np.clip(scene() + noise, 0, 255).astype(np.uint8))
        assert (goal.number, goal.revision) == (1, k)


def test_a_goal_that_changes_little_by_little_becomes_another_one(pictures):
    numbers = {pictures.send(scene(level)).number for level in range(40, 90, 4)}
    assert len(numbers) > 1


def cleared(pictures):
    pictures.goals._queue.clear()
    return pictures


def test_a_picture_that_repeats_itself_does_not_bring_a_cleared_goal_back(pictures):
    for _ in range(5):
        pictures.send(scene())
    cleared(pictures)
    assert all(pictures.send(scene()) is None for _ in range(5))
    assert "no goal any more" in pictures.goals.why_none()


def test_a_person_who_sends_a_cleared_goal_again_gets_it(pictures):
    pictures.send(scene())
    assert cleared(pictures).send(scene()).number == 2


def test_a_latched_goal_that_comes_again_to_a_new_subscription_is_not_asked_for_again(pictures):
    pictures.send(scene(), stamp=5)
    assert cleared(pictures).send(scene(), stamp=5) is None


# A goal's state belongs to the picture that is nearer in time.


@pytest.mark.parametrize("stamps", [True, False])
def test_a_picture_alone_does_not_get_the_state_of_the_goal_before(pictures, stamps):
    pictures.send(scene(), 0.5, stamp=1_000_000 if stamps else 0)
    goal = pictures.send(scene(at=9), stamp=9_000_000 if stamps else 0)
    assert goal.number == 2
    assert goal.content.state is None
    assert pictures.goals.values()["goal state"] == "not known"


def test_a_state_that_comes_before_its_picture_belongs_to_it(pictures):
    pictures.send(scene(), stamp=1_000_000)
    state = JointState(name=["elbow"], position=[0.75])
    state.header.stamp = to_stamp(8_900_000)
    pictures.listener.inputs._goals.store_state(state, {"source_timestamp": 77})
    goal = pictures.send(scene(at=9), stamp=9_000_000)
    assert goal.content.state.position[0] == 0.75
    assert pictures.goals.values()["goal state"] == "known"


def test_the_same_picture_keeps_its_state_whatever_its_stamp(pictures):
    pictures.send(scene(), 0.5, stamp=1_000_000)
    goal = pictures.send(scene(), stamp=9_000_000)
    assert goal.content.state.position[0] == 0.5
