"""Synthesised rollouts are what the simulator really does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.workers import LocalWorkers
from wm_mpc.synthesis.random_rollouts import (
    RandomRolloutConfig,
    execute,
    random_actions,
    random_rollouts,
)

CONFIG = RandomRolloutConfig(count=36, steps=3)  # of three jobs


@pytest.fixture(scope="module")
def rollouts(recording):
    return random_rollouts(recording, CONFIG, seed=1, workers=LocalWorkers(1))


def beginning_of(recording, image, state):
    """The recorded frame that looks and measures like this."""
    same = (recording.states == state).all(1) & (recording.images == image).all((1, 2, 3))
    assert same.any(), "a rollout begins at no recorded frame"
    return same.nonzero()[0][0]


def test_rollouts_are_what_the_simulator_does_from_the_recorded_states(recording, rollouts):
    spec = recording.spec
    with simulate(make_task("wall")) as simulation:
        for images, states, actions in zip(
            rollouts.images, rollouts.states, rollouts.actions, strict=True
        ):
            frame = beginning_of(recording, images[0], states[0])
            layout = recording.layouts[recording.episode_of[frame]]
            simulation.restore(layout, recording.simulator_states[frame])
            for step, block in enumerate(actions, start=1):
                for action in spec.denormalise_action(block.reshape(spec.frame_skip, -1)):
                    observation = simulation.step(action)
                assert np.array_equal(observation.image, images[step])
                assert observation.state == pytest.approx(states[step], abs=1e-5)


def test_shapes_and_types_are_as_stated(recording, rollouts):
    spec, count, steps = recording.spec, CONFIG.count, CONFIG.steps
    assert rollouts.images.shape == (count, steps + 1, spec.image.height, spec.image.width, 3)
    assert rollouts.states.shape == (count, steps + 1, spec.state.size)
    assert rollouts.actions.shape == (count, steps, spec.block_size)
    types = (rollouts.images.dtype, rollouts.states.dtype, rollouts.actions.dtype)
    assert types == (np.uint8, np.float32, np.float32)


@pytest.mark.parametrize("workers", ["two_workers", "ray_workers"])
def test_rollouts_do_not_depend_on_the_workers(recording, rollouts, workers, request):
    done = []
    workers = request.getfixturevalue(workers)
    again = random_rollouts(recording, CONFIG, seed=1, workers=workers, progress=done.append)
    for name, array in vars(rollouts).items():
        assert np.array_equal(getattr(again, name), array), name
    assert sum(done) == CONFIG.count


def test_other_seed_gives_other_rollouts(recording, rollouts):
    other = random_rollouts(recording, CONFIG, seed=2, workers=LocalWorkers(1))
    assert not np.array_equal(other.actions, rollouts.actions)


def test_rollouts_begin_in_the_chosen_episodes_only(recording):
    """Held-out episodes stay held out."""
    rollouts = random_rollouts(
        recording, CONFIG, seed=1, workers=LocalWorkers(1), episodes=np.array([1, 2])
    )
    for images, states in zip(rollouts.images, rollouts.states, strict=True):
        frame = beginning_of(recording, images[0], states[0])
        assert recording.episode_of[frame] in (1, 2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 6), st.integers(1, 4))
def test_random_actions_are_inside_the_limits(seed, steps, frame_skip, size):
    actions = random_actions(np.random.default_rng(seed), steps, frame_skip, size)
    assert actions.shape == (steps * frame_skip, size)
    assert (np.abs(actions) <= 1.0).all()


def test_random_actions_are_both_steady_and_jittery():
    changes = []
    for seed in range(50):
        actions = random_actions(np.random.default_rng(seed), 4, 5, 2)
        changes.append(np.abs(np.diff(actions, axis=0)).mean())
    assert min(changes) < 0.05
    assert max(changes) > 0.5


def test_execution_sees_one_frame_per_model_step(recording):
    spec = recording.spec
    with simulate(make_task("wall")) as simulation:
        images, states = execute(
            simulation,
            recording.layouts[0],
            recording.simulator_states[0],
            np.zeros((2 * spec.frame_skip, 2)),
        )
    assert len(images) == len(states) == 3
    assert np.array_equal(images[0], recording.images[0])


def test_dataset_without_simulator_states_is_refused(tmp_path, recording):
    episode = recording.dataset.read(0)
    episode.simulator_states = None
    dataset = Dataset.create(tmp_path, recording.spec)
    dataset.append(0, episode)
    with pytest.raises(ValueError, match="this dataset has none"):
        random_rollouts(Recording(dataset), CONFIG, seed=1, workers=LocalWorkers(1))


@pytest.mark.parametrize("name", ["count", "steps"])
def test_setting_out_of_range_is_named(name):
    with pytest.raises(
        ValueError, match=rf"random\.{name} is 0; accepted: an integer of at least 1"
    ):
        RandomRolloutConfig(**{name: 0})
