"""When plans leave the node `mpc`, and for which outputs.

Each output writes its own messages (`output.py`, `registry.py`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.duration import Duration

from wm_mpc.control.following import PlanFollower
from wm_mpc.nodes.mpc.outputs.output import Moment, Output, Plan
from wm_mpc.nodes.mpc.outputs.planned_actions import PlannedActions
from wm_mpc.nodes.mpc.outputs.registry import OUTPUTS, OutputSettings
from wm_mpc.ros.interpreter import undisturbed
from wm_mpc.ros.timing import from_seconds
from wm_mpc.spec import RobotSpec
from wm_mpc.units import SECOND

if TYPE_CHECKING:
    from wm_mpc.nodes.mpc.parameters import MpcSettings

_ACKNOWLEDGED = 0.3  # s to wait for until everybody has the last word
_READ = 0.05  # s, for those who listen to read it
_NO_TIME = Duration(seconds=0)
_STALLED = 3.0  # control periods without a call of the timer, or observation_timeout if longer
_PLAN_TIMEOUT = 1.0  # s, after which the streams rest; three plans, if those take longer


def _no_watch() -> None:
    pass


class PlanPublisher:
    """Sends each plan on `planned_actions`, and on those of `OUTPUTS` that are on.

    Plans and holds leave at once on every output. An output that ends tells the robot to rest
    before. A robot moved by positions rests where it was measured: until then nothing is sent but
    the request to hold, which names no position. Its streams keep the rate limit, whatever plans
    say and however late they come, and never lead it farther away than `limits.lag` allows.

    It lives as long as the node is configured, and is silent before `begin` and after `end`.

    Args:
        node: Whose topics they are.
        spec: The robot.
        settings: The settings `output.*`. Those that publishers are made for stay as they are here.

    Attributes:
        left: When the last plan was handed to the middleware (s, monotonic).
        rivals: Other controllers of the same robot.
    """

    def __init__(self, node: Any, spec: RobotSpec, settings: OutputSettings | None = None) -> None:
        self._node, self._spec = node, spec
        self._planned_actions = PlannedActions(node, spec)
        self.rivals = self._planned_actions.rivals
        made = {
            name: kind(node, spec, settings or OutputSettings()) for name, kind in OUTPUTS.items()
        }
        # Those that stream leave first.
        self._outputs: dict[str, Output] = dict(
            sorted(made.items(), key=lambda o: not o[1].streams)
        )
        self._streams = frozenset(name for name, output in made.items() if output.streams)
        self._lock = threading.Lock()  # of the outputs beside `planned_actions`
        self._on = frozenset[str]()  # names of the outputs that are on
        self._present: Callable[[], Mapping[str, float]] = dict
        self._plan_timeout, self._lag, self._timeout = _PLAN_TIMEOUT, math.inf, math.inf
        self.left = 0.0
        self._watch: Callable[[], None] = _no_watch
        self.begin()
        self._timer = node.create_timer(spec.control_period, self._stream)

    def begin(self, watch: Callable[[], None] | None = None) -> None:
        """Know nothing of what was sent and measured before: meanwhile, others may have moved the
        robot.

        Args:
            watch: Called once in each control period, until the end.
        """
        self._watch = watch or _no_watch
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
        for output in self._outputs.values():
            output.forget()

    def _forget_plan(self) -> None:
        """Streams rest. A robot moved by positions must be measured before."""
        self._follower.reset()
        self._follower.forget_rest()

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
        on = settings.output.on
        with self._lock:
            self._present = newest
            for output in self._outputs.values():
                output.use(settings)
            # Whoever plans seldom is not dead for that.
            self._plan_timeout = max(_PLAN_TIMEOUT, 3.0 / settings.rate)
            self._lag, self._timeout = settings.limits.lag, settings.observation_timeout
            self._follower.plan_timeout, self._follower.lag = self._plan_timeout, self._lag
            if self._on != on:
                self._switch(on, present())

    def _switch(self, on: frozenset[str], measured: Mapping[str, float]) -> None:
        now = self._look()
        self._measured = measured
        self._rest(self._on - on, now)
        new = on - self._on
        if self._spec.rest_is_measured and new & self._streams:
            # It begins where the robot is, not where a plan wants it that others have executed.
            self._forget_plan()
        for name in new:
            self._outputs[name].begin(now)
        self._on = on
        if not self._follower.moves(now):
            self._follower.measure(measured)

    def publish(
        self, stamp: int, actions: np.ndarray, measured: Mapping[str, float] | None = None
    ) -> np.ndarray | None:
        """Send a plan, actions (points, action size), that applies from `stamp` (ns).

        Args:
            stamp: When the first action applies (ns).
            actions: One for each control step; no points: hold.
            measured: Positions by name, as far as known: where the plan begins; present ones, where
                it has no points and means to hold.

        Returns:
            The action (action size,) that the robot executes now; None where it is unknown.

        Raises:
            MessageError: The actions do not fit the robot or are not finite; nothing was sent.
        """
        with undisturbed():
            if len(actions):
                self._send_plan(stamp, actions)
                return self._send_on(stamp, actions, measured or {}, self._present())
            # What moves motors leaves first: most listen to `planned_actions`, and waking them up
            # takes the longest.
            try:
                return self._send_on(stamp, actions, measured or {}, {})
            finally:
                self._send_plan(stamp, actions)

    def _send_plan(self, stamp: int, actions: np.ndarray) -> None:
        self._planned_actions.send(stamp, actions)
        self.left = time.monotonic()

    def _send_on(
        self,
        stamp: int,
        actions: np.ndarray,
        measured: Mapping[str, float],
        newest: Mapping[str, float],
    ) -> np.ndarray | None:
        """On the outputs beside `planned_actions`; see `publish`."""
        with self._lock:
            now = self._look()
            self._measured = measured
            self._follower.offer(stamp, actions, now, measured)
            action = self._follower.action_at(now, newest)
            self._send(self._on, Moment(now, action, Plan(stamp, actions), measured, newest))
            if self._on & self._streams:
                self._timer.reset()  # the next point is due a period from now
            return action

    def hold(self, stamp: int, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """Tell the robot to hold now; see `publish`."""
        return self.publish(stamp, self._nothing, measured)

    @property
    def _nothing(self) -> np.ndarray:
        return np.zeros((0, self._spec.action.size))

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _look(self) -> int:
        """The time (ns), and what follows from it."""
        now, late = self._now(), self._latest
        longest = max(self._timeout, _STALLED * self._spec.control_period)
        gap, why = (now - late) / SECOND, ""
        if now < late - from_seconds(self._spec.control_period):
            why = f"the clock was set back by {-gap:.2f} s"
            self._forget()
        elif late and self._on & self._streams and gap > longest:
            # The plan is of an old observation, and others may have moved the robot meanwhile.
            why = f"nothing was sent for {gap:.2f} s (this node was stopped, or the clock jumped)"
            self._forget_plan()
        if why:
            self._node.get_logger().warning(f"{why}: what was sent before is forgotten")
        self._latest = now
        if not self._on & self._streams:
            self._follower.go_along(now)  # others execute the plan
        return now

    def _stream(self) -> None:
        newest = self._present()
        with undisturbed(), self._lock:  # nobody who holds waits for who sends and waits
            if on := self._on & self._streams:
                now = self._look()
                self._send(on, Moment(now, self._follower.action_at(now, newest)))
        self._watch()

    def _send(self, names: frozenset[str], moment: Moment) -> None:
        for name, output in self._outputs.items():
            if name in names and (moment.action is not None or not output.streams):
                output.send(moment)

    def _rest(self, names: frozenset[str], now: int) -> None:
        """The last word on outputs: a controller would go on with the one before for ever."""
        if not names:
            return
        rest = self._follower.rest_at(now, self._measured)
        self._send(names, Moment(now, rest, Plan(now, self._nothing), self._measured))
        for name in names:
            self._outputs[name].end()

    def end(self) -> None:
        """Say the last word and be silent. It waits, for a moment at most, until all who listen
        have the last messages."""
        self._watch = _no_watch
        with self._lock:  # a callback of the timer that runs is over then, and none follows
            self._rest(self._on & self._streams, self._look())
            self._on = frozenset()
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
        outputs = (output.publisher for output in self._outputs.values())
        return self._planned_actions.publisher, *outputs

    def close(self) -> None:
        """`end`, and leave the topics."""
        self.end()
        self.rivals.close()
        self._node.destroy_timer(self._timer)
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
