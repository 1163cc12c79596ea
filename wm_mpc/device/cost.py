"""Costs and descent of one planning problem on a device; see `planning/objective.GoalCost`.

It computes what PyTorch computes on the CPU. One descent step (rollout, gradient and Adam) is one
graph, so a plan travels to the device and back once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from wm_mpc.device.captured import Captured
from wm_mpc.device.placed import LOCK, Placed
from wm_mpc.model.dynamics import Carry
from wm_mpc.native.descent import Descent
from wm_mpc.planning.descent_step import adam_direction, usable_slope
from wm_mpc.planning.planner import CostFunction, Stopwatch, comparable


@dataclasses.dataclass(frozen=True)
class Problem:
    """The tensors of a planning problem.

    Attributes:
        carry: Result of `WorldModel.start`, batch 1.
        goal: Latent of the goal, (latent size,).
        embedded_goal: Embedded goal, (embedding size,).
        committed: Normalised committed actions, (n, action size), or None.
        previous: Normalised action before the first one, (action size,).
    """

    carry: Carry
    goal: Tensor
    embedded_goal: Tensor
    committed: Tensor | None
    previous: Tensor

    def tensors(self) -> list[Tensor]:
        """Return all of them, in one order."""
        committed = [] if self.committed is None else [self.committed]
        return [*self.carry, self.goal, self.embedded_goal, *committed, self.previous]

    def like(self, device: torch.device) -> Problem:
        """Return tensors of the same sizes on a device.

        Args:
            device: The device.
        """
        carry = tuple(_zeros(part, device) for part in self.carry)
        committed = None if self.committed is None else _zeros(self.committed, device)
        goal, embedded = _zeros(self.goal, device), _zeros(self.embedded_goal, device)
        return Problem(carry, goal, embedded, committed, _zeros(self.previous, device))


class Cost(Protocol):
    """Costs and predictions that PyTorch computes; see `planning/objective.GoalCost`."""

    def __call__(self, actions: Tensor) -> Tensor: ...

    def predict(self, actions: Tensor) -> Tensor: ...


class DeviceCost:
    """The cost of one planning problem on a device.

    Args:
        placed: The copy of the world model there.
        problem: The problem, on the CPU.
        make_cost: Makes the cost function of a problem for the copy of the model. It must be equal
            for equal costs, because what is captured for it is kept.
    """

    def __init__(
        self, placed: Placed, problem: Problem, make_cost: Callable[[Problem], Cost]
    ) -> None:
        self._placed, self._problem = placed, problem
        sizes = tuple(tuple(part.shape) for part in problem.tensors())
        key = (make_cost, sizes)
        with LOCK:
            self._room: _Room = placed.kept(key, lambda: _Room(placed, problem, make_cost))

    def costs(self, actions: Tensor, _step_weights: Tensor) -> Tensor:
        """Compute costs; see `NativeCost.costs`."""
        with LOCK:
            found = self._ready().evaluation(self._placed, actions, predicts=False)
            return found(actions).to("cpu", copy=True)

    def latents(self, actions: Tensor, _step_weights: Tensor) -> Tensor:
        """Predict latents; see `NativeCost.latents`."""
        with LOCK:
            found = self._ready().evaluation(self._placed, actions, predicts=True)
            return found(actions).to("cpu", copy=True)

    def descend(
        self, actions: Tensor, _step_weights: Tensor, settings: Descent
    ) -> tuple[Tensor, Tensor, int]:
        """Improve plans by following the gradient; see `NativeCost.descend`."""
        watch = Stopwatch(settings.budget)  # waiting for the device counts
        with LOCK:
            search = self._ready().search(self._placed, actions, settings)
            return search.descend(actions, settings, watch)

    def _ready(self) -> _Room:
        self._room.load(self._problem)
        return self._room


class _Room:
    """Tensors on the device for all problems of the same sizes, and the graphs that read them."""

    def __init__(
        self, placed: Placed, problem: Problem, make_cost: Callable[[Problem], Cost]
    ) -> None:
        self._here = problem.like(placed.device)
        self._cost = make_cost(self._here)
        self._loaded: Problem | None = None
        self._evaluations: dict[object, _Evaluation] = {}
        self._searches: dict[object, _Search] = {}

    def load(self, problem: Problem) -> None:
        """Copy a problem to the device, unless it is there."""
        if problem is self._loaded:
            return
        for here, given in zip(self._here.tensors(), problem.tensors(), strict=True):
            here.copy_(given)
        self._loaded = problem

    def evaluation(self, placed: Placed, actions: Tensor, *, predicts: bool) -> _Evaluation:
        """Return the graph for sequences of this size."""
        key = (predicts, *actions.shape)
        if key not in self._evaluations:
            function = self._cost.predict if predicts else self._cost.__call__
            self._evaluations[key] = _Evaluation(placed, function, actions)
        return self._evaluations[key]

    def search(self, placed: Placed, actions: Tensor, settings: Descent) -> _Search:
        """Return the graphs for starts of this size."""
        noise = 0 if settings.noise is None else settings.iterations
        key = (settings.adaptive, noise, *actions.shape)
        if key not in self._searches:
            self._searches[key] = _Search(placed, self._cost, actions, settings)
        return self._searches[key]


class _Evaluation:
    """One pass through the model, without a gradient."""

    def __init__(self, placed: Placed, function: CostFunction, actions: Tensor) -> None:
        self._function = function
        self._actions = _zeros(actions, placed.device)
        self._run: Captured = placed.captured()

    @torch.no_grad()
    def _evaluated(self) -> Tensor:
        return self._function(self._actions)

    def __call__(self, actions: Tensor) -> Tensor:
        """Return the result, on the device, until the next call."""
        self._actions.copy_(actions.detach())
        return self._run(self._evaluated)


class _Search:
    """Projected gradient descent from several starts; its numbers are those of
    `GradientPlanner`."""

    def __init__(self, placed: Placed, cost: Cost, actions: Tensor, settings: Descent) -> None:
        self._cost, self._adaptive, self._device = cost, settings.adaptive, placed.device
        here = _zeros(actions, placed.device)
        self._actions, self._best = here.clone(), here.clone()
        self._mean, self._square = here.clone(), here.clone()
        self._costs = torch.zeros(len(actions), device=placed.device)
        # The number of the iteration, and settings that may differ from plan to plan.
        self._done, self._iterations, self._rate, self._decay = (
            torch.zeros((), dtype=torch.float64, device=placed.device) for _ in range(4)
        )
        self._noise = None
        if settings.noise is not None:
            self._noise = _zeros(settings.noise, placed.device)
        self._step: Captured = placed.captured()

    def descend(
        self, actions: Tensor, settings: Descent, watch: Stopwatch
    ) -> tuple[Tensor, Tensor, int]:
        """Improve plans; see `DeviceCost.descend`."""
        self._step.prepare(self._improved)
        for part in (self._mean, self._square, self._done):
            part.zero_()
        self._costs.fill_(torch.inf)
        self._actions.copy_(actions.detach())
        self._best.copy_(self._actions)
        self._iterations.fill_(float(settings.iterations))
        self._rate.fill_(settings.learning_rate)
        self._decay.fill_(settings.learning_rate_decay)
        if self._noise is not None and settings.noise is not None:
            self._noise.copy_(settings.noise)
        done = 0
        while done < settings.iterations:
            self._step(self._improved)
            done += 1
            if settings.budget != torch.inf:
                self._wait()
                if not watch.fits_another():
                    break
        costs = self._step(self._improved)  # also notes the last plans; its own are not used
        return self._best.to("cpu", copy=True), costs.to("cpu", copy=True), done

    def _wait(self) -> None:
        """Wait until the device is done; otherwise the clock would say nothing."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

    def _improved(self) -> Tensor:
        plans = self._actions.clone().requires_grad_()
        with torch.enable_grad():
            costs = self._cost(plans)
            (slope,) = torch.autograd.grad(costs.sum(), plans)
        with torch.no_grad():
            self._note(costs.detach())
            step = slope = usable_slope(slope)
            if self._adaptive:
                step = adam_direction(slope, self._mean, self._square, self._done + 1.0)
            rate = self._rate * (1.0 - self._decay * self._done / self._iterations)
            moved = self._actions - rate * step
            if self._noise is not None:
                # Past the last index, the step is not used.
                number = self._done.long().clamp(max=len(self._noise) - 1)
                moved = moved + self._noise.index_select(0, number[None])[0]
            self._actions.copy_(moved.clamp(-1.0, 1.0))
            self._done.add_(1.0)
        return self._costs

    def _note(self, costs: Tensor) -> None:
        """Keep the best plan of each start."""
        costs = comparable(costs)
        better = costs < self._costs
        self._costs.copy_(torch.where(better, costs, self._costs))
        self._best.copy_(torch.where(better[:, None, None], self._actions, self._best))


def _zeros(like: Tensor, device: torch.device) -> Tensor:
    return torch.zeros(tuple(like.shape), dtype=torch.float32, device=device)
