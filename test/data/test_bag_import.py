"""From recordings of every format and type of topic to episodes, with numbers that are known."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from typing import Any

import numpy as np
import pytest

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.bag_import import Drafts, write_episodes
from wm_mpc.data.bag_spec import Description
from wm_mpc.data.episodes import Dataset, Episode

START = 100.0  # s
STEPS = 20
PERIOD = 0.1
IMAGE = {"height": 20, "width": 20}
ACTION = {"low": [-1.0, -1.0], "high": [1.0, 1.0]}


@dataclasses.dataclass
class Imported:
    episodes: list[Episode]
    drafts: Drafts
    description: Description
    report: str

    @property
    def pictures(self) -> list[list[int]]:
        """The value that each picture is filled with, by episode."""
        return [episode.images[:, 0, 0, 0].tolist() for episode in self.episodes]


@pytest.fixture
def imported(bags, tmp_path):
    """Import recorded messages with these settings."""

    def run(recorded: Any, kind: str = "mcap", **settings: Any) -> Imported:
        settings["image"] = IMAGE | settings.get("image", {})
        path = bags.write_bag(tmp_path / "bag", recorded, kind)
        with bags.reading(path, **settings) as read:
            dataset = Dataset.create(tmp_path / "dataset", read.description.spec)
            write_episodes(read.streams, read.drafts, dataset)
        return Imported(list(dataset), read.drafts, read.description, read.report)

    return run


def stamp(k: float) -> float:
    return START + k * PERIOD


def velocity(k: float) -> float:
    return 0.02 * k


def turn(k: int) -> float:
    return 0.5 * np.sin(k)


def images(bags, steps=range(STEPS + 1), kind="mcap"):
    make = bags.Make(ros1=kind == "ros1")
    return [("/image", stamp(k), make.image(stamp(k), bags.gray(k))) for k in steps]


def states(bags, steps=range(STEPS + 1), kind="mcap"):
    make = bags.Make(ros1=kind == "ros1")
    return [("/odom", stamp(k), make.odometry(stamp(k), vx=velocity(k), wz=turn(k))) for k in steps]


def actions(bags, steps=range(STEPS), kind="mcap"):
    make = bags.Make(ros1=kind == "ros1")
    return [("/cmd_vel", stamp(k), make.twist(vx=velocity(k), wz=turn(k))) for k in steps]


def recorded(bags, kind="mcap"):
    return images(bags, kind=kind) + states(bags, kind=kind) + actions(bags, kind=kind)


def expected(steps=range(STEPS)):
    return np.array([[velocity(k), turn(k)] for k in steps], np.float32)


# -------------------------------------------------------------------------------- formats, types


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "ros1"])
def test_every_format_gives_what_was_recorded(imported, bags, kind):
    result = imported(recorded(bags, kind), kind)
    assert result.pictures == [list(range(STEPS + 1))]
    np.testing.assert_allclose(result.episodes[0].states, expected(range(STEPS + 1)), atol=1e-6)
    np.testing.assert_allclose(result.episodes[0].actions, expected(), atol=1e-6)
    spec = result.description.spec
    assert (spec.action.names, spec.state.names) == (("vx", "wz"), ("vx", "wz"))
    assert spec.control_period == PERIOD
    assert spec.action.high[0] == pytest.approx(velocity(STEPS - 1))
    assert spec.state.source == "odom"


def test_a_recording_without_message_definitions_is_read(bags, tmp_path):
    """As ROS 2 distros before Iron make them."""
    path = bags.write_bag(tmp_path / "bag", recorded(bags), "sqlite3")
    with contextlib.closing(sqlite3.connect(next(path.glob("*.db3")))) as database:
        database.execute("DELETE FROM message_definitions")
        database.commit()
    with Bag(path) as bag:
        assert bag.first("/odom").twist.twist.linear.x == velocity(0)
        assert bag.topics["/image"].count == STEPS + 1


NAMES = ["left", "right"]
ACTION_MAKERS = {
    "Twist": lambda m, k, row: m.twist(vx=row[0], wz=row[1]),
    "TwistStamped": lambda m, k, row: m.twist_stamped(stamp(k), vx=row[0], wz=row[1]),
    "Float64MultiArray": lambda m, k, row: m.numbers(*row),
    "JointState": lambda m, k, row: m.joints(stamp(k), NAMES, velocity=row),
    "JointTrajectory": lambda m, k, row: m.trajectory(stamp(k), NAMES, [row, [9.0, 9.0]]),
    "reversed": lambda m, k, row: m.trajectory(stamp(k), NAMES[::-1], [row[::-1], [9.0, 9.0]]),
}


@pytest.mark.parametrize("kind", ACTION_MAKERS)
def test_every_type_of_action_gives_the_same_numbers(imported, bags, kind):
    make, rows = bags.Make(), expected().astype(float)
    commands = [
        ("/act", stamp(k), ACTION_MAKERS[kind](make, k, row.tolist())) for k, row in enumerate(rows)
    ]
    names = ["vx", "wz"] if kind.startswith("Twist") else NAMES
    action = {"topic": "/act", "names": names, "kind": "velocity", **ACTION}
    result = imported(images(bags) + states(bags) + commands, action=action)
    np.testing.assert_allclose(result.episodes[0].actions, expected(), atol=1e-6)
    assert result.description.spec.action.names == tuple(names)


@pytest.mark.parametrize(
    ("kind", "names", "values"),
    [
        ("Odometry", ["x", "yaw", "wz"], [0.5, 0.3, -0.1]),
        ("PoseStamped", ["x", "y", "yaw"], [0.5, 0.2, 0.3]),
        ("JointState", ["b", "a/velocity", "a/effort"], [2.0, 3.0, 5.0]),
        ("Float64MultiArray", ["u", "v"], [7.0, 8.0]),
    ],
)
def test_every_type_of_state_is_read(imported, bags, kind, names, values):
    make = bags.Make()

    def message(k):
        return {
            "Odometry": lambda: make.odometry(stamp(k), x=0.5, y=0.2, yaw=0.3, wz=-0.1),
            "PoseStamped": lambda: make.pose_stamped(stamp(k), 0.5, 0.2, 0.3),
            "JointState": lambda: make.joints(stamp(k), ["a", "b"], [1, 2], [3, 4], [5, 6]),
            "Float64MultiArray": lambda: make.numbers(7.0, 8.0),
        }[kind]()

    measured = [("/s", stamp(k), message(k)) for k in range(STEPS + 1)]
    state = {"topic": "/s", "names": names}
    result = imported(images(bags) + measured + actions(bags), state=state)
    np.testing.assert_allclose(result.episodes[0].states[3], values, atol=1e-6)
    source = "odom" if kind in ("Odometry", "PoseStamped") else "joint_states"
    assert result.description.spec.state.source == source


RGB = np.zeros((20, 20, 3), np.uint8)
RGB[:, :10], RGB[:, 10:] = (250, 100, 20), (10, 60, 200)
ALPHA = np.full((20, 20, 1), 77, np.uint8)
PICTURES = {
    "rgb8": lambda m: m.image(0.0, RGB, "rgb8"),
    "bgr8": lambda m: m.image(0.0, RGB[..., ::-1], "bgr8"),
    "rgba8": lambda m: m.image(0.0, np.concatenate([RGB, ALPHA], 2), "rgba8"),
    "bgra8": lambda m: m.image(0.0, np.concatenate([RGB[..., ::-1], ALPHA], 2), "bgra8"),
    "mono8": lambda m: m.image(0.0, RGB[..., 0], "mono8"),
    "png": lambda m: m.compressed(0.0, RGB, "png"),
    "jpg": lambda m: m.compressed(0.0, RGB, "jpg"),
}


@pytest.mark.parametrize("encoding", PICTURES)
def test_every_encoding_becomes_rgb(imported, bags, encoding):
    message = PICTURES[encoding](bags.Make())
    pictures = [("/image", stamp(k), message) for k in range(STEPS + 1)]
    result = imported(pictures + states(bags) + actions(bags), stamps="receive")
    wanted = np.repeat(RGB[..., :1], 3, 2) if encoding == "mono8" else RGB
    difference = np.abs(result.episodes[0].images[0].astype(int) - wanted)
    assert difference.mean() < (8 if encoding == "jpg" else 1e-9)


# ---------------------------------------------------------------------------------------- rules


def test_streams_of_other_rates_are_resampled(imported, bags):
    make = bags.Make()
    times = np.arange(START - 0.05, START + 2.1, 0.013)
    measured = [("/odom", t, make.odometry(t, vx=t - START)) for t in times]
    result = imported(images(bags) + measured + actions(bags), state={"names": ["vx"]})
    wanted = np.arange(STEPS + 1) * PERIOD
    np.testing.assert_allclose(result.episodes[0].states[:, 0], wanted, atol=1e-6)


def test_integrate_takes_the_mean_over_the_step(imported, bags):
    make = bags.Make()
    commands = [
        ("/cmd_vel", stamp(k / 4), make.twist(vx=0.1 * (k % 4))) for k in range(4 * STEPS + 4)
    ]
    messages = images(bags) + states(bags) + commands
    result = imported(messages, action={"rule": "integrate", "names": ["vx"]})
    np.testing.assert_allclose(result.episodes[0].actions, 0.15, atol=1e-6)


def test_a_plan_is_executed_point_by_point(imported, bags):
    make = bags.Make()
    rows = [[0.1 * k] for k in range(-3, 5)]
    plans = [("/plan", stamp(k), make.trajectory(stamp(k), ["a"], rows)) for k in (0, 4, 16)]
    result = imported(images(bags) + states(bags) + plans)
    got = result.episodes[0].actions[:, 0]
    wanted = [*rows[:4], *rows, [0], [0], [0], [0], *rows[:4]]
    np.testing.assert_allclose(got, np.array(wanted)[:, 0], atol=1e-6)
    assert result.description.spec.action.kind == "velocity"
    assert "control period 0.1 s, between two points of a trajectory" in result.description.notes


def test_header_stamps_count_unless_told_otherwise(imported, bags):
    make = bags.Make()
    late = [("/image", stamp(k) + 0.25, make.image(stamp(k), bags.gray(k))) for k in range(21)]
    messages = late + states(bags) + actions(bags)
    assert imported(messages).episodes[0].states[0, 0] == pytest.approx(velocity(0))


def test_the_time_of_arrival_counts_by_option(imported, bags):
    make = bags.Make()
    late = [("/image", stamp(k) + 0.25, make.image(stamp(k), bags.gray(k))) for k in range(21)]
    result = imported(late + states(bags) + actions(bags), stamps="receive")
    assert result.episodes[0].states[0, 0] == pytest.approx(velocity(2.5))


def test_the_time_of_arrival_counts_where_a_stamp_is_zero(imported, bags):
    make = bags.Make()
    unstamped = [("/image", stamp(k), make.image(0.0, bags.gray(k))) for k in range(STEPS + 1)]
    result = imported(unstamped + states(bags) + actions(bags))
    assert result.pictures == [list(range(STEPS + 1))]
    assert "21 header stamps of the image are 0; the time of arrival replaces" in result.report


def test_plans_of_simulated_time_are_placed_by_their_stamps(imported, bags):
    """The recorder's clock is another one, so arrivals say nothing."""
    make = bags.Make()
    later = 5000.0
    messages = [(t, r + later, m) for t, r, m in images(bags) + states(bags)]
    messages += [
        ("/plan", stamp(k) + later + 0.03, make.trajectory(stamp(k), ["a"], [[velocity(k)]]))
        for k in range(STEPS)
    ]
    result = imported(messages)
    np.testing.assert_allclose(result.episodes[0].actions[:, 0], expected()[:, 0], atol=1e-6)
    assert "the stamps of the plans come from another clock" in result.report


def test_a_yaw_that_wraps_is_interpolated_the_short_way(imported, bags):
    make = bags.Make()
    yaws = [3.0 + 0.05 * k for k in range(STEPS + 2)]
    measured = [
        ("/odom", stamp(k - 0.5), make.odometry(stamp(k - 0.5), yaw=yaw))
        for k, yaw in enumerate(yaws)
    ]
    result = imported(images(bags) + measured + actions(bags), state={"names": ["yaw"]})
    turned = np.unwrap(result.episodes[0].states[:, 0])
    np.testing.assert_allclose(turned, 3.025 + 0.05 * np.arange(STEPS + 1), atol=1e-5)


# ------------------------------------------------------------------------------- gaps, leftovers


def test_a_gap_in_the_pictures_begins_an_episode(imported, bags):
    kept = [*range(8), *range(15, 21)]
    result = imported(images(bags, kept) + states(bags) + actions(bags))
    assert result.pictures == [kept[:8], kept[8:]]
    assert result.drafts.splits["gap in the images"] == 1
    np.testing.assert_allclose(result.episodes[1].actions, expected(range(15, 20)), atol=1e-6)


def test_a_picture_that_is_late_is_not_a_gap(imported, bags):
    kept = [k for k in range(21) if k != 9]
    result = imported(images(bags, kept) + states(bags) + actions(bags))
    assert result.pictures == [[*range(9), 8, *range(10, 21)]]
    assert "1 steps show the image of the step before" in result.report


def test_missing_state_ends_an_episode(imported, bags):
    kept = [*range(6), *range(14, 21)]
    result = imported(images(bags) + states(bags, kept) + actions(bags))
    assert result.pictures == [kept[:6], kept[6:]]
    assert result.drafts.dropped["no state was measured"] == 9
    assert "new episode: state or action missing (1 times)" in result.report


def test_silence_of_the_commands_ends_an_episode_but_rest_does_not(imported, bags):
    told = [*range(3), *range(15, 20)]
    messages = images(bags) + states(bags) + actions(bags, told)
    action = {"timeout": 0.25, "max_silence": 0.5, **ACTION}
    result = imported(messages, action=action)
    assert result.pictures == [[0, 1, 2, 3, 4, 5], list(range(15, 21))]
    assert result.episodes[0].actions[-1].tolist() == pytest.approx(expected()[2].tolist())
    assert result.drafts.dropped["no action is known"] == 10


def test_short_silence_is_rest(imported, bags):
    told = [*range(3), *range(15, 20)]
    result = imported(images(bags) + states(bags) + actions(bags, told))
    got = result.episodes[0].actions
    assert len(result.episodes) == 1
    assert (got[8:15] == 0).all()
    np.testing.assert_allclose(got[2:7], np.tile(expected()[2], (5, 1)), atol=1e-6)


def test_time_that_jumps_back_begins_an_episode(imported, bags):
    first = images(bags) + states(bags)
    first += [
        (t, r, bags.Make().twist_stamped(r, vx=m.linear.x, wz=m.angular.z))
        for t, r, m in actions(bags)
    ]
    again = [(topic, received + 3.0, message) for topic, received, message in first]
    result = imported(first + again)
    assert result.pictures == [list(range(STEPS + 1))] * 2
    assert result.drafts.splits["time jumped back"] == 1
    for episode in result.episodes:
        np.testing.assert_allclose(episode.actions, expected(), atol=1e-6)


def test_a_topic_may_begin_episodes(imported, bags):
    resets = [("/reset", stamp(k), bags.Make().numbers(0.0)) for k in (0, 7, 13)]
    result = imported(recorded(bags) + resets, split_at=["/reset"])
    assert result.pictures == [list(range(7)), list(range(7, 13)), list(range(13, 21))]
    assert result.drafts.splits["message of /reset"] == 2


def test_what_happens_while_the_robot_is_put_back_is_left_out(imported, bags):
    resets = [("/reset", stamp(7.5), bags.Make().numbers(0.0))]
    result = imported(recorded(bags) + resets, split_at=["/reset"], split_pause=0.25)
    assert result.pictures == [list(range(8)), list(range(10, 21))]
    assert "2 steps (0.2 s): soon after a message of /reset" in result.report


def test_short_episodes_are_dropped_and_counted(imported, bags):
    kept = [*range(12), *range(18, 21)]
    result = imported(images(bags, kept) + states(bags) + actions(bags), min_steps=5)
    assert result.pictures == [kept[:12]]
    assert result.drafts.short == 1
    assert "2 steps (0.2 s): in episodes of fewer than 5" in result.report


def test_long_episodes_are_cut_without_losing_a_step(imported, bags):
    result = imported(recorded(bags), max_steps=7)
    assert [len(episode) for episode in result.episodes] == [7, 6, 7]
    joined = np.concatenate([episode.actions for episode in result.episodes])
    np.testing.assert_allclose(joined, expected(), atol=1e-6)


def test_bad_messages_are_left_out_and_told(imported, bags):
    make = bags.Make()
    messages = recorded(bags)
    short = make.image(stamp(0.5), bags.gray(99))
    short.data = short.data[:100]
    messages.append(("/image", stamp(0.5), short))
    messages.append(("/odom", stamp(0.5), make.odometry(stamp(0.5), vx=np.nan)))
    messages.append(("/cmd_vel", stamp(0.5), make.twist(vx=np.inf)))
    action = {"names": ["vx", "wz"], **ACTION}
    result = imported(messages, action=action, state={"names": ["vx", "wz"]})
    assert result.pictures == [list(range(STEPS + 1))]
    np.testing.assert_allclose(result.episodes[0].actions, expected(), atol=1e-6)
    assert "1 messages of /image: image is 20x20 rgb8 is truncated" in result.report
    assert "1 messages of /odom: odometry: vx is nan" in result.report
    assert "1 messages of /cmd_vel: vx is inf" in result.report


def test_messages_that_cannot_be_decoded_are_left_out_and_told(imported, bags):
    messages = recorded(bags)
    messages += [("/cmd_vel", stamp(k), ("geometry_msgs/msg/Twist", b"\0\1")) for k in (3.2, 3.4)]
    result = imported(messages)
    np.testing.assert_allclose(result.episodes[0].actions, expected(), atol=1e-6)
    assert "2 messages of /cmd_vel: they cannot be decoded" in result.report


def test_actions_outside_the_limits_are_clipped_and_told(imported, bags):
    action = {"names": ["vx"], "low": [-0.1], "high": [0.1]}
    result = imported(recorded(bags), action=action)
    assert result.episodes[0].actions.max() == pytest.approx(0.1)
    assert "14 of 20 actions vx were outside the limits and were clipped" in result.report


def test_what_was_not_said_is_inferred_and_told(imported, bags):
    notes = "\n".join(imported(recorded(bags)).description.notes)
    parts = (
        "control period 0.1 s",
        "action vx, wz, from /cmd_vel",
        "state vx, wz",
        "kind velocity",
    )
    for part in (*parts, "action limits", "image topic /image"):
        assert part in notes


def test_joints_without_a_position_are_no_state_unless_named(imported, bags):
    make = bags.Make()
    measured = [
        ("/joints", stamp(k), make.joints(stamp(k), ["a", "b", "c"], [1.0, np.nan, 3.0], [4, 5, 6]))
        for k in range(STEPS + 1)
    ]
    result = imported(images(bags) + measured + actions(bags))
    assert result.description.spec.state.names == ("a", "c")
    assert result.description.spec.state.unit == ("rad", "rad")


def test_commands_with_positions_and_velocities_are_positions(imported, bags):
    make = bags.Make()
    commands = [
        ("/act", stamp(k), make.joints(stamp(k), ["a"], [0.1 * k], [1.0])) for k in range(STEPS)
    ]
    result = imported(images(bags) + states(bags) + commands, action={"topic": "/act"})
    assert result.description.spec.action.kind == "position"
    assert result.description.spec.action.unit == "rad"
    np.testing.assert_allclose(result.episodes[0].actions[:, 0], 0.1 * np.arange(STEPS), atol=1e-6)


def test_a_robot_that_is_only_seen_needs_no_state(imported, bags):
    result = imported(images(bags) + actions(bags), state={"names": []})
    assert result.episodes[0].states.shape == (STEPS + 1, 0)
    np.testing.assert_allclose(result.episodes[0].actions, expected(), atol=1e-6)
    assert result.description.spec.state.size == 0
    assert "  state" not in result.report


def test_a_missing_state_topic_is_refused_with_the_way_out(imported, bags):
    with pytest.raises(BagError, match=r"(?s)no state topic in .*; --no-state imports without one"):
        imported(images(bags) + actions(bags))


def test_nothing_is_inferred_where_everything_was_said(imported, bags):
    result = imported(
        recorded(bags), control_period=0.1,
        image={"topic": "/image"},
        state={"topic": "odom", "names": ["vx"], "unit": ["m/s"], "source": "odom"},
        action={"topic": "cmd_vel", "names": ["vx"], "kind": "velocity", "unit": "m/s",
                "low": [-1], "high": [1]},
    )  # fmt: skip
    assert result.description.notes == ()


# ------------------------------------------------------------------------------------- refusals


def test_streams_that_do_not_overlap_are_refused(imported, bags):
    later = [("/cmd_vel", stamp(k + 100), bags.Make().twist(vx=0.1 * k)) for k in range(9)]
    with pytest.raises(BagError, match=r"do not overlap: image 100.00 to 102.00 s, .*action 110"):
        imported(images(bags) + states(bags) + later)


def test_streams_of_different_clocks_are_refused_with_a_hint(imported, bags):
    messages = [(t, r + 5000.0, m) for t, r, m in recorded(bags)]
    with pytest.raises(BagError, match=r"stamps of image, state come from another clock.*receive"):
        imported(messages)


def test_too_short_a_recording_is_refused(imported, bags):
    with pytest.raises(BagError, match="no episode of 50 steps"):
        imported(recorded(bags), min_steps=50)


@pytest.mark.parametrize("role", ["image", "state"])
def test_a_stream_that_is_slower_than_its_gap_is_refused(imported, bags, role):
    between = [k + 0.5 for k in range(-1, STEPS + 1)]  # not at the very moments of the pictures
    messages = images(bags) + states(bags, between) + actions(bags)
    with pytest.raises(
        BagError, match=rf"the {role} arrives every 0.1 s, which is more than {role}"
    ):
        imported(messages, **{role: {"max_gap": 0.05}})


def test_pictures_that_are_too_small_are_refused(imported, bags):
    with pytest.raises(BagError, match=r"of /image can be used as image: .*20x20.*wants 64x64"):
        imported(recorded(bags), image={"height": 64, "width": 64})


def test_an_action_that_never_moves_needs_limits(imported, bags):
    with pytest.raises(BagError, match=r"action 'vy' is 0 in the whole recording; accepted"):
        imported(recorded(bags), action={"names": ["vx", "vy"]})


def test_positions_cannot_be_integrated(imported, bags):
    joints = bags.Make().joints(stamp(0), ["a"], [0.5])
    messages = images(bags) + states(bags) + [("/act", stamp(0), joints)]
    action = {"topic": "/act", "rule": "integrate", "low": [0], "high": [1]}
    with pytest.raises(BagError, match="the actions are positions; accepted: --action-rule hold"):
        imported(messages, action=action)


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("action", {"names": ["speed"]}, r"twist has no field 'speed'; accepted: vx, vy"),
        ("state", {"names": ["speed"]}, r"odometry has no field 'speed'; accepted: x, y"),
        ("state", {"topic": "/cmd_vel"}, r"/cmd_vel is of type .*Twist; accepted as state: "),
        ("image", {"topic": "/odom"}, r"/odom is of type .*Odometry; accepted as image: "),
        ("image", {"topic": "/eye"}, r"(?s)no topic /eye in .*there are:.*/cmd_vel.*/image.*/odom"),
        ("action", {"low": [1, 1], "high": [0, 0]}, r"low 1.0 is not below high 0.0"),
    ],
)
def test_what_does_not_fit_the_recording_is_refused(imported, bags, section, settings, message):
    with pytest.raises(BagError, match=message):
        imported(recorded(bags), **{section: settings})


def test_a_topic_that_is_not_there_is_refused(imported, bags):
    with pytest.raises(
        BagError, match=r"(?s)no image topic.*CompressedImage; record again.*/cmd_vel"
    ):
        imported(states(bags) + actions(bags))


def test_a_choice_is_left_to_people(imported, bags):
    other = [("/other", r, m) for _, r, m in images(bags)]
    with pytest.raises(BagError, match=r"several topics fit the image: /image, /other; .*--im"):
        imported(recorded(bags) + other)


def test_files_that_are_no_recordings_are_refused(bags, tmp_path):
    with pytest.raises(BagError, match="no recording at"):
        Bag(tmp_path / "nothing")
    for name in ("a.mcap", "a.db3", "a.bag"):
        path = tmp_path / name
        path.write_bytes(b"garbage" * 100)
        with pytest.raises(BagError, match=r"cannot be read: .*accepted: a rosbag2 directory"):
            Bag(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(BagError, match=r"cannot be read.*metadata.yaml"):
        Bag(tmp_path / "folder")


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "ros1"])
def test_a_damaged_recording_is_read_or_refused(bags, tmp_path, kind):
    """Cut off anywhere, or with wrong bytes in it: one kind of error, whatever happens inside."""
    rng = np.random.default_rng(0)
    path = bags.write_bag(tmp_path / "bag", recorded(bags, kind), kind)
    file = path if path.is_file() else next(p for p in path.iterdir() if p.suffix != ".yaml")
    content, refused = file.read_bytes(), 0
    for trial in range(60):
        damaged = bytearray(content)
        if trial % 3 == 0:
            del damaged[rng.integers(len(content)) :]
        else:
            for place in rng.integers(len(content), size=rng.integers(1, 30)):
                damaged[place] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            with Bag(path) as bag:
                assert all(item.topic in bag.topics for item in bag.messages(list(bag.topics)))
        except BagError:
            refused += 1
    assert refused > 10
