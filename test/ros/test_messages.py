"""Conversions between messages and arrays, with the damage that messages come with."""

from __future__ import annotations

import array
import contextlib
import math
import re
import time

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CompressedImage, Image, JointState

from wm_mpc.ros.images import pose_message
from wm_mpc.ros.messages import (
    ODOMETRY_FIELDS,
    MessageError,
    actions_to_trajectory,
    add_joints,
    camera_info,
    compressed_to_rgb,
    image_to_rgb,
    joint_entries,
    joint_states_to_state,
    odometry_to_state,
    rgb_to_image,
    state_to_joint_states,
    state_to_odometry,
    trajectory_to_actions,
    yaw_of,
)
from wm_mpc.ros.timing import to_nanoseconds, to_stamp
from wm_mpc.spec import ACTION_KINDS, ActionSpec, ImageSpec, StateSpec
from wm_mpc.view.projection import rotation

SMALL = ImageSpec(16, 24)
STAMP = Time(sec=12, nanosec=345)
CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
finite = st.floats(-1e3, 1e3)


def picture(height=16, width=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def arm(kind="velocity"):
    return ActionSpec(("j1", "j2"), kind, "rad/s", (-1.0, -2.0), (1.0, 2.0))


def states(*names, source="odom"):
    return StateSpec(names, ("",) * len(names), source)


# ------------------------------------------------------------------------------------- images


@given(st.integers(0, 2**32 - 1))
def test_picture_survives_the_round_trip(seed):
    rgb = picture(seed=seed)
    message = rgb_to_image(rgb, STAMP)
    assert message.header.stamp == STAMP
    assert message.header.frame_id == "camera"
    np.testing.assert_array_equal(image_to_rgb(message, SMALL), rgb)


@pytest.mark.parametrize("encoding", CHANNELS)
def test_every_encoding_becomes_rgb(encoding):
    red = {"rgb8": [255, 0, 0], "bgr8": [0, 0, 255], "rgba8": [255, 0, 0, 9]}
    red |= {"bgra8": [0, 0, 255, 9], "mono8": [76]}
    channels = CHANNELS[encoding]
    message = Image(height=16, width=24, encoding=encoding, step=24 * channels)
    message.data = array.array("B", bytes(red[encoding]) * (16 * 24))
    expected = [76, 76, 76] if encoding == "mono8" else [255, 0, 0]
    rgb = image_to_rgb(message, SMALL)
    assert rgb.shape == (16, 24, 3)
    assert (rgb == expected).all()


@given(
    st.sampled_from(sorted(CHANNELS)),
    st.integers(16, 40),
    st.integers(24, 50),
    st.integers(0, 7),
    st.booleans(),
)
def test_any_larger_picture_is_scaled(encoding, height, width, padding, big_endian):
    step = width * CHANNELS[encoding] + padding
    message = Image(height=height, width=width, encoding=encoding, step=step)
    message.is_bigendian = int(big_endian)
    message.data = array.array("B", bytes([200]) * (height * step))
    rgb = image_to_rgb(message, SMALL)
    assert rgb.dtype == np.uint8
    assert rgb.shape == (16, 24, 3)
    assert (rgb == 200).all()


def test_larger_picture_is_averaged_not_sampled():
    checkers = np.zeros((32, 48, 3), np.uint8)
    checkers[::2, ::2] = checkers[1::2, 1::2] = 200
    assert (image_to_rgb(rgb_to_image(checkers, STAMP), SMALL) == 100).all()


@given(st.integers(0, 16 * 24 * 3 - 1))
def test_truncated_image_is_named(size):
    message = rgb_to_image(picture(), STAMP)
    message.data = message.data[:size]
    with pytest.raises(MessageError, match=rf"16x24 rgb8 is truncated: {size} bytes.*1152"):
        image_to_rgb(message, SMALL)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("encoding", "rgb565", "16x24 rgb565; accepted encodings: rgb8, bgr8"),
        ("encoding", "", "no encoding"),
        ("height", 0, "0x24 rgb8; the model wants 16x24 or larger"),
        ("width", 0, "16x0 rgb8; the model wants 16x24"),
        ("height", 15, "15x24 rgb8; the model wants"),
        ("step", 71, "step 71; at least 72"),
        ("step", 73, "truncated"),
        ("height", 17, "truncated"),
        ("data", array.array("B", bytes(16 * 72 + 1)), "too much data"),
    ],
)
def test_image_that_contradicts_itself_is_named(field, value, says):
    message = rgb_to_image(picture(), STAMP)
    setattr(message, field, value)
    with pytest.raises(MessageError, match=says):
        image_to_rgb(message, SMALL)


def test_picture_does_not_share_the_memory_of_its_message():
    message = rgb_to_image(picture(), STAMP)
    rgb = image_to_rgb(message, SMALL)
    before = rgb.copy()
    message.data[0] ^= 0xFF
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize("rgb", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)])
def test_only_rgb_pictures_are_published(rgb):
    with pytest.raises(MessageError, match="accepted: uint8"):
        rgb_to_image(rgb, STAMP)


def encoded(suffix, rgb=None):
    rgb = picture() if rgb is None else rgb
    data = cv2.imencode(suffix, rgb[:, :, ::-1])[1].tobytes()
    return CompressedImage(format=suffix[1:], data=array.array("B", data))


def test_png_is_decoded_exactly():
    np.testing.assert_array_equal(compressed_to_rgb(encoded(".png"), SMALL), picture())


def test_jpeg_is_decoded_and_scaled():
    rgb = compressed_to_rgb(encoded(".jpg", np.full((64, 64, 3), (250, 10, 10), np.uint8)), SMALL)
    assert rgb.shape == (16, 24, 3)
    assert np.abs(rgb.astype(int) - (250, 10, 10)).max() < 12


@given(st.sampled_from([".jpg", ".png"]), st.floats(0.0, 0.99))
def test_compressed_image_cut_short_is_an_error(suffix, part):
    message = encoded(suffix)
    message.data = message.data[: int(part * len(message.data))]
    with pytest.raises(MessageError, match="compressed image"):
        compressed_to_rgb(message, SMALL)


@given(st.binary(max_size=200))
def test_noise_is_no_compressed_image(data):
    with pytest.raises(MessageError, match=r"cannot be decoded|truncated"):
        compressed_to_rgb(CompressedImage(data=array.array("B", data)), SMALL)


def test_camera_info_carries_the_intrinsics():
    k = (80.0, 0.0, 12.0, 0.0, 80.0, 8.0, 0.0, 0.0, 1.0)
    message = camera_info(k, SMALL, STAMP)
    assert (message.height, message.width) == (16, 24)
    assert tuple(message.k) == k
    assert tuple(message.p) == (80.0, 0.0, 12.0, 0.0, 0.0, 80.0, 8.0, 0.0, 0.0, 0.0, 1.0, 0.0)


# ------------------------------------------------------------------------------------- states


@given(
    st.permutations(ODOMETRY_FIELDS),
    st.lists(finite, min_size=6, max_size=6),
    st.floats(-3.14, 3.14),
)
def test_odometry_survives_the_round_trip(names, numbers, yaw):
    values = dict(zip(names, numbers, strict=True)) | {"yaw": yaw}
    message = state_to_odometry(values, STAMP)
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    state = odometry_to_state(message, states(*names))
    assert state.dtype == np.float32
    np.testing.assert_allclose(state, [values[name] for name in names], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("field", ODOMETRY_FIELDS)
def test_nan_in_odometry_is_named(field):
    message = state_to_odometry({"x": 1.0} | {field: math.nan}, STAMP)
    with pytest.raises(MessageError, match=rf"{field} is nan|length nan"):
        odometry_to_state(message, states("x", "yaw", "y", "vx", "vy", "wz"))


def test_field_that_is_not_asked_for_may_be_nan():
    message = state_to_odometry({"vx": 1.0, "x": math.nan}, STAMP)
    assert odometry_to_state(message, states("vx")) == [1.0]


def test_orientation_that_is_none_is_named():
    message = Odometry()
    message.pose.pose.orientation.w = 0.0
    with pytest.raises(MessageError, match=r"quaternion has length 0\.0"):
        odometry_to_state(message, states("yaw"))


def test_unknown_odometry_field_is_named():
    with pytest.raises(MessageError, match="'speed'; accepted: x, y, yaw"):
        odometry_to_state(Odometry(), states("speed"))
    with pytest.raises(MessageError, match="'speed'; accepted: x, y, yaw"):
        state_to_odometry({"speed": 1.0}, STAMP)


@given(st.permutations(["a", "b", "a/velocity", "b/velocity", "b/effort"]), st.data())
def test_joint_states_survive_the_round_trip(names, data):
    spec = states(*names, source="joint_states")
    state = np.array(data.draw(st.lists(finite, min_size=5, max_size=5)), np.float32)
    message = state_to_joint_states(state, spec, STAMP)
    assert sorted(message.name) == ["a", "b"]
    np.testing.assert_allclose(joint_states_to_state(message, spec), state, rtol=1e-6)


def test_joint_that_is_missing_is_named():
    message = JointState(name=["shoulder"], position=[0.0])
    with pytest.raises(MessageError, match="no joint 'elbow'; it has: shoulder"):
        joint_states_to_state(message, states("elbow", source="joint_states"))


def test_joint_field_that_is_missing_is_named():
    message = JointState(name=["elbow"], position=[0.0])
    with pytest.raises(MessageError, match=r"0 values of velocity.*'elbow'"):
        joint_states_to_state(message, states("elbow/velocity", source="joint_states"))


def test_nan_of_a_joint_is_named():
    message = JointState(name=["elbow"], position=[math.nan])
    with pytest.raises(MessageError, match="elbow is nan"):
        joint_states_to_state(message, states("elbow", source="joint_states"))


@pytest.mark.parametrize("value", [1e39, -1e39, 1e200, math.inf, -math.inf, math.nan])
def test_numbers_that_a_state_cannot_hold_are_named(value):
    """float32 turns 1e39 into infinity."""
    with pytest.raises(MessageError, match=r"odometry: vx is .*(float32|finite)"):
        odometry_to_state(state_to_odometry({"vx": value}, STAMP), states("vx"))
    joints = JointState(name=["elbow"], position=[value])
    with pytest.raises(MessageError, match=r"joint_states: elbow is .*(float32|finite)"):
        joint_states_to_state(joints, states("elbow", source="joint_states"))


def test_the_largest_number_of_float32_is_accepted():
    message = state_to_odometry({"vx": float(np.finfo(np.float32).max)}, STAMP)
    assert np.isfinite(odometry_to_state(message, states("vx"))).all()


any_float = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 1e200, -1e200, 1e-200, 5e-324]))


@given(st.tuples(any_float, any_float, any_float, any_float))
def test_no_quaternion_raises_anything_but_a_message_error(numbers):
    message = Odometry()
    q = message.pose.pose.orientation
    q.x, q.y, q.z, q.w = numbers
    with contextlib.suppress(MessageError):
        assert abs(float(odometry_to_state(message, states("yaw"))[0])) <= math.pi + 1e-6
    turned = yaw_of(*numbers)
    assert math.isnan(turned) or abs(turned) <= math.pi


@pytest.mark.parametrize("length", [0.0, 0.5, 1.2, 1e200])
def test_quaternions_that_are_no_rotation_are_refused_with_their_length(length):
    message = Odometry()
    message.pose.pose.orientation.w = length
    with pytest.raises(MessageError, match=r"quaternion has length .*accepted: 0\.9 to 1\.1"):
        odometry_to_state(message, states("yaw"))


@pytest.mark.parametrize("scale", [0.95, 1.0, 1.05])
def test_a_quaternion_of_nearly_one_means_its_rotation(scale):
    message = state_to_odometry({"yaw": 2.0}, STAMP)
    q = message.pose.pose.orientation
    q.z, q.w = scale * q.z, scale * q.w
    assert odometry_to_state(message, states("yaw")) == pytest.approx([2.0], abs=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_yaw_does_not_depend_on_a_quaternion_s_length(scale):
    assert yaw_of(0.0, 0.0, scale * math.sin(0.5), scale * math.cos(0.5)) == pytest.approx(1.0)


def joints(names, **fields):
    message = JointState(name=list(names))
    for field, values in fields.items():
        setattr(message, field, [float(value) for value in values])
    return message


def test_joints_that_a_message_lacks_are_no_fault_of_it():
    message = joints("ab", position=[1, 2], effort=[5, 6])
    values, faults = joint_entries(message, ("a", "b/effort", "b/velocity", "finger"))
    assert (values, faults) == ({"a": 1.0, "b/effort": 6.0}, {})


def test_an_empty_message_says_nothing_and_is_no_fault():
    assert joint_entries(JointState(), ("a", "b/velocity")) == ({}, {})


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (joints("ab", position=[1]), "joint_states has 1 values of position for 2 joints"),
        (joints("a", position=[1, 2]), "joint_states has 2 values of position for 1 joints"),
        (joints("ab", position=[math.nan, 2]), "joint_states: a is nan"),
        (joints("ab", position=[1e39, 2]), "joint_states: a is 1e+39; accepted: numbers up to"),
        (joints("aba", position=[1, 2, 3]), "joint_states names the joint 'a' twice"),
    ],
)
def test_what_is_wrong_with_a_joint_is_told_and_the_others_are_used(message, fault):
    values, faults = joint_entries(message, ("a",))
    assert values == {}
    assert faults["a"].startswith(fault)
    with pytest.raises(MessageError, match=re.escape(fault)):
        joint_states_to_state(message, states("a", source="joint_states"))
    if len(message.position) == len(message.name):
        assert joint_entries(message, ("b",)) == ({"b": 2.0}, {})


@given(st.lists(st.sampled_from("abc"), max_size=4), st.lists(any_float, max_size=4))
def test_no_joint_state_raises_anything_but_a_message_error(names, numbers):
    message = joints(names, position=numbers, velocity=numbers[:1])
    values, faults = joint_entries(message, ("a", "b/velocity"))
    assert not set(values) & set(faults)
    assert all(np.isfinite(np.float32(value)) for value in values.values())
    with contextlib.suppress(MessageError):
        state = joint_states_to_state(message, states("a", "b/velocity", source="joint_states"))
        assert np.isfinite(state).all()


# ------------------------------------------------------------------------------------ actions


@given(
    st.sampled_from(ACTION_KINDS),
    st.lists(st.tuples(finite, finite), max_size=30),
    st.integers(0, 2**31 * 10**9 - 1),
    st.sampled_from([0.02, 0.1, 1 / 30]),
)
def test_plan_survives_the_round_trip(kind, rows, stamp, period):
    spec = arm(kind)
    message = actions_to_trajectory(np.array(rows).reshape(-1, 2), spec, period, to_stamp(stamp))
    assert message.joint_names == ["j1", "j2"]
    back_stamp, actions = trajectory_to_actions(message, spec, period)
    assert back_stamp == stamp
    np.testing.assert_array_equal(actions, np.array(rows).reshape(-1, 2))


def test_points_are_one_control_period_apart():
    message = actions_to_trajectory(np.zeros((3, 2)), arm(), 0.1, STAMP)
    times = [to_nanoseconds(point.time_from_start) for point in message.points]
    assert times == [0, 100_000_000, 200_000_000]


def test_joints_may_come_in_any_order():
    message = actions_to_trajectory(np.array([[1.0, 2.0]]), arm(), 0.1, STAMP)
    message.joint_names = ["j2", "j1"]
    np.testing.assert_array_equal(trajectory_to_actions(message, arm(), 0.1)[1], [[2.0, 1.0]])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda m: setattr(m, "joint_names", ["j1"]), "is for j1; accepted: j1, j2"),
        (lambda m: setattr(m, "joint_names", []), "no joints"),
        (lambda m: setattr(m.points[1], "velocities", [1.0]), "point 1 has 1 velocities; 2 are"),
        (lambda m: setattr(m.points[0], "velocities", []), "point 0 has 0 velocities"),
        (lambda m: setattr(m.points[1], "velocities", [0.0, math.inf]), "point 1 of j2 is inf"),
        (lambda m: setattr(m.points[1], "velocities", [1e39, 0.0]), r"point 1 of j1 is 1e\+39"),
        (lambda m: m.points.pop(0), r"point 0 is at 0\.1 s; 0 s is needed"),
    ],
)
def test_plan_that_makes_no_sense_is_named(damage, says):
    message = actions_to_trajectory(np.zeros((3, 2)), arm(), 0.1, STAMP)
    damage(message)
    with pytest.raises(MessageError, match=says):
        trajectory_to_actions(message, arm(), 0.1)


@pytest.mark.parametrize("actions", [np.full((2, 2), np.nan), np.zeros((2, 3)), np.zeros(2)])
def test_bad_plan_is_never_published(actions):
    with pytest.raises(MessageError):
        actions_to_trajectory(actions, arm(), 0.1, STAMP)


def test_conversion_is_fast():
    message = rgb_to_image(picture(64, 64), STAMP)
    spec = ImageSpec(64, 64)
    durations = []
    for _ in range(50):
        start = time.perf_counter()
        image_to_rgb(message, spec)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 1e-4


def test_joints_are_added_to_joint_states_and_known_numbers_stay():
    spec = StateSpec(("tool_x", "elbow"), ("m", "rad"), "joint_states")
    message = state_to_joint_states(np.array([0.5, 1.0]), spec, STAMP)
    add_joints(message, {"elbow": (9.0, 9.0), "wrist": (0.25, -0.5)})
    assert message.name == ["tool_x", "elbow", "wrist"]
    assert list(message.position) == [0.5, 1.0, 0.25]
    np.testing.assert_equal(list(message.velocity), [math.nan, 9.0, -0.5])
    np.testing.assert_allclose(joint_states_to_state(message, spec), [0.5, 1.0])


def test_joints_whose_velocity_is_measured_have_their_position_in_joint_states():
    spec = states("elbow/velocity", "wrist/velocity", source="joint_states")
    message = state_to_joint_states(np.array([0.5, -1.0]), spec, STAMP)
    add_joints(message, {"elbow": (0.25, 9.0), "wrist": (2.0, 9.0)})
    assert message.name == ["elbow", "wrist"]
    assert list(message.position) == [0.25, 2.0]
    assert list(message.velocity) == [0.5, -1.0]
    np.testing.assert_allclose(joint_states_to_state(message, spec), [0.5, -1.0])


@pytest.mark.parametrize("source", ["odom", "joint_states"])
def test_robot_of_which_nothing_is_measured_has_an_empty_state(source):
    read, message = {
        "odom": (odometry_to_state, state_to_odometry({}, STAMP)),
        "joint_states": (
            joint_states_to_state,
            state_to_joint_states(np.zeros(0), states(source="joint_states"), STAMP),
        ),
    }[source]
    state = read(message, states(source=source))
    assert (state.shape, state.dtype) == ((0,), np.float32)


# ---------------------------------------------------------------------------------------- poses


@given(st.tuples(finite, finite, finite, finite).filter(lambda q: math.hypot(*q) > 1e-3))
def test_a_pose_says_the_rotation_that_it_was_made_of(quaternion):
    axes = rotation(*quaternion)
    message = pose_message((1.0, -2.0, 0.5), axes, STAMP)
    turn, place = message.pose.orientation, message.pose.position
    assert rotation(turn.x, turn.y, turn.z, turn.w) == pytest.approx(axes, abs=1e-9)
    assert (place.x, place.y, place.z) == (1.0, -2.0, 0.5)
    assert message.header.frame_id == "odom"
    assert message.header.stamp == STAMP
