"""How well the guard tells harmless pictures from dangerous ones: a curve over all thresholds.

`evaluate --disturb --out` writes it, one per task. What is harmless is measured, not declared: in
the cells of harmless disturbances, the same planner without a guard succeeds nearly as often as in
undisturbed pictures; in those of dangerous ones, it fails more often.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wm_mpc.atomic import write
from wm_mpc.data.disturbances import NONE
from wm_mpc.experiments.common.disturbed import HOLD_ABOVE

HARMLESS, DANGEROUS, BETWEEN = "harmless", "dangerous", "between"
_HARMLESS = 0.95  # least share of the undisturbed success in a harmless cell
_DANGEROUS = 0.85  # largest in a dangerous one
_COLOURS = {HARMLESS: "C2", BETWEEN: "0.6", DANGEROUS: "C3"}


def label(success: float, undisturbed: float) -> str:
    """Say what a disturbance is, by the success of a robot without a guard.

    Args:
        success: Success rate in disturbed pictures.
        undisturbed: Success rate in undisturbed ones.
    """
    share = success / undisturbed if undisturbed > 0.0 else 1.0
    if share >= _HARMLESS:
        return HARMLESS
    return DANGEROUS if share < _DANGEROUS else BETWEEN


def guard_curve(
    successes: Mapping[str, float], errors: Mapping[str, Sequence[float]]
) -> dict[str, Any] | None:
    """Compute the curve of one task.

    Args:
        successes: Success rate of each disturbance, "none" among them.
        errors: Image errors of each disturbance, in the unit of `surprise.image`; infinite where a
            foreign object held.

    Returns:
        Contents of guard.json; None without undisturbed pictures or known errors.
    """
    known = {
        name: np.array([error for error in found if not math.isnan(error)])
        for name, found in errors.items()
    }
    if NONE not in successes or not all(map(len, known.values())):
        return None
    labels = {name: label(rate, successes[NONE]) for name, rate in successes.items()}
    groups = {
        kind: [known[name] for name, found in labels.items() if found == kind]
        for kind in (HARMLESS, DANGEROUS)
    }
    thresholds = np.unique(np.concatenate([[HOLD_ABOVE], np.geomspace(0.02, 50.0, 120)]))
    held = {kind: _held(parts, thresholds) for kind, parts in groups.items()}
    at = int(np.searchsorted(thresholds, HOLD_ABOVE))
    dangers = held[DANGEROUS]
    missed: np.ndarray | None = None if dangers is None else np.asarray(1.0 - dangers)
    return {
        "disturbances": {
            name: {
                "success_rate": successes[name],
                "is": labels[name],
                "image_error_median": _quantile(known[name], 0.5),
                "image_error_p95": _quantile(known[name], 0.95),
                "held": round(float((known[name] > HOLD_ABOVE).mean()), 4),
            }
            for name in successes
        },
        "hold_above": HOLD_ABOVE,
        "false_holds": _rounded(held[HARMLESS], at),
        "missed_dangers": _rounded(missed, at),
        "area": _area(held),
        "curve": {
            "threshold": [round(float(value), 4) for value in thresholds],
            "false_holds": _all_rounded(held[HARMLESS]),
            "missed_dangers": _all_rounded(missed),
        },
    }


def _quantile(errors: np.ndarray, share: float) -> float | None:
    """Of the errors that are finite; None if none is."""
    finite = errors[np.isfinite(errors)]
    return round(float(np.quantile(finite, share)), 3) if len(finite) else None


def _held(parts: list[np.ndarray], thresholds: np.ndarray) -> np.ndarray | None:
    """Share of pictures above each threshold; every disturbance counts the same."""
    if not parts:
        return None
    return np.mean([(part[:, None] > thresholds).mean(0) for part in parts], 0)


def _area(held: Mapping[str, np.ndarray | None]) -> float | None:
    """Area under held dangers over false holds; 1: a threshold separates both."""
    false, true = held[HARMLESS], held[DANGEROUS]
    if false is None or true is None:
        return None
    x, y = np.concatenate([[1.0], false, [0.0]]), np.concatenate([[1.0], true, [0.0]])
    return round(float(np.sum((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2)), 4)


def _rounded(values: np.ndarray | None, at: int) -> float | None:
    return None if values is None else round(float(values[at]), 4)


def _all_rounded(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else [round(float(value), 4) for value in values]


def save_curve(folder: Path, task: str, found: Mapping[str, Any]) -> None:
    """Write guard.json and guard.png.

    Args:
        folder: Folder of the results.
        task: Name of the task.
        found: From `guard_curve`.
    """
    write(folder / "guard.json", json.dumps({"task": task, **found}, indent=2) + "\n")
    write(folder / "guard.png", draw_curve(task, found))


def draw_curve(task: str, found: Mapping[str, Any]) -> bytes:
    """Draw the curve, and the image errors of each disturbance.

    Args:
        task: Name of the task.
        found: From `guard_curve`.

    Returns:
        A PNG file.
    """
    # Here, because it takes half a second to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.5))
    curve = found["curve"]
    if curve["false_holds"] and curve["missed_dangers"]:
        left.plot(
            [100 * share for share in curve["false_holds"]],
            [100 * share for share in curve["missed_dangers"]],
            color="C0",
        )
        left.plot(100 * found["false_holds"], 100 * found["missed_dangers"], "o", color="C0",
                  label=f"surprise.image {found['hold_above']:g}", clip_on=False)  # fmt: skip
        left.legend(frameon=False)
    else:
        text = "no disturbance here is dangerous" if curve["false_holds"] else "none is harmless"
        left.text(50, 50, text, ha="center")
    left.set(xlim=(0, 100), ylim=(0, 100), xlabel="harmless pictures held (%)",
             ylabel="dangerous pictures not held (%)")  # fmt: skip
    left.grid(alpha=0.3)
    rows = list(found["disturbances"].items())[::-1]
    for place, row in enumerate(row for _, row in rows):
        colour = _COLOURS[row["is"]]
        ends = row["image_error_median"], max(row["image_error_p95"], row["image_error_median"])
        right.plot(ends, (place, place), color=colour, lw=3, solid_capstyle="round")
        right.plot(ends[0], place, "o", color=colour)
        right.text(1.01, place, f"{100 * row['success_rate']:.0f} %", color=colour, va="center",
                   transform=right.get_yaxis_transform())  # fmt: skip
    right.axvline(found["hold_above"], color="0.3", ls="--")
    right.set_xscale("log")
    right.set_yticks(range(len(rows)), [name for name, _ in rows])
    right.set_xlabel("image error, median to 95th percentile; right of the line, the node holds")
    right.set_title("success without a guard", loc="right", fontsize=9)
    right.grid(alpha=0.3, axis="x")
    figure.suptitle(f"{task}: green harmless, red dangerous, grey between")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    return stream.getvalue()
