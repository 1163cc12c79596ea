"""Settings of planners: the node's own, references, presets, overrides."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from wm_mpc.experiments.common.settings import (
    mpc_parameters,
    planner_names,
    task_parameter_file,
    task_settings,
)
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PLANNERS, PlannerConfig, paper_presets
from wm_mpc.settings.build import build
from wm_mpc.settings.fields import SettingError
from wm_mpc.sim.tasks import TASKS

TUNED = """
/**/sim:
  ros__parameters: {episode_steps: 60}
/**/mpc:
  ros__parameters:
    rate: 5.0
    planner: {type: gd, horizon: 9, iterations: 12, samples: 64, elites: 8}
    planner.learning_rate: 1
    cost: {mode: last, state_weight: 0.5}
"""


@pytest.fixture
def tuned(tmp_path):
    path = tmp_path / "tuned.yaml"
    path.write_text(TUNED)
    return path


@pytest.mark.parametrize("task", [task for task in sorted(TASKS) if task_parameter_file(task)])
def test_settings_are_those_the_node_would_use(task):
    """The node declares its settings and lets the task's file override it."""
    given = yaml.safe_load(task_parameter_file(task).read_text())["/**/mpc"]["ros__parameters"]
    given.setdefault("planner", {})["type"] = "adam"
    settings = task_settings(task)
    node = build(MpcSettings, given)
    assert settings.planners["adam"] == node.planner
    assert settings.objective == node.cost


def test_task_file_tunes_the_gradient_planners_and_the_objective(tuned):
    settings = task_settings("wall", parameters=tuned)
    adam = settings.planners["adam"]
    assert (adam.type, adam.horizon, adam.iterations, adam.samples) == ("adam", 9, 12, 64)
    assert adam.learning_rate == 1.0
    assert settings.objective == dataclasses.replace(
        ObjectiveConfig(), mode="last", state_weight=0.5
    )


def test_cem_stays_the_reference_and_shares_only_the_horizon(tuned):
    cem = task_settings("wall", parameters=tuned).planners["cem"]
    assert (cem.samples, cem.elites, cem.iterations, cem.horizon) == (300, 30, 30, 9)


def test_paper_presets_do_not_depend_on_the_task(tuned):
    planners = task_settings("wall", parameters=tuned).planners
    assert {name: planners[name] for name in paper_presets()} == paper_presets()


@pytest.mark.parametrize("name", ["adam_single", "gd_single"])
def test_single_start_has_one_start_and_looks_at_no_others(tuned, name):
    single = task_settings("wall", parameters=tuned).planners[name]
    assert (single.restarts, single.samples, single.horizon) == (1, 1, 9)
    assert single.type == name.removesuffix("_single")


@pytest.mark.parametrize(
    "name", ["adam_single", "cem", "icem", "mppi", "paper_cem", "true_simulator"]
)
def test_what_is_compared_never_searches_widely(name):
    settings = task_settings("push_t").planners
    assert not settings["adam"].why_not_wide
    assert settings[name].why_not_wide


def test_every_name_has_settings_and_every_planner_a_name():
    assert set(task_settings("wall").planners) == set(planner_names()) >= set(PLANNERS)


def test_true_simulator_looks_at_a_few_hundred_rollouts_at_most():
    config = task_settings("wall").planners["true_simulator"]
    assert config.samples * (config.iterations + 1) <= 300


def test_overrides_win_for_every_planner(tuned):
    settings = task_settings("wall", ["planner.horizon=3", "cost.discount=1"], tuned)
    assert {config.horizon for config in settings.planners.values()} == {3}
    assert settings.objective.discount == 1.0
    assert settings.objective.mode == "last"


def test_task_without_a_file_has_the_packages_defaults():
    settings = task_settings("no_such_task")
    assert settings.planners["adam"] == PlannerConfig()
    assert settings.objective == ObjectiveConfig()


def test_numbers_may_be_written_with_an_exponent_and_flags_as_words():
    settings = task_settings("wall", ["planner.learning_rate=1e-3", "planner.warm_start=false"])
    assert settings.planners["adam"].learning_rate == 1e-3
    assert settings.planners["adam"].warm_start is False


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("planner.speed=3", "unknown setting planner.speed; known: planner.backend, "),
        ("cost.speed=3", "unknown setting cost.speed; known: cost.action_rate_weight, "),
        ("planner.horizon=long", "planner.horizon is 'long'; a whole number is needed"),
        ("planner.horizon=2.5", "planner.horizon is 2.5; a whole number is needed"),
        ("planner.horizon=0", "planner.horizon is 0; accepted: an integer from 1 to 50 steps"),
        ("cost.mode=first", "cost.mode is 'first'; accepted: last, all"),
        ("planner.type=gd", "choose planners with --planners"),
        ("horizon=3", "'horizon=3': accepted: planner.NAME=VALUE"),
        ("planner.horizon", "accepted: planner.NAME=VALUE"),
        ("planner.horizon=[", "'\\[' is no value"),
    ],
)
def test_override_that_cannot_be_is_refused_with_the_reason(override, message):
    with pytest.raises(SettingError, match=message):
        task_settings("wall", [override])


def test_unreadable_file_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("{")
    with pytest.raises(SettingError, match=r"bad\.yaml"):
        mpc_parameters(path)
