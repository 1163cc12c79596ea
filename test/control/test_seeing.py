"""What a running controller does with light and a bumped camera: with shipped models, simulated."""

from __future__ import annotations

import collections
import dataclasses

import cv2
import numpy as np
import pytest
import torch

from wm_mpc.codes import HoldCode
from wm_mpc.control import seeing
from wm_mpc.control.loop import ControlLoop, Hold, Send
from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.control.seeing import Seeing
from wm_mpc.control.settings import ControlSettings
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


def watch(scene, text, pictures=4, seed=0, picture=None, undisturbed=0):
    """Image errors and latents of a robot that stands in disturbed light, and its monitor. It may
    see another picture than the scene's, and undisturbed ones first."""
    model, observation, goal = scene
    settings = task_settings(model.spec.task)
    controller, monitor = RecedingHorizon(model), SurpriseMonitor(model)
    controller.set_goal(goal.image, goal.state)
    disturber, errors, latents = Disturber.of(text, seed), [], []
    for number in range(pictures):
        image = disturber(observation.image if picture is None else picture)
        image = image if number >= undisturbed else observation.image
        controller.conditions = monitor.conditions
        plan = controller.plan(
            image, observation.state, float(number),
            planner=settings.planners["adam"], objective=settings.objective,
        )  # fmt: skip
        errors.append(monitor.look(image, plan.latents[0], plan.conditions))
        monitor.seek()
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


@pytest.mark.parametrize("text", ["covered:1", "dark:0.9", "shift:10", "patch:24+light:0.9"])
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
    assert watch(scene, "covered:1")[2].conditions.light is None


@pytest.mark.parametrize("text", ["shift:2", "shift:3", "warm:1+shift:3"])
@pytest.mark.parametrize("seed", range(4))
def test_a_bumped_camera_is_moved_back(scene, text, seed):
    model, observation, _ = scene
    as_recorded = watch(scene, "none", 1)[1][0]
    state = torch.from_numpy(np.asarray(observation.state, np.float32))[None]
    errors, latents, monitor = watch(scene, text, 6, seed)
    (shift,) = monitor.conditions.shifts
    assert shift.is_near(shift_of(text, seed))
    assert max(errors[3:]) < LIMIT
    image = torch.from_numpy(Disturber.of(text, seed)(observation.image))[None]
    as_seen = moved(model, model.encode(image, state)[0], as_recorded)
    for latent in latents[4:]:
        assert moved(model, latent, as_recorded) < max(0.5, 0.7 * as_seen)


@pytest.mark.parametrize("text", ["shift:2", "shift:3", "warm:1+shift:3"])
@pytest.mark.parametrize("seed", range(4))
def test_a_bump_before_the_first_picture_holds_nobody(scene, text, seed):
    errors, _, monitor = watch(scene, text, 2, seed)
    assert max(errors) < LIMIT
    if scene[0].spec.task != "reach":  # its pictures tell little
        assert monitor.conditions.shifts[0].is_near(shift_of(text, seed))


def test_a_bump_after_the_first_picture_needs_more_pictures(scene):
    if scene[0].spec.task == "reach":
        pytest.skip("its pictures tell little")
    errors, _, monitor = watch(scene, "shift:3", 6, undisturbed=1)
    assert max(errors[0], *errors[4:]) < LIMIT < min(errors[1:4])
    assert monitor.conditions.shifts[0].is_near(shift_of("shift:3"))


@pytest.mark.parametrize("text", ["gradient:0.5", "warm:1+gradient:0.4", "shadow:0.25", "none"])
def test_light_is_not_taken_for_a_bump(scene, text):
    for seed in range(4):
        monitor = watch(scene, text, 5, seed)[2]
        assert monitor.conditions is None or monitor.conditions.shifts == (NO_SHIFT,)


def shift_of(text, seed=0):
    """The shift of a disturbance, read off a picture with one bright pixel."""
    (part,) = (part for part in text.split("+") if part.startswith("shift"))
    number = text.split("+").index(part)
    black = np.zeros((64, 64, 3), np.uint8)
    black[32, 32] = 200
    disturbed = Disturber.of("+".join(["light:1"] * number + [part]), seed)(black)
    ((down, right),) = np.argwhere(disturbed[..., 0])
    return Shift(int(down) - 32, int(right) - 32)


@pytest.mark.parametrize("pixels", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_a_camera_that_is_put_back_is_believed_to_be_back(scene, pixels, seed):
    model, observation, goal = scene
    settings = task_settings(model.spec.task)
    controller, monitor = RecedingHorizon(model), SurpriseMonitor(model)
    controller.set_goal(goal.image, goal.state)
    bumped, shifts, latents = Disturber.of(f"shift:{pixels}", seed), [], []
    for number in range(20):
        image = bumped(observation.image) if 2 <= number < 10 else observation.image
        controller.conditions = monitor.conditions
        plan = controller.plan(
            image, observation.state, float(number),
            planner=settings.planners["adam"], objective=settings.objective,
        )  # fmt: skip
        if monitor.look(image, plan.latents[0], plan.conditions) > LIMIT:
            controller.forget()  # as the node holds
        monitor.seek()
        latents.append(plan.latents[0])
        shifts.append(monitor.conditions.shifts[0] if monitor.conditions else NO_SHIFT)
    assert shifts[:4] == [NO_SHIFT] * 4  # one such picture, or two, may be an accident
    assert shifts[-1] == NO_SHIFT
    assert moved(model, latents[-1], latents[0]) < 0.1


def test_a_camera_that_shakes_moves_nothing(scene):
    observation = scene[1]
    (usual, *_), monitor = watch(scene, "none")[1:]
    shaken = Disturber.of("shift:3", 0)(observation.image)
    latent = watch(scene, "shift:3", 1)[1][0]
    for _ in range(3):  # two such pictures, then a good one
        for image, seen in ((shaken, latent), (shaken, latent), (observation.image, usual)):
            monitor.look(image, seen)
            monitor.seek()
        assert monitor.conditions.shifts == (NO_SHIFT,)


def test_a_goal_may_be_from_before_or_after_the_bump(scene):
    model, _, goal = scene
    monitor = watch(scene, "shift:3", 6)[2]
    controller = RecedingHorizon(model)
    controller.set_goal(goal.image, goal.state)
    as_recorded = controller._goal
    controller.conditions = monitor.conditions
    bumped = Disturber.of("shift:3", 0)(goal.image)
    for image, shift in ((goal.image, NO_SHIFT), (bumped, monitor.conditions.shifts[0])):
        controller.set_goal(image, goal.state)
        assert moved(model, controller._goal, as_recorded) < 1.0  # the edge is lost
        assert controller._goal_conditions.shifts == (shift,)


@pytest.mark.parametrize("text", ["none", "jpeg:50", "shadow:0.25"])
def test_a_shift_is_dropped_when_none_explains_the_picture_better(scene, text):
    """Also where none leaves more than the usual error. Else the hold would never end."""
    model, observation, _ = scene
    still = Disturber.of(text, 3)(observation.image)
    latent = watch(scene, "none", 1)[1][0]
    monitor = SurpriseMonitor(model, (Shift(0, 3),))
    for _ in range(15):
        monitor.look(still, latent, monitor.conditions)
        monitor.seek()
    assert monitor.shifts == (NO_SHIFT,)


def test_a_goal_of_the_time_of_a_bump_is_known_after_it(scene):
    """While the node runs, and after a restart, where nothing tells of the bump."""
    model, _, goal = scene
    bumped = Disturber.of("shift:3", 0)(goal.image)
    as_recorded, conditions = RecedingHorizon(model), watch(scene, "shift:3", 6)[2].conditions
    as_recorded.set_goal(goal.image, goal.state)
    for known in (conditions, None):
        controller = RecedingHorizon(model)
        controller.conditions = known
        controller.set_goal(bumped, goal.state)
        controller.conditions = None
        controller.set_goal(bumped, goal.state)
        assert moved(model, controller._goal, as_recorded._goal) < 1.0
        assert controller._goal_conditions.shifts == (shift_of("shift:3"),)


def test_a_bump_of_part_of_a_pixel_more_than_one_holds_nobody_for_good():
    model = load_checkpoint(resolve_checkpoint("maze"))[0]
    with simulate(make_task("maze")) as simulation:
        observation = simulation.reset(episode_rng(5, "evaluate", 1))
        goal = simulation.goal.observation
    for down, right in ((1.5, 0.0), (0.0, -1.5)):
        matrix = np.float32([[1, 0, right], [0, 1, down]])
        moved_by = cv2.warpAffine(
            observation.image, matrix, (64, 64), borderMode=cv2.BORDER_REPLICATE
        )
        seen = model, observation, goal
        errors = watch(seen, "none", 8, picture=moved_by, undisturbed=1)[0]
        assert errors[1] > LIMIT > errors[-1]


def test_one_picture_is_one_piece_of_evidence_however_often_it_is_planned_from(scene):
    model, observation, _ = scene
    shaken, latent = Disturber.of("shift:3", 0)(observation.image), watch(scene, "none", 1)[1][0]
    monitor = SurpriseMonitor(model)
    for _ in range(6):
        monitor.look(shaken, latent, stamp=100)
        monitor.seek()
    assert monitor.shifts == (NO_SHIFT,)
    for stamp in (200, 300):
        monitor.look(shaken, latent, stamp=stamp)
        monitor.seek()
    assert monitor.shifts == (shift_of("shift:3"),)


def test_a_camera_that_keeps_swinging_is_believed_more_and_more_slowly(scene):
    model, observation, _ = scene
    shaken, latent = Disturber.of("shift:3", 0)(observation.image), watch(scene, "none", 1)[1][0]
    monitor, needed = SurpriseMonitor(model), []
    for image in (shaken, observation.image) * 2:
        before, count = monitor.shifts, 0
        while monitor.shifts == before:
            monitor.look(image, latent, monitor.conditions)
            monitor.seek()
            count += 1
        needed.append(count)
    assert needed == [3, 3, 6, 9]


def test_a_far_moved_camera_is_not_moved_back(scene):
    for seed in range(3):
        errors, _, monitor = watch(scene, "shift:10", 15, seed)
        assert min(errors) > LIMIT
        assert monitor.conditions.light is None
        assert monitor.conditions.shifts == (NO_SHIFT,)


def test_of_two_cameras_the_bumped_one_is_moved_back(monkeypatch):
    model = load_checkpoint(resolve_checkpoint("reach_two"))[0]
    with simulate(make_task(model.spec.task)) as simulation:
        observation = simulation.reset(episode_rng(5, "evaluate", 1))
        goal = simulation.goal.observation
    side, seen = model.spec.image.tiles[1], observation.image.copy()
    side.of(seen)[...] = Disturber.of("shift:2", 0)(np.ascontiguousarray(side.of(seen)))
    # Its small picture shows hardly anything but the arm, so the search itself finds no shift.
    monkeypatch.setattr(seeing, "likeliest_shift", lambda *_: shift_of("shift:2"))
    scene = model, observation, goal
    errors, _, monitor = watch(scene, "none", 6, picture=seen, undisturbed=1)
    assert errors[1] > LIMIT > errors[-1]
    assert monitor.conditions.shifts == (NO_SHIFT, shift_of("shift:2"))


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


def test_the_control_loop_holds_while_it_looks_and_then_goes_on():
    """The loop forgets its history at each hold, as the node does."""
    model = load_checkpoint(resolve_checkpoint("wall"))[0]
    with simulate(make_task("wall")) as simulation:
        observation = simulation.reset(episode_rng(5, "evaluate", 1))
        goal = simulation.goal.observation
    bumped = Shift(-3, 0).undone(observation.image)
    world = _World(model, observation, goal)
    loop = ControlLoop(model, 0, world, lockstep=True)
    settings = ControlSettings(planner=task_settings("wall").planners["adam"])
    outcomes = []
    for number in range(20):
        world.clock += 100_000_000
        world.image = bumped if 3 <= number < 12 else observation.image
        loop.begin()
        decision = loop.decide(settings)
        if isinstance(decision, Hold):
            assert decision.code is HoldCode.SURPRISE_IMAGE
            loop.stands(world.clock, model.spec.rest({}))
            loop.trust.seek()
            outcomes.append("hold")
        else:
            assert isinstance(decision, Send)
            loop.sent(decision)
            loop.reflect(decision, settings)
            outcomes.append(decision.plan.conditions.shift_text)
    assert outcomes == [""] * 3 + ["hold"] * 3 + ["3 px down"] * 6 + ["hold"] * 3 + [""] * 5


class _World:
    """A robot that stands, and its clock."""

    def __init__(self, model, observation, goal):
        self.clock, self.image = 10**9, observation.image
        self._model, self._state, self._goal = model, observation.state, goal

    def now(self):
        return self.clock

    def has_rival(self):
        return False

    def observe(self, _):
        return _Observed(self.image, self._state, self.clock)

    def goal(self):
        return GoalNumber(1, 0)

    def why_no_goal(self):
        return ""

    def goal_arrays(self, _):
        return self._goal.image, self._goal.state

    def measured(self):
        return {}

    def positions(self, state):
        return self._model.spec.measured_positions(state)


GoalNumber = collections.namedtuple("GoalNumber", "number revision")


class _Observed:
    def __init__(self, image, state, stamp):
        self._image, self._state, self.stamp = image, state, stamp

    def image(self):
        return self._image

    def state(self):
        return self._state

    def lap(self, _):
        pass
