"""From activation to deactivation of the node `mpc`: drives the control loop, and sends or holds.

`wm_mpc.control.loop` decides. Here is what it needs of ROS: threads, topics and reports.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from wm_mpc.codes import HoldCode, StatusCode, WarningCode
from wm_mpc.control.loop import GOALS_GONE, STOPPED, ControlLoop, Hold, Send, SendAgain
from wm_mpc.control.schedule import PlanSchedule, StandingClock
from wm_mpc.control.settings import ControlSettings
from wm_mpc.model.conditions import foreign_warning, shift_warning
from wm_mpc.model.world_model import WorldModel
from wm_mpc.nodes.mpc.endpoints import Endpoints
from wm_mpc.nodes.mpc.goals import Goals
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.nodes.mpc.statistics import Statistics
from wm_mpc.nodes.mpc.world import NodeObservation, NodeWorld
from wm_mpc.ros.handover import Handover
from wm_mpc.ros.interpreter import undisturbed
from wm_mpc.ros.status import ERROR, OK, WARN
from wm_mpc.ros.timing import from_seconds
from wm_mpc.units import SECOND

_BUSY = 0.9  # of the time between two plans; then the thread waits for the next observation
Report = Callable[..., None]


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
        self._world = NodeWorld(
            node, self._inputs, goals, self._plans.rivals, lockstep=self._lockstep
        )
        self._loop = ControlLoop(
            model,
            settings.seed,
            self._world,
            lockstep=self._lockstep,
            searching=self._handover.over,
        )
        statistics.trust = self._loop.trust
        self._loop.usual = statistics.latency.summary().p50
        self._schedule, self._standing = PlanSchedule(), StandingClock()
        self._stepped = 0.0  # s, monotonic
        self._settings: MpcSettings = settings  # of the last step
        self._plans.begin(self._watch if model.spec.rest_is_measured else None)
        self._pictures.use(model)
        self._used_image = self._inputs.image_number
        self._inputs.begin(self._on_image, self._handover.over)
        goals.when_none(lambda: self.hold_at_once(GOALS_GONE))

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

    def hold_at_once(self, why: Hold = STOPPED) -> None:
        """Hold, whatever is being planned: that will not be sent. In lockstep the robot stands
        until it gets an answer, which will be to hold. why: by default, a person wants it."""
        decided = self._world.now()
        with undisturbed(), self._lock:
            if not self._closed and not self._lockstep:
                self._loop.stop(*self._stand_still(decided), why)

    def _watch(self) -> None:
        """Once in each control period, whatever is being planned: hold a robot moved by positions
        that stays too far behind its plan."""
        with undisturbed(), self._lock:
            if self._closed or self._lockstep:
                return
            hold = self._loop.why_behind(self._world.now(), self._world.places(), self._settings)
            if hold is not None:
                self._loop.stop(*self._stand_still(self._world.now()), hold)
                self._report_hold(hold)

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

    def wait_until_due(self, settings: ControlSettings) -> bool:
        """Whether it is time for `step`; if it is not, it may be after a little sleep."""
        due, remaining = self._is_due(settings)
        if due:
            return True
        self._plans.rivals.listen()
        self._handover.sleep(min(remaining, 0.02))
        return self._is_due(settings)[0]

    def _is_due(self, settings: ControlSettings) -> tuple[bool, float]:
        """And how long (s) it will not be, unless an image comes."""
        is_new = self._inputs.image_number != self._used_image
        if self._lockstep:
            return is_new, 0.05
        period, now = from_seconds(1.0 / settings.rate), self._world.now()
        if self._why_standing(settings):  # its time would never come
            remaining = self._stepped + 1.0 / settings.rate - time.monotonic()
            return remaining <= 0.0, max(remaining, 0.005)
        due = self._schedule.is_due(now, period, is_new=is_new)
        return due, self._schedule.remaining(now) / SECOND or 0.005

    def _why_standing(self, settings: ControlSettings) -> str:
        """What to say where the node's clock stands still; empty where it does not."""
        stood = self._standing.stood(self._world.now(), time.monotonic())
        if self._lockstep or stood <= max(settings.observation_timeout, 2.0 / settings.rate):
            return ""
        return (
            "the clock of the node stands still (observation_timeout "
            f"{settings.observation_timeout} s): is /clock published, or the simulation paused?"
        )

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
        self._settings, self._stepped = settings, time.monotonic()
        if reason := self._why_standing(settings):
            self._hold(Hold(HoldCode.CLOCK_STANDS, reason, is_fault=world.now() > 0))
            return
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
                self._loop.trust.seek()
        except Exception as error:  # a fault of ours must not leave the robot moving either
            self._hold(Hold(HoldCode.FAULT, f"fault of the node: {error!r}", True))

    def _send_again(self, answer: SendAgain) -> None:
        with self._lock:
            if not self._closed:
                self._plans.publish(answer.stamp, answer.actions, answer.measured)

    def _send(self, plan: Send, settings: MpcSettings, *, is_new: bool) -> None:
        """is_new: an image that is planned from again says nothing of how long its plan took."""
        observation = plan.observation
        assert isinstance(observation, NodeObservation)  # as `NodeWorld.observe` made it
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
            statistics.searches_without_time += plan.plan.lacked_time
        self._draw(plan, settings.frame_id)
        warned = {WarningCode.PLAN_CHANGED: plan.degraded} if plan.degraded else {}
        if shift := shift_warning(plan.plan.conditions, plan.plan.goal_conditions):
            warned[WarningCode.CAMERA_MOVED] = shift
        if foreign := foreign_warning(plan.plan.conditions, plan.plan.goal_conditions):
            warned[WarningCode.FOREIGN_OBJECT] = foreign
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
        left = self._stepped + _BUSY / settings.rate - time.monotonic()
        thought = self._loop.think(math.inf if self._lockstep else left)
        if thought is not None:
            statistics.searches_without_time += thought.lacked_time
            statistics.wide_plans += thought.is_better

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
        self._report_hold(hold)

    def _report_hold(self, hold: Hold) -> None:
        self._statistics.holds += 1
        nothing, reason = self._statistics.no_rest, hold.reason
        if nothing and nothing not in reason:
            reason = f"{reason}; nothing is sent: {nothing}"
        self._report(ERROR if hold.is_fault else WARN, hold.code, f"holding: {reason}")
