"""Whether one frame tells what comes next: a thing with and without momentum, and a late robot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wm_mpc.training.second_frame import second_frame, second_frame_notes

from .conftest import Turner

EPISODES = 12
FIT, HELD_OUT = np.arange(9), np.arange(9, EPISODES)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Random velocities for a turning base, which say what moves the things of the tests."""
    turner = Turner(tmp_path_factory.mktemp("second_frame"))
    return turner(episodes=EPISODES, steps=80, size=(16, 16))


def moved(recorded, after):
    """Latents (frames, 1): the place of a thing that `after` moves, from place, velocity and the
    list of actions so far."""
    places = []
    for episode in range(EPISODES):
        place, velocity, told = 0.0, 0.0, []
        for action in recorded.actions[recorded.episode_of == episode]:
            places.append([place])
            told.append(float(action[0]))
            place, velocity = after(place, velocity, told)
    noise = np.random.default_rng(0).normal(0.0, 1e-3, (len(places), 1))
    return torch.tensor(np.array(places) + noise, dtype=torch.float32)


def follows(place, _, told):
    return place + 0.1 * told[-1], 0.0


def rolls(place, velocity, told):
    return place + 0.1 * velocity, 0.9 * velocity + 0.3 * told[-1]


def is_late(place, _, told):
    return place + 0.1 * (told[-3] if len(told) > 2 else 0.0), 0.0


@pytest.mark.parametrize(
    ("after", "least", "most"), [(follows, 0.0, 0.01), (rolls, 0.3, 1.0), (is_late, 0.3, 1.0)]
)
def test_a_second_frame_is_needed_where_something_rolls_on_or_is_late(recorded, after, least, most):
    measured = second_frame(recorded, moved(recorded, after), FIT, HELD_OUT)
    assert least <= measured["second_frame"] <= most
    notes = second_frame_notes(measured, 1)
    assert bool(notes) == (after is not follows)
    assert all("--history 2" in note for note in notes)


def test_measured_velocity_makes_it_needless(recorded):
    places = moved(recorded, rolls)
    velocities = moved(recorded, lambda place, _, told: (0.9 * place + 0.3 * told[-1], 0.0))
    measured = second_frame(recorded, torch.cat([places, velocities], 1), FIT, HELD_OUT)
    assert measured["second_frame"] < 0.05


def test_nothing_is_said_with_a_history_or_without_a_measurement():
    assert second_frame_notes({"second_frame": 0.9}, 2) == []
    assert second_frame_notes({}, 1) == []


def test_too_little_data_and_a_still_scene_are_not_judged(recorded):
    latents = moved(recorded, rolls)
    assert second_frame(recorded, latents, FIT, HELD_OUT[:1]) == {}
    assert second_frame(recorded, torch.zeros_like(latents), FIT, HELD_OUT) == {}


def test_the_same_seed_gives_the_same_number(recorded):
    latents = moved(recorded, follows)
    first, again = (second_frame(recorded, latents, FIT, HELD_OUT, 3) for _ in range(2))
    assert first == again
