"""What a running controller does with the light: with the shipped models, in their simulations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.control.seeing import Seeing
from wm_mpc.control.surprise import SurpriseMonitor
from wm_mpc.data.disturbances import Disturber
from wm_mpc.experiments.common.settings import task_settings
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.native import selection
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task

LIMIT = 3.0  # surprise.image


@pytest.fixture(params=["wall", "maze", "reach"], scope="module")
def scene(request):
    """A model, an observation, and its goal."""
    model = load_checkpoint(resolve_checkpoint(request.param))[0]
    with simulate(make_task(model.spec.task)) as simulation:
        observation = simulation.reset(episode_rng(5, "evaluate", 1))
        return model, observation, simulation.goal.observation


def watch(scene, text, pictures=4, seed=0):
    """Image errors and latents of a robot that stands in disturbed light, and its monitor."""
    model, observation, goal = scene
    settings = task_settings(model.spec.task)
    controller, monitor = RecedingHorizon(model), SurpriseMonitor(model)
    controller.set_goal(goal.image, goal.state)
    disturber, errors, latents = Disturber.of(text, seed), [], []
    for number in range(pictures):
        image = disturber(observation.image)
        controller.light = monitor.light
        plan = controller.plan(
            image, observation.state, float(number),
            planner=settings.planners["adam"], objective=settings.objective,
        )  # fmt: skip
        errors.append(monitor.look(image, plan.latents[0]))
        latents.append(plan.latents[0])
    return errors, latents, monitor


def moved(model, latent, other):
    """Distance of two latents in typical steps."""
    return float((model.embed(latent) - model.embed(other)).norm()) / model.familiarity.step


@pytest.mark.parametrize("text", ["light:0.8", "light:1.12", "warm:1", "gradient:0.25", "shift:1",
                                  "blur:1"])  # fmt: skip
def test_light_and_small_things_hold_nobody(scene, text):
    for seed in range(3):
        assert max(watch(scene, text, seed=seed)[0]) < LIMIT


@pytest.mark.parametrize("text", ["covered:1", "dark:0.9", "shift:10", "patch:20+light:0.9"])
def test_danger_holds_from_the_first_picture_on(scene, text):
    for seed in range(2):
        assert min(watch(scene, text, seed=seed)[0]) > LIMIT


@pytest.mark.parametrize("text", ["warm:1", "gradient:0.25"])
def test_the_model_sees_the_same_scene_in_another_light(scene, text):
    """From the first picture on; a sudden change is known from the second one on."""
    model, observation, _ = scene
    as_recorded = watch(scene, "none", 1)[1][0]
    state = torch.from_numpy(np.asarray(observation.state, np.float32))[None]
    image = torch.from_numpy(Disturber.of(text)(observation.image))[None]
    as_seen = moved(model, model.encode(image, state)[0], as_recorded)
    for latent in watch(scene, text)[1]:
        assert moved(model, latent, as_recorded) < min(0.7, 0.8 * as_seen)


def test_usual_light_changes_no_number(scene):
    _, latents, monitor = watch(scene, "none")
    assert monitor.light.is_neutral
    for latent in latents[1:]:
        assert torch.equal(latent, latents[0])


def test_a_covered_lens_is_not_taken_for_light(scene):
    assert watch(scene, "covered:1")[2].light is None


def test_a_goal_means_the_same_in_another_light(scene):
    model, _, goal = scene
    usual, latents = model.familiarity, []
    for text, unexplained in (("none", True), ("warm:1", True), ("warm:1", False)):
        model.familiarity = usual if unexplained else dataclasses.replace(usual, unexplained=0.0)
        controller = RecedingHorizon(model)
        controller.set_goal(Disturber.of(text)(goal.image), goal.state)
        latents.append(controller._goal)
    model.familiarity = usual
    as_recorded, relit, as_seen = latents
    assert moved(model, relit, as_recorded) < 0.8 * moved(model, as_seen, as_recorded)
    assert moved(model, relit, as_recorded) < 1.0


def test_an_older_checkpoint_judges_as_before(scene):
    model = scene[0]
    before = dataclasses.replace(model.familiarity, unexplained=0.0)
    known, model.familiarity = model.familiarity, before
    try:
        assert not Seeing(model).knows_light
        errors, _, monitor = watch(scene, "light:0.8")
        assert min(errors) > LIMIT
        assert monitor.light is None
    finally:
        model.familiarity = known


def test_without_machine_code_the_same_light_is_found(scene, monkeypatch):
    model, observation, _ = scene
    image = Disturber.of("warm:1")(observation.image)
    state = torch.from_numpy(np.asarray(observation.state, np.float32))
    latent = model.encode(torch.from_numpy(image)[None], state[None])[0]
    light, left = Seeing(model).compare(image, latent)
    monkeypatch.setattr(selection, "library", lambda: None)
    other, also_left = Seeing(model).compare(image, latent)
    np.testing.assert_allclose(light.gain, other.gain, atol=1e-3)
    assert left == pytest.approx(also_left, abs=1e-4)
