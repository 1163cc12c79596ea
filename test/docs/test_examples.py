"""The examples of the pages on extending work, with the lines that the pages name and no more."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from docs_site import sources
from docs_site.pages import code_blocks

from wm_mpc.planning.planner import PlanStatus
from wm_mpc.ros.parameters import parameters_of
from wm_mpc.sim import tasks
from wm_mpc.sim.collection import record_episode
from wm_mpc.sim.engines import simulate

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The registry of planners with the example's file beside it, and the entry that the page
    names."""
    name = "wm_mpc.planning.random_shooting"
    path = ROOT / "wm_mpc" / "planning" / "registry.py"
    page = (ROOT / "docs" / "extend" / "planner.md").read_text(encoding="utf-8")
    entry = next(code for _, code in code_blocks(page, "python") if "PlannerType" in code)
    first, rest = path.read_text(encoding="utf-8").split("PLANNERS: dict[str, PlannerType] = {\n")
    text = (
        first + f"from {name} import RandomShootingPlanner\n"
        f"PLANNERS: dict[str, PlannerType] = {{\n    {entry}\n{rest}"
    )
    changed = tmp_path_factory.mktemp("registry") / "registry.py"
    changed.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, sources.load(EXAMPLES / "random_shooting.py"))
        yield sources.load(changed)


@pytest.fixture
def planner(registry):
    config = registry.PlannerConfig(type="random_shooting", samples=256, iterations=20)
    return registry.make_planner(config)


def cost(actions):
    """Of plans (batch, horizon, action size): the distance to one that is known."""
    return (actions - 0.5).square().sum((1, 2))


def plan(planner, budget=math.inf, cost=cost):
    generator = torch.Generator().manual_seed(0)
    return planner.plan(cost, torch.zeros(3, 2, 2), budget=budget, generator=generator)


def test_planner_of_the_page_comes_near_the_optimum_inside_the_limits(planner):
    result = plan(planner)
    assert result.status is PlanStatus.COMPLETE
    assert result.cost < 0.2 < float(cost(torch.zeros(1, 2, 2))[0])
    assert float(cost(result.actions[None])[0]) == pytest.approx(result.cost)
    assert result.actions.abs().max() <= 1.0


def test_planner_of_the_page_gives_the_same_plan_again(planner):
    assert torch.equal(plan(planner).actions, plan(planner).actions)


def test_planner_of_the_page_ends_when_its_time_is_over(planner):
    result = plan(planner, budget=0.0)
    assert result.status is PlanStatus.OUT_OF_TIME
    assert result.iterations < 20


def test_planner_of_the_page_survives_costs_that_are_not_finite(planner):
    def broken(actions):
        return torch.where(actions[:, 0, 0] > 0.0, torch.nan, cost(actions))

    result = plan(planner, cost=broken)
    assert result.status is PlanStatus.COMPLETE
    assert result.actions[0, 0] <= 0.0


@pytest.fixture(scope="module")
def field():
    module = sources.load(EXAMPLES / "field.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, "field", module.Field)
        with simulate(tasks.make_task("field")) as simulation:
            yield simulation


def test_task_of_the_page_can_be_recorded(field):
    episode = record_episode(field, 0, 0, 30)
    assert episode.images.shape == (31, 64, 64, 3)
    assert episode.images.std() > 5.0
    moved = np.linalg.norm(episode.poses[-1] - episode.poses[0])
    assert moved > 0.05


def test_restored_states_of_the_task_of_the_page_continue_as_recorded(field):
    episode = record_episode(field, 0, 1, 30)
    field.restore(episode.layout, episode.simulator_states[7])
    for action in episode.actions[7:]:
        field.step(action)
    np.testing.assert_allclose(field.task.get_state(), episode.simulator_states[-1], 0.0, 1e-9)


@pytest.mark.parametrize("name", ["disc", "field"])
def test_parameters_of_the_task_of_the_page_are_accepted(name):
    data = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    for node in ("sim", "mpc"):
        table = {p.name: p for p in parameters_of(sources.find(sources.PARAMETERS[node]))}
        given = data[f"/**/{node}"]["ros__parameters"]
        flat = dict(given) | {f"planner.{k}": v for k, v in given.pop("planner", {}).items()}
        flat.pop("planner", None)
        for name, value in flat.items():
            table[name].check(value)
