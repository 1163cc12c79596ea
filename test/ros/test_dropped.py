"""Messages that cannot be used are counted by topic, and told for a while."""

from __future__ import annotations

from wm_mpc.ros.dropped import SHOWN, Dropped


def test_nothing_dropped_is_said_as_that():
    dropped = Dropped()
    assert dropped.recent() == ""
    assert dropped.values() == {"messages dropped": "none", "last dropped message": "none"}


def test_they_are_counted_by_topic_and_the_last_reason_is_told_for_a_while():
    now = [100.0]
    dropped = Dropped(lambda: now[0])
    dropped.note("/odom", "odometry: vx is nan")
    dropped.note("/odom", "odometry: vx is inf")
    dropped.note("goal/append/image", "goal refused: image is 0x0")
    assert dropped.recent() == "goal/append/image"
    assert dropped.values() == {
        "messages dropped": "2 on /odom, 1 on goal/append/image",
        "last dropped message": "goal/append/image: goal refused: image is 0x0",
    }
    now[0] += SHOWN + 0.1
    assert dropped.recent() == ""
    assert str(dropped.values()["last dropped message"]).endswith("image is 0x0")


def test_a_reason_of_any_length_is_cut():
    dropped = Dropped()
    dropped.note("topic", "x" * 100_000)
    assert len(str(dropped.values()["last dropped message"])) < 400
