"""A goal that cannot be read is refused and said; the goal that was there stays."""

from __future__ import annotations

import array
import math
import random

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from sensor_msgs.msg import JointState

from wm_mpc.nodes.mpc.goals import Goals
from wm_mpc.nodes.mpc.inputs import Inputs
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

pytestmark = pytest.mark.ros
SPEC = RobotSpec(
    "arm",
    ActionSpec(("elbow",), "velocity", "", (-3.0,), (3.0,)),
    StateSpec(("elbow", "wrist"), ("rad", "rad"), "joint_states"),
    ImageSpec(16, 16),
    0.1,
    2,
)


class Receiver:
    """The node's inputs and goals on a real node, given messages as the middleware gives them."""

    def __init__(self, node):
        self.inputs, self.goals = (
            Inputs(node, SPEC, transport="raw", state_type="auto"),
            Goals(node),
        )
        self.goals.begin(self.inputs)
        self._writes = 0

    def image(self, message):
        self._writes += 1
        self.inputs._goals.store_image(message, {"source_timestamp": self._writes})
        return self.current()

    def state(self, message):
        self._writes += 1
        self.inputs._goals.store_state(message, {"source_timestamp": self._writes})
        return self.current()

    def current(self):
        self.goals.take(self.inputs.snapshot(wait_for_state=0.0))
        return self.goals.current

    def refusals(self):
        """How many, and the last one, as diagnostics have it."""
        text = str(self.inputs.values().get("goals refused", "0; last: "))
        count, last = text.split("; last: ", 1)
        return int(count), last


@pytest.fixture
def receiver(observer):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=observer.domain_id)
    node = rclpy.create_node("receiver", context=context)
    yield Receiver(node)
    node.destroy_node()
    rclpy.shutdown(context=context)


def picture(level=40, stamp=1, **changes):
    message = rgb_to_image(np.full((16, 16, 3), level, np.uint8), to_stamp(stamp))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def joints(position, stamp=1, names=("elbow", "wrist")):
    message = JointState(name=list(names), position=[float(value) for value in position])
    message.header.stamp = to_stamp(stamp)
    return message


UNREADABLE_IMAGES = {
    "wrong encoding": ({"encoding": "yuv411_fancy"}, "yuv411_fancy"),
    "no encoding": ({"encoding": ""}, "encoding"),
    "truncated": ({"data": array.array("B", b"\1" * 100)}, "100"),
    "empty": ({"data": array.array("B")}, "0"),
    "no height": ({"height": 0}, "goal image is 0x16"),
    "no width": ({"width": 0}, "goal image is 16x0"),
    "huge height": ({"height": 2**32 - 1}, "4294967295"),
    "short rows": ({"step": 5}, "5"),
    "floats that are no numbers": (
        {"encoding": "32FC1", "step": 64, "data": array.array("B", b"\xff" * 1024)},
        "goal",
    ),
    "wrong size": ({"height": 8}, "8"),
}


@pytest.mark.parametrize("name", UNREADABLE_IMAGES)
def test_an_unreadable_picture_leaves_the_working_goal(receiver, name):
    changes, reason = UNREADABLE_IMAGES[name]
    before = receiver.image(picture())
    assert receiver.image(picture(90, 2, **changes)) == before
    count, last = receiver.refusals()
    assert count == 1
    assert last.startswith("goal ")
    assert reason in last
    assert receiver.inputs.warning == f"goal refused: {last}"
    assert receiver.image(picture(90, 3)).number == before.number + 1
    assert receiver.refusals() == (count, last)  # that is kept, but not said any more
    assert receiver.goals.why_none().endswith("executing")


UNREADABLE_STATES = {
    "not a number": joints([math.nan, 0.0], 2),
    "infinite": joints([0.0, -math.inf], 2),
    "too large for a float": joints([1e39, 0.0], 2),
    "beyond any robot": joints([0.0, 3e30], 2),
    "a joint is missing": joints([0.0], 2, ["elbow"]),
    "no joints": joints([], 2, []),
    "fewer numbers than names": joints([0.0], 2),
    "a joint twice": joints([0.0, 1.0, 2.0], 2, ["elbow", "wrist", "elbow"]),
}


@pytest.mark.parametrize("name", UNREADABLE_STATES)
def test_an_unreadable_state_leaves_the_working_goal_with_its_state(receiver, name):
    receiver.state(joints([0.5, 0.25]))
    before = receiver.image(picture())
    assert receiver.state(UNREADABLE_STATES[name]) == before
    assert before.content.state.position.tolist() == [0.5, 0.25]
    count, last = receiver.refusals()
    assert count == 1
    assert any(word in last for word in ("elbow", "wrist"))
    assert receiver.inputs.warning == f"goal refused: {last}"


@pytest.mark.parametrize("state_first", [False, True])
def test_a_picture_whose_state_is_refused_does_not_get_the_state_of_the_goal_before(
    receiver, state_first
):
    receiver.state(joints([0.5, 0.25], 1))
    receiver.image(picture(40, 1))
    refused, following = joints([math.nan, 0.0], 2), picture(90, 2)
    if state_first:
        receiver.state(refused)
        goal = receiver.image(following)
    else:
        receiver.image(following)
        goal = receiver.state(refused)
    assert goal.number == 2
    assert goal.content.state is None
    assert receiver.state(joints([0.75, 0.0], 3)).content.state.position.tolist() == [0.75, 0.0]


def test_without_a_working_goal_the_reason_to_hold_names_the_refusal(receiver):
    assert receiver.image(picture(encoding="yuv411_fancy")) is None
    assert "no goal received yet; the newest was refused: goal" in receiver.goals.why_none()
    assert "yuv411_fancy" in receiver.goals.why_none()
    receiver.image(picture())
    receiver.goals._queue.clear()
    assert "refused" not in receiver.goals.why_none()


def test_refused_appended_goals_are_counted_and_said_too(receiver):
    before = receiver.image(picture())
    receiver.goals._append_image(picture(90, 2, encoding="yuv411_fancy"))
    assert "goal/append/image" in receiver.inputs.warning
    receiver.goals._append_state(joints([math.nan, 0.0], 2))
    assert "goal/append/state" in receiver.inputs.warning
    assert receiver.refusals()[0] == 2
    assert receiver.goals.current == before
    assert len(receiver.goals._queue.all()) == 1


def test_one_book_counts_refused_goals_and_says_on_which_topics_they_came(receiver):
    receiver.image(picture())
    receiver.image(picture(90, 2, height=0))
    receiver.image(picture(91, 3, height=0))
    receiver.state(joints([math.nan, 0.0], 3))
    receiver.goals._append_image(picture(90, 4, width=0))
    book = receiver.inputs._dropped
    assert book.values()["messages dropped"] == (
        "2 on /goal/image, 1 on /goal/state, 1 on /goal/append/image"
    )
    last = book.values()["last dropped message"]
    assert last.startswith("/goal/append/image: goal refused: goal image is 16x0")
    assert receiver.refusals()[0] == 4
    assert receiver.refusals()[1].endswith("(goal/append/image)")


def test_other_messages_that_were_dropped_are_no_goals(receiver):
    receiver.inputs._dropped.note("/joint_states", "position of elbow is nan")
    assert "goals refused" not in receiver.inputs.values()
    receiver.image(picture(height=0))
    assert receiver.refusals()[0] == 1


def test_any_broken_goal_is_taken_whole_or_refused_by_name(receiver):
    """Seeded: fields of good messages with values of all kinds. Nothing but a refusal comes of
    what cannot be read, and what is taken can be planned for."""
    rng = random.Random(0)
    taken = refused = 0
    receiver.image(picture())
    strange = {
        "height": (0, 1, 15, 16, 17, 2**31, 2**32 - 1),
        "width": (0, 1, 16, 48, 2**32 - 1),
        "step": (0, 1, 47, 48, 49, 2**32 - 1),
        "encoding": ("rgb8", "bgr8", "mono8", "mono16", "16UC1", "32FC1", "32FC3", "8UC3", "bayer_",
                     "bayer_rggb8", "yuv422_yuy2", "nv12", "\x00", "é" * 50, "rgba16"),
        "is_bigendian": (0, 1, 255),
        "data": (b"", b"\0", b"\xff" * 256, b"\x7f" * 768, b"\xff" * 1024, b"\0" * 5000),
    }  # fmt: skip
    values = (0.0, -1.0, 1e9, 1e10, 1e38, 1e39, -1e308, math.nan, math.inf)
    for number in range(2000):
        before, count = receiver.current(), receiver.refusals()[0]
        if rng.random() < 0.7:
            changes = {name: rng.choice(strange[name]) for name in rng.sample([*strange], 2)}
            if "data" in changes:
                changes["data"] = array.array("B", changes["data"])  # type: ignore[call-overload]
            goal = receiver.image(picture(rng.randrange(256), number + 2, **changes))
        else:
            position = [rng.choice(values) for _ in range(rng.choice((0, 1, 2, 2, 2, 3)))]
            names = rng.sample(["elbow", "wrist", "finger"], rng.choice((2, 2, 3)))
            goal = receiver.state(joints(position, number + 2, names))
        if receiver.refusals()[0] > count:
            refused += 1
            assert goal == before or goal.content.image is before.content.image
        else:
            taken += 1
        image, state = receiver.inputs.goal_arrays(goal.content.image, goal.content.state)
        assert image.shape == (16, 16, 3)
        assert state is None or np.isfinite(np.square(state)).all()
    assert taken > 100
    assert refused > 500


def test_a_flood_of_refused_goals_is_said_once(receiver, monkeypatch):
    said = []
    monkeypatch.setattr(receiver.inputs.refused_goals, "_warn", said.append)
    for number in range(50):
        receiver.image(picture(90, number, encoding="yuv411_fancy"))
    assert len(said) == 1
    receiver.image(picture(90, 51, height=0))
    assert len(said) == 2
    assert receiver.refusals()[0] == 51
