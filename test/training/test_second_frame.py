"""Whether one frame tells what comes next: a thing with and without momentum, and a late robot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.training.second_frame import (
    HELPS,
    Windows,
    only_second_frame,
    second_frame,
    second_frame_notes,
)

EPISODES, STEPS = 12, 80


def follows(place, _, actions):
    return place + 0.1 * actions[-1], 0.0


def rolls(place, velocity, actions):
    return place + 0.1 * velocity, 0.9 * velocity + 0.3 * actions[-1]


def is_late(place, _, actions):
    return place + 0.1 * (actions[-2] if len(actions) > 1 else 0.0), 0.0


def stays(place, _, __):
    return place, 0.0


def moved(after, *, noise=1e-3, velocities=False, episodes=range(EPISODES), knows=None):
    """Windows of a thing that `after` moves, from place, velocity and the actions so far. It is
    seen with white noise. `knows`: what a model of one frame thinks; None: no change."""
    rows = []
    for episode in episodes:
        rng = np.random.default_rng(episode)
        place, velocity, actions, seen = rng.normal(), 0.0, [], []
        for _ in range(STEPS):
            actions.append(rng.uniform(-1.0, 1.0))
            seen.append([place, velocity] if velocities else [place])
            place, velocity = after(place, velocity, actions)
        seen = np.array(seen) + noise * rng.normal(size=(STEPS, len(seen[0])))
        for step in range(1, STEPS - 1):
            last, now = [actions[step - 1]], [actions[step]]
            predicted = seen[step] if knows is None else [knows(*seen[step], 0.0, now)[0]]
            rows.append((seen[step - 1], seen[step], seen[step + 1], last, now, predicted))
    parts = (torch.tensor(np.array(part, dtype=float)) for part in zip(*rows, strict=True))
    return Windows(*parts)


def share(after, seed=0, **changes):
    parts = (moved(after, episodes=part, **changes) for part in (range(9), range(9, EPISODES)))
    return only_second_frame(*parts, seed)


@pytest.mark.parametrize(
    ("after", "least", "most"), [(follows, 0.0, 0.01), (rolls, 0.3, 1.0), (is_late, 0.3, 1.0)]
)
def test_a_second_frame_is_needed_where_something_rolls_on_or_is_late(after, least, most):
    measured = share(after)
    assert least <= measured <= most
    assert bool(second_frame_notes({"second_frame": measured}, 1)) == (after is not follows)


def test_what_a_model_of_one_frame_knows_does_not_count():
    def tangled(place, _, actions):  # no ridge regression on few windows predicts this
        return place + 0.3 * np.sin(40.0 * place) + 0.1 * actions[-1], 0.0

    assert share(tangled, noise=0.0, knows=tangled) < 1e-6


def test_measured_velocity_makes_it_needless():
    assert share(rolls, velocities=True) < 0.05


@pytest.mark.parametrize("after", [follows, stays])
@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
def test_jitter_is_not_taken_for_momentum(after, noise):
    assert share(after, noise=noise) < HELPS / 2


def test_momentum_is_found_in_jitter():
    assert share(rolls, noise=0.01) > HELPS


def test_seeds_draw_other_features_and_agree():
    shares = [share(is_late, seed) for seed in (0, 0, 1)]
    assert shares[0] == shares[1] != shares[2]
    assert shares[2] == pytest.approx(shares[0], abs=0.1)


def test_a_still_scene_and_numbers_that_are_not_finite_are_not_judged():
    assert share(stays, noise=0.0) is None
    good = moved(rolls)
    broken = dataclasses.replace(good, after=torch.full_like(good.after, torch.nan))
    assert only_second_frame(good, broken, 0) is None


def test_an_input_that_is_constant_only_where_it_is_fitted_changes_nothing():
    fit, measured = (moved(rolls, episodes=part) for part in (range(9), range(9, EPISODES)))
    before = only_second_frame(fit, measured, 0)
    extended = [
        dataclasses.replace(
            windows,
            **{
                name: torch.cat(
                    [getattr(windows, name), torch.full((len(windows.now), 1), value)], 1
                )
                for name in ("before", "present", "after", "predicted")
            },
        )
        for windows, value in ((fit, 0.0), (measured, 5.0))
    ]
    # The constant has no error and no change, so shares of all coordinates stay as they are.
    assert only_second_frame(*extended, 0) == pytest.approx(before, abs=0.15)


def test_notes_say_what_was_not_measured_and_nothing_about_a_longer_history():
    assert second_frame_notes({"second_frame": 0.9}, 2) == second_frame_notes({}, 2) == []
    (note,) = second_frame_notes({}, 1)
    assert "was not measured" in note
    (note,) = second_frame_notes({"second_frame": 0.4}, 1)
    assert "40% of what changes" in note
    assert "--history 2" in note


def test_few_windows_and_a_longer_history_are_not_measured(recording):
    class Model:
        spec = dataclasses.replace(recording.spec, history=2)

    model = Model()
    episodes = np.arange(len(recording.indices))
    assert second_frame(model, recording, episodes, episodes) == {}  # type: ignore[arg-type]
    model.spec = recording.spec
    assert second_frame(model, recording, episodes, episodes[:0]) == {}  # type: ignore[arg-type]
