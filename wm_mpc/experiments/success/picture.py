"""The figure of an evaluation: success against plan time, one panel per loop."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from wm_mpc.experiments.success.cells import POOLED, Row
from wm_mpc.experiments.success.protocol_columns import ALL

_MARKERS = "osD^vP*X<>hp"
_SHIFT = 1.06  # between the drawn times of two variants


def draw(cells: Sequence[Row]) -> bytes:
    """Draw success against plan time.

    Colours are variants, shapes are planners, bars are 95 % intervals. The ceiling is a dashed
    line with its interval.

    Args:
        cells: Rows of the results.

    Returns:
        A PNG file.
    """
    # Here, because it takes half a second to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _shown(cells)
    loops = list(dict.fromkeys(cell["loop"] for cell in shown))
    points = [cell for cell in shown if not cell["privileged"] and cell["plan_ms_p50"]]
    variants = list(dict.fromkeys(cell["variant"] for cell in points))
    planners = list(dict.fromkeys(cell["planner"] for cell in points))
    figure = Figure(figsize=(3.2 + 4.2 * len(loops), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(loops), sharex=True, sharey=True, squeeze=False)[0]
    _scale(panels[0], [cell["plan_ms_p50"] for cell in points])
    for panel, loop in zip(panels, loops, strict=True):
        for cell in (cell for cell in points if cell["loop"] == loop):
            number = variants.index(cell["variant"])
            marker = _MARKERS[planners.index(cell["planner"]) % len(_MARKERS)]
            # Variants of one planner take the same time, so they are drawn side by side.
            shift = _SHIFT ** (number - (len(variants) - 1) / 2)
            _draw_point(panel, cell, f"C{number % 10}", marker, shift)
        for cell in (cell for cell in shown if cell["privileged"] and cell["loop"] == loop):
            panel.axhline(100 * cell["success_rate"], color="0.35", ls="--")
            panel.axhspan(*(100 * bound for bound in cell["ci95"]), color="0.35", alpha=0.12, lw=0)
        panel.set_ylim(-3, 103)
        panel.grid(alpha=0.3, which="both", linewidth=0.5)
        panel.set_title(f"{loop} loop" if loop != "ros" else "over ROS topics")
        panel.set_xlabel("plan time, median (ms)")
    panels[0].set_ylabel("success (%)")
    entries = _legend(variants, planners, has_ceiling=any(cell["privileged"] for cell in shown))
    figure.legend(handles=entries, loc="outside right center", frameon=False)
    counts = sorted({cell["episodes"] for cell in shown})
    count = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    apart = "; variants side by side" if len(variants) > 1 else ""
    figure.suptitle(
        f"{shown[0]['task']}, {shown[0]['goals']} goals, {count} episodes a point; "
        f"95 % intervals{apart}"
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    return stream.getvalue()


def _scale(panel: Any, times: Sequence[float]) -> None:
    """A logarithmic time axis with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = (min(times), max(times)) if times else (10.0, 100.0)
    panel.set_xscale("log")
    panel.set_xlim(low / 1.8, high * 1.8)
    fine = high / low < 50
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if fine else (1.0, 3.0)))
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _draw_point(panel: Any, cell: Row, colour: str, marker: str, shift: float) -> None:
    rate = 100 * cell["success_rate"]
    low, high = (100 * bound for bound in cell["ci95"])
    panel.errorbar(
        cell["plan_ms_p50"] * shift, rate, yerr=[[max(0.0, rate - low)], [max(0.0, high - rate)]],
        color=colour, marker=marker, markersize=7, capsize=3, alpha=0.9,
    )  # fmt: skip


def _legend(variants: Sequence[str], planners: Sequence[str], *, has_ceiling: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=f"C{number % 10}", lw=4, label=name)
        for number, name in enumerate(variants)
    ] + [
        Line2D([], [], color="0.3", ls="", marker=_MARKERS[i % len(_MARKERS)], label=name)
        for i, name in enumerate(planners)
    ]
    if has_ceiling:
        entries.append(Line2D([], [], color="0.35", ls="--", label="ceiling: sees the true state"))
    return entries


def _shown(cells: Sequence[Row]) -> list[Row]:
    """The cells to show: pooled cells replace those that they pool, and all starts those that are
    not at their goals."""
    cells = [cell for cell in cells if cell.get("starts", ALL) == ALL]
    pooled = {
        (cell["loop"], cell["variant"], cell["planner"])
        for cell in cells
        if cell["training_seed"] == POOLED
    }
    return [
        cell
        for cell in cells
        if cell["training_seed"] == POOLED
        or (cell["loop"], cell["variant"], cell["planner"]) not in pooled
    ]
