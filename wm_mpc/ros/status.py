"""Statuses as messages, and `/diagnostics`, the one topic where aggregators and monitors look.

As `diagnostic_updater` does it: the topic has an absolute name, and a status names its node in
full. So the robots of a fleet share the topic and stay apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from wm_mpc.codes import Level
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.ros import qos

OK, WARN, ERROR = Level.OK, Level.WARN, Level.ERROR
TOPIC = "/diagnostics"
_NO_NAMESPACE = "wm_mpc"  # hardware_id of a robot without a namespace


class Said(Protocol):
    """A status as data; see `wm_mpc.messages.statuses`."""

    @property
    def name(self) -> str: ...
    @property
    def level(self) -> Level: ...
    @property
    def sentence(self) -> str: ...
    def to_values(self) -> Mapping[str, object]: ...


class Kind(Said, Protocol):
    """A kind of status that can be read from the parts of a message."""

    @classmethod
    def of(cls, level: Level, name: str, sentence: str, values: Mapping[str, str]) -> Any: ...


_Kind = TypeVar("_Kind", bound=Kind)


def to_diagnostics(status: Said, hardware: str = "") -> DiagnosticStatus:
    """A status as a message.

    Args:
        status: What is said.
        hardware: Which robot it is of.
    """
    return DiagnosticStatus(
        level=bytes([status.level]),
        name=status.name,
        message=status.sentence,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=str(text)) for key, text in status.to_values().items()],
    )


def from_diagnostics(message: DiagnosticStatus, kind: type[_Kind]) -> _Kind:
    """A message as data: the inverse of `to_diagnostics`.

    Args:
        message: One status.
        kind: What it is to be, such as `MpcStatus`.

    Raises:
        MessageError: It is not one.
    """
    values = {entry.key: entry.value for entry in message.values}
    level = Level(min(message.level[0], Level.STALE))
    found: _Kind = kind.of(level, message.name, message.message, values)
    return found


def mpc_statuses(message: DiagnosticArray, namespace: str | None = None) -> Iterator[MpcStatus]:
    """What controllers say in a message from `/diagnostics`, where the statuses of all robots come.

    Args:
        message: From that topic.
        namespace: Of the controllers, such as `/left`, or `/` for none; None: of any.
    """
    for status in message.status:
        node, separator, part = status.name.partition(": ")
        if not separator or part != "mpc":
            continue
        if namespace is None or node.rpartition("/")[0] == namespace.strip("/"):
            yield from_diagnostics(status, MpcStatus)


class DiagnosticsPublisher:
    """Publishes one status of a node, `<namespace>/<node>: <what>`, on `/diagnostics`.

    Args:
        node: the node it is of.
        what: the part of the node, e.g. "mpc".
    """

    def __init__(self, node: Any, what: str) -> None:
        self._node = node
        self._name = f"{node.get_fully_qualified_name()[1:]}: {what}"
        self._hardware = node.get_namespace().strip("/") or _NO_NAMESPACE
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, qos.STATUS)

    def publish(self, level: int | bytes, message: str, values: Mapping[str, object]) -> None:
        """Send the status.

        Args:
            level: of `DiagnosticStatus`.
            message: one sentence for people.
            values: details; they are sent as text.
        """
        status = DiagnosticStatus(
            level=bytes([level]) if isinstance(level, int) else level,
            name=self._name,
            message=message,
            hardware_id=self._hardware,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)
