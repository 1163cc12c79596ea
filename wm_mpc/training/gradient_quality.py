"""Check that a descent through the model also goes downhill in the world.

A gradient planner depends on this, and prediction errors do not show it. The slope of the
planner's cost is measured twice, at recorded states of held-out episodes with goals from later in
the episode: through the model, and by finite differences in the simulator, which executes
perturbed plans and encodes the resulting images. The cosine of the two slopes is 1 if the model
points the right way. Both use the same encoder and goal cost, so the result concerns the dynamics
alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.sim.engine import Simulation
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.training.recorded_case import RecordedCase, why_not_simulated

_LARGEST = 0.7  # largest normalised action of a plan, so that perturbed ones stay in the limits


@dataclasses.dataclass(frozen=True)
class GradientQualityConfig:
    """Settings of the measurement.

    Attributes:
        states: Number of recorded states; 1 or more.
        horizon: Model steps of a plan; 1 or more.
        directions: Number of directions in which to measure slopes, among plans of two held
            actions; 1 or more.
        delta: Length of a perturbation in normalised actions; above 0, up to 0.3. It must be small
            relative to a plan, but visible to the camera.

    Raises:
        ValueError: A value is not accepted.
    """

    states: int = 16
    horizon: int = 5
    directions: int = 6
    delta: float = 0.15

    def __post_init__(self) -> None:
        for name in ("states", "horizon", "directions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        if not 0.0 < self.delta <= 1.0 - _LARGEST:
            raise ValueError(f"delta is {self.delta}; accepted: above 0, to {1.0 - _LARGEST:.1f}")


@dataclasses.dataclass(frozen=True)
class GradientQuality:
    """Slopes of the cost per unit of normalised action.

    Attributes:
        model: Slopes through the model, float64 (states, directions).
        world: Slopes in the simulator, float64 (states, directions).
    """

    model: np.ndarray
    world: np.ndarray

    @property
    def cosines(self) -> np.ndarray:
        """Cosine of the two slopes of each state, -1 to 1; states with a flat slope are left
        out."""
        lengths = np.linalg.norm(self.model, axis=1) * np.linalg.norm(self.world, axis=1)
        steep = lengths > 1e-12
        return (self.model * self.world).sum(1)[steep] / lengths[steep]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the cosines; NaN if all slopes are flat."""
        if len(self.cosines) == 0:
            return (float("nan"),) * 3
        low, median, high = np.percentile(self.cosines, [25, 50, 75])
        return float(low), float(median), float(high)


def gradient_quality(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    config: GradientQualityConfig | None = None,
    objective: ObjectiveConfig | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> GradientQuality | None:
    """Compare the slopes of the cost in the model and in the simulator.

    Args:
        model: The model.
        recording: The recorded episodes.
        episodes: Positions of held-out episodes.
        config: Settings of the measurement.
        objective: The planner's cost.
        seed: Seed of states and plans.
        progress: Called with 1 after each state.

    Returns:
        The slopes; None if no episode is long enough or `why_not_simulated` has a reason.
    """
    config, objective = config or GradientQualityConfig(), objective or ObjectiveConfig()
    past = model.spec.history - 1
    starts = recording.window_starts(past + config.horizon, episodes)
    if len(starts) == 0 or why_not_simulated(recording):
        return None
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(starts, min(config.states, len(starts)), replace=False))
    slopes = []
    with simulate(make_task(recording.spec.task)) as simulation:
        for start in chosen:
            case = RecordedCase(model, recording, objective, int(start), config.horizon)
            held = rng.uniform(-_LARGEST, _LARGEST, case.held_size)
            directions = _directions(rng, config.directions, case.held_size)
            in_world = _slope_of_world(case, simulation, held, directions, config.delta)
            slopes.append((_slope_of_model(case, held, directions), in_world))
            progress(1)
    of_model, of_world = zip(*slopes, strict=True)
    return GradientQuality(np.stack(of_model), np.stack(of_world))


def _slope_of_model(case: RecordedCase, held: np.ndarray, directions: np.ndarray) -> np.ndarray:
    variable = torch.tensor(held, dtype=torch.float32, requires_grad=True)
    (slope,) = torch.autograd.grad(case.cost(case.held_plan(variable)).sum(), variable)
    return directions @ slope.double().numpy()


def _slope_of_world(
    case: RecordedCase,
    simulation: Simulation,
    held: np.ndarray,
    directions: np.ndarray,
    delta: float,
) -> np.ndarray:
    def cost(held: np.ndarray) -> float:
        plan = case.held_plan(torch.tensor(held, dtype=torch.float32))
        return case.cost_in_world(simulation, plan)

    differences = [cost(held + delta * d) - cost(held - delta * d) for d in directions]
    return np.array(differences) / (2 * delta)


def _directions(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Random orthonormal directions (at most `size`, size)."""
    return np.linalg.qr(rng.normal(size=(size, size)))[0].T[:count]
