"""The task `reach_two` needs both of its cameras."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.sim.engines import simulate
from wm_mpc.sim.frames import frames_of
from wm_mpc.sim.reaching import HIGH, LOW, TOLERANCE
from wm_mpc.sim.tasks.reach_two import ReachTwo
from wm_mpc.view.projection import Projection

AXES = {"x": 0, "y": 1, "z": 2}
# What each camera cannot see: how far away from it the tip is.
DEPTH = {"front": "x", "side": "y"}


@pytest.fixture(scope="module")
def simulation():
    with simulate(ReachTwo()) as made:
        yield made


def seen(simulation, place):
    simulation.task.set_state(simulation.task._at_rest(place))
    return simulation.observe().image


def changes(simulation, camera, axis):
    """How much the camera's picture changes (grey levels) when the tip moves by twice the tolerance
    along an axis, from several places."""
    tile = next(tile for tile in simulation.task.spec.image.tiles if tile.name == camera)
    rng, found = np.random.default_rng(0), []
    move = np.zeros(3)
    move[AXES[axis]] = 2 * TOLERANCE
    for _ in range(12):
        place = rng.uniform(LOW, HIGH - move)
        pictures = [tile.of(seen(simulation, at)).astype(float) for at in (place, place + move)]
        found.append(np.sqrt(np.square(pictures[1] - pictures[0]).mean()))
    return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize("camera", ["front", "side"])
def test_neither_camera_sees_how_far_away_the_tip_is(simulation, camera):
    depth = changes(simulation, camera, DEPTH[camera])
    for axis in set(AXES) - {DEPTH[camera]}:
        assert depth < 0.35 * changes(simulation, camera, axis), axis


@pytest.mark.slow
def test_both_cameras_together_see_every_axis(simulation):
    for axis in AXES:
        assert max(changes(simulation, camera, axis) for camera in DEPTH) > 10.0


def test_a_guess_of_the_unseen_axis_reaches_few_goals():
    """The bound on the success of one camera: its unseen coordinate of start and goal is as
    good as drawn."""
    rng = np.random.default_rng(0)
    start, goal = rng.uniform(LOW, HIGH, (2, 100_000, 3))
    near = np.abs(goal - start) < TOLERANCE
    assert near[:, AXES["x"]].mean() == pytest.approx(0.32, abs=0.01)
    assert near[:, AXES["y"]].mean() == pytest.approx(0.15, abs=0.01)


def test_the_ball_is_where_each_camera_is_said_to_see_it(simulation):
    tile_of = dict(zip(DEPTH, simulation.task.spec.image.tiles, strict=True))
    place = np.array([0.45, 0.1, 0.2])
    image = seen(simulation, place).astype(int)
    for number, (name, tile) in enumerate(tile_of.items()):
        view = simulation.views[number]
        matrix = np.array(simulation.intrinsics(number)).reshape(3, 3)
        projection = Projection(
            matrix, tile.height, tile.width, np.array(view.position), view.axes()
        )
        column, row = projection.pixels(place[None])[0] * (tile.width, tile.height)
        picture = tile.of(image)
        red = (picture[..., 0] - picture[..., 2] > 80) & (picture[..., 0] > 120)
        rows, columns = np.nonzero(red)
        assert columns.mean() + 0.5 == pytest.approx(column, abs=1.0), name
        assert rows.mean() + 0.5 == pytest.approx(row, abs=2.0), name


def test_each_camera_has_a_frame_of_its_own(simulation):
    names = frames_of(simulation).names
    assert "camera" in names
    assert "side" in names


def test_the_arm_is_that_of_reach_and_its_goals_are_its(simulation):
    simulation.reset(np.random.default_rng(5))
    assert simulation.goal.observation.image.shape == (40, 80, 3)
    assert not simulation.is_success()
    simulation.task.set_state(simulation.goal.true_state)
    assert simulation.is_success()
