"""What a descent is asked to do: in machine code, which does many iterations in one call."""

from __future__ import annotations

import dataclasses

from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Descent:
    """How a gradient planner wants to descend. adaptive: by Adam. budget: seconds from now; one
    step is done in any case. noise: (iterations, batch, horizon, action size), to be added to the
    actions after each step, or None. See `wm_mpc.planning.gradient` for the rest."""

    iterations: int
    learning_rate: float
    learning_rate_decay: float
    adaptive: bool
    budget: float
    noise: Tensor | None = None
