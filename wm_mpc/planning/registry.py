"""Planners by name, made from one flat set of settings. A new planner is one entry here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from wm_mpc.planning.cem import CrossEntropyPlanner
from wm_mpc.planning.cem_gd import CrossEntropyGradientPlanner
from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.icem import ImprovedCrossEntropyPlanner
from wm_mpc.planning.levenberg_marquardt import LevenbergMarquardtPlanner
from wm_mpc.planning.mppi import PathIntegralPlanner
from wm_mpc.planning.planner import Planner
from wm_mpc.settings.fields import SettingError, check, setting

# Arithmetic of costs and gradients. "native": machine code for this processor if there is a
# compiler and the library supports the model's sizes, or else PyTorch. "torch": always PyTorch.
BACKENDS = ("native", "torch")
DEVICES = ("cpu", "cuda")
# The very first plan: the only start of a search from one start, and the first mean of a sampling
# planner. "warm": the shifted last plan (rest at first). "zero": rest. "randn": random actions.
# "learned": the cheapest learned first plan (rest if the model has none). The other first plans
# stay the same.
INITS = ("warm", "zero", "randn", "learned")
MOST_RESTARTS = 1024


@dataclasses.dataclass(frozen=True)
class PlannerType:
    """A planning method.

    Attributes:
        make: Makes a planner from settings.
        reference: Settings for comparisons. A task's settings do not suit every planner, because
            they are tuned for Adam from many first plans.
        restarts: Whether it improves several starts at once (`planner.restarts`).
        gradient: Whether it descends along gradients.
    """

    make: Callable[[PlannerConfig], Planner]
    reference: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    restarts: bool = False
    gradient: bool = False


def _gradient(config: PlannerConfig, *, adaptive: bool) -> GradientPlanner:
    return GradientPlanner(
        config.iterations,
        config.learning_rate,
        config.learning_rate_decay,
        config.noise,
        config.restarts,
        adaptive=adaptive,
    )


def _cem_gd(config: PlannerConfig) -> CrossEntropyGradientPlanner:
    descent = dataclasses.replace(_gradient(config, adaptive=True), noise=0.0)
    return CrossEntropyGradientPlanner(descent, config.samples, deviation=config.noise or 0.5)


# Step sizes for searches that begin far from the goal.
FROM_FAR = MappingProxyType({"learning_rate": 0.3, "learning_rate_decay": 0.95})

PLANNERS: dict[str, PlannerType] = {
    "adam": PlannerType(lambda c: _gradient(c, adaptive=True), restarts=True, gradient=True),
    "gd": PlannerType(
        lambda c: _gradient(c, adaptive=False), FROM_FAR, restarts=True, gradient=True
    ),
    "cem_gd": PlannerType(_cem_gd, gradient=True),
    "icem": PlannerType(
        lambda c: ImprovedCrossEntropyPlanner(c.samples, c.elites, c.iterations, c.noise or 0.7),
        {"samples": 128, "elites": 16, "iterations": 6},
    ),
    "lm": PlannerType(
        lambda c: LevenbergMarquardtPlanner(c.iterations, c.restarts),
        {"restarts": 4, "iterations": 10},
        restarts=True,
        gradient=True,
    ),
    "cem": PlannerType(
        lambda c: CrossEntropyPlanner(c.samples, c.elites, c.iterations, c.noise or 1.0),
        {"samples": 300, "elites": 30, "iterations": 30},
    ),
    "mppi": PlannerType(
        lambda c: PathIntegralPlanner(c.samples, c.iterations, c.temperature, c.noise or 0.5),
        {"samples": 300, "iterations": 5},
    ),
}


@dataclasses.dataclass(frozen=True)
class PlannerConfig:
    """The settings `planner.*`.

    Raises:
        SettingError: A setting is not accepted, or two settings contradict each other.
    """

    type: str = setting("adam", "Planning method", choices=tuple(sorted(PLANNERS)))
    horizon: int = setting(7, "Number of model steps that a plan looks ahead", "steps", 1, 50)
    iterations: int = setting(15, "Number of iterations that improve a plan", "", 1, 100_000)
    learning_rate: float = setting(
        0.1, "Step size of gradient planners, as a share of half the action range", "", 1e-9, 10.0
    )
    learning_rate_decay: float = setting(
        0.5, "Share of the step size that is gone at the last iteration", "", 0.0, 1.0
    )
    restarts: int = setting(
        8, "Number of starts that a gradient planner improves at once", "", 1, MOST_RESTARTS
    )
    samples: int = setting(
        128,
        "Candidates of a sampling planner in each iteration, or first plans from which a gradient "
        "planner picks its starts",
        "",
        1,
        10000,
    )
    elites: int = setting(
        30, "Number of best candidates that cem and icem keep from each iteration", "", 1, 10000
    )
    temperature: float = setting(
        0.1,
        "Temperature of mppi, in standard deviations of the cost; lower follows the best candidate "
        "more closely",
        "",
        1e-3,
        1e3,
    )
    noise: float = setting(
        0.0,
        "Noise on the actions after each gradient step (0: none), or of samples (0: the default of "
        "the planner)",
        "",
        0.0,
        2.0,
    )
    warm_start: bool = setting(True, "Begin the search with the rest of the last plan")
    learned_start: bool = setting(
        True, "Also begin with the learned first plans, if the checkpoint has some"
    )
    init: str = setting(
        "warm",
        "The first start: the rest of the last plan, standing still, random actions, or the best "
        "learned first plan (standing still if there is none); the other starts stay the same",
        choices=INITS,
    )
    keep: float = setting(
        0.0,
        "A new plan replaces the rest of the last one only if its cost is lower by this share of "
        "it; 0: always",
        "",
        0.0,
        0.9,
    )
    hasten: float = setting(
        0.0,
        "What a plan does in its first model step is done as early as its cost allows, which may "
        "grow by this share; 0: as planned",
        "",
        0.0,
        0.9,
    )
    detour: int = setting(
        0,
        "If a plan leaves the scene away from its goal, search again from so many first plans, and "
        "the robot's measured place does not count; 0: never",
        "",
        0,
        10000,
    )
    wide_samples: int = setting(
        0,
        "If a plan does not reach the goal, search again from so many first plans when the plan "
        "has left, and begin the next plan from what is found; 0: never. Only for planners with "
        "several restarts",
        "",
        0,
        10000,
    )
    wide_period: float = setting(
        1.0, "Shortest time between two such wide searches for one goal", "s", 0.0, 60.0
    )
    backend: str = setting(
        "native",
        "Arithmetic of planning: compiled for this processor where that is possible, or PyTorch",
        choices=BACKENDS,
    )  # fmt: skip

    device: str = setting(
        "cpu",
        "Where plans and latents are computed: on the processor, or on an NVIDIA GPU",
        choices=DEVICES,
    )  # fmt: skip

    @property
    def why_not_wide(self) -> str:
        """Why there is no wide search, for people; empty if there is one."""
        if not PLANNERS[self.type].restarts:
            return f"{self.type} has no restarts"
        if self.restarts == 1:
            return "restarts is 1, so only the first of the first plans would be improved"
        if self.wide_samples <= self.samples:
            return f"it needs more than samples, {self.samples}"
        return ""

    def __post_init__(self) -> None:
        check(self, "planner.")
        if self.device == "cuda" and not torch.cuda.is_available():
            why = "PyTorch finds no NVIDIA GPU here"
            if torch.version.cuda is None:
                why = "this PyTorch is built without CUDA, and finds no NVIDIA GPU"
            raise SettingError(f"planner.device is cuda, but {why}; accepted: cpu")
        if self.elites > self.samples:
            raise SettingError(
                f"planner.elites is {self.elites}; it cannot exceed planner.samples, {self.samples}"
            )


def make_planner(config: PlannerConfig) -> Planner:
    """Make the planner that the settings describe.

    Args:
        config: The settings.
    """
    return PLANNERS[config.type].make(config)


def paper_presets() -> dict[str, PlannerConfig]:
    """Return the settings of arXiv 2512.09929, by name, for comparison with ours."""
    base = PlannerConfig(
        horizon=5, restarts=1, samples=1, elites=1, warm_start=False, learned_start=False,
        learning_rate_decay=0.0,
    )  # fmt: skip
    return {
        "paper_gd": dataclasses.replace(base, type="gd", iterations=300, learning_rate=1.0),
        "paper_adam": dataclasses.replace(base, type="adam", iterations=100, learning_rate=0.3),
        "paper_cem": dataclasses.replace(base, type="cem", samples=300, elites=30, iterations=30),
    }
