"""Serialized plans are what rclpy makes of the messages."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.messages.errors import MessageError
from wm_mpc.ros.messages import actions_to_trajectory
from wm_mpc.ros.serialized_plans import SerializedPlans
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import ActionSpec
from wm_mpc.units import SECOND

STAMPS = [0, 1, 1_795_812_821_618_673_047, 5 * SECOND - 1, -1, 2_147_483_647_999_999_999]


def robot(kind, *names):
    limits = [1.0] * len(names)
    return ActionSpec(names=names, low=[-x for x in limits], high=limits, kind=kind, unit="m/s")


@pytest.mark.parametrize("points", [0, 1, 2, 35, 250])
@pytest.mark.parametrize(
    "spec",
    [
        robot("velocity", "vx", "vy"),
        robot("effort", "a"),
        robot("position", *(f"panda_joint{k}" for k in range(1, 8))),
        robot("velocity", "left wheel", "r", "lift"),
    ],
    ids=lambda spec: spec.kind + str(spec.size),
)
def test_a_plan_is_serialized_as_rclpy_does_it(spec, points):
    plans, rng = SerializedPlans(spec, 0.1), np.random.default_rng(0)
    for stamp in STAMPS:
        for actions in (rng.normal(size=(points, spec.size)), np.zeros((points, spec.size))):
            written = plans.write(stamp, actions)
            message = actions_to_trajectory(actions, spec, 0.1, to_stamp(stamp))
            assert len(written) == len(serialize_message(message))  # padding is not defined
            assert deserialize_message(written, JointTrajectory) == message
    assert all(plans._forms.values())  # rclpy has not done it


def test_leavings_of_other_plans_in_memory_do_not_confuse():
    """Behind a message, what the middleware gives is as long as its buffer, and as old."""
    spec = robot("velocity", "vx", "vy")
    for _ in range(10):
        plans = SerializedPlans(spec, 0.1)
        for points in (35, 100, 20):
            plans.write(0, np.ones((points, 2)))
        assert all(plans._forms.values())


@pytest.mark.parametrize(
    "actions",
    [
        np.arange(12, dtype=np.float32).reshape(6, 2),
        np.arange(12.0).reshape(2, 6).T,
        np.arange(24.0).reshape(12, 2)[::2],
        np.arange(12.0).reshape(6, 2)[::-1],
        np.arange(12).reshape(6, 2),
    ],
    ids=["float32", "transposed", "every other", "backwards", "integers"],
)
def test_any_array_of_actions_will_do(actions):
    spec = robot("velocity", "vx", "vy")
    message = actions_to_trajectory(actions, spec, 0.1, to_stamp(7))
    written = SerializedPlans(spec, 0.1).write(7, actions)
    assert deserialize_message(written, JointTrajectory) == message


def test_a_layout_that_is_not_understood_is_left_to_rclpy(monkeypatch):
    spec, actions = robot("velocity", "vx", "vy"), np.ones((3, 2))
    monkeypatch.setattr("wm_mpc.ros.serialized_plans._pack", lambda *_: b"nowhere")
    message = actions_to_trajectory(actions, spec, 0.1, to_stamp(7))
    written = SerializedPlans(spec, 0.1).write(7, actions)
    assert deserialize_message(written, JointTrajectory) == message


def test_plans_of_many_lengths_do_not_disturb_each_other():
    spec = robot("velocity", "vx", "vy")
    plans = SerializedPlans(spec, 0.05)
    for points in [*range(12), *range(12)]:
        actions = np.full((points, 2), 0.01 * points)
        message = actions_to_trajectory(actions, spec, 0.05, to_stamp(points))
        assert deserialize_message(plans.write(points, actions), JointTrajectory) == message


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        (np.full((3, 2), np.nan), "not finite"),
        (np.full((3, 2), np.inf), "not finite"),
        (np.zeros((3, 3)), r"plan has shape \(3, 3\); \(3, 2\) is needed"),
        (np.zeros(4), r"plan has shape \(4,\)"),
        (np.zeros((2, 3, 2)), r"plan has shape \(2, 3, 2\)"),
    ],
)
def test_what_is_no_plan_is_refused(actions, told):
    plans = SerializedPlans(robot("velocity", "vx", "vy"), 0.1)
    with pytest.raises(MessageError, match=told):
        plans.write(0, actions)
    assert plans.write(0, np.zeros((3, 2)))
