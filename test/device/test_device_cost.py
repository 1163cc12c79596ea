"""Plans of a copy on a device are those of the processor, and need nothing from it meanwhile."""

from __future__ import annotations

import dataclasses
import gc
import math
import re
import threading
import time
import weakref

import numpy as np
import pytest
import torch

from wm_mpc.control.receding_horizon import RecedingHorizon
from wm_mpc.device.captured import Captured, Capturing
from wm_mpc.device.cost import DeviceCost, Problem, _Room
from wm_mpc.device.placed import LOCK, Placed, _exact, place, placed
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import load_checkpoint
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.descent import Descent
from wm_mpc.planning.gradient import GradientPlanner
from wm_mpc.planning.objective import GoalCost, _Again
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PLANNERS, PlannerConfig, make_planner
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.settings.fields import SettingError

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU here"
)
OBJECTIVES = {
    "usual": ObjectiveConfig(),
    "all terms": ObjectiveConfig(
        mode="all", distance="squared", state_weight=0.5, action_weight=0.1, action_rate_weight=0.2
    ),
}
# The processor again, as a device of its own: everything but the capture of graphs.
ALSO_CPU = "cpu:0"


def shipped(name):
    return load_checkpoint(resolve_checkpoint(name))[0]


def with_transformer():
    spec = shipped("wall").spec
    torch.manual_seed(0)
    model = WorldModel(spec, Architecture(4, 4, 4, hidden=32, dynamics="transformer"))
    return model.eval().requires_grad_(False)


MODELS = {
    "velocities": lambda: shipped("wall"),
    "positions and angles": lambda: shipped("reach_joints"),
    "a transformer": with_transformer,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


def cost_of(
    model, objective=OBJECTIVES["all terms"], *, committed=2, seed=1, device="cpu", native=False
):
    generator = torch.Generator().manual_seed(seed)
    size, history = model.spec.action.size, model.spec.history
    latents = 0.5 * torch.randn(history + 1, model.latent_size, generator=generator)
    executed = torch.rand(1, history - 1, model.spec.block_size, generator=generator) - 0.5
    carry = model.start(latents[None, :history], executed)
    fixed = torch.rand(committed, size, generator=generator) - 0.5
    previous = 0.2 * torch.ones(size)
    copy = place(model, device, capture=native)
    return GoalCost(
        model, objective, carry, latents[-1], fixed, previous=previous, native=native, copy=copy
    )


def plans_of(model, rows=6, horizon=4):
    generator = torch.Generator().manual_seed(2)
    return torch.rand(rows, horizon, model.spec.block_size, generator=generator) * 2 - 1


def close(found, expected, tolerance=1e-5):
    assert found.device.type == "cpu"
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("committed", [0, 3])
def test_costs_predictions_and_descents_are_those_of_the_processor(model, objective, committed):
    usual = cost_of(model, objective, committed=committed)
    there = cost_of(model, objective, committed=committed, device=ALSO_CPU)
    plans = plans_of(model)
    close(there(plans), usual(plans))
    close(there.predict(plans), usual.predict(plans))
    for planner in (
        GradientPlanner(iterations=6, learning_rate=0.1, restarts=6),
        GradientPlanner(iterations=6, learning_rate=0.1, restarts=6, adaptive=False),
        GradientPlanner(iterations=6, learning_rate=0.1, restarts=6, noise=0.1),
    ):
        found, expected = (
            planner.plan(
                cost, plans, budget=math.inf, generator=torch.Generator().manual_seed(3)
            )
            for cost in (there, usual)
        )  # fmt: skip
        assert there.can_descend
        assert not usual.can_descend
        close(found.actions, expected.actions, 1e-3)
        assert found.cost == pytest.approx(expected.cost, rel=1e-4)
        assert found.iterations == expected.iterations == 6


@pytest.mark.parametrize("name", PLANNERS)
def test_every_planner_plans_with_a_device(name):
    model = shipped("wall")
    config = PlannerConfig(type=name, samples=32, elites=8, iterations=3, restarts=4)
    found, expected = (
        make_planner(config).plan(
            cost, plans_of(model), budget=math.inf, generator=torch.Generator().manual_seed(3)
        )
        for cost in (cost_of(model, device=ALSO_CPU), cost_of(model))
    )
    close(found.actions, expected.actions, 1e-3)


def test_two_problems_of_one_size_do_not_mix():
    model = shipped("wall")
    plans = plans_of(model)
    one, other = (cost_of(model, seed=seed, device=ALSO_CPU) for seed in (1, 7))
    before = one(plans)
    close(other(plans), cost_of(model, seed=7)(plans))
    close(one(plans), before)
    assert not torch.allclose(before, other(plans))
    assert one._native._room is other._native._room, "what is captured serves both"


def test_a_changed_weight_counts():
    model = shipped("wall")
    plans = plans_of(model)
    before = cost_of(model, device=ALSO_CPU)(plans)
    with torch.no_grad():
        next(model.dynamics.parameters()).mul_(1.5)
    after = cost_of(model, device=ALSO_CPU)(plans)
    assert not torch.allclose(before, after)
    close(after, cost_of(model)(plans))


def test_another_robot_description_counts_at_once():
    model = shipped("reach_joints")
    plans = plans_of(model)
    before = cost_of(model, device=ALSO_CPU)(plans)
    action = dataclasses.replace(model.spec.action, rate_limit=(0.3,) * model.spec.action.size)
    model.spec = dataclasses.replace(model.spec, action=action)
    after = cost_of(model, device=ALSO_CPU)(plans)
    close(after, cost_of(model)(plans))
    assert not torch.allclose(before, after)


def test_a_copy_is_freed_with_its_model():
    model = shipped("wall")
    cost = cost_of(model, device=ALSO_CPU)
    cost(plans_of(model))
    place(model, ALSO_CPU).encode_scene(torch.zeros(64, 64, 3, dtype=torch.uint8))
    copy = weakref.ref(place(model, ALSO_CPU).model)
    gc.disable()
    try:
        place(model, "cpu")
        del cost, model
        assert copy() is None
    finally:
        gc.enable()


def test_a_budget_begins_before_the_device_is_free():
    cost = cost_of(shipped("wall"), device=ALSO_CPU)
    plans = plans_of(shipped("wall"))
    descent = Descent(1000, 0.1, 0.0, True, 0.3)
    cost.descend(plans, descent)
    is_held = threading.Event()

    def hold():
        with LOCK:
            is_held.set()
            time.sleep(1.0)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    assert cost.descend(plans, descent)[2] == 1
    holder.join()


def test_a_descent_ends_in_time_after_at_least_one_step():
    model = shipped("wall")
    cost = cost_of(model, device=ALSO_CPU)
    planner = GradientPlanner(iterations=1000, restarts=6)
    generator = torch.Generator()
    assert planner.plan(cost, plans_of(model), budget=0.0, generator=generator).iterations == 1
    found = planner.plan(cost, plans_of(model), budget=0.2, generator=generator)
    assert 1 < found.iterations < 1000
    assert found.seconds < 1.0


def test_what_is_not_finite_is_no_plan():
    model = shipped("wall")
    plans = plans_of(model)
    plans[0, 0, 0] = math.nan
    descent = Descent(2, 0.1, 0.0, True, math.inf)
    best, costs, _ = cost_of(model, device=ALSO_CPU).descend(plans, descent)
    assert costs[1:].isfinite().all()
    assert best[1:].isfinite().all()


@pytest.mark.parametrize("noise", [False, True])
def test_a_graph_would_need_nothing_from_the_processor(model, noise):
    # The device "meta" has no values. So reading one back fails, and most mixing of devices.
    there = Placed(model, torch.device("meta"), capture=False)
    usual = cost_of(model)
    problem = Problem(
        usual._carry, usual._goal_state.new_zeros(model.latent_size), usual._goal,
        usual._binding.committed, usual._binding.previous,
    )  # fmt: skip
    room = _Room(there, problem, _Again(there.model, OBJECTIVES["all terms"], True))
    room.load(problem)
    plans = plans_of(model)
    drawn = torch.zeros(3, *plans.shape) if noise else None
    search = room.search(there, plans, Descent(3, 0.1, 0.5, True, math.inf, drawn))
    found = [
        search._improved(),
        room.evaluation(there, plans, predicts=False)._evaluated(),
        room.evaluation(there, plans, predicts=True)._evaluated(),
    ]
    assert [part.device.type for part in found] == ["meta"] * 3
    with pytest.raises(NotImplementedError, match="meta"):
        DeviceCost(there, problem, _Again(there.model, OBJECTIVES["usual"], True)).costs(
            plans, None
        )


@pytest.mark.parametrize("name", ["wall", "reach_two", "granular"])
def test_an_encoder_would_need_nothing_from_the_processor(name):
    model = shipped(name)
    image = model.spec.image
    pixels = torch.zeros(image.height, image.width, 3, dtype=torch.uint8)
    expected = model.encode_scene(pixels[None])[0]
    close(Placed(model, torch.device(ALSO_CPU), capture=True).encode_scene(pixels), expected)
    there = Placed(model, torch.device("meta"), capture=False)
    assert _exact(there.model, pixels.to("meta")).shape == expected.shape


def test_images_are_encoded_where_the_model_is():
    model = shipped("wall")
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    pixels = torch.from_numpy(image)
    expected = model.encode_scene(pixels[None])[0]
    assert placed(model) is None
    close(place(model, ALSO_CPU).encode_scene(pixels), expected)
    assert placed(model) is place(model, ALSO_CPU), "an unchanged model is copied once"
    assert place(model, "cpu") is None
    assert placed(model) is None


def test_two_threads_share_a_device():
    model = shipped("wall")
    images = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    there = place(model, ALSO_CPU)
    expected = [there.encode_scene(image) for image in images]
    wrong = []

    def encode(number):
        for _ in range(50):
            if not torch.equal(there.encode_scene(images[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_by_name():
    with pytest.raises(SettingError, match=r"planner\.device is cuda, .*no NVIDIA GPU.*: cpu"):
        PlannerConfig(device="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_failed_capture_is_said_and_the_function_runs_itself(caplog):
    how = Capturing(torch.device("cuda"), wanted=True)  # no graph can be captured for it here
    captured = Captured(how)
    assert str(how) == "captured graphs"
    for _ in range(2):
        assert captured(lambda: torch.ones(1)) == 1
    assert re.match("operations one by one.*no graph can be captured: .*(CUDA|NVIDIA)", str(how))
    assert caplog.messages == [f"planner.device: {how}"]


@needs_gpu
@pytest.mark.parametrize("backend", ["native", "torch"])
def test_a_gpu_finds_the_plans_of_the_processor(backend):
    model = shipped("wall")
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    state = model.state_mean.numpy()
    found = []
    for device in ("cpu", "cuda"):
        config = PlannerConfig(iterations=8, restarts=4, device=device, backend=backend)
        control = RecedingHorizon(model, seed=1)
        control.set_goal(image[::-1].copy(), None)
        for stamp in (0.0, 0.1):  # the second plan replays what the first one captured
            plan = control.plan(
                image, state, stamp, planner=config, objective=ObjectiveConfig()
            )  # fmt: skip
        found.append(plan)
    np.testing.assert_allclose(found[1].actions, found[0].actions, atol=0.02)
    torch.testing.assert_close(found[1].latents, found[0].latents, rtol=0.01, atol=0.01)


@needs_gpu
def test_a_captured_graph_is_a_descent_of_its_own_each_time(caplog):
    model = shipped("wall")
    cost, usual = cost_of(model, device="cuda", native=True), cost_of(model)
    plans = plans_of(model)
    descent = Descent(6, 0.1, 0.5, True, math.inf)
    first = cost.descend(plans, descent)
    again = cost.descend(plans, dataclasses.replace(descent))
    torch.testing.assert_close(first[0], again[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(usual(first[0]), first[1], rtol=1e-3, atol=1e-3)
    assert "no graph can be captured" not in caplog.text
