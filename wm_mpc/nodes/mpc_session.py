"""From activation to deactivation of the node `mpc`: observe, plan, check, send, or hold.

Whatever goes wrong ends in the same place: `_hold` tells the robot to stand still and reports why,
until the cause is gone.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wm_mpc.control.goals import Goal
from wm_mpc.control.receding_horizon import ControlPlan, PlanningError, RecedingHorizon
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.validator import Validation, Verdict
from wm_mpc.model.world_model import WorldModel
from wm_mpc.nodes.mpc_endpoints import Endpoints
from wm_mpc.nodes.mpc_goals import Goals
from wm_mpc.nodes.mpc_inputs import Snapshot
from wm_mpc.nodes.mpc_parameters import Configs
from wm_mpc.nodes.mpc_statistics import Statistics
from wm_mpc.nodes.mpc_trust import ERROR, OK, WARN, HoldError, Trust
from wm_mpc.ros.errors import MessageError
from wm_mpc.ros.handover import Handover
from wm_mpc.ros.schedule import PlanSchedule
from wm_mpc.ros.timing import StageClock, from_seconds
from wm_mpc.units import SECOND

Report = Callable[[int, str], None]
_HELD = "holding as asked by the service ~/hold"
_PRESENT = 0.2  # s, for which a robot's state tells where it is now


class Session:
    """Planning with one world model. `step` runs in the planning thread; the rest anywhere."""

    def __init__(
        self,
        node: Any,
        endpoints: Endpoints,
        model: WorldModel,
        values: Mapping[str, Any],
        statistics: Statistics,
        goals: Goals,
        report: Report,
        wake: threading.Event,
    ) -> None:
        self._node, self._model, self._report = node, model, report
        self._statistics = statistics
        self._lockstep = bool(values["lockstep"])
        # A plan is published under it, so none leaves after `close`.
        self._lock = threading.RLock()
        self._closed = self.held_by_person = False
        # Stamp (ns) and rest of a person's hold that the planning thread has not noted yet.
        self._stopped: tuple[int, np.ndarray | None] | None = None
        self._executed = Timeline.of(model.spec)
        self._controller = RecedingHorizon(model, values["seed"], self._executed)
        self._next: tuple[WorldModel, RecedingHorizon] | None = None
        self._configs = Configs()
        self._trust = statistics.trust = Trust(model)
        self._schedule = PlanSchedule()
        self._handover = Handover(wake)
        self._usual = statistics.latency.summary().p50  # s, how long planning takes
        self._goals = goals
        self._used_goal: tuple[int, int] | None = None  # number and revision
        self._answered: tuple[int, np.ndarray, Mapping[str, float]] | None = None  # the last plan
        self._plans, self._pictures = endpoints.plans, endpoints.pictures
        self._inputs = statistics.inputs = endpoints.inputs
        self._plans.begin()
        self._pictures.use(model)
        self._used_image = self._inputs.image_number
        self._inputs.begin(self._on_image, self._handover.over)
        goals.when_none(self.hold_at_once)

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _on_image(self) -> None:
        self._schedule.arrived(self._now())
        self._handover.offer()

    def close(self) -> None:
        """Tell the robot to hold and send nothing any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stand_still()
            self._goals.when_none()
            self._inputs.end()
            self._plans.end()

    def _stand_still(self) -> tuple[int, np.ndarray | None]:
        """Tell the robot to hold; the stamp (ns) of that, and the action (action size,) that it
        rests with, None where a position robot has not been measured."""
        with self._lock:
            now, measured = self._now(), self._measured()
            self._statistics.no_rest = self._model.spec.why_no_rest(measured)
            return now, self._plans.hold(now, measured)

    def _measured(self) -> dict[str, float]:
        """Present positions by name."""
        return self._inputs.measured_positions(_PRESENT)

    def hold_at_once(self) -> None:
        """A person wants it, whatever is being planned: that will not be sent. In lockstep the
        robot stands until it gets an answer, which will be to hold."""
        with self._lock:
            if not self._closed and not self._lockstep:
                self._stopped = self._stand_still()

    def _know_it_stands(self, stamp: int, rest: np.ndarray | None) -> None:
        """The robot rests from `stamp` (ns) on: the next plan begins there."""
        self._executed.hold(stamp, rest)
        self._controller.forget()
        self._answered = self._stopped = None

    def use(self, model: WorldModel, seed: int) -> None:
        """Plan with another world model of the same robot from the next plan on."""
        following = (model, RecedingHorizon(model, seed, self._executed))
        with self._lock:
            self._next = following

    def _take_next_model(self) -> None:
        """Between two plans: none is begun with one model and sent or drawn with another."""
        with self._lock:
            if self._next is None:
                return
            (self._model, self._controller), self._next = self._next, None
            self._pictures.use(self._model)
            self._trust.use(self._model)

    def wait_until_due(self, values: Mapping[str, Any]) -> bool:
        """Whether it is time for `step`; if it is not, it may be after a little sleep."""
        due, remaining = self._is_due(values)
        if due:
            return True
        self._plans.rivals.listen()
        self._handover.sleep(min(remaining, 0.02))
        return self._is_due(values)[0]

    def _is_due(self, values: Mapping[str, Any]) -> tuple[bool, float]:
        """And how long (s) it will not be, unless an image comes."""
        is_new = self._inputs.image_number != self._used_image
        if self._lockstep:
            return is_new, 0.05
        period, now = from_seconds(1.0 / values["rate"]), self._now()
        due = self._schedule.is_due(now, period, is_new=is_new)
        return due, self._schedule.remaining(now) / SECOND or 0.005

    def step(self, values: Mapping[str, Any]) -> None:
        """Make and send one plan, or hold."""
        self._take_next_model()
        with self._lock:
            if self._closed:
                return
            if self._stopped is not None:
                self._know_it_stands(*self._stopped)
            self._plans.use(values, self._measured)
        now = self._now()
        if not self._lockstep:
            period = from_seconds(1.0 / values["rate"])
            self._statistics.overruns += self._schedule.planned(now, period)
        used, self._used_image = self._used_image, self._inputs.image_number
        try:
            snapshot, goal = self._usable(values, now)
            assert snapshot.image is not None
            stamp = snapshot.image.stamp
            if self._lockstep and self._repeat_answer(stamp):
                return
            watch = StageClock(snapshot.image.received, snapshot.image.trip)
            plan, checked, measured = self._plan(snapshot, goal, stamp, values, watch)
            sent = self._send(plan, checked, stamp, measured, values, watch)
        except (HoldError, MessageError, PlanningError) as error:
            self._hold(str(error), getattr(error, "level", ERROR))
        except Exception as error:  # a fault of ours must not leave the robot moving either
            self._hold(f"planner fault: {error!r}", ERROR)
        else:
            # Now, when nobody waits for it.
            self._trust.follow(plan, stamp, self._executed)
            self._see_goal(goal, plan, values)
            self._usual = self._statistics.latency.summary().p50
            if sent and self._used_image != used:
                # An image that is planned from again says nothing of how long its plan took.
                self._statistics.stages.add(watch.seconds)

    def _usable(self, values: Mapping[str, Any], begun: int) -> tuple[Snapshot, Goal]:
        """The newest inputs of a step begun at a moment (ns), and what to reach; raises HoldError
        when they are incomplete or too old."""
        if self.held_by_person:
            raise HoldError(_HELD)
        if self._plans.rivals.is_there:
            raise HoldError("another node plans for this robot, too (topic planned_actions)", ERROR)
        self._trust.check_pause(begun)
        snapshot = self._inputs.snapshot(
            wait_for_state=1.0 if self._lockstep else 0.01, always_wait=self._lockstep
        )
        timeout = values["observation_timeout"]
        found = self._inputs.why_unusable(snapshot, timeout, lockstep=self._lockstep)
        if found.hold:
            raise HoldError(found.hold, ERROR if found.is_fault else WARN)
        # Half a period less, so that the picture of that moment is the last to count.
        patience = max(0.5 * timeout, timeout - 0.5 * self._model.spec.control_period)
        if not self._lockstep and (frozen := self._inputs.repeats_image(patience)):
            raise HoldError(
                f"the camera has repeated one image for {frozen:.1f} s, but the robot moves", ERROR
            )
        self._goals.take(snapshot)
        goal = self._goals.current
        if goal is None:
            raise HoldError(self._goals.why_none())
        return snapshot, goal

    def _repeat_answer(self, stamp: int) -> bool:
        """Whether this observation was answered before; the answer may have been lost, so it is
        sent again."""
        if self._answered is None or self._answered[0] != stamp:
            return False
        with self._lock:
            if not self._closed:
                self._plans.publish(*self._answered)
        return True

    def _plan(
        self,
        snapshot: Snapshot,
        goal: Goal,
        stamp: int,
        values: Mapping[str, Any],
        watch: StageClock,
    ) -> tuple[ControlPlan, Validation, dict[str, float]]:
        """A plan, what of it may be sent, and the positions by name that it begins from."""
        assert snapshot.image is not None
        watch.lap("wait")
        inputs, controller = self._inputs, self._controller
        image = inputs.image_array(snapshot.image.message)
        state = np.zeros(0, np.float32)
        if inputs.needs_state:
            assert snapshot.state is not None
            state = snapshot.state.values
        if (goal.number, goal.revision) != self._used_goal or not controller.has_goal:
            controller.set_goal(*inputs.goal_arrays(goal.content.image, goal.content.state))
            self._used_goal = goal.number, goal.revision
        planner, objective = self._configs.of(values)
        budget = values["time_budget"]
        arrival = self._now()
        if not self._lockstep:  # there, nothing is executed while planning
            arrival += from_seconds(budget if math.isnan(self._usual) else self._usual)
        measured = {**self._measured(), **inputs.state_positions(state)}
        rest = self._model.spec.rest(measured)
        if rest is None:
            raise HoldError(self._model.spec.why_no_rest(measured))
        committed = self._executed.between(stamp, arrival, rest)
        if len(committed) >= planner.horizon * self._model.spec.frame_skip:
            raise HoldError("planning takes longer than the plan lasts: observations are too old")
        watch.lap("convert")
        plan = controller.plan(
            image,
            state,
            stamp / SECOND,
            planner=planner,
            objective=objective,
            committed=committed,
            budget=math.inf if self._lockstep else budget,
            searching=self._handover.over,
            rest=rest,
        )
        checked = self._trust.check(
            plan, image, stamp,
            now=self._now(),
            fixed=len(committed),
            timeout=math.inf if self._lockstep else values["observation_timeout"],
            rest=rest,
            executed=self._executed,
            values=values,
        )  # fmt: skip
        watch.lap_two("encode", "plan", plan.encode_seconds)
        self._statistics.latency.add(plan.encode_seconds + plan.plan_seconds)
        self._statistics.encoding.add(plan.encode_seconds)
        return plan, checked, measured

    def _send(
        self,
        plan: ControlPlan,
        checked: Validation,
        stamp: int,
        measured: Mapping[str, float],
        values: Mapping[str, Any],
        watch: StageClock,
    ) -> bool:
        """Whether it was sent. Raises HoldError when a person does not want it any more."""
        actions = checked.actions
        with self._lock:
            if self._closed:
                return False
            if self.held_by_person:
                raise HoldError(_HELD)
            if self._stopped is not None:
                raise HoldError("a person stopped the robot while this was planned")
            self._plans.publish(stamp, actions, measured)
            watch.lap("publish", self._plans.left)
            self._executed.put(stamp, actions)
            self._answered = (stamp, actions, measured)
            self._statistics.plans += 1
            self._statistics.last_plan = plan
            pose = self._inputs.newest_pose()
            self._pictures.publish(plan, stamp, values["frame_id"], pose)
        degraded = checked.verdict is not Verdict.SUCCESS
        reason = checked.reason if degraded else self._inputs.warning
        self._report(
            WARN if reason else OK, f"planning, degraded: {reason}" if reason else "planning"
        )
        return True

    def _see_goal(self, goal: Goal, plan: ControlPlan, values: Mapping[str, Any]) -> None:
        """How far the goal is, as goals are compared, in what a scene covers in a model step."""
        usual = self._model.familiarity
        distance = math.nan
        if usual is not None and usual.step > 0.0:
            weight = values["cost.state_weight"]
            distance = self._controller.goal_distance(plan.latents[0], weight) / usual.step
        self._goals.see(goal.number, distance, self._now(), values)

    def _hold(self, reason: str, level: int) -> None:
        with self._lock:
            if self._closed:
                return
            self._know_it_stands(*self._stand_still())
            self._statistics.holds += 1
        nothing = self._statistics.no_rest
        if nothing and nothing not in reason:
            reason = f"{reason}; nothing is sent: {nothing}"
        self._report(level, f"holding: {reason}")
