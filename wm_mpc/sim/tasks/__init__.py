"""Simulated tasks by name. A new task is one file here and one line in `TASKS`."""

from __future__ import annotations

from collections.abc import Callable

from wm_mpc.sim.task import Task
from wm_mpc.sim.tasks.granular import Granular
from wm_mpc.sim.tasks.maze import Maze
from wm_mpc.sim.tasks.point_maze import PointMaze, PointMazeMedium
from wm_mpc.sim.tasks.push_t import PushT
from wm_mpc.sim.tasks.pusht import PushTWorld
from wm_mpc.sim.tasks.reach import Reach
from wm_mpc.sim.tasks.reach_joints import ReachJoints
from wm_mpc.sim.tasks.reach_two import ReachTwo
from wm_mpc.sim.tasks.reacher import Reacher
from wm_mpc.sim.tasks.rope import Rope
from wm_mpc.sim.tasks.two_room import TwoRoom
from wm_mpc.sim.tasks.wall import Wall

TASKS: dict[str, Callable[[], Task]] = {
    "granular": Granular,
    "maze": Maze,
    "point_maze": PointMaze,
    "point_maze_medium": PointMazeMedium,
    "push_t": PushT,
    "pusht": PushTWorld,
    "reach": Reach,
    "reach_joints": ReachJoints,
    "reacher": Reacher,
    "reach_two": ReachTwo,
    "rope": Rope,
    "two_room": TwoRoom,
    "wall": Wall,
}


def make_task(name: str) -> Task:
    """Make a new task.

    Args:
        name: A key of `TASKS`.

    Raises:
        ValueError: There is no task of that name; the message lists the known ones.
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; known tasks: {', '.join(sorted(TASKS))}")
    return TASKS[name]()
