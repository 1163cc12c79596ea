"""The results of an evaluation as JSON, Markdown and HTML, and as a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wm_mpc.atomic import write
from wm_mpc.experiments.common.disturbed import HOLD_ABOVE
from wm_mpc.experiments.common.settings import TRUE_SIMULATOR
from wm_mpc.experiments.success.cells import EARLY, POOLED, SHOWN, Row
from wm_mpc.experiments.success.picture import draw
from wm_mpc.experiments.success.protocol_columns import ALL, NAMES, cells_of
from wm_mpc.reports.page import Report, save_page

_GUARD = ("pictures", "image error p50 / p95", "held")
_P_VALUES = {"p_value": "p", "p_holm": "p, Holm", "p_training_seeds": "p, seeds"}


def save(folder: Path, results: Mapping[str, Any], *, picture: bool) -> None:
    """Write results.json, results.md and results.html, and results.png if wanted.

    Each file is replaced at once.

    Args:
        folder: Folder of the files.
        results: The results.
        picture: Whether to draw the figure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "results.json", json.dumps(results, indent=2) + "\n")
    write(folder / "results.md", markdown(results) + "\n")
    if picture and results["cells"]:
        write(folder / "results.png", draw(results["cells"]))
    save_page(report(results), folder / "results.html", folder / "results.png")


def report(results: Mapping[str, Any]) -> Report:
    """Return the results as the report of an HTML page.

    Args:
        results: The results.
    """
    caption = "Success against plan time. The bars are 95 % intervals."
    title = f"Evaluation: {results['task']}, {results['goals']} goals"
    return Report(title, markdown(results), results, caption=caption)


def markdown(results: Mapping[str, Any]) -> str:
    """Return the tables of cells and comparisons, with notes.

    Args:
        results: The results.
    """
    cells: Sequence[Row] = results["cells"]
    blocks = [_cells_table(cells, results)]
    if results.get("comparisons"):
        blocks.append(_comparisons_table(results["comparisons"]))
    blocks.append("\n".join(f"- {note}" for note in _notes(cells, results)))
    return "\n\n".join(blocks)


def _cells_table(cells: Sequence[Row], results: Mapping[str, Any]) -> str:
    early = results["steps"] > EARLY
    hidden = any(hides_goals(cell) for cell in cells)
    at_end = any("success_rate_at_end" in cell for cell in cells)
    to_none = any("time_ratio_to_cem_none" in cell for cell in cells)
    # One seed each needs no column.
    seeds = any(cell["training_seed"] == POOLED for cell in cells)
    disturbed = any("disturbance" in cell for cell in cells)
    by_protocol = any("offset" in cell for cell in cells)
    names = ["task", "goals", "variant", *(["training seed"] if seeds else []), "planner", "loop",
             *(_GUARD if disturbed else []), *(NAMES if by_protocol else []),
             "success", "95 % interval",
             *(["goal shown"] if hidden else []),
             *([f"within {EARLY} steps"] if early else []), *(["at the end"] if at_end else []),
             "mean steps", "plan p50 / p99 ms", "time / CEM",
             *(["time / CEM on none"] if to_none else [])]  # fmt: skip
    rows = []
    for cell in cells:
        planner = f"{cell['planner']} (privileged)" if cell["privileged"] else cell["planner"]
        row = [cell["task"], cell["goals"], cell["variant"]]
        row += [_text(cell["training_seed"])] if seeds else []
        row += [planner, cell["loop"]]
        row += _guard_columns(cell) if disturbed else []
        row += cells_of(cell) if by_protocol else []
        row += [f"{_percent(cell['success_rate'])} of {cell['episodes']}", _interval(cell["ci95"])]
        row += [where_shown(cell)] if hidden else []
        row += [_percent(cell.get(f"success_rate_{EARLY}"))] if early else []
        row += [_percent(cell.get("success_rate_at_end"))] if at_end else []
        row += [_text(cell["steps_mean"])]
        row += [f"{_text(cell['plan_ms_p50'])} / {_text(cell['plan_ms_p99'])}"]
        row += [_text(cell["time_ratio_to_cem"])]
        row += [_text(cell.get("time_ratio_to_cem_none"))] if to_none else []
        rows.append(row)
    return _table(names, rows)


def hides_goals(cell: Row) -> bool:
    """Whether some goals of a cell are hidden in their own pictures.

    Args:
        cell: The cell.
    """
    return bool(cell.get("episodes_shown", 0) < cell.get("episodes_known", 0))


def where_shown(cell: Row) -> str:
    """Return the success at the goals whose pictures show the things, as text.

    Args:
        cell: The cell.
    """
    if "episodes_known" not in cell:
        return "not known"
    if "success_rate_shown" not in cell:
        return f"none of {cell['episodes_known']} shown"
    rate, interval = _percent(cell["success_rate_shown"]), _interval(cell["ci95_shown"])
    return f"{rate} of {cell['episodes_shown']} ({interval})"


def _guard_columns(cell: Row) -> list[str]:
    errors = [_text(cell.get(f"image_error_{which}")) for which in ("median", "p95")]
    return [cell.get("disturbance", "-"), " / ".join(errors), _percent(cell.get("held_share"))]


def _comparisons_table(comparisons: Sequence[Row]) -> str:
    rows = []
    tests = [key for key in _P_VALUES if any(row.get(key) is not None for row in comparisons)]
    for row in comparisons:
        first, second = (f"{row[k]['variant']} {row[k]['planner']}" for k in ("first", "second"))
        counts = [str(row["pairs"]), str(row["only_first"]), str(row["only_second"])]
        rows.append([row["loop"], first, second, *counts, *(_p_value(row[key]) for key in tests)])
    names = ["loop", "A", "B", "same episodes", "only A succeeds", "only B succeeds"]
    return _table([*names, *(_P_VALUES[key] for key in tests)], rows)


def _p_value(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (names, *rows)]
    return "\n".join([lines[0], "|---" * len(names) + "|", *lines[1:]])


def _notes(cells: Sequence[Row], results: Mapping[str, Any]) -> list[str]:
    seen = {cell["loop"] for cell in cells if not cell["privileged"]}
    machine = results["machine"]
    notes = [
        f"At most {results['steps']} control steps; success by the true distances, which no "
        f"planner sees. Held-out episodes, seed {results['seed']}. Intervals: Wilson, 95 %.",
        f"Plan time: from the observation to the actions, encoding included, "
        f"{results['threads']} thread(s) of {machine['cpu']}, {machine['cores']} cores, torch "
        f"{machine['torch']}, inner loop {_arithmetic(machine)}.",
        "variant: the world model, by the data synthesis of its training; -: no model.",
    ]
    if any(cell["time_ratio_to_cem"] is not None for cell in cells):
        notes.append(
            "time / CEM: median plan time, divided by that of cem in the same run, variant and "
            "loop; -: there is none."
        )
    if not results["complete"]:
        notes.insert(0, "**Not finished**: the same command continues.")
    if results["workers"] > 1:
        notes.append(f"{results['workers']} processes at once: plan times are not comparable.")
    if "closed" in seen:
        notes.append(f"closed: a new plan {_every(results['replan'])}.")
    if "open" in seen:
        notes.append("open: one plan at the start, executed to its end; success at any step of it.")
    if "ros" in seen:
        notes.append(
            "ros: real nodes over topics, in lockstep, a new plan in every control step; cells "
            "one after the other. Times as the node `mpc` reports them (its latest 500 plans)."
        )
    if any("disturbance" in cell for cell in cells):
        holds = "stands still then" if results.get("guard") else "drives on, to see if it matters"
        notes.append(
            f"pictures: the live pictures are disturbed, the goal's is not. Image error: in the "
            f"unit of `surprise.image`. held: share of pictures above {HOLD_ABOVE:g}, or with "
            f"a foreign object that holds the node; here, the robot {holds}."
        )
    for cell in (cell for cell in cells if "between_searches" in cell):
        notes.append(
            f"{cell['variant']} {cell['planner']}: the plan time leaves out "
            f"{cell['between_searches']} wide searches between two plans "
            f"(`planner.wide_samples`), p50 / p99 {cell['between_ms_p50']} / "
            f"{cell['between_ms_p99']} ms."
        )
    notes += _shown_notes(cells)
    notes += _protocol_notes(cells)
    if any(cell["planner"] == TRUE_SIMULATOR for cell in cells):
        replan = max(cell["replan"] or 0 for cell in cells if cell["planner"] == TRUE_SIMULATOR)
        again = f"; closed: a new plan {_every(replan)}" if replan else ""
        notes.append(
            "true_simulator is a ceiling, not a planner: it searches in the simulator itself, by "
            f"the true state and the true errors{again}."
        )
    if any(cell["training_seed"] == POOLED for cell in cells):
        notes.append(
            "pooled: all training seeds; the same episodes count once for each seed, so the "
            "interval does not cover other training seeds."
        )
    if results.get("comparisons"):
        notes.append(
            "A, B: two rows of the table above, compared on the same episodes. p: exact McNemar "
            "test, two-sided, of these models. p, Holm: corrected for the number of tests."
        )
    if any(row.get("p_training_seeds") is not None for row in results.get("comparisons", [])):
        notes.append(
            "p, seeds: about models of other training seeds, by the success rates of these. Exact "
            "permutation test, unpaired, two-sided, not corrected."
        )
    return notes


def _shown_notes(cells: Sequence[Row]) -> list[str]:
    """What goals are that their pictures do not show."""
    if not any(hides_goals(cell) for cell in cells):
        return []
    notes = [
        f"goal shown: success at the goals whose pictures show at least {100 * SHOWN:.0f} % of the "
        "things. In the others, the robot itself hides what is wanted. 95 % interval in brackets."
    ]
    lacking = max(cell["episodes"] - cell.get("episodes_known", cell["episodes"]) for cell in cells)
    if lacking:
        notes.append(
            f"{lacking} episodes are older, and do not know what their goals show: they are not in "
            "that column. `--fresh` runs them again."
        )
    return notes


def _protocol_notes(cells: Sequence[Row]) -> list[str]:
    """What the protocol of stable-worldmodel is, and what its floor and ceilings are."""
    found = [cell for cell in cells if "offset" in cell]
    if not found:
        return []
    first, names = found[0], {cell["planner"] for cell in found}
    shares = [
        f"{cell['solved_at_start']} of {cell['episodes']}" for cell in found
        if cell["starts"] == ALL
    ][:1]  # fmt: skip
    notes = [
        f"protocol of stable-worldmodel: rows of {first['held_out']} that training never saw, "
        f"drawn by its rule; the goal is the state {first['offset']} control steps later in the "
        f"same episode; {first['budget']} steps; success at any of them. Starts that are at their "
        f"goals already: {', '.join(shares)}.",
        "offset / budget: control steps from start to goal in the recording, and those that the "
        f"robot may take. starts: {ALL}, or without those that are at their goals already.",
        "replan: control steps from plan to plan. proprioception: measured state that the model "
        "gets; weight: how much it counts in the distance to the goal (0: only the picture "
        "counts). data: recorded episodes that the model was trained on.",
    ]
    about = {
        "random": "random draws every action evenly from its limits: the floor.",
        "expert": "expert is the environment's own policy, without noise; it sees true state and "
        "goal: a ceiling.",
        "replay": "replay repeats what was recorded between start and goal: a ceiling.",
    }
    return notes + [text for name, text in about.items() if name in names]


def _every(steps: int) -> str:
    return "in every control step" if steps == 1 else f"every {steps} control steps"


def _arithmetic(machine: dict[str, Any]) -> str:
    reason = machine.get("native", "older than compiled planning")
    return "compiled" if reason == "yes" else f"by PyTorch ({reason})"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.0f} %"


def _interval(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:.0f}-{100 * bounds[1]:.0f} %"


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
