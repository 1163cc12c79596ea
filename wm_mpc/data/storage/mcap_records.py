"""Records of MCAP files: their layout, and chunks unpacked and checked.

Format: https://mcap.dev/spec. Nothing here touches a file.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterator

import lz4.frame  # type: ignore[import-untyped]  # comes with rosbags, as zstd does

from wm_mpc.data.storage.stored import UnreadableError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
MESSAGE_INDEX, CHUNK_INDEX, STATISTICS, DATA_END = 0x07, 0x08, 0x0B, 0x0F
HEAD = struct.Struct("<BQ")  # operation, length
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, times of arrival and publication
FOOTER_SIZE = HEAD.size + 20 + len(MAGIC)
CHUNK_HEAD = struct.Struct("<QQQII")  # times of first and last, size, checksum, length of name
_COMPRESSIONS = (b"", b"lz4", b"zstd")


def is_operation(number: int) -> bool:
    """Whether a record may begin so: those of the format, and those for private use."""
    return 0x01 <= number <= 0x0F or number >= 0x80


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Where the packed messages of a chunk lie in the file, and what they are unpacked."""

    start: int
    packed: int  # bytes
    size: int  # bytes, unpacked
    checksum: int  # 0: none
    compression: bytes

    @classmethod
    def of(cls, head: bytes, start: int, length: int) -> Chunk:
        """head: the first bytes of the content of a chunk record that begins at `start` (its
        content, not its head) and has this length. Raises UnreadableError when it is none."""
        if len(head) < CHUNK_HEAD.size:
            raise UnreadableError("the chunk is shorter than its head")
        first, last, size, checksum, name = CHUNK_HEAD.unpack_from(head)
        compression = head[CHUNK_HEAD.size : CHUNK_HEAD.size + name]
        before = CHUNK_HEAD.size + name + 8
        if name > 16 or len(head) < before:
            raise UnreadableError("the head of the chunk makes no sense")
        (packed,) = struct.unpack_from("<Q", head, before - 8)
        if packed != length - before or (last < first and size):
            raise UnreadableError("the head of the chunk makes no sense")
        if compression not in _COMPRESSIONS:
            raise UnreadableError(
                f"the chunk is compressed with {compression!r}; accepted: lz4, zstd, or not"
            )
        return cls(start + before, packed, size, checksum, compression)

    def unpack(self, data: bytes) -> bytes:
        """The records in it. Raises UnreadableError when the size or the checksum is wrong."""
        try:
            if self.compression == b"lz4":
                data = bytes(lz4.frame.decompress(data))
            elif self.compression == b"zstd":
                data = bytes(zstd.decompress(data))
        except (RuntimeError, EOFError, zstd.ZstdError) as error:
            raise UnreadableError(f"the chunk cannot be unpacked: {error}") from None
        if len(data) != self.size:
            raise UnreadableError(f"the chunk has {len(data)} bytes unpacked, not {self.size}")
        if self.checksum and zlib.crc32(data) != self.checksum:
            raise UnreadableError("the checksum of the chunk is wrong")
        return data


def inside(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Operation, begin and end of the content of each record in an unpacked chunk. Raises
    UnreadableError where they make no sense."""
    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            raise UnreadableError("the records in the chunk make no sense")
        operation, length = HEAD.unpack_from(data, at)
        begin, at = at + HEAD.size, at + HEAD.size + length
        if at > len(data) or not is_operation(operation):
            raise UnreadableError("the records in the chunk make no sense")
        if operation == MESSAGE and length < MESSAGE_HEAD.size:
            raise UnreadableError("a message in the chunk is shorter than its head")
        yield operation, begin, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it, and where it ends. What is no text is replaced: it is
    of a topic that nobody may want."""
    (length,) = struct.unpack_from("<I", data, at)
    if at + 4 + length > len(data):
        raise UnreadableError("a text is longer than its record")
    return data[at + 4 : at + 4 + length].decode(errors="replace"), at + 4 + length


@dataclasses.dataclass(frozen=True)
class Schema:
    """name: of the type; encoding: of the text that defines it."""

    name: str
    encoding: str
    text: str


@dataclasses.dataclass(frozen=True)
class ChannelRecord:
    """schema: its number, 0: none."""

    schema: int
    topic: str
    encoding: str
    digest: str


def schema_of(data: bytes) -> tuple[int, Schema]:
    """Raises UnreadableError."""
    try:
        (number,) = struct.unpack_from("<H", data)
        name, at = _text(data, 2)
        encoding, at = _text(data, at)
        return number, Schema(name, encoding, _text(data, at)[0])
    except struct.error:
        raise UnreadableError("a schema makes no sense") from None


def channel_of(data: bytes) -> tuple[int, ChannelRecord]:
    """Raises UnreadableError."""
    try:
        number, schema = struct.unpack_from("<HH", data)
        topic, at = _text(data, 4)
        encoding, at = _text(data, at)
        (length,) = struct.unpack_from("<I", data, at)
        at, end, digest = at + 4, min(at + 4 + length, len(data)), ""
        while at < end:
            key, at = _text(data, at)
            value, at = _text(data, at)
            digest = value if key == "topic_type_hash" else digest
        return number, ChannelRecord(schema, topic, encoding, digest)
    except struct.error:
        raise UnreadableError("a channel makes no sense") from None


def indexed_of(head: bytes, length: int) -> tuple[int, int]:
    """Channel and number of messages of a message index of this length. head: its first bytes.
    Raises UnreadableError."""
    try:
        channel, size = struct.unpack_from("<HI", head)
    except struct.error:
        raise UnreadableError("a message index makes no sense") from None
    if size != length - 6 or size % 16:
        raise UnreadableError("a message index makes no sense")
    return channel, size // 16


def chunk_start_of(data: bytes) -> int:
    """Where the chunk of a chunk index begins. Raises UnreadableError."""
    try:
        return int(struct.unpack_from("<QQQ", data)[2])
    except struct.error:
        raise UnreadableError("a chunk index makes no sense") from None


def statistics_of(data: bytes) -> tuple[int, Counter[int]]:
    """Messages in all, and by channel (which may be left out). Raises UnreadableError."""
    try:
        (total,) = struct.unpack_from("<Q", data)
        (length,) = struct.unpack_from("<I", data, 42)
        pairs = struct.iter_unpack("<HQ", data[46 : 46 + length // 10 * 10])
        return total, Counter(dict(pairs))
    except struct.error:
        raise UnreadableError("the statistics make no sense") from None
