"""The status of the node `mpc`: one sentence and many values, in the log and on `/diagnostics`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from wm_mpc.control.codes import HoldCode, StatusCode
from wm_mpc.ros.callback_errors import CallbackErrors
from wm_mpc.ros.connections import Connections
from wm_mpc.ros.dropped import Dropped
from wm_mpc.ros.status import ERROR, OK, WARN, DiagnosticsPublisher

# Of one camera, and of one source of odometry. Joints may be published by several nodes.
_SINGLE = ("camera/image_raw", "camera/image_raw/compressed", "odom")
_TWISTS = {
    "geometry_msgs/msg/Twist": "twist",
    "geometry_msgs/msg/TwistStamped": "twist_stamped",
}


class Status:
    """What the node does, and what troubles it.

    Args:
        node: its logger and its topics are used.
        errors: of the node's callbacks; the newest one makes the status an ERROR for a while.
        values: gives the values to publish beside the sentence.
        unused: gives the topics on which nothing is published at present.
        complaint: gives what the checkpoint lacks, which makes an OK status a WARN; empty for
            nothing.
        dropped: messages that could not be used; the newest one makes an OK status a WARN for a
            while.
    """

    def __init__(
        self,
        node: Any,
        errors: CallbackErrors,
        values: Callable[[], Mapping[str, object]],
        unused: Callable[[], Collection[str]],
        complaint: Callable[[], str] = str,
        dropped: Dropped | None = None,
    ) -> None:
        self._node, self._errors, self._values, self._unused = node, errors, values, unused
        self._complaint = complaint
        self._code: HoldCode | StatusCode = StatusCode.UNCONFIGURED
        self._dropped = Dropped() if dropped is None else dropped
        self._now: tuple[int, str] = (WARN, "not configured")
        self._connections = Connections(node, _advice)
        self._publisher = DiagnosticsPublisher(node, "mpc")

    def report(self, level: int, code: HoldCode | StatusCode, message: str) -> None:
        """Set the status; log and publish it at once when it is of another kind than before.

        Args:
            level: OK, WARN or ERROR.
            code: For programs.
            message: For people.
        """
        if level == OK and (complaint := self._complaint()):
            level, message = WARN, f"{message}; {complaint}"
        self._code = code
        before, self._now = self._now, (level, message)
        if level == before[0] and _kind(message) == _kind(before[1]):
            return
        logger = self._node.get_logger()
        # Separate calls: rclpy keeps a severity for each place in the code that logs.
        if level == ERROR:
            logger.error(message)
        elif level == WARN and message.startswith(("holding", "planning;")):
            logger.warning(message)
        else:
            logger.info(message)
        self.publish()

    def look(self) -> None:
        """Look at who is on the node's topics. Not for the thread that plans."""
        self._connections.look(self._unused(), _SINGLE)

    def publish(self) -> None:
        """Send the status as it is now."""
        level, message = self._now
        troubles = list(self._connections.faults)
        if troubles:
            level = max(level, WARN)
        if lost := self._dropped.recent():
            troubles.append(f"a message on {lost} was dropped (see last dropped message)")
            level = max(level, WARN)
        if error := self._errors.recent():
            troubles.insert(0, f"a callback failed: {error}")
            level = max(level, ERROR)
        values = {
            "code": self._code.value,
            **self._values(),
            "connections": "; ".join(self._connections.faults) or "no mismatch",
            **self._dropped.values(),
            "callback errors": self._errors.count,
            "last callback error": self._errors.last,
        }
        self._publisher.publish(level, "; ".join([message, *troubles]), values)


def _advice(topic: str, own: str, theirs: str) -> str:
    """What to do about subscribers of `theirs` on a topic where the node publishes `own`."""
    if own in _TWISTS and theirs in _TWISTS:
        return f"set output.cmd_vel_type to {_TWISTS[theirs]}"
    return ""


def _kind(message: str) -> str:
    """A status without its numbers, which change all the time."""
    return re.sub(r"-?\d[\d.]*", "#", message)
