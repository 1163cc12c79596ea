"""Receding-horizon control through a world model, without ROS: observe, plan, send, repeat.

The controller encodes an observation and makes first plans: the shifted last plan, and others. A
planner improves them. The result is a plan of actions in the robot's units. The robot executes some
actions before the plan can take effect. The caller passes them as `committed`, and the plan begins
with them, so it allows for its own latency.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from wm_mpc.control.first_plans import Start
from wm_mpc.control.image_encoding import ImageEncoding
from wm_mpc.control.search import PlanSearch
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.wide_search import Thought, WideSearch
from wm_mpc.device.placed import place
from wm_mpc.model.conditions import Conditions
from wm_mpc.model.dynamics import Carry
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost, squared_distance
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.planner import PlanResult, PlanStatus
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.units import SECOND


class PlanningError(RuntimeError):
    """There is no usable plan: no goal, an unknown rest, or a latent or plan that is not finite."""


@dataclasses.dataclass(frozen=True)
class ControlPlan:
    """A plan in the robot's units.

    Attributes:
        actions: float64 (horizon * frame_skip, action size), in the action's unit, inside the
            limits. Row k applies `k * control_period` after the observation.
        latents: (horizon + 1, latent size), the present latent and the predicted ones.
        candidates: (n, horizon + 1, latent size), the latents of other good plans.
        result: Result of the search.
        encode_seconds: Wall time of encoding, s.
        plan_seconds: Wall time of planning, s.
        goal: (latent size,), the latent of the goal; None if it is not known.
        is_detour: Whether it is from the second search, in which the robot's measured place does
            not count (`planner.detour`).
        lacked_time: Whether that search was left out, because others took the time.
        conditions: What was taken out of the image before it was encoded; None: nothing.
        goal_conditions: The same of the goal's image.
    """

    actions: np.ndarray
    latents: Tensor
    candidates: Tensor
    result: PlanResult
    encode_seconds: float
    plan_seconds: float
    goal: Tensor | None = None
    is_detour: bool = False
    lacked_time: bool = False
    conditions: Conditions | None = None
    goal_conditions: Conditions | None = None


class RecedingHorizon:
    """Plans from observations towards a goal. Not thread-safe: call it from one thread.

    Args:
        model: The world model.
        seed: Seed of the random numbers of first plans and planners.
        executed: The actions that the robot executes, as the caller notes them. Without it, every
            plan counts as executed.

    Attributes:
        model: The world model.
        spec: The robot.
        conditions: Light, camera shift and foreign object of the latest images, as far as the
            caller knows them (`SurpriseMonitor`). They are taken out of an image before the model
            sees it.
    """

    def __init__(self, model: WorldModel, seed: int = 0, executed: Timeline | None = None) -> None:
        self.conditions: Conditions | None = None
        self._goal_conditions: Conditions | None = None
        self._encoding = ImageEncoding(model)
        self.model, self.spec = model, model.spec
        self._generator = torch.Generator().manual_seed(seed)
        self._goal: Tensor | None = None
        self._embedded_goal: Tensor | None = None
        self._goal_has_state = False
        self._history: deque[tuple[float, Tensor]] = deque()  # time, latent
        self._executes_all = executed is None
        self._executed = Timeline.of(self.spec) if executed is None else executed
        self._plan_search = PlanSearch(model, self._generator)
        self._wide = WideSearch(model, self._plan_search)
        self._afterwards = 0.0  # s, from the end of the last search to the finished plan

    @torch.no_grad()
    def set_goal(self, image: np.ndarray, state: np.ndarray | None) -> None:
        """Plan for this goal from now on. The light of its image does not count.

        If the camera was bumped, the image may be from before or after that: the model tells.

        Args:
            image: uint8 (height, width, 3) rgb.
            state: (state size,), each entry in its unit; None if unknown.

        Raises:
            PlanningError: The latent of the goal is not finite.
        """
        known = state is not None and len(state) == self.spec.state.size
        vector = state if known and state is not None else self.model.state_mean.numpy()
        goal, self._goal_conditions = self._encoding.goal(image, vector, self.conditions)
        self._goal = _finite(goal)
        self._embedded_goal = self.model.embed(self._goal)
        self._wide.begin()
        self._goal_has_state = known

    @torch.no_grad()
    def goal_distance(self, latent: Tensor, state_weight: float = 0.0) -> float:
        """Measure the distance of a latent to the goal, as the cost does.

        Args:
            latent: (latent size,).
            state_weight: Weight of the robot's state. It counts only if the goal has a state.

        Raises:
            PlanningError: There is no goal.
        """
        if self._goal is None or self._embedded_goal is None:
            raise PlanningError("there is no goal yet")
        counts = state_weight > 0.0 and self._goal_has_state and self.spec.state.size > 0
        wanted = self.model.split(self._goal)[1] if counts else None
        return float(
            squared_distance(self.model, latent, self._embedded_goal, wanted, state_weight).sqrt()
        )

    @property
    def has_goal(self) -> bool:
        """Whether a goal was set."""
        return self._goal is not None

    def forget(self) -> None:
        """Forget the observations, after a reset or a jump in time.

        Without an `executed` timeline from the caller, this also forgets the last plan.
        """
        if self._executes_all:
            self._executed.clear()
        self._history.clear()
        self._wide.forget()

    def plan(
        self,
        image: np.ndarray,
        state: np.ndarray,
        stamp: float,
        *,
        planner: PlannerConfig,
        objective: ObjectiveConfig,
        committed: np.ndarray | None = None,
        budget: float = math.inf,
        searching: Callable[[], None] | None = None,
        rest: np.ndarray | None = None,
    ) -> ControlPlan:
        """Plan from an observation.

        Args:
            image: uint8 (height, width, 3) rgb.
            state: (state size,), each entry in its unit.
            stamp: When both were taken, s.
            planner: How to search.
            objective: What to search for.
            committed: (n, action size), in the action's unit. The robot executes these actions from
                `stamp` on, whatever the plan is.
            budget: Time for first plans and the search, s.
            searching: Called when the search begins. The search leaves Python's interpreter lock to
                other threads.
            rest: Action (action size,), in its unit, that keeps the robot where it is at `stamp`
                (`RobotSpec.rest`). None: read it from the state.

        Raises:
            PlanningError: There is no goal, no usable plan, or the robot's rest is unknown.
        """
        if self._goal is None:
            raise PlanningError("there is no goal yet")
        rest = self.spec.rest(self.spec.measured_positions(state)) if rest is None else rest
        if rest is None:
            raise PlanningError(self.spec.why_no_rest(self.spec.measured_positions(state)))
        resting = torch.from_numpy(self.spec.normalise_action(rest))
        started = time.perf_counter()
        copy = place(self.model, planner.device, capture=planner.backend == "native")
        with torch.no_grad():
            if self._encoding.use_shifts(self.conditions):
                self._history.clear()  # earlier latents are of other pictures
            latent, conditions = self._encoding.live(
                image, state, self.conditions, is_first=not self._history,
                native=planner.backend == "native",
            )  # fmt: skip
            carry = self._start(stamp, _finite(latent), resting)
        encoded = time.perf_counter()
        fixed = torch.zeros(0, self.spec.action.size)
        if committed is not None and len(committed):
            fixed = torch.from_numpy(self.spec.normalise_action(committed))
        before = self._applied(stamp, -1, resting)
        cost_of = functools.partial(
            GoalCost, self.model, objective, carry, self._goal, fixed, previous=before,
            native=planner.backend == "native", copy=copy, embedded_goal=self._embedded_goal,
        )  # fmt: skip
        cost = cost_of(use_state=self._goal_has_state)
        shifted = self._shifted(stamp, planner) if planner.warm_start else None
        found = self._wide.found(stamp, planner.horizon * self.spec.frame_skip)
        begun = None if found is None else torch.from_numpy(self.spec.normalise_action(found))
        start = Start(latent, self._goal, resting, before, shifted, stamp, begun)
        end = encoded + budget - min(self._afterwards, 0.1 * budget)
        scene_cost = functools.partial(cost_of, use_state=False)
        search = self._plan_search.find(start, planner, cost, scene_cost, end, searching)
        result = search.result
        with torch.no_grad():
            actions = cost.bind(result.actions[None])
            if result.status is PlanStatus.FAILED or not torch.isfinite(actions).all():
                raise PlanningError(PlanStatus.FAILED.value)
            shown = torch.cat([result.actions[None], result.candidates])
            latents = cost.predict(shown)
            latents = torch.cat([latent.expand(len(shown), 1, -1), latents], 1)
        low_level = self.spec.denormalise_action(actions.reshape(-1, self.spec.action.size).numpy())
        if self._executes_all:
            self._executed.put(round(stamp * SECOND), low_level)
        self._wide.planned(start, planner, cost, result)
        self._afterwards = time.perf_counter() - search.ended
        return ControlPlan(
            low_level,
            latents[0],
            latents[1:],
            result,
            encoded - started,
            time.perf_counter() - encoded,
            self._goal,
            search.is_detour,
            search.lacked_time,
            conditions,
            self._goal_conditions,
        )

    def think(self, budget: float = math.inf) -> Thought | None:
        """Search widely for a start of the next plan (`planner.wide_samples`).

        Call it when the last plan has left, in the time that is left until the next one.

        Args:
            budget: Time for it, s.

        Returns:
            What came of it; None if there was nothing to do.
        """
        return self._wide.think(time.perf_counter() + budget)

    def _applied(self, stamp: float, number: int, rest: Tensor) -> Tensor:
        """The normalised action of control step `number`, counted from `stamp`; `rest` if none is
        known.

        It reads the middle of the step, so jitter does not matter.
        """
        period = self._executed.period
        action = self._executed.at(round(stamp * SECOND) + number * period + period // 2)
        return rest if action is None else torch.from_numpy(self.spec.normalise_action(action))

    def _start(self, stamp: float, latent: Tensor, rest: Tensor) -> Carry:
        """The start of the dynamics: the present latent and, for models with a history, earlier
        ones.

        The earlier latents are one, two, ... model steps old, and come with the actions executed
        between them.
        """
        if self._history and stamp < self._history[-1][0]:
            self.forget()
        self._history.append((stamp, latent))
        steps, skip = self.spec.history - 1, self.spec.frame_skip
        while self._history[0][0] < stamp - (steps + 1) * self.spec.model_period:
            self._history.popleft()
        latents = [self._seen(stamp - k * self.spec.model_period) for k in range(steps, 0, -1)]
        executed = [self._applied(stamp, -k, rest) for k in range(steps * skip, 0, -1)]
        actions = torch.stack(executed) if executed else torch.zeros(0, self.spec.action.size)
        return self.model.start(
            torch.stack([*latents, latent])[None],
            actions.reshape(1, steps, self.spec.block_size),
        )

    def _shifted(self, stamp: float, planner: PlannerConfig) -> Tensor | None:
        """The rest of the last plan from `stamp` on, normalised (steps, action size), then rest.

        None if the robot rests already.
        """
        time = round(stamp * SECOND) + self._executed.period // 2
        last = self._executed.entry_at(time)
        if last is None or last.is_rest:
            return None
        rows = self._executed.ahead(time, planner.horizon * self.spec.frame_skip)
        return torch.from_numpy(self.spec.normalise_action(rows))

    def _seen(self, stamp: float) -> Tensor:
        """The latent observed nearest to a time. The oldest one stands for earlier times."""
        return min(self._history, key=lambda entry: abs(entry[0] - stamp))[1]


def _finite(latent: Tensor) -> Tensor:
    """A latent that is finite. Raises PlanningError."""
    if not torch.isfinite(latent).all():
        raise PlanningError("the observation's latent is not finite (NaN in the robot state?)")
    return latent
