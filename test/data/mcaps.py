"""MCAP files as recorders and tools write them, record by record: with every part left out at will.

Format: https://mcap.dev/spec.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
import zlib
from collections import Counter
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import numpy as np
from rosbags.typesys import Stores, get_typestore

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x89MCAP0\r\n"
STORE = get_typestore(Stores.ROS2_JAZZY)
TWIST = "geometry_msgs/msg/Twist"
NS = 10**9
PACK = {"": bytes, "lz4": lz4.frame.compress, "zstd": zstd.compress}
Message = tuple[int, int, bytes]  # channel, time of arrival (ns), data


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(data)) + data


def record(operation: int, data: bytes) -> bytes:
    return struct.pack("<BQ", operation, len(data)) + data


def twist(value: float) -> bytes:
    """A Twist, whose first number is `value`."""
    vector = STORE.types["geometry_msgs/msg/Vector3"]
    message = STORE.types[TWIST](vector(float(value), 0.0, 0.0), vector(0.0, 0.0, 0.0))
    return bytes(STORE.serialize_cdr(message, TWIST))


def value_of(message) -> int:
    return round(message.linear.x)


def definition(name: str = TWIST) -> str:
    return STORE.generate_msgdef(name, ros_version=2)[0]


@dataclasses.dataclass
class Content:
    """schemas: name, encoding and text; channels: schema, topic and encoding; each by number."""

    schemas: dict[int, tuple[str, str, str | bytes]]
    channels: dict[int, tuple[int, str, str]]
    messages: list[Message]


def twists(count: int = 40, topics: tuple[str, ...] = ("/a", "/b"), first: int = 0) -> Content:
    """Messages number `first` on of these topics, by turns, each with its number as its value."""
    messages = [
        (topic + 1, (1000 + k) * NS + topic, twist(k))
        for k in range(first, first + count)
        for topic in range(len(topics))
    ]
    channels = {n + 1: (1, name, "cdr") for n, name in enumerate(topics)}
    return Content({1: (TWIST, "ros2msg", definition())}, channels, messages)


def message_record(channel: int, time: int, data: bytes) -> bytes:
    return record(5, struct.pack("<HIQQ", channel, 0, time, time) + data)


def definitions(content: Content) -> bytes:
    out = b"".join(
        record(3, struct.pack("<H", n) + text(name) + text(kind) + text(body))
        for n, (name, kind, body) in content.schemas.items()
    )
    return out + b"".join(
        record(4, struct.pack("<HH", n, schema) + text(topic) + text(kind) + text(b""))
        for n, (schema, topic, kind) in content.channels.items()
    )


def chunk_record(
    body: bytes, times: list[int], compression: str = "", checksum: bool = True, packed: bytes = b""
) -> bytes:
    data = packed or PACK[compression](body)
    head = struct.pack("<QQQI", min(times), max(times), len(body), zlib.crc32(body) * checksum)
    return record(6, head + text(compression) + struct.pack("<Q", len(data)) + data)


@dataclasses.dataclass
class Layout:
    """Where things lie. chunks: begin and end of each chunk record; data_end: of the data."""

    chunks: list[tuple[int, int]]
    data_end: int


def write(
    path: Path,
    content: Content,
    *,
    profile: str = "ros2",
    chunk: int | None = 10,
    compression: str = "",
    checksum: bool = True,
    message_index: bool = True,
    unindexed: tuple[int, ...] = (),
    chunk_index: bool = True,
    summary: bool = True,
    statistics: bool = True,
    counted: dict[int, int] | None = None,
    data_checksum: bool = False,
    extra: bytes = b"",
    defined: bool = True,
) -> Layout:
    """Write a finished file. chunk: messages in a chunk, None: without chunks; unindexed: numbers
    of chunks without a message index; counted: what the statistics say instead of the truth; extra:
    records before the messages; defined: whether channels are also defined before the summary."""
    begin_with = definitions(content) if defined else b""
    out = bytearray(MAGIC + record(1, text(profile) + text("test")) + extra)
    chunks, indexes = [], b""
    if chunk is None:
        out += begin_with + b"".join(message_record(*m) for m in content.messages)
    for number, first in enumerate(range(0, len(content.messages), chunk) if chunk else ()):
        body, offsets = bytearray(begin_with if first == 0 else b""), {}
        part = content.messages[first : first + chunk]
        for channel, time, data in part:
            offsets.setdefault(channel, []).append((time, len(body)))
            body += message_record(channel, time, data)
        times = [time for _, time, _ in part]
        begin = len(out)
        out += chunk_record(bytes(body), times, compression, checksum)
        chunks.append((begin, len(out)))
        where = {}
        if message_index and number not in unindexed:
            for channel, entries in offsets.items():
                where[channel] = len(out)
                packed = b"".join(struct.pack("<QQ", *entry) for entry in entries)
                out += record(7, struct.pack("<HI", channel, len(packed)) + packed)
        places = b"".join(struct.pack("<HQ", *item) for item in where.items())
        indexes += record(
            8,
            struct.pack("<QQQQ", min(times), max(times), begin, chunks[-1][1] - begin)
            + struct.pack("<I", len(places)) + places
            + struct.pack("<Q", len(out) - chunks[-1][1]) + text(compression)
            + struct.pack("<QQ", len(body), len(body)),
        )  # fmt: skip
    data_end = len(out)
    out += record(15, struct.pack("<I", zlib.crc32(out) if data_checksum else 0))
    start = len(out) if summary else 0
    if summary:
        out += definitions(content)
        out += _statistics(content, counted, len(chunks)) if statistics else b""
        out += indexes if chunk_index else b""
    out += record(2, struct.pack("<QQI", start, 0, 0)) + MAGIC
    path.write_bytes(out)
    return Layout(chunks, data_end)


def _statistics(content: Content, counted: dict[int, int] | None, chunks: int) -> bytes:
    counts = counted or Counter(channel for channel, _, _ in content.messages)
    pairs = b"".join(struct.pack("<HQ", *item) for item in counts.items())
    times = [time for _, time, _ in content.messages]
    numbers = (sum(counts.values()), len(content.schemas), len(content.channels), 0, 0, chunks)
    head = struct.pack("<QHIIIIQQ", *numbers, min(times), max(times))
    return record(11, head + struct.pack("<I", len(pairs)) + pairs)


def picture(number: int, size: int = 16) -> np.ndarray:
    return np.full((size, size, 3), number, np.uint8)
