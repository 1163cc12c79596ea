"""From episodes to cells and comparisons, with made-up episodes."""

from __future__ import annotations

import dataclasses

import pytest

from wm_mpc.experiments.common.journal import Journal
from wm_mpc.experiments.common.protocol import Benchmark, Cell
from wm_mpc.experiments.success.cells import compare, summarise
from wm_mpc.experiments.success.tables import markdown

from .conftest import record


def filled(benchmark: Benchmark, episodes: int, success=lambda cell, episode: True) -> Journal:
    journal = Journal(None, {}, {})
    for cell in benchmark.cells():
        for episode in range(episodes):
            journal.add(record(cell, episode, success(cell, episode)))
    return journal


def pick(rows, **wanted):
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


@pytest.fixture
def single(described):
    """One checkpoint of variant `all`, closed loop."""
    return dataclasses.replace(described, checkpoints=described.checkpoints[2:3], loops=("closed",))


def test_cell_has_what_the_protocol_asks_for(single):
    row = summarise(single, filled(single, 4, lambda cell, episode: episode != 2), 4)[0]
    assert row["task"] == "wall"
    assert (row["variant"], row["planner"], row["loop"]) == ("all", "adam", "closed")
    assert (row["episodes"], row["success_rate"], row["steps_mean"]) == (4, 0.75, 20.0)
    assert row["ci95"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert (row["plan_ms_p50"], row["plan_ms_p99"]) == (10.0, 10.0)
    assert row["time_ratio_to_cem"] == 0.25
    assert (row["training_seed"], row["goals"], row["restarts"]) == (0, "random", 4)


@pytest.mark.parametrize(
    ("solved", "rows"),
    [
        ((), [("all", 4)]),
        ((1,), [("all", 4), ("not at the goal", 3)]),
        ((0, 1, 2, 3), [("all", 4)]),
    ],
)
def test_only_starts_at_their_goals_make_a_second_row(single, solved, rows):
    by_protocol = dataclasses.replace(single, offset=25, planners=("adam",))
    journal = Journal(None, {}, {})
    (cell,) = by_protocol.cells()
    for episode in range(4):
        extra = {"solved_at_start": episode in solved, "data": "made-up episodes"}
        journal.add(record(cell, episode, extra=extra))
    found = summarise(by_protocol, journal, 4)
    assert [(row["starts"], row["episodes"]) for row in found] == rows


@pytest.mark.parametrize(
    ("shares", "shown", "note"),
    [
        ((1.0, 0.9, 0.85, 1.0), 0.75, None),
        ((1.0, 0.8, 0.79, 0.0), 0.5, "50 % of 2 (9-91 %)"),
        ((0.1, 0.2, 0.3, 0.4), None, "none of 4 shown"),
        ((1.0, 0.1, None, 0.0), 1.0, "1 episodes are older"),
        ((None, None, None, None), None, None),
    ],
)
def test_goals_that_the_robot_hides_are_also_left_out(single, shares, shown, note):
    alone = dataclasses.replace(single, planners=("adam",))
    journal = Journal(None, {}, {})
    (cell,) = alone.cells()
    for episode, share in enumerate(shares):
        extra = {} if share is None else {"goal_shown": share}
        journal.add(record(cell, episode, episode != 1, extra=extra))
    (row,) = summarise(alone, journal, 4)
    assert row["success_rate"] == 0.75
    assert row.get("success_rate_shown") == shown
    text = markdown(a_run_of([row]))
    assert ("at least 80 % of the things" in text) is (note is not None)
    assert note is None or note in text


def test_where_it_is_not_known_what_goals_show_is_said(single):
    journal = Journal(None, {}, {})
    for cell in single.cells():
        extra = {"goal_shown": 0.5} if cell.planner == "adam" else {}
        journal.add(record(cell, 0, extra=extra))
    assert "| not known |" in markdown(a_run_of(summarise(single, journal, 1)))


def test_searches_between_plans_are_told_apart_from_plan_times(single):
    journal = Journal(None, {}, {})
    alone = dataclasses.replace(single, planners=("adam",))
    (cell,) = alone.cells()
    journal.add(record(cell, 0, extra={"between_ms": [30.0, 50.0]}))
    (row,) = summarise(alone, journal, 1)
    assert (row["plan_ms_p50"], row["between_searches"], row["between_ms_p50"]) == (10.0, 2, 40.0)
    assert "2 wide searches between two plans" in markdown(a_run_of([row]))


def a_run_of(cells):
    machine = {"cpu": "a CPU", "cores": 2, "torch": "2", "native": "yes"}
    return {
        "cells": cells, "steps": 50, "seed": 0, "threads": 1, "machine": machine, "complete": True,
        "workers": 1, "replan": 1,
    }  # fmt: skip


def test_cell_without_success_has_no_mean_steps(single):
    assert summarise(single, filled(single, 2, lambda *_: False), 2)[0]["steps_mean"] is None


def test_late_success_does_not_count_within_50_steps(single):
    journal = Journal(None, {}, {})
    cell = single.cells()[0]
    for episode, steps in enumerate((20, 50, 51, 99)):
        journal.add(record(cell, episode, steps=steps))
    row = summarise(single, journal, 4)[0]
    assert (row["success_rate"], row["success_rate_50"]) == (1.0, 0.5)


def test_budget_of_50_steps_has_no_row_of_its_own_for_them(single):
    short = dataclasses.replace(single, steps=50)
    assert "success_rate_50" not in summarise(short, filled(short, 1), 1)[0]


def test_plan_time_is_over_all_plans_of_all_episodes(single):
    journal = Journal(None, {}, {})
    journal.add(record(single.cells()[0], 0, plan_ms=[1.0 * k for k in range(1, 11)]))
    row = summarise(single, journal, 1)[0]
    assert (row["plan_ms_p50"], row["plan_ms_p99"], row["plans"]) == (5.5, 9.91, 10)
    assert row["time_ratio_to_cem"] is None  # no CEM yet


def test_open_loop_tells_of_the_end_too(described):
    row = pick(
        summarise(described, filled(described, 2), 2),
        loop="open", planner="adam", variant="all", training_seed=0,
    )  # fmt: skip
    assert row["success_rate_at_end"] == 1.0
    assert row["replan"] is None


def test_training_seeds_have_cells_of_their_own_and_a_pooled_one(described):
    journal = filled(described, 4, lambda cell, _: cell.training_seed == 0)
    rows = summarise(described, journal, 4)
    chosen = [row for row in rows if (row["variant"], row["planner"], row["loop"])
              == ("all", "cem", "closed")]  # fmt: skip
    assert [(row["training_seed"], row["episodes"], row["success_rate"]) for row in chosen] == [
        (0, 4, 1.0), (1, 4, 0.0), ("pooled", 8, 0.5),
    ]  # fmt: skip
    assert chosen[2]["training_seeds"] == [0, 1]
    assert chosen[2]["time_ratio_to_cem"] == 1.0


def test_ratio_is_to_cem_of_the_same_variant_and_to_cem_of_none(described):
    journal = Journal(None, {}, {})
    for cell in described.cells():
        time = {("none", "cem"): 100.0, ("all", "cem"): 50.0}.get((cell.variant, cell.planner), 5.0)
        journal.add(record(cell, 0, plan_ms=[time]))
    row = pick(
        summarise(described, journal, 1),
        variant="all", planner="adam", loop="closed", training_seed="pooled",
    )  # fmt: skip
    assert (row["time_ratio_to_cem"], row["time_ratio_to_cem_none"]) == (0.1, 0.05)


def test_the_papers_cem_is_the_reference_where_ours_was_not_run(single):
    papers = dataclasses.replace(single, planners=("adam", "paper_cem"))
    rows = summarise(papers, filled(papers, 1), 1)
    assert pick(rows, planner="paper_cem")["time_ratio_to_cem"] == 1.0


def test_ceiling_is_marked_and_has_no_ratio(single):
    both = dataclasses.replace(single, planners=("cem", "true_simulator"))
    row = pick(summarise(both, filled(both, 1), 1), planner="true_simulator")
    assert (row["privileged"], row["variant"], row["time_ratio_to_cem"]) == (True, "-", None)
    assert row["replan"] == 5
    assert compare(both, filled(both, 1), 1) == []


def test_planners_are_compared_with_cem_and_variants_with_none_on_the_same_episodes(described):
    def success(cell, episode):
        if (cell.variant, cell.planner) == ("none", "adam"):
            return episode < 2
        return cell.planner == "adam" or episode < 5

    rows = compare(described, filled(described, 6, success), 6)
    assert len(rows) == 8
    names = {"loop": "closed", "first": {"variant": "all", "planner": "adam"}}
    against_none = pick(rows, **names, second={"variant": "none", "planner": "adam"})
    # six episodes, two training seeds; four of six are won in each
    assert (against_none["pairs"], against_none["only_first"], against_none["only_second"]) == (
        12, 8, 0,
    )  # fmt: skip
    assert against_none["p_value"] == pytest.approx(2 / 2**8, rel=1e-3)
    assert against_none["p_holm"] == pytest.approx(8 * 2 / 2**8, rel=1e-3)  # the smallest of eight
    against_cem = pick(rows, **names, second={"variant": "all", "planner": "cem"})
    assert (against_cem["only_first"], against_cem["only_second"]) == (2, 0)
    # both seeds of `none` win 2 of 6, both of `all` 6 of 6: 2 of 6 divisions differ as much
    assert against_none["p_training_seeds"] == pytest.approx(1 / 3, rel=1e-3)
    assert against_cem["p_training_seeds"] is None


def test_single_checkpoints_are_compared_whatever_their_training_seeds(described):
    two = dataclasses.replace(
        described,
        checkpoints=(described.checkpoints[0], described.checkpoints[3]),  # none s0, all s1
        planners=("adam",),
        loops=("closed",),
    )
    (row,) = compare(two, filled(two, 3), 3)
    assert row["pairs"] == 3


def test_only_episodes_that_both_have_count(single):
    journal = Journal(None, {}, {})
    adam, cem = single.cells()
    for episode in range(4):
        journal.add(record(adam, episode))
    journal.add(record(cem, 1, success=False))
    (row,) = compare(single, journal, 4)
    assert (row["pairs"], row["only_first"]) == (1, 1)


def test_nodes_times_are_what_they_report(single):
    over_ros = dataclasses.replace(single, loops=("ros",), planners=("adam",))
    (cell,) = over_ros.cells()
    assert cell == Cell("all", 0, "adam", "ros")
    journal = Journal(None, {}, {})
    journal.add(
        record(cell, 0, plan_ms=[], extra={"plan_ms": [12.0, 30.0], "round_trip_ms": [14.0]})
    )
    journal.add(record(cell, 1, plan_ms=[], extra={"round_trip_ms": [16.0, 16.0]}))
    (row,) = summarise(over_ros, journal, 2)
    assert (row["plan_ms_p50"], row["plan_ms_p99"]) == (12.0, 30.0)
    assert row["round_trip_ms_p50"] == 16.0
    assert row["replan"] == 1
