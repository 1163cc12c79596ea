"""Decode messages with the definitions that a recording stores.

Each type is defined when its first message is decoded, so an unreadable definition affects only
its own topic.
"""

from __future__ import annotations

import functools
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from wm_mpc.data.storage.stored import Channel, UnreadableError

ACCEPTED = {"cdr": ("ros2msg", "ros2idl", "omgidl", ""), "ros1": ("ros1msg",)}
_SEPARATOR = "=" * 80 + "\n"


def left_out(channel: Channel, *, is_ros1: bool) -> str:
    """Return why messages of a channel cannot be decoded because of their kind; "" if they can.

    Args:
        channel: The channel.
        is_ros1: Whether the recording is a ROS 1 bag.
    """
    wanted = "ros1" if is_ros1 else "cdr"
    if channel.encoding != wanted:
        return f"its messages are encoded as {channel.encoding or 'not stated'!r}, not {wanted!r}"
    if not channel.type:
        return "it has no schema, so the type of its messages is unknown"
    if channel.definition_format not in ACCEPTED[wanted]:
        return f"its type is defined in {channel.definition_format!r}, not in ros2msg or ros2idl"
    return ""


class Decoder:
    """Decodes messages and keeps the definitions of all types."""

    def __init__(self) -> None:
        self._stores: dict[tuple[str, str], Any] = {}

    def decode(self, channel: Channel, data: bytes) -> Any:
        """Decode a message.

        Args:
            channel: Its channel.
            data: Its bytes.

        Returns:
            An object with the fields of the message.

        Raises:
            UnreadableError: The message cannot be decoded.
        """
        store = self._store(channel)
        if isinstance(store, str):
            raise UnreadableError(store)
        try:
            if channel.encoding == "ros1":
                return store.deserialize_ros1(data, channel.type)
            return store.deserialize_cdr(data, channel.type)
        except Exception as error:  # damaged data can make a decoder raise anything
            raise UnreadableError(
                f"it cannot be decoded: {error or type(error).__name__}"
            ) from None

    def problem(self, channel: Channel) -> str:
        """Return why the type of a channel is unknown; "" if it is known.

        Args:
            channel: The channel.
        """
        store = self._store(channel)
        return store if isinstance(store, str) else ""

    def _store(self, channel: Channel) -> Any:
        key = (channel.type, channel.definition)
        if key not in self._stores:
            try:
                self._stores[key] = _store_of(*key, channel.definition_format)
            except Exception as error:  # a parser's
                first = (str(error) or type(error).__name__).splitlines()[0]
                self._stores[key] = f"the definition of {channel.type} cannot be read: {first}"
        return self._stores[key]


@functools.lru_cache(maxsize=256)  # to define a type takes as long as to read a short recording
def _store_of(kind: str, definition: str, definition_format: str) -> Any:
    latest = get_typestore(Stores.LATEST)
    if not definition.strip():  # bags from before ROS 2 Iron may have none
        if kind not in latest.types:
            raise ValueError("there is none, and ROS 2 itself does not have the type")
        return latest
    store = get_typestore(Stores.EMPTY)
    store.register(_types(kind, definition, definition_format))
    try:
        store.get_msgdef(kind)
    except KeyError:  # of a nested type, which some recorders leave out
        known = {name: found for name, found in latest.fielddefs.items() if name not in store.types}
        store.register(known)
        store.cache.clear()
        store.get_msgdef(kind)
    return store


def _types(kind: str, definition: str, definition_format: str) -> Any:
    if definition_format not in ("ros2idl", "omgidl"):
        return get_types_from_msg(definition, kind)
    if not definition.startswith(f"{_SEPARATOR}IDL: "):
        return get_types_from_idl(definition)
    types: Any = {}
    for part in definition.split(_SEPARATOR)[1:]:
        types.update(get_types_from_idl(part.split("\n", 1)[1]))
    return types
