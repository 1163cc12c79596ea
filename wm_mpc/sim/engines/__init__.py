"""The engines that simulate tasks. A new one is one file here and one line in `ENGINES`."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from wm_mpc.sim.engine import EngineError, Simulation
from wm_mpc.sim.task import Task


@dataclasses.dataclass(frozen=True)
class Engine:
    """An engine. Its package is imported when it is first used, so a training from a recording
    needs none.

    Attributes:
        title: Its name for people.
        module: Module of this folder that has its simulation.
        simulation: Name of the class there; see `wm_mpc.sim.engine.Simulation`.
        install: How to install its package.
    """

    title: str
    module: str
    simulation: str
    install: str


ENGINES: dict[str, Engine] = {
    "bullet": Engine("PyBullet", "bullet", "BulletSimulation", "pip install pybullet"),
    "gymnasium": Engine(
        "Gymnasium", "gymnasium", "GymnasiumSimulation", "pip install gymnasium==1.4.0"
    ),
}


def engine_of(task: Task) -> Engine:
    """Return the engine that a task names.

    Args:
        task: The task.

    Raises:
        EngineError: There is no such engine.
    """
    if task.engine not in ENGINES:
        raise EngineError(
            f"task {task.spec.task!r} names the engine {task.engine!r}; known: "
            f"{', '.join(sorted(ENGINES))}"
        )
    return ENGINES[task.engine]


def simulate(task: Task, *, gui: bool = False, goals: str | None = None) -> Simulation:
    """Make a simulation of a task, in the engine that the task names.

    Args:
        task: The task.
        gui: Whether to open a window.
        goals: How to draw goals, one of `task.goal_kinds`; None: the first.

    Raises:
        EngineError: The engine is unknown or not installed, or cannot simulate this task.
    """
    engine = engine_of(task)
    try:
        module = importlib.import_module(f"{__name__}.{engine.module}")
    except ModuleNotFoundError as error:
        raise EngineError(
            f"task {task.spec.task!r} is simulated by {engine.title}, but the module {error.name} "
            f"is not installed: {engine.install}"
        ) from None
    make: Any = getattr(module, engine.simulation)
    made: Simulation = make(task, gui=gui, goals=goals)
    return made
