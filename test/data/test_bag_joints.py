"""Joint states of several publishers, and angles: the robot is who the recording says it is."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.data.bag import BagError
from wm_mpc.data.bag_joints import Joints, Newest, joint_row
from wm_mpc.messages.errors import MessageError

START, PERIOD, STEPS = 1000.0, 0.1, 60


def stamp(k):
    return START + k * PERIOD


def j1(t):
    return np.sin(t - START)


def j2(t):
    return np.cos(t - START)


@pytest.fixture
def imported(bags, tmp_path):
    def run(messages, **settings):
        with bags.reading(bags.write_bag(tmp_path / "bag", messages), **settings) as read:
            found = read.description
            return found.spec, read.joined("states"), "\n".join([*found.notes, read.report])

    return run


def scene(bags, k, commands=True):
    make, t = bags.Make(), stamp(k)
    rows = [("/image", t, make.image(t, bags.gray(k)))]
    if commands:
        rows.append(("/commands", t, make.numbers(np.sin(k / 9), np.cos(k / 9))))
    return rows


def arm(bags, t, names=("j1", "j2"), effort=()):
    """Measured at time t, in any order."""
    values = {"j1": j1(t), "j2": j2(t)}
    return (
        "/joint_states", t,
        bags.Make().joints(t, list(names), [values[n] for n in names], [0.5, 0.7], effort),
    )  # fmt: skip


def gripper(bags, t, at=0.01):
    return "/joint_states", t, bags.Make().joints(t, ["finger"], [at], [0.0], [np.nan])


def check_arm(states, first=0, column=0):
    t = stamp(np.arange(first, first + len(states)))
    np.testing.assert_allclose(states[:, column], j1(t), atol=0.01)
    np.testing.assert_allclose(states[:, column + 1], j2(t), atol=0.01)


@pytest.mark.parametrize("lead", [-0.013, -0.05, 0.0, 0.02])
@pytest.mark.parametrize("rate", [1, 3])
def test_the_gripper_does_not_become_the_robot(imported, bags, lead, rate):
    messages = []
    for k in range(STEPS):
        messages += [*scene(bags, k), arm(bags, stamp(k), effort=[np.nan] * 2)]
        messages += [gripper(bags, stamp(k) + lead + j * PERIOD / rate) for j in range(rate)]
    spec, states, said = imported(messages)
    assert spec.state.names == ("j1", "j2")
    check_arm(states)
    assert "not in the state: finger, from another publisher of /joint_states" in said


def test_all_joints_that_are_wanted_are_merged_by_name(imported, bags):
    messages = []
    for k in range(STEPS):
        messages += [*scene(bags, k), arm(bags, stamp(k) - 0.02), arm(bags, stamp(k) + 0.03)]
        messages += [gripper(bags, stamp(k) + 0.011, at=0.001 * k)]
    messages += [gripper(bags, stamp(-1) + 0.011, at=-0.001)]
    spec, states, _ = imported(messages, state={"names": ["finger", "j1", "j2", "j2/velocity"]})
    check_arm(states, column=1)
    np.testing.assert_allclose(states[:, 0], 0.001 * (np.arange(len(states)) - 0.11), atol=1e-5)
    assert (states[:, 3] == np.float32(0.7)).all()
    assert spec.state.unit == ("rad", "rad", "rad", "rad/s")


def test_an_empty_first_message_is_no_harm(imported, bags):
    messages = [("/joint_states", stamp(-1), bags.Make().joints(stamp(-1), []))]
    for k in range(STEPS):
        messages += [*scene(bags, k), arm(bags, stamp(k))]
    spec, states, said = imported(messages)
    assert spec.state.names == ("j1", "j2")
    check_arm(states)
    assert "1 messages of /joint_states: joint_states has none of j1, j2" in said


def test_joints_come_in_any_order_and_some_later(imported, bags):
    messages = []
    for k in range(STEPS):
        names = ("j1", "j2")[:: 1 if k % 2 else -1]
        t = stamp(k)
        late = bags.Make().joints(t, ["j1"], [j1(t)])
        messages += [*scene(bags, k), ("/joint_states", t, late) if k < 5 else arm(bags, t, names)]
    spec, states, _ = imported(messages)
    assert spec.state.names == ("j1", "j2")
    check_arm(states, first=5)
    assert len(states) == STEPS - 5


def test_the_joints_that_are_commanded_are_the_robot(imported, bags):
    """Also where the gripper moves, too, has as many joints, and comes first."""
    make, messages = bags.Make(), []
    for k in range(STEPS):
        t = stamp(k)
        hand = make.joints(t - 0.01, ["f1", "f2"], [np.sin(t), np.cos(t)])
        plan = make.trajectory(t, ["j2", "j1"], [[j2(t), j1(t)]], field="positions")
        messages += [*scene(bags, k, commands=False), arm(bags, t)]
        messages += [("/joint_states", t - 0.01, hand), ("/plan", t - 0.001, plan)]
    spec, states, _ = imported(messages, control_period=0.1)
    assert spec.state.names == ("j1", "j2")
    assert spec.action.names == ("j2", "j1")
    check_arm(states)


def test_a_message_that_is_malformed_is_left_out_and_counted(imported, bags):
    messages = []
    for k in range(STEPS):
        messages += [*scene(bags, k), arm(bags, stamp(k))]
    bad = bags.Make().joints(stamp(7.5), ["j1", "j2"], [99.0])
    messages.append(("/joint_states", stamp(7.5), bad))
    _, states, said = imported(messages)
    check_arm(states)
    assert "1 messages of /joint_states: joint_states has 1 values of position for 2 joints" in said


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_numbers_that_are_none_are_bridged(imported, bags, bad):
    messages = []
    for k in range(STEPS):
        messages += [*scene(bags, k), arm(bags, stamp(k))]
    broken = bags.Make().joints(stamp(7.5), ["j1", "j2"], [bad, j2(stamp(7.5))])
    messages.append(("/joint_states", stamp(7.5), broken))
    _, states, _ = imported(messages)
    check_arm(states)


def test_a_joint_that_no_message_has_is_refused(imported, bags):
    messages = []
    for k in range(STEPS):
        messages += [*scene(bags, k), arm(bags, stamp(k))]
    with pytest.raises(BagError, match=r"none of 60 messages of /joint_states has .* for elbow$"):
        imported(messages, state={"names": ["j1", "elbow"]})


def test_commands_of_two_publishers_are_merged(imported, bags):
    make, messages = bags.Make(), []
    for k in range(STEPS):
        t = stamp(k)
        messages += [*scene(bags, k, commands=False), arm(bags, t)]
        messages += [("/act", t - 0.02, make.joints(t - 0.02, ["j1", "j2"], [j1(t), j2(t)]))]
        messages += [("/act", t - 0.01, make.joints(t - 0.01, ["grip"], [0.01 * (k % 7)]))]
    messages += [("/act", stamp(-1), make.joints(stamp(-1), [], []))]
    spec, states, _ = imported(messages, action={"topic": "/act"})
    assert spec.action.names == ("j1", "j2", "grip")
    assert spec.action.kind == "position"
    check_arm(states)


def message(bags, names, position=(), velocity=(), effort=()):
    return bags.Make().joints(0.0, list(names), position, velocity, effort)


def test_a_row_has_what_a_message_says_and_nothing_else(bags):
    row = joint_row(
        message(bags, "ba", [1, 2], [], [3, np.nan]), ["a", "c", "b/effort", "a/effort"]
    )
    np.testing.assert_equal(row, [2.0, np.nan, 3.0, np.nan])
    with pytest.raises(MessageError, match="has none of x, y; it has: a, b"):
        joint_row(message(bags, "ab", [1, 2]), ["x", "y"])


def test_the_newest_number_of_each_joint_counts(bags):
    newest = Newest(["a", "b"])
    with pytest.raises(MessageError, match="no message has had a value for b so far"):
        newest.row(message(bags, "a", [1]))
    assert newest.row(message(bags, "b", [5])).tolist() == [1.0, 5.0]
    assert newest.row(message(bags, "ca", [9, 2])).tolist() == [2.0, 5.0]


def test_publishers_are_told_apart_by_the_joints_that_come_together(bags):
    says = [message(bags, n, range(len(n))) for n in ("", "ab", "x", "ba", "bc", "xy", "ab")]
    assert Joints.of(says).groups == [["a", "b", "c"], ["x", "y"]]


# ---------------------------------------------------------------------------------------- angles


def turning(bags, where, *, names=("j1",), urdf=None):
    make, messages = bags.Make(), []
    if urdf is not None:
        text = f'<robot name="r">{urdf}</robot>'
        string = bags.STORE.types["std_msgs/msg/String"](text)
        messages.append(("/robot_description", stamp(-1), string))
    for k in range(-1, 4 * STEPS):
        t = stamp(k / 4)
        position = [where(t - START)] * len(names)
        messages.append(("/joint_states", t + 0.003, make.joints(t + 0.003, list(names), position)))
    for k in range(STEPS):
        messages += scene(bags, k)
    return messages


def wrapped(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def check_turns(states, speed):
    t = np.arange(len(states)) * PERIOD - 0.003
    np.testing.assert_allclose(wrapped(states[:, 0] - speed * t), 0.0, atol=0.03)
    assert (np.abs(states[:, 0]) <= np.pi + 1e-5).all()


@pytest.mark.parametrize(
    "where",
    [
        lambda t: wrapped(2.0 * t),
        lambda t: (2.0 * t) % (2 * np.pi),
        lambda t: 2.0 * t,
        lambda t: 2.0 * t - 20 * np.pi,
    ],
    ids=["within a turn", "from 0 to a turn", "on and on", "on and on from far"],
)
def test_a_joint_that_turns_on_is_an_angle_and_never_goes_the_long_way(imported, bags, where):
    spec, states, said = imported(turning(bags, where))
    assert spec.state.angles == ("j1",)
    check_turns(states, 2.0)
    assert "angles that wrap at +-pi: j1 (" in said


def test_a_joint_that_swings_is_no_angle(imported, bags):
    spec, _, said = imported(turning(bags, lambda t: 3.0 * np.sin(t)))
    assert spec.state.angles == ()
    assert "angles" not in said


def test_a_joint_that_was_reset_is_no_angle(imported, bags):
    """It jumps, but not by a turn."""
    spec, _, _ = imported(turning(bags, lambda t: (1.4 * t) % 5.2))
    assert spec.state.angles == ()


@pytest.mark.parametrize(("kind", "found"), [("continuous", ("j1",)), ("revolute", ())])
def test_a_robot_description_in_the_recording_counts(imported, bags, kind, found):
    urdf = f'<joint name="j1" type="{kind}"/><joint name="other" type="continuous"/>'
    where = (lambda t: 0.5 * np.sin(t)) if found else (lambda t: 7.0 * np.sin(t / 2))
    assert imported(turning(bags, where, urdf=urdf))[0].state.angles == found


def test_a_broken_robot_description_is_no_harm(imported, bags):
    spec, _, _ = imported(turning(bags, lambda t: 2.0 * t, urdf="<joint <"))
    assert spec.state.angles == ("j1",)


@pytest.mark.parametrize("angles", [[], ["j1"]])
def test_who_knows_better_which_entries_are_angles_says_so(imported, bags, angles):
    spec, states, said = imported(turning(bags, lambda t: 2.0 * t), state={"angles": angles})
    assert spec.state.angles == tuple(angles)
    assert (np.abs(states).max() > 4) == (not angles)
    assert "angles that wrap" not in said


def test_velocities_are_no_angles(imported, bags):
    messages = turning(bags, lambda t: wrapped(2.0 * t))
    make = bags.Make()
    messages = [
        (topic, t, make.joints(t, ["j1"], m.position, [9.0 * np.sin(t)]))
        if topic == "/joint_states" else (topic, t, m) for topic, t, m in messages
    ]  # fmt: skip
    spec, _, _ = imported(messages, state={"names": ["j1", "j1/velocity"]})
    assert spec.state.angles == ("j1",)


def test_a_position_that_is_commanded_over_more_than_a_turn_is_a_number(imported, bags):
    make = bags.Make()
    messages = [m for m in turning(bags, lambda t: 2.0 * t) if m[0] != "/commands"]
    messages += [
        ("/act", stamp(k), make.joints(stamp(k), ["j1"], [2.0 * k * PERIOD])) for k in range(STEPS)
    ]
    spec, _, said = imported(messages, action={"topic": "/act"})
    assert spec.state.angles == ()
    assert "j1 covers" in said
    assert "counts as a number" in said


@pytest.mark.parametrize("kind", ["odometry", "pose_stamped"])
def test_the_yaw_of_a_base_is_an_angle(imported, bags, kind):
    make, messages = bags.Make(), []
    for k in range(STEPS):
        yaw = wrapped(3.0 + 0.1 * k)
        place = {"x": 0.1 * k, "y": 0.0, "yaw": yaw}
        messages += [*scene(bags, k), ("/s", stamp(k), getattr(make, kind)(stamp(k), **place))]
    spec, _, _ = imported(messages, state={"topic": "/s", "names": ["x", "yaw"]})
    assert spec.state.angles == ("yaw",)


def test_angles_that_are_no_entries_are_refused(imported, bags):
    with pytest.raises(BagError, match=r"state.angles is \('elbow',\)"):
        imported(turning(bags, lambda t: t), state={"angles": ["elbow"]})
