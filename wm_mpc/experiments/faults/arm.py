"""An arm moved by positions, in the rig's own process, and the real node `mpc` that moves it."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.experiments.faults.bench import Bench
from wm_mpc.experiments.faults.commanded import Commanded, Course, applied
from wm_mpc.experiments.faults.hold_latency import HoldLatencies
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import save_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.timing import to_nanoseconds, to_stamp
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec
from wm_mpc.units import SECOND

JOINTS = ("shoulder", "elbow", "wrist")
PLACE = 1.5  # rad, where the arm is found
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
_EAGER = 3.0
_TICK = 0.01  # s of the arm
_PICTURE = 0.1  # s


def arm_spec() -> RobotSpec:
    """Three joints at 0.5 rad/s, of which each is measured."""
    return RobotSpec(
        "arm",
        ActionSpec(JOINTS, "position", "rad", (-3.0,) * 3, (3.0,) * 3, (0.5,) * 3),
        StateSpec(JOINTS, ("rad",) * 3, "joint_states"),
        ImageSpec(16, 16), 0.1, 2,
    )  # fmt: skip


def save_arm(path: Path) -> None:
    """A checkpoint of that arm with random weights: it wants to go wherever chance says, and knows
    nothing of what is usual. To be safe is not its affair."""
    torch.manual_seed(0)
    architecture = Architecture(3, 4, 4, hidden=16, proposals=0)
    model = WorldModel(arm_spec(), architecture).eval().requires_grad_(False)
    model.state_mean.fill_(PLACE)
    for parameter in model.dynamics.parameters():
        parameter.mul_(_EAGER)  # each action matters: plans go at full speed
    save_checkpoint(model, path, {})


@dataclasses.dataclass(frozen=True)
class Driver:
    """How joints are published. names: of the joints. late: s, stamps after the picture's. each:
    ticks between two messages."""

    names: tuple[str, ...] = JOINTS
    late: float = 0.0
    each: int = 2


class ArmRig(Bench):
    """Use as a context manager.

    Args:
        domain: ROS domain.
        log: Folder for the checkpoint and for what the node says.
        autostart: Whether the node activates itself.

    Attributes:
        follows: The output that moves the arm: "commands", "joint_trajectory" or
            "planned_actions".
        speed: rad/s, how fast the arm can move; 0: it is blocked.
        drivers: Who publishes which joints; none: the arm is not measured.
        place: (joints,), rad, where the arm is; assign to it to move it by hand.
        course: Where it was.
        seen: All messages, by output.
    """

    def __init__(self, domain: int, log: Path, *, autostart: bool = True) -> None:
        super().__init__(domain, log)
        log.mkdir(parents=True, exist_ok=True)
        self.checkpoint, self._autostart = log / "arm.safetensors", autostart
        save_arm(self.checkpoint)
        self.spec = arm_spec()
        assert self.spec.largest_change is not None
        self.change = self.spec.largest_change
        self.period = round(self.spec.control_period * SECOND)
        self.follows, self.speed = "commands", 1.0
        self.drivers: tuple[Driver, ...] = ()
        self.place = np.full(len(JOINTS), PLACE)
        self.course = Course()
        self.seen: dict[str, list[Commanded]] = {
            name: [] for name in ("planned_actions", "commands", "joint_trajectory")
        }
        self.latencies = HoldLatencies(self.node, tuple(self.seen))
        self._book = threading.Lock()
        self._rng = np.random.default_rng(0)
        self._gaps = random.Random(0)
        self._stop = threading.Event()
        self._mover = threading.Thread(target=self._move, name="arm", daemon=True)
        node = self.node
        create: Any = node.create_subscription  # rclpy's types know callbacks of a message alone
        create(JointTrajectory, "planned_actions", self._on_plan, qos.APPENDED)
        create(Float64MultiArray, "commands", self._on_commands, qos.APPENDED)
        create(JointTrajectory, "joint_trajectory", self._on_trajectory, qos.APPENDED)
        self._pictures = node.create_publisher(Image, "camera/image_raw", qos.SENSOR_DATA)
        self._joints = node.create_publisher(JointState, "joint_states", qos.ROBOT_STATE)
        self._goal = node.create_publisher(Image, "goal/image", qos.LATCHED)

    def start(self) -> None:
        self.start_mpc()
        self._mover.start()

    def start_mpc(self) -> None:
        self.latencies.listen()
        parameters = (
            f"checkpoint:={self.checkpoint}", f"autostart:={str(self._autostart).lower()}",
            "output.commands:=true", "output.joint_trajectory:=true", "planner.iterations:=5",
            "planner.learning_rate:=1.0", "cost.action_weight:=0.0",
        )  # fmt: skip
        self.run_node("mpc", "wm_mpc.nodes.mpc", parameters)

    def __exit__(self, *what: object) -> None:
        self._stop.set()
        if self._mover.is_alive():
            self._mover.join()
        super().__exit__(*what)

    # ------------------------------------------------------------------------------- the arm

    def _move(self) -> None:
        due, tick = time.monotonic(), 0
        while not self._stop.is_set():
            now = time.time_ns()
            self._follow(now)
            with self._book:
                self.course.add(now, self.place)
            if tick % round(_PICTURE / _TICK) == 0:
                pixels = self._rng.integers(0, 255, (16, 16, 3), np.uint8)
                self._pictures.publish(rgb_to_image(pixels, to_stamp(now)))
            for driver in self.drivers:
                if tick % driver.each == 0:
                    self._publish(driver, now)
            tick += 1
            due += _TICK
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _publish(self, driver: Driver, now: int) -> None:
        known = dict(zip(JOINTS, self.place.tolist(), strict=True))
        message = JointState(name=list(driver.names))
        message.position = [known.get(name, 0.01) for name in driver.names]
        message.header.stamp = to_stamp(now - round(driver.late * SECOND))
        self._joints.publish(message)

    def _follow(self, now: int) -> None:
        with self._book:
            last = self.seen[self.follows][-1:]
            rows = applied(last, self.follows, now + 1) if last else []
        if rows:
            step = self.speed * _TICK
            self.place = self.place + np.clip(rows[-1][1] - self.place, -step, step)

    def show_goal(self) -> None:
        """A picture to go to, which is kept for the node."""
        pixels = np.random.default_rng(7).integers(0, 255, (16, 16, 3), np.uint8)
        self._goal.publish(rgb_to_image(pixels, to_stamp(time.time_ns())))

    # ------------------------------------------------------------------------------ messages

    def _note(self, output: str, commanded: Commanded) -> None:
        with self._book:
            self.seen[output].append(commanded)
        with self.changed:
            self.changed.notify_all()

    def _on_plan(self, message: JointTrajectory, info: Any) -> None:
        start = to_nanoseconds(message.header.stamp)
        points = _points(message)
        times = start + self.period * np.arange(len(points), dtype=np.int64)
        self._note("planned_actions", Commanded(info["received_timestamp"], start, times, points))

    def _on_commands(self, message: Float64MultiArray, info: Any) -> None:
        received = info["received_timestamp"]
        points = np.array(message.data, float)[None]
        self._note("commands", Commanded(received, received, np.array([received]), points))

    def _on_trajectory(self, message: JointTrajectory, info: Any) -> None:
        start = to_nanoseconds(message.header.stamp)
        after = [to_nanoseconds(point.time_from_start) for point in message.points]
        times = start + np.array(after, np.int64)
        received = info["received_timestamp"]
        self._note("joint_trajectory", Commanded(received, start, times, _points(message)))

    def since(self, output: str, moment: int) -> list[Commanded]:
        """What came on an output after a moment (ns)."""
        with self._book:
            return [message for message in self.seen[output] if message.received > moment]

    def plans_since(self, moment: int) -> tuple[int, int]:
        """Plans, and holds, since a moment (ns)."""
        seen = self.since("planned_actions", moment)
        plans = sum(len(message.points) > 0 for message in seen)
        return plans, len(seen) - plans

    def wait_for_plans(self, count: int, seconds: float = 20.0) -> bool:
        """Until so many plans have come one after another."""
        began = time.time_ns()

        def steady() -> bool:
            last = self.since("planned_actions", began)[-count:]
            return len(last) == count and all(len(message.points) for message in last)

        return bool(self.wait_for(steady, seconds))

    def change_state(self, number: int) -> bool | None:
        """Ask the node for a lifecycle transition; None without an answer."""
        request = ChangeState.Request()
        request.transition.id = number
        response = self.asker.ask(ChangeState, "mpc/change_state", request)
        return None if response is None else bool(response.success)


def _points(message: JointTrajectory) -> np.ndarray:
    rows = [point.positions for point in message.points]
    return np.array(rows, float).reshape(len(rows), len(JOINTS))
