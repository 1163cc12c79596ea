"""The cost a planner minimises: distance to the goal in the latent, and what actions cost."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from wm_mpc.model.dynamics import Carry
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.descent import Descent
from wm_mpc.native.kernel import NativeCost
from wm_mpc.native.selection import native_model
from wm_mpc.settings.fields import check, setting

MODES = ("last", "all")
DISTANCES = ("root", "squared")
_SMOOTHING = 1e-4  # of the root, so that its gradient is smooth at the goal


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """The settings `cost.*`. In mode `all` a step weighs `discount` as much as the one after it.
    With the distance's root the last centimetres count as much as the first ones, and a way round
    an obstacle costs less. Raises SettingError when they are not accepted."""

    mode: str = setting(
        "all",
        "Count the goal distance of the last model step only, or of all, weighted",
        choices=MODES,
    )
    discount: float = setting(
        0.8, "Weight of a model step relative to the next one, in mode all", "", 0.01, 1.0
    )
    distance: str = setting(
        "root",
        "Use the squared goal distance, or its root, which leads straight to the goal",
        choices=DISTANCES,
    )
    state_weight: float = setting(
        0.0, "Weight of the robot's state in the goal distance", "", 0.0, 100.0
    )
    action_weight: float = setting(
        0.01, "Weight of the squared actions; higher is gentler", "", 0.0, 100.0
    )
    action_rate_weight: float = setting(
        0.0,
        "Weight of the squared changes from action to action; higher is smoother",
        "",
        0.0,
        100.0,
    )

    def __post_init__(self) -> None:
        check(self, "cost.")

    def step_weights(self, horizon: int) -> Tensor:
        """Weights (horizon,) of the steps' goal distances; they sum to 1."""
        weights = torch.zeros(horizon)
        weights[-1] = 1.0
        if self.mode == "all":
            weights = self.discount ** torch.arange(horizon - 1, -1, -1.0)
        return weights / weights.sum()


def squared_distance(
    model: WorldModel, latents: Tensor, goal: Tensor, goal_state: Tensor | None, state_weight: float
) -> Tensor:
    """How far latents (..., latent size) are from a goal: of the scene to the embedded goal and,
    weighted, of the robot's state to the goal's normalised one, unless that is None -> (...)."""
    distance = (model.embed(latents) - goal).square().sum(-1)
    if goal_state is None:
        return distance
    offset = (model.split(latents)[1] - goal_state).square().mean(-1)
    return distance + state_weight * offset


class GoalCost:
    """Cost of action sequences from one observed history to one goal.

    For a robot moved by positions, a planner handles *moves*: 1 is the largest change of a position
    in one control step, and 0 is standing still. So the rate limit holds for whatever is planned,
    no gradient dies at it, and sequences look like those of velocities. `bind` turns moves into
    normalised positions; action costs are those of moves.

    Args:
        model: The world model.
        config: What costs how much.
        carry: Of `WorldModel.start`, batch 1.
        goal: Latent (latent size,).
        committed: (n, action size), normalised actions that will be executed whatever is planned.
            They replace the first n of each sequence, so a planner changes only what can still be
            changed.
        previous: (action size,), the normalised action before the first one, from which the rate of
            change is limited; None: rest, which a robot moved by positions does not know.
        use_state: Whether the state of the robot at the goal is known.
        native: Compute in machine code if possible (`wm_mpc.native`). PyTorch still computes the
            gradients that it asks for.
        embedded_goal: `model.embed(goal)`, if it is known already.
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
        embedded_goal: Tensor | None = None,
    ) -> None:
        self._model, self._config, self._carry = model, config, carry
        self._goal = model.embed(goal) if embedded_goal is None else embedded_goal
        self._goal_state = model.split(goal)[1]
        self._step_weights: dict[int, Tensor] = {}
        self._committed = committed if committed is not None and len(committed) else None
        spec = model.spec
        limit = spec.normalised_change
        self._largest_change = None if limit is None else torch.from_numpy(limit)
        self._are_moves = spec.rest_is_measured
        if previous is None:
            rest = spec.rest()
            if rest is None:
                raise ValueError("previous is needed: where the robot is cannot be guessed")
            previous = torch.from_numpy(spec.normalise_action(rest))
        self._previous = previous
        # Of a robot of which nothing is measured, no state can be far from the goal's.
        measures = model.spec.state.size > 0
        self._use_state = use_state and measures and config.state_weight > 0.0
        self._native = self._in_machine_code() if native else None

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
            committed=self._committed,
            largest_change=self._largest_change,
            previous=self._previous,
            state_weight=config.state_weight,
            action_weight=config.action_weight,
            action_rate_weight=config.action_rate_weight,
            smoothing=_SMOOTHING,
            is_root=int(config.distance == "root"),
            are_moves=int(self._are_moves),
        )

    @property
    def can_descend(self) -> bool:
        """Whether costs are computed, and descended, in machine code."""
        return self._native is not None

    def bind(self, actions: Tensor) -> Tensor:
        """Sequences (batch, horizon, block size) as they can be executed, normalised actions: with
        the committed ones in their place, and changing no faster than the robot's rate limit."""
        if self._committed is None and self._largest_change is None:
            return actions
        size = self._model.spec.action.size
        low_level = actions.reshape(len(actions), actions.shape[1] * actions.shape[2] // size, size)
        count = 0
        if self._committed is not None:
            count = min(len(self._committed), low_level.shape[1])
            fixed = self._committed[:count].expand(len(actions), -1, -1)
            low_level = torch.cat([fixed, low_level[:, count:]], 1)
        if self._are_moves:
            low_level = self._moved(low_level, count)
        elif self._largest_change is not None:
            low_level = self._limit_rate(low_level, count)
        return low_level.reshape(actions.shape)

    def _moved(self, low_level: Tensor, first: int) -> Tensor:
        """Positions from moves (batch, steps, action size); the first ones are positions already.
        A limit that is reached stops the position, not the gradient."""
        assert self._largest_change is not None
        rows = list(low_level.unbind(1))
        before = rows[first - 1] if first else self._previous
        for number in range(first, len(rows)):
            wanted = before + rows[number] * self._largest_change
            before = wanted + (wanted.clamp(-1.0, 1.0) - wanted).detach()
            rows[number] = before
        return torch.stack(rows, 1)

    def moves(self, bound: Tensor) -> Tensor:
        """What costs: of bound sequences (batch, horizon, block size) the low-level actions (batch,
        steps, action size); of positions the moves between them."""
        low_level = bound.reshape(len(bound), -1, self._model.spec.action.size)
        if not self._are_moves:
            return low_level
        assert self._largest_change is not None
        first = self._previous.expand(len(bound), 1, -1)
        return torch.cat([first, low_level], 1).diff(dim=1) / self._largest_change

    def _limit_rate(self, low_level: Tensor, first: int) -> Tensor:
        """Each action from number `first` on at most the largest change from the one before it.
        Where the limit bites, the gradient goes to the action before, so it stays alive."""
        assert self._largest_change is not None
        rows = list(low_level.unbind(1))
        before = rows[first - 1] if first else self._previous
        for number in range(first, len(rows)):
            change = torch.maximum(rows[number] - before, -self._largest_change)
            before = before + torch.minimum(change, self._largest_change)
            rows[number] = before
        return torch.stack(rows, 1)

    def __call__(self, actions: Tensor) -> Tensor:
        """(batch, horizon, block size), normalised -> costs (batch,)."""
        if self._native is not None and not (torch.is_grad_enabled() and actions.requires_grad):
            return self._native.costs(actions, self._weights(actions.shape[1]))
        actions = self.bind(actions)
        return self.of_latents(self._model.rollout(self._carry, actions), actions)

    def residuals(self, actions: Tensor) -> Tensor:
        """See `levenberg_marquardt.ResidualCost`: (batch, horizon, block size) -> (batch,
        residuals).

        Distances that count by their root enter with the weight that makes the slopes equal
        (iteratively reweighted least squares).
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
            parts.append(offset * math.sqrt(config.state_weight / offset.shape[-1]))
        terms = torch.cat(parts, -1)
        weights = self._weights(terms.shape[1]).expand(batch, -1)
        if config.distance == "root":
            weights = weights / (2.0 * (terms.square().sum(-1) + _SMOOTHING).sqrt().detach())
        rows = [(terms * weights.sqrt()[..., None]).flatten(1)]
        low_level = self.moves(actions)
        if config.action_weight > 0.0:
            flat = low_level.flatten(1)
            rows.append(flat * math.sqrt(config.action_weight / flat.shape[1]))
        if config.action_rate_weight > 0.0 and low_level.shape[1] > 1:
            change = low_level.diff(dim=1).flatten(1)
            rows.append(change * math.sqrt(config.action_rate_weight / change.shape[1]))
        return torch.cat(rows, 1)

    def predict(self, actions: Tensor) -> Tensor:
        """The latents (batch, horizon, latent size) that sequences (batch, horizon, block size)
        lead to, without a gradient."""
        if self._native is not None:
            return self._native.latents(actions, self._weights(actions.shape[1]))
        with torch.no_grad():
            return self._model.rollout(self._carry, self.bind(actions))

    def descend(self, actions: Tensor, descent: Descent) -> tuple[Tensor, Tensor, int]:
        """See `planner.DescendingCost`. Raises RuntimeError where `can_descend` is false."""
        if self._native is None:
            raise RuntimeError("costs are computed by PyTorch, which a planner descends itself")
        return self._native.descend(actions, self._weights(actions.shape[1]), descent)

    def of_latents(self, latents: Tensor, actions: Tensor) -> Tensor:
        """The cost of bound sequences whose latents (batch, horizon, latent size) are known:
        predicted ones, or seen ones to compare with."""
        wanted = self._goal_state if self._use_state else None
        distance = squared_distance(
            self._model, latents, self._goal, wanted, self._config.state_weight
        )
        if self._config.distance == "root":
            distance = (distance + _SMOOTHING).sqrt()
        return distance @ self._weights(actions.shape[1]) + self._action_cost(actions)

    def _weights(self, horizon: int) -> Tensor:
        if horizon not in self._step_weights:
            self._step_weights[horizon] = self._config.step_weights(horizon)
        return self._step_weights[horizon]

    def _action_cost(self, actions: Tensor) -> Tensor | float:
        config, cost = self._config, torch.zeros(())
        low_level = self.moves(actions)
        if config.action_weight > 0.0:
            cost = cost + config.action_weight * low_level.square().mean((1, 2))
        if config.action_rate_weight > 0.0:
            change = low_level.diff(dim=1).square()
            if change.shape[1]:  # a plan of a single action never changes it
                cost = cost + config.action_rate_weight * change.mean((1, 2))
        return cost
