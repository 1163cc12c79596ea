"""What the node `mpc` publishes: plans, streams of commands and pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Twist, TwistStamped
from rclpy.duration import Duration
from sensor_msgs.msg import Image
from std_msgs.msg import Float64, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from wm_mpc.control.following import PlanFollower
from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.model.paths import in_space, paths
from wm_mpc.model.world_model import WorldModel
from wm_mpc.nodes.mpc_watch import Rivals
from wm_mpc.ros import qos
from wm_mpc.ros.controller import position_at, to_controller
from wm_mpc.ros.course import Course
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.reading import TWIST_FIELDS
from wm_mpc.ros.serialized_plans import SerializedPlans
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import RobotSpec

_TWISTS, _COMMANDS, _TRAJECTORY = "output.cmd_vel", "output.commands", "output.joint_trajectory"
_OUTPUTS = (_TWISTS, _COMMANDS, _TRAJECTORY)
_TWIST_TYPES = {"twist_stamped": TwistStamped, "twist": Twist}
_ACKNOWLEDGED = 0.3  # s to wait for until everybody has the last word
_READ = 0.05  # s, for those who listen to read it
_NO_TIME = Duration(seconds=0)
_PLAN_TIMEOUT = 1.0  # s, after which the streams rest; three plans, if those take longer


class PlanPublisher:
    """`planned_actions`; the same plan streamed point by point on `cmd_vel` / `commands`; and as a
    whole on `joint_trajectory`.

    Plans and holds leave at once on every output. An output that ends tells the robot to rest
    before. A robot moved by positions rests where it was measured: until then nothing is sent but
    the request to hold, which names no position.

    It lives as long as the node is configured, and is silent before `begin` and after `end`.

    Args:
        node: whose topics they are.
        spec: the robot.
        twist_type: of `cmd_vel`: "twist_stamped" or "twist".

    Attributes:
        left: When the last plan was handed to the middleware (s, monotonic).
    """

    def __init__(self, node: Any, spec: RobotSpec, twist_type: str = "twist_stamped") -> None:
        self._node, self._spec = node, spec
        self._plans = node.create_publisher(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
        self._twist_type = _TWIST_TYPES[twist_type]
        self._twists = node.create_publisher(self._twist_type, "cmd_vel", qos.COMMAND)
        self._commands = node.create_publisher(Float64MultiArray, "commands", qos.COMMAND)
        self._trajectories = node.create_publisher(
            JointTrajectory, "joint_trajectory", qos.PLANNED_ACTIONS
        )
        self._lock = threading.Lock()  # of the outputs beside `planned_actions`
        self._outputs = frozenset[str]()  # names of the parameters that are on
        self._frame_id = "odom"
        self.left = 0.0
        self._serialized = SerializedPlans(spec.action, spec.control_period)
        self.rivals = Rivals(node)
        self.begin()
        self._timer = node.create_timer(spec.control_period, self._stream)

    def begin(self) -> None:
        """Know nothing of what was sent and measured before: meanwhile, others may have moved the
        robot."""
        with self._lock:
            self._follower = PlanFollower(self._spec.action, self._spec.control_period)
            self._measured: Mapping[str, float] = {}  # positions by name, as far as known
            self._trajectory: JointTrajectory | None = None  # the last that was sent
            # Where joints are held; None: not held.
            self._held: Mapping[str, float] | None = None
            self._course: Course | None = None  # of a robot moved by positions
            if self._spec.rest_is_measured:
                self._course = Course(self._spec.action, self._spec.control_period)
        self.rivals.forget()

    def use(self, values: Mapping[str, Any], present: Callable[[], dict[str, float]]) -> None:
        """Publish as the node's parameters say. present: tells where the joints are now."""
        outputs = frozenset(name for name in _OUTPUTS if values[name])
        with self._lock:
            if self._outputs != outputs:
                self._measured = present()
                self._follower.measure(self._measured)
            self._frame_id = values["frame_id"]
            # Whoever plans seldom is not dead for that.
            self._follower.plan_timeout = max(_PLAN_TIMEOUT, 3.0 / values["rate"])
            self._rest(self._outputs - outputs)
            self._outputs = outputs

    def publish(
        self, stamp: int, actions: np.ndarray, measured: Mapping[str, float] | None = None
    ) -> np.ndarray | None:
        """Send a plan, actions (points, action size), that applies from `stamp` (ns).

        Args:
            measured: Positions by name, as far as known: where the plan begins; present ones, where
                it has no points and means to hold.

        Returns:
            The action (action size,) that the robot executes now; None where it is unknown.
        """
        plan = self._serialized.write(stamp, actions)
        self.rivals.sent(plan)
        self._plans.publish(plan)
        self.left = time.monotonic()
        with self._lock:
            now = self._now()
            self._measured = measured or {}
            self._follower.offer(stamp, actions, now, measured)
            action = self._follower.action_at(now)
            self._send(self._outputs, action, now)
            if _TRAJECTORY in self._outputs:
                self._send_trajectory(stamp, actions)
            if self._outputs - {_TRAJECTORY}:
                self._timer.reset()  # the next point is due a period from now
            return action

    def hold(self, stamp: int, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """Tell the robot to hold now; see `publish`."""
        return self.publish(stamp, np.zeros((0, self._spec.action.size)), measured)

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _send_trajectory(self, stamp: int, actions: np.ndarray) -> None:
        now = self._now()
        measured = self._measured
        if self._spec.rest_is_measured:
            rest = self._follower.rest_at(now)
            measured = {} if rest is None else dict(zip(self._spec.action.names, rest, strict=True))
        elif len(actions):
            self._held = None
        else:
            # Of its first moment: aimed anew at where they sag to, joints would creep away.
            measured = self._held = self._held or self._here(now)
        trajectory = to_controller(
            actions, self._spec.action, self._spec.control_period, stamp, now, measured
        )
        if self._course is not None:
            self._course.follow(trajectory, now, self._measured)
        if trajectory.points:
            self._trajectories.publish(trajectory)
            self._trajectory = trajectory

    def _here(self, now: int) -> Mapping[str, float]:
        """Where the joints are, or else where they are wanted now."""
        if all(name in self._measured for name in self._spec.action.names):
            return self._measured
        return {} if self._trajectory is None else position_at(self._trajectory, now)

    def _stream(self) -> None:
        with self._lock:
            if self._outputs - {_TRAJECTORY}:
                now = self._now()
                self._send(self._outputs, self._follower.action_at(now), now)

    def _send(self, outputs: frozenset[str], action: np.ndarray | None, now: int) -> None:
        """An action on those of the streams; nothing where it is unknown."""
        if action is None:
            return
        if _COMMANDS in outputs:
            self._commands.publish(Float64MultiArray(data=action.tolist()))
        if _TWISTS in outputs:
            message = self._twist_type()
            twist = message
            if isinstance(message, TwistStamped):
                message.header.stamp, message.header.frame_id = to_stamp(now), self._frame_id
                twist = message.twist
            for name, value in zip(self._spec.action.names, action, strict=True):
                if name in TWIST_FIELDS:
                    part, axis = TWIST_FIELDS[name]
                    setattr(getattr(twist, part), axis, float(value))
            self._twists.publish(message)

    def _rest(self, outputs: frozenset[str]) -> None:
        """The last word on outputs: a controller would go on with the one before for ever."""
        if not outputs:
            return
        now = self._now()
        self._send(outputs, self._follower.rest_at(now), now)
        if _TRAJECTORY in outputs:
            self._send_trajectory(now, np.zeros((0, self._spec.action.size)))
            self._trajectory = self._held = None  # others may move them now
            if self._course is not None:
                self._course.clear()

    def end(self) -> None:
        """Say the last word and be silent. It waits, for a moment at most, until all who listen
        have the last messages."""
        with self._lock:  # a callback of the timer that runs is over then, and none follows
            self._rest(self._outputs - {_TRAJECTORY})
            self._outputs = frozenset()
        deadline = time.monotonic() + _ACKNOWLEDGED
        heard = [p for p in self._publishers if p.get_subscription_count()]
        # Asked again and again: while rclpy waits, no other thread of the node runs.
        while not all(publisher.wait_for_all_acked(_NO_TIME) for publisher in heard):
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
        if heard:  # acknowledged is not yet read, and who leaves may take the message along
            time.sleep(_READ)

    @property
    def _publishers(self) -> tuple[Any, ...]:
        return self._plans, self._twists, self._commands, self._trajectories

    def close(self) -> None:
        """`end`, and leave the topics."""
        self.end()
        self.rivals.close()
        self._node.destroy_timer(self._timer)
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)


class PlanPictures:
    """Pictures of a plan for people: markers, imagined frames, cost. Made only when watched."""

    def __init__(self, node: Any, model: WorldModel) -> None:
        self._node, self._model = node, model
        self._markers = node.create_publisher(MarkerArray, "mpc/plan_markers", qos.STATUS)
        self._imagined = node.create_publisher(Image, "mpc/imagined/image_raw", qos.SENSOR_DATA)
        self._cost = node.create_publisher(Float64, "mpc/cost", qos.STATUS)

    def use(self, model: WorldModel) -> None:
        """Draw plans of another world model from now on."""
        self._model = model

    def publish(
        self,
        plan: ControlPlan,
        stamp: int,
        frame_id: str,
        pose: tuple[float, float, float] | None,
    ) -> None:
        """pose: the robot's (x, y, yaw), for paths of models without a pose read-out."""
        self._cost.publish(Float64(data=plan.result.cost))
        if self._markers.get_subscription_count():
            self._markers.publish(self._draw_paths(plan, stamp, frame_id, pose))
        if self._imagined.get_subscription_count():
            self._imagined.publish(self._draw_frames(plan, stamp))

    def _draw_paths(self, plan: ControlPlan, stamp: int, frame_id: str, pose: Any) -> MarkerArray:
        drawn = _paths(self._model, plan, pose)
        array = MarkerArray(markers=[Marker(action=Marker.DELETEALL)])
        for number, (name, path) in enumerate(drawn):
            marker = Marker(id=number, type=Marker.LINE_STRIP, action=Marker.ADD, ns=name)
            marker.header.stamp, marker.header.frame_id = to_stamp(stamp), frame_id
            marker.pose.orientation.w = 1.0
            best = name != "elite"
            marker.scale.x = 0.03 if best else 0.01
            marker.color.r, marker.color.g, marker.color.b = (
                (0.1, 0.8, 0.2) if best else (0.4, 0.6, 1.0)
            )
            marker.color.a = 1.0 if best else 0.5
            marker.points = [Point(x=x, y=y, z=z) for x, y, z in path.tolist()]
            array.markers.append(marker)
        return array

    def _draw_frames(self, plan: ControlPlan, stamp: int) -> Image:
        frames = self._model.decode(plan.latents).clamp(0, 1).permute(0, 2, 3, 1)
        strip = np.concatenate(list((frames.numpy() * 255).astype(np.uint8)), 1)
        return rgb_to_image(np.ascontiguousarray(strip), to_stamp(stamp))

    def close(self) -> None:
        for publisher in (self._markers, self._imagined, self._cost):
            self._node.destroy_publisher(publisher)


def _paths(model: WorldModel, plan: ControlPlan, pose: Any) -> list[tuple[str, np.ndarray]]:
    """Named paths, (points, 3) each: other candidates' ("elite"), then, on top, the plan's."""
    best = paths(model, plan.latents)
    if best:
        first = next(iter(best))
        elites = [("elite", paths(model, other)[first]) for other in plan.candidates]
        return elites + [(thing or "robot", path) for thing, path in best.items()]
    velocity = [n for n in ("vx", "vy") if n in model.spec.action.names]
    if pose is None or len(velocity) < 2 or model.spec.action.kind != "velocity":
        return []
    columns = [model.spec.action.names.index(name) for name in velocity]
    moves = plan.actions[:, columns] * model.spec.control_period
    start = np.array(pose[:2])
    points = np.concatenate([start[None], start + np.cumsum(moves, 0)])
    return [("robot", in_space(points))]
