"""Planning is tested on one core, as it runs next to a simulator; toys that tests share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

torch.set_num_threads(1)

HORIZON, SIZE = 3, 2  # of the toy


class LinearQuadratic:
    """A point mass in the plane, pushed for `HORIZON` steps towards a goal at rest.

    The cost is u' H u / 2 + g' u + c in all actions together, so its optimum is known exactly.
    """

    def __init__(self, goal):
        free = torch.eye(4)
        free[:2, 2:] = 0.5 * torch.eye(2)
        push = torch.cat([0.125 * torch.eye(2), 0.5 * torch.eye(2)])
        self.free, self.push = free, push
        self.goal = torch.tensor([*goal, 0.0, 0.0])

    def __call__(self, actions):
        state, cost = torch.zeros(len(actions), 4), 0.05 * actions.square().sum((1, 2))
        for action in actions.unbind(1):
            state = state @ self.free.T + action @ self.push.T
            cost = cost + 4.0 * (state - self.goal).square().sum(-1)
        return cost

    def optimum(self):
        """Inside the limits: the best of all choices of which actions are at which limit."""

        def cost(flat):
            return self(flat.reshape(1, HORIZON, SIZE))[0]

        origin = torch.zeros(HORIZON * SIZE)
        curvature = torch.autograd.functional.hessian(cost, origin).double().numpy()
        slope = torch.autograd.functional.jacobian(cost, origin).double().numpy()
        best, best_cost = None, np.inf
        for fixed in itertools.product((-1, 0, 1), repeat=len(slope)):
            actions = np.array(fixed, float)
            free = actions == 0
            pull = slope[free] + curvature[np.ix_(free, ~free)] @ actions[~free]
            actions[free] = np.linalg.solve(curvature[np.ix_(free, free)], -pull)
            value = actions @ curvature @ actions / 2 + slope @ actions
            if np.abs(actions).max() <= 1.0 and value < best_cost:
                best, best_cost = actions, value
        return torch.from_numpy(best).float().reshape(HORIZON, SIZE)


@pytest.fixture
def linear_quadratic():
    return LinearQuadratic


@pytest.fixture(scope="module")
def model():
    spec = RobotSpec(
        "toy",
        ActionSpec(("a", "b"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0)),
        StateSpec(("x",), ("m",), "odom"),
        ImageSpec(16, 16),
        control_period=0.1,
        frame_skip=3,
    )
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(3, 4, 4, hidden=8))
    model.eval().requires_grad_(False)
    model.dynamics.head[-1].weight.mul_(20.0)  # type: ignore[attr-defined]  # so that actions matter
    return model


@pytest.fixture
def carry(model):
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(1, 1, model.latent_size, generator=generator)
    return model.start(latent, torch.zeros(1, 0, 6))


@pytest.fixture
def goal(model):
    return torch.randn(model.latent_size, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def actions():
    return torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(3)) * 2 - 1
