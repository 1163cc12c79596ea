"""A client of the node `mpc`: goals, holds and statuses, for programs.

Part of `wm_mpc.client`, from which programs import it. `send_goal` and `take_picture` are thin
commands over it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.statuses import GoalReport, MpcStatus
from wm_mpc.ros import qos
from wm_mpc.ros.camera import camera_of
from wm_mpc.ros.client_errors import ClientError
from wm_mpc.ros.client_goals import GoalState, GoalStates, image_of
from wm_mpc.ros.client_status import NewestStatus
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.running import Stopped, spinning, wait_until
from wm_mpc.ros.status import TOPIC, from_diagnostics, mpc_statuses
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import RobotSpec

Picture: TypeAlias = "np.ndarray | str | Path"
_APPEND = "goal/append/image"
_TOLD = 2.0  # s, for which a hold waits for a status that tells it


class Client:
    """Talks to one running controller. Use as a context manager, or call `close`.

    Args:
        namespace: Of the controller, such as `left`. Empty: none or, with `node`, that of the node
            (`/` for none).
        mpc: Name of the controller's node.
        timeout: How long (s) each call waits for an answer before it raises ClientError.
        node: A node (of rclpy) of yours to use; something else must spin it meanwhile, so do not
            call the client in its callbacks. None: the client makes its own, with a thread.
        domain_id: ROS domain, for a node of its own; None: that of the environment.
        stopped: Ends any waiting as soon as it returns True.
    """

    def __init__(
        self,
        namespace: str = "",
        mpc: str = "mpc",
        *,
        timeout: float = 10.0,
        node: Any = None,
        domain_id: int | None = None,
        stopped: Stopped = lambda: False,
    ) -> None:
        self._mpc, self._timeout, self._stopped = mpc, timeout, stopped
        self._stack = contextlib.ExitStack()
        self._prefix = ""
        if node is None:
            node = self._own_node(namespace, domain_id)
        elif namespace:
            self._prefix = f"/{namespace.strip('/')}/".replace("//", "/")
        self._node = node
        self._lock = threading.Lock()
        self._reports: dict[int, GoalReport] = {}  # by stamp, of all goals ever heard of
        self._listed: tuple[GoalReport, ...] | None = None  # the newest message
        self._newest = NewestStatus()
        self._unreadable = ""  # what it says of goals, for an error
        self._sent = 0  # stamp of the last goal
        self._services: dict[str, Any] = {}
        self._images = node.create_publisher(Image, self._name(_APPEND), qos.APPENDED)
        self._states = GoalStates(node, self._name("goal/append/state"))
        subscribe = node.create_subscription
        self._heard = [
            subscribe(DiagnosticArray, self._name("mpc/goals"), self._on_goals, qos.LATCHED),
            subscribe(DiagnosticArray, TOPIC, self._on_diagnostics, qos.STATUS),
        ]

    def _own_node(self, namespace: str, domain_id: int | None) -> Any:
        context = Context()
        rclpy.init(context=context, domain_id=domain_id)
        self._stack.callback(rclpy.try_shutdown, context=context)
        node = rclpy.create_node("wm_mpc_client", context=context, namespace=namespace)
        self._stack.callback(node.destroy_node)
        ended, stopped = self._stack.enter_context(spinning(node)), self._stopped
        self._stopped = lambda: stopped() or ended()
        return node

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave. Goals that were sent stay."""
        for subscription in self._heard:
            self._node.destroy_subscription(subscription)
        for client in self._services.values():
            self._node.destroy_client(client)
        self._node.destroy_publisher(self._images)
        self._states.close()
        self._stack.close()

    # ------------------------------------------------------------------------------------ goals

    def set_goal(self, image: Picture, state: GoalState | None = None) -> GoalReport:
        """Give a goal in place of all others.

        Args:
            image: The picture to reach: uint8 (height, width, 3) rgb, or a file. It is as the
                camera takes it; larger ones are scaled down.
            state: The robot's state there by name, as the checkpoint names it, or a message of the
                kind that tells the robot's state. None: unknown.

        Returns:
            What became of it so far.

        Raises:
            ClientError: The picture cannot be read, or the controller does not take it.
        """
        return self.send([image], [state])[0]

    def append(self, image: Picture, state: GoalState | None = None) -> GoalReport:
        """Give a goal behind all others; otherwise as `set_goal`."""
        return self.send([image], [state], append=True)[0]

    def send(
        self,
        images: Sequence[Picture],
        states: Sequence[GoalState | None] | None = None,
        *,
        append: bool = False,
    ) -> list[GoalReport]:
        """Give several goals, to be reached one after another.

        Args:
            images: As for `set_goal`.
            states: One for each image; None: all unknown.
            append: Behind the goals that wait, instead of in their place.

        Returns:
            What became of each so far.

        Raises:
            ClientError: A picture cannot be read, or the controller does not take all of them.
        """
        pictures = [image_of(image) for image in images]
        states = [None] * len(pictures) if states is None else list(states)
        if len(states) != len(pictures):
            raise ClientError(f"{len(states)} states for {len(pictures)} images; one each, or none")
        self._wait_for_controller()
        if not append:
            self.clear_goals()
        first, stamps = self._node.get_clock().now().nanoseconds, []
        for number, (picture, state) in enumerate(zip(pictures, states, strict=True)):
            stamp = max(first + number, self._sent + 1)  # each must be of its own
            try:
                message = rgb_to_image(picture, to_stamp(stamp))
            except MessageError as error:
                raise ClientError(f"goal: {error}") from None
            if state is not None:
                self._states.send(state, to_stamp(stamp), self._until)
            self._images.publish(message)
            stamps.append(stamp)
            self._sent = stamp
        if not wait_until(
            lambda: all(stamp in self._reports for stamp in stamps), self._timeout, self._stopped
        ):
            raise ClientError(f"not all goals were taken{self._refusals()}{self._unreadable}")
        return [self._reports[stamp] for stamp in stamps]

    def wait(self, timeout: float | None = None) -> GoalReport:
        """Wait until the goal that was sent last has ended.

        Args:
            timeout: s; None: as long as it takes.

        Returns:
            What became of it, with its `code`. If the time is over first, the goal has not ended,
            and `is_final` is False.

        Raises:
            ClientError: No goal was sent, or the controller has gone, or has forgotten the goal.
        """
        if not self._sent:
            raise ClientError("no goal was sent with this client, so there is none to wait for")
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (report := self.report(self._sent)).is_final:
            left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
            if left <= 0.0 or self._stopped():
                break
            if not wait_until(lambda: self._reports[self._sent].is_final, left, self._stopped):
                self._check_presence()
        return report

    def report(self, stamp: int) -> GoalReport:
        """What became of a goal so far. stamp: of its picture, ns. Raises ClientError when the
        controller does not know it."""
        with self._lock:
            report, listed = self._reports.get(stamp), self._listed or ()
        if report is None or not (report.is_final or report.number in {r.number for r in listed}):
            raise ClientError(
                f"{self._controller()} does not know this goal: was it started again?"
            )
        return report

    @property
    def goals(self) -> tuple[GoalReport, ...]:
        """The latest goals that have ended, the current one, and those that wait. Raises
        ClientError when the controller says nothing."""
        self._until(
            lambda: self._listed is not None,
            f"{self._controller()} tells no goals{self._unreadable}",
        )
        assert self._listed is not None
        return self._listed

    def skip_goal(self) -> bool:
        """Go on with the next goal; whether there was one to leave. Raises ClientError."""
        return bool(self._ask(Trigger, "skip_goal", Trigger.Request()).success)

    def clear_goals(self) -> None:
        """No goal any more: the robot holds. Raises ClientError."""
        self._ask(Trigger, "clear_goals", Trigger.Request())

    # ------------------------------------------------------------------------ holding and status

    def hold(self) -> None:
        """Hold at once, and until `resume`. Raises ClientError."""
        self._set_hold(True)

    def resume(self) -> None:
        """End what `hold` began. Raises ClientError."""
        self._set_hold(False)

    def _set_hold(self, wanted: bool) -> None:
        sent = time.monotonic()
        self._ask(SetBool, "hold", SetBool.Request(data=wanted))
        # It obeys already. An older status may still come; one that is not active tells no hold.
        patience = min(self._timeout, _TOLD)
        wait_until(lambda: self._newest.tells_hold(wanted, sent), patience, self._stopped)

    @property
    def status(self) -> MpcStatus:
        """What the controller does now. Raises ClientError when it says nothing."""
        self._until(self._newest.is_fresh, f"{self._controller()} says nothing on {TOPIC}")
        assert self._newest.status is not None
        return self._newest.status

    def take_picture(
        self, *, compressed: bool = False, robot: RobotSpec | None = None
    ) -> np.ndarray:
        """What the camera sees now: uint8 (height, width, 3) rgb, as large as it comes. It can be
        a goal later.

        Args:
            compressed: Listen to the camera's compressed topic.
            robot: The robot, from its checkpoint; needed for one with several cameras, whose
                pictures come side by side in the model's size.

        Raises:
            ClientError: No picture comes, or it cannot be read.
        """
        with camera_of(self._node, robot, compressed=compressed, name=self._name) as camera:
            return camera.picture(self._timeout, self._stopped)

    # ----------------------------------------------------------------------------------- helpers

    def _name(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _controller(self) -> str:
        return f"the node {self._node.resolve_service_name(self._name(self._mpc))}"

    def _on_goals(self, message: DiagnosticArray) -> None:
        try:
            reports = tuple(from_diagnostics(status, GoalReport) for status in message.status)
        except MessageError as error:  # of another version, perhaps
            self._unreadable = f"; what it says of goals cannot be read: {error}"
            return
        with self._lock:
            self._reports.update({report.stamp: report for report in reports})
            self._listed = reports

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        full = str(self._node.resolve_service_name(self._name(self._mpc))).strip("/")
        for status in mpc_statuses(message):
            if status.node == full:
                self._newest.hear(status)

    def _refusals(self) -> str:
        """What the controller says of goals that it refused, for an error."""
        status = self._newest.status
        said = "" if status is None else status.values.get("goals refused", "")
        return f"; goals refused: {said}" if said else " (the log of mpc says why)"

    def _until(self, condition: Callable[[], Any], otherwise: str) -> None:
        if not wait_until(condition, self._timeout, self._stopped):
            raise ClientError(otherwise)

    def _takes_goals(self) -> bool:
        return bool(self._images.get_subscription_count())

    def _wait_for_controller(self) -> None:
        if not wait_until(self._takes_goals, self._timeout, self._stopped):
            raise ClientError(f"no node {self._mpc} takes goals{self._elsewhere()}")

    def _check_presence(self) -> None:
        """Raises ClientError when the controller has ended."""
        if not self._takes_goals() and not self._newest.is_recent():
            raise ClientError(f"{self._controller()} has gone")

    def _elsewhere(self) -> str:
        """In which other namespaces there are controllers, for an error."""
        own, end = self._images.topic_name, f"/{_APPEND}"
        names = [name for name, _ in self._node.get_topic_names_and_types() if name.endswith(end)]
        others = [name for name in names if name != own and self._node.count_subscribers(name)]
        if not others:
            return ""
        found = ", ".join(sorted(name.removesuffix(end) or "/" for name in others))
        return f" in the namespace {own.removesuffix(end) or '/'}; there is one in: {found}"

    def _ask(self, kind: Any, name: str, request: Any) -> Any:
        """The response of a service of the controller."""
        full = self._name(f"{self._mpc}/{name}")
        if name not in self._services:
            self._services[name] = self._node.create_client(kind, full)
        client = self._services[name]
        self._until(client.service_is_ready, f"there is no service {client.srv_name}")
        answer = client.call_async(request)
        self._until(answer.done, f"the service {client.srv_name} does not answer")
        self._newest.answered()
        return answer.result()
