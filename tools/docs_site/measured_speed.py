"""What pages take from the benchmarks, the fault table and the soak: times, holds, growth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docs_site.measured import results
from docs_site.sources import table

TASKS = ("wall", "maze", "push_t", "reach")  # of the benchmarks
STAGES = ("receive", "wait", "convert", "encode", "plan", "publish", "overhead", "image to plan")
THEIR_ADAM = ("stable-worldmodel GradientSolver, Adam, clamp",
              "stable-worldmodel GradientSolver, Adam, slope kept at limits")  # fmt: skip
THEIR_CEM = ("stable-worldmodel CEMSolver",)
ON_OURS = ("stable-worldmodel CEMSolver, on our compiled cost",)
Row = dict[str, Any]


def peers() -> str:
    """Plan times against other libraries."""
    rows = []
    for text, ours, theirs, as_share in (
        ("shipped planner, share of our CEM 300/30/30", "adam (native)", ("cem (native)",), True),
        ("shipped planner, share of stable-worldmodel's CEM", "adam (native)", THEIR_CEM, True),
        ("larger Adam, share of stable-worldmodel's CEM", "adam, larger (native)", THEIR_CEM, True),
        (
            "larger Adam, share of the same on our compiled cost",
            "adam, larger (native)",
            ON_OURS,
            True,
        ),
        ("speed-up over their Adam, our first plans", "adam (native)", THEIR_ADAM, False),
        (
            "speed-up over their Adam, the same starts",
            "adam, their starts (native)",
            THEIR_ADAM,
            False,
        ),
    ):  # fmt: skip
        row = [text]
        for task in TASKS:
            mine, others = _contender(task, ours), [_contender(task, each) for each in theirs]
            # Of several ways to use the same solver, the fastest, and the best plan of any.
            share = mine["search_ms"]["p50"] / min(row["search_ms"]["p50"] for row in others)
            lowest = "lowest_seen_mean" if theirs is THEIR_ADAM else "cost_mean"
            better = mine["cost_mean"] / min(row[lowest] for row in others) - 1.0
            figure = f"{100 * share:.1f} %" if as_share else f"{1.0 / share:.1f}"
            row.append(f"{figure} (cost {100 * better:+.0f} %)")
        rows.append(row)
    return table(("plan time", *(f"`{task}`" for task in TASKS)), rows)


def _contender(task: str, name: str) -> Row:
    rows = results("benchmark_peers")["sections"]["peers"]["rows"]
    return next(row for row in rows if (row["task"], row["contender"]) == (task, name))


def dynamics_time() -> str:
    """Plan times of a transformer against those of a GRU."""
    rows = []
    for row in results("benchmark_dynamics")["rows"]:
        arithmetic = "compiled" if row["backend"] == "native" else "PyTorch"
        rows.append(
            (
                row["hidden"],
                row["planner"],
                f"{row['dynamics']}, {arithmetic}",
                f"{row['processor_ms']['p50']:.1f}",
                f"{row['ratio']:.2f}",
                f"{row['products_ratio']:.2f}",
            )
        )
    header = ("hidden", "planner", "dynamics", "plan p50, ms", "times the GRU",
              "products, times the GRU")  # fmt: skip
    return table(header, rows)


def node() -> str:
    """From the camera to the published plan, stage by stage."""
    found = results("benchmark_node")["sections"]["node"]["rows"]
    rows = []
    for stage in STAGES:
        times = (row["stage_ms"][stage] for row in found)
        rows.append((stage, *(f"{each['p50']:.1f} / {each['p99']:.1f}" for each in times)))
    header = ("stage", *(f"`{row['task']}`, {row['beside']}" for row in found))
    return table(header, rows)


def image_to_plan() -> str:
    """p50 and p99 from image to plan while the simulation runs, by task."""
    rows = []
    for row in results("benchmark_node")["sections"]["node"]["rows"]:
        if row["beside"] == "simulation":
            times = row["stage_ms"]["image to plan"]
            rows.append((f"`{row['task']}`", f"{times['p50']:.1f} ms", f"{times['p99']:.1f} ms"))
    return table(("task", "p50", "p99"), rows)


def claims(folder: str, *words: str) -> str:
    """What was wanted and measured, for claims that begin with these words (or whose part after the
    task does)."""
    start = " ".join(words)
    rows = []
    for row in results(folder)["claims"]:
        text = row["claim"]
        if start in (text[: len(start)], text.partition(": ")[2][: len(start)]):
            holds = {True: "yes", False: "**no**", None: "not measured"}[row["holds"]]
            rows.append((text, row["wanted"], row["measured"], holds))
    if not rows:
        raise LookupError(f"results/{folder} has no claim that begins with {start!r}")
    return table(("claim", "wanted", "measured", "holds"), rows)


def not_held(*folders: str) -> str:
    """Claims of benchmarks that do not hold."""
    rows = [
        (row["claim"], row["wanted"], row["measured"])
        for folder in folders
        for row in results(folder)["claims"]
        if row["holds"] is False
    ]
    if not rows:
        return "All claims hold."
    return table(("claim", "wanted", "measured"), rows)


def faults() -> str:
    """Each fault, and how long until the robot held and until it planned again."""
    rows = []
    for row in results("faults")["faults"]:
        rows.append(
            (
                row["name"],
                row["must"],
                _seconds(row["hold"]),
                _seconds(row["recovery"]),
                "yes" if row["holds"] else "**no**",
            )
        )
    return table(("fault", "must", "hold after, s", "plans again after, s", "passed"), rows)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def soak() -> str:
    """Growth and missed periods of a long run."""
    found = results("soak")
    growth = found["memory_growth"]
    rows = [
        ("memory of `mpc`", f"{100 * growth['mpc']:+.2f} %"),
        ("memory of `sim`", f"{100 * growth['sim']:+.2f} %"),
        ("missed control steps", f"{found['missed_periods']} of {found['plans']:,}"),
        *((f"more {name.partition(' ')[2]} of `{name.partition(' ')[0]}`", count)
          for name, count in sorted(found["added"].items())),
    ]  # fmt: skip
    about = f"{found['minutes']:g} minutes of `{found['task']}`, {found['date']}"
    return f"{table((about, 'measured'), rows)}"


MAKERS: dict[str, Callable[..., str]] = {
    "peers": peers,
    "dynamics_time": dynamics_time,
    "node": node,
    "image_to_plan": image_to_plan,
    "claims": claims,
    "not_held": not_held,
    "faults": faults,
    "soak": soak,
}
