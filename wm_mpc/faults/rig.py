"""The real nodes `sim` and `mpc` in processes of their own, with a wire between them that can be
tampered with, and a monitor that looks at every plan.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.faults.services import Asker
from wm_mpc.model.checkpoint import read_metadata
from wm_mpc.ros import qos, status
from wm_mpc.ros.messages import MessageError, trajectory_to_actions
from wm_mpc.ros.running import spinning
from wm_mpc.ros.timing import from_seconds, to_nanoseconds, to_stamp
from wm_mpc.spec import RobotSpec

Tamper = Callable[[Any], Iterable[Any]]  # a message as it comes -> the messages that go on
_START_UP = 60.0  # s
_STEADY = 5  # plans in a row, until the robot counts as working
_SPEED = 0.02  # m/s, below which it stands


class RigError(RuntimeError):
    """The nodes could not be brought to work."""


@dataclasses.dataclass(frozen=True)
class SeenPlan:
    """received: s, monotonic. age: of its stamp then, s. points: 0 means hold. wrong: what is wrong
    with it; empty for nothing."""

    received: float
    age: float
    points: int
    wrong: str


class Rig:
    """Processes, wire and monitor. Use as a context manager.

    checkpoint: a .safetensors file of the task. domain: of ROS. simulated_time: the sim is the
    clock, and the wire carries it, too. task, parameters: what is simulated, and a parameter file
    of both nodes; with one, there is no wire. image, state, clock: tamper with messages on the
    wire; assign to them. log: folder for what the nodes say.
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
    ) -> None:
        self._task, self._parameters = task, parameters
        self.checkpoint, self._log, self._simulated = checkpoint, log, simulated_time
        self.kept, self.answer = b"", ""  # of the file a fault has replaced; of a service
        self.kept_going: list[Any] = []  # what a fault has made and has to end
        self.spec = RobotSpec.from_dict(read_metadata(checkpoint))
        self.image: Tamper = unchanged
        self.state: Tamper = unchanged
        self.clock: Tamper = unchanged
        self.plans: list[SeenPlan] = []
        self.status, self.values = "", dict[str, str]()
        self.told: dict[str, str] = {}  # by node: its status
        self.speed, self._moving = 0.0, time.monotonic()
        self._environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._deaths: list[str] = []
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("rig", context=self._context)
        self._changed = threading.Condition()
        self._stack = contextlib.ExitStack()
        self.asker = Asker(self.node, self.wait_for)
        create = self.node.create_subscription
        create(JointTrajectory, "planned_actions", self._on_plan, qos.ALL_PLANS)
        create(DiagnosticArray, status.TOPIC, self._on_diagnostics, qos.STATUS)
        if parameters is None:
            self._wire()

    def _wire(self) -> None:
        create, node = self.node.create_subscription, self.node
        self.images = node.create_publisher(Image, "camera/image_raw", qos.SENSOR_DATA)
        self.states = node.create_publisher(Odometry, "odom", qos.ROBOT_STATE)
        create(Image, "wire/image", lambda m: self._pass(m, "image", self.images), qos.SENSOR_DATA)
        create(Odometry, "wire/odom", self._on_odometry, qos.ROBOT_STATE)
        if self._simulated:
            self.clocks = node.create_publisher(Clock, "/clock", qos.CLOCK)
            create(Clock, "/wire/clock", lambda m: self._pass(m, "clock", self.clocks), qos.CLOCK)

    def _pass(self, message: Any, what: str, publisher: Any) -> None:
        for passed in getattr(self, what)(message):
            publisher.publish(passed)

    def _on_odometry(self, message: Odometry) -> None:
        twist = message.twist.twist
        self.speed = math.hypot(twist.linear.x, twist.linear.y)
        if self.speed > _SPEED:
            self._moving = time.monotonic()
        self._pass(message, "state", self.states)

    def _on_plan(self, message: JointTrajectory) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        age = (time.time_ns() - stamp) / 1e9
        with self._changed:
            self.plans.append(
                SeenPlan(time.monotonic(), age, len(message.points), self._fault_of(message))
            )
            self._changed.notify_all()

    def _fault_of(self, message: JointTrajectory) -> str:
        try:
            _, actions = trajectory_to_actions(message, self.spec.action, self.spec.control_period)
        except MessageError as error:
            return str(error)
        if ((actions < self.spec.action.low) | (actions > self.spec.action.high)).any():
            return f"outside the limits: {actions.min():g} to {actions.max():g}"
        return ""

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for told in message.status:
            self.told[told.name.split(":")[0]] = told.message
            if told.name.endswith("mpc: mpc"):
                self.status = told.message
                self.values = {entry.key: entry.value for entry in told.values}

    # ----------------------------------------------------------------------------- processes

    def __enter__(self) -> Rig:
        self._log.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(spinning(self.node))
        self.start_sim()
        self.start_mpc()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.end(name)
        self._stack.close()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def start_sim(self) -> None:
        clock = ["real_time_factor:=0.999"] if self._simulated else []
        names = ["camera/image_raw:=wire/image", "odom:=wire/odom", "/clock:=/wire/clock"]
        if self._parameters is not None:
            names = []
        parameters = [f"task:={self._task}", "seed:=3", *clock]
        self._start("sim", "wm_mpc.nodes.sim", parameters, [*names, "__node:=sim"])

    def start_mpc(self, name: str = "mpc", node: str = "mpc") -> None:
        """name: of the process, for the rig. node: its ROS name."""
        parameters = [f"checkpoint:={self.checkpoint}"]
        if self._simulated:
            parameters.append("use_sim_time:=true")
        self._start(name, "wm_mpc.nodes.mpc", parameters, [f"__node:={node}"])

    def _start(
        self, name: str, module: str, parameters: Sequence[str], names: Sequence[str]
    ) -> None:
        command = [sys.executable, "-m", module, "--ros-args"]
        if self._parameters is not None:
            command += ["--params-file", str(self._parameters)]
        command += [part for parameter in parameters for part in ("-p", parameter)]
        command += [part for renamed in names for part in ("-r", renamed)]
        with open(self._log / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def kill(self, name: str) -> None:
        """At once, as a crash would."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> None:
        """As Ctrl-C does."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def crashed(self) -> list[str]:
        """What has ended by itself so far."""
        for name, process in list(self._processes.items()):
            if (code := process.poll()) is not None:
                self._deaths.append(f"{name} ended with code {code}")
                del self._processes[name]
        return self._deaths

    # ------------------------------------------------------------------------------- waiting

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The first true value of `condition()`, or its last one after so many seconds."""
        deadline = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < deadline and not self.crashed():
            with self._changed:
                self._changed.wait(0.02)
        return value

    def since(self, moment: float) -> list[SeenPlan]:
        """Plans that came after a moment (s, monotonic)."""
        with self._changed:
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

    def wait_for_motion(self, seconds: float = 20.0) -> None:
        """Until the robot is on its way."""
        self.wait_for(lambda: self.speed > 0.2, seconds)

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
