"""Planners of `stable-worldmodel` and `pytorch-mppi` on our world model and our cost.

They are installed on demand (the extra `bench`), and run as the libraries run them. What they know
nothing of, limits of actions, is inside the cost they are given.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import sys
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from wm_mpc.planning.planner import CostFunction

VERSIONS = {"stable-worldmodel": "0.1.1", "pytorch-mppi": "0.9.1"}
INSTALL = (
    "pip install '.[bench]' in a checkout of wm_mpc; or, with what is there left as it is: "
    "pip install --no-deps stable-worldmodel==0.1.1 pytorch-mppi==0.9.1 && "
    "pip install gymnasium loguru arm-pytorch-utilities"
)
# What made the best plans on the shipped tasks. Temperatures are in units of the cost: MPPISolver's
# of 0.5 (its default), 0.1, 0.02, 0.005; pytorch-mppi's of 0.1, 0.02, 0.005, 0.001, each with noise
# of 0.25, 0.5 and 1.
_MPPI_SOLVER_TEMPERATURE = 0.005
_PYTORCH_MPPI_TEMPERATURE, _PYTORCH_MPPI_NOISE = 0.001, 0.5


class MissingPeerError(RuntimeError):
    """A library, or what it imports, is not installed; `INSTALL` says how."""


def peer_versions() -> dict[str, str]:
    """Installed version of each library, "not installed" where it is not."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


class BoundedCost(torch.nn.Module):
    """A cost function as `stable-worldmodel` asks for it: a "model" with `get_cost`.

    Candidates outside [-1, 1] cost what the nearest plan inside costs. keeps_gradient: and slope
    the way it does, so that a gradient solver can come back in; otherwise the slope of an action
    that is outside is zero, as `clamp` has it. best: the lowest cost of a plan seen since `forget`,
    when `watches`.
    """

    def __init__(self, cost: CostFunction, *, keeps_gradient: bool = False) -> None:
        super().__init__()
        self._cost, self._keeps_gradient = cost, keeps_gradient
        self.watches = False
        self.best = torch.inf

    def get_cost(self, info_dict: dict[str, Any], action_candidates: Tensor) -> Tensor:
        """(1, samples, horizon, block size) -> (1, samples)."""
        bounded = action_candidates.clamp(-1.0, 1.0)
        if self._keeps_gradient:
            bounded = action_candidates + (bounded - action_candidates).detach()
        costs = self._cost(bounded[0])[None]
        if self.watches:
            self.best = min(self.best, float(costs.min()))
        return costs

    criterion = get_cost


# Makes a plan (horizon, block size) inside [-1, 1], the same each time.
Solver = Callable[[], Tensor]


def gradient_solver(
    cost: BoundedCost, horizon: int, block: int, *, iterations: int, restarts: int, rate: float,
    seed: int,
) -> Solver:  # fmt: skip
    """`stable_worldmodel.solver.GradientSolver` with Adam. Raises MissingPeerError."""
    return _solver(
        "GradientSolver", cost, horizon, block, n_steps=iterations, num_samples=restarts,
        optimizer_cls=torch.optim.Adam, optimizer_kwargs={"lr": rate}, seed=seed,
    )  # fmt: skip


def gradient_solver_starts(restarts: int, horizon: int, block: int, seed: int) -> Tensor:
    """The plans (restarts, horizon, block size) that `gradient_solver` begins its search
    from: rest, and random ones that may lie outside [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.zeros(1, restarts, horizon, block)
    starts[:, 1:] = torch.randn(1, restarts - 1, horizon, block, generator=generator)
    return starts[0]


def cem_solver(
    cost: BoundedCost, horizon: int, block: int, *, iterations: int, samples: int, elites: int,
    seed: int,
) -> Solver:  # fmt: skip
    """`stable_worldmodel.solver.CEMSolver`. Raises MissingPeerError."""
    return _solver(
        "CEMSolver", cost, horizon, block, n_steps=iterations, num_samples=samples, topk=elites,
        seed=seed,
    )  # fmt: skip


def mppi_solver(
    cost: BoundedCost, horizon: int, block: int, *, iterations: int, samples: int, elites: int,
    seed: int,
) -> Solver:  # fmt: skip
    """`stable_worldmodel.solver.MPPISolver`. Raises MissingPeerError."""
    return _solver(
        "MPPISolver", cost, horizon, block, n_steps=iterations, num_samples=samples, topk=elites,
        temperature=_MPPI_SOLVER_TEMPERATURE, seed=seed,
    )  # fmt: skip


def _solver(
    name: str, cost: BoundedCost, horizon: int, block: int, *, seed: int, **settings: Any
) -> Solver:
    solver = getattr(_stable_worldmodel(), name)(cost, device="cpu", seed=seed, **settings)
    from gymnasium.spaces import Box

    # One environment, whose action is a block of low-level ones already.
    solver.configure(
        action_space=Box(-1.0, 1.0, (1, block)),
        n_envs=1,
        config=types.SimpleNamespace(horizon=horizon, action_block=1),
    )
    info = {"observation": torch.zeros(1, 1)}  # the cost knows it

    def solve() -> Tensor:
        solver.torch_gen.manual_seed(seed)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its time
            found = solver.solve(info)
        actions: Tensor = found["actions"]
        return actions[0].detach().clamp(-1.0, 1.0)

    return solve


def pytorch_mppi(
    cost: BoundedCost, horizon: int, block: int, *, iterations: int, samples: int, seed: int
) -> Solver:
    """`pytorch_mppi.MPPI`, so many commands for one plan. Raises MissingPeerError.

    It rolls out step by step; ours is much faster all steps at once, so its steps do nothing, and
    the whole cost is that of the "terminal state": the fastest way to run it on our model.
    """
    try:
        from pytorch_mppi import MPPI
    except ImportError as error:
        raise MissingPeerError(f"pytorch-mppi ({error})") from None
    nothing = torch.zeros(samples)

    def terminal_cost(states: Tensor, actions: Tensor) -> Tensor:
        return cost.get_cost({}, actions)[0]

    controller = MPPI(
        lambda state, action: state, lambda state, action: nothing, 1,
        torch.eye(block) * _PYTORCH_MPPI_NOISE**2, num_samples=samples, horizon=horizon,
        terminal_state_cost=terminal_cost, lambda_=_PYTORCH_MPPI_TEMPERATURE,
        u_min=-torch.ones(block), u_max=torch.ones(block),
    )  # fmt: skip

    def solve() -> Tensor:
        # It draws from torch's own generator.
        with torch.random.fork_rng(devices=()), torch.no_grad():
            torch.manual_seed(seed)
            controller.U = torch.zeros(horizon, block)
            for _ in range(iterations):
                controller.command(torch.zeros(1), shift_nominal_trajectory=False)
            return controller.U.clamp(-1.0, 1.0)

    return solve


def _stable_worldmodel() -> Any:
    """Its package of solvers alone. The whole of it imports formats of datasets and torchvision,
    whose wheel from PyPI does not load beside a CPU build of torch; solvers need none of it."""
    name = "stable_worldmodel"
    if f"{name}.solver" in sys.modules:
        return sys.modules[f"{name}.solver"]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise MissingPeerError("stable-worldmodel")
    sys.modules[name] = importlib.util.module_from_spec(spec)  # not executed
    try:
        return importlib.import_module(f"{name}.solver")
    except ImportError as error:
        raise MissingPeerError(f"{error.name}, for stable-worldmodel") from None
