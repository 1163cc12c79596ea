"""What a recording lacks is found, and a good one is not blamed."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from wm_mpc.training.config import TrainConfig
from wm_mpc.training.preparation import new_model
from wm_mpc.training.suitability import assess

METRICS = {"open_loop_error": [0.01, 0.02], "persistence_error": [0.5, 0.9]}


@pytest.fixture(scope="module")
def model(recording):
    config = TrainConfig.from_dict({"architecture": {"keypoints": 4, "hidden": 16}})
    return new_model(recording, config, np.array([0, 1, 2])).eval()


@pytest.fixture
def judged(recording, model):
    """The findings on the recording after a change of it, by name."""

    def run(change=lambda recording: None, metrics=METRICS, warnings=()):
        changed = copy.copy(recording)
        changed.actions, changed.images = recording.actions.copy(), np.array(recording.images)
        change(changed)
        found = assess(changed, model, np.array([3]), metrics, warnings)
        return {finding.name: finding for finding in found}

    return run


def names(found):
    return {name for name, finding in found.items() if not finding.holds}


def test_every_finding_that_does_not_hold_says_what_to_do(judged):
    found = judged(metrics={}, warnings=["WARNING the clocks differ"])
    assert {"clocks and topics", "length", "prediction", "guard"} <= names(found)
    assert all(finding.advice for finding in found.values() if not finding.holds)


def test_what_the_import_warned_of_comes_first(judged):
    found = judged(warnings=["WARNING the clocks differ"])
    assert next(iter(found.values())).value == "WARNING the clocks differ"
    assert judged()["clocks and topics"].holds


def test_actions_that_always_go_together_are_found(judged):
    def together(recording):
        recording.actions[:, 1] = -recording.actions[:, 0]

    assert judged()["independence of the actions"].holds
    assert "independence of the actions" in names(judged(together))


def test_an_action_that_uses_a_part_of_its_range_is_found(judged, recording):
    first = recording.spec.action.names[0]

    def weak(recording):
        recording.actions[:, 0] *= 0.2

    assert judged()[f"range of {first}"].holds
    assert f"range of {first}" in names(judged(weak))


def test_images_that_do_not_change_are_found(judged):
    def frozen(recording):
        recording.images[:] = recording.images[0]

    assert judged()["motion in the images"].holds
    assert "motion in the images" in names(judged(frozen))


def test_a_place_that_only_the_held_out_episodes_show_is_found(judged, recording):
    def elsewhere(recording):
        mine = np.flatnonzero(recording.episode_of == 3)
        recording.states = recording.states.copy()
        recording.states[mine] += 10.0

    assert judged()["coverage of the scene"].holds
    assert "coverage of the scene" in names(judged(elsewhere))


def test_one_light_is_mentioned_and_no_fault(judged):
    def one(recording):
        recording.images[:] = recording.images[0]

    def several(recording):
        dark = recording.episode_of % 2 == 0
        recording.images[dark] = recording.images[dark] // 2

    assert judged(one)["light"].advice
    assert judged(one)["light"].holds
    assert not judged(several)["light"].advice


@pytest.mark.parametrize(("error", "holds"), [(0.1, True), (0.8, False)])
def test_predictions_are_compared_with_predicting_no_change(judged, error, holds):
    found = judged(metrics={"open_loop_error": [error], "persistence_error": [1.0]})
    assert found["prediction"].holds == holds


def test_actions_without_effect_are_found(judged):
    assert "effect of the actions" in names(judged())  # the model of this test is not trained
