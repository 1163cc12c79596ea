"""The status of the node `mpc`: one sentence and many values, in the log and on `/diagnostics`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from wm_mpc.codes import HoldCode, Level, StatusCode, WarningCode
from wm_mpc.messages.statuses import MpcStatus
from wm_mpc.nodes.mpc.outputs.registry import OUTPUTS
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
        complaints: gives what the checkpoint lacks, which makes an OK status a WARN. That a hold
            does not stop the robot is part of every hold, too.
        dropped: messages that could not be used; the newest one makes an OK status a WARN for a
            while.
    """

    def __init__(
        self,
        node: Any,
        errors: CallbackErrors,
        values: Callable[[], Mapping[str, object]],
        unused: Callable[[], Collection[str]],
        complaints: Callable[[], Mapping[WarningCode, str]] = dict,
        dropped: Dropped | None = None,
    ) -> None:
        self._node, self._errors, self._values, self._unused = node, errors, values, unused
        self._complaints = complaints
        self._code: HoldCode | StatusCode = StatusCode.UNCONFIGURED
        self._warnings: tuple[WarningCode, ...] = ()
        self._dropped = Dropped() if dropped is None else dropped
        self._now: tuple[int, str] = (WARN, "not configured")
        self._connections = Connections(node, _advice)
        self._publisher = DiagnosticsPublisher(node, "mpc")

    def report(
        self,
        level: int,
        code: HoldCode | StatusCode,
        message: str,
        warnings: Collection[WarningCode] = (),
    ) -> None:
        """Set the status; log and publish it at once when its codes are not those of before.

        A failed transition is always news, as the next one may fail for another reason.

        Args:
            level: OK, WARN or ERROR.
            code: For programs.
            message: For people.
            warnings: What the message warns of, for programs.
        """
        complaints = self._complaints() if level == OK or isinstance(code, HoldCode) else {}
        if level != OK:  # of a hold, what it does to the robot is all that counts
            complaints = {c: text for c, text in complaints.items() if c is WarningCode.MOVING_REST}
        if complaints:
            level, message = max(level, WARN), "; ".join([message, *complaints.values()])
            warnings = [*warnings, *complaints]
        if code is StatusCode.FAILED:
            command = f"ros2 lifecycle set {self._node.get_fully_qualified_name()}"
            message += (
                f"; change the parameter that is wrong, then: {command} configure, and: {command} "
                "activate"
            )
        codes = level, code, frozenset(warnings)
        is_news = codes != (self._now[0], self._code, frozenset(self._warnings))
        self._code, self._warnings, self._now = code, tuple(warnings), (level, message)
        if not is_news and code is not StatusCode.FAILED:
            return
        logger = self._node.get_logger()
        # Separate calls: rclpy keeps a severity for each place in the code that logs.
        if level == ERROR:
            logger.error(message)
        elif level == WARN and (isinstance(code, HoldCode) or code is StatusCode.PLANNING):
            logger.warning(message)
        else:
            logger.info(message)
        self.publish()

    def look(self) -> None:
        """Look at who is on the node's topics. Not for the thread that plans."""
        self._connections.look(self._unused(), _SINGLE, OUTPUTS)

    def publish(self) -> None:
        """Send the status as it is now."""
        level, message = self._now
        warnings = list(self._warnings)
        troubles = list(self._connections.faults)
        if troubles:
            level = max(level, WARN)
            warnings.append(WarningCode.CONNECTIONS)
        if lost := self._dropped.recent():
            troubles.append(f"a message on {lost} was dropped (see last dropped message)")
            level = max(level, WARN)
            warnings.append(WarningCode.MESSAGE_DROPPED)
        if error := self._errors.recent():
            troubles.insert(0, f"a callback failed: {error}")
            level = max(level, ERROR)
            warnings.append(WarningCode.CALLBACK)
        values = {
            "warnings": " ".join(code.value for code in warnings) or "none",
            **self._values(),
            "connections": "; ".join(self._connections.faults) or "no mismatch",
            **self._dropped.values(),
            "callback errors": self._errors.count,
            "last callback error": self._errors.last,
        }
        status = MpcStatus(
            self._node.get_fully_qualified_name()[1:],
            Level(level),
            self._code,
            "; ".join([message, *troubles]),
            {key: str(value) for key, value in values.items()},
        )
        self._publisher.publish(status.level, status.sentence, status.to_values())


def _advice(topic: str, own: str, theirs: str) -> str:
    """What to do about subscribers of `theirs` on a topic where the node publishes `own`."""
    if own in _TWISTS and theirs in _TWISTS:
        return f"set output.cmd_vel_type to {_TWISTS[theirs]}"
    return ""
