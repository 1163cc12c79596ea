"""Records of MCAP files: their layout, and chunks decompressed and checked.

Format: https://mcap.dev/spec. This module does not access files.
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
    """Return whether a record may begin with this number: those of the format, and those for
    private use.

    Args:
        number: The number.
    """
    return 0x01 <= number <= 0x0F or number >= 0x80


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A chunk of compressed messages in a file.

    Attributes:
        start: Position of the compressed messages, bytes.
        packed: Compressed size, bytes.
        size: Decompressed size, bytes.
        checksum: CRC-32 of the decompressed records; 0: none.
        compression: Name of the compression; empty: none.
    """

    start: int
    packed: int  # bytes
    size: int  # bytes, unpacked
    checksum: int  # 0: none
    compression: bytes

    @classmethod
    def of(cls, head: bytes, start: int, length: int) -> Chunk:
        """Read the head of a chunk record.

        Args:
            head: First bytes of the content of the record.
            start: Position of the content, bytes.
            length: Length of the content, bytes.

        Raises:
            UnreadableError: It is not the head of a chunk.
        """
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
        """Decompress the records.

        Args:
            data: The compressed bytes.

        Raises:
            UnreadableError: The size or the checksum is wrong.
        """
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
    """Find the records in a decompressed chunk.

    Args:
        data: The chunk.

    Yields:
        Operation, start and end of the content of each record.

    Raises:
        UnreadableError: The records make no sense.
    """
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
    """A text with its length before it, and its end. Invalid bytes are replaced, because the
    topic may not matter."""
    (length,) = struct.unpack_from("<I", data, at)
    if at + 4 + length > len(data):
        raise UnreadableError("a text is longer than its record")
    return data[at + 4 : at + 4 + length].decode(errors="replace"), at + 4 + length


@dataclasses.dataclass(frozen=True)
class Schema:
    """A schema record.

    Attributes:
        name: Name of the type.
        encoding: Encoding of the definition.
        text: The definition.
    """

    name: str
    encoding: str
    text: str


@dataclasses.dataclass(frozen=True)
class ChannelRecord:
    """A channel record.

    Attributes:
        schema: Number of the schema; 0: none.
        topic: Name of the topic.
        encoding: Encoding of the messages.
        digest: Hash of the definition, or "".
    """

    schema: int
    topic: str
    encoding: str
    digest: str


def schema_of(data: bytes) -> tuple[int, Schema]:
    """Read a schema record.

    Args:
        data: Its content.

    Returns:
        Number and schema.

    Raises:
        UnreadableError: The content makes no sense.
    """
    try:
        (number,) = struct.unpack_from("<H", data)
        name, at = _text(data, 2)
        encoding, at = _text(data, at)
        return number, Schema(name, encoding, _text(data, at)[0])
    except struct.error:
        raise UnreadableError("a schema makes no sense") from None


def channel_of(data: bytes) -> tuple[int, ChannelRecord]:
    """Read a channel record.

    Args:
        data: Its content.

    Returns:
        Number and channel.

    Raises:
        UnreadableError: The content makes no sense.
    """
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
    """Read a message index.

    Args:
        head: First bytes of its content.
        length: Length of its content, bytes.

    Returns:
        Channel and number of messages.

    Raises:
        UnreadableError: The content makes no sense.
    """
    try:
        channel, size = struct.unpack_from("<HI", head)
    except struct.error:
        raise UnreadableError("a message index makes no sense") from None
    if size != length - 6 or size % 16:
        raise UnreadableError("a message index makes no sense")
    return channel, size // 16


def chunk_start_of(data: bytes) -> int:
    """Return the position of the chunk of a chunk index.

    Args:
        data: Content of the index.

    Raises:
        UnreadableError: The content makes no sense.
    """
    try:
        return int(struct.unpack_from("<QQQ", data)[2])
    except struct.error:
        raise UnreadableError("a chunk index makes no sense") from None


def statistics_of(data: bytes) -> tuple[int, Counter[int]]:
    """Read a statistics record.

    Args:
        data: Its content.

    Returns:
        Number of messages in all, and by channel (may be empty).

    Raises:
        UnreadableError: The content makes no sense.
    """
    try:
        (total,) = struct.unpack_from("<Q", data)
        (length,) = struct.unpack_from("<I", data, 42)
        pairs = struct.iter_unpack("<HQ", data[46 : 46 + length // 10 * 10])
        return total, Counter(dict(pairs))
    except struct.error:
        raise UnreadableError("the statistics make no sense") from None
