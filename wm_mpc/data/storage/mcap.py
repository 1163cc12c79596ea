"""Read MCAP files record by record: finished or not, with or without indexes, in any order.

The summary at the end of a file (channels, statistics, index of the chunks) is compared with the
data, and helps only where the data are damaged. A chunk with a wrong checksum, size or record is
left out completely.
"""

from __future__ import annotations

import dataclasses
import os
import re
import struct
import zlib
from collections import Counter, OrderedDict
from pathlib import Path

from wm_mpc.data.storage import mcap_records as records
from wm_mpc.data.storage.mcap_records import HEAD, MAGIC, MESSAGE_HEAD, Chunk
from wm_mpc.data.storage.mcap_summary import Summary, read_summary
from wm_mpc.data.storage.stored import Channel, StorageError, StoredFile, UnreadableError

_OFFSET_BITS = 40  # of a place; the bits above are the number of the chunk, 0: none
_BLOCK = 1 << 22  # bytes read at a time
_CHUNK_BEGIN = re.compile(rb"\x06(?=.{5}\0\0\0)", re.DOTALL)
_LONGEST = 1 << 32  # bytes of a record; a larger size is nonsense
_KEPT = 1 << 28  # bytes of unpacked chunks that are kept
_FORMATS = {"ros2msg", "ros2idl", "omgidl", "ros1msg"}


@dataclasses.dataclass
class _BadChunk:
    """A chunk that cannot be read; `indexed` counts its messages by channel, from the index
    after it."""

    start: int
    reason: str
    indexed: Counter[int] = dataclasses.field(default_factory=Counter)


class McapFile(StoredFile):
    """An MCAP file; see `StoredFile`.

    Raises:
        StorageError: The file is not an MCAP file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = path.open("rb")
            if self._file.read(len(MAGIC)) != MAGIC:
                raise StorageError("it does not begin like an MCAP file")
            self._size = os.fstat(self._file.fileno()).st_size
            self._open()
        except OSError as error:
            raise StorageError(str(error)) from None

    def _open(self) -> None:
        self._schemas: dict[int, records.Schema] = {}
        self._records: dict[int, records.ChannelRecord] = {}
        self._chunks: list[Chunk] = []
        self._bad: list[_BadChunk] = []
        self._holes: list[str] = []  # descriptions of damage
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()
        try:
            self._summary = read_summary(self._file, self._size)
        except UnreadableError as error:
            self.remarks.append(f"its summary is not used: {error}")
            self._summary = Summary(self._size - records.FOOTER_SIZE)
        self.unfinished = not self._summary.is_finished
        self._scan(self._summary.start)
        self._settle()

    # --------------------------------------------------------------------------------------- scan

    def _scan(self, end: int) -> None:
        """Read every record up to `end`."""
        at, before = len(MAGIC), None
        while at < end:
            head = self._read(at, HEAD.size)
            operation, length = HEAD.unpack(head) if len(head) == HEAD.size else (0xFF, end)
            after = at + HEAD.size + length
            if not records.is_operation(operation) or after > end:
                is_cut = len(head) < HEAD.size or (
                    0 < operation <= records.DATA_END and length < _LONGEST
                )
                at = self._pass_over(at, end, None if is_cut else before)
                before = None
                continue
            try:
                before = self._take(operation, at + HEAD.size, length)
            except UnreadableError as error:
                self._holes.append(f"the record at byte {at} is left out: {error}")
                before = None
            if operation == records.DATA_END:
                break
            at = after

    def _take(self, operation: int, at: int, length: int) -> int | None:
        """Read the record whose content begins at `at`; returns the channel of a message."""
        if operation == records.MESSAGE:
            data = self._read(at, min(length, MESSAGE_HEAD.size))
            if len(data) < MESSAGE_HEAD.size:
                raise UnreadableError("a message is shorter than its head")
            channel, _, time, _ = MESSAGE_HEAD.unpack(data)
            return int(channel) if self._keep(channel, time, at) else None
        if operation == records.CHUNK:
            return self._take_chunk(at, length)
        if operation == records.MESSAGE_INDEX:
            channel, count = records.indexed_of(self._read(at, 6), length)
            is_of_bad = self._bad and self._bad[-1].start > self._last_good
            (self._bad[-1].indexed if is_of_bad else self.claims["message index"])[channel] += count
        elif operation in (records.SCHEMA, records.CHANNEL):
            self._define(operation, self._read(at, length))
        elif operation == records.DATA_END and length >= 4:
            (checksum,) = struct.unpack("<I", self._read(at, 4))
            self._check_data(checksum, at - HEAD.size)
        return None

    _last_good = 0  # start of the last readable chunk

    def _take_chunk(self, at: int, length: int) -> int | None:
        """Read a chunk. Without a checksum, returns the channel of its last message, because the
        chunk may have been torn inside that message if nonsense follows."""
        try:
            chunk = Chunk.of(self._read(at, min(length, 64)), at, length)
            data = chunk.unpack(self._read(chunk.start, chunk.packed))
            spans = list(records.inside(data))
        except UnreadableError as error:
            self._bad.append(_BadChunk(at, str(error)))
            return None
        self._chunks.append(chunk)
        self._last_good = at
        number = len(self._chunks) << _OFFSET_BITS
        newest = None
        for operation, first, last in spans:
            newest = None
            if operation == records.MESSAGE:
                channel, _, time, _ = MESSAGE_HEAD.unpack_from(data, first)
                newest = int(channel) if self._keep(channel, time, number + first) else None
            elif operation in (records.SCHEMA, records.CHANNEL):
                self._define(operation, data[first:last])
        return None if chunk.checksum else newest

    def _take_back(self, channel: int) -> None:
        """Count the newest message of a channel as unreadable."""
        self.times[channel].pop()
        self.places[channel].pop()
        self.unreadable[channel] += 1

    def _define(self, operation: int, data: bytes) -> None:
        if operation == records.SCHEMA:
            number, schema = records.schema_of(data)
            self._schemas.setdefault(number, schema)
        else:
            number, channel = records.channel_of(data)
            self._records.setdefault(number, channel)

    def _pass_over(self, at: int, end: int, before: int | None) -> int:
        """Start of the next record after nonsense at `at`; `before` is the channel of the
        message just before it, whose end is probably lost as well."""
        if before is not None:
            self._take_back(before)
        listed = [start for start in self._summary.chunks if start > at]
        found = min(listed) if listed else self._find_chunk(at + 1, end)
        if found is None:
            lost = f"its last {end - at} bytes, from byte {at} on, are cut or make no sense"
            (self.remarks if self.unfinished else self._holes).append(lost)
            return end
        self._holes.append(f"bytes {at} to {found} make no sense")
        return found

    def _find_chunk(self, begin: int, end: int) -> int | None:
        """First position from `begin` on that must be a chunk, or None."""
        for block in range(begin, end, _BLOCK):
            data = self._read(block, min(_BLOCK + 128, end - block))
            for match in _CHUNK_BEGIN.finditer(data):
                at = match.start()
                if at + HEAD.size + records.CHUNK_HEAD.size > len(data):
                    break
                length = HEAD.unpack_from(data, at)[1]
                if block + at + HEAD.size + length > end:
                    continue
                try:
                    Chunk.of(data[at + HEAD.size : at + HEAD.size + 64], 0, length)
                except UnreadableError:
                    continue
                return block + at
        return None

    def _check_data(self, checksum: int, end: int) -> None:
        """Check the checksum of all data; writers disagree on where the data begin."""
        if not checksum:
            return
        header = HEAD.unpack_from(self._read(len(MAGIC), HEAD.size))[1] + len(MAGIC) + HEAD.size
        if checksum in (self._checksum(begin, end) for begin in (0, len(MAGIC), header)):
            return
        if not self._bad and not self._holes:
            self.unaccounted.append("the checksum of its data is wrong at an unknown place")

    def _checksum(self, begin: int, end: int) -> int:
        value = 0
        for at in range(begin, end, _BLOCK):
            value = zlib.crc32(self._read(at, min(_BLOCK, end - at)), value)
        return value

    # ------------------------------------------------------------------------------------ results

    def _settle(self) -> None:
        """Assign channels, and count the messages in damaged chunks."""
        schemas = {**self._summary.schemas, **self._schemas}
        named = {**self._summary.channels, **self._records}
        self.channels = {n: _channel(record, schemas) for n, record in named.items()}
        if self._summary.statistics:
            self.claims["statistics"] = self._summary.statistics
        for number in [n for n in self.times if n not in self.channels]:
            count = len(self.times.pop(number))
            self.places.pop(number)
            if count:
                self.unaccounted.append(
                    f"{count} messages are of channel {number}, which has no definition"
                )
        unknown = bool(self._holes)
        for bad in self._bad:
            self.unreadable.update(bad.indexed)
            lost = f"{sum(bad.indexed.values())} messages" if bad.indexed else "messages"
            self.remarks.append(f"{lost} from byte {bad.start} on cannot be read: {bad.reason}")
            is_tail = self.unfinished and bad.start > self._last_good
            unknown = unknown or not (bad.indexed or is_tail)
        if unknown and self._summary.statistics:
            self.remarks += self._holes
            for number, count in self._summary.statistics.items():
                missing = count - len(self.times.get(number, ())) - self.unreadable[number]
                self.unreadable[number] += max(0, missing)
        elif unknown:
            self.unknown += self._holes or ["the number of messages in these parts is unknown"]
        self._check_total()

    def _check_total(self) -> None:
        found = self.count + sum(self.unreadable.values())
        if not self._summary.statistics and self._summary.total > found:
            self.unaccounted.append(
                f"its statistics count {self._summary.total} messages, but it has {found}"
            )
        for number, count in self._summary.statistics.items():
            if count and number not in self.channels:
                self.unaccounted.append(
                    f"its statistics count {count} messages of channel {number}, which has no "
                    "definition"
                )
        indexed = self.claims.get("message index", Counter())
        lacking = self.count - sum(indexed.values())
        if self._chunks and not self.unfinished and lacking > 0:
            self.remarks.append(f"its message index lacks {lacking} messages, which are read")

    # ------------------------------------------------------------------------------------ reading

    def fetch(self, place: int) -> bytes:
        """Return the serialized message at a place; see `StoredFile`.

        Args:
            place: An entry of `places`.

        Raises:
            UnreadableError: The message cannot be read.
        """
        number, at = place >> _OFFSET_BITS, place & ((1 << _OFFSET_BITS) - 1)
        if number == 0:
            head = self._read(at - HEAD.size, HEAD.size)
            data = self._read(at, HEAD.unpack(head)[1])
            return data[MESSAGE_HEAD.size :]
        data = self._unpack(number - 1)
        (_, length) = HEAD.unpack_from(data, at - HEAD.size)
        return data[at + MESSAGE_HEAD.size : at + length]

    def _unpack(self, number: int) -> bytes:
        """Records in a chunk; recently used chunks are kept, because streams may be far apart."""
        if number in self._unpacked:
            self._unpacked.move_to_end(number)
            return self._unpacked[number]
        chunk = self._chunks[number]
        data = chunk.unpack(self._read(chunk.start, chunk.packed))
        self._unpacked[number] = data
        while len(self._unpacked) > 1 and sum(map(len, self._unpacked.values())) > _KEPT:
            self._unpacked.popitem(last=False)
        return data

    def _read(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        return self._file.read(count)

    def close(self) -> None:
        """Close the file."""
        self._unpacked.clear()
        self._file.close()


def _channel(record: records.ChannelRecord, schemas: dict[int, records.Schema]) -> Channel:
    schema = schemas.get(record.schema, records.Schema("", "", ""))
    name = schema.name
    parts = name.split("/")
    if schema.encoding in _FORMATS and len(parts) == 2:
        name = f"{parts[0]}/msg/{parts[1]}"
    return Channel(record.topic, name, record.encoding, schema.encoding, schema.text, record.digest)
