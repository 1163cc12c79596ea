"""Disturbed pictures in a training: who sees them, and that nothing else changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.data.disturbances import KINDS
from wm_mpc.settings.fields import SettingError
from wm_mpc.training.augmentation import Augmentation, AugmentationConfig, augmented
from wm_mpc.training.config import ConfigError, TrainConfig
from wm_mpc.training.phases.phase import PhaseInputs
from wm_mpc.training.phases.representation import RepresentationPhase
from wm_mpc.training.preparation import new_model

ON = AugmentationConfig(share=0.5)


def groups(count=400):
    image = np.random.default_rng(0).integers(40, 200, (16, 16, 3), np.uint8)
    return np.broadcast_to(image, (count, 2, 16, 16, 3))


def test_it_is_off_unless_asked_for():
    assert not TrainConfig().augmentation.is_on
    pictures = groups()
    off = Augmentation(TrainConfig().augmentation)
    assert off.disturbed(pictures, np.random.default_rng(0)) is pictures


def test_the_share_of_groups_is_disturbed_and_the_others_are_not():
    changed = Augmentation(ON).disturbed(groups(), np.random.default_rng(0)) != groups()
    assert changed.reshape(len(changed), -1).any(1).mean() == pytest.approx(0.5, abs=0.08)


def test_pictures_of_a_group_share_light_and_camera():
    still = dataclasses.replace(ON, share=1.0, noise=0.0)
    result = Augmentation(still).disturbed(groups(50), np.random.default_rng(0))
    np.testing.assert_array_equal(result[:, 0], result[:, 1])
    assert len({group.tobytes() for group in result}) == 50


def test_the_same_seed_disturbs_in_the_same_way():
    first, second = (
        Augmentation(ON).disturbed(groups(20), np.random.default_rng(4)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_all_strengths_are_inside_the_settings():
    rng, found = np.random.default_rng(0), {}
    for _ in range(500):
        for one in Augmentation(ON).draw(rng):
            found.setdefault(one.name, []).append(one.strength)
    assert found.keys() == KINDS.keys() - {"covered", "dark", "beside"}
    for name, (low, high) in {
        "light": (1 / 1.35, 1.35), "offset": (-12, 12), "warm": (-1.3, 1.3), "gradient": (0, 0.35),
        "gamma": (0.8, 1.25), "shadow": (0, 0.4), "blur": (0.36, 1.2), "noise": (0, 5),
        "jpeg": (40, 99), "shift": (1, 2), "patch": (5.6, 14),
    }.items():  # fmt: skip
        assert low <= min(found[name]) <= max(found[name]) <= high, name
        assert max(found[name]) - min(found[name]) > 0.6 * (high - low), name


def test_a_strength_of_zero_leaves_its_disturbance_out():
    names = {field.name for field in dataclasses.fields(AugmentationConfig)}
    values = dict.fromkeys(names - {"share", "jpeg", "each"}, 0)
    nothing = Augmentation(AugmentationConfig(share=1.0, jpeg=100, each=1.0, **values))
    assert nothing.draw(np.random.default_rng(0)) == ()


def test_a_setting_that_is_not_accepted_is_named():
    with pytest.raises(SettingError, match=r"augmentation\.share is 1\.5; accepted: a number"):
        AugmentationConfig(share=1.5)
    with pytest.raises(ConfigError, match=r"augmentation\.sahre"):
        TrainConfig.from_dict({"augmentation": {"sahre": 0.5}})


def test_a_picture_of_a_recording_is_always_disturbed_in_the_same_way():
    images = groups(60)[:, 0]
    pictures = augmented(images, ON, 3)
    everything = pictures[:]
    changed = (everything != images).reshape(60, -1).any(1)
    assert changed.sum() == pytest.approx(30, abs=10)
    np.testing.assert_array_equal(pictures[10:20], everything[10:20])
    np.testing.assert_array_equal(pictures[np.array([41, 7])], everything[[41, 7]])
    assert (augmented(images, ON, 4)[:] != everything).any()
    assert augmented(images, AugmentationConfig(), 3) is images


def test_the_encoder_sees_disturbed_pictures_and_the_target_is_clean(recording):
    config = dataclasses.replace(TrainConfig(), augmentation=AugmentationConfig(share=1.0))
    episodes = np.arange(len(recording.indices))
    model = new_model(recording, config, episodes)
    phase = RepresentationPhase(PhaseInputs(model, recording, config, episodes))
    clean, states, actions, seen = phase.batch(np.random.default_rng(0))
    assert (clean != seen).flatten(1).any(1).float().mean() > 0.9
    with torch.no_grad():
        terms = phase(clean, states, actions, seen)
        other_target = phase(seen, states, actions, seen)
    assert terms["reconstruction"] != other_target["reconstruction"]
    assert terms["prediction"] == other_target["prediction"]
    off = RepresentationPhase(PhaseInputs(model, recording, TrainConfig(), episodes))
    same, *_, as_seen = off.batch(np.random.default_rng(0))
    assert (same == as_seen).all()
    assert (same == clean).all()


def test_the_settings_count_in_the_identity_of_a_run_only_when_on():
    assert "augmentation" not in TrainConfig().representation_settings()
    on = dataclasses.replace(TrainConfig(), augmentation=ON)
    assert on.representation_settings()["augmentation"]["share"] == 0.5
