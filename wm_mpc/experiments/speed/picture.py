"""The figure of a benchmark: one page with one panel per question."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wm_mpc.experiments.speed.peers import LARGER
from wm_mpc.experiments.speed.workbench import DEFAULT_PLANNER

# Colours that colour-blind people can distinguish (Okabe & Ito 2008).
_COLOURS = {
    "adam": "#D55E00", "gd": "#E69F00", "lm": "#CC79A7", "cem_gd": "#8C2D04",
    "cem": "#0072B2", "icem": "#56B4E9", "mppi": "#009E73",
}  # fmt: skip
_STAGE_COLOURS = ("#777777", "#CCCCCC", "#56B4E9", "#E69F00", "#D55E00", "#009E73")
_LIBRARY_COLOURS = {"wm_mpc": "#D55E00", "stable-worldmodel": "#0072B2", "pytorch-mppi": "#009E73"}
_STYLES = ("-", "--", ":")  # of back ends, the fastest first
_BACKEND_COLOURS = ("#D55E00", "#0072B2", "#009E73")
_TOTALS = ("overhead", "image to plan")

Row = dict[str, Any]
Painter = Callable[[Any, Any], None]


def draw(results: Mapping[str, Any]) -> bytes:
    """Draw all measured sections.

    Args:
        results: The results.

    Returns:
        A PNG file.
    """
    # Here, because it takes half a second to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    spacing = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(21, 10.5), layout=spacing)
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(2, 4).flat)
    sections = results["sections"]
    for panel, (title, section, paint) in zip(panels, _drawings(sections), strict=True):
        panel.set_title(title, fontsize=12, fontweight="bold", loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        if section is None:
            panel.set_axis_off()
            panel.text(0.5, 0.5, "not measured", ha="center", color="0.5")
            continue
        paint(panel, section)
    machine = results["machine"]
    kept = [row["holds"] for row in results["claims"]]
    figure.suptitle(
        f"wm_mpc benchmark    {machine['cpu']}, {results['threads']} thread(s), torch "
        f"{machine['torch']}, {'quick, ' if results['quick'] else ''}{results['date']}    "
        f"{kept.count(True)} of {len(kept)} claims hold, {kept.count(False)} do not",
        fontsize=14,
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def _drawings(sections: Mapping[str, Any]) -> list[tuple[str, Any, Painter]]:
    """Title, results and painter of every panel. With success in only one task, another task
    shows other libraries."""
    latency, success, peers = (sections.get(name) for name in ("latency", "success", "peers"))
    played = success["tasks"][:2] if success else []
    compared = list(dict.fromkeys(row["task"] for row in peers["rows"])) if peers else []
    middle: list[tuple[str, Any, Painter]] = [
        (f"Success against plan time: {task}", success, _success(task)) for task in played
    ] + [(f"Same model and cost, other planners: {task}", peers, _peers(task)) for task in compared]
    if not played:
        middle.insert(0, ("Success against plan time", None, _node))
    middle += [("Same model and cost, other planners", None, _node)] * 3
    return [
        ("Plan time against horizon", latency, _horizon),
        ("Plan time against restarts, samples", latency, _count),
        ("Plan time against model size", latency, _hidden),
        *middle[:3],
        ("From the camera to the published plan", sections.get("node"), _node),
        ("Against the limit of this machine", sections.get("limit"), _limit),
    ]


def _backends(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["backend"] for row in rows))


def _sweep(panel: Any, latency: Any, sweep: str, legend: str | None) -> list[Row]:
    rows = [row for row in latency["rows"] if row["sweep"] == sweep]
    backends = _backends(rows)
    for planner in dict.fromkeys(row["planner"] for row in rows):
        for backend in backends:
            points = [row for row in rows if (row["planner"], row["backend"]) == (planner, backend)]
            panel.plot(
                [row["value"] for row in points],
                [row["search_ms"]["p50"] for row in points],
                color=_COLOURS.get(planner, "0.3"), ls=_STYLES[backends.index(backend) % 3],
                marker="o", ms=3.5, label=f"{planner} ({backend})",
            )  # fmt: skip
    panel.set_xscale("log")
    panel.set_yscale("log")
    _plain(panel, [row["value"] for row in rows])
    if legend:
        panel.legend(fontsize=8, ncols=2, frameon=False, loc=legend)
    return rows


def _plain(panel: Any, values: Sequence[float]) -> None:
    """Plain numbers on logarithmic axes, with ticks at these values along x."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

    panel.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    panel.xaxis.set_minor_locator(NullLocator())
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    panel.grid(alpha=0.25, which="both", lw=0.5)


def _plain_times(panel: Any, values: Sequence[float]) -> None:
    """Ticks at those values along x that are in view."""
    low, high = panel.get_xlim()
    _plain(panel, [value for value in values if low <= value <= high])
    panel.set_xlim(low, high)


def _horizon(panel: Any, latency: Any) -> None:
    rows = _sweep(panel, latency, "horizon", "upper left")
    _proportional(panel, rows)
    low, high = panel.get_ylim()
    panel.set_ylim(low, high * 8)  # room for the legend
    panel.set_xlabel(f"model steps ({latency['task']})")
    panel.set_ylabel("search, p50 (ms)")


def _count(panel: Any, latency: Any) -> None:
    _proportional(panel, _sweep(panel, latency, "count", None))
    panel.tick_params(axis="x", labelrotation=45)
    panel.set_xlabel("restarts (gradient planners) or samples")


def _proportional(panel: Any, rows: Sequence[Row]) -> None:
    """A grey line for time in proportion, from the fastest point on."""
    first = min(rows, key=lambda row: (row["value"], row["search_ms"]["p50"]))
    last = max(row["value"] for row in rows)
    time = first["search_ms"]["p50"]
    panel.plot(
        [first["value"], last], [time, time * last / first["value"]], color="0.75", lw=4, zorder=0
    )
    panel.annotate("in proportion", (last, time * last / first["value"]), fontsize=8, color="0.5",
                   ha="right", va="bottom")  # fmt: skip


def _hidden(panel: Any, latency: Any) -> None:
    rows = [row for row in latency["rows"]
            if row["sweep"] == "hidden" and row["planner"] in (DEFAULT_PLANNER, "cem")]  # fmt: skip
    markers = {"gru": "o", "transformer": "s"}
    backends = _backends(rows)
    for key in dict.fromkeys((row["planner"], row["dynamics"], row["backend"]) for row in rows):
        points = [r for r in rows if (r["planner"], r["dynamics"], r["backend"]) == key]
        planner, dynamics, backend = key
        panel.plot(
            [row["value"] for row in points], [row["search_ms"]["p50"] for row in points],
            color=_COLOURS[planner], ls=_STYLES[backends.index(backend) % 3],
            marker=markers.get(dynamics, "^"), ms=6, mfc="white",
            label=f"{planner}, {dynamics} ({backend})",
        )  # fmt: skip
    panel.set_xscale("log")
    panel.set_yscale("log")
    _plain(panel, [row["value"] for row in rows])
    low, high = panel.get_ylim()
    panel.set_ylim(low, high * 6)
    panel.legend(fontsize=8, ncols=2, frameon=False, loc="upper left")
    panel.set_xlabel("hidden units")


def _peers(task: str) -> Painter:
    def paint(panel: Any, peers: Any) -> None:
        rows = [
            row for row in peers["rows"] if row["task"] == task and "starts" not in row["contender"]
        ]
        rows.sort(key=lambda row: -row["search_ms"]["p50"])
        times = [row["search_ms"]["p50"] for row in rows]
        for place, (row, time) in enumerate(zip(rows, times, strict=True)):
            panel.barh(place, time, color=_LIBRARY_COLOURS.get(row["library"], "0.5"), alpha=0.85)
            name = row["contender"].removeprefix("stable-worldmodel ").removeprefix("pytorch-mppi ")
            is_ours = name.startswith((f"{DEFAULT_PLANNER} ", LARGER))
            panel.text(
                time, place, f"  {name}: {time:.3g} ms, cost {row['cost_mean']:.3f}",
                va="center", fontsize=8, fontweight="bold" if is_ours else None,
            )  # fmt: skip
        for library in dict.fromkeys(row["library"] for row in rows):
            panel.barh(0, 0, color=_LIBRARY_COLOURS.get(library, "0.5"), label=library)
        panel.set_xscale("log")
        panel.set_xlim(min(times) / 3, max(times) * 1000)
        panel.set_yticks([])
        panel.set_ylim(-0.6, len(rows) + 0.6)
        _plain_times(panel, [10.0**power for power in range(-1, 4)])
        panel.legend(fontsize=8, ncols=3, frameon=False, loc="upper left")
        count = len(rows[0]["costs"])
        panel.set_xlabel(f"search, p50 (ms); mean cost of {count} first plans")

    return paint


def _success(task: str) -> Painter:
    def paint(panel: Any, success: Any) -> None:
        rows = [row for row in success["rows"] if row["task"] == task]
        for planner in dict.fromkeys(row["type"] for row in rows):
            points = [row for row in rows if row["type"] == planner]
            points.sort(key=lambda row: row["plan_ms"]["p50"])
            rates = [100 * row["success_rate"] for row in points]
            bars = [
                [
                    max(0.0, rate - 100 * row["ci95"][0])
                    for rate, row in zip(rates, points, strict=True)
                ],
                [
                    max(0.0, 100 * row["ci95"][1] - rate)
                    for rate, row in zip(rates, points, strict=True)
                ],
            ]
            panel.errorbar(
                [row["plan_ms"]["p50"] for row in points], rates, yerr=bars, marker="o", ms=6,
                capsize=3, color=_COLOURS.get(planner, "0.3"), label=planner, alpha=0.85,
                elinewidth=0.8,
            )  # fmt: skip
        panel.set_xscale("log")
        _plain_times(panel, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
        panel.set_ylim(-3, 103)
        panel.set_ylabel("success (%), 95 % interval")
        panel.set_xlabel(f"plan, p50 (ms), {rows[0]['episodes']} episodes")
        panel.legend(fontsize=9, frameon=False, loc="lower right")

    return paint


def _node(panel: Any, node: Any) -> None:
    rows = list(reversed(node["rows"]))
    names = [f"{row['task']}\n{row['beside']}".replace(", ", "\n") for row in rows]
    stages = [name for name in rows[0]["stage_ms"] if name not in _TOTALS]
    left = [0.0] * len(rows)
    for number, stage in enumerate(stages):
        widths = [row["stage_ms"].get(stage, {"p50": 0.0})["p50"] for row in rows]
        panel.barh(names, widths, left=left, label=stage,
                   color=_STAGE_COLOURS[number % len(_STAGE_COLOURS)])  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, row in enumerate(rows):
        total = row["stage_ms"]["image to plan"]
        panel.plot(total["p99"], place, "|", color="black", ms=16, mew=2,
                   label="p99 of all" if place == 0 else None)  # fmt: skip
        panel.text(max(total["p99"], left[place]), place, f"  {total['p50']:.1f} / "
                   f"{total['p99']:.1f}", va="center", fontsize=8)  # fmt: skip
    farthest = max(row["stage_ms"]["image to plan"]["p99"] for row in rows)
    panel.set_xlim(0, max(farthest, *left) * 1.25)
    panel.set_ylim(-0.6, len(rows) + 0.4)
    panel.tick_params(axis="y", labelsize=8)
    panel.legend(fontsize=8, ncols=4, frameon=False, loc="upper center", columnspacing=1.0)
    panel.set_xlabel("ms: medians of the stages; numbers: all, p50 / p99")


def _limit(panel: Any, limit: Any) -> None:
    rows = list(reversed(limit["rows"]))
    names = [f"{row['task']}\n{row['planner']}" for row in rows]
    backends = list(rows[0]["search_ms"])
    bars: list[tuple[str, list[float], str]] = [
        ("products alone, at the highest rate",
         [row["limit_at_highest_rate_ms"] for row in rows], "#444444"),
        ("products alone, at the rate of these shapes", [row["limit_ms"] for row in rows],
         "#999999"),
        *(
            (f"measured, {backend}", [row["search_ms"][backend]["p50"] if backend in
             row["search_ms"] else 0.0 for row in rows], colour)
            for backend, colour in zip(backends, _BACKEND_COLOURS, strict=False)
        ),
    ]  # fmt: skip
    height = 0.8 / len(bars)
    for number, (label, values, colour) in enumerate(bars):
        places = [place + 0.4 - height * (number + 0.5) for place in range(len(rows))]
        panel.barh(places, values, height, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            panel.text(value, place, f" {value:.3g}", va="center", fontsize=8)
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    panel.set_xlim(low, high * 3)
    _plain_times(panel, [10.0**power for power in range(-1, 4)])
    panel.set_yticks(range(len(rows)), names, fontsize=8)
    panel.set_ylim(-0.6, len(rows) + 0.5)
    panel.legend(fontsize=8, frameon=False, loc="upper right")
    panel.set_xlabel("search, p50 (ms)")
