"""The claims of the benchmark, each judged by the measurements.

A claim that was not measured neither holds nor fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wm_mpc.experiments.speed.node import WITH_ROOM
from wm_mpc.experiments.speed.peers import COMPILED, LARGER, THEIR_STARTS
from wm_mpc.experiments.speed.workbench import DEFAULT_PLANNER, WITH_RESTARTS

SHARE_OF_CEM = 0.05  # of the time of CEM 300/30/30; half of the share in arXiv 2512.09929
SHARE_OF_THEIR_CEM = 0.1  # of the time of another library, for an equally good plan
TIMES_GRADIENT_SOLVER = 5.0
NODE_P99 = 30.0  # ms
OVERHEAD_P50 = {"camera 96x96": 2.0, f"camera 640x480{WITH_ROOM}": 6.0}  # ms
OVERRUN_P99 = 2.0  # ms
LINEAR = 1.05  # largest exponent that counts as linear, because times are measured

Row = dict[str, Any]


def judge(sections: Mapping[str, Any], fastest: Mapping[str, str]) -> list[Row]:
    """Judge all claims.

    Args:
        sections: Results by section.
        fastest: Fastest back end by task.

    Returns:
        A row for each claim: claim, wanted and measured as text, and holds (None: not measured).
    """
    rows: list[Row] = []
    for task, backend in fastest.items():
        rows += _against_cem(sections.get("peers"), task, backend)
    for task in fastest:
        rows.append(_node(sections.get("node"), task))
    for task, backend in fastest.items():
        rows += _against_peers(sections.get("peers"), task, backend)
    rows += _growth(sections.get("latency"))
    rows += [_overhead(sections.get("node"), beside) for beside in OVERHEAD_P50]
    for task, backend in fastest.items():
        for others in (False, True):
            rows.append(_budget(sections.get("budget"), task, backend, others=others))
    rows.append(_repeat(sections.get("repeat")))
    return rows


def _row(claim: str, wanted: str, measured: str | None, holds: bool | None) -> Row:
    return {
        "claim": claim,
        "wanted": wanted,
        "measured": measured or "not measured",
        "holds": None if measured is None else holds,
    }


def _contender(peers: Any, task: str, name: str) -> Row | None:
    rows = peers["rows"] if peers else []
    return next((row for row in rows if (row["task"], row["contender"]) == (task, name)), None)


def _against_cem(peers: Any, task: str, backend: str) -> Iterator[Row]:
    ours = _contender(peers, task, f"{DEFAULT_PLANNER} ({backend})")
    for name, how in (
        (f"cem ({backend})", "as fast as ours"),
        ("stable-worldmodel CEMSolver", "as stable-worldmodel runs it"),
    ):
        cem = _contender(peers, task, name)
        measured, share = None, 0.0
        if ours and cem:
            mine, its = ours["search_ms"]["p50"], cem["search_ms"]["p50"]
            share = mine / its
            measured = f"{100 * share:.1f} % ({mine:.1f} of {its:.0f} ms)"
        yield _row(
            f"{task}: time of a plan ({DEFAULT_PLANNER}) as a share of CEM 300/30/30, {how}",
            f"at most {100 * SHARE_OF_CEM:.0f} %", measured, share <= SHARE_OF_CEM,
        )  # fmt: skip


def _node(node: Any, task: str) -> Row:
    measured, p99 = None, 0.0
    for row in node["rows"] if node else []:
        if row["task"] == task and row["beside"] == "simulation":
            times = row["stage_ms"]["image to plan"]
            p99 = times["p99"]
            measured = f"{p99:.1f} ms (p50 {times['p50']:.1f}) of {row['plans']} plans"
    return _row(
        f"{task}: image to plan in the node, p99, while the simulation runs",
        f"below {NODE_P99:.0f} ms", measured, p99 < NODE_P99,
    )  # fmt: skip


def _against_peers(peers: Any, task: str, backend: str) -> Iterator[Row]:
    theirs = [
        row
        for row in (peers["rows"] if peers else [])
        if row["task"] == task and "GradientSolver" in row["contender"]
    ]
    for name in (DEFAULT_PLANNER, THEIR_STARTS):
        ours = _contender(peers, task, f"{name} ({backend})")
        speed = cost = None
        times = best = 0.0
        if ours and theirs:
            times = min(row["search_ms"]["p50"] for row in theirs) / ours["search_ms"]["p50"]
            speed = f"{times:.1f} times"
            # The better of its result and the best plan it looked at, over all ways to keep limits.
            best = min(min(row["cost_mean"], row["lowest_seen_mean"]) for row in theirs)
            cost = f"{ours['cost_mean']:.4f} to {best:.4f} (mean of {len(ours['costs'])})"
        how = "as shipped: out of more first plans" if name == DEFAULT_PLANNER else "same starts"
        who = f"stable-worldmodel's Adam GradientSolver, same iterations, horizon, restarts ({how})"
        yield _row(
            f"{task}: faster than {who}", f"at least {TIMES_GRADIENT_SOLVER:.0f} times", speed,
            times >= TIMES_GRADIENT_SOLVER,
        )  # fmt: skip
        yield _row(
            f"{task}: cost of the best plan against that solver's ({how})", "not worse", cost,
            ours is not None and ours["cost_mean"] <= best,
        )  # fmt: skip
    for name, given in itertools.product((DEFAULT_PLANNER, LARGER), ("", COMPILED)):
        mine = _contender(peers, task, f"{name} ({backend})")
        cem = _contender(peers, task, f"stable-worldmodel CEMSolver{given}")
        measured, holds = None, False
        if mine and cem:
            share = mine["search_ms"]["p50"] / cem["search_ms"]["p50"]
            measured = (
                f"{mine['cost_mean']:.4f} to {cem['cost_mean']:.4f}, in {100 * share:.1f} % of "
                "its time"
            )
            holds = mine["cost_mean"] <= cem["cost_mean"] and share <= SHARE_OF_THEIR_CEM
        yield _row(
            f"{task}: cost of {name} against stable-worldmodel's CEMSolver 300/30/30{given}",
            "not worse, in a tenth of its time", measured, holds,
        )  # fmt: skip


def _growth(latency: Any) -> Iterator[Row]:
    """Claims on the default planner, and on the others."""
    found = latency["growth"] if latency else []
    for others in (False, True):
        rows = [row for row in found if (row["planner"] != DEFAULT_PLANNER) is others]
        horizons = [row for row in rows if row["sweep"] == "horizon"]
        yield _row(
            f"time grows with the horizon, {_who(others)}", "linearly or less",
            _exponents(horizons), all(row["exponent"] <= LINEAR for row in horizons),
        )  # fmt: skip
        restarts = [
            row for row in rows if row["sweep"] == "count" and row["planner"] in WITH_RESTARTS
        ]
        yield _row(
            f"time grows with restarts, up to 32, {_who(others)}", "less than linearly",
            _exponents(restarts), all(row["exponent"] < 1.0 for row in restarts),
        )  # fmt: skip


def _who(others: bool) -> str:
    return "other planners" if others else DEFAULT_PLANNER


def _exponents(rows: Sequence[Row]) -> str | None:
    texts = [f"{row['planner']} ({row['backend']}) {row['exponent']:.2f}" for row in rows]
    return f"exponents: {', '.join(texts)}" if texts else None


def _overhead(node: Any, beside: str) -> Row:
    measured, p50 = None, 0.0
    for row in node["rows"] if node else []:
        if row["beside"] == beside:
            p50 = row["stage_ms"]["overhead"]["p50"]
            measured = f"{p50:.2f} ms of {row['plans']} plans"
    return _row(
        f"ROS overhead, {beside}: all except encode and plan, p50",
        f"below {OVERHEAD_P50[beside]:.0f} ms", measured, p50 < OVERHEAD_P50[beside],
    )  # fmt: skip


def _budget(budget: Any, task: str, backend: str, *, others: bool) -> Row:
    rows: Sequence[Row] = [
        row
        for row in (budget["rows"] if budget else [])
        if (row["task"], row["backend"]) == (task, backend)
        and (row["planner"] != DEFAULT_PLANNER) is others
    ]
    measured, holds = None, False
    if rows:
        worst = max(rows, key=lambda row: row["overrun_with_rest_ms"]["p99"])
        p99 = worst["overrun_with_rest_ms"]["p99"]
        faults = sorted({fault for row in rows for fault in row["faults"]})
        measured = (
            f"{p99:.2f} ms ({worst['planner']}, {worst['budget_ms']:.0f} ms); plans: "
            f"{', '.join(faults) or 'all valid, bounded and the best so far'}"
        )
        holds = p99 < OVERRUN_P99 and not faults
    return _row(
        f"{task}: time_budget is kept, p99 of the overrun, worst budget, {_who(others)}",
        f"below {OVERRUN_P99:.0f} ms", measured, holds,
    )  # fmt: skip


def _repeat(repeat: Any) -> Row:
    rows = repeat["rows"] if repeat else []
    same = [row["same_again"] and row["same_in_another_process"] for row in rows]
    measured = None
    if rows:
        measured = (
            f"{sum(same)} of {len(same)} (task, planner, back end), again and in a new process"
        )
    return _row("plans are the same from run to run with a seed", "to the last bit", measured,
                all(same))  # fmt: skip
