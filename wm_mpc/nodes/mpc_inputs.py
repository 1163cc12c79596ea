"""What the node `mpc` has received: newest messages only, checked when they are used."""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CompressedImage, Image, JointState

from wm_mpc.nodes.mpc_watch import FrozenCamera
from wm_mpc.ros import qos
from wm_mpc.ros.executors import UrgentCallbackGroup
from wm_mpc.ros.messages import (
    MessageError,
    compressed_to_rgb,
    image_to_rgb,
    joint_states_to_state,
    odometry_to_state,
    split_joint,
    yaw_of,
)
from wm_mpc.ros.timing import to_nanoseconds, trip_seconds
from wm_mpc.ros.topics import image_topic
from wm_mpc.spec import RobotSpec

STATE_TYPES = {"odom": Odometry, "joint_states": JointState}
_STATE_WAIT = 0.01  # s to wait for the state that belongs to an image


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A message, its stamp (ns of the node's clock) and when it came (s, monotonic). trip: seconds
    from its `publish` to our callback, NaN where nobody knows."""

    message: Any
    stamp: int
    received: float
    trip: float = math.nan


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The newest of everything; None where nothing came yet. goal_number counts goals."""

    image: Arrival | None
    state: Arrival | None
    goal_image: Any | None
    goal_state: Any | None
    goal_number: int


class Inputs:
    """Subscriptions of the node `mpc`. Callbacks store, `snapshot` reads; thread-safe."""

    def __init__(
        self,
        node: Any,
        spec: RobotSpec,
        *,
        transport: str,
        state_type: str,
        on_image: Callable[[], None],
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """on_image: called by the callbacks when an image has come. on_wait: called by `snapshot`
        before it waits for what a callback is to bring."""
        self.spec = spec
        self._node, self._on_image, self._on_wait = node, on_image, on_wait
        self._compressed = transport == "compressed"
        self._source = spec.state.source if state_type == "auto" else state_type
        self._changed = threading.Condition()
        self._camera = FrozenCamera()
        self._image: Arrival | None = None
        self._image_number = 0
        self._states: deque[Arrival] = deque(maxlen=50)
        self._goal_image: Any | None = None
        self._goal_state: Any | None = None
        self._goal_number = 0
        image_type = CompressedImage if self._compressed else Image
        topic = "camera/image_raw/compressed" if self._compressed else "camera/image_raw"
        topic = image_topic(node, topic)
        state_message = STATE_TYPES[self._source]
        # Simulated time comes as a message, too; it must not be later than the image of its moment.
        is_simulated = node.get_parameter("use_sim_time").value
        group = None if is_simulated else UrgentCallbackGroup()
        subscribe = functools.partial(node.create_subscription, callback_group=group)
        # Images last: when the first one comes, the goal and the state have had their chance.
        self._subscriptions = [
            subscribe(Image, "goal/image", self._store_goal_image, qos.LATCHED),
            subscribe(state_message, "goal/state", self._store_goal_state, qos.LATCHED),
            subscribe(state_message, self._source, self._store_state, qos.SENSOR_DATA),
            subscribe(image_type, topic, self._store_image, qos.SENSOR_DATA),
        ]

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _arrival(self, message: Any, trip: float = math.nan) -> Arrival:
        received = time.monotonic()
        # Some drivers leave the stamp empty; then the time of arrival is the best there is.
        stamp = to_nanoseconds(message.header.stamp) or self._node.get_clock().now().nanoseconds
        return Arrival(message, stamp, received, trip)

    def _store_image(self, message: Any, info: Mapping[str, Any]) -> None:
        """info: what the middleware knows of the message; rclpy gives it to callbacks that take
        two arguments."""
        trip = trip_seconds(info.get("source_timestamp", 0), time.time_ns())
        self._camera.see(message)
        with self._changed:
            self._image = self._arrival(message, trip)
            self._image_number += 1
        self._on_image()

    def _store_state(self, message: Any) -> None:
        with self._changed:
            self._states.append(self._arrival(message))
            self._changed.notify_all()

    def _store_goal_image(self, message: Any) -> None:
        with self._changed:
            self._goal_image = message
            self._goal_number += 1

    def _store_goal_state(self, message: Any) -> None:
        with self._changed:
            self._goal_state = message
            self._goal_number += 1

    def snapshot(self, *, wait_for_state: float = _STATE_WAIT) -> Snapshot:
        """The newest image with the state nearest to it in time.

        The state of the same moment may come just after the image: it is waited for, for at most
        `wait_for_state` seconds, unless nothing of it is used.
        """
        with self._changed:
            image = self._image
            if image is not None and self.needs_state:
                if not self._is_told(image.stamp):
                    self._on_wait()
                self._changed.wait_for(lambda: self._is_told(image.stamp), timeout=wait_for_state)
            state = None
            if image is not None and self._states:
                state = min(self._states, key=lambda arrival: abs(arrival.stamp - image.stamp))
            elif self._states:
                state = self._states[-1]
            return Snapshot(image, state, self._goal_image, self._goal_state, self._goal_number)

    def _is_told(self, stamp: int) -> bool:
        """Whether the robot's state of a moment has come."""
        return bool(self._states) and self._states[-1].stamp >= stamp

    @property
    def state_source(self) -> str:
        """Of `STATE_TYPES`: the kind of message that tells the robot's state."""
        return self._source

    @property
    def needs_state(self) -> bool:
        """Whether anything of the robot's state is measured; else its camera is all it needs."""
        return self.spec.state.size > 0

    def repeats_image(self, state: Arrival | None, seconds: float) -> float:
        """See `FrozenCamera.moved`; 0 without a state."""
        return 0.0 if state is None else self._camera.moved(state.message, seconds)

    @property
    def image_number(self) -> int:
        """How many images have come; 0 before the first."""
        return self._image_number

    def newest_pose(self) -> tuple[float, float, float] | None:
        """(x, y, yaw) in the odom frame (m, rad), from odometry; for pictures only."""
        if self._source != "odom" or not self._states:
            return None
        pose = self._states[-1].message.pose.pose
        q = pose.orientation
        return pose.position.x, pose.position.y, yaw_of(q.x, q.y, q.z, q.w)

    def image_array(self, message: Any) -> np.ndarray:
        """uint8 (height, width, 3) rgb of the model's size. Raises MessageError."""
        if isinstance(message, CompressedImage):
            return compressed_to_rgb(message, self.spec.image)
        return image_to_rgb(message, self.spec.image)

    def state_array(self, message: Any) -> np.ndarray:
        """float32 (state size,). Raises MessageError."""
        if isinstance(message, Odometry):
            return odometry_to_state(message, self.spec.state)
        return joint_states_to_state(message, self.spec.state)

    def joint_positions(self, state: np.ndarray) -> dict[str, float]:
        """Of a measured state (state size,): the joints of which it has the position, by name."""
        if self._source != "joint_states":
            return {}
        named = zip(self.spec.state.names, state.tolist(), strict=True)
        return {name: value for name, value in named if split_joint(name)[1] == "position"}

    def present_joints(self, longest: float) -> dict[str, float]:
        """`joint_positions` of the newest state; none if it cannot be read, or is older than
        `longest` seconds."""
        with self._changed:
            newest = self._states[-1] if self._states else None
        if newest is None or time.monotonic() - newest.received > longest:
            return {}
        try:
            return self.joint_positions(self.state_array(newest.message))
        except MessageError:
            return {}

    def goal_arrays(self, image: Any, state: Any | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Of messages: goal image, and state (None when unknown). Raises MessageError."""
        try:
            return self.image_array(image), None if state is None else self.state_array(state)
        except MessageError as error:
            raise MessageError(f"goal {error}") from None
