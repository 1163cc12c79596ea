"""What pages take from results/**/results.json: every figure that somebody measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs_site.sources import TASKS, table
from wm_mpc.experiments.common.statistics import holm
from wm_mpc.experiments.success.cells import SHOWN
from wm_mpc.experiments.success.tables import hides_goals, where_shown

RESULTS = Path(__file__).resolve().parents[2] / "results"
# Where the comparison of gradient and CEM is, by task
AGAINST_CEM = {
    "wall": "wall",
    "maze": "maze",
    "push_t": "push_t/cem",
    "rope": "rope/cem",
    "granular": "granular/cem_1234",
    "reach": "reach",
    "reach_joints": "reach_joints",
    "reach_two": "reach_two",
}
WHAT = {
    "wall": "a base drives through a door",
    "maze": "a base with inertia is pushed by forces through a maze",
    "push_t": "an arm pushes a T-shaped block over a table",
    "rope": "an arm lays a rope into a shape",
    "granular": "an arm sweeps twenty cubes into a shape",
    "reach": "an arm brings its tip to a place in space",
    "reach_joints": "the same arm, moved by joint positions",
    "reach_two": "the arm of `reach`, seen by two cameras that need each other",
}
Row = dict[str, Any]


def results(folder: str) -> dict[str, Any]:
    """results.json of a folder below results/."""
    return json.loads((RESULTS / folder / "results.json").read_text(encoding="utf-8"))


def percent(share: float) -> str:
    """Nothing but all is called 100 percent, and nothing but nothing 0."""
    digits = 1 if share not in (0.0, 1.0) and round(share, 2) in (0.0, 1.0) else 0
    return f"{100 * share:.{digits}f} %"


def interval(row: Row) -> str:
    low, high = row["ci95"]
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def cells(folder: str, **wanted: Any) -> list[Row]:
    """The cells of an evaluation in which all these entries are as given."""
    found = [
        cell
        for cell in results(folder)["cells"]
        if all(str(cell.get(key)) == str(value) for key, value in wanted.items())
    ]
    if not found:
        raise LookupError(f"results/{folder} has no cell with {wanted}")
    return found


def shipped(task: str, planner: str) -> Row:
    """The cell of a task's shipped checkpoint, in the comparison with CEM."""
    return cells(AGAINST_CEM[task], planner=planner)[-1]


def machine(folder: str) -> str:
    """On what a result was measured, when, and with which code."""
    found = results(folder)
    about = found["machine"]
    threads = f", {found['threads']} thread" if found.get("threads") == 1 else ""
    commit = found["code"].split()[-1]
    return f"{about['cpu']}, {about['cores']} cores{threads}; {found['date']}, commit {commit}"


def cell(folder: str, entry: str, *conditions: str) -> str:
    """One figure of an evaluation: `cell push_t/fresh success planner=adam`."""
    row = cells(folder, **dict(condition.split("=") for condition in conditions))[0]
    if entry == "success":
        return f"{percent(row['success_rate'])} of {row['episodes']}"
    if entry == "interval":
        return interval(row)
    if entry == "plan":
        return f"{row['plan_ms_p50']:.1f} ms"
    if entry == "episodes":
        return str(row["episodes"])
    if entry == "place_weight":
        return row["proprioception"].rpartition("; weight ")[2]
    if entry == "training":
        (model,) = results(folder)["checkpoints"]
        return f"{model['provenance']['training_seconds'] / 60:.0f} minutes"
    raise ValueError(f"{entry!r}; known: success, interval, plan, episodes, place_weight, training")


def reach() -> str:
    """What the shipped checkpoints reach, for README."""
    rows = []
    for task in TASKS:
        ours, cem = shipped(task, "adam"), shipped(task, "cem")
        rows.append(
            (
                f"`{task}`: {WHAT[task]}",
                f"{percent(ours['success_rate'])} ({interval(ours)})",
                f"{ours['plan_ms_p50']:.1f}",
                percent(cem["success_rate"]),
                f"{cem['plan_ms_p50']:.0f}",
            )
        )
    header = ("task", "success (95 % interval)", "plan time, ms", "CEM: success",
              "CEM: plan time, ms")  # fmt: skip
    return table(header, rows)


def against_cem() -> str:
    """Every model with both planners, in one run."""
    rows = []
    for task in TASKS:
        folder = AGAINST_CEM[task]
        for row in cells(folder):
            model = row["variant"].replace("+", ", ")
            is_shipped = row["variant"] == shipped(task, row["planner"])["variant"]
            rows.append(
                (
                    f"[`{task}`](../results/{folder}/results.md)",
                    f"{model} ({'shipped' if is_shipped else 'ablation model'})",
                    row["planner"],
                    percent(row["success_rate"]),
                    interval(row),
                    f"{row['plan_ms_p50']:.1f} / {row['plan_ms_p99']:.1f}",
                    percent(row["time_ratio_to_cem"] or 1.0)
                    if row["planner"] == "cem"
                    else f"{100 * row['time_ratio_to_cem']:.1f} %",
                )
            )
    header = ("task", "trained with", "planner", "success of 100", "95 % interval",
              "plan p50 / p99, ms", "time, share of CEM")  # fmt: skip
    return table(header, rows)


def machines() -> str:
    """Where the comparison with CEM was measured."""
    return "\n".join(f"- `{task}`: {machine(AGAINST_CEM[task])}" for task in TASKS)


def ablation(task: str) -> str:
    """Success by synthesis method, loop and starts, all training seeds together; with a single
    loop, also that of each training seed."""
    folder = f"ablation/{task}"
    loops = list(dict.fromkeys(cell["loop"] for cell in results(folder)["cells"]))
    columns = [(loop, planner) for loop in loops for planner in results(folder)["planners"]]
    rows = []
    for variant in dict.fromkeys(cell["variant"] for cell in results(folder)["cells"]):
        row = [variant]
        for loop, planner in columns:
            own = {"variant": variant, "loop": loop, "planner": planner}
            pooled = cells(folder, **own, training_seed="pooled")[0]
            row.append(f"{percent(pooled['success_rate'])} ({interval(pooled)})")
            if len(loops) == 1:
                each = [cells(folder, **own, training_seed=n)[0] for n in pooled["training_seeds"]]
                row[-1] += "; " + ", ".join(f"{100 * cell['success_rate']:.0f}" for cell in each)
        rows.append(row)
    names = [f"{loop} loop, {_starts(folder, planner)}" for loop, planner in columns]
    return table(("trained with", *names), rows)


def _starts(folder: str, planner: str) -> str:
    count = results(folder)["planners"][planner]["restarts"]
    return f"{count} start" if count == 1 else f"{count} starts"


def differences(task: str, below: str = "0.05") -> str:
    """The comparisons of an ablation in which chance is less likely than `below`."""
    folder = f"ablation/{task}"
    rows = []
    compared = results(folder)["comparisons"]
    corrected = holm([each["p_value"] for each in compared])
    over_seeds = any(each.get("p_training_seeds") is not None for each in compared)
    for each, p_holm in zip(compared, corrected, strict=True):
        first, second = each["first"], each["second"]
        if each["p_value"] < float(below) and first["planner"] == second["planner"]:
            row = [
                f"{first['variant']} against {second['variant']}", each["loop"],
                _starts(folder, first["planner"]), each["only_first"], each["only_second"],
                f"{each['p_value']:.3g}", f"{p_holm:.3g}",
            ]  # fmt: skip
            over = each.get("p_training_seeds")
            rows.append([*row, "" if over is None else f"{over:.3g}"] if over_seeds else row)
    if not rows:
        return f"None of the {len(compared)} comparisons has a p value below {below}."
    header = ["A against B", "loop", "starts", "only A succeeds", "only B succeeds", "p",
              "p, corrected"]  # fmt: skip
    note = f"All {len(compared)} comparisons were made; *corrected* takes that into account (Holm)."
    if over_seeds:
        header.append("p, seeds")
        note += " *p, seeds* is about the success rates of the training seeds; it is not corrected."
    return f"{table(header, rows)}\n\n{note}"


def dynamics() -> str:
    """Success of GRU against transformer."""
    rows = []
    for variant in ("gru", "gru_online", "transformer", "transformer_online"):
        row = [variant.replace("_", ", ")]
        for loop in ("closed", "open"):
            found = cells("ablation/dynamics", variant=variant, loop=loop, planner="adam")[0]
            row.append(percent(found["success_rate"]))
        rows.append(row)
    return table(("dynamics", "closed loop", "open loop"), rows)


def runs(*folders: str) -> str:
    """Whole evaluations, a line for each cell."""
    found = [(folder, row) for folder in folders for row in results(folder)["cells"]]
    shown = any(hides_goals(row) for _, row in found)
    rows = []
    for folder, row in found:
        privileged = " (sees the true state)" if row["privileged"] else ""
        rows.append(
            (
                f"[`{folder}`](../results/{folder}/results.md)",
                row["planner"] + privileged,
                row["replan"],
                f"{percent(row['success_rate'])} of {row['episodes']}",
                interval(row),
                *([where_shown(row)] if shown else []),
                "" if row["plan_ms_p50"] is None else f"{row['plan_ms_p50']:.1f}",
            )
        )
    header = ("run", "planner", "control steps between plans", "success", "95 % interval",
              *([f"where the goal's picture shows {100 * SHOWN:.0f} % or more"] if shown else []),
              "plan p50, ms")  # fmt: skip
    return table(header, rows)


def live(folder: str) -> str:
    """Success of a robot that has changed, before and after it learned."""
    found = results(f"live/{folder}")
    rows = [_live_row("as recorded", found["nominal"]), _live_row("changed", found["disturbed"])]
    for number, row in enumerate(found["rounds"], 1):
        seconds = row["low_level_steps"] * 0.1
        rows.append(_live_row(f"after round {number}", row, f"{seconds:.0f}"))
    header = ("robot and model", "driving to learn from, s", "success", "95 % interval",
              "mean control steps")  # fmt: skip
    return table(header, rows)


def _live_row(name: str, row: Row, seconds: str = "") -> tuple[object, ...]:
    success = f"{percent(row['rate'])} of {row['episodes']}"
    return name, seconds, success, interval(row), f"{row['steps']:.0f}"


def live_ros() -> str:
    """The same over ROS, in real time."""
    found = results("live/wall_camera_ros")
    rows = [("before", "shipped", "", _count(found["before"]))]
    for row in found["during"]["rows"]:
        rows.append(("while learning", f"`{row['world_model']}`", row["from_second"], _count(row)))
    rows.append(("after", f"`{found['after']['world_model']}`", "", _count(found["after"])))
    return table(("when", "world model", "in use from, s", "goals reached"), rows)


def _count(row: Row) -> str:
    return f"{row['reached']} of {row['episodes']}"


MAKERS: dict[str, Callable[..., str]] = {
    "cell": cell,
    "reach": reach,
    "against_cem": against_cem,
    "machine": machine,
    "machines": machines,
    "ablation": ablation,
    "differences": differences,
    "dynamics": dynamics,
    "runs": runs,
    "live": live,
    "live_ros": live_ros,
}
