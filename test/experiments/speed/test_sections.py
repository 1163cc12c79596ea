"""Each section measures what it says, on a real model with small planners."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from wm_mpc.experiments.common.protocol import Record
from wm_mpc.experiments.speed import budget, latency, limit, peers, repeat, success
from wm_mpc.experiments.speed.measuring import Pace
from wm_mpc.experiments.speed.peer_solvers import MissingPeerError
from wm_mpc.experiments.speed.workbench import Driver


def test_first_plans_are_those_of_the_case(bench):
    model, cases = bench.model("wall"), bench.cases("wall", 2)
    driver = Driver(model, bench.planner("wall"), bench.settings("wall"), cases)
    latents = [driver.first(number).latents[0] for number in range(3)]
    assert not torch.equal(latents[0], latents[1])
    assert torch.equal(latents[0], latents[2])


def test_a_problem_costs_what_the_planner_was_told(bench):
    case = bench.cases("wall", 1)[0]
    plan = Driver(bench.model("wall"), bench.planner("wall"), bench.settings("wall"), [case]).first(
        0
    )
    cost = bench.problem("wall", case, native=False)
    assert float(cost(plan.result.actions[None])[0]) == pytest.approx(plan.result.cost, rel=1e-4)


def test_latency_sweeps_horizon_count_size_and_dynamics(bench, monkeypatch):
    monkeypatch.setattr(latency, "_QUICK", {"horizon": (1, 2), "count": (1, 4), "hidden": (64,)})
    monkeypatch.setattr(latency, "Pace", lambda *_, **__: Pace(0.0, 2, 2, warm_up=0))
    rows = latency.measure(bench)["rows"]
    swept = {(row["sweep"], row["value"], row["planner"]) for row in rows}
    assert {("horizon", 2, "adam"), ("count", 4, "cem"), ("hidden", 64, "adam")} <= swept
    assert {row["dynamics"] for row in rows if row["sweep"] == "hidden"} == set(latency.DYNAMICS)
    assert all(row["plan_ms"]["p50"] > row["search_ms"]["p50"] > 0 for row in rows)


def test_latency_leaves_out_what_would_take_too_long(bench):
    cells = list(latency._cells(bench, "count", (1, 1000)))
    kept = latency._feasible(bench, cells, longest=1e-9)
    assert {cell.value for cell in kept} == {1}


@pytest.mark.parametrize("planner", ["adam", "cem"])
def test_counts_mean_restarts_or_samples(bench, planner):
    config = latency.with_count(bench.planner("wall", planner), 40)
    assert (config.restarts if planner == "adam" else config.samples) == 40


def test_operations_are_those_pytorch_counts(bench):
    case = bench.cases("wall", 1)[0]
    search = limit._search(bench, "wall", case, bench.planner("wall"), native=False)
    with limit.ProductCounter() as mine:
        search(0)
    with FlopCounterMode(display=False) as theirs:
        search(0)
    assert mine.operations() == theirs.get_total_flops()


@pytest.mark.slow
def test_limit_is_the_time_of_the_products_alone(bench):
    row = limit._row(bench, "wall", "adam", Pace(0.0, 3, 3))
    assert row["limit_at_highest_rate_ms"] <= row["limit_ms"]
    assert row["times_limit"]["torch"] > 1.0
    assert sum(entry["count"] for entry in row["shapes"]) == row["products"]


@pytest.mark.slow
def test_budget_tells_the_overrun_and_finds_no_fault_in_our_plans(bench, monkeypatch):
    monkeypatch.setattr(budget, "BUDGETS", (0.005, 0.01))
    monkeypatch.setattr(bench, "quick_share", lambda rounds: rounds // 4)
    rows = budget.measure(bench)["rows"]
    assert {row["planner"] for row in rows} == {"adam", "cem"}
    assert all(row["faults"] == [] for row in rows)
    assert all(row["iterations_median"] >= 1 for row in rows)


def test_budget_finds_faults(bench):
    case = bench.cases("wall", 1)[0]
    plan = Driver(bench.model("wall"), bench.planner("wall"), bench.settings("wall"), [case]).first(
        0
    )
    outside = dataclasses.replace(plan, actions=np.full_like(plan.actions, 9.0))
    assert list(budget._faults(bench, "wall", case, outside)) == ["outside limits"]
    lying = dataclasses.replace(plan, result=dataclasses.replace(plan.result, cost=-1.0))
    assert "as it says" in next(budget._faults(bench, "wall", case, lying))


def test_plans_have_the_same_digest_again_and_with_another_seed_another(options):
    narrow = dataclasses.replace(options, planners=("adam",))
    assert repeat.digests(narrow) == repeat.digests(narrow)
    other = repeat.digests(dataclasses.replace(narrow, seed=8))
    assert other != repeat.digests(narrow)


def test_success_goes_on_where_it_was_interrupted(bench, tmp_path, monkeypatch):
    sizes = {"adam 2": bench.planner("wall"), "cem 8": bench.planner("wall", "cem")}
    monkeypatch.setattr(success, "sizes_of", lambda *_: sizes)
    played, interruptions = [], [5]

    def play(benchmark, jobs):
        for number, cells in jobs:
            for cell in cells:
                if interruptions == [len(played)]:
                    raise KeyboardInterrupt
                played.append((number, cell.planner))
                is_reached = cell.planner.startswith("adam")
                yield Record(cell, number, is_reached, 20, is_reached, {}, [10.0])

    monkeypatch.setattr(success, "run_jobs", play)
    with pytest.raises(KeyboardInterrupt):
        success.measure(bench, tmp_path, lambda _: None)
    interruptions.clear()
    result = success.measure(bench, tmp_path, lambda _: None)
    assert len(played) == len(set(played)) == 2 * result["rows"][0]["episodes"]
    assert [row["success_rate"] for row in result["rows"]] == [1.0, 0.0]
    assert result["not_shipped"] == ["push_t", "maze"]


def test_equal_time_compares_with_the_slowest_that_is_no_slower():
    rows = [
        {"task": "t", "planner": name, "type": kind, "plan_ms": {"p50": ms}, "success_rate": rate}
        for name, kind, ms, rate in (
            ("adam small", "adam", 2.0, 0.5),
            ("adam lucky", "adam", 4.0, 0.95),
            ("adam large", "adam", 8.0, 0.9),
            ("both", "cem_gd", 8.5, 1.0),
            ("cem small", "cem", 1.0, 0.2),
            ("cem large", "cem", 9.0, 0.8),
        )
    ]
    small, large = success.at_equal_time(rows)
    assert small["gradient"] is None
    assert large["gradient"] == "adam large"


def test_without_other_libraries_ours_are_measured_and_the_missing_are_named(bench, monkeypatch):
    def absent(*_):
        raise MissingPeerError("stable-worldmodel")

    monkeypatch.setattr(peers, "_THEIRS", (absent,))
    monkeypatch.setattr(bench, "cases", lambda task, count: type(bench).cases(bench, task, 2))
    monkeypatch.setattr(peers, "_LARGER_SIZE", {"restarts": 2, "samples": 8, "iterations": 3})
    result = peers.measure(bench)
    assert result["missing"] == ["stable-worldmodel"]
    assert {row["library"] for row in result["rows"]} == {"wm_mpc"}
    json.dumps(result)
