"""Planners by name, made from one flat set of settings. A new planner is one entry here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from wm_mpc.planning.cem import CrossEntropyPlanner
from wm_mpc.planning.cem_gd import CrossEntropyGradientPlanner
from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.icem import ImprovedCrossEntropyPlanner
from wm_mpc.planning.levenberg_marquardt import LevenbergMarquardtPlanner
from wm_mpc.planning.mppi import PathIntegralPlanner
from wm_mpc.planning.planner import Planner
from wm_mpc.settings.fields import SettingError, check, setting

# What computes costs and gradients: machine code made for this processor where there is a compiler
# and the model is a GRU, PyTorch otherwise; or PyTorch always.
BACKENDS = ("native", "torch")
# The plan that a search from a single start, and the mean of a sampling planner, begin from: rest;
# random actions; the shifted last plan (rest at first); or, of the model's learned first plans, the
# one that costs least (rest where the model has none). What else competes is not changed by it.
INITS = ("warm", "zero", "randn", "learned")


@dataclasses.dataclass(frozen=True)
class PlannerType:
    """A planning method.

    Attributes:
        make: Makes a planner from settings.
        reference: Settings it is compared with, in place of a task's, which are tuned for Adam from
            many first plans.
        restarts: Whether it improves several starts at once, `planner.restarts`.
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


# For searches that begin far from the goal.
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
    """The settings `planner.*`. Raises SettingError when they are not accepted, or contradict each
    other."""

    type: str = setting("adam", "Planning method", choices=tuple(sorted(PLANNERS)))
    horizon: int = setting(7, "Model steps to plan ahead", "steps", 1, 50)
    iterations: int = setting(15, "Improvement iterations of a plan", "", 1, 1000)
    learning_rate: float = setting(
        0.1, "Step size of gradient planners, in action ranges / 2", "", 1e-4, 10.0
    )
    learning_rate_decay: float = setting(
        0.5, "Share of the step size lost until the last iteration", "", 0.0, 1.0
    )
    restarts: int = setting(8, "Starts a gradient planner improves at once", "", 1, 1024)
    samples: int = setting(
        128,
        "Candidates of a sampling planner; first plans a gradient planner picks its starts from",
        "",
        1,
        10000,
    )
    elites: int = setting(30, "Candidates that cem and icem keep of an iteration", "", 1, 10000)
    temperature: float = setting(
        0.1,
        "Greed of mppi: lower follows the best candidate, in deviations of the cost",
        "",
        1e-3,
        1e3,
    )
    noise: float = setting(
        0.0,
        "Noise on actions: of gradient steps (0: none), or samples (0: the method's own)",
        "",
        0.0,
        2.0,
    )
    warm_start: bool = setting(True, "Begin from the shifted last plan")
    learned_start: bool = setting(
        True, "Begin from the checkpoint's learned first plans, too, where it has some"
    )
    init: str = setting(
        "warm",
        "What the first start is: the shifted last plan, rest, random, or the best learned one "
        "(rest where the checkpoint has none); the other starts stay as they are",
        choices=INITS,
    )
    backend: str = setting(
        "native",
        "Arithmetic of planning: compiled for this processor where that is possible, or PyTorch",
        choices=BACKENDS,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self, "planner.")
        if self.elites > self.samples:
            raise SettingError(
                f"planner.elites is {self.elites}; it cannot exceed planner.samples, {self.samples}"
            )


def make_planner(config: PlannerConfig) -> Planner:
    """The planner that some settings stand for."""
    return PLANNERS[config.type].make(config)


def paper_presets() -> dict[str, PlannerConfig]:
    """The settings of arXiv 2512.09929, kept so that ours are always compared with them."""
    base = PlannerConfig(
        horizon=5, restarts=1, samples=1, elites=1, warm_start=False, learned_start=False,
        learning_rate_decay=0.0,
    )  # fmt: skip
    return {
        "paper_gd": dataclasses.replace(base, type="gd", iterations=300, learning_rate=1.0),
        "paper_adam": dataclasses.replace(base, type="adam", iterations=100, learning_rate=0.3),
        "paper_cem": dataclasses.replace(base, type="cem", samples=300, elites=30, iterations=30),
    }
