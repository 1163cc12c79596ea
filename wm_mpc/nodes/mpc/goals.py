"""The goals of the node `mpc`: the one on `goal/image`, or several on `goal/append/image`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from wm_mpc.codes import GoalCode
from wm_mpc.control.goals import Goal, GoalQueue, GoalStatus
from wm_mpc.control.same_goal import differs_by_noise, same_picture
from wm_mpc.control.settings import GoalSettings
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.statuses import GoalReport
from wm_mpc.nodes.mpc.inputs import Inputs
from wm_mpc.nodes.mpc.snapshots import Snapshot
from wm_mpc.nodes.mpc.states import STATE_TYPES
from wm_mpc.ros import qos
from wm_mpc.ros.status import to_diagnostics
from wm_mpc.ros.timing import to_nanoseconds

_STATES = 200  # goal states kept for pictures that are still to come


@dataclasses.dataclass(frozen=True)
class GoalMessages:
    """image: the picture to reach. state: the robot's state there; None when unknown."""

    image: Any
    state: Any | None


class Goals:
    """Receives goals, hands out the one to plan for, and tells of all on `mpc/goals`.

    Goals are checked when they come: one that cannot be read is refused, and no other is lost.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._inputs: Inputs | None = None
        self._on_none: Callable[[], None] = lambda: None
        self._queue = GoalQueue()
        self._single: GoalMessages | None = None  # of goal/image and goal/state
        self._single_number = 0
        self._single_pixels: np.ndarray | None = None  # of the picture it began with
        self._states: dict[int, Any] = {}  # by stamp
        self._tolerance = math.nan
        self._publisher = node.create_publisher(DiagnosticArray, "mpc/goals", qos.LATCHED)
        self._subscriptions: list[Any] = []
        node.create_service(Trigger, "~/skip_goal", self._on_skip)
        node.create_service(Trigger, "~/clear_goals", self._on_clear)

    def begin(self, inputs: Inputs, on_none: Callable[[], None] = lambda: None) -> None:
        """Receive goals, as `inputs` can read them. on_none: see `when_none`."""
        self._inputs, self._on_none = inputs, on_none
        state = STATE_TYPES[inputs.state_source]
        subscribe = self._node.create_subscription
        self._subscriptions = [
            subscribe(state, "goal/append/state", self._append_state, qos.APPENDED),
            subscribe(Image, "goal/append/image", self._append_image, qos.APPENDED),
        ]

    def when_none(self, call: Callable[[], None] = lambda: None) -> None:
        """call: from now on, when a person has taken away the last goal."""
        self._on_none = call

    def end(self) -> None:
        """Receive none; those that came are kept."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self._on_none = lambda: None

    def forget(self) -> None:
        """Another robot may come now."""
        self._queue.clear("the node was cleaned up")
        self._single = None
        self.publish()

    # ----------------------------------------------------------------------------- they come

    def take(self, snapshot: Snapshot) -> None:
        """Notice a new `goal/image`, which counts at once, or a new `goal/state` for it.

        The same pixels are the same goal, whatever their stamp, and so is a picture that differs by
        a camera's noise only; it is planned for as it came last. When that goal has ended, a person
        who sends its picture again wants it again; a picture that repeats itself does not.
        """
        found, before = GoalMessages(snapshot.goal_image, snapshot.goal_state), self._single
        if found.image is None:
            return
        if before is not None and found.image is before.image and found.state is before.state:
            return
        self._single = found
        is_exact = before is not None and same_picture(found.image, before.image)
        if before is None or not (is_exact or self._is_noise(found.image)):
            self._begin_single(found)
        elif self._queue.has_ended(self._single_number):
            if not snapshot.goal_is_repeated and not _came_twice(found.image, before.image):
                self._begin_single(found)
        else:
            counts = not (is_exact and self._is_state(found.state, before.state))
            self._queue.exchange(self._single_number, found, counts=counts)

    def _begin_single(self, found: GoalMessages) -> None:
        self._single_number = self._queue.replace(found).number
        # Compared with this one, not with the one before: many small changes make a large one.
        self._single_pixels = self._pixels(found.image)
        self.publish()

    def _is_noise(self, image: Any) -> bool:
        """Whether a picture differs by noise only from that which the single goal began with."""
        first, new = self._single_pixels, self._pixels(image)
        return first is not None and new is not None and differs_by_noise(first, new)

    def _is_state(self, first: Any, second: Any) -> bool:
        """Whether two messages, or none, tell the same state."""
        if first is None or second is None or self._inputs is None:
            return first is second
        return self._inputs.same_state(first, second)

    def _pixels(self, image: Any) -> np.ndarray | None:
        """As the model sees it; None when it cannot be read."""
        try:
            return None if self._inputs is None else self._inputs.image_array(image)
        except MessageError:
            return None

    def _append_state(self, message: Any) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        try:
            assert self._inputs is not None
            self._inputs.check_goal(None, message)
        except MessageError as error:
            self._refuse("goal/append/state", error)
            return
        self._states[stamp] = message
        while len(self._states) > _STATES:
            del self._states[next(iter(self._states))]
        for goal in reversed(self._queue.all()):
            image = goal.content.image
            is_appended = goal.number != self._single_number
            if stamp and is_appended and to_nanoseconds(image.header.stamp) == stamp:
                self._queue.exchange(goal.number, GoalMessages(image, message))
                break

    def _append_image(self, message: Any) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        # Without a stamp, nothing tells which state belongs to it.
        goal = GoalMessages(message, self._states.get(stamp) if stamp else None)
        try:
            assert self._inputs is not None
            self._inputs.check_goal(goal.image, goal.state)
            self._queue.append(goal)
        except (MessageError, ValueError) as error:
            self._refuse("goal/append/image", error)
            return
        self._inputs.refused_goals.accept()
        self.publish()

    def _refuse(self, topic: str, error: Exception) -> None:
        if self._inputs is not None:
            self._inputs.refused_goals.refuse(topic, error)

    # --------------------------------------------------------------------------- they are used

    @property
    def current(self) -> Goal | None:
        return self._queue.current

    def why_none(self) -> str:
        """Why there is no goal, for a person."""
        refused = "" if self._inputs is None else self._inputs.refused_goals.newest
        refusal = f"; the newest was refused: {refused}" if refused else ""
        ended = self._queue.all()
        if not ended:
            return f"no goal received yet{refusal}"
        last = ended[-1]
        reason = f": {last.reason}" if last.reason else ""
        return f"no goal any more; goal {last.number} was {last.status.value}{reason}{refusal}"

    def see(self, number: int, distance: float, now: int, settings: GoalSettings) -> None:
        """A plan for a goal has left. distance: of what was planned from, in model steps. now:
        ns."""
        self._tolerance = settings.tolerance
        ended = self._queue.see(
            number, distance, 1e-9 * now,
            tolerance=self._tolerance, timeout=settings.timeout,
        )  # fmt: skip
        if ended is not None:
            text = f"goal {number} {ended.status.value} after {ended.seconds:.1f} s"
            self._node.get_logger().info(f"{text}: {ended.reason}" if ended.reason else text)
            self.publish()

    def _on_skip(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._queue.skip()
        response.message = self.summary() if response.success else "there is no goal to skip"
        self._changed_by_person()
        return response

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, count = True, self._queue.clear()
        response.message = f"{count} goals cancelled"
        self._changed_by_person()
        return response

    def _changed_by_person(self) -> None:
        if self._queue.current is None:
            self._on_none()
        self.publish()

    # ------------------------------------------------------------------------------- they tell

    def summary(self) -> str:
        """Of the present moment, for diagnostics."""
        current = self._queue.current
        waiting = sum(goal.status is GoalStatus.WAITING for goal in self._queue.all())
        now = f"goal {current.number} {current.status.value}" if current else "no goal"
        return f"{now}, {waiting} waiting"

    def values(self) -> dict[str, object]:
        current = self._queue.current
        distance = math.nan if current is None else current.distance
        told = "not known" if math.isnan(distance) else f"{distance:.2f}"
        has_state = current is not None and current.content.state is not None
        return {
            "goal": self.summary(),
            "goal distance (model steps)": told,
            "goal state": "known" if has_state else "not known",
        }

    def publish(self) -> None:
        """Say of all goals what became of them."""
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        for goal in self._queue.all():
            report = GoalReport(
                goal.number,
                GoalCode[goal.status.name],
                goal.reason,
                to_nanoseconds(goal.content.image.header.stamp),
                goal.distance,
                self._tolerance,
                goal.seconds,
            )
            array.status.append(to_diagnostics(report))
        self._publisher.publish(array)


def _came_twice(first: Any, second: Any) -> bool:
    """Whether two images are one message, as latched ones come again to a new subscription. What
    has no stamp is taken for another one."""
    return first is second or bool(to_nanoseconds(first.header.stamp) and first == second)
