"""The real nodes `sim` and `mpc` in processes of their own, with a wire between them that can be
tampered with, and a monitor that looks at every plan.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.experiments.faults.bench import Bench, RigError
from wm_mpc.experiments.faults.hold_latency import HoldLatencies
from wm_mpc.model.checkpoint import read_metadata
from wm_mpc.ros import qos
from wm_mpc.ros.messages import MessageError, trajectory_to_actions
from wm_mpc.ros.timing import from_seconds, to_nanoseconds, to_stamp
from wm_mpc.spec import RobotSpec

__all__ = ["Rig", "RigError", "SeenPlan", "Tamper", "nothing", "shifted", "unchanged"]
Tamper = Callable[[Any], Iterable[Any]]  # a message as it comes -> the messages that go on
_START_UP = 60.0  # s
_STEADY = 5  # plans in a row, until the robot counts as working
_SPEED = 0.02  # m/s, below which it stands


@dataclasses.dataclass(frozen=True)
class SeenPlan:
    """received: s, monotonic. age: of its stamp then, s. points: 0 means hold. wrong: what is wrong
    with it; empty for nothing."""

    received: float
    age: float
    points: int
    wrong: str


class Rig(Bench):
    """The simulation, a wire and the controller. Use as a context manager.

    checkpoint: a .safetensors file of the task. domain: of ROS. simulated_time: the sim is the
    clock, and the wire carries it, too. task, parameters: what is simulated, and a parameter file
    of both nodes; with one, there is no wire. image, state, clock, actions: tamper with messages on
    the wire; assign to them. log: folder for what the nodes say. outputs: whether all outputs are
    on, and how late holds are on them is measured.
    """

    def __init__(
        self,
        checkpoint: Path,
        domain: int,
        log: Path,
        *,
        simulated_time: bool = False,
        task: str = "wall",
        parameters: Path | None = None,
        outputs: bool = False,
    ) -> None:
        super().__init__(domain, log)
        self._task, self._parameters = task, parameters
        self.checkpoint, self._simulated = checkpoint, simulated_time
        self.kept, self.answer = b"", ""  # of the file a fault has replaced; of a service
        self.failures: list[str] = []  # that a fault itself has noticed
        self.kept_going: list[Any] = []  # what a fault has made and has to end
        self.spec = RobotSpec.from_dict(read_metadata(checkpoint))
        self.image: Tamper = unchanged
        self.state: Tamper = unchanged
        self.clock: Tamper = unchanged
        self.actions: Tamper = unchanged
        self.plans: list[SeenPlan] = []
        self.speed, self._moving = 0.0, time.monotonic()
        self.place = 0.0, 0.0  # m, of the robot
        self.began: float | None = None  # s, monotonic; where a fault knows better than its return
        self.latencies = None
        if outputs:
            names = ("planned_actions", "cmd_vel", "commands", "joint_trajectory")
            self.latencies = HoldLatencies(self.node, names)
        create = self.node.create_subscription
        create(JointTrajectory, "planned_actions", self._on_plan, qos.ALL_PLANS)
        if parameters is None:
            self._wire()

    def _wire(self) -> None:
        create, node = self.node.create_subscription, self.node
        self.images = node.create_publisher(Image, "camera/image_raw", qos.SENSOR_DATA)
        self.states = node.create_publisher(Odometry, "odom", qos.ROBOT_STATE)
        create(Image, "wire/image", lambda m: self._pass(m, "image", self.images), qos.SENSOR_DATA)
        create(Odometry, "wire/odom", self._on_odometry, qos.ROBOT_STATE)
        self.executed = node.create_publisher(JointTrajectory, "wire/planned", qos.PLANNED_ACTIONS)
        if self._simulated:
            self.clocks = node.create_publisher(Clock, "/clock", qos.CLOCK)
            create(Clock, "/wire/clock", lambda m: self._pass(m, "clock", self.clocks), qos.CLOCK)

    def _pass(self, message: Any, what: str, publisher: Any) -> None:
        for passed in getattr(self, what)(message):
            publisher.publish(passed)

    def _on_odometry(self, message: Odometry) -> None:
        twist = message.twist.twist
        self.speed = math.hypot(twist.linear.x, twist.linear.y)
        where = message.pose.pose.position
        self.place = where.x, where.y
        if self.speed > _SPEED:
            self._moving = time.monotonic()
        self._pass(message, "state", self.states)

    def _on_plan(self, message: JointTrajectory) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        age = (time.time_ns() - stamp) / 1e9
        wrong = self._fault_of(message)
        seen = SeenPlan(time.monotonic(), age, len(message.points), wrong)
        if self._parameters is None:
            self._pass(message, "actions", self.executed)
        with self.changed:
            self.plans.append(seen)
            self.changed.notify_all()

    def _fault_of(self, message: JointTrajectory) -> str:
        try:
            _, actions = trajectory_to_actions(message, self.spec.action, self.spec.control_period)
        except MessageError as error:
            return str(error)
        if ((actions < self.spec.action.low) | (actions > self.spec.action.high)).any():
            return f"outside the limits: {actions.min():g} to {actions.max():g}"
        return ""

    # ----------------------------------------------------------------------------- processes

    def start(self) -> None:
        self.start_sim()
        self.start_mpc()

    def start_sim(self) -> None:
        clock = ["real_time_factor:=0.999"] if self._simulated else []
        names = ["camera/image_raw:=wire/image", "odom:=wire/odom", "/clock:=/wire/clock"]
        names.append("planned_actions:=wire/planned")
        if self._parameters is not None:
            names = []
        parameters = [f"task:={self._task}", "seed:=3", *clock]
        names.append("__node:=sim")
        self.run_node("sim", "wm_mpc.nodes.sim", parameters, names, self._parameters)

    def start_mpc(self, name: str = "mpc", node: str = "mpc") -> None:
        """name: of the process, for the rig. node: its ROS name."""
        parameters = [f"checkpoint:={self.checkpoint}"]
        if self._simulated:
            parameters.append("use_sim_time:=true")
        if self.latencies is not None and node == "mpc":
            self.latencies.listen()
            parameters += [f"output.{output}:=true" for output in self.latencies.streams]
        names = [f"__node:={node}"]
        self.run_node(name, "wm_mpc.nodes.mpc", parameters, names, self._parameters)

    # ------------------------------------------------------------------------------- waiting

    def since(self, moment: float) -> list[SeenPlan]:
        """Plans that came after a moment (s, monotonic)."""
        with self.changed:
            return [plan for plan in self.plans if plan.received > moment]

    def wait_until_steady(self, seconds: float = _START_UP) -> float | None:
        """Until it plans again and again; how long (s) until the first of these plans came, None if
        it does not."""
        began = time.monotonic()

        def steady() -> float | None:
            last = self.since(began)[-_STEADY:]
            if len(last) == _STEADY and all(plan.points for plan in last):
                return last[0].received - began
            return None

        return self.wait_for(steady, seconds)

    def wait_for_plans(self, count: int, seconds: float) -> bool:
        """Until so many plans have come."""
        began = time.monotonic()
        return bool(
            self.wait_for(
                lambda: sum(plan.points > 0 for plan in self.since(began)) >= count, seconds
            )
        )

    def wait_for_motion(self, seconds: float = 20.0, *, least: float = 0.2) -> None:
        """Wait until the robot is on its way, at `least` m/s."""
        self.wait_for(lambda: self.speed > least, seconds)

    def moves_by(self, distance: float, seconds: float) -> bool:
        """Whether the robot comes so far (m, along x or y) from where it is, within this time."""
        x, y = self.place

        def is_elsewhere() -> bool:
            here = self.place
            return max(abs(here[0] - x), abs(here[1] - y)) > distance

        return bool(self.wait_for(is_elsewhere, seconds))

    def stands_since(self) -> float:
        """When the robot last moved (s, monotonic)."""
        return self._moving


def unchanged(message: Any) -> Iterator[Any]:
    yield message


def nothing(_: Any) -> Iterator[Any]:
    yield from ()


def shifted(seconds: float) -> Tamper:
    """Stamps that are so many seconds later."""

    def tamper(message: Any) -> Iterator[Any]:
        stamp = message.clock if isinstance(message, Clock) else message.header.stamp
        moved = to_stamp(max(0, to_nanoseconds(stamp) + from_seconds(seconds)))
        if isinstance(message, Clock):
            message.clock = moved
        else:
            message.header.stamp = moved
        yield message

    return tamper
