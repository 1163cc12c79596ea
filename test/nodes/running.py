"""Nodes in the process of a test: started in a context of their own, looked after, and ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image, state_to_odometry
from wm_mpc.ros.running import spinning
from wm_mpc.ros.timing import to_stamp
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall


class RunningNode:
    """A node of ours whose loop and callbacks run in threads of the test's process.

    Whoever expects that a callback raises sets `expects_errors`; otherwise `close` fails the test
    for it. Such errors end nothing, so a test could pass in spite of them.

    Args:
        observer: of the test's domain.
        make: the class of the node.
        loop: runs the node's own loop until the function it gets returns True; what it returns
            becomes `outcome`.
        parameters: of the node.
    """

    def __init__(
        self,
        observer: Any,
        make: Callable[..., Any],
        loop: Callable[[Any, Callable[[], bool]], Any],
        parameters: dict[str, Any],
    ) -> None:
        self.observer, self.outcome = observer, None
        self.expects_errors = False
        self.failures: list[BaseException] = []
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=observer.domain_id)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = make(context=self.context, parameter_overrides=overrides)
        self._stop, self._is_closed = threading.Event(), False

        def work() -> None:
            try:
                with spinning(self.node) as ended:
                    self.outcome = loop(self.node, lambda: self._stop.is_set() or ended())
            except BaseException as error:
                self.failures.append(error)

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def wait_until(self, condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
        """As `conftest.wait_until`; raises what ended the node, if it has ended."""

        def checked() -> Any:
            if self.failures:
                raise self.failures[0]
            return condition()

        return self.observer.wait_until(checked, what, timeout)

    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the node, if the test has not done so; raise what went wrong in it."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop.set()
        self._thread.join(timeout=10.0)
        assert self.has_ended(), "the node's loop did not stop"
        errors = self.node.callback_errors
        self._clean_up()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        if self.failures:
            raise self.failures[0]
        assert self.expects_errors or errors.count == 0, (
            f"{errors.count} callbacks of {self.node.get_name()} raised; the last: {errors.last}"
        )

    def _clean_up(self) -> None:
        """Between the end of the loop and the end of the node."""


class RunningMpc(RunningNode):
    """The node `mpc`, fed by hand with a real camera image, and what it says."""

    def __init__(self, observer: Any, **parameters: Any) -> None:
        from wm_mpc.nodes.mpc.node import Mpc

        create = observer.node.create_publisher
        self._images = create(Image, "camera/image_raw", qos.SENSOR_DATA)
        self._states = create(Odometry, "odom", qos.ROBOT_STATE)
        self._goals = create(Image, "goal/image", qos.LATCHED)
        self._appended = create(Image, "goal/append/image", qos.APPENDED)
        self.plans = observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
        self.diagnostics = observer.listen(DiagnosticArray, "diagnostics", qos.STATUS)
        with simulate(Wall()) as simulation:
            self.image = simulation.reset(episode_rng(3, "node", 0)).image
            self.goal = simulation.goal.observation.image
        # A robot that never moves, whatever it is told, would be a surprise.
        unmoved = {f"surprise.{name}": 0.0 for name in ("image", "slow", "hold")}
        super().__init__(observer, Mpc, Mpc.work, {**unmoved, **parameters})
        self.has_odometry = True
        self._camera_on = threading.Event()
        self._camera = threading.Thread(target=self._run_camera, daemon=True)
        self._camera.start()

    def _run_camera(self):
        """A 20 Hz camera, while it is on."""
        while not self._stop.wait(0.05):
            if self._camera_on.is_set():
                self.send(self.image)

    def start(self):
        """Goal and camera on; waits for the first plan."""
        self.send_goal(self.goal)
        self._camera_on.set()
        self.wait_until(lambda: self.plans and self.plans[-1].points, "a plan")

    def camera(self, on):
        self._camera_on.set() if on else self._camera_on.clear()

    def send(self, image=None, *, message=None, state=(0.0, 0.0), age=0.0):
        stamp = to_stamp(self.now() - round(age * 1e9))
        if self.has_odometry:
            self._states.publish(
                state_to_odometry({"vx": 0.0, "vy": 0.0}, stamp)
                if state == (0.0, 0.0)
                else _odometry(state, stamp)
            )
        message = rgb_to_image(image, stamp) if message is None else message
        message.header.stamp = stamp
        self._images.publish(message)

    def send_goal(self, image):
        self._goals.publish(rgb_to_image(image, to_stamp(self.now())))

    def append_goal(self, image):
        self._appended.publish(rgb_to_image(image, to_stamp(self.now())))

    def now(self):
        return self.observer.node.get_clock().now().nanoseconds

    def message(self):
        """What the newest diagnostics say; empty before the first."""
        return self.diagnostics[-1].status[0].message if self.diagnostics else ""

    def value(self, key):
        """What the newest diagnostics say of something; None before the first."""
        status = self.diagnostics[-1].status[0] if self.diagnostics else DiagnosticStatus()
        return next((entry.value for entry in status.values if entry.key == key), None)

    def wait_for_hold(self, reason, timeout=10.0):
        """Until diagnostics give this reason and the newest plan says hold."""

        def held():
            return (
                self.plans
                and not self.plans[-1].points
                and self.diagnostics
                and reason in self.diagnostics[-1].status[0].message
            )

        self.wait_until(held, f"a hold because of {reason!r}", timeout)
        return self.diagnostics[-1].status[0]

    def wait_for_plans(self, count=2):
        """Until so many more real plans came; returns them."""
        seen = len(self.plans)

        def new():
            return [plan for plan in self.plans[seen:] if plan.points]

        self.wait_until(lambda: len(new()) >= count, "plans")
        return new()

    def set(self, name, value):
        """Set a parameter through the service, as `ros2 param set` does."""
        return self.observer.set("mpc", name, value)

    def change_state(self, transition):
        request = ChangeState.Request()
        request.transition.id = transition
        return self.observer.call(ChangeState, "mpc/change_state", request).success

    def state(self):
        return self.observer.call(GetState, "mpc/get_state").current_state.label

    def _clean_up(self):
        self._camera.join(timeout=1.0)


def _odometry(state, stamp):
    message = Odometry()
    message.header.stamp = stamp
    message.twist.twist.linear.x, message.twist.twist.linear.y = state
    return message
