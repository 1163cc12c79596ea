"""Planners by name, made from one flat set of settings. A new planner is one line here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from wm_mpc.planning.cem import CrossEntropyPlanner
from wm_mpc.planning.cem_gd import CrossEntropyGradientPlanner
from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.icem import ImprovedCrossEntropyPlanner
from wm_mpc.planning.levenberg_marquardt import LevenbergMarquardtPlanner
from wm_mpc.planning.mppi import PathIntegralPlanner
from wm_mpc.planning.planner import Planner

# What computes costs and gradients: machine code made for this processor where there is a compiler
# and the model is a GRU, PyTorch otherwise; or PyTorch always.
BACKENDS = ("native", "torch")
# The plan that a search from a single start, and the mean of a sampling planner, begin from: rest;
# random actions; the shifted last plan (rest at first); or, of the model's learned first plans, the
# one that costs least (rest where the model has none). What else competes is not changed by it.
INITS = ("warm", "zero", "randn", "learned")


@dataclasses.dataclass(frozen=True)
class PlannerConfig:
    """The `planner.*` parameters. restarts: starts a gradient planner descends from at once.
    samples: candidates of a sampling planner, or first plans a gradient planner picks its starts
    from. elites, temperature: of sampling planners. noise: of their samples (0: the method's own),
    or of gradient steps (0: none). warm_start: begin from the shifted last plan. learned_start:
    let the model's learned first plans compete, where it has some.
    init: what the first of the first plans is, one of `INITS`. backend: one of `BACKENDS`."""

    type: str = "adam"
    horizon: int = 7
    iterations: int = 15
    learning_rate: float = 0.1
    learning_rate_decay: float = 0.5
    restarts: int = 8
    samples: int = 128
    elites: int = 30
    temperature: float = 0.1
    noise: float = 0.0
    warm_start: bool = True
    learned_start: bool = True
    init: str = "warm"
    backend: str = "native"

    def __post_init__(self) -> None:
        if self.type not in PLANNERS:
            raise ValueError(
                f"planner.type is {self.type!r}; accepted: {', '.join(sorted(PLANNERS))}"
            )
        if self.init not in INITS:
            raise ValueError(f"planner.init is {self.init!r}; accepted: {', '.join(INITS)}")
        if self.backend not in BACKENDS:
            raise ValueError(
                f"planner.backend is {self.backend!r}; accepted: {', '.join(BACKENDS)}"
            )
        for name in ("horizon", "iterations", "restarts", "samples", "elites"):
            if getattr(self, name) < 1:
                raise ValueError(f"planner.{name} is {getattr(self, name)}; at least 1 is needed")
        if self.elites > self.samples:
            raise ValueError(
                f"planner.elites is {self.elites}; it cannot exceed planner.samples, {self.samples}"
            )


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


PLANNERS: dict[str, Callable[[PlannerConfig], Planner]] = {
    "adam": lambda c: _gradient(c, adaptive=True),
    "gd": lambda c: _gradient(c, adaptive=False),
    "cem_gd": _cem_gd,
    "icem": lambda c: ImprovedCrossEntropyPlanner(
        c.samples, c.elites, c.iterations, c.noise or 0.7
    ),
    "lm": lambda c: LevenbergMarquardtPlanner(c.iterations, c.restarts),
    "cem": lambda c: CrossEntropyPlanner(c.samples, c.elites, c.iterations, c.noise or 1.0),
    "mppi": lambda c: PathIntegralPlanner(c.samples, c.iterations, c.temperature, c.noise or 0.5),
}


def make_planner(config: PlannerConfig) -> Planner:
    return PLANNERS[config.type](config)


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
