"""MCAP files as the format allows them: every message is read, or counted and named."""

from __future__ import annotations

import json
import random
import struct

import pytest

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.bag_accounts import accounts, unexplained

COUNT = 40
CONTENT = list(range(COUNT))


def values(mcaps, path, topic="/a"):
    with Bag(path) as bag:
        assert bag.topics[topic].count == COUNT
        assert unexplained(bag, ["/a", "/b"]) == []
        return [mcaps.value_of(item.message) for item in bag.messages([topic])]


LEFT_OUT = {
    "nothing": {},
    "message index": {"message_index": False},
    "message index of some chunks": {"unindexed": (1, 3)},
    "message index and statistics": {"message_index": False, "statistics": False},
    "statistics": {"statistics": False},
    "chunk index": {"chunk_index": False},
    "summary": {"summary": False},
    "chunks": {"chunk": None},
    "chunks and summary": {"chunk": None, "summary": False},
    "chunks and statistics": {"chunk": None, "statistics": False},
    "checksums": {"checksum": False},
    "profile": {"profile": ""},
    "our profile": {"profile": "x-my-robot"},
    "profile of ROS 2": {"profile": "ros1"},
}


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
@pytest.mark.parametrize("how", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_every_message_is_read_whatever_the_writer_left_out(mcaps, tmp_path, how, compression):
    if how.get("chunk", 10) is None and compression:
        pytest.skip("only chunks are compressed")
    file = tmp_path / "a.mcap"
    mcaps.write(file, mcaps.twists(), compression=compression, **how)
    for topic in ("/a", "/b"):
        assert values(mcaps, file, topic) == CONTENT


@pytest.mark.parametrize("chunk", [7, None])
@pytest.mark.parametrize("order", ["shuffled", "topic after topic", "backwards", "a little"])
def test_messages_come_in_the_order_of_time_whatever_that_of_the_file(
    mcaps, tmp_path, order, chunk
):
    content = mcaps.twists()
    messages = content.messages
    if order == "shuffled":
        random.Random(0).shuffle(messages)
    elif order == "topic after topic":
        messages.sort(key=lambda message: message[0])
    elif order == "backwards":
        messages.reverse()
    else:
        for k in range(0, len(messages) - 1, 5):
            messages[k], messages[k + 1] = messages[k + 1], messages[k]
    mcaps.write(tmp_path / "a.mcap", content, chunk=chunk)
    with Bag(tmp_path / "a.mcap") as bag:
        times = [item.received for item in bag.messages(["/a", "/b"])]
    assert times == sorted(times)
    assert len(times) == 2 * COUNT
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT


def test_messages_of_the_same_time_keep_their_order(mcaps, tmp_path):
    content = mcaps.twists(topics=("/a",))
    content.messages = [(1, mcaps.NS, data) for _, _, data in content.messages]
    mcaps.write(tmp_path / "a.mcap", content)
    with Bag(tmp_path / "a.mcap") as bag:
        assert [mcaps.value_of(item.message) for item in bag.messages(["/a"])] == CONTENT


FOREIGN = {
    "json": (("foxglove.Log", "jsonschema", "{}"), "json", "foxglove.Log (jsonschema)"),
    "protobuf": (("a.Image", "protobuf", b"\n\xff\xfe"), "protobuf", "a.Image (protobuf)"),
    "ros1": (("std_msgs/String", "ros1msg", "string data"), "ros1", "String (ros1msg)"),
    "flatbuffer": (("x", "flatbuffer", ""), "flatbuffer", "x (flatbuffer)"),
    "cbor without schema": (None, "cbor", "no schema (cbor)"),
    "json without schema": (None, "json", "no schema (json)"),
    "cdr without schema": (None, "cdr", "no schema (cdr)"),
    "nothing said": (None, "", "no schema (no encoding)"),
    "json of a type of ours": (
        ("geometry_msgs/msg/Twist", "ros2msg", ""), "json", "geometry_msgs/msg/Twist (ros2msg)"
    ),
}  # fmt: skip


def with_channel(mcaps, schema, encoding, topic="/app/log", data=b"\1\0\0\0a"):
    content = mcaps.twists()
    if schema is not None:
        content.schemas[9] = schema
    content.channels[9] = (0 if schema is None else 9, topic, encoding)
    content.messages.insert(4, (9, content.messages[3][1], data))
    return content


@pytest.mark.parametrize(("schema", "encoding", "named"), FOREIGN.values(), ids=FOREIGN.keys())
def test_topics_of_other_encodings_are_left_out_and_named(mcaps, tmp_path, schema, encoding, named):
    mcaps.write(tmp_path / "a.mcap", with_channel(mcaps, schema, encoding))
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT
    with Bag(tmp_path / "a.mcap") as bag:
        topic = bag.topics["/app/log"]
        assert topic.type.endswith(named)
        assert topic.count == 1
        (line,) = [line for line in bag.table().split("\n") if "/app/log" in line]
        assert f"left out: {topic.left_out}" in line
        assert list(bag.messages(["/app/log"])) == []


@pytest.mark.parametrize("text", ["garbage %%", "float64 x\nnot/known/Type y", "\0\1", "uint8["])
def test_a_definition_that_cannot_be_read_concerns_its_topic_only(mcaps, tmp_path, text):
    content = with_channel(mcaps, ("my_msgs/msg/Odd", "ros2msg", text), "cdr")
    mcaps.write(tmp_path / "a.mcap", content)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT
    with Bag(tmp_path / "a.mcap") as bag:
        assert "definition of my_msgs/msg/Odd cannot be read" in bag.topics["/app/log"].left_out


def test_a_type_may_have_a_definition_for_each_of_its_topics(mcaps, tmp_path):
    content = with_channel(
        mcaps, ("geometry_msgs/msg/Twist", "ros2msg", "int32 number"), "cdr",
        data=struct.pack("<Ii", 256, 7),
    )  # fmt: skip
    mcaps.write(tmp_path / "a.mcap", content)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT
    with Bag(tmp_path / "a.mcap") as bag:
        assert bag.first("/app/log").number == 7


def test_a_definition_without_the_types_within_is_completed(mcaps, tmp_path):
    content = mcaps.twists()
    name, kind, _ = content.schemas[1]
    content.schemas[1] = (name, kind, "Vector3 linear\nVector3 angular")
    mcaps.write(tmp_path / "a.mcap", content)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT


def test_types_are_known_by_their_short_names_too(mcaps, tmp_path):
    content = mcaps.twists()
    content.schemas[1] = ("geometry_msgs/Twist", *content.schemas[1][1:])
    mcaps.write(tmp_path / "a.mcap", content)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT


def test_several_channels_of_a_topic_are_one(mcaps, tmp_path):
    content = mcaps.twists()
    content.channels[7] = (1, "/a", "cdr")
    content.messages = [
        (7 if channel == 1 and k % 3 else channel, time, data)
        for k, (channel, time, data) in enumerate(content.messages)
    ]
    mcaps.write(tmp_path / "a.mcap", content)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT


def test_a_channel_of_another_encoding_takes_nothing_from_its_topic(mcaps, tmp_path):
    content = with_channel(mcaps, ("x", "jsonschema", "{}"), "json", topic="/a")
    mcaps.write(tmp_path / "a.mcap", content)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT
    with Bag(tmp_path / "a.mcap") as bag:
        assert bag.topics["/a"].left_out.startswith("1 messages: its messages are encoded as")


def test_a_topic_of_several_types_says_which(mcaps, tmp_path):
    content = with_channel(mcaps, ("std_msgs/msg/Empty", "ros2msg", ""), "cdr", topic="/a")
    mcaps.write(tmp_path / "a.mcap", content)
    with Bag(tmp_path / "a.mcap") as bag:
        assert bag.topics["/a"].type == "several: geometry_msgs/msg/Twist, std_msgs/msg/Empty"


def test_attachments_metadata_and_private_records_are_passed_over(mcaps, tmp_path):
    extra = mcaps.record(9, b"an attachment") + mcaps.record(12, mcaps.text("a") + mcaps.text(""))
    extra += mcaps.record(0x80, b"private")
    for chunk in (10, None):
        mcaps.write(tmp_path / "a.mcap", mcaps.twists(), extra=extra, chunk=chunk)
        assert values(mcaps, tmp_path / "a.mcap") == CONTENT


@pytest.mark.parametrize("chunk", [10, None])
def test_statistics_that_count_less_are_only_advice(mcaps, tmp_path, chunk):
    for counted in ({1: 0, 2: 0}, {1: 3, 2: 40}, {}):
        mcaps.write(tmp_path / "a.mcap", mcaps.twists(), counted=counted, chunk=chunk)
        assert values(mcaps, tmp_path / "a.mcap") == CONTENT


@pytest.mark.parametrize("chunk", [10, None])
def test_statistics_that_count_more_are_not_passed_over(mcaps, tmp_path, chunk):
    mcaps.write(tmp_path / "a.mcap", mcaps.twists(), counted={1: 45, 2: 40}, chunk=chunk)
    with Bag(tmp_path / "a.mcap") as bag:
        assert accounts(bag)["/a"].missing == 5
        (reason,) = unexplained(bag, ["/a"])
        assert reason.startswith("5 messages of /a are missing: statistics counts 45")
        assert unexplained(bag, ["/b"]) == []


def test_a_message_of_no_channel_is_not_passed_over(mcaps, tmp_path):
    content = mcaps.twists()
    content.messages.append((33, 2000 * mcaps.NS, b"?"))
    mcaps.write(tmp_path / "a.mcap", content, statistics=False)
    with Bag(tmp_path / "a.mcap") as bag:
        assert unexplained(bag, ["/a"]) == ["1 messages are of channel 33, which has no definition"]


@pytest.mark.parametrize("chunk", [10, None])
def test_channels_that_only_the_summary_defines_are_known(mcaps, tmp_path, chunk):
    mcaps.write(tmp_path / "a.mcap", mcaps.twists(), chunk=chunk, defined=False)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT


def test_a_damaged_payload_of_a_file_without_chunks_is_found_by_the_checksum_of_all(
    mcaps, tmp_path
):
    layout = mcaps.write(tmp_path / "a.mcap", mcaps.twists(), chunk=None, data_checksum=True)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT
    data = bytearray((tmp_path / "a.mcap").read_bytes())
    data[layout.data_end - 3] ^= 1
    (tmp_path / "a.mcap").write_bytes(data)
    with Bag(tmp_path / "a.mcap") as bag:
        assert "checksum of its data is wrong" in unexplained(bag, ["/a"])[0]


def test_a_damaged_summary_is_told_and_not_used(mcaps, tmp_path):
    layout = mcaps.write(tmp_path / "a.mcap", mcaps.twists())
    data = bytearray((tmp_path / "a.mcap").read_bytes())
    data[layout.data_end + 13] = 0
    (tmp_path / "a.mcap").write_bytes(data)
    assert values(mcaps, tmp_path / "a.mcap") == CONTENT
    with Bag(tmp_path / "a.mcap") as bag:
        assert "its summary is not used" in bag.remarks[0]


@pytest.mark.parametrize(
    "data",
    [b"", bytes(100), b"{}", json.dumps({"a": 1}).encode(), b"\x89MCAP0\r", b"\x89MCAP1\r\n"],
)
def test_what_is_no_recording_is_refused_in_words(tmp_path, data):
    (tmp_path / "a.mcap").write_bytes(data)
    with pytest.raises(BagError, match=r"cannot be read: it (is|begins)"):
        Bag(tmp_path / "a.mcap")
