"""The settings of a descent in machine code, which does many iterations in one call."""

from __future__ import annotations

import dataclasses

from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Descent:
    """How a gradient planner wants to descend; see `wm_mpc.planning.gradient.GradientPlanner`.

    Attributes:
        iterations: Number of descent steps.
        learning_rate: Step size, in normalised actions.
        learning_rate_decay: Share of the step size that is lost by the last iteration.
        adaptive: Whether to use Adam.
        budget: Time from now, s. One step is done in any case.
        noise: Added to the actions after each step, (iterations, batch, horizon, action size); None
            for no noise.
    """

    iterations: int
    learning_rate: float
    learning_rate_decay: float
    adaptive: bool
    budget: float
    noise: Tensor | None = None
