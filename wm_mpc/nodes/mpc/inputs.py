"""What the node `mpc` has received: kept by time, checked when it is used."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CompressedImage, Image

from wm_mpc.codes import WarningCode
from wm_mpc.control.camera_set import CameraSet
from wm_mpc.control.frozen_camera import FrozenCamera
from wm_mpc.control.observation_check import ObservationCheck
from wm_mpc.control.observing import AWAY_WARN, GOOD, Ahead, ClockWatch, Finding
from wm_mpc.control.waits import Waits
from wm_mpc.messages.camera_pairs import Frame
from wm_mpc.messages.frame_looks import FrameLooks
from wm_mpc.messages.picture_looks import PictureLooks
from wm_mpc.nodes.mpc.goal_inputs import GoalInputs, RefusedGoals
from wm_mpc.nodes.mpc.reader import Reader
from wm_mpc.nodes.mpc.snapshots import Arrival, Snapshot
from wm_mpc.nodes.mpc.states import STATE_TYPES, States, sources_of
from wm_mpc.ros import qos
from wm_mpc.ros.dropped import Dropped
from wm_mpc.ros.executors import UrgentCallbackGroup
from wm_mpc.ros.timing import from_seconds, to_nanoseconds, trip_seconds
from wm_mpc.ros.topics import image_topic
from wm_mpc.spec import RobotSpec

_STATE_WAIT = 0.01  # s to wait for the state that belongs to an image
_LONGER = 0.25  # control periods to wait for it, where there is none near
_WAITING_IMAGES, _WAITING_STATES = 20, 200  # more messages than can wait to be read


def _nothing() -> None:
    pass


class Inputs(Reader):
    """Subscriptions of the node `mpc`. Callbacks store, `snapshot` reads; thread-safe. Between
    `end` and `begin`, images and states are dropped as they come. Goals are kept."""

    def __init__(
        self,
        node: Any,
        spec: RobotSpec,
        *,
        transport: str,
        state_type: str,
        on_image: Callable[[], None] | None = None,
        on_wait: Callable[[], None] = _nothing,
        dropped: Dropped | None = None,
    ) -> None:
        """on_image, on_wait: see `begin`, which need not be called where they are given. dropped:
        where messages that cannot be used are noted."""
        super().__init__(spec)
        self._node = node
        self._dropped = Dropped() if dropped is None else dropped
        compressed = transport == "compressed"
        self._source = spec.state.source if state_type == "auto" else state_type
        self._cameras = spec.images
        self._camera_topics = [camera.topic for camera in self._cameras]  # until they are resolved
        self._names = ", ".join(self._camera_topics), self._source
        self._odometry = "odom"
        self._changed = threading.Condition()
        self._image_number = 0
        self._forget(on_image, on_wait)
        image_type = CompressedImage if compressed else Image
        ending = "/compressed" if compressed else ""
        # Simulated time comes as a message, too; it must not be later than the image of its moment.
        self._is_simulated = bool(node.get_parameter("use_sim_time").value)
        group = None if self._is_simulated else UrgentCallbackGroup()
        subscribe = functools.partial(node.create_subscription, callback_group=group)
        self.refused_goals = RefusedGoals(self._warn, self._dropped, node.resolve_topic_name)
        self._goals = GoalInputs(
            STATE_TYPES[self._source],
            subscribe,
            same_state=self.same_state,
            read=self.check_goal,
            refused=self.refused_goals,
        )
        heard = {
            source: subscribe(STATE_TYPES[source], source, self._hear_state, qos.STATES)
            for source in sources_of(spec, self._source)
        }
        # Images last: when the first one comes, the goal and the state have had their chance.
        cameras = [
            subscribe(image_type, image_topic(node, camera.topic + ending), store, qos.SENSOR_DATA)
            for camera, store in zip(self._cameras, self._stores(), strict=True)
        ]
        self._subscriptions = [*self._goals.subscriptions, *heard.values(), *cameras]
        self._camera_topics = [str(camera.topic_name) for camera in cameras]
        self._set = self._new_set()
        self._names = ", ".join(self._camera_topics), str(heard[self._source].topic_name)
        self._check = self._new_check()
        if "odom" in heard:
            self._odometry = str(heard["odom"].topic_name)
            self._frames = FrameLooks(self._odometry)

    def _forget(self, on_image: Callable[[], None] | None, on_wait: Callable[[], None]) -> None:
        self._on_image, self._on_wait = on_image, on_wait
        self._camera = FrozenCamera(angles={"yaw", *self.spec.state.angles})
        self._set, self.frozen_camera = self._new_set(), ""
        self._looks = [PictureLooks() for _ in self._cameras]
        self._frames = FrameLooks(self._odometry)
        self._image_waits, self._state_waits = Waits(_WAITING_IMAGES), Waits(_WAITING_STATES)
        self._clock = ClockWatch()
        self._image: Arrival | None = None
        self._ahead = Ahead()
        self._states = States(self.spec, self._source)

    def _stores(self) -> list[Callable[..., None]]:
        """The callback of each camera."""
        numbers = range(1, len(self._cameras))
        others = [functools.partial(self._store_image, camera=number) for number in numbers]
        return [self._store_image, *others]

    def _new_set(self) -> CameraSet | None:
        """None for one camera, whose images need no partner."""
        if len(self._cameras) == 1:
            return None
        return CameraSet(
            [camera.name for camera in self._cameras], self._camera_topics,
            self.spec.control_period, {"yaw", *self.spec.state.angles},
        )  # fmt: skip

    def _new_check(self) -> ObservationCheck:
        image_topic, state_topic = self._names
        return ObservationCheck(
            self.spec.control_period,
            image_topic=image_topic,
            state_topic=state_topic,
            is_simulated=self._is_simulated,
            warn=self._warn,
        )

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text)

    def begin(self, on_image: Callable[[], None], on_wait: Callable[[], None] = _nothing) -> None:
        """Receive, and know nothing of what came before but the goals.

        Args:
            on_image: called by the callbacks when an image has come.
            on_wait: called by `snapshot` before it waits for what a callback is to bring.
        """
        with self._changed:
            self._forget(on_image, on_wait)
            self._check = self._new_check()

    def end(self) -> None:
        """Drop images and states as they come."""
        with self._changed:
            self._on_image, self._on_wait = None, _nothing

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    # ----------------------------------------------------------------------------- they come

    def _now(self) -> int:
        """ns of the node's clock. When that was set back, what came before is forgotten: its stamps
        are of a time that is still to come."""
        now = int(self._node.get_clock().now().nanoseconds)
        if self._clock.went_back(now):
            self._image, self._ahead = None, Ahead()
            self._states.forget()
            if self._set is not None:
                self._set.forget()
            self._warn("the clock was set back: earlier images and robot states are forgotten")
        return now

    def _store_image(self, message: Any, info: Mapping[str, Any], *, camera: int = 0) -> None:
        """info: what the middleware knows of the message; rclpy gives it to callbacks that take
        two arguments. camera: its number."""
        sent, read = info.get("source_timestamp", 0), time.time_ns()
        trip = trip_seconds(sent, read)
        with self._changed:
            on_image, looks = self._on_image, self._looks[camera]
            several, frozen = self._set, self._camera
        if on_image is None:
            return
        if several is None:
            frozen.see(message)
        with self._changed:
            waited = self._image_waits.see(camera, sent, read)
            received, now = time.monotonic(), self._now()
            # Some drivers leave the stamp empty; then the time of arrival is the best there is.
            stamp = to_nanoseconds(message.header.stamp) or now - from_seconds(waited)
            if several is None:
                self._ahead.add(stamp, now)
                whole: tuple[Any, int] | None = message, stamp
            else:
                whole = several.add(camera, Frame(message, stamp, received), now)
                self._ahead = several.ahead
            if whole is not None:
                self._image = Arrival(*whole, received, trip)
                self._image_number += 1
        if whole is not None:
            on_image()
        self._look(looks, "pictures", message, received)

    def _look(self, looks: Any, kind: str, message: Any, moment: float) -> None:
        """Say what is new about a stream whose messages do not belong together. kind: of the
        warning."""
        for remark in looks.see(message):
            self._warn(remark)
        if mixed := looks.mixed():
            self._check.warnings.see(kind, mixed, moment)

    def _hear_state(self, message: Any, info: Mapping[str, Any]) -> None:
        """info: see `_store_image`."""
        publisher = tuple(getattr(message, "name", ()))
        with self._changed:
            sent = info.get("source_timestamp", 0)
            waited = self._state_waits.see(publisher, sent, time.time_ns())
        self._store_state(message, waited)

    def _store_state(self, message: Any, waited: float = 0.0) -> None:
        """waited: s, for which the message was there already."""
        with self._changed:
            if self._on_image is None:
                return
            received, now = time.monotonic() - waited, self._now()
            stamp = to_nanoseconds(message.header.stamp) or now - from_seconds(waited)
            if isinstance(message, Odometry):
                self._look(self._frames, "frames", message, received)
            if reason := self._states.add(message, stamp, now, received):
                self._dropped.note(self._names[1], reason)
            self._changed.notify_all()

    # ------------------------------------------------------------------------- they are read

    def snapshot(
        self, *, wait_for_state: float = _STATE_WAIT, always_wait: bool = False
    ) -> Snapshot:
        """The newest image with the robot's state of its moment.

        The state of the same moment may come just after the image: it is waited for, for at most
        `wait_for_state` seconds, unless nothing of it is used, or none is due so soon and it is not
        always waited for. Where the one that is there is of quite another moment, it is waited for
        a little longer.
        """
        with self._changed:
            image, state = self._image, None
            if image is not None and self.needs_state:
                self._wait_for_state(image.stamp, wait_for_state, always_wait)
                state = self._states.at(image.stamp)
                period = self.spec.control_period
                if state is not None and abs(state.offset) > AWAY_WARN * period:
                    self._wait_for_state(image.stamp, _LONGER * period, always=False)
                    state = self._states.at(image.stamp)
        goals = self._goals
        return Snapshot(image, state, goals.image, goals.state, goals.number, goals.is_repeated)

    def _wait_for_state(self, stamp: int, seconds: float, always: bool) -> None:
        history = self._states.history
        is_told = functools.partial(history.is_told, stamp)
        if is_told() or not (always or history.is_coming(stamp, time.monotonic(), seconds)):
            return
        self._on_wait()
        self._changed.wait_for(is_told, timeout=seconds)

    def why_unusable(
        self, snapshot: Snapshot, timeout: float, *, lockstep: bool = False
    ) -> Finding:
        """What is wrong with a snapshot, just made. timeout: s, how old an observation may be. In
        lockstep time stands still meanwhile."""
        with self._changed:
            self._states.history.keep(timeout)
            now, moment = int(self._node.get_clock().now().nanoseconds), time.monotonic()
            check = self._check.at(now, moment, timeout, is_timed=not lockstep)
            finding = GOOD
            if self._set is not None:
                finding = self._set.finding(now, moment, timeout, is_timed=not lockstep)
            if not finding.hold:
                finding = check.image(snapshot.image, self._ahead)
            if self.needs_state and not finding.hold:
                finding = check.state(snapshot.state, self._states)
        return finding

    @property
    def warning(self) -> str:
        """What people should know though the robot goes on; empty for nothing."""
        return "; ".join(self.warned().values())

    def warned(self) -> dict[WarningCode, str]:
        """The same, by code."""
        return {**self._check.warned(time.monotonic()), **self.refused_goals.warned()}

    def values(self) -> dict[str, object]:
        """For diagnostics."""
        with self._changed:
            values = self._check.values()
            if self._set is not None:
                values |= self._set.values()
            elif self._image is not None:
                values["image age on arrival (ms)"] = f"{-1e3 * self._ahead.usual:.1f}"
            return {**values, **self._states.values(), **self.refused_goals.values()}

    @property
    def state_source(self) -> str:
        """Of `STATE_TYPES`: the kind of message that tells the robot's state."""
        return self._source

    @property
    def needs_state(self) -> bool:
        """Whether anything of the robot's state is measured; else its camera is all it needs."""
        return self.spec.state.size > 0

    def repeats_image(self, seconds: float) -> float:
        """See `FrozenCamera.moved`."""
        with self._changed:
            places = self._states.watched_positions(time.monotonic() - seconds)
            if self._set is not None:
                lasted, self.frozen_camera = self._set.frozen(places, seconds)
                return lasted
        return self._camera.moved(places, seconds)

    @property
    def image_number(self) -> int:
        """How many images have come; 0 before the first."""
        return self._image_number

    def newest_pose(self) -> tuple[float, float, float] | None:
        """(x, y, yaw) in the odom frame (m, rad), from odometry; for pictures only."""
        with self._changed:
            return self._states.newest_pose() if self._source == "odom" else None

    def state_positions(self, state: np.ndarray) -> dict[str, float]:
        """Of a measured state (state size,): the positions that it has (rad or m), by name."""
        with self._changed:
            return self._states.state_positions(state)

    def measured_positions(self, longest: float) -> dict[str, float]:
        """The newest positions by name (rad or m): of all joints heard, and x, y, yaw of the base
        from odometry; none that came more than `longest` seconds ago."""
        with self._changed:
            return self._states.positions(time.monotonic() - longest)

    def measured_places(self, longest: float) -> dict[str, tuple[int, float]]:
        """`measured_positions`, each with the stamp of its message (ns)."""
        with self._changed:
            return self._states.places(time.monotonic() - longest)
