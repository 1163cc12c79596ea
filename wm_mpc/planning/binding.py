"""From the sequences that a planner searches to actions that the robot can execute."""

from __future__ import annotations

import torch
from torch import Tensor

from wm_mpc.spec import RobotSpec


class Binding:
    """Puts committed actions in their place, and keeps the rate limit.

    For a position robot, a planner handles *moves*: 1 is the largest change of a position in one
    control step, and 0 is standing still. So every plan keeps the rate limit, no gradient dies at
    it, and sequences look like those of velocities.

    Args:
        spec: The robot.
        committed: (n, action size), normalised actions that the robot executes whatever the plan
            is; None: none.
        previous: (action size,), the normalised action before the first one. The rate limit starts
            from it. None: rest; not possible for a position robot.

    Attributes:
        committed: The committed actions; None: none.
        previous: The action before the first one.
        largest_change: Largest change of each entry in one control step, normalised; None: any.
        are_moves: Whether sequences are moves.

    Raises:
        ValueError: `previous` is missing for a position robot.
    """

    def __init__(self, spec: RobotSpec, committed: Tensor | None, previous: Tensor | None) -> None:
        self._size = spec.action.size
        self.committed = committed if committed is not None and len(committed) else None
        limit = spec.normalised_change
        self.are_moves = spec.rest_is_measured
        if previous is None:
            rest = spec.rest()
            if rest is None:
                raise ValueError("previous is needed: nobody can guess the robot's position")
            previous = torch.from_numpy(spec.normalise_action(rest))
        self.previous = previous
        self.largest_change = None if limit is None else torch.from_numpy(limit).to(previous.device)

    def bind(self, actions: Tensor) -> Tensor:
        """Turn sequences into actions that the robot can execute.

        Args:
            actions: (batch, horizon, block size) in [-1, 1].

        Returns:
            Normalised actions, (batch, horizon, block size).
        """
        if self.committed is None and self.largest_change is None:
            return actions
        steps = actions.shape[1] * actions.shape[2] // self._size
        rows = actions.reshape(len(actions), steps, self._size)
        count = 0
        if self.committed is not None:
            count = min(len(self.committed), rows.shape[1])
            fixed = self.committed[:count].expand(len(actions), -1, -1)
            rows = torch.cat([fixed, rows[:, count:]], 1)
        if self.are_moves:
            rows = self._moved(rows, count)
        elif self.largest_change is not None:
            rows = self._limit_rate(rows, count)
        return rows.reshape(actions.shape)

    def moves(self, bound: Tensor) -> Tensor:
        """Return what the action cost counts: actions, or for a position robot its moves.

        Args:
            bound: Sequences from `bind`, (batch, horizon, block size).

        Returns:
            (batch, steps, action size), one row per control step.
        """
        rows = bound.reshape(len(bound), -1, self._size)
        if not self.are_moves:
            return rows
        assert self.largest_change is not None
        first = self.previous.expand(len(bound), 1, -1)
        return torch.cat([first, rows], 1).diff(dim=1) / self.largest_change

    def _moved(self, moves: Tensor, first: int) -> Tensor:
        """Positions from moves (batch, steps, action size). A limit stops the position, not the
        gradient."""
        assert self.largest_change is not None
        rows = list(moves.unbind(1))
        before = rows[first - 1] if first else self.previous
        for number in range(first, len(rows)):
            wanted = before + rows[number] * self.largest_change
            before = wanted + (wanted.clamp(-1.0, 1.0) - wanted).detach()
            rows[number] = before
        return torch.stack(rows, 1)

    def _limit_rate(self, actions: Tensor, first: int) -> Tensor:
        """Limit the change of each action from number `first` on; its gradient goes to the action
        before."""
        assert self.largest_change is not None
        rows = list(actions.unbind(1))
        before = rows[first - 1] if first else self.previous
        for number in range(first, len(rows)):
            change = torch.maximum(rows[number] - before, -self.largest_change)
            before = before + torch.minimum(change, self.largest_change)
            rows[number] = before
        return torch.stack(rows, 1)
