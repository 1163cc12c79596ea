"""The control loop without ROS: an observation and a clock become `Send`, `SendAgain` or `Hold`.

Every failure ends the same way: the loop returns a `Hold` with its reason. The loop only decides.
Its caller (`wm_mpc.nodes.mpc.session`) sends, and reports what happened: `sent`, `stands`, `stop`.
Times are integer nanoseconds of one clock.
"""

from __future__ import annotations

import dataclasses
import math
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from wm_mpc.codes import HoldCode
from wm_mpc.control.goals import Goal
from wm_mpc.control.holds import HoldError
from wm_mpc.control.receding_horizon import ControlPlan, PlanningError, RecedingHorizon
from wm_mpc.control.settings import ControlSettings
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.trust import Trust
from wm_mpc.control.validator import Validation, Verdict
from wm_mpc.control.wide_search import Thought
from wm_mpc.control.world import Observation, World
from wm_mpc.model.camera_shift import Shift
from wm_mpc.model.conditions import moved_by
from wm_mpc.model.familiarity import usual_step
from wm_mpc.model.world_model import WorldModel
from wm_mpc.units import SECOND


@dataclasses.dataclass(frozen=True)
class Send:
    """A plan that may be sent.

    Attributes:
        stamp: When point 0 begins to apply, ns. This is when the observation was taken.
        actions: float64 (points, action size), in the action's unit.
        measured: Positions by name, rad or m, where the plan begins.
        degraded: Why these actions differ from the plan; empty if they do not.
        plan: The plan as the planner made it.
        observation: The observation that the plan begins from.
        goal: The goal that the plan leads to.
    """

    stamp: int
    actions: np.ndarray
    measured: Mapping[str, float]
    degraded: str
    plan: ControlPlan
    observation: Observation
    goal: Goal


@dataclasses.dataclass(frozen=True)
class SendAgain:
    """The answer to an observation, once more. Only in lockstep.

    The simulation asks again when it may have lost the first answer. The attributes are those of
    `Send`.
    """

    stamp: int
    actions: np.ndarray
    measured: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Hold:
    """The robot must stand still.

    Attributes:
        code: Reason for programs.
        reason: Reason for people.
        is_fault: True if something is wrong. False if something is still to come, or a person asked
            for the hold.
    """

    code: HoldCode
    reason: str
    is_fault: bool = False


class ControlLoop:
    """The control loop of one robot, from activation to deactivation.

    Only `held_by_person` may be set from another thread.

    Args:
        model: World model to plan with.
        seed: Seed of the planner's random numbers.
        world: The robot and its people.
        lockstep: Whether time stands still while the loop plans. Then there is no time limit, and
            each observation gets one answer.
        searching: Called when a search begins. The search leaves Python's interpreter lock to other
            threads.

    Attributes:
        held_by_person: Whether a person wants the robot to hold.
        usual: Seconds that planning usually takes; NaN if unknown. The caller sets it.
        executed: The actions that the robot was sent.
        trust: The checks of plans, for diagnostics.
    """

    def __init__(
        self,
        model: WorldModel,
        seed: int,
        world: World,
        *,
        lockstep: bool = False,
        searching: Callable[[], None] | None = None,
    ) -> None:
        self.held_by_person = False
        self.usual = math.nan
        self.executed = Timeline.of(model.spec)
        self.trust = Trust(model)
        self._model, self._world = model, world
        self._lockstep, self._searching = lockstep, searching
        self._controller = RecedingHorizon(model, seed, self.executed)
        self._next: tuple[WorldModel, RecedingHorizon] | None = None
        # Number and revision, and the shifts that were known when it was encoded.
        self._used_goal: tuple[int, int, tuple[Shift, ...]] | None = None
        self._answer: SendAgain | None = None  # the last plan
        # Since the last decision: when, rest, and why.
        self._stopped: tuple[int, np.ndarray | None, Hold] | None = None

    @property
    def model(self) -> WorldModel:
        """The world model that plans."""
        return self._model

    # ------------------------------------------------------------------------ reports to the loop

    def use(self, model: WorldModel, seed: int) -> None:
        """Plan with another world model of the same robot, from the next decision on.

        Args:
            model: The new world model.
            seed: Seed of the planner's random numbers.
        """
        self._next = model, RecedingHorizon(model, seed, self.executed)

    def stop(self, stamp: int, rest: np.ndarray | None, why: Hold) -> None:
        """Note that the robot was stopped. A plan in progress must not be sent.

        Args:
            stamp: When the robot was stopped, ns.
            rest: The action (action size,) of rest; None if unknown.
            why: Reason.
        """
        self._stopped = stamp, rest, why

    def why_behind(
        self, now: int, places: Mapping[str, tuple[int, float]], settings: ControlSettings
    ) -> Hold | None:
        """Return why a robot moved by positions must hold: it stays too far behind its plan.

        Plans are checked when they are made. This checks the robot while it executes one.

        Args:
            now: The time, ns.
            places: Stamps (ns) and positions (rad or m) by name, as just measured.
            settings: The present settings.
        """
        if self._stopped is not None or not self._model.spec.rest_is_measured:
            return None
        try:
            self.trust.check_behind(now, places, self.executed, settings)
        except HoldError as error:
            return Hold(error.code, str(error), error.is_fault)
        return None

    def stands(self, stamp: int, rest: np.ndarray | None) -> None:
        """Note that the robot rests. The next plan begins there.

        Args:
            stamp: When the rest begins, ns.
            rest: The action (action size,) of rest; None if unknown.
        """
        self.executed.hold(stamp, rest)
        self._controller.forget()
        self._answer = self._stopped = None

    def may_send(self) -> Hold | None:
        """Return None if the last decision may still be sent, or else the reason to hold."""
        if self.held_by_person:
            return _HELD
        return None if self._stopped is None else self._stopped[2]

    def sent(self, decision: Send) -> None:
        """Note that a plan was sent.

        Args:
            decision: The plan.
        """
        self.executed.put(decision.stamp, decision.actions)
        self._answer = SendAgain(decision.stamp, decision.actions, decision.measured)

    def reflect(self, decision: Send, settings: ControlSettings) -> float:
        """Compare the observation with the earlier prediction.

        Call this after the plan was sent, because it takes time.

        Args:
            decision: The plan that was sent.
            settings: The present settings.

        Returns:
            Distance to the goal, in typical motions per model step; NaN if unknown.
        """
        self.trust.follow(decision.plan, decision.stamp, self.executed)
        step = usual_step(self._model)
        if not step > 0.0:
            return math.nan
        weight = settings.cost.place_weight(self._model)
        return self._controller.goal_distance(decision.plan.latents[0], weight) / step

    def think(self, budget: float) -> Thought | None:
        """Use the time until the next plan; see `RecedingHorizon.think`.

        Args:
            budget: That time, s.
        """
        return None if self._stopped is not None else self._controller.think(budget)

    # ------------------------------------------------------------------------------- decisions

    def begin(self) -> WorldModel | None:
        """Apply what was noted since the last decision: a stop, and another world model.

        Returns:
            The new world model, or None if it has not changed.
        """
        if self._stopped is not None:
            self.stands(*self._stopped[:2])
        if self._next is None:
            return None
        (self._model, self._controller), self._next = self._next, None
        self.trust.use(self._model)
        self._used_goal = None
        return self._model

    def decide(self, settings: ControlSettings) -> Send | SendAgain | Hold:
        """Decide what to do now. Never raises: an unexpected error becomes a `Hold`.

        Args:
            settings: The present settings.
        """
        try:
            return self._decide(settings)
        except HoldError as error:
            return Hold(error.code, str(error), error.is_fault)
        except PlanningError as error:
            return Hold(HoldCode.NO_PLAN, str(error), True)
        except Exception as error:  # our own faults must stop the robot, too
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}, line {place.lineno}"
            return Hold(HoldCode.FAULT, f"planner fault: {error!r} ({where})", True)

    def _decide(self, settings: ControlSettings) -> Send | SendAgain:
        if self.held_by_person:
            raise HoldError(_HELD.code, _HELD.reason)
        world = self._world
        if world.has_rival():
            reason = "another node also plans for this robot (topic planned_actions)"
            raise HoldError(HoldCode.RIVAL, reason, is_fault=True)
        self.trust.check_pause(world.now())
        observation = world.observe(settings)
        goal = world.goal()
        if goal is None:
            raise HoldError(HoldCode.NO_GOAL, world.why_no_goal())
        answer = self._answer if self._lockstep else None
        if answer is not None and answer.stamp == observation.stamp:
            return answer
        return self._plan(observation, goal, settings)

    def _plan(self, observation: Observation, goal: Goal, settings: ControlSettings) -> Send:
        observation.lap("wait")
        world, controller, spec = self._world, self._controller, self._model.spec
        image, state, stamp = observation.image(), observation.state(), observation.stamp
        controller.conditions = conditions = self.trust.conditions
        used = goal.number, goal.revision, moved_by(conditions)
        if used != self._used_goal or not controller.has_goal:
            controller.set_goal(*world.goal_arrays(goal))
            self._used_goal = used
        measured = {**world.measured(), **world.positions(state)}
        rest = spec.rest(measured)
        if rest is None:
            raise HoldError(HoldCode.NO_REST, spec.why_no_rest(measured))
        committed = self._committed(stamp, rest, settings)
        observation.lap("convert")
        plan = controller.plan(
            image,
            state,
            stamp / SECOND,
            planner=settings.planner,
            objective=settings.cost,
            committed=committed,
            budget=math.inf if self._lockstep else settings.time_budget,
            searching=self._searching,
            rest=rest,
        )
        checked = self._check(plan, image, stamp, len(committed), rest, settings)
        reason = checked.reason if checked.verdict is Verdict.DEGRADED else ""
        return Send(stamp, checked.actions, measured, reason, plan, observation, goal)

    def _committed(self, stamp: int, rest: np.ndarray, settings: ControlSettings) -> np.ndarray:
        """Actions (n, action size) from `stamp` on that the robot executes while the planner
        computes."""
        arrival = self._world.now()
        if not self._lockstep:  # in lockstep, the robot executes nothing meanwhile
            seconds = settings.time_budget if math.isnan(self.usual) else self.usual
            arrival += round(seconds * SECOND)
        committed = self.executed.between(stamp, arrival, rest)
        if len(committed) >= settings.planner.horizon * self._model.spec.frame_skip:
            reason = "planning takes longer than the plan lasts: observations are too old"
            raise HoldError(HoldCode.TOO_SLOW, reason)
        return committed

    def _check(
        self,
        plan: ControlPlan,
        image: np.ndarray,
        stamp: int,
        fixed: int,
        rest: np.ndarray,
        settings: ControlSettings,
    ) -> Validation:
        return self.trust.check(
            plan,
            image,
            stamp,
            now=self._world.now(),
            fixed=fixed,
            timeout=math.inf if self._lockstep else settings.observation_timeout,
            rest=rest,
            executed=self.executed,
            settings=settings,
        )


_HELD = Hold(HoldCode.PERSON, "a person asked for it (service ~/hold)")
# For `ControlLoop.stop`, where it is over by the time that the plan in progress is made.
STOPPED = Hold(HoldCode.PERSON, "somebody held the robot meanwhile")
GOALS_GONE = Hold(HoldCode.PERSON, "the goals of this plan were cleared or replaced meanwhile")
