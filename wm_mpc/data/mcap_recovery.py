"""MCAP files that end in the middle, as a recorder leaves them that was killed: what is whole.

Chunks of messages are on the disk long before the index at the end, without which no reader opens
the file. The records are read one by one up to the first that is cut, and written anew.
Format: https://mcap.dev/spec.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import lz4.frame  # type: ignore[import-untyped]  # comes with rosbags, as zstd does
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06
_HEADER = struct.Struct("<BQ")  # operation, length
_MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, times of arrival and publication
_DEFINITIONS = ("ros2msg", "ros2idl")


def unfinished(path: Path) -> Path | None:
    """The MCAP file of a recording, when it begins like one but was never finished; else None.

    path: an .mcap file, or a directory that holds just one and no metadata.yaml.
    """
    if path.is_dir():
        files = sorted(path.glob("*.mcap"))
        if len(files) != 1 or (path / "metadata.yaml").exists():
            return None
        path = files[0]
    if path.suffix != ".mcap":
        return None
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return None
        file.seek(max(len(_MAGIC), path.stat().st_size - len(_MAGIC)))
        return None if file.read() == _MAGIC else path


def recover(path: Path, output: Path) -> int:
    """Write what is whole in an unfinished file into the new rosbag2 directory `output`; returns
    the number of messages. Raises OSError and ValueError for what cannot be read or written."""
    try:
        return _recover(path, output)
    except (struct.error, RuntimeError, UnicodeDecodeError, zstd.ZstdError) as error:
        raise ValueError(f"its records make no sense: {error}") from None


def _recover(path: Path, output: Path) -> int:
    schemas: dict[int, tuple[str, str]] = {}
    connections: dict[int, Any] = {}  # by channel
    of_topic: dict[tuple[str, str], Any] = {}  # several publishers have a channel each
    count = 0
    writer = Writer(output, version=9, storage_plugin=StoragePlugin.MCAP)
    with path.open("rb") as file, writer:
        for operation, data in _records(file):
            if operation == _SCHEMA:
                number, name, encoding, text = _schema(data)
                if encoding in _DEFINITIONS:
                    schemas[number] = name, text
            elif operation == _CHANNEL:
                number, schema, topic, encoding = _channel(data)
                if number not in connections and schema in schemas and encoding == "cdr":
                    name, definition = schemas[schema]
                    if (topic, name) not in of_topic:
                        of_topic[topic, name] = writer.add_connection(
                            topic, name, msgdef=definition, rihs01=_type_hash(name, definition)
                        )
                    connections[number] = of_topic[topic, name]
            elif operation == _MESSAGE:
                number, _, received, _ = _MESSAGE_HEAD.unpack_from(data)
                if number in connections:
                    writer.write(connections[number], received, data[_MESSAGE_HEAD.size :])
                    count += 1
    return count


def _type_hash(name: str, definition: str) -> str:
    """What readers compare types by; the file does not tell it."""
    store = get_typestore(Stores.LATEST)
    is_idl = definition.startswith("=" * 80 + "\nIDL: ")
    types = get_types_from_idl(definition) if is_idl else get_types_from_msg(definition, name)
    store.register({key: value for key, value in types.items() if key not in store.types})
    return str(store.hash_rihs01(name))


def _records(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Operation and content of every whole record, those inside chunks in place of the chunks."""
    size = os.fstat(file.fileno()).st_size
    file.seek(len(_MAGIC))
    while len(head := file.read(_HEADER.size)) == _HEADER.size:
        operation, length = _HEADER.unpack(head)
        if length > size - file.tell():
            return
        data = file.read(length)
        if operation == _CHUNK:
            yield from _inside(_unpacked(data))
        else:
            yield operation, data


def _inside(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        operation, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        yield operation, data[at : at + length]
        at += length


def _unpacked(chunk: bytes) -> bytes:
    compression, at = _text(chunk, 28)  # after two times, a size and a checksum
    data = chunk[at + 8 :]
    if compression == "":
        return data
    if compression == "lz4":
        return bytes(lz4.frame.decompress(data))
    if compression == "zstd":
        return bytes(zstd.decompress(data))
    raise ValueError(f"chunks are compressed with {compression!r}; accepted: lz4, zstd, or not")


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it, and where it ends."""
    (length,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + length].decode(), at + 4 + length


def _schema(data: bytes) -> tuple[int, str, str, str]:
    (number,) = struct.unpack_from("<H", data)
    name, at = _text(data, 2)
    encoding, at = _text(data, at)
    return number, name, encoding, _text(data, at)[0]


def _channel(data: bytes) -> tuple[int, int, str, str]:
    number, schema = struct.unpack_from("<HH", data)
    topic, at = _text(data, 4)
    return number, schema, topic, _text(data, at)[0]
