"""Pairs of start and goal are drawn as stable-worldmodel draws them."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from wm_mpc.cli import evaluate
from wm_mpc.experiments.common import swm
from wm_mpc.experiments.common.records import Cell
from wm_mpc.experiments.common.swm import Recording, starts
from wm_mpc.experiments.success.protocol_columns import _limit, protocol_columns
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks.wall import Wall
from wm_mpc.spec import StateSpec

from .conftest import record


def theirs(lengths, offset, count, seed):
    """Their evaluation, over rows with the number of their episode and step."""
    episode = np.repeat(np.arange(len(lengths)), lengths)
    step = np.concatenate([np.arange(n) for n in lengths])
    last = (np.array(lengths) - offset - 1)[episode]
    valid = np.nonzero(step <= last)[0]
    chosen = np.random.default_rng(seed).choice(len(valid) - 1, size=count, replace=False)
    rows = np.sort(valid[chosen])
    return list(zip(episode[rows].tolist(), step[rows].tolist(), strict=True))


@pytest.mark.parametrize("offset", [1, 25, 60])
@pytest.mark.parametrize("seed", [42, 0])
def test_rows_are_those_of_their_rule(offset, seed):
    lengths = [101, 30, 61, 101, 26, 90]
    assert starts(lengths, offset, 20, seed) == theirs(lengths, offset, 20, seed)


def test_every_goal_is_inside_its_episode():
    lengths = [50, 12, 40]
    for episode, row in starts(lengths, 10, 60, 42):
        assert row + 10 < lengths[episode]


@pytest.mark.parametrize(("lengths", "count"), [([26], 1), ([20, 25], 1), ([40, 30], 20)])
def test_too_few_rows_are_refused_with_their_number(lengths, count):
    with pytest.raises(ValueError, match=rf"only \d+ rows .* but {count} are wanted"):
        starts(lengths, 25, count, 42)


@pytest.fixture(scope="module")
def recording():
    with simulate(Wall()) as simulation, pytest.MonkeyPatch.context() as patch:
        patch.setattr(swm, "_FEWEST", 2)
        patch.setattr(swm, "_AT_ONCE", 2)
        patch.setattr(swm, "_STEPS", 30)
        yield simulation, Recording(simulation, 42)


def test_goal_is_where_the_recorded_actions_lead(recording):
    simulation, held_out = recording
    for pair in held_out.pairs(10, 4):
        pair.begin(simulation)
        assert len(pair.actions) == 10
        for action in pair.actions:
            simulation.advance(action)
        assert simulation.is_success()
        np.testing.assert_allclose(simulation.state(), pair.goal, atol=1e-6)


def test_the_same_arguments_give_the_same_pairs(recording):
    _, held_out = recording
    first, second = held_out.pairs(10, 4), held_out.pairs(10, 4)
    assert [(p.episode, p.first) for p in first] == [(p.episode, p.first) for p in second]
    assert all(np.array_equal(a.start, b.start) for a, b in zip(first, second, strict=True))


def test_offset_longer_than_an_episode_is_refused(recording):
    with pytest.raises(ValueError, match="offset is 31; an episode of task 'wall' has at most 30"):
        recording[1].pairs(31, 1)


def test_line_says_how_it_was_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(swm, "_FEWEST", 2)
    monkeypatch.setattr(swm, "_AT_ONCE", 2)
    options = "--task wall --protocol swm --offset 5 --episodes 6 --planners replay,random"
    assert evaluate.main([*options.split(), "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["protocol"], results["offset"], results["steps"]) == ("swm", 5, 10)
    assert results["seed"] == 42
    replay = [cell for cell in results["cells"] if cell["planner"] == "replay"]
    everywhere = replay[0]
    assert everywhere["starts"] == "all"
    assert everywhere["episodes"] == 6
    assert everywhere["tolerance"] == "distance 0.1 m"
    assert everywhere["held_out"].endswith("held-out episodes of the explorer")
    away = [cell for cell in replay if cell["starts"] == "not at the goal"]
    solved = everywhere["solved_at_start"]
    assert [cell["episodes"] for cell in away] == ([6 - solved] if solved else [])
    assert all(cell["success_rate"] == 1.0 for cell in replay)
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if "replay" in line)
    assert "| 5 / 10 | all (" in line
    assert "| distance 0.1 m |" in line
    for explained in ("variant: ", "offset / budget: ", "replan: "):
        assert f"\n- {explained}" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--offset 25", "--offset belongs to --protocol swm"),
        ("--protocol swm --goals near", "leave --goals out"),
        ("--protocol swm --loops ros", "works in the loops open and closed"),
        ("--planners replay", "which only --protocol swm has"),
        ("--planners random --loops open", "act step by step; use --loops closed"),
        ("--protocol swm --planners expert", "task wall has no expert"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, capsys):
    assert evaluate.main(["--task", "wall", *options.split()]) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("setting", "said"), [(-1.0, "0.123"), (0.0, "0"), (2.5, "2.5")])
def test_line_says_how_much_the_place_counts(described, setting, said):
    checkpoints = [
        dataclasses.replace(each, place_weight=0.12345) for each in described.checkpoints
    ]
    objective = dataclasses.replace(described.settings.objective, state_weight=setting)
    benchmark = dataclasses.replace(
        described,
        checkpoints=tuple(checkpoints),
        settings=dataclasses.replace(described.settings, objective=objective),
        offset=25,
    )
    cell = Cell("none", 0, "adam", "closed")
    columns = protocol_columns(benchmark, cell, [record(cell, 0, extra={"data": "held out"})])
    assert columns["proprioception"] == f"vx, vy; weight {said}"


def test_a_limit_of_a_joint_has_the_unit_of_the_joint():
    state = StateSpec(names=("wrist", "rail"), unit=("rad", "m"), source="joint_states")
    assert _limit("wrist", 0.05, state) == "wrist 0.05 rad"
    assert _limit("rail", 0.05, state) == "rail 0.05 m"
    assert _limit("distance", 0.1, state) == "distance 0.1 m"
    assert _limit("angle", math.radians(20), state) == "angle 20 degrees"
