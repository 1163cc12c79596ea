"""From activation to deactivation of the node `mpc`: drives the control loop, and sends or holds.

`wm_mpc.control.loop` decides. Here is what it needs of ROS: threads, topics and reports.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wm_mpc.codes import HoldCode, StatusCode, WarningCode
from wm_mpc.control.goals import Goal
from wm_mpc.control.holds import HoldError
from wm_mpc.control.loop import ControlLoop, Hold, Send, SendAgain
from wm_mpc.control.schedule import PlanSchedule
from wm_mpc.control.settings import ControlSettings
from wm_mpc.messages.errors import MessageError
from wm_mpc.model.world_model import WorldModel
from wm_mpc.nodes.mpc.endpoints import Endpoints
from wm_mpc.nodes.mpc.goals import Goals
from wm_mpc.nodes.mpc.inputs import Inputs, Snapshot
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.nodes.mpc.statistics import Statistics
from wm_mpc.ros.handover import Handover
from wm_mpc.ros.interpreter import undisturbed
from wm_mpc.ros.status import ERROR, OK, WARN
from wm_mpc.ros.timing import StageClock, from_seconds
from wm_mpc.units import SECOND

Report = Callable[..., None]
_PRESENT = 0.2  # s, for which a robot's state tells where it is now
_MOMENT = 0.05  # s, for which it tells where a robot is that moves


class _Observation:
    """A snapshot of the inputs as the control loop wants it; see `control.loop.Observation`."""

    def __init__(self, inputs: Inputs, snapshot: Snapshot) -> None:
        assert snapshot.image is not None
        self._inputs, self._snapshot, self._image = inputs, snapshot, snapshot.image
        self.stamp = snapshot.image.stamp
        self.clock = StageClock(snapshot.image.received, snapshot.image.trip)
        self.lap = self.clock.lap

    def image(self) -> np.ndarray:
        with _readable():
            return self._inputs.image_array(self._image.message)

    def state(self) -> np.ndarray:
        if not self._inputs.needs_state:
            return np.zeros(0, np.float32)
        assert self._snapshot.state is not None
        return self._snapshot.state.values


class _World:
    """The node's topics as the control loop wants them; see `control.loop.World`."""

    def __init__(
        self, node: Any, inputs: Inputs, goals: Goals, rivals: Any, *, lockstep: bool
    ) -> None:
        self._node, self._inputs, self._goals, self._rivals = node, inputs, goals, rivals
        self._lockstep = lockstep
        self.positions = inputs.state_positions

    def now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def has_rival(self) -> bool:
        return bool(self._rivals.is_there)

    def observe(self, settings: ControlSettings) -> _Observation:
        inputs, lockstep, timeout = self._inputs, self._lockstep, settings.observation_timeout
        snapshot = inputs.snapshot(wait_for_state=1.0 if lockstep else 0.01, always_wait=lockstep)
        found = inputs.why_unusable(snapshot, timeout, lockstep=lockstep)
        if found.hold:
            raise HoldError(found.code or HoldCode.FAULT, found.hold, is_fault=found.is_fault)
        # Half a period less, so that the picture of that moment is the last to count.
        patience = max(0.5 * timeout, timeout - 0.5 * inputs.spec.control_period)
        if not lockstep and (frozen := inputs.repeats_image(patience)):
            reason = f"the camera has repeated one image for {frozen:.1f} s, but the robot moves"
            raise HoldError(HoldCode.FROZEN_IMAGE, reason, is_fault=True)
        with _readable():
            self._goals.take(snapshot)
        return _Observation(inputs, snapshot)

    def goal(self) -> Goal | None:
        return self._goals.current

    def why_no_goal(self) -> str:
        return self._goals.why_none()

    def goal_arrays(self, goal: Goal) -> tuple[np.ndarray, np.ndarray | None]:
        with _readable():
            return self._inputs.goal_arrays(goal.content.image, goal.content.state)

    def measured(self) -> dict[str, float]:
        return self._inputs.measured_positions(_PRESENT)

    def newest(self) -> dict[str, float]:
        """Positions by name that were measured within the last moment."""
        return self._inputs.measured_positions(_MOMENT)


class Session:
    """Planning from activation to deactivation. `step` runs in the planning thread; the rest
    anywhere."""

    def __init__(
        self,
        node: Any,
        endpoints: Endpoints,
        model: WorldModel,
        settings: MpcSettings,
        statistics: Statistics,
        goals: Goals,
        report: Report,
        wake: threading.Event,
    ) -> None:
        self._report, self._goals, self._statistics = report, goals, statistics
        self._lockstep = settings.lockstep
        # A plan is published under it, so none leaves after `close`. A hold waits for nothing else.
        self._lock = threading.RLock()
        self._drawing = threading.Lock()  # pictures are drawn under it, so none leaves after that
        self._closed = False
        self._plans, self._pictures = endpoints.plans, endpoints.pictures
        self._inputs = statistics.inputs = endpoints.inputs
        self._handover = Handover(wake)
        self._world = _World(node, self._inputs, goals, self._plans.rivals, lockstep=self._lockstep)
        self._loop = ControlLoop(
            model,
            settings.seed,
            self._world,
            lockstep=self._lockstep,
            searching=self._handover.over,
        )
        statistics.trust = self._loop.trust
        self._loop.usual = statistics.latency.summary().p50
        self._schedule = PlanSchedule()
        self._plans.begin()
        self._pictures.use(model)
        self._used_image = self._inputs.image_number
        self._inputs.begin(self._on_image, self._handover.over)
        goals.when_none(self.hold_at_once)

    def _on_image(self) -> None:
        self._schedule.arrived(self._world.now())
        self._handover.offer()

    # ------------------------------------------------------------------------ from other threads

    def close(self) -> None:
        """Tell the robot to hold and send nothing any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stand_still(self._world.now())
            self._goals.when_none()
            self._inputs.end()
            self._plans.end()
        with self._drawing:
            pass

    @property
    def held_by_person(self) -> bool:
        """Whether a person wants the robot to hold, from the next plan on."""
        return self._loop.held_by_person

    @held_by_person.setter
    def held_by_person(self, asked: bool) -> None:
        self._loop.held_by_person = asked

    def hold_at_once(self) -> None:
        """A person wants it, whatever is being planned: that will not be sent. In lockstep the
        robot stands until it gets an answer, which will be to hold."""
        decided = self._world.now()
        with undisturbed(), self._lock:
            if not self._closed and not self._lockstep:
                self._loop.stop(*self._stand_still(decided))

    def use(self, model: WorldModel, seed: int) -> None:
        """Plan with another world model of the same robot from the next plan on."""
        with self._lock:
            self._loop.use(model, seed)

    def _stand_still(self, decided: int) -> tuple[int, np.ndarray | None]:
        """Tell the robot to hold. decided: when it was decided (ns), which is the hold's stamp.
        Returns that stamp, and the action (action size,) that the robot rests with, None where a
        position robot has not been measured."""
        with self._lock:
            measured = self._world.measured()
            rest = self._plans.hold(decided, measured)
            self._statistics.no_rest = self._loop.model.spec.why_no_rest(measured)
            return decided, rest

    # ---------------------------------------------------------------------- the planning thread

    def wait_until_due(self, rate: float) -> bool:
        """Whether it is time for `step`; if it is not, it may be after a little sleep. rate: plans
        per second."""
        due, remaining = self._is_due(rate)
        if due:
            return True
        self._plans.rivals.listen()
        self._handover.sleep(min(remaining, 0.02))
        return self._is_due(rate)[0]

    def _is_due(self, rate: float) -> tuple[bool, float]:
        """And how long (s) it will not be, unless an image comes."""
        is_new = self._inputs.image_number != self._used_image
        if self._lockstep:
            return is_new, 0.05
        period, now = from_seconds(1.0 / rate), self._world.now()
        due = self._schedule.is_due(now, period, is_new=is_new)
        return due, self._schedule.remaining(now) / SECOND or 0.005

    def step(self, settings: MpcSettings) -> None:
        """Make and send one plan, or hold."""
        world = self._world
        with self._lock:
            if self._closed:
                return
            # Between two plans: none is begun with one model and sent or drawn with another.
            if (model := self._loop.begin()) is not None:
                self._pictures.use(model)
            self._plans.use(settings, world.measured, world.newest)
        if not self._lockstep:
            period = from_seconds(1.0 / settings.rate)
            self._statistics.overruns += self._schedule.planned(world.now(), period)
        used, self._used_image = self._used_image, self._inputs.image_number
        decision = self._loop.decide(settings)
        try:
            if isinstance(decision, Send):
                self._send(decision, settings, is_new=self._used_image != used)
            elif isinstance(decision, SendAgain):
                self._send_again(decision)
            else:
                self._hold(decision)
        except Exception as error:  # a fault of ours must not leave the robot moving either
            self._hold(Hold(HoldCode.FAULT, f"fault of the node: {error!r}", True))

    def _send_again(self, answer: SendAgain) -> None:
        with self._lock:
            if not self._closed:
                self._plans.publish(answer.stamp, answer.actions, answer.measured)

    def _send(self, plan: Send, settings: MpcSettings, *, is_new: bool) -> None:
        """is_new: an image that is planned from again says nothing of how long its plan took."""
        observation = plan.observation
        assert isinstance(observation, _Observation)  # as `_World.observe` made it
        clock = observation.clock
        searched, encoded = plan.plan.plan_seconds, plan.plan.encode_seconds
        clock.lap_two("encode", "plan", encoded)
        statistics = self._statistics
        statistics.latency.add(encoded + searched)
        statistics.encoding.add(encoded)
        with self._lock:
            if self._closed:
                return
            if (hold := self._loop.may_send()) is not None:
                self._hold(hold)
                return
            self._plans.publish(plan.stamp, plan.actions, plan.measured)
            clock.lap("publish", self._plans.left)
            self._loop.sent(plan)
            statistics.plans += 1
            statistics.last_plan = plan.plan
        self._draw(plan, settings.frame_id)
        warned = {WarningCode.PLAN_CHANGED: plan.degraded} if plan.degraded else {}
        if warned := {**warned, **self._inputs.warned()}:
            text = plan.degraded or "; ".join(warned.values())
            self._report(WARN, StatusCode.DEGRADED, f"planning, degraded: {text}", warned)
        else:
            self._report(OK, StatusCode.PLANNING, "planning")
        # Now, when nobody waits for it.
        distance = self._loop.reflect(plan, settings)
        self._goals.see(plan.goal.number, distance, self._world.now(), settings.goal)
        self._loop.usual = statistics.latency.summary().p50
        if is_new:
            statistics.stages.add(clock.seconds)

    def _draw(self, plan: Send, frame_id: str) -> None:
        """Pictures may take long."""
        with self._drawing:
            if not self._closed:
                pose = self._inputs.newest_pose()
                self._pictures.publish(plan.plan, plan.stamp, frame_id, pose)

    def _hold(self, hold: Hold) -> None:
        with undisturbed(), self._lock:
            if self._closed:
                return
            self._loop.stands(*self._stand_still(self._world.now()))
            self._statistics.holds += 1
        nothing, reason = self._statistics.no_rest, hold.reason
        if nothing and nothing not in reason:
            reason = f"{reason}; nothing is sent: {nothing}"
        self._report(ERROR if hold.is_fault else WARN, hold.code, f"holding: {reason}")


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """A message that cannot be read is a reason to hold."""
    try:
        yield
    except MessageError as error:
        raise HoldError(HoldCode.UNREADABLE, str(error), is_fault=True) from None
