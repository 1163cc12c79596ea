"""What every line says that was measured by the protocol of stable-worldmodel.

Success rates of two papers differ by how far the goal is, how long the robot may take, how near is
near enough, how often it plans, what it measures, and what data the model saw. So each line says
all of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wm_mpc.experiments.common.protocol import Benchmark, Cell, Record
from wm_mpc.sim.tasks import make_task
from wm_mpc.spec import StateSpec

ALL = "all"
AWAY = "not at the goal"
NAMES = ("offset / budget", "starts", "tolerance", "replan", "proprioception", "data")


def protocol_columns(benchmark: Benchmark, cell: Cell, records: Sequence[Record]) -> dict[str, Any]:
    """Return what a line says besides its figures.

    Args:
        benchmark: The benchmark.
        cell: The cell.
        records: Its episodes.
    """
    task = make_task(benchmark.task)
    return {
        "goals": f"{benchmark.offset} steps later",
        "offset": benchmark.offset,
        "budget": benchmark.steps,
        "tolerance": ", ".join(
            _limit(name, value, task.spec.state) for name, value in task.tolerances.items()
        ),
        "proprioception": _proprioception(benchmark, cell, task.spec.state.names),
        "data": _data(benchmark, cell),
        "held_out": records[0].extra["data"],
    }


def _limit(name: str, value: float, state: StateSpec) -> str:
    """A limit with its unit: that of the measured entry of the same name, else degrees or m."""
    if name in state.names:
        return f"{name} {value:.3g} {state.unit[state.names.index(name)]}"
    if "angle" in name or "yaw" in name:
        return f"{name} {math.degrees(value):.3g} degrees"
    return f"{name} {value:.3g} m"


def _proprioception(benchmark: Benchmark, cell: Cell, names: Sequence[str]) -> str:
    """What is measured, and how much it counts in the distance to the goal."""
    if cell.variant == "-":
        return "-"
    if not names:
        return "none"
    measured = benchmark.checkpoint_of(cell).place_weight
    weight = benchmark.settings.objective.place_weight_or(measured)
    return f"{', '.join(names)}; weight {weight:.3g}"


def _data(benchmark: Benchmark, cell: Cell) -> str:
    """What the world model was trained on."""
    if cell.variant == "-":
        return "-"
    data = benchmark.checkpoint_of(cell).provenance.get("data")
    if not isinstance(data, dict) or not (episodes := data.get("episodes")):
        return "not said by the checkpoint"
    explorer = f", explorer {data['explorer']}" if data.get("explorer") else ""
    return f"{episodes} episodes{explorer}"


def cells_of(row: dict[str, Any]) -> list[str]:
    """Return the texts of a line, in the order of `NAMES`.

    Args:
        row: The line.
    """
    solved = f"{row['starts']} ({row['solved_at_start']} at the goal)"
    starts = solved if row["starts"] == ALL else row["starts"]
    return [
        f"{row['offset']} / {row['budget']}",
        starts,
        row["tolerance"],
        str(row["replan"]),
        row["proprioception"],
        row["data"],
    ]
