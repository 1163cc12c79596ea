"""ROS 1 bags, closed or not, indexed or not, whole or damaged."""

from __future__ import annotations

import shutil

import pytest
from rosbags import rosbag1

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.bag_accounts import accounts, unexplained

COUNT = 200


def recorded(bags, path, compression=None):
    """A finished file of several chunks."""
    make, name = bags.Make(ros1=True), "geometry_msgs/msg/Twist"
    writer = rosbag1.Writer(path)
    if compression is not None:
        writer.set_compression(compression)
    writer.chunk_threshold = 2000
    with writer:
        topics = [writer.add_connection(t, name, typestore=bags.STORE1) for t in ("/a", "/b")]
        for k in range(COUNT):
            data = bags.STORE1.serialize_ros1(make.twist(vx=float(k)), name)
            for topic in topics:
                writer.write(topic, (100 + k) * bags.SECOND, data)
    return path


def read(path):
    with Bag(path) as bag:
        numbers = [round(item.message.linear.x) for item in bag.messages(["/a"])]
        return numbers, accounts(bag)["/a"].unreadable, unexplained(bag, ["/a"])


FORMATS = rosbag1.Writer.CompressionFormat


@pytest.mark.parametrize("compression", [None, FORMATS.BZ2, FORMATS.LZ4])
def test_every_message_is_read(bags, tmp_path, compression):
    assert read(recorded(bags, tmp_path / "a.bag", compression)) == (list(range(COUNT)), 0, [])


def test_a_split_recording_is_one(bags, tmp_path):
    recorded(bags, tmp_path / "a_0.bag")
    shutil.copy(tmp_path / "a_0.bag", tmp_path / "a_1.bag")
    with Bag(tmp_path) as bag:
        assert len(list(bag.messages(["/a"]))) == COUNT
        assert bag.repeated["/a"] == COUNT


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("tail", [b"", bytes(5000)])
def test_a_killed_recording_is_read_up_to_where_it_was_cut(bags, tmp_path, share, tail):
    data = recorded(bags, tmp_path / "a.bag").read_bytes()
    index = data.index(b"index_pos=") + len(b"index_pos=")
    open_one = data[:index] + bytes(8) + data[index + 8 :]
    file = tmp_path / "a.bag.active"
    file.write_bytes(open_one[: int(len(data) * share)] + tail)
    numbers, _, reasons = read(file)
    assert 0 < len(numbers) < COUNT
    assert numbers == list(range(len(numbers)))
    assert reasons == []
    with Bag(file) as bag:
        assert bag.recovered >= 2 * len(numbers)


def test_a_closed_bag_that_was_cut_is_refused(bags, tmp_path):
    data = recorded(bags, tmp_path / "a.bag").read_bytes()
    (tmp_path / "a.bag").write_bytes(data[: int(len(data) * 0.6)])
    numbers, _, reasons = read(tmp_path / "a.bag")
    assert 0 < len(numbers) < COUNT
    assert "its last" in reasons[0]


def test_messages_of_a_damaged_chunk_are_counted(bags, tmp_path):
    file = recorded(bags, tmp_path / "a.bag", FORMATS.BZ2)
    data = bytearray(file.read_bytes())
    at = data.index(b"BZh", data.index(b"BZh") + 1000)
    data[at + 40] ^= 0xFF
    file.write_bytes(data)
    numbers, unreadable, reasons = read(file)
    assert 0 < unreadable < COUNT
    assert len(numbers) + unreadable == COUNT
    assert reasons == []


@pytest.mark.parametrize("data", [b"#ROSBAG V1.2\n", b"#ROSBAG V2.0\n", b"#ROSBAG V2.0\n\xff\xff"])
def test_what_is_no_bag_is_refused(tmp_path, data):
    (tmp_path / "a.bag").write_bytes(data)
    with pytest.raises(BagError, match=r"cannot be read|holds no messages"):
        Bag(tmp_path / "a.bag")
