"""The camera's place and intrinsics say the same as the matrices that it renders with."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.sim.bullet import Simulation, episode_rng
from wm_mpc.sim.tasks import TASKS, make_task
from wm_mpc.view.projection import Projection


@pytest.mark.parametrize("name", sorted(TASKS))
def test_points_appear_where_the_renderer_puts_them(name):
    with Simulation(make_task(name)) as simulation:
        camera, spec = simulation.camera, simulation.task.spec.image
        simulation.reset(episode_rng(0, "node", 0))
    matrices = (np.array(camera.settings[key]).reshape(4, 4).T for key in
                ("projectionMatrix", "viewMatrix"))  # fmt: skip
    whole = np.linalg.multi_dot(list(matrices))
    axes = camera.axes()
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    projection = Projection(
        np.array(camera.intrinsics()).reshape(3, 3),
        spec.height,
        spec.width,
        np.array(camera.view.position),
        axes,
    )
    near = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 3)) + camera.view.target
    clip = np.column_stack([near, np.ones(len(near))]) @ whole.T
    seen = clip[:, :2] / clip[:, 3:] * [0.5, -0.5] + 0.5
    assert projection.pixels(near) == pytest.approx(seen, abs=1e-4)
