"""Read ROS 1 files (`.bag`, version 2.0) record by record: indexed or not, closed or not.

Format: https://wiki.ros.org/Bags/Format/2.0. The counts in the index at the end are compared with
the messages.
"""

from __future__ import annotations

import bz2
import os
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]  # comes with rosbags

from wm_mpc.data.storage.stored import Channel, StorageError, StoredFile, UnreadableError

MAGIC = b"#ROSBAG V2.0\n"
_MESSAGE, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = 0x02, 0x04, 0x05, 0x06, 0x07
_OFFSET_BITS = 40  # of a place; the bits above are the number of the chunk, 0: none
_KEPT = 8  # unpacked chunks
_MOST = 1 << 30  # bytes; a larger size means damage
_Fields = dict[bytes, bytes]


class Ros1File(StoredFile):
    """A ROS 1 bag; see `StoredFile`.

    Raises:
        StorageError: The file is not a bag of version 2.0.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = path.open("rb")
            if self._file.read(len(MAGIC)) != MAGIC:
                raise StorageError("it does not begin like a ROS 1 bag of version 2.0")
            self._size = os.fstat(self._file.fileno()).st_size
            self._chunks: list[tuple[int, int, bytes, int]] = []
            self._unpacked: OrderedDict[int, bytes] = OrderedDict()
            self._has_index = False
            self._scan()
        except OSError as error:
            raise StorageError(str(error)) from None

    def _scan(self) -> None:
        at, bad, indexed = len(MAGIC), False, Counter[int]()
        while at < self._size:
            try:
                fields, data, length, after = self._record(at)
                operation = _number(fields, b"op")
                if operation == _CHUNK:
                    bad = False
                    self._take_chunk(fields, data, length)
                elif operation == _INDEX:
                    target = self.unreadable if bad else self.claims["message index"]
                    target[_number(fields, b"conn")] += _number(fields, b"count")
                elif operation == _CHUNK_INFO:
                    pairs = struct.iter_unpack("<II", self._read(data, length // 8 * 8))
                    indexed.update(dict(pairs))
                elif operation == 0x03:
                    self._has_index = _number(fields, b"index_pos") > 0
                else:
                    self._take(operation, fields, self._read(data, length), data, 0)
            except _CutError as error:
                lost = f"its last {self._size - at} bytes, from byte {at} on, are cut: {error}"
                (self.unknown if self._has_index else self.remarks).append(lost)
                break
            except UnreadableError as error:
                bad = True
                self.remarks.append(f"the record at byte {at} cannot be read: {error}")
            at = after
        self.unfinished = not self._has_index
        if indexed:
            self.claims["chunk infos"] = indexed
        for number in [n for n in self.times if n not in self.channels]:
            count = len(self.times.pop(number))
            self.unaccounted.append(
                f"{count} messages are of connection {number}, which has no definition"
            )

    def _take_chunk(self, fields: _Fields, data: int, length: int) -> None:
        self._chunks.append((data, length, fields.get(b"compression", b"none"),
                             _number(fields, b"size")))  # fmt: skip
        number = len(self._chunks)
        raw = self._unpack(number - 1)
        for inner, begin, end in list(_inside(raw)):
            self._take(_number(inner, b"op"), inner, raw[begin:end], begin, number)

    def _take(self, operation: int, fields: _Fields, data: bytes, at: int, chunk: int) -> None:
        """Read a message or a connection whose data begin at `at`."""
        if operation == _MESSAGE:
            if len(time := fields.get(b"time", b"")) != 8:
                raise UnreadableError("a message has no time")
            seconds, nanoseconds = struct.unpack("<II", time)
            place = (chunk << _OFFSET_BITS) + at - 4  # with the length of its data
            self._keep(_number(fields, b"conn"), seconds * 10**9 + nanoseconds, place)
        elif operation == _CONNECTION:
            inner = _fields(data)
            topic = fields.get(b"topic", b"").decode(errors="replace")
            name = inner.get(b"type", b"").decode(errors="replace")
            text = inner.get(b"message_definition", b"").decode(errors="replace")
            slash = "/" if topic.startswith("/") else ""
            topic = slash + "/".join(part for part in topic.split("/") if part)
            self.channels.setdefault(
                _number(fields, b"conn"),
                Channel(topic, _long_name(name), "ros1", "ros1msg", text),
            )

    def _record(self, at: int) -> tuple[_Fields, int, int, int]:
        """Fields, start and length of the data, and end of the record at `at`."""
        (size,) = struct.unpack("<I", self._exactly(at, 4))
        if not size:
            raise _CutError("zeros follow")
        fields = _fields(self._exactly(at + 4, size))
        (length,) = struct.unpack("<I", self._exactly(at + 4 + size, 4))
        begin = at + 8 + size
        if begin + length > self._size:
            raise _CutError("a record ends in the middle")
        return fields, begin, length, begin + length

    def _exactly(self, at: int, count: int) -> bytes:
        if count > _MOST or at + count > self._size:
            raise _CutError("a record ends in the middle, or makes no sense")
        return self._read(at, count)

    def _read(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        return self._file.read(count)

    def _unpack(self, number: int) -> bytes:
        if number not in self._unpacked:
            begin, length, compression, size = self._chunks[number]
            self._unpacked[number] = _unpacked(self._read(begin, length), compression, size)
            if len(self._unpacked) > _KEPT:
                self._unpacked.popitem(last=False)
        self._unpacked.move_to_end(number)
        return self._unpacked[number]

    def fetch(self, place: int) -> bytes:
        """Return the serialized message at a place; see `StoredFile`.

        Args:
            place: An entry of `places`.

        Raises:
            UnreadableError: The message cannot be read.
        """
        number, at = place >> _OFFSET_BITS, place & ((1 << _OFFSET_BITS) - 1)
        if number == 0:
            (length,) = struct.unpack("<I", self._read(at, 4))
            return self._read(at + 4, length)
        data = self._unpack(number - 1)
        (length,) = struct.unpack_from("<I", data, at)
        return data[at + 4 : at + 4 + length]

    def close(self) -> None:
        """Close the file."""
        self._unpacked.clear()
        self._file.close()


class _CutError(Exception):
    """The file ends within a record, or continues with something else."""


def _fields(data: bytes) -> _Fields:
    fields, at = {}, 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, at)
        name, separator, value = data[at + 4 : at + 4 + size].partition(b"=")
        if not separator or at + 4 + size > len(data):
            raise _CutError("the fields of a record make no sense")
        fields[name], at = value, at + 4 + size
    return fields


def _long_name(name: str) -> str:
    """The ROS 2 name of a type: "geometry_msgs/msg/Twist" for "geometry_msgs/Twist"."""
    package, _, rest = name.rpartition("/")
    return f"{package}/msg/{rest}" if package and not package.endswith("/msg") else name


def _number(fields: _Fields, name: bytes) -> int:
    if name not in fields:
        raise UnreadableError(f"a record has no field {name.decode()}")
    return int.from_bytes(fields[name], "little")


def _unpacked(data: bytes, compression: bytes, size: int) -> bytes:
    try:
        if compression == b"bz2":
            data = bz2.decompress(data)
        elif compression == b"lz4":
            data = bytes(lz4.frame.decompress(data))
        elif compression != b"none":
            raise UnreadableError(f"a chunk is compressed with {compression!r}; accepted: bz2, lz4")
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UnreadableError(f"a chunk cannot be unpacked: {error}") from None
    if len(data) != size:
        raise UnreadableError(f"a chunk has {len(data)} bytes unpacked, not {size}")
    return data


def _inside(data: bytes) -> Iterator[tuple[_Fields, int, int]]:
    """Fields, start and end of the data of each record in a chunk."""
    at = 0
    try:
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at)
            fields = _fields(data[at + 4 : at + 4 + size])
            (length,) = struct.unpack_from("<I", data, at + 4 + size)
            begin = at + 8 + size
            at = begin + length
            if at > len(data):
                raise UnreadableError("the records in a chunk make no sense")
            yield fields, begin, at
    except (struct.error, _CutError):
        raise UnreadableError("the records in a chunk make no sense") from None
