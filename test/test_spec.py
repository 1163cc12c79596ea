"""The description of a robot that travels from the recording into the node."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, SpecError, StateSpec

ACTION = ActionSpec(("left", "right"), "velocity", "rad/s", (-2.0, 0.5), (4.0, 0.75), (1.0, 2.0))
STATE = StateSpec(("x", "yaw"), ("m", "rad"), "odom")
ROBOT = RobotSpec("toy", ACTION, STATE, ImageSpec(16, 24), 0.05, 3, 2)


def test_round_trip_through_json_is_exact():
    assert RobotSpec.from_dict(json.loads(json.dumps(ROBOT.to_dict()))) == ROBOT


def test_sizes_and_periods_follow_from_the_entries():
    assert ROBOT.block_size == 6
    assert ROBOT.model_period == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        (ACTION, {"names": (), "low": (), "high": ()}, r"action\.names is empty"),
        (ACTION, {"names": ("a", "a")}, r"action\.names repeats.*'a', 'a'"),
        (ACTION, {"kind": "torque"}, "'torque'; accepted: velocity, position, effort"),
        (ACTION, {"low": (0.0,)}, r"action\.low is \(0\.0,\); one finite number per action \(2\)"),
        (ACTION, {"high": (1.0, float("nan"))}, r"action\.high is .*nan"),
        (ACTION, {"high": (float("inf"), 1.0)}, r"action\.high is .*inf"),
        (ACTION, {"low": (4.0, 0.5)}, r"'left': low 4\.0 is not below high 4\.0"),
        (ACTION, {"rate_limit": (1.0,)}, r"action\.rate_limit is \(1\.0,\)"),
        (ACTION, {"rate_limit": (1.0, 0.0)}, r"action\.rate_limit is .*positive"),
        (STATE, {"names": ("x", "x")}, r"state\.names repeats"),
        (STATE, {"unit": ("m",)}, r"state\.unit has 1 entries for 2 names"),
        (STATE, {"source": "tf"}, "'tf'; accepted: odom, joint_states"),
        (ROBOT.image, {"height": 8}, "image is 8x24; at least 16x16"),
        (ROBOT.image, {"encoding": "mono8"}, "'mono8'; accepted: rgb8"),
        (ROBOT, {"task": ""}, "task has no name"),
        (ROBOT, {"control_period": 0.0}, r"control_period is 0\.0"),
        (ROBOT, {"control_period": float("nan")}, "control_period is nan"),
        (ROBOT, {"frame_skip": 0}, "frame_skip is 0"),
        (ROBOT, {"history": 0}, "history is 0"),
    ],
)
def test_every_contradiction_is_named(part, changes, message):
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(part, **changes)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("control_period",), "fast", "wrong kind of value.*'fast'"),
        (("frame_skip",), float("inf"), "wrong kind of value"),
        (("history",), None, "wrong kind of value"),
        (("action",), "left", "action must be a table of entries, got 'left'"),
        (("action", "speed"), 1.0, r"action has unknown entries \['speed'\]; known: "),
        (("action", "low"), [None, 0.0], "action: "),
        (("state", "unit"), 3, "state: "),
    ],
)
def test_wrong_entry_is_named(path, value, message):
    data = json.loads(json.dumps(ROBOT.to_dict()))
    table = data
    for name in path[:-1]:
        table = table[name]
    table[path[-1]] = value
    with pytest.raises(SpecError, match=message):
        RobotSpec.from_dict(data)


@pytest.mark.parametrize("name", ["task", "action", "state", "image", "control_period", "history"])
def test_missing_entry_is_named(name):
    data = ROBOT.to_dict()
    del data[name]
    with pytest.raises(SpecError, match=f"no entry '{name}'"):
        RobotSpec.from_dict(data)


def test_missing_entry_of_a_part_is_named():
    data = ROBOT.to_dict()
    del data["action"]["unit"]
    with pytest.raises(SpecError, match=r"action: .*'unit'"):
        RobotSpec.from_dict(data)


def test_limits_become_minus_one_and_one():
    limits = np.array([ACTION.low, ACTION.high])
    assert ROBOT.normalise_action(limits).tolist() == [[-1.0, -1.0], [1.0, 1.0]]


@st.composite
def robots(draw):
    low = draw(st.floats(-1e3, 1e3))
    high = low + draw(st.floats(1e-2, 1e3))
    action = ActionSpec(("a",), "effort", "N m", (low,), (high,))
    return dataclasses.replace(ROBOT, action=action)


@given(robots(), st.floats(0.0, 1.0))
def test_denormalise_inverts_normalise(robot, share):
    (low,), (high,) = robot.action.low, robot.action.high
    value = np.array([low + share * (high - low)])
    back = robot.denormalise_action(robot.normalise_action(value))
    assert back == pytest.approx(value, abs=1e-6 * (high - low), rel=1e-12)


@given(robots(), st.floats(allow_nan=False))
def test_denormalised_action_is_inside_the_limits(robot, value):
    action = robot.denormalise_action(np.array([value]))
    assert robot.action.low[0] <= action[0] <= robot.action.high[0]


# ---------------------------------------------------------------------------------------- rest


def robot(kind, **changes):
    action = ActionSpec(("j1", "j2"), kind, "rad", (-3.0, 0.5), (3.0, 2.5), **changes)
    state = StateSpec(("j2", "j1", "j1/velocity"), ("rad", "rad", "rad/s"), "joint_states")
    return RobotSpec("arm", action, state, ImageSpec(16, 16), 0.1, 2)


@pytest.mark.parametrize("kind", ["velocity", "effort"])
def test_rest_of_velocities_and_efforts_is_as_near_to_zero_as_the_limits_allow(kind):
    assert robot(kind).rest().tolist() == [0.0, 0.5]
    assert robot(kind).rest({"j1": 1.0}).tolist() == [0.0, 0.5]
    assert robot(kind).why_no_rest(None) == ""


def test_rest_of_positions_is_where_they_are_measured_inside_the_limits():
    measured = {"gripper": 9.0, "j2": 0.48, "j1": 1.5}
    assert robot("position").rest(measured).tolist() == [1.5, 0.5]


@pytest.mark.parametrize(
    ("measured", "missing"),
    [
        (None, ("j1", "j2")),
        ({}, ("j1", "j2")),
        ({"j1": 0.0}, ("j2",)),
        ({"j1": float("nan"), "j2": 1.0}, ("j1",)),
        ({"j1": float("inf"), "j2": 1.0}, ("j1",)),
    ],
)
def test_rest_of_positions_is_unknown_until_all_are_measured(measured, missing):
    assert robot("position").rest(measured) is None
    assert robot("position").action.unmeasured(measured) == missing
    assert f"no position of {', '.join(missing)}" in robot("position").why_no_rest(measured)


@pytest.mark.parametrize("place", [0.4, 2.6, -1.5])
def test_a_position_far_outside_its_limits_has_no_rest_that_may_be_sent(place):
    """The nearest limit would make the robot jump."""
    measured = {"j1": 0.0, "j2": place}
    assert robot("position").rest(measured) is None
    assert f"j2 is measured at {place:g} rad, outside its limits 0.5 to 2.5" in robot(
        "position"
    ).why_no_rest(measured)


def test_positions_are_read_from_the_state_by_name():
    spec = robot("position")
    state = np.array([1.25, -1.5, 7.0])
    assert spec.measured_positions(state) == {"j2": 1.25, "j1": -1.5}
    np.testing.assert_allclose(spec.denormalise_action(spec.normalised_rest(state)), [-1.5, 1.25])


def test_a_robot_moved_by_positions_that_the_state_lacks_has_no_rest_in_it():
    state = StateSpec(("j1",), ("rad",), "joint_states")
    spec = dataclasses.replace(robot("position"), state=state)
    with pytest.raises(SpecError, match="no position of j2"):
        spec.normalised_rest(np.zeros(1))


def test_positions_never_jump_and_velocities_may():
    assert robot("velocity").largest_change is None
    assert robot("position").largest_change == pytest.approx([0.3, 0.1])
    assert robot("position", rate_limit=(1.0, 2.0)).largest_change == pytest.approx([0.1, 0.2])
    stricter = robot("position").with_largest_jump(0.01)
    assert stricter.largest_change == pytest.approx([0.06, 0.02])
    limited = robot("position", rate_limit=(1.0, 2.0))
    assert limited.with_largest_jump(0.01) == limited


def test_positions_follow_moves_no_faster_than_they_may():
    spec = robot("position", rate_limit=(1.0, 2.0))
    rest = spec.normalised_rest(np.array([1.0, 2.9, 0.0]))
    moves = np.array([[1.0, -1.0], [5.0, 0.0], [-1.0, 0.5]])
    found = spec.denormalise_action(spec.positions_of(moves, rest))
    np.testing.assert_allclose(found, [[3.0, 0.8], [3.0, 0.8], [2.9, 0.9]], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "low", "high", "said"),
    [
        ("velocity", (0.2, -1.0), (1.0, 1.0), "commands j1 0.2 and does not stop"),
        ("effort", (-1.0, -2.0), (-0.5, -1.5), "commands j1 -0.5, j2 -1.5 and does not stop"),
        ("effort", (0.0, -1.0), (1.0, 0.0), ""),
        ("velocity", (-1.0, -1.0), (1.0, 1.0), ""),
        ("position", (0.2, 0.5), (1.0, 1.0), ""),
    ],
)
def test_limits_that_exclude_standing_still_are_said(kind, low, high, said):
    action = ActionSpec(("j1", "j2"), kind, "1", low, high)
    assert said in action.why_rest_moves()
    assert bool(action.why_rest_moves()) == bool(said)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("frame_skip",), 2.9), (("frame_skip",), "2"), (("frame_skip",), True),
        (("history",), 1.0), (("control_period",), "0.1"), (("control_period",), True),
        (("task",), None), (("task",), ["x"]), (("action", "names"), ["", "j2"]),
        (("action", "low"), ["-1", "-1"]), (("action", "low"), [True, False]),
        (("action", "high"), [1e308, 1.0]), (("action", "low"), [-1e308, -1.0]),
        (("action", "unit"), ["rad"]), (("image", "value_range"), ["0", "1"]),
    ],
)  # fmt: skip
def test_a_description_of_another_kind_is_named_never_rounded(place, value):
    plain = json.loads(json.dumps(robot("velocity").to_dict()))
    *tables, name = place
    table = plain
    for key in tables:
        table = table[key]
    table[name] = value
    with pytest.raises(SpecError, match=name if len(place) == 1 else place[0]):
        RobotSpec.from_dict(plain)
