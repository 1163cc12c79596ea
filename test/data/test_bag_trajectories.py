"""What the points of recorded trajectories mean: the action is what the robot was told to do."""

from __future__ import annotations

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from wm_mpc.data.bag import BagError
from wm_mpc.ros.controller import to_controller
from wm_mpc.spec import ActionSpec

from ..conftest import mostly_slow

START, PERIOD, STEPS = 1000.0, 0.1, 200
TYPES = get_typestore(Stores.ROS2_JAZZY).types
TOPIC = "/arm_controller/joint_trajectory"


def trajectory(bags, stamp, names, points):
    """points: (s from the start, fields by name)."""
    make, rows = bags.Make(), []
    for after, fields in points:
        values = [
            np.array(fields.get(name, ()), float)
            for name in ("positions", "velocities", "accelerations", "effort")
        ]
        duration = make.time(after, "Duration")
        rows.append(TYPES["trajectory_msgs/msg/JointTrajectoryPoint"](*values, duration))
    return TYPES["trajectory_msgs/msg/JointTrajectory"](make.header(stamp), names, rows)


def stamp(k):
    return START + k * PERIOD


def seen(bags, k, names, position, velocity=()):
    """A picture and the joints at step k."""
    make = bags.Make()
    return [
        ("/image", stamp(k), make.image(stamp(k), bags.gray(k % 256))),
        ("/joint_states", stamp(k), make.joints(stamp(k), names, position, velocity)),
    ]


@pytest.fixture
def imported(bags, tmp_path):
    def run(messages, **settings):
        with bags.reading(bags.write_bag(tmp_path / "bag", messages), **settings) as read:
            notes = "\n".join([*read.description.notes, read.report])
            before, after = (read.joined("states", s) for s in (slice(-1), slice(1, None)))
            return before, after, read.joined("actions"), notes, read.description

    return run


def teleoperated(bags, lead, *, start_point=False, stamped=False, joints=("j1",), order=None):
    """A target for every second, `lead` s ahead; the controller goes there on a line."""
    rng = np.random.default_rng(1)
    order = list(range(len(joints))) if order is None else order
    at = old = target = np.zeros(len(joints))
    messages, since = [], 0.0
    for k in range(STEPS):
        at = old + min(1.0, (stamp(k) - since) / lead) * (target - old)
        if k % 10 == 0:
            old, target, since = at, rng.uniform(-1, 1, len(joints)), stamp(k)
            points = [(0.0, {"positions": old[order]})] if start_point else []
            points.append((lead, {"positions": target[order]}))
            names = [joints[i] for i in order]
            message = trajectory(bags, stamp(k) if stamped else 0.0, names, points)
            messages.append((TOPIC, stamp(k) - 0.0002, message))
        messages += seen(bags, k, list(joints), at)
    return messages


@pytest.mark.parametrize("lead", [0.2, 0.5, 0.93])
@pytest.mark.parametrize("start_point", [False, True])
@pytest.mark.parametrize("stamped", [False, True])
def test_targets_of_a_controller_are_where_the_robot_is_one_step_later(
    imported, bags, lead, start_point, stamped
):
    messages = teleoperated(bags, lead, start_point=start_point, stamped=stamped)
    _, after, actions, said, _ = imported(messages, control_period=0.1)
    np.testing.assert_allclose(actions, after, atol=0.01)
    assert "trajectory points give the target at their time: " in said
    assert "points by time: target at the end of each step" in said


@pytest.mark.parametrize("offset", [2.0, -0.7])
@pytest.mark.parametrize("stamped", [False, True])
def test_targets_are_matched_though_the_robot_has_another_clock(imported, bags, offset, stamped):
    """Stamps of the robot's clock, or none, while pictures and joints have that clock's."""
    moved = []
    for topic, arrival, message in teleoperated(bags, 0.5, stamped=stamped):
        if stamped or topic != TOPIC:
            time = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
            message.header.stamp = bags.Make().time(time + offset)
        moved.append((topic, arrival, message))
    _, after, actions, _, _ = imported(moved)
    np.testing.assert_allclose(actions, after, atol=0.01)


def test_joints_in_another_order_are_the_same_joints(imported, bags):
    messages = teleoperated(bags, 0.5, joints=("a", "b", "c"), order=[2, 0, 1])
    _, after, actions, _, description = imported(messages)
    names = description.spec.action.names
    assert names == ("c", "a", "b")
    columns = [description.spec.state.names.index(name) for name in names]
    np.testing.assert_allclose(actions, after[:, columns], atol=0.01)


def test_a_planned_motion_of_many_uneven_points_is_followed(imported, bags):
    """As MoveIt sends it: positions and velocities, all at once, the last point at rest."""
    times = np.concatenate([[0.0], np.cumsum(np.tile([0.07, 0.1, 0.1, 0.13], 40)), [16.2]])

    def where(t):
        return np.stack([np.sin(t), 0.5 * np.cos(t)], -1)

    points = [(t, {"positions": where(t), "velocities": [0.1, 0.1]}) for t in times]
    messages = [("/plan", stamp(1) - 0.0002, trajectory(bags, 0.0, ["a", "b"], points))]
    for k in range(STEPS):
        t = np.clip(k * PERIOD - PERIOD, 0, times[-1])
        messages += seen(bags, k, ["a", "b"], where(t))
    _, after, actions, said, _ = imported(messages)
    np.testing.assert_allclose(actions, after, atol=0.01)
    assert "control period 0.1 s, between two images" in said


def test_trajectories_that_replace_one_another_are_followed_as_far_as_they_got(imported, bags):
    """A new target every 0.3 s, each 0.8 s ahead: none is ever reached."""
    rng = np.random.default_rng(3)
    at, speed, messages = 0.0, 0.0, []
    for k in range(STEPS):
        if k % 3 == 0:
            target = rng.uniform(-1, 1)
            speed = (target - at) / 0.8
            message = trajectory(bags, 0.0, ["j"], [(0.8, {"positions": [target]})])
            messages.append((TOPIC, stamp(k) - 0.0002, message))
        messages += seen(bags, k, ["j"], [at])
        at += speed * PERIOD
    _, after, actions, _, _ = imported(messages)
    np.testing.assert_allclose(actions, after, atol=0.01)


def test_an_empty_trajectory_is_a_stop(imported, bags):
    far = trajectory(bags, 0.0, ["j"], [(10.0, {"positions": [10.0]})])
    stop = trajectory(bags, 0.0, [], [])
    messages = [(TOPIC, stamp(0) + 0.001, far), (TOPIC, stamp(50), stop)]
    for k in range(STEPS):
        messages += seen(bags, k, ["j"], [0.1 * min(k, 50)])
    _, after, actions, _, _ = imported(messages, action={"low": [-10], "high": [10]})
    np.testing.assert_allclose(actions, after, atol=0.02)


def test_a_trajectory_of_some_joints_leaves_the_others_where_they_are(imported, bags):
    both = trajectory(bags, 0.0, ["a", "b"], [(1.0, {"positions": [1.0, 2.0]})])
    one = trajectory(bags, 0.0, ["b"], [(1.0, {"positions": [3.0]})])
    other = trajectory(bags, 0.0, ["gripper"], [(1.0, {"positions": [9.0]})])
    messages = [
        (TOPIC, stamp(0) + 0.001, both), (TOPIC, stamp(50), one), (TOPIC, stamp(70), other),
    ]  # fmt: skip
    for k in range(STEPS):
        b = np.interp(k, [0, 10, 50, 60], [0.0, 2.0, 2.0, 3.0])
        messages += seen(bags, k, ["a", "b"], [min(1.0, k / 10), b])
    action = {"names": ["a", "b"], "low": [-4, -4], "high": [4, 4]}
    _, after, actions, said, _ = imported(messages, action=action)
    np.testing.assert_allclose(actions, after, atol=0.01)
    assert f"1 messages of {TOPIC}: trajectory has none of a, b; it has: gripper" in said


# ------------------------------------------------------------------------- what mpc itself sends


def own_output(bags, kind, *, known=True, late=0.002):
    """What `output.joint_trajectory` sends, executed exactly."""
    spec = ActionSpec(("j1",), kind, "rad/s", (-9.0,), (9.0,))
    u = np.random.default_rng(2).uniform(-1, 1, STEPS + 50)
    q = np.concatenate([[0.0], np.cumsum(u) * PERIOD])
    rows = (q[1:] if kind == "position" else u)[:, None]
    messages = []
    for k in range(STEPS):
        now = round(stamp(k) * 1e9)
        measured = {"j1": q[k]} if known else {}
        sent = to_controller(rows[k : k + 20], spec, PERIOD, now, now, measured)
        points = [
            (
                p.time_from_start.sec + p.time_from_start.nanosec / 1e9,
                {f: getattr(p, f) for f in ("positions", "velocities", "effort")},
            )
            for p in sent.points
        ]
        messages.append((TOPIC, stamp(k) + late, trajectory(bags, stamp(k), ["j1"], points)))
        messages += seen(bags, k, ["j1"], [q[k]], [u[k]])
    return messages, rows


@pytest.mark.parametrize(
    ("kind", "known", "late"),
    mostly_slow(
        [("velocity", True, 0.002), ("position", True, 0.002), ("velocity", False, 0.002),
         ("velocity", True, 0.04), ("effort", False, 0.002)], 2,
    ),
)  # fmt: skip
def test_what_mpc_sends_to_a_controller_is_read_back(imported, bags, kind, known, late):
    messages, rows = own_output(bags, kind, known=known, late=late)
    state = {"names": ["j1", "j1/velocity"]}
    states, _, actions, said, _ = imported(messages, action={"kind": kind}, state=state)
    first = int(np.argmin(np.abs(rows[:, 0] - actions[5, 0])) - 5)
    wanted = rows[first : first + len(actions), 0]
    assert first in (0, 1)
    np.testing.assert_allclose(actions[:, 0], wanted, atol=1e-4 if late < 0.01 else 0.2)
    assert "the target at their time" in said
    if kind == "velocity":
        assert np.corrcoef(actions[:, 0], states[:, 1])[0, 1] > 0.99


def test_the_limits_of_speeds_are_those_that_were_commanded(imported, bags):
    messages, _ = own_output(bags, "velocity")
    _, _, actions, _, description = imported(messages, action={"kind": "velocity"})
    assert 0.9 < description.spec.action.high[0] < 1.1
    assert np.abs(actions).max() <= description.spec.action.high[0]


# ----------------------------------------------------------------------------- which meaning


def one_field(bags, field, topic, rows, **points):
    """A plan of even points that begin at the stamp, as `planned_actions` has them."""
    messages = []
    for k in range(0, STEPS, 10):
        values = [(j * PERIOD, {field: [rows[min(k + j, len(rows) - 1)]]}) for j in range(11)]
        messages.append((topic, stamp(k), trajectory(bags, stamp(k), ["j"], values)))
    return messages


@pytest.mark.parametrize("topic", ["/planned_actions", "/robot/planned_actions", "/plan"])
def test_plans_of_our_own_apply_from_their_time_on(imported, bags, topic):
    u = np.random.default_rng(5).uniform(-1, 1, STEPS)
    messages = one_field(bags, "velocities", topic, u)
    for k in range(STEPS):
        messages += seen(bags, k, ["j"], [0.1 * k])
    _, _, actions, said, _ = imported(messages)
    np.testing.assert_allclose(actions[:, 0], u[: len(actions)], atol=1e-6)
    assert "trajectory points give the action from their time on" in said


@pytest.mark.parametrize(("delay", "meaning"), [(0, "at"), (1, "from")])
def test_positions_that_may_mean_either_are_judged_by_what_the_robot_did(
    imported, bags, delay, meaning
):
    q = np.cumsum(np.random.default_rng(6).uniform(-0.2, 0.2, STEPS))
    messages = one_field(bags, "positions", "/plan", q)
    for k in range(STEPS):
        messages += seen(bags, k, ["j"], [q[max(0, k - delay)]])
    _, after, actions, said, _ = imported(messages)
    np.testing.assert_allclose(actions[1:], after[1:], atol=0.01)
    words = {"at": "the target at their time", "from": "the action from their time on"}
    assert f"give {words[meaning]}: the joints were there" in said


@pytest.mark.parametrize("points", ["at", "from"])
def test_who_knows_better_says_so(imported, bags, points):
    q = np.cumsum(np.random.default_rng(6).uniform(-0.2, 0.2, STEPS))
    messages = one_field(bags, "positions", "/plan", q)
    for k in range(STEPS):
        messages += seen(bags, k, ["j"], [q[k]])
    _, _, actions, said, _ = imported(messages, action={"points": points})
    wanted = q[1 : len(actions) + 1] if points == "at" else q[: len(actions)]
    # The last point of one plan and the first of the next are a period apart, on a line.
    np.testing.assert_allclose(actions[:, 0], wanted, atol=0.01)
    assert "trajectory points give" not in said


def test_points_whose_times_do_not_ascend_are_refused(imported, bags):
    points = [(0.5, {"positions": [0.0]}), (0.5, {"positions": [1.0]})]
    messages = [(TOPIC, stamp(0), trajectory(bags, 0.0, ["j"], points))]
    for k in range(STEPS):
        messages += seen(bags, k, ["j"], [0.0])
    with pytest.raises(BagError, match="the points' times do not ascend"):
        imported(messages, action={"kind": "position", "low": [0], "high": [1]})


def driven(bags, late, points, every=1):
    """Plans of some points for a base, each `late` s after the time of its first point."""
    speeds = np.random.default_rng(4).uniform(-1, 1, STEPS + points)
    messages = []
    for k in range(STEPS):
        if k % every == 0:
            plan = bags.Make().trajectory(stamp(k), ["vx"], speeds[k : k + points, None], PERIOD)
            messages.append(("/plan", stamp(k) + late, plan))
        messages += seen(bags, k, ["j"], [0.0])
    return messages, speeds


LIMITS = {"kind": "velocity", "low": [-1], "high": [1], "points": "from"}


@pytest.mark.parametrize("late", [0.005, 0.02, 0.06])
def test_plans_of_one_point_that_come_late_are_refused_with_the_reason(imported, bags, late):
    messages, _ = driven(bags, late, points=1)
    with pytest.raises(BagError, match=r"at most 1 points of 0\.1 s") as error:
        imported(messages, action=LIMITS)
    said = str(error.value)
    assert f"arrive {late:.3f} s after" in said
    assert f"{STEPS - 1} of {STEPS} end before the next one comes" in said
    assert "--action cmd_vel" in said
    assert "two points or more" in said


@pytest.mark.parametrize(("late", "points", "every"), [
    (0.0, 1, 1), (-0.001, 1, 1), (0.02, 2, 1), (0.06, 2, 1), (0.02, 7, 5), (0.02, 5, 10),
])  # fmt: skip
def test_plans_that_meet_or_that_are_followed_by_rest_are_imported(
    imported, bags, late, points, every
):
    messages, speeds = driven(bags, late, points, every)
    _, _, actions, _, _ = imported(messages, action=LIMITS)
    told = np.array([speeds[k] if k % every < points else 0.0 for k in range(STEPS)])
    if every > points:
        told[::every] = 0.0  # it rests until the next plan has come
    first = int(late > 0.0)  # what applied before the first plan is not known
    assert STEPS - 1 - len(actions) <= first + every // 2
    np.testing.assert_allclose(actions[:, 0], told[first : first + len(actions)], atol=1e-6)
