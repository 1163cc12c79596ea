"""The cost that a planner minimises: distance to the goal in the latent, and cost of actions."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from wm_mpc.device.cost import DeviceCost, Problem
from wm_mpc.device.placed import Placed
from wm_mpc.model.dynamics import Carry
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.descent import Descent
from wm_mpc.native.kernel import NativeCost
from wm_mpc.native.selection import native_model
from wm_mpc.planning.binding import Binding
from wm_mpc.planning.objective_config import ObjectiveConfig

_SMOOTHING = 1e-4  # added below the root, so that its gradient is smooth at the goal


def squared_distance(
    model: WorldModel, latents: Tensor, goal: Tensor, goal_state: Tensor | None, state_weight: float
) -> Tensor:
    """Measure how far latents are from a goal, squared.

    Args:
        model: The world model.
        latents: (..., latent size).
        goal: The embedded goal (embedding size,).
        goal_state: State part of the goal's latent; None: only the scene counts.
        state_weight: Weight of the mean squared difference of the robot's places. Its velocities
            and forces do not count.

    Returns:
        Squared distances (...).
    """
    distance = (model.embed(latents) - goal).square().sum(-1)
    if goal_state is None:
        return distance
    offset = (model.split(latents)[1] - goal_state).square() @ model.place_shares
    return distance + state_weight * offset


class GoalCost:
    """Cost of action sequences, from one observed history to one goal.

    `bind` turns sequences into actions that the robot can execute; see `Binding`. For a position
    robot, sequences are moves, and action costs count moves.

    Args:
        model: The world model.
        config: Weights of the cost.
        carry: Result of `WorldModel.start`, batch 1.
        goal: Latent of the goal, (latent size,).
        committed: (n, action size), normalised actions that the robot executes whatever the plan
            is. They replace the first n of each sequence, so a planner changes only what it still
            can.
        previous: (action size,), the normalised action before the first one. The rate limit starts
            from it. None: rest; not possible for a position robot.
        use_state: Whether the goal has a state of the robot.
        native: Compute in machine code if possible (`wm_mpc.native`). PyTorch still computes the
            gradients that it asks for.
        copy: The copy of the model that computes instead, on its device (`wm_mpc.device`). All
            tensors given and returned are on the CPU.
        embedded_goal: `model.embed(goal)`, if it is known already.

    Raises:
        ValueError: `previous` is missing for a position robot.
    """

    def __init__(
        self,
        model: WorldModel,
        config: ObjectiveConfig,
        carry: Carry,
        goal: Tensor,
        committed: Tensor | None = None,
        *,
        previous: Tensor | None = None,
        use_state: bool = True,
        native: bool = True,
        copy: Placed | None = None,
        embedded_goal: Tensor | None = None,
    ) -> None:
        self._model, self._config, self._carry = model, config, carry
        self._goal = model.embed(goal) if embedded_goal is None else embedded_goal
        self._goal_state = model.split(goal)[1]
        self._step_weights: dict[int, Tensor] = {}
        self._binding = Binding(model.spec, committed, previous)
        # Without a measured place, there is nothing to compare.
        measures = bool(model.spec.state.place_columns)
        self._place_weight = config.place_weight(model)
        self._use_state = use_state and measures and self._place_weight > 0.0
        self._native: NativeCost | DeviceCost | None = None
        if copy is not None:
            self._native = self._on_device(copy, goal)
        elif native:
            self._native = self._in_machine_code()

    def _on_device(self, copy: Placed, goal: Tensor) -> DeviceCost:
        binding = self._binding
        problem = Problem(self._carry, goal, self._goal, binding.committed, binding.previous)
        return DeviceCost(copy, problem, _Again(copy.model, self._config, self._use_state))

    def _in_machine_code(self) -> NativeCost | None:
        model = native_model(self._model)
        if model is None:
            return None
        config = self._config
        return NativeCost(
            model,
            self._carry,
            action_size=self._model.spec.action.size,
            goal=self._goal,
            goal_state=self._goal_state if self._use_state else None,
            committed=self._binding.committed,
            largest_change=self._binding.largest_change,
            previous=self._binding.previous,
            state_weights=self._place_weight * self._model.place_shares,
            action_weight=config.action_weight,
            action_rate_weight=config.action_rate_weight,
            smoothing=_SMOOTHING,
            is_root=int(config.distance == "root"),
            are_moves=int(self._binding.are_moves),
        )

    @property
    def committed(self) -> int:
        """Number of first actions that the robot executes whatever the plan is."""
        fixed = self._binding.committed
        return 0 if fixed is None else len(fixed)

    @torch.no_grad()
    def scene_distance(self, latent: Tensor) -> float:
        """Measure how far a scene is from its goal, without the measured place of the robot.

        Args:
            latent: (latent size,).
        """
        return float(squared_distance(self._model, latent, self._goal, None, 0.0).sqrt())

    @property
    def can_descend(self) -> bool:
        """Whether machine code computes and descends the costs."""
        return self._native is not None

    def bind(self, actions: Tensor) -> Tensor:
        """Turn sequences into actions that the robot can execute.

        The committed actions are in their place, and no action changes faster than the rate limit.

        Args:
            actions: (batch, horizon, block size) in [-1, 1].

        Returns:
            Normalised actions, (batch, horizon, block size).
        """
        return self._binding.bind(actions)

    def moves(self, bound: Tensor) -> Tensor:
        """Return what the action cost counts: actions, or for a position robot its moves.

        Args:
            bound: Sequences from `bind`, (batch, horizon, block size).

        Returns:
            (batch, steps, action size), one row per control step.
        """
        return self._binding.moves(bound)

    def __call__(self, actions: Tensor) -> Tensor:
        """Compute costs (batch,) of normalised sequences (batch, horizon, block size)."""
        if self._native is not None and not (torch.is_grad_enabled() and actions.requires_grad):
            return self._native.costs(actions, self._weights(actions.shape[1]))
        actions = self.bind(actions)
        return self.of_latents(self._model.rollout(self._carry, actions), actions)

    def residuals(self, actions: Tensor) -> Tensor:
        """Compute the residuals of sequences; see `levenberg_marquardt.ResidualCost`.

        For the root of the distance, each residual has the weight that makes the slopes equal
        (iteratively reweighted least squares).

        Args:
            actions: (batch, horizon, block size) in [-1, 1].

        Returns:
            (batch, residuals).
        """
        config, batch = self._config, len(actions)
        actions = self.bind(actions)
        carry = tuple(part.expand(batch, *part.shape[1:]) for part in self._carry)
        latents = []
        for action in actions.unbind(1):
            carry, latent = self._model.dynamics.step(carry, action)
            latents.append(latent)
        predicted = torch.stack(latents, 1)
        parts = [self._model.embed(predicted) - self._goal]
        if self._use_state:
            offset = self._model.split(predicted)[1] - self._goal_state
            parts.append(offset * (self._place_weight * self._model.place_shares).sqrt())
        terms = torch.cat(parts, -1)
        weights = self._weights(terms.shape[1]).expand(batch, -1)
        if config.distance == "root":
            weights = weights / (2.0 * (terms.square().sum(-1) + _SMOOTHING).sqrt().detach())
        rows = [(terms * weights.sqrt()[..., None]).flatten(1)]
        moves = self.moves(actions)
        if config.action_weight > 0.0:
            flat = moves.flatten(1)
            rows.append(flat * math.sqrt(config.action_weight / flat.shape[1]))
        if config.action_rate_weight > 0.0 and moves.shape[1] > 1:
            change = moves.diff(dim=1).flatten(1)
            rows.append(change * math.sqrt(config.action_rate_weight / change.shape[1]))
        return torch.cat(rows, 1)

    def predict(self, actions: Tensor) -> Tensor:
        """Predict the latents that sequences lead to, without a gradient.

        Args:
            actions: (batch, horizon, block size) in [-1, 1].

        Returns:
            (batch, horizon, latent size).
        """
        if self._native is not None:
            return self._native.latents(actions, self._weights(actions.shape[1]))
        with torch.no_grad():
            return self._model.rollout(self._carry, self.bind(actions))

    def descend(self, actions: Tensor, descent: Descent) -> tuple[Tensor, Tensor, int]:
        """Improve plans; see `planner.DescendingCost`. Raises RuntimeError if `can_descend` is
        false."""
        if self._native is None:
            raise RuntimeError("PyTorch computes these costs, so the planner must descend itself")
        return self._native.descend(actions, self._weights(actions.shape[1]), descent)

    def of_latents(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Compute the cost of sequences with known latents, predicted or observed.

        Args:
            latents: (batch, horizon, latent size).
            actions: Sequences from `bind`, (batch, horizon, block size).

        Returns:
            Costs (batch,).
        """
        wanted = self._goal_state if self._use_state else None
        distance = squared_distance(self._model, latents, self._goal, wanted, self._place_weight)
        if self._config.distance == "root":
            distance = (distance + _SMOOTHING).sqrt()
        return distance @ self._weights(actions.shape[1]) + self._action_cost(actions)

    def _weights(self, horizon: int) -> Tensor:
        if horizon not in self._step_weights:
            weights = self._config.step_weights(horizon)
            self._step_weights[horizon] = weights.to(self._goal.device)
        return self._step_weights[horizon]

    def _action_cost(self, actions: Tensor) -> Tensor | float:
        config, cost = self._config, torch.zeros(())
        moves = self.moves(actions)
        if config.action_weight > 0.0:
            cost = cost + config.action_weight * moves.square().mean((1, 2))
        if config.action_rate_weight > 0.0:
            change = moves.diff(dim=1).square()
            if change.shape[1]:  # a plan with one action has no changes
                cost = cost + config.action_rate_weight * change.mean((1, 2))
        return cost


@dataclasses.dataclass(frozen=True)
class _Again:
    """Makes the same cost for the copy of the model on a device."""

    model: WorldModel
    config: ObjectiveConfig
    use_state: bool

    def __call__(self, problem: Problem) -> GoalCost:
        return GoalCost(
            self.model, self.config, problem.carry, problem.goal, problem.committed,
            previous=problem.previous, use_state=self.use_state, native=False,
            embedded_goal=problem.embedded_goal,
        )  # fmt: skip
