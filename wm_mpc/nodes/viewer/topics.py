"""From the topics of a robot into the view model."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float64
from visualization_msgs.msg import Marker, MarkerArray

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.progress_statuses import EpisodeStatus, LearnerStatus
from wm_mpc.messages.statuses import GoalReport
from wm_mpc.ros import qos
from wm_mpc.ros.messages import compressed_to_rgb, image_to_rgb
from wm_mpc.ros.status import TOPIC, from_diagnostics, mpc_statuses
from wm_mpc.ros.timing import to_nanoseconds
from wm_mpc.ros.topics import image_topic
from wm_mpc.view.drawing import side_by_side
from wm_mpc.view.model import Path, ViewModel
from wm_mpc.view.projection import rotation

_GOALS = 50  # pictures of goals that are remembered
_SLOW = 1.0  # s between looks at which camera topic has a publisher


class Topics:
    """Subscribes, and hands over. What costs the controller something is only subscribed to while
    somebody watches.

    Args:
        node: Whose subscriptions they are.
        model: Takes all in.
        mpc: Full name of the controller's node, without the first slash.
        planned: Called when a plan has come with all that belongs to it.
        cameras: Topics of further cameras.
    """

    def __init__(
        self,
        node: Node,
        model: ViewModel,
        mpc: str,
        planned: Callable[[], None],
        cameras: Sequence[str] = (),
    ) -> None:
        self._further, self._others = tuple(cameras), dict[str, np.ndarray]()
        self._node, self._model, self._mpc, self._planned = node, model, mpc, planned
        self._lock = threading.Lock()
        self._watched: list[Any] = []
        self._camera: Any = None
        self._goal_pictures: OrderedDict[int, np.ndarray] = OrderedDict()
        self._shown_goal = -1  # stamp
        self._reports: tuple[GoalReport, ...] = ()
        subscribe = node.create_subscription
        subscribe(DiagnosticArray, TOPIC, self._on_diagnostics, qos.STATUS)
        subscribe(DiagnosticArray, "mpc/goals", self._on_goals, qos.LATCHED)
        subscribe(DiagnosticArray, "learner/progress", self._on_learner, qos.STATUS)
        subscribe(DiagnosticStatus, "sim/episode", self._on_episode, qos.STATUS)
        subscribe(CameraInfo, "camera/camera_info", self._on_camera_info, qos.SENSOR_DATA)
        subscribe(PoseStamped, "camera/pose", self._on_camera_pose, qos.LATCHED)
        subscribe(Float64, "mpc/cost", self._on_cost, qos.STATUS)
        for profile in qos.GOALS:
            subscribe(Image, "goal/image", self._on_goal_picture, profile)
        subscribe(Image, "goal/append/image", self._on_goal_picture, qos.APPENDED)
        node.create_timer(_SLOW, self._look)
        self._is_watched = False

    def watch(self, wanted: bool) -> None:
        """Whether somebody watches: then pictures and plans come, too."""
        with self._lock:
            if wanted == self._is_watched:
                return
            self._is_watched = wanted
            if wanted:
                subscribe = self._node.create_subscription
                self._watched = [
                    subscribe(MarkerArray, "mpc/plan_markers", self._on_markers, qos.STATUS),
                    subscribe(Image, "mpc/imagined/image_raw", self._on_imagined, qos.SENSOR_DATA),
                    *(
                        subscribe(Image, image_topic(self._node, name),
                                  functools.partial(self._on_other, name), qos.SENSOR_DATA)
                        for name in self._further
                    ),
                ]  # fmt: skip
            else:
                for subscription in (*self._watched, self._camera):
                    if subscription is not None:
                        self._node.destroy_subscription(subscription)
                self._watched, self._camera = [], None
        self._look()

    def _look(self) -> None:
        """Join the camera, raw or compressed: whichever somebody publishes."""
        with self._lock:
            if not self._is_watched or self._camera is not None:
                return
            for kind, name in (
                (Image, "camera/image_raw"),
                (CompressedImage, "camera/image_raw/compressed"),
            ):
                topic = image_topic(self._node, name)
                if self._node.count_publishers(topic):
                    self._camera = self._node.create_subscription(
                        kind, topic, self._on_camera, qos.SENSOR_DATA
                    )
                    return

    # ---------------------------------------------------------------------------------- pictures

    def _on_camera(self, message: Any) -> None:
        read = image_to_rgb if isinstance(message, Image) else compressed_to_rgb
        self._take_picture("camera", functools.partial(read, message, None))

    def _on_other(self, name: str, message: Image) -> None:
        def read() -> np.ndarray:
            self._others[name] = image_to_rgb(message, None)
            seen = [self._others[each] for each in self._further if each in self._others]
            return side_by_side(seen)

        self._take_picture("others", read)

    def _on_imagined(self, message: Image) -> None:
        self._take_picture("imagined", functools.partial(image_to_rgb, message, None))
        self._planned()

    def _take_picture(self, what: str, read: Any) -> None:
        try:
            self._model.on_picture(what, read())
        except MessageError as error:
            self._node.get_logger().warning(f"{what}: {error}", throttle_duration_sec=10.0)

    def _on_goal_picture(self, message: Image) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        if stamp in self._goal_pictures:
            return
        try:
            self._goal_pictures[stamp] = image_to_rgb(message, None)
        except MessageError as error:
            self._node.get_logger().warning(f"goal: {error}", throttle_duration_sec=10.0)
            return
        while len(self._goal_pictures) > _GOALS:
            self._goal_pictures.popitem(last=False)
        self._show_goal()

    def _show_goal(self) -> None:
        """The picture of the goal that is planned for; the newest where that is not known."""
        executing = [r.stamp for r in self._reports if not r.is_final]
        known = [stamp for stamp in executing if stamp in self._goal_pictures]
        newest = next(reversed(self._goal_pictures), None)
        stamp = known[0] if known else newest
        if stamp is not None and stamp != self._shown_goal:
            self._shown_goal = stamp
            self._model.on_picture("goal", self._goal_pictures[stamp])

    # ------------------------------------------------------------------------------------ camera

    def _on_camera_info(self, message: CameraInfo) -> None:
        matrix = np.array(message.k, np.float64).reshape(3, 3)
        if message.width and message.height and np.isfinite(matrix).all() and matrix[0, 0] > 0:
            self._model.on_intrinsics(matrix, message.height, message.width)

    def _on_camera_pose(self, message: PoseStamped) -> None:
        p, q = message.pose.position, message.pose.orientation
        try:
            axes = rotation(q.x, q.y, q.z, q.w)
        except ValueError as error:
            self._node.get_logger().warning(f"camera/pose: {error}")
            return
        self._model.on_camera_pose(np.array([p.x, p.y, p.z]), axes)

    # ---------------------------------------------------------------------------------- statuses

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in mpc_statuses(message):
            if status.node == self._mpc:
                self._model.on_status(status)

    def _on_goals(self, message: DiagnosticArray) -> None:
        try:
            self._reports = tuple(from_diagnostics(each, GoalReport) for each in message.status)
        except MessageError as error:
            self._node.get_logger().warning(f"mpc/goals: {error}", throttle_duration_sec=10.0)
            return
        self._model.on_goals(self._reports)
        self._show_goal()

    def _on_learner(self, message: DiagnosticArray) -> None:
        for each in message.status:
            try:
                self._model.on_learner(from_diagnostics(each, LearnerStatus))
            except MessageError as error:
                reason = f"learner/progress: {error}"
                self._node.get_logger().warning(reason, throttle_duration_sec=10.0)

    def _on_episode(self, message: DiagnosticStatus) -> None:
        try:
            self._model.on_episode(from_diagnostics(message, EpisodeStatus))
        except MessageError as error:
            self._node.get_logger().warning(f"sim/episode: {error}", throttle_duration_sec=10.0)

    def _on_cost(self, message: Float64) -> None:
        self._model.on_cost(message.data)

    def _on_markers(self, message: MarkerArray) -> None:
        lines = [
            Path(marker.ns, np.array([[p.x, p.y, p.z] for p in marker.points]))
            for marker in message.markers
            if marker.type == Marker.LINE_STRIP and marker.action == Marker.ADD
            if len(marker.points) >= 2
        ]
        goals = [
            np.array([marker.pose.position.x, marker.pose.position.y, marker.pose.position.z])
            for marker in message.markers
            if marker.type == Marker.SPHERE and marker.action == Marker.ADD and marker.ns == "goal"
        ]
        self._model.on_paths(lines, goals)
