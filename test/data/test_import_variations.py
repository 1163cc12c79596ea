"""Clocks and publishers as recordings really have them: the right values, and a word about each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from wm_mpc.data.bag import Bag, BagError

START, PERIOD, STEPS = 1000.0, 0.1, 150  # s


def close(role: str, time: float) -> float:
    """Messages that hardly travel."""
    return time + {"image": 0.02, "state": 0.002, "action": 0.001}[role]


def drive(bags, stamp=lambda role, time: time, arrive=close, *, stamped=False):
    """A base whose x is the time, in the order in which things happen."""
    make, rows = bags.Make(), []
    commanded = np.repeat(np.random.default_rng(1).uniform(-0.3, 0.3, STEPS // 3 + 1), 3)
    for k in range(STEPS):
        t = START + PERIOD * k
        picture = make.image(stamp("image", t), bags.gray(k))
        rows.append(("/image", t, "image", picture))
        for at in t + 0.02 * np.arange(5):
            odometry = make.odometry(stamp("state", at), x=at - START, vx=commanded[k])
            rows.append(("/odom", at, "state", odometry))
        twist = make.twist(vx=commanded[k])
        if stamped:
            twist = make.twist_stamped(stamp("action", t - 0.03), vx=commanded[k])
        rows.append(("/cmd_vel", t - 0.03, "action", twist))
    rows = [(topic, arrive(role, t), message) for topic, t, role, message in rows]
    return sorted(rows, key=lambda row: row[1]), commanded


def in_this_order(bags, path, rows, kind):
    """Unlike `write_bag`, whatever the times of arrival are."""
    plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections = {}
        for topic, t, message in rows:
            name = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=bags.STORE)
            data = bags.STORE.serialize_cdr(message, name)
            writer.write(connections[topic], round(t * bags.SECOND), data)
    return path


def check(bags, path, commanded, *, late=0.03, rightly=0.99, **settings):
    """The state is that of the picture, the action that of the motion; returns the report."""
    with bags.reading(path, state={"names": ["x", "vx"]}, **settings) as read:
        pictures = np.concatenate([d.pictures[:-1] for d in read.drafts.episodes])
        shown = read.streams.image.pictures[:, 0, 0, 0][pictures].astype(int)
        states, actions = read.joined("states", slice(None, -1)), read.joined("actions")
        assert np.abs(states[:, 0] - PERIOD * shown).max() <= late
        assert (np.abs(actions[:, 0] - commanded[shown]) < 1e-3).mean() >= rightly
        assert len(actions) > 0.9 * STEPS
        notes = [*read.description.notes, read.report]
        return "\n".join(notes)


@pytest.mark.parametrize("ahead", [-5.0, -0.3, -0.15, 0.15, 0.3, 5.0])
@pytest.mark.parametrize("who", ["state", "action"])
def test_the_one_clock_that_differs_is_found(bags, tmp_path, who, ahead):
    rows, commanded = drive(
        bags, lambda role, t: t + ahead * (role == who), stamped=who == "action"
    )
    report = check(bags, bags.write_bag(tmp_path / "bag", rows), commanded)
    assert f"WARNING the stamps of {who} come from another clock" in report


@pytest.mark.parametrize("drift", [-0.01, 0.01])
def test_a_clock_of_the_robot_alone_that_drifts_is_found(bags, tmp_path, drift):
    rows, commanded = drive(bags, lambda role, t: t + drift * (t - START) * (role == "state"))
    assert "drifting" in check(bags, bags.write_bag(tmp_path / "bag", rows), commanded)


def test_a_latency_of_the_camera_that_grows_is_said(bags, tmp_path):
    rows, _ = drive(bags, lambda role, t: t - 0.02 * (t - START) * (role == "image"))
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert "WARNING received minus stamp ranges from +0.02 to +0.3" in read.report


def test_messages_that_wait_for_others_say_nothing_of_the_clock(bags, tmp_path):
    def in_bursts(role, t):
        return np.ceil(t) + 0.002 if role == "state" else close(role, t)

    rows, commanded = drive(bags, arrive=in_bursts)
    assert "another clock" not in check(bags, bags.write_bag(tmp_path / "bag", rows), commanded)


def test_pictures_that_overtake_each_other_are_no_jump_of_time(bags, tmp_path):
    chance = np.random.default_rng(3)

    def arrive(role, t):
        return t + (chance.exponential(0.15) if role == "image" else 0.001)

    rows, _ = drive(bags, arrive=arrive)
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert "jumped back" not in read.report


@pytest.mark.parametrize("kind", ["mcap", "sqlite3"])
@pytest.mark.parametrize("stamps", ["steady", "set back, too", "none"])
@pytest.mark.parametrize("back", [0.4, 3.0])
def test_a_recorder_whose_clock_is_set_back_mixes_nothing(bags, tmp_path, kind, stamps, back):
    def recorder(t):
        return t - back * (t > START + 7.0)

    stamp = {"steady": lambda _, t: t, "set back, too": lambda _, t: recorder(t),
             "none": lambda *_: 0.0}[stamps]  # fmt: skip
    rows, commanded = drive(bags, stamp)
    rows = [(topic, recorder(t), message) for topic, t, message in rows]
    path = in_this_order(bags, tmp_path / "bag", rows, kind)
    check(bags, path, commanded, late=0.05)
    with Bag(path) as bag:
        (remark,) = bag.remarks
        said = float(remark.partition("set back by ")[2].partition(" s; the order")[0])
        assert said == pytest.approx(back, abs=0.02)


def in_split_files(bags, folder, rows, edges, kind):
    """One file for the rows between each two edges, numbered as rosbag2 does."""
    folder.mkdir()
    for number, (first, last) in enumerate(itertools.pairwise([0, *edges, len(rows)])):
        made = in_this_order(bags, folder.parent / f"part_{number}", rows[first:last], kind)
        (file,) = [path for path in made.iterdir() if path.suffix in (".mcap", ".db3")]
        file.rename(folder / f"bag_{number}{file.suffix}")
    return folder


@pytest.mark.parametrize("kind", ["mcap", "sqlite3"])
@pytest.mark.parametrize("stamps", ["steady", "set back, too", "none"])
@pytest.mark.parametrize("back", [0.5, 3.0])
def test_a_clock_that_is_set_back_between_split_files_mixes_nothing(
    bags, tmp_path, kind, stamps, back
):
    def recorder(t):
        return t - back * (t >= START + 7.0)

    stamp = {"steady": lambda _, t: t, "set back, too": lambda _, t: recorder(t),
             "none": lambda *_: 0.0}[stamps]  # fmt: skip
    rows, commanded = drive(bags, stamp)
    first, last = (sum(t < START + at for _, t, _ in rows) for at in (7.0, 11.0))
    rows = [(topic, recorder(t), message) for topic, t, message in rows]
    path = in_split_files(bags, tmp_path / "bag", rows, [first, last], kind)
    check(bags, path, commanded, late=0.05)
    with Bag(path) as bag:
        (remark,) = [remark for remark in bag.remarks if "set back" in remark]
        said = float(remark.partition("set back by ")[2].partition(" s before bag_1")[0])
        assert said == pytest.approx(back, abs=0.05)


@pytest.mark.parametrize("second", ["the same", "a copy by another recorder", "other topics"])
def test_split_files_that_overlap_for_another_reason_keep_their_times(bags, tmp_path, second):
    rows, commanded = drive(bags)
    half = len(rows) // 2
    images = [row for row in rows if row[0] == "/image"]
    chance = np.random.default_rng(2)
    parts = {
        "the same": (rows, rows[half:]),
        "a copy by another recorder": (
            rows,
            [
                (topic, t + chance.uniform(0.0001, 0.001), message)
                for topic, t, message in rows[half:]
            ],
        ),
        "other topics": ([row for row in rows if row[0] != "/image"], images),
    }[second]
    path = in_split_files(bags, tmp_path / "bag", [*parts[0], *parts[1]], [len(parts[0])], "mcap")
    with Bag(path) as bag:
        assert not [remark for remark in bag.remarks if "set back" in remark]
    if second != "a copy by another recorder":
        check(bags, path, commanded)


@pytest.mark.parametrize(
    "order", ["second half first", "twice", "shuffled", "by topic", "disorder"]
)
def test_a_file_that_is_out_of_order_is_sorted(bags, tmp_path, order):
    rows, commanded = drive(bags)
    chance = np.random.default_rng(5)
    rows = {
        "second half first": rows[len(rows) // 2 :] + rows[: len(rows) // 2],
        "twice": rows + rows,
        "shuffled": [rows[k] for k in chance.permutation(len(rows))],
        "by topic": sorted(rows, key=lambda row: row[0]),
        "disorder": sorted(rows, key=lambda row: row[1] + chance.uniform(0, 0.3)),
    }[order]
    path = in_this_order(bags, tmp_path / "bag", rows, "mcap")
    check(bags, path, commanded)
    with Bag(path) as bag:
        assert bag.remarks == []


def test_a_clock_that_is_set_forward_while_nothing_comes_is_found(bags, tmp_path):
    def recorder(t):
        return t + 5.0 * (t > START + 7.0)

    rows, commanded = drive(bags, arrive=lambda role, t: recorder(close(role, t)))
    check(bags, bags.write_bag(tmp_path / "bag", rows), commanded)


@pytest.mark.parametrize("role", ["image", "state"])
def test_stamps_cut_to_whole_seconds_are_named(bags, tmp_path, role):
    rows, _ = drive(bags, lambda who, t: np.floor(t) if who == role else t)
    with (
        pytest.raises(
            BagError, match=f"the stamps of the {role} repeat that of the message before"
        ),
        bags.reading(bags.write_bag(tmp_path / "bag", rows)),
    ):
        pass


@pytest.mark.parametrize(
    ("late", "said"),
    [(0.08, "the actions of the next step better"), (1.0, "the actions 1 s later better")],
)
def test_commands_that_are_recorded_late_are_noticed(bags, tmp_path, late, said):
    rows, _ = drive(bags, arrive=lambda role, t: t + (late if role == "action" else 0.001))
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert f"WARNING the motion fits {said}" in read.report


def test_commands_without_stamps_that_arrive_in_bursts_are_noticed(bags, tmp_path):
    rows, _ = drive(bags, arrive=lambda role, t: np.ceil(t) if role == "action" else close(role, t))
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert "WARNING the commands have no stamps and arrive in bursts" in read.report


@pytest.mark.parametrize("pause", [20.0, 7200.0, 86400.0])
def test_a_pause_of_the_recording_or_a_leap_of_the_clock_makes_no_burst(bags, tmp_path, pause):
    middle = START + PERIOD * STEPS / 2
    rows, _ = drive(
        bags,
        lambda role, t: t + pause * (t > middle),
        lambda role, t: close(role, t) + pause * (t > middle),
    )
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert len(read.drafts.episodes) >= 2
        assert "in bursts" not in read.report


@pytest.mark.parametrize("pause", [20.0, 86400.0])
def test_bursts_are_noticed_though_the_recording_pauses(bags, tmp_path, pause):
    middle = START + PERIOD * STEPS / 2

    def arrive(role, t):
        return (np.ceil(t) if role == "action" else close(role, t)) + pause * (t > middle)

    rows, _ = drive(bags, lambda role, t: t + pause * (t > middle), arrive)
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert "WARNING the commands have no stamps and arrive in bursts" in read.report


# ---------------------------------------------------------------------------------- JointStates


def arm(bags, states, steps=100):
    """Pictures and commands, and these joint states. states: time -> messages."""
    make, rows = bags.Make(), []
    for k in range(steps):
        t = START + PERIOD * k
        rows += [("/image", t, make.image(t, bags.gray(k)))]
        rows += [("/commands", t, make.numbers(np.sin(t * 3), np.cos(t * 2)))]
        for at in t + 0.05 * np.arange(2):
            rows += [("/joint_states", at + 0.001, message) for message in states(make, at)]
    return rows


def of(make, t, names=("a", "b"), **more):
    values = {"a": np.sin(t), "b": np.cos(t), "finger": 0.1 * np.sin(t / 2)} | more
    return make.joints(t, list(names), [values[name] for name in names])


def test_a_gripper_with_a_clock_of_its_own_is_put_on_that_of_the_arm(bags, tmp_path):
    def states(make, t):
        gripper = of(make, t, ["finger"])
        gripper.header.stamp.sec += 3
        return [of(make, t), gripper]

    path = bags.write_bag(tmp_path / "bag", arm(bags, states))
    with bags.reading(path, state={"names": ["a", "b", "finger"]}) as read:
        times = START + PERIOD * read.joined("pictures")
        np.testing.assert_allclose(read.joined("states")[:, 2], 0.1 * np.sin(times / 2), atol=1e-4)
        assert "WARNING the stamps of finger are 3.000 s ahead of those of the other" in read.report


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e300])
def test_numbers_that_are_none_are_bridged_and_said(bags, tmp_path, wrong):
    count = iter(range(1000))
    rows = arm(bags, lambda make, t: [of(make, t, **({} if next(count) % 4 else {"b": wrong}))])
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert "50 messages of the state have no finite number for b; " in read.report
        assert np.isfinite(read.joined("states")).all()


def test_a_joint_that_never_has_a_position_is_left_out_and_said(bags, tmp_path):
    rows = arm(bags, lambda make, t: [of(make, t, b=np.nan)])
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert read.description.spec.state.names == ("a",)
        assert "not in the state: b, because no message has a position" in (read.description.notes)


def test_a_message_that_names_a_joint_twice_is_left_out(bags, tmp_path):
    rows = arm(bags, lambda make, t: [of(make, t), of(make, t, ["a", "b", "a"], a=9.0)])
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert read.streams.state.refused == 200
        assert "names the joint 'a' twice" in read.streams.state.reason
        assert np.abs(read.joined("states")).max() <= 1


@pytest.mark.parametrize("stated", [None, ["a", "b"]])
def test_two_publishers_that_disagree_are_noticed(bags, tmp_path, stated):
    rows = arm(bags, lambda make, t: [of(make, t), of(make, t + 0.02, a=0.5, b=0.5)])
    path = bags.write_bag(tmp_path / "bag", rows)
    with bags.reading(path, state={"names": stated}) as read:
        assert any("of a, b jumps back and forth" in note for note in read.description.notes)


def test_joints_that_are_noisy_or_still_are_no_two_publishers(bags, tmp_path):
    chance = np.random.default_rng(2)
    rows = arm(bags, lambda make, t: [of(make, t, a=chance.normal(0, 0.01), b=0.3)])
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert not any("back and forth" in note for note in read.description.notes)


def test_trajectories_of_one_joint_at_a_time_are_imported(bags, tmp_path):
    make, rows = bags.Make(), arm(bags, lambda make, t: [of(make, t)])
    rows = [row for row in rows if row[0] != "/commands"]
    for k in range(20):
        t, name = START + 0.5 * k, "ab"[k % 2]
        plan = make.trajectory(0.0, [name], [[0.1 * k]], field="positions")
        plan.points[0].time_from_start.nanosec = 300_000_000
        rows.append(("/joint_trajectory", t - 0.01, plan))
    with bags.reading(bags.write_bag(tmp_path / "bag", rows)) as read:
        assert set(read.description.spec.action.names) == {"a", "b"}
        assert read.description.spec.action.low == pytest.approx((0.0, 0.1))
        assert read.description.spec.action.high == pytest.approx((1.8, 1.9))
        held = read.joined("actions")[-2:, 1]
        assert held == pytest.approx([1.9] * 2)
