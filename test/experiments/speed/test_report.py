"""Claims, report, picture, and a run that is interrupted."""

from __future__ import annotations

import copy

import pytest

from wm_mpc.cli.benchmark import main, parser
from wm_mpc.experiments.speed import sections as run_module
from wm_mpc.experiments.speed.claims import judge
from wm_mpc.experiments.speed.picture import draw
from wm_mpc.experiments.speed.sections import SECTIONS, BenchmarkRun
from wm_mpc.experiments.speed.tables import markdown
from wm_mpc.experiments.success.through_ros import LaunchError

STAGES = ("receive", "wait", "convert", "encode", "plan", "publish", "overhead", "image to plan")


def ms(p50):
    return {"count": 9, "p50": p50, "p99": 1.5 * p50, "min": 0.9 * p50}


def contender(name, library, time, cost, seen=None):
    row = {"task": "wall", "contender": name, "library": library, "search_ms": ms(time),
           "costs": [cost], "cost_mean": cost}  # fmt: skip
    return row if seen is None else row | {"lowest_seen": [seen], "lowest_seen_mean": seen}


def sweep(name, value, planner="adam", dynamics="gru", backend="native"):
    return {"sweep": name, "value": value, "planner": planner, "backend": backend,
            "dynamics": dynamics, "horizon": 4, "iterations": 15, "plan_ms": ms(2.0 + value),
            "search_ms": ms(1.0 + value)}  # fmt: skip


def node_row(beside, overhead):
    times = {name: {"p50": 1.0, "p99": 2.0} for name in STAGES}
    times["overhead"] = {"p50": overhead, "p99": 2 * overhead}
    times["image to plan"] = {"p50": 10.0, "p99": 20.0}
    return {"task": "wall", "beside": beside, "plans": 99, "holds": 0, "overruns": 0,
            "stolen_percent": 0.25, "stage_ms": times}  # fmt: skip


@pytest.fixture
def sections():
    """Results in which everything holds."""
    kinds = [("adam", "gru", "native"), ("cem", "transformer", "torch")]
    return {
        "peers": {
            "versions": {"stable-worldmodel": "0.1.1"},
            "missing": ["pytorch-mppi"],
            "rows": [
                contender("adam (native)", "wm_mpc", 2.0, 0.1),
                contender("adam, larger (native)", "wm_mpc", 8.0, 0.05),
                contender("adam, their starts (native)", "wm_mpc", 1.0, 0.15),
                contender("cem (native)", "wm_mpc", 50.0, 0.2),
                contender("stable-worldmodel GradientSolver, Adam, clamp", "stable-worldmodel",
                          20.0, 0.3, 0.2),
                contender("stable-worldmodel CEMSolver", "stable-worldmodel", 100.0, 0.2, 0.1),
                contender("stable-worldmodel CEMSolver, on our compiled cost",
                          "stable-worldmodel", 90.0, 0.2, 0.1),
            ],
        },
        "latency": {
            "task": "wall",
            "rows": [sweep(name, value, *kind) for name in ("horizon", "count", "hidden")
                     for value in (64, 128) for kind in kinds],
            "growth": [{"sweep": name, "planner": "adam", "backend": "native", "from": 5, "to": 20,
                        "exponent": 0.9} for name in ("horizon", "count")],
        },
        "limit": {
            "rows": [{"task": "wall", "planner": "adam", "operations": 10**9, "products": 5,
                      "shapes": [], "highest_gflops": 100.0, "limit_ms": 12.0,
                      "limit_at_highest_rate_ms": 10.0, "search_ms": {"native": ms(15.0)},
                      "times_limit": {"native": 1.2},
                      "times_limit_at_highest_rate": {"native": 1.5}}],
        },
        "budget": {
            "rows": [{"task": "wall", "planner": "adam", "backend": "native", "budget_ms": 10.0,
                      "overrun_ms": ms(0.1), "overrun_with_rest_ms": ms(1.0),
                      "iterations_median": 30, "faults": []}],
        },
        "repeat": {
            "rows": [{"task": "wall", "planner": "adam", "backend": "native", "digest": 64 * "a",
                      "same_again": True, "same_in_another_process": True}],
        },
        "success": {
            "tasks": ["wall"], "not_shipped": ["maze"], "replan": "every model step",
            "rows": [{"task": "wall", "planner": f"{kind} x", "type": kind, "episodes": 6,
                      "success_rate": 0.5, "ci95": [0.2, 0.8], "plan_ms": ms(5.0)}
                     for kind in ("adam", "cem")],
            "at_equal_time": [{"task": "wall", "plan_ms": 5.0, "sampling": "cem x",
                               "sampling_success_rate": 0.5, "gradient": None,
                               "gradient_plan_ms": None, "gradient_success_rate": None}],
        },
        "node": {
            "remembered_plans": 500,
            "rows": [node_row("simulation", 1.0), node_row("camera 96x96", 1.0),
                     node_row("camera 640x480, large shared memory", 3.0)],
        },
    }  # fmt: skip


def verdicts(sections):
    return {row["claim"]: row["holds"] for row in judge(sections, {"wall": "native"})}


def test_claims_hold_when_they_are_kept(sections):
    assert set(verdicts(sections).values()) == {True, None}
    unknown = [claim for claim, holds in verdicts(sections).items() if holds is None]
    assert all("other planners" in claim for claim in unknown)  # there are none


def test_claims_without_measurement_are_neither_kept_nor_broken():
    assert set(verdicts({}).values()) == {None}


@pytest.mark.parametrize(
    ("section", "broken", "claim"),
    [
        ("peers", lambda rows: rows[0].update(search_ms=ms(6.0)), "as fast as ours"),
        ("peers", lambda rows: rows[0].update(cost_mean=0.9), "against that solver's (as shipped"),
        ("peers", lambda rows: rows[1].update(search_ms=ms(11.0)), "cost of adam, larger"),
        ("node", lambda rows: rows[0]["stage_ms"]["image to plan"].update(p99=31.0), "image to"),
        ("node", lambda rows: rows[1]["stage_ms"]["overhead"].update(p50=2.1), "camera 96x96"),
        ("node", lambda rows: rows[2]["stage_ms"]["overhead"].update(p50=6.1), "640x480"),
        ("budget", lambda rows: rows[0].update(faults=["not finite"]), "time_budget"),
        ("budget", lambda rows: rows[0].update(overrun_with_rest_ms=ms(2.0)), "time_budget"),
        ("repeat", lambda rows: rows[0].update(same_again=False), "the same from run to run"),
    ],
)
def test_a_claim_that_is_broken_is_said_to_be(sections, section, broken, claim):
    broken(sections[section]["rows"])
    assert [name for name, holds in verdicts(sections).items() if holds is False and claim in name]


def test_growth_faster_than_linear_breaks_the_claim(sections):
    sections["latency"]["growth"][0]["exponent"] = 1.2
    assert verdicts(sections)["time grows with the horizon, adam"] is False


def results_of(options, sections, folder):
    run = BenchmarkRun(options, folder, command="benchmark", code="1")
    results = run.results()
    fastest = {"wall": "native"}
    return results | {"sections": sections, "claims": judge(sections, fastest), "fastest": fastest}


def test_report_has_every_claim_and_every_section(options, sections, tmp_path):
    text = markdown(results_of(options, sections, tmp_path))
    assert text.count("| yes |") >= 10
    assert "pip install" in text  # for the library that is missing
    for title in ("other libraries", "everything that determines it", "Success", "published plan",
                  "limit of the machine", "Time budget", "run to run"):  # fmt: skip
        assert f"{title}" in text


def test_report_names_the_sections_of_a_benchmark_of_some(options, sections, tmp_path):
    results = results_of(options, {"peers": sections["peers"]}, tmp_path)
    assert "- Only these sections were measured: peers.\n" in markdown(results)
    assert "sections were measured" not in markdown({**results, "complete": True})


@pytest.mark.slow
@pytest.mark.parametrize("without", [None, "latency", "peers", "success", "node", "limit"])
def test_picture_is_drawn_of_whatever_was_measured(options, sections, tmp_path, without):
    sections = copy.deepcopy(sections)
    sections.pop(without, None)
    assert draw(results_of(options, sections, tmp_path)).startswith(b"\x89PNG")


@pytest.mark.slow
def test_interrupted_run_goes_on_and_a_missing_ros_is_no_obstacle(
    options, sections, tmp_path, monkeypatch
):
    measured = []

    def measure(self, name):
        if name == "limit" and "limit" not in measured:
            measured.append(name)
            raise KeyboardInterrupt
        if name == "node":
            raise LaunchError("there is no command ros2")
        measured.append(name)
        return sections[name]

    monkeypatch.setattr(BenchmarkRun, "_measure", measure)
    with pytest.raises(KeyboardInterrupt):
        BenchmarkRun(options, tmp_path, code="1").run()
    results = BenchmarkRun(options, tmp_path, code="1").run()
    assert measured.count("peers") == 1
    assert set(results["sections"]) == set(SECTIONS) - {"node"}
    assert "no command ros2" in results["failures"]["node"]
    assert not results["complete"]
    assert "no command ros2" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "results.png").is_file()
    BenchmarkRun(options, tmp_path, ["peers"], code="2").run()  # other code: measured again
    assert measured.count("peers") == 2


def test_a_fault_of_one_section_leaves_the_others(options, sections, tmp_path, monkeypatch, capsys):
    def measure(self, name):
        if name == "limit":
            raise ZeroDivisionError("oh")
        return sections[name]

    monkeypatch.setattr(BenchmarkRun, "_measure", measure)
    results = BenchmarkRun(options, tmp_path, code="1").run()
    assert results["failures"] == {"limit": "ZeroDivisionError: oh"}
    assert "Traceback" in capsys.readouterr().err
    assert len(results["sections"]) == len(SECTIONS) - 1


def test_results_name_seed_threads_machine_code_and_checkpoints(options, tmp_path):
    results = BenchmarkRun(options, tmp_path, code="1.0 abc").results()
    assert results["code"] == "1.0 abc"
    assert {"cpu", "cores", "torch", "native"} <= results["machine"].keys()
    assert (results["seed"], results["threads"]) == (7, 1)
    assert len(results["checkpoints"]["wall"]["sha256"]) == 64


def test_help_explains_every_section():
    text = parser().format_help()
    assert all(explanation in text for explanation in SECTIONS.values())


@pytest.mark.parametrize(
    "wrong", ["--sections=tea", "--tasks=tea", "--backends=tea", "--planners="]
)
def test_a_wrong_name_is_answered_with_the_right_ones(wrong, capsys):
    with pytest.raises(SystemExit):
        main([wrong])
    assert "accepted:" in capsys.readouterr().err


def test_command_saves_and_prints(sections, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(BenchmarkRun, "_measure", lambda self, name: sections[name])
    arguments = ["--tasks", "wall", "--quick", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "## What must hold" in capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("results.*")} == {
        "results.html", "results.json", "results.md", "results.png",
    }  # fmt: skip
    assert run_module.SECTIONS.keys() == sections.keys()
