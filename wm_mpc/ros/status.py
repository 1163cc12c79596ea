"""Statuses on `/diagnostics`, the one topic where aggregators and monitors look for them.

As `diagnostic_updater` does it: the topic has an absolute name, and a status names its node in
full. So the robots of a fleet share the topic and stay apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from wm_mpc.ros import qos

OK, WARN, ERROR = (
    DiagnosticStatus.OK[0], DiagnosticStatus.WARN[0], DiagnosticStatus.ERROR[0]
)  # fmt: skip
TOPIC = "/diagnostics"
_NO_NAMESPACE = "wm_mpc"  # hardware_id of a robot without a namespace


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


def statuses_of(message: DiagnosticArray, namespace: str, what: str) -> list[DiagnosticStatus]:
    """The statuses in a message that a node of this namespace sent about `what`.

    Args:
        message: from `/diagnostics`, where all robots' statuses come.
        namespace: of the node, as `node.get_namespace()` gives it, e.g. "/" or "/left".
        what: as in `DiagnosticsPublisher`.
    """
    prefix = namespace.strip("/")
    found = []
    for status in message.status:
        node, separator, part = status.name.partition(": ")
        if separator and part == what and node.rpartition("/")[0] == prefix:
            found.append(status)
    return found
