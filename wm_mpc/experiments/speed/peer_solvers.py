"""Planners of `stable-worldmodel` and `pytorch-mppi` on our world model and our cost.

They are installed on demand (extra `bench`) and run as their libraries run them. They do not know
limits of actions, so the cost contains these limits.
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
    "pip install '.[bench]' in a checkout of wm_mpc; or, without changing installed packages: "
    "pip install --no-deps stable-worldmodel==0.1.1 pytorch-mppi==0.9.1 && "
    "pip install gymnasium loguru arm-pytorch-utilities"
)
# The settings with the best plans on the shipped tasks. Temperatures are in units of the cost.
# Tried: for MPPISolver 0.5 (its default), 0.1, 0.02 and 0.005; for pytorch-mppi 0.1, 0.02, 0.005
# and 0.001, each with noise of 0.25, 0.5 and 1.
_MPPI_SOLVER_TEMPERATURE = 0.005
_PYTORCH_MPPI_TEMPERATURE, _PYTORCH_MPPI_NOISE = 0.001, 0.5


class MissingPeerError(RuntimeError):
    """A library, or one of its imports, is not installed; `INSTALL` says how to install it."""


def peer_versions() -> dict[str, str]:
    """Return the installed version of each library, or "not installed"."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


class BoundedCost(torch.nn.Module):
    """A cost function in the form that `stable-worldmodel` expects: a "model" with `get_cost`.

    A candidate outside [-1, 1] costs as much as the nearest plan inside.

    Args:
        cost: The cost function.
        keeps_gradient: Whether an action outside has the slope of the nearest one inside, so that
            a gradient solver can return; otherwise its slope is zero, as with `clamp`.

    Attributes:
        best: Lowest cost of a plan since `forget`, if `watches` is set.
    """

    def __init__(self, cost: CostFunction, *, keeps_gradient: bool = False) -> None:
        super().__init__()
        self._cost, self._keeps_gradient = cost, keeps_gradient
        self.watches = False
        self.best = torch.inf

    def get_cost(self, info_dict: dict[str, Any], action_candidates: Tensor) -> Tensor:
        """Return the cost of candidates.

        Args:
            info_dict: Ignored.
            action_candidates: (1, samples, horizon, block size).

        Returns:
            (1, samples).
        """
        bounded = action_candidates.clamp(-1.0, 1.0)
        if self._keeps_gradient:
            bounded = action_candidates + (bounded - action_candidates).detach()
        costs = self._cost(bounded[0])[None]
        if self.watches:
            self.best = min(self.best, float(costs.min()))
        return costs

    criterion = get_cost


# Returns the same plan (horizon, block size), inside [-1, 1], each time.
Solver = Callable[[], Tensor]


def gradient_solver(
    cost: BoundedCost, horizon: int, block: int, *, iterations: int, restarts: int, rate: float,
    seed: int,
) -> Solver:  # fmt: skip
    """Make a `stable_worldmodel.solver.GradientSolver` with Adam.

    Args:
        cost: The cost function.
        horizon: Model steps.
        block: Entries of an action block.
        iterations: Iterations of Adam.
        restarts: Number of starts.
        rate: Step size.
        seed: Seed of the random starts.

    Raises:
        MissingPeerError: The library is not installed.
    """
    return _solver(
        "GradientSolver", cost, horizon, block, n_steps=iterations, num_samples=restarts,
        optimizer_cls=torch.optim.Adam, optimizer_kwargs={"lr": rate}, seed=seed,
    )  # fmt: skip


def gradient_solver_starts(restarts: int, horizon: int, block: int, seed: int) -> Tensor:
    """Return the plans at which `gradient_solver` starts: rest, and random ones that may be
    outside [-1, 1].

    Args:
        restarts: Number of plans.
        horizon: Model steps.
        block: Entries of an action block.
        seed: Seed of the solver.

    Returns:
        (restarts, horizon, block size).
    """
    generator = torch.Generator().manual_seed(seed)
    starts = torch.zeros(1, restarts, horizon, block)
    starts[:, 1:] = torch.randn(1, restarts - 1, horizon, block, generator=generator)
    return starts[0]


def sampling_solver(
    name: str, cost: BoundedCost, horizon: int, block: int, *, iterations: int, samples: int,
    elites: int, seed: int,
) -> Solver:  # fmt: skip
    """Make a sampling solver of `stable_worldmodel.solver`.

    Args:
        name: "CEMSolver" or "MPPISolver".
        cost: The cost function.
        horizon: Model steps.
        block: Entries of an action block.
        iterations: Iterations.
        samples: Samples per iteration.
        elites: Elites per iteration.
        seed: Seed of the samples.

    Raises:
        MissingPeerError: The library is not installed.
    """
    further = {"temperature": _MPPI_SOLVER_TEMPERATURE} if name == "MPPISolver" else {}
    return _solver(
        name, cost, horizon, block, n_steps=iterations, num_samples=samples, topk=elites,
        seed=seed, **further,
    )  # fmt: skip


def _solver(
    name: str, cost: BoundedCost, horizon: int, block: int, *, seed: int, **settings: Any
) -> Solver:
    solver = getattr(_stable_worldmodel(), name)(cost, device="cpu", seed=seed, **settings)
    from gymnasium.spaces import Box

    # One environment, whose action is already a block of actions.
    solver.configure(
        action_space=Box(-1.0, 1.0, (1, block)),
        n_envs=1,
        config=types.SimpleNamespace(horizon=horizon, action_block=1),
    )
    info = {"observation": torch.zeros(1, 1)}  # the cost knows it

    def solve() -> Tensor:
        solver.torch_gen.manual_seed(seed)
        with contextlib.redirect_stdout(io.StringIO()):  # the solver prints its time
            found = solver.solve(info)
        actions: Tensor = found["actions"]
        return actions[0].detach().clamp(-1.0, 1.0)

    return solve


def pytorch_mppi(
    cost: BoundedCost, horizon: int, block: int, *, iterations: int, samples: int, seed: int
) -> Solver:
    """Make a `pytorch_mppi.MPPI` with enough commands for one plan.

    It rolls out step by step. Our rollout of all steps at once is much faster, so its steps do
    nothing and the "terminal state" has the whole cost. This is the fastest way to run it on our
    model.

    Args:
        cost: The cost function.
        horizon: Model steps.
        block: Entries of an action block.
        iterations: Commands, which are iterations of the search.
        samples: Samples per iteration.
        seed: Seed of the samples.

    Raises:
        MissingPeerError: The library is not installed.
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
        # It uses torch's global generator.
        with torch.random.fork_rng(devices=()), torch.no_grad():
            torch.manual_seed(seed)
            controller.U = torch.zeros(horizon, block)
            for _ in range(iterations):
                controller.command(torch.zeros(1), shift_nominal_trajectory=False)
            return controller.U.clamp(-1.0, 1.0)

    return solve


def _stable_worldmodel() -> Any:
    """The solvers of the package alone. The rest imports dataset formats and torchvision, whose
    PyPI wheel does not load with a CPU build of torch."""
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
