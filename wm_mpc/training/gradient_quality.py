"""Does a descent through the model go downhill in the world? The question a gradient planner lives
on, and which prediction errors do not answer.

From recorded states of held-out episodes, with goals from later in the same episode, the slope of
the planner's own cost is taken twice: through the model, and by finite differences in the
simulator, where perturbed plans are executed and what the camera then sees is encoded. Their cosine
is 1 where the model points the right way. Both slopes use the same encoder and the same goal cost,
so this judges the dynamics alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import ObjectiveConfig
from wm_mpc.sim.bullet import Simulation
from wm_mpc.sim.tasks import make_task
from wm_mpc.training.recorded_case import RecordedCase

_LARGEST = 0.7  # of a plan's actions, so that perturbed ones stay inside the limits


@dataclasses.dataclass(frozen=True)
class GradientQualityConfig:
    """states: recorded ones to start from. horizon: model steps of a plan. directions: of plans
    made of two held actions, along which slopes are taken, at most all there are. delta: length of
    a perturbation, in normalised actions: small against a plan, large against what the camera
    resolves."""

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
    """model, world: slopes (states, directions) of the cost through the model and through the
    simulator, per unit of normalised action."""

    model: np.ndarray
    world: np.ndarray

    @property
    def cosines(self) -> np.ndarray:
        """Of the two slopes, one per state; states where one of them is flat are left out."""
        lengths = np.linalg.norm(self.model, axis=1) * np.linalg.norm(self.world, axis=1)
        steep = lengths > 1e-12
        return (self.model * self.world).sum(1)[steep] / lengths[steep]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the cosines; NaN when all is flat."""
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
    """Compare slopes in `episodes`; `progress` is called with 1 for every state. None when no
    episode is long enough or the recording holds no simulator states."""
    config, objective = config or GradientQualityConfig(), objective or ObjectiveConfig()
    past = model.spec.history - 1
    starts = recording.window_starts(past + config.horizon, episodes)
    if recording.simulator_states is None or len(starts) == 0:
        return None
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(starts, min(config.states, len(starts)), replace=False))
    slopes = []
    with Simulation(make_task(recording.spec.task)) as simulation:
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
