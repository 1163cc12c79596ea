"""What the node `mpc` sends to a robot: plans, and streams of commands."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.duration import Duration
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.control.following import PlanFollower
from wm_mpc.messages.reading import TWIST_FIELDS
from wm_mpc.nodes.mpc.parameters import OUTPUTS, MpcSettings
from wm_mpc.nodes.mpc.rivals import Rivals
from wm_mpc.ros import qos
from wm_mpc.ros.controller import position_at, to_controller
from wm_mpc.ros.course import Course
from wm_mpc.ros.serialized_plans import SerializedPlans
from wm_mpc.ros.timing import from_seconds, to_stamp
from wm_mpc.spec import RobotSpec
from wm_mpc.units import SECOND

_TWISTS, _COMMANDS, _TRAJECTORY = OUTPUTS
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
    the request to hold, which names no position. Its streams keep the rate limit, whatever plans
    say and however late they come, and never lead it farther away than `limits.lag` allows.

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
        self._outputs = frozenset[str]()  # those that are on
        self._present: Callable[[], Mapping[str, float]] = dict
        self._plan_timeout, self._lag = _PLAN_TIMEOUT, math.inf
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
            self._forget()
            self._measured: Mapping[str, float] = {}  # positions by name, as far as known
        self.rivals.forget()

    def _forget(self) -> None:
        self._follower = PlanFollower(
            self._spec.action, self._spec.control_period, self._plan_timeout
        )
        self._follower.lag = self._lag
        self._latest = 0  # ns, when the clock was last read
        self._trajectory: JointTrajectory | None = None  # the last that was sent
        # Where joints are held; None: not held.
        self._held: Mapping[str, float] | None = None
        self._course: Course | None = None  # of a robot moved by positions
        if self._spec.rest_is_measured:
            self._course = Course(self._spec.action, self._spec.control_period)

    def use(
        self,
        settings: MpcSettings,
        present: Callable[[], Mapping[str, float]],
        newest: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """Publish as the settings say.

        Args:
            settings: Of the node.
            present: Tells where the joints are now.
            newest: Tells where those joints are that were measured within the last moment.
        """
        outputs = frozenset(name for name in OUTPUTS if getattr(settings.output, name))
        with self._lock:
            self._present = newest
            self._frame_id = settings.frame_id
            # Whoever plans seldom is not dead for that.
            self._plan_timeout = max(_PLAN_TIMEOUT, 3.0 / settings.rate)
            self._lag = settings.limits.lag
            self._follower.plan_timeout, self._follower.lag = self._plan_timeout, self._lag
            if self._outputs != outputs:
                self._switch(outputs, present())

    def _switch(self, outputs: frozenset[str], measured: Mapping[str, float]) -> None:
        now = self._look()
        self._measured = measured
        self._rest(self._outputs - outputs, now)
        if self._spec.rest_is_measured and outputs - self._outputs - {_TRAJECTORY}:
            # It begins where the robot is, not where a plan wants it that others have executed.
            self._follower.reset()
            self._follower.forget_rest()
        if self._course is not None and _TRAJECTORY in outputs - self._outputs:
            self._course.begin(now)
        self._outputs = outputs
        if not self._follower.moves(now):
            self._follower.measure(measured)

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
        newest = self._present() if len(actions) else {}
        with self._lock:
            now = self._look()
            self._measured = measured or {}
            self._follower.offer(stamp, actions, now, measured)
            action = self._follower.action_at(now, newest)
            self._send(self._outputs, action, now)
            if _TRAJECTORY in self._outputs:
                self._send_trajectory(stamp, actions, now, action, newest)
            if self._outputs - {_TRAJECTORY}:
                self._timer.reset()  # the next point is due a period from now
            return action

    def hold(self, stamp: int, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """Tell the robot to hold now; see `publish`."""
        return self.publish(stamp, np.zeros((0, self._spec.action.size)), measured)

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _look(self) -> int:
        """The time (ns), and what follows from it."""
        now, late = self._now(), self._latest
        if now < late - from_seconds(self._spec.control_period):
            self._forget()
            self._node.get_logger().warning(
                f"the clock was set back by {(late - now) / SECOND:.2f} s: what was sent before is "
                "forgotten"
            )
        self._latest = now
        if not self._outputs - {_TRAJECTORY}:
            self._follower.go_along(now)  # others execute the plan
        return now

    def _send_trajectory(
        self,
        stamp: int,
        actions: np.ndarray,
        now: int,
        rest: np.ndarray | None,
        newest: Mapping[str, float],
    ) -> None:
        """rest: where a robot moved by positions holds, if there are no actions. newest: positions
        by name of this moment, where they are newer than those the plan begins from."""
        measured = self._measured
        if self._spec.rest_is_measured:
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
            self._course.follow(trajectory, now, {**self._measured, **newest})
        if trajectory.points:
            self._trajectories.publish(trajectory)
            self._trajectory = trajectory

    def _here(self, now: int) -> Mapping[str, float]:
        """Where the joints are, or else where they are wanted now."""
        if all(name in self._measured for name in self._spec.action.names):
            return self._measured
        return {} if self._trajectory is None else position_at(self._trajectory, now)

    def _stream(self) -> None:
        newest = self._present()
        with self._lock:
            if self._outputs - {_TRAJECTORY}:
                now = self._look()
                self._send(self._outputs, self._follower.action_at(now, newest), now)

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

    def _rest(self, outputs: frozenset[str], now: int) -> None:
        """The last word on outputs: a controller would go on with the one before for ever."""
        if not outputs:
            return
        rest = self._follower.rest_at(now, self._measured)
        self._send(outputs, rest, now)
        if _TRAJECTORY in outputs:
            self._send_trajectory(now, np.zeros((0, self._spec.action.size)), now, rest, {})
            self._trajectory = self._held = None  # others may move them now

    def end(self) -> None:
        """Say the last word and be silent. It waits, for a moment at most, until all who listen
        have the last messages."""
        with self._lock:  # a callback of the timer that runs is over then, and none follows
            self._rest(self._outputs - {_TRAJECTORY}, self._look())
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
