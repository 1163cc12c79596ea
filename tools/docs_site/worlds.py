"""Tables of worlds that somebody else wrote, by the protocol of stable-worldmodel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from docs_site.measured import RESULTS, interval, results
from docs_site.sources import table

ALL = "all"


def worlds(*folders: str) -> str:
    """Evaluations by `--protocol swm`, a line for each planner. A planner with a world model has
    another line, without the pairs whose start state is at the goal."""
    rows = []
    for folder in folders:
        for row in results(folder)["cells"]:
            policy = row["variant"] == "-"
            if row["starts"] != ALL and (policy or not row["solved_at_start"]):
                continue  # only a model is of interest here, and only if the pairs are others
            solved = f"{row['solved_at_start']} at the goal"
            rows.append(
                (
                    f"[`{folder}`](../results/{folder}/results.md)",
                    f"{row['offset']} / {row['budget']}",
                    f"{ALL}, {solved}" if row["starts"] == ALL else row["starts"],
                    row["planner"] + (" (sees the true state)" if row["privileged"] else ""),
                    "" if policy else row["replan"],
                    "" if policy else row["proprioception"].replace("; weight ", "; "),
                    "" if policy else row["data"],
                    _successes(row),
                    interval(row),
                    "" if row["plan_ms_p50"] is None else f"{row['plan_ms_p50']:.1f}",
                )
            )
    header = ("run", "offset / budget", "start states", "planner", "steps between plans",
              "measured state; place weight", "data", "success", "95 % interval",
              "plan p50, ms")  # fmt: skip
    return table(header, rows)


def _successes(row: dict[str, Any]) -> str:
    """How many succeeded. A share alone would round the last failure away."""
    count = round(row["success_rate"] * row["episodes"])
    return f"{count} of {row['episodes']} ({100 * row['success_rate']:.3g} %)"


def published(*worlds: str) -> str:
    """What others publish on worlds; quoted, not measured here. A dash: not said there."""
    quoted = [
        row
        for world in worlds
        for row in json.loads((RESULTS / world / "published.json").read_text(encoding="utf-8"))
    ]
    rows = [
        (
            f"`{row['task']}`", f"{row['offset'] or '-'} / {row['budget'] or '-'}", row["who"],
            row["success"], row["pairs"] or "-", row["data"] or "-", row["hardware"] or "-",
            f"<{row['source']}>",
        )
        for row in quoted
    ]  # fmt: skip
    header = ("world", "offset / budget", "method", "success", "pairs", "data", "hardware",
              "published at")  # fmt: skip
    return table(header, rows)


MAKERS: dict[str, Callable[..., str]] = {"worlds": worlds, "published": published}
