"""The results of a benchmark as Markdown: a table of claims, and one table per section."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wm_mpc.experiments.speed.peer_solvers import INSTALL
from wm_mpc.experiments.speed.workbench import WITH_RESTARTS
from wm_mpc.reports.page import Report

Row = dict[str, Any]
_VERDICTS = {True: "yes", False: "**no**", None: "-"}


def report(results: Mapping[str, Any]) -> Report:
    """Return all results as the report of an HTML page.

    Args:
        results: The results.
    """
    holds = tuple(row["holds"] for row in results["claims"] if row["holds"] is not None)
    caption = "Plan times and success of all planners"
    return Report(
        "Benchmark", markdown(results), results, holds=holds, caption=caption,
        incomplete="Only some sections were measured",
    )  # fmt: skip


def markdown(results: Mapping[str, Any]) -> str:
    """Return all results as Markdown.

    Args:
        results: The results.
    """
    blocks = ["# Benchmark", _conditions(results), "## What must hold", _claims(results["claims"])]
    for name, (title, write) in _SECTIONS.items():
        if name in results["sections"]:
            blocks += [f"## {title}", *write(results["sections"][name])]
        elif name in results["failures"]:
            blocks += [f"## {title}", f"Not measured: {results['failures'][name]}"]
    return "\n\n".join(blocks)


def _conditions(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    native = "compiled here" if machine["native"] == "yes" else machine["native"]
    lines = [
        f"`{results['command']}`, {results['date']}, code {results['code']}, seed "
        f"{results['seed']}, {results['seconds']:.0f} s.",
        f"{results['threads']} thread(s) of {machine['cpu']}, {machine['cores']} cores, Python "
        f"{machine['python']}, torch {machine['torch']}; native back end: {native}.",
        "Load of the machine (processes that compute) when a section began: "
        + ", ".join(f"{name} {load}" for name, load in results["load"].items())
        + ". Compared planners took turns in one process; nodes ran in separate processes.",
        "Checkpoints: " + ", ".join(
            f"{task} {entry['sha256'][:12]} ({results['fastest'][task]})"
            for task, entry in results["checkpoints"].items()
        ) + ".",
    ]  # fmt: skip
    if not results["complete"]:
        measured = ", ".join(results["sections"]) or "none"
        lines.insert(0, f"Only these sections were measured: {measured}.")
    if results["quick"]:
        lines.append("`--quick`: few runs; the p99 of fewer than a hundred is about their maximum.")
    return "\n".join(f"- {line}" for line in lines)


def _claims(claims: Sequence[Row]) -> str:
    rows = [
        [row["claim"], row["wanted"], row["measured"], _VERDICTS[row["holds"]]] for row in claims
    ]
    return _table(["claim", "wanted", "measured", "holds"], rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(str(cell) for cell in row)} |" for row in (names, *rows)]
    return "\n".join([lines[0], "|---" * len(names) + "|", *lines[1:]])


def _times(times: Mapping[str, Any]) -> str:
    return f"{times['p50']:.2f} / {times['p99']:.2f}"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.0f} %"


def _plain(number: float | None) -> str:
    return "-" if number is None else str(number)


def _latency(section: Any) -> list[str]:
    """A table for each sweep, with a row per planner and a column per value."""
    titles = {
        "horizon": "horizon (model steps)",
        "count": f"restarts ({', '.join(WITH_RESTARTS)}) or samples (the others)",
        "hidden": "hidden units of untrained models",
    }
    blocks = [
        f"Plan time, p50 / p99 in ms, from the observation to the actions, encoding included; "
        f"values that do not vary are those of task {section['task']}."
    ]
    for sweep, title in titles.items():
        found = [row for row in section["rows"] if row["sweep"] == sweep]
        values = sorted({row["value"] for row in found})
        kinds = list(dict.fromkeys((r["planner"], r["dynamics"], r["backend"]) for r in found))
        rows = []
        for kind in kinds:
            by_value = {
                row["value"]: _times(row["plan_ms"])
                for row in found
                if (row["planner"], row["dynamics"], row["backend"]) == kind
            }
            rows.append([*kind, *(by_value.get(value, "-") for value in values)])
        blocks += [f"Against {title}:",
                   _table(["planner", "dynamics", "back end", *values], rows)]  # fmt: skip
    return blocks


def _success(section: Any) -> list[str]:
    rows = [
        [row["task"], row["planner"], f"{_times(row['plan_ms'])}",
         f"{_percent(row['success_rate'])} of {row['episodes']}",
         f"{100 * row['ci95'][0]:.0f}-{100 * row['ci95'][1]:.0f} %"]
        for row in section["rows"]
    ]  # fmt: skip
    equal = [
        [row["task"], row["sampling"], f"{row['plan_ms']:.1f}",
         _percent(row["sampling_success_rate"]), row["gradient"] or "none is as fast",
         "-" if row["gradient"] is None else f"{row['gradient_plan_ms']:.1f}",
         _percent(row["gradient_success_rate"])]
        for row in section["at_equal_time"]
    ]  # fmt: skip
    blocks = [
        "Closed loop, held-out episodes, a new plan every model step. Planners: starts of first "
        f"plans x iterations ({', '.join(WITH_RESTARTS)}), samples x iterations (the others).",
        _table(["task", "planner", "plan p50 / p99 ms", "success", "95 % interval"], rows),
        "At equal time: the slowest gradient planner that takes no longer.",
        _table(["task", "sampling planner", "ms", "success", "gradient planner", "ms", "success"],
               equal),
    ]  # fmt: skip
    if section["not_shipped"]:
        blocks.append(f"No model is shipped for: {', '.join(section['not_shipped'])}.")
    return blocks


def _node(section: Any) -> list[str]:
    names = list(dict.fromkeys(name for row in section["rows"] for name in row["stage_ms"]))
    rows = [
        [row["task"], row["beside"],
         *(_times(row["stage_ms"][name]) if name in row["stage_ms"] else "-" for name in names),
         row["plans"], row["overruns"], row["holds"], _plain(row["stolen_percent"])]
        for row in section["rows"]
    ]  # fmt: skip
    return [
        "p50 / p99 in ms, as the node reports in `diagnostics`. receive: from the camera's publish "
        "to the callback; wait: for the planning thread, and for the robot state of that moment; "
        "convert: messages to arrays; publish: the plan. overhead: all except encode and plan.",
        _table(
            ["task", "while this runs", *names, "plans", "overruns", "holds", "stolen (%)"], rows
        ),
        f"Times are of the latest {section['remembered_plans']} plans, or of all plans if there "
        "are fewer. stolen: share of the wanted processor time that other machines on the same "
        "host took.",
    ]


def _peers(section: Any) -> list[str]:
    rows = [
        [row["task"], row["contender"], _times(row["search_ms"]), f"{row['cost_mean']:.4f}",
         f"{row['lowest_seen_mean']:.4f}" if "lowest_seen_mean" in row else "-"]
        for row in section["rows"]
    ]  # fmt: skip
    count = len(section["rows"][0]["costs"]) if section["rows"] else 0
    versions = ", ".join(f"{name} {version}" for name, version in section["versions"].items())
    return [
        f"The first plan for each of {count} held-out start states and goals, without encoding. "
        "One function gives all costs. The other libraries have no action limits: for them, a plan "
        "outside the limits costs as much as the nearest plan inside. Our fused PyTorch rollout "
        "computes the cost, which is faster than step by step, or our machine code (native) where "
        "the name says so. Every MPPI uses the same number of samples and iterations. lowest seen: "
        "the lowest cost of all plans that a solver looked at, not only of its result. "
        f"{versions}.",
        _table(["task", "planner", "search p50 / p99 ms", "cost", "lowest seen"], rows),
        *([f"Not installed: {', '.join(section['missing'])}. To include it: {INSTALL}."]
          if section["missing"] else []),
    ]  # fmt: skip


def _limit(section: Any) -> list[str]:
    rows = []
    for row in section["rows"]:
        for backend, times in row["search_ms"].items():
            rows.append(
                [row["task"], row["planner"], backend, f"{row['operations'] / 1e9:.2f}",
                 f"{row['limit_ms']:.2f}", f"{row['limit_at_highest_rate_ms']:.2f}",
                 f"{times['p50']:.2f}", row["times_limit"][backend],
                 row["times_limit_at_highest_rate"][backend]]
            )  # fmt: skip
    highest = max(row["highest_gflops"] for row in section["rows"])
    return [
        "The time of a search's matrix products alone, at the rate measured for matrices of the "
        "same shapes (the faster of torch and oneDNN for each), and at the highest rate of all "
        f"({highest:.0f} GFLOP/s). Below 1, a search is faster than the libraries multiply such "
        "small matrices, because its weights stay in the cache.",
        _table(["task", "planner", "back end", "GFLOP", "limit ms", "at highest rate ms",
                "search p50 ms", "times limit", "times highest"], rows),
    ]  # fmt: skip


def _budget(section: Any) -> list[str]:
    rows = [
        [row["task"], row["planner"], row["backend"], f"{row['budget_ms']:.0f}",
         f"{row['overrun_ms']['p99']:.2f}", f"{row['overrun_with_rest_ms']['p99']:.2f}",
         f"{row['iterations_median']:.0f}", ", ".join(row["faults"]) or "none"]
        for row in section["rows"]
    ]  # fmt: skip
    return [
        "`time_budget` stops endless searches. Overrun: p99 in ms, negative if the search ends "
        "before the budget; of the search, and including all work before and after it except "
        "encoding. Every planner except lm and cem_gd makes at least one iteration.",
        _table(["task", "planner", "back end", "budget ms", "overrun", "with the rest",
                "iterations", "faults of plans"], rows),
    ]  # fmt: skip


def _repeat(section: Any) -> list[str]:
    rows = [
        [row["task"], row["planner"], row["backend"], f"`{row['digest'][:12]}`",
         "yes" if row["same_again"] else "no", "yes" if row["same_in_another_process"] else "no"]
        for row in section["rows"]
    ]  # fmt: skip
    return [_table(["task", "planner", "back end", "digest", "same again", "in a new process"],
                   rows)]  # fmt: skip


_SECTIONS: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
    "peers": ("Against other libraries", _peers),
    "latency": ("Plan time against everything that determines it", _latency),
    "success": ("Success against plan time", _success),
    "node": ("From the camera to the published plan", _node),
    "limit": ("Against the limit of the machine", _limit),
    "budget": ("Time budget", _budget),
    "repeat": ("The same from run to run", _repeat),
}
