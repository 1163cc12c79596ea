"""A small world model with random weights."""

from __future__ import annotations

import pytest
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

torch.set_num_threads(1)


def make_spec(height=16, width=20, history=2):
    return RobotSpec(
        "toy",
        ActionSpec(("vx", "vy"), "velocity", "m/s", (-1.0, -0.5), (1.0, 1.5)),
        StateSpec(("vx", "vy", "wz"), ("m/s", "m/s", "rad/s"), "odom"),
        ImageSpec(height, width),
        control_period=0.1,
        frame_skip=2,
        history=history,
    )


@pytest.fixture(params=["gru", "transformer"])
def make_model(request):
    def make(seed=0, **spec):
        torch.manual_seed(seed)
        architecture = Architecture(
            3, 4, 4, dynamics=request.param, hidden=8, heads=2, pose_names=("x", "y")
        )
        model = WorldModel(make_spec(**spec), architecture)
        model.state_mean.copy_(torch.tensor([0.1, -0.2, 0.3]))
        model.state_std.copy_(torch.tensor([0.5, 2.0, 1.0]))
        return model.eval().requires_grad_(False)

    return make
