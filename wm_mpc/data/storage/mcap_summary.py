"""The summary at the end of a finished MCAP file."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections import Counter
from typing import IO

from wm_mpc.data.storage import mcap_records as records
from wm_mpc.data.storage.mcap_records import HEAD, MAGIC
from wm_mpc.data.storage.stored import UnreadableError


@dataclasses.dataclass
class Summary:
    """The summary of a file.

    Attributes:
        start: Position at which it begins and the data end, bytes.
        is_finished: Whether the file was finished.
        schemas: Schemas by number.
        channels: Channels by number.
        chunks: Positions of the chunks, bytes.
        total: Number of all messages.
        statistics: Number of messages by channel.
    """

    start: int
    is_finished: bool = True
    schemas: dict[int, records.Schema] = dataclasses.field(default_factory=dict)
    channels: dict[int, records.ChannelRecord] = dataclasses.field(default_factory=dict)
    chunks: list[int] = dataclasses.field(default_factory=list)
    total: int = 0
    statistics: Counter[int] = dataclasses.field(default_factory=Counter)


def read_summary(file: IO[bytes], size: int) -> Summary:
    """Read the summary of a file.

    Args:
        file: The open file.
        size: Its size, bytes.

    Raises:
        UnreadableError: The summary is damaged.
    """
    footer = _footer(file, size)
    if footer is None:
        return Summary(size, is_finished=False)
    start, _, checksum = struct.unpack_from("<QQI", _read(file, footer + HEAD.size, 20))
    if not start:
        return Summary(footer)
    if not len(MAGIC) <= start <= footer:
        raise UnreadableError(f"its start, byte {start}, is outside the file")
    data = _read(file, start, footer - start)
    if checksum and zlib.crc32(data + _read(file, footer, HEAD.size + 16)) != checksum:
        raise UnreadableError("its checksum is wrong")
    summary = Summary(start)
    for operation, first, last in records.inside(data):
        _add(summary, operation, data[first:last])
    return summary


def _footer(file: IO[bytes], size: int) -> int | None:
    """Position of the footer; None if the file was never finished."""
    begin = size - records.FOOTER_SIZE
    if begin < len(MAGIC):
        return None
    tail = _read(file, begin, records.FOOTER_SIZE)
    is_whole = tail.endswith(MAGIC) and HEAD.unpack_from(tail) == (records.FOOTER, 20)
    return begin if is_whole else None


def _read(file: IO[bytes], at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _add(summary: Summary, operation: int, data: bytes) -> None:
    if operation == records.SCHEMA:
        number, schema = records.schema_of(data)
        summary.schemas[number] = schema
    elif operation == records.CHANNEL:
        number, channel = records.channel_of(data)
        summary.channels[number] = channel
    elif operation == records.CHUNK_INDEX:
        summary.chunks.append(records.chunk_start_of(data))
    elif operation == records.STATISTICS:
        summary.total, summary.statistics = records.statistics_of(data)
