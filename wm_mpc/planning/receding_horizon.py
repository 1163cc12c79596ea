"""Receding-horizon control through a world model, without ROS: observe, plan, send, repeat.

The controller encodes an observation, proposes first plans (the shifted last one and fresh ones),
lets a planner improve them, and returns low-level actions in the robot's units. Actions that will
be executed before the plan can take effect are handed in as `committed`; the plan starts with them
and so accounts for its own latency.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from wm_mpc.model.dynamics import Carry
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision
from wm_mpc.planning.objective import GoalCost, ObjectiveConfig, squared_distance
from wm_mpc.planning.planner import Planner, PlanResult, PlanStatus, comparable
from wm_mpc.planning.registry import PlannerConfig, make_planner


class PlanningError(RuntimeError):
    """No usable plan: a non-finite latent or plan, or no goal."""


@dataclasses.dataclass(frozen=True)
class ControlPlan:
    """actions: float64 (horizon * frame_skip, action size), in the action's unit, inside limits;
    row k applies `k * control_period` after the observation. latents: (horizon + 1, latent size),
    the present and the predicted ones. candidates: (n, horizon + 1, latent size), of other good
    plans. encode_seconds, plan_seconds: wall time."""

    actions: np.ndarray
    latents: Tensor
    candidates: Tensor
    result: PlanResult
    encode_seconds: float
    plan_seconds: float


class RecedingHorizon:
    """Plans from observations towards a goal. Not thread-safe: one thread plans."""

    def __init__(self, model: WorldModel, seed: int = 0) -> None:
        self.model, self.spec = model, model.spec
        self._generator = torch.Generator().manual_seed(seed)
        self._goal: Tensor | None = None
        self._embedded_goal: Tensor | None = None
        self._goal_has_state = False
        self._last: tuple[float, Tensor] | None = None  # start time, normalised low-level actions
        self._history: deque[tuple[float, Tensor]] = deque()  # time, latent
        self._executed: dict[int, Tensor] = {}  # control period -> normalised action
        self._rest = torch.from_numpy(self.spec.rest_action)
        # Kept while its settings stay: a planner may remember how long it takes.
        self._planner: tuple[PlannerConfig, Planner] | None = None
        self._afterwards = 0.0  # s, from the last search's end to the plan

    @torch.no_grad()
    def set_goal(self, image: np.ndarray, state: np.ndarray | None) -> None:
        """Goal observation: image uint8 (height, width, 3) rgb, state (state size,) in its units or
        None when unknown. Raises PlanningError when its latent is not finite."""
        known = state is not None and len(state) == self.spec.state.size
        vector = state if known and state is not None else self.model.state_mean.numpy()
        self._goal = self._encode(image, vector)
        self._embedded_goal = self.model.embed(self._goal)
        self._goal_has_state = known

    @torch.no_grad()
    def goal_distance(self, latent: Tensor, state_weight: float = 0.0) -> float:
        """Of a latent (latent size,) to the goal, as the cost compares them: of the scene, and with
        a weight of the robot's state, where the goal's is known. Raises PlanningError without a
        goal."""
        if self._goal is None or self._embedded_goal is None:
            raise PlanningError("there is no goal yet")
        counts = state_weight > 0.0 and self._goal_has_state and self.spec.state.size > 0
        wanted = self.model.split(self._goal)[1] if counts else None
        return float(
            squared_distance(self.model, latent, self._embedded_goal, wanted, state_weight).sqrt()
        )

    def executing(self, stamp: float, actions: np.ndarray) -> None:
        """The robot executes other actions (points, action size) than the last plan's, from `stamp`
        (s) on."""
        self._remember(stamp, torch.from_numpy(self.spec.normalise_action(actions)))

    @property
    def has_goal(self) -> bool:
        return self._goal is not None

    def forget(self) -> None:
        """Drop the last plan and the observed history (after a reset or a jump in time)."""
        self._last = None
        self._history.clear()
        self._executed.clear()

    def _encode(self, image: np.ndarray, state: np.ndarray, *, native: bool = True) -> Tensor:
        pixels = torch.from_numpy(np.array(image))
        vector = torch.from_numpy(np.asarray(state, np.float32))
        vision = native_vision(self.model) if native else None
        if vision is None:
            latent = self.model.encode(pixels[None], vector[None])[0]
        else:
            latent = torch.cat([vision.encode_scene(pixels), self.model.normalise_state(vector)])
        if not torch.isfinite(latent).all():
            raise PlanningError("the observation's latent is not finite (NaN in the robot state?)")
        return latent

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
    ) -> ControlPlan:
        """Plan from the observation taken at `stamp` (s).

        image: uint8 (height, width, 3) rgb; state: (state size,) in its units; committed: (n,
        action size) in the action's unit, executed from `stamp` on whatever is planned; budget:
        seconds for first plans and the search; searching: called as the search begins, which
        leaves other threads the interpreter. Raises PlanningError.
        """
        if self._goal is None:
            raise PlanningError("there is no goal yet")
        started = time.perf_counter()
        with torch.no_grad():
            latent = self._encode(image, state, native=planner.backend == "native")
            carry = self._start(stamp, latent)
        encoded = time.perf_counter()
        fixed = torch.zeros(0, self.spec.action.size)
        if committed is not None and len(committed):
            fixed = torch.from_numpy(self.spec.normalise_action(committed))
        cost = GoalCost(
            self.model,
            objective,
            carry,
            self._goal,
            fixed,
            previous=self._before(stamp),
            use_state=self._goal_has_state,
            native=planner.backend == "native",
            embedded_goal=self._embedded_goal,
        )
        proposals = self._proposals(stamp, planner, latent)
        if planner.init != "warm":  # then the shifted last plan competes as one of the others
            first = self._first(planner, proposals[:1], latent, cost)
            proposals = torch.cat([first, proposals])
        if self._planner is None or self._planner[0] != planner:
            self._planner = planner, make_planner(planner)
        if searching is not None:
            searching()
        left = budget - (time.perf_counter() - encoded) - min(self._afterwards, 0.1 * budget)
        result = self._planner[1].plan(cost, proposals, budget=left, generator=self._generator)
        found = time.perf_counter()
        with torch.no_grad():
            actions = cost.bind(result.actions[None])
            if result.status is PlanStatus.FAILED or not torch.isfinite(actions).all():
                raise PlanningError(PlanStatus.FAILED.value)
            shown = torch.cat([actions, cost.bind(result.candidates)])
            latents = cost.predict(shown)
            latents = torch.cat([latent.expand(len(shown), 1, -1), latents], 1)
        low_level = actions.reshape(-1, self.spec.action.size)
        self._remember(stamp, low_level)
        self._afterwards = time.perf_counter() - found
        return ControlPlan(
            self.spec.denormalise_action(low_level.numpy()),
            latents[0],
            latents[1:],
            result,
            encoded - started,
            time.perf_counter() - encoded,
        )

    def _start(self, stamp: float, latent: Tensor) -> Carry:
        """Carry of the dynamics from the present latent and, for models with a history, the latents
        observed one, two, ... model steps ago with the actions executed in between."""
        if self._history and stamp < self._history[-1][0]:
            self.forget()
        self._history.append((stamp, latent))
        steps, skip = self.spec.history - 1, self.spec.frame_skip
        tick = round(stamp / self.spec.control_period)
        while self._history[0][0] < stamp - (steps + 1) * self.spec.model_period:
            self._history.popleft()
        latents = [self._seen(stamp - k * self.spec.model_period) for k in range(steps, 0, -1)]
        executed = [self._executed.get(tick - k, self._rest) for k in range(steps * skip, 0, -1)]
        actions = torch.stack(executed) if executed else torch.zeros(0, self.spec.action.size)
        for old in [key for key in self._executed if key < tick - steps * skip]:
            del self._executed[old]
        return self.model.start(
            torch.stack([*latents, latent])[None],
            actions.reshape(1, steps, self.spec.block_size),
        )

    def _seen(self, stamp: float) -> Tensor:
        """The latent observed nearest to a time; the oldest one stands for times before it."""
        return min(self._history, key=lambda entry: abs(entry[0] - stamp))[1]

    def _remember(self, stamp: float, low_level: Tensor) -> None:
        """Note what will be executed, by number of the control period, until replaced."""
        self._last = (stamp, low_level)
        if self.spec.history > 1:
            tick = round(stamp / self.spec.control_period)
            self._executed.update({tick + k: action for k, action in enumerate(low_level)})

    def _proposals(self, stamp: float, config: PlannerConfig, latent: Tensor) -> Tensor:
        """First plans (n, horizon, block size): the shifted last plan, and noisy copies of it;
        learned ones, and noisy copies of them; and fresh ones that hold one direction, or two or
        three in turn, over the horizon. Learned and fresh ones share what `samples` leaves."""
        steps, size = config.horizon * self.spec.frame_skip, self.spec.action.size
        rows = []
        if config.warm_start and self._last is not None:
            shifted = self._shifted(stamp, steps)
            copies = max(1, config.restarts // 2)
            noise = 0.3 * torch.randn(copies, steps, size, generator=self._generator)
            noise[0] = 0.0
            rows.append(shifted + noise)
        else:
            rows.append(self._rest.expand(1, steps, size))
        wanted = max(config.restarts, config.samples) - len(rows[0])
        if config.learned_start and wanted > 0:
            rows.append(self._learned(latent, (3 * wanted + 3) // 4, steps))
            wanted -= len(rows[-1])
        if wanted > 0:
            rows.append(self._fresh(wanted, steps))
        return torch.cat(rows).clamp(-1.0, 1.0).reshape(-1, config.horizon, self.spec.block_size)

    @torch.no_grad()
    def _first(self, config: PlannerConfig, warm: Tensor, latent: Tensor, cost: GoalCost) -> Tensor:
        """The first of the first plans (1, horizon, block size), unless `planner.init` is warm."""
        steps = warm.shape[1] * self.spec.frame_skip
        if config.init == "randn":
            return torch.randn(warm.shape, generator=self._generator).clamp(-1.0, 1.0)
        rest = self._rest.expand(1, steps, -1).reshape(warm.shape)
        if config.init == "learned":
            learned = self._learned(latent, self.model.architecture.proposals, steps)
            if len(learned):
                plans = learned.clamp(-1.0, 1.0).reshape(-1, *warm.shape[1:])
                return plans[comparable(cost(plans)).argmin()][None]
        return rest

    @torch.no_grad()
    def _learned(self, latent: Tensor, most: int, steps: int) -> Tensor:
        """At most so many learned plans (n, steps, action size): as they are, then noisy copies;
        none where the model has none."""
        assert self._goal is not None
        blocks = self.model.propose(latent, self._goal)
        if not len(blocks):
            return torch.zeros(0, steps, self.spec.action.size)
        plans = blocks.reshape(len(blocks), -1, self.spec.action.size)
        rest = self._rest.expand(len(plans), steps, -1)
        plans = torch.cat([plans, rest], 1)[torch.arange(most) % len(plans), :steps]
        noise = 0.25 * torch.randn(plans.shape, generator=self._generator)
        noise[: len(blocks)] = 0.0
        return plans + noise

    def _fresh(self, count: int, steps: int) -> Tensor:
        """Plans (count, steps, action size) of one, two or three directions, each held a while.

        Half of the directions are full speed along, against or without each action: long ways
        are only found in time at full speed.
        """
        size = self.spec.action.size
        directions = torch.rand(count, 3, size, generator=self._generator) * 2.4 - 1.2
        full = torch.rand(count, 3, 1, generator=self._generator) < 0.5
        directions = torch.where(full, (1.25 * directions).round(), directions)
        turns = torch.randint(1, steps + 1, (count, 2), generator=self._generator)
        turns[::3] = steps  # a third of them never turns
        leg = (torch.arange(steps)[None, :, None] >= turns[:, None]).sum(-1)
        return directions.gather(1, leg[..., None].expand(count, steps, size))

    def _before(self, stamp: float) -> Tensor:
        """The action of the last plan that ends at `stamp`; rest without one."""
        if self._last is None:
            return self._rest
        start, actions = self._last
        number = round((stamp - start) / self.spec.control_period) - 1
        return actions[number] if 0 <= number < len(actions) else self._rest

    def _shifted(self, stamp: float, steps: int) -> Tensor:
        assert self._last is not None
        start, actions = self._last
        passed = max(0, round((stamp - start) / self.spec.control_period))
        rest = actions[-1] if self.spec.action.kind == "position" else self._rest
        return torch.cat([actions[passed:], rest.expand(steps, -1)])[:steps]
