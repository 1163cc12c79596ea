"""The camera's place and intrinsics say the same as the matrices that it renders with."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.view.projection import Projection


@pytest.mark.parametrize("name", ["wall", "maze", "push_t", "reach", "reach_joints"])
def test_points_appear_where_the_renderer_puts_them(name):
    with simulate(make_task(name)) as simulation:
        view, spec = simulation.view, simulation.task.spec.image
        intrinsics, settings = simulation.intrinsics(), simulation.camera.settings
    names = "projectionMatrix", "viewMatrix"
    whole = np.linalg.multi_dot([np.array(settings[key]).reshape(4, 4).T for key in names])
    axes = view.axes()
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    matrix = np.array(intrinsics).reshape(3, 3)
    projection = Projection(matrix, spec.height, spec.width, np.array(view.position), axes)
    near = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 3)) + view.target
    clip = np.column_stack([near, np.ones(len(near))]) @ whole.T
    seen = clip[:, :2] / clip[:, 3:] * [0.5, -0.5] + 0.5
    assert projection.pixels(near) == pytest.approx(seen, abs=1e-4)
