"""What a running controller does with light and a bumped camera: with shipped models, simulated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.control import seeing
from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.control.seeing import Seeing
from wm_mpc.control.surprise import SurpriseMonitor
from wm_mpc.data.disturbances import Disturber
from wm_mpc.experiments.common.settings import task_settings
from wm_mpc.model.camera_shift import NO_SHIFT, Shift
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
        controller.conditions = monitor.conditions
        plan = controller.plan(
            image, observation.state, float(number),
            planner=settings.planners["adam"], objective=settings.objective,
        )  # fmt: skip
        errors.append(monitor.look(image, plan.latents[0], plan.conditions))
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
    assert monitor.conditions.light.is_neutral
    for latent in latents[1:]:
        assert torch.equal(latent, latents[0])


def test_a_covered_lens_is_not_taken_for_light(scene):
    assert watch(scene, "covered:1")[2].conditions is None


@pytest.mark.parametrize("text", ["shift:2", "shift:3", "warm:1+shift:3"])
def test_a_bumped_camera_is_moved_back_from_the_first_picture_on(scene, text):
    model, observation, _ = scene
    as_recorded = watch(scene, "none", 1)[1][0]
    state = torch.from_numpy(np.asarray(observation.state, np.float32))[None]
    errors, latents, monitor = watch(scene, text)
    assert max(errors) < LIMIT
    (shift,) = monitor.conditions.shifts
    assert shift.is_near(told_shift(text))
    image = torch.from_numpy(Disturber.of(text, 0)(observation.image))[None]
    as_seen = moved(model, model.encode(image, state)[0], as_recorded)
    for latent in latents:
        assert moved(model, latent, as_recorded) < 0.7 * as_seen


def told_shift(text):
    """The shift of a disturbance with seed 0, read off a picture with one bright pixel."""
    (part,) = (part for part in text.split("+") if part.startswith("shift"))
    number = text.split("+").index(part)
    black = np.zeros((64, 64, 3), np.uint8)
    black[32, 32] = 200
    disturbed = Disturber.of("+".join(["light:1"] * number + [part]), 0)(black)
    ((down, right),) = np.argwhere(disturbed[..., 0])
    return Shift(int(down) - 32, int(right) - 32)


def test_a_camera_bumped_on_the_way_is_moved_back_after_a_few_pictures(scene):
    model, observation, goal = scene
    settings = task_settings(model.spec.task)
    controller, monitor = RecedingHorizon(model), SurpriseMonitor(model)
    controller.set_goal(goal.image, goal.state)
    bumped, shifts, latents = Disturber.of("shift:3", 0), [], []
    for number in range(9):
        image = bumped(observation.image) if 2 <= number < 6 else observation.image
        controller.conditions = monitor.conditions
        plan = controller.plan(
            image, observation.state, float(number),
            planner=settings.planners["adam"], objective=settings.objective,
        )  # fmt: skip
        monitor.look(image, plan.latents[0], plan.conditions)
        latents.append(plan.latents[0])
        shifts.append(monitor.conditions.shifts[0] if monitor.conditions else NO_SHIFT)
    assert shifts[:4] == [NO_SHIFT] * 4  # one such picture, or two, may be an accident
    assert shifts[4].is_near(told_shift("shift:3"))
    assert moved(model, latents[5], latents[0]) < 0.7
    assert shifts[-1] == NO_SHIFT  # the camera was put back


def test_a_camera_that_shakes_moves_nothing(scene):
    observation = scene[1]
    (usual, *_), monitor = watch(scene, "none")[1:]
    shaken = Disturber.of("shift:3", 0)(observation.image)
    latent = watch(scene, "shift:3", 1)[1][0]
    for _ in range(3):  # two such pictures, then a good one
        monitor.look(shaken, latent)
        monitor.look(shaken, latent)
        monitor.look(observation.image, usual)
        assert monitor.conditions.shifts == (NO_SHIFT,)


def test_a_far_moved_camera_is_not_moved_back(scene):
    for seed in range(3):
        errors, _, monitor = watch(scene, "shift:10", seed=seed)
        assert min(errors) > LIMIT
        assert monitor.conditions is None


def test_of_two_cameras_the_bumped_one_is_moved_back(monkeypatch):
    model = load_checkpoint(resolve_checkpoint("reach_two"))[0]
    with simulate(make_task(model.spec.task)) as simulation:
        observation = simulation.reset(episode_rng(5, "evaluate", 1))
        goal = simulation.goal.observation
    side, seen = model.spec.image.tiles[1], observation.image.copy()
    side.of(seen)[...] = Disturber.of("shift:2", 0)(np.ascontiguousarray(side.of(seen)))
    # Its small picture shows hardly anything but the arm, so the search itself finds no shift.
    monkeypatch.setattr(seeing, "likeliest_shift", lambda *_: told_shift("shift:2"))
    controller, monitor = RecedingHorizon(model), SurpriseMonitor(model)
    controller.set_goal(goal.image, goal.state)
    plan = controller.plan(
        seen, observation.state, 0.0, planner=task_settings("reach_two").planners["adam"],
        objective=task_settings("reach_two").objective,
    )  # fmt: skip
    assert monitor.look(seen, plan.latents[0], plan.conditions) < LIMIT
    assert monitor.conditions.shifts == (NO_SHIFT, told_shift("shift:2"))


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
        assert monitor.conditions is None
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
