"""The control loop without ROS: an observation and a clock make `Send`, `SendAgain` or `Hold`.

Whatever goes wrong ends in the same place: a `Hold` with its reason. The loop decides; whoever
drives it (`wm_mpc.nodes.mpc.session`) sends, and says what was sent: `sent`, `stands`, `stop`.
Times are integer nanoseconds of one clock.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from wm_mpc.control.codes import HoldCode, HoldError
from wm_mpc.control.goals import Goal
from wm_mpc.control.receding_horizon import ControlPlan, PlanningError, RecedingHorizon
from wm_mpc.control.settings import ControlSettings
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.trust import Trust
from wm_mpc.control.validator import Validation, Verdict
from wm_mpc.model.world_model import WorldModel
from wm_mpc.units import SECOND


class Observation(Protocol):
    """An image and the robot's state of its moment. `stamp`: when it was taken, ns."""

    @property
    def stamp(self) -> int: ...

    def image(self) -> np.ndarray:
        """uint8 (height, width, 3) rgb, of the model's size. Raises HoldError."""

    def state(self) -> np.ndarray:
        """float32 (state size,), in its units."""

    def lap(self, stage: str) -> None:
        """A stage of the way from image to plan ends: "wait" or "convert"."""


class World(Protocol):
    """What the loop asks of the robot and of its people."""

    def now(self) -> int:
        """The time, ns."""

    def has_rival(self) -> bool:
        """Whether another controller plans for this robot."""

    def observe(self, settings: ControlSettings) -> Observation:
        """The newest observation. Raises HoldError where it may not be planned from."""

    def goal(self) -> Goal | None:
        """What to reach."""

    def why_no_goal(self) -> str:
        """Why there is none, for people."""

    def goal_arrays(self, goal: Goal) -> tuple[np.ndarray, np.ndarray | None]:
        """Its image and state, as an observation has them; None: unknown. Raises HoldError."""

    def measured(self) -> dict[str, float]:
        """Present positions by name (rad or m), as far as known."""

    def positions(self, state: np.ndarray) -> dict[str, float]:
        """The positions by name that a measured state (state size,) holds."""


@dataclasses.dataclass(frozen=True)
class Send:
    """A plan that may be sent.

    Attributes:
        stamp: When point 0 begins to apply, ns: when the observation was taken.
        actions: float64 (points, action size), in the action's unit.
        measured: Positions by name that the plan begins from.
        degraded: Why it is not what was planned; empty where it is.
        plan: What was planned.
        observation: What it was planned from.
        goal: What it leads to.
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
    """In lockstep: this observation was answered before, and the answer may have been lost. See
    `Send`."""

    stamp: int
    actions: np.ndarray
    measured: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Hold:
    """The robot must stand still; see `HoldError`."""

    code: HoldCode
    reason: str
    is_fault: bool = False


class ControlLoop:
    """For one robot, from the moment it may be moved until it may not. Not thread-safe, but for
    `held_by_person`.

    Args:
        model: The world model to plan with.
        seed: Of the planner's random numbers.
        world: The robot and its people.
        lockstep: Whether time stands still while the loop plans: no time limit then, and each
            observation gets one answer.
        searching: Called as a search begins, which leaves other threads the interpreter.

    Attributes:
        held_by_person: Whether a person wants the robot to hold.
        usual: Seconds that planning usually takes; NaN: unknown. Whoever drives the loop sets it.
        executed: What the robot was sent.
        trust: What is checked, for diagnostics.
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
        self._used_goal: tuple[int, int] | None = None  # number and revision
        self._answer: SendAgain | None = None  # the last plan
        self._stopped: tuple[int, np.ndarray | None] | None = None  # by a person: when, and rest

    @property
    def model(self) -> WorldModel:
        """The world model that plans."""
        return self._model

    # ------------------------------------------------------------------ what others tell the loop

    def use(self, model: WorldModel, seed: int) -> None:
        """Plan with another world model of the same robot from the next decision on."""
        self._next = model, RecedingHorizon(model, seed, self.executed)

    def stop(self, stamp: int, rest: np.ndarray | None) -> None:
        """The robot was stopped while a plan may be under way, which must not be sent.

        Args:
            stamp: When, ns.
            rest: The action (action size,) that it rests with; None: unknown.
        """
        self._stopped = stamp, rest

    def stands(self, stamp: int, rest: np.ndarray | None) -> None:
        """The robot rests from `stamp` (ns) on: the next plan begins there. rest: see `stop`."""
        self.executed.hold(stamp, rest)
        self._controller.forget()
        self._answer = self._stopped = None

    def may_send(self) -> Hold | None:
        """Whether the last decision may still be sent: None, or why not any more."""
        if self.held_by_person:
            return _HELD
        if self._stopped is not None:
            return Hold(HoldCode.PERSON, "a person stopped the robot while this was planned")
        return None

    def sent(self, decision: Send) -> None:
        """A plan has left."""
        self.executed.put(decision.stamp, decision.actions)
        self._answer = SendAgain(decision.stamp, decision.actions, decision.measured)

    def reflect(self, decision: Send, settings: ControlSettings) -> float:
        """After a plan was sent, when nobody waits: compare what it was made from with what had
        been predicted.

        Returns:
            How far the goal is, in typical motions of a model step; NaN: unknown.
        """
        self.trust.follow(decision.plan, decision.stamp, self.executed)
        usual = self._model.familiarity
        if usual is None or not usual.step > 0.0:
            return math.nan
        weight = settings.cost.state_weight
        return self._controller.goal_distance(decision.plan.latents[0], weight) / usual.step

    # ------------------------------------------------------------------------------ it decides

    def begin(self) -> WorldModel | None:
        """Between two decisions: note that a person stopped the robot, and take up another world
        model; that model, if there is one."""
        if self._stopped is not None:
            self.stands(*self._stopped)
        if self._next is None:
            return None
        (self._model, self._controller), self._next = self._next, None
        self.trust.use(self._model)
        self._used_goal = None
        return self._model

    def decide(self, settings: ControlSettings) -> Send | SendAgain | Hold:
        """What to do now."""
        try:
            return self._decide(settings)
        except HoldError as error:
            return Hold(error.code, str(error), error.is_fault)
        except PlanningError as error:
            return Hold(HoldCode.NO_PLAN, str(error), True)
        except Exception as error:  # a fault of ours must not leave the robot moving either
            return Hold(HoldCode.FAULT, f"planner fault: {error!r}", True)

    def _decide(self, settings: ControlSettings) -> Send | SendAgain:
        if self.held_by_person:
            raise HoldError(_HELD.code, _HELD.reason)
        world = self._world
        if world.has_rival():
            reason = "another node plans for this robot, too (topic planned_actions)"
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
        if (goal.number, goal.revision) != self._used_goal or not controller.has_goal:
            controller.set_goal(*world.goal_arrays(goal))
            self._used_goal = goal.number, goal.revision
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
        """The actions (n, action size) from `stamp` on that a plan cannot change any more: it takes
        time to make."""
        arrival = self._world.now()
        if not self._lockstep:  # there, nothing is executed while planning
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


_HELD = Hold(HoldCode.PERSON, "holding as asked by the service ~/hold")
