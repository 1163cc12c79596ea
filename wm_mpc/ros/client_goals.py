"""Goals as a client gives them: pictures from files or arrays, and states by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import decoded
from wm_mpc.ros import qos
from wm_mpc.ros.client_errors import ClientError
from wm_mpc.ros.messages import state_to_joint_states, state_to_odometry
from wm_mpc.spec import SpecError, StateSpec

GoalState: TypeAlias = "Mapping[str, float] | Odometry | JointState"
Until = Callable[[Callable[[], Any], str], None]  # a condition, or raise an error with that text
_KINDS = {"nav_msgs/msg/Odometry": Odometry, "sensor_msgs/msg/JointState": JointState}


def read_picture(path: str | Path) -> np.ndarray:
    """A picture from a file: uint8 (height, width, 3) rgb. Raises ClientError."""
    try:
        found = decoded(Path(path).read_bytes())
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}") from None
    if found is None:
        raise ClientError(
            f"{path} is not a picture; accepted: PNG, JPEG and others that OpenCV reads"
        )
    return np.ascontiguousarray(found[..., ::-1])


def image_of(image: np.ndarray | str | Path) -> np.ndarray:
    """A picture, from a file where that is given: uint8 (height, width, 3) rgb. Raises
    ClientError."""
    if isinstance(image, str | Path):
        return read_picture(image)
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ClientError(
            f"the goal is {array.dtype} {array.shape}; accepted: uint8 (height, width, 3), "
            "or a file"
        )
    return array


class GoalStates:
    """Sends the robot's states at goals, as the kind of message that the controller reads."""

    def __init__(self, node: Any, topic: str) -> None:
        """topic: on which the controller reads them."""
        self._node, self._topic = node, topic
        self._publishers: dict[type, Any] = {}

    def send(self, state: GoalState, stamp: Any, until: Until) -> None:
        """Send one. stamp: of the goal's picture. until: waits. Raises ClientError."""
        until(lambda: self._kinds(), f"nobody reads states of goals on {self._topic}")
        message = self._message(state, self._kinds()[0], stamp)
        kind = type(message)
        if kind not in self._publishers:
            self._publishers[kind] = self._node.create_publisher(kind, self._topic, qos.APPENDED)
        publisher = self._publishers[kind]
        wanted = ", ".join(each.__name__ for each in self._kinds())
        until(
            lambda: publisher.get_subscription_count() > 0,
            f"the state is a {kind.__name__}, but the controller reads: {wanted}",
        )
        publisher.publish(message)

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def _kinds(self) -> list[type]:
        """What is read on the topic."""
        topic = self._node.resolve_topic_name(self._topic)
        found = [info.topic_type for info in self._node.get_subscriptions_info_by_topic(topic)]
        return [_KINDS[name] for name in dict.fromkeys(found) if name in _KINDS]

    def _message(self, state: GoalState, kind: type, stamp: Any) -> Any:
        if not isinstance(state, Mapping):
            state.header.stamp = stamp
            return state
        numbers = {name: float(value) for name, value in state.items()}
        try:
            if kind is Odometry:
                return state_to_odometry(numbers, stamp)
            spec = StateSpec(tuple(numbers), ("",) * len(numbers), "joint_states")
            return state_to_joint_states(np.array(list(numbers.values())), spec, stamp)
        except (MessageError, SpecError) as error:
            raise ClientError(f"state of the goal: {error}") from None
