"""The Protocols that simulated tasks implement. All tasks share the rest of the simulation.

`Task` is what every task says about itself. `BulletTask` builds its bodies in a PyBullet client and
answers questions about them. (`wm_mpc.sim.gymnasium_task` has the tasks of the engine Gymnasium.) A
task knows nothing of episodes, datasets, planners or ROS. Its engine handles those.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from wm_mpc.spec import RobotSpec


@dataclasses.dataclass(frozen=True)
class CameraView:
    """A fixed pinhole camera, in the world frame.

    Attributes:
        position: Position of the camera, m.
        target: Point that the camera looks at, m.
        up: Direction that is up in the image.
        field_of_view: Vertical field of view, degrees.
        near: Nearest visible distance, m.
        far: Farthest visible distance, m.
    """

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float]
    field_of_view: float
    near: float = 0.1
    far: float = 10.0

    def axes(self) -> np.ndarray:
        """Return its right, down and forward in the world, as columns (3, 3)."""
        forward = _unit(np.subtract(self.target, self.position))
        right = _unit(np.cross(forward, self.up))
        return np.column_stack([right, np.cross(forward, right), forward])


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


class Explorer(Protocol):
    """An exploration policy. Each call returns the next action (action size,), in the action's
    unit."""

    def __call__(self) -> np.ndarray: ...


class Task(Protocol):
    """One robot in one scene, whatever simulates it.

    A robot with links may also have a method `robot_description() -> str`: its URDF, whose joints
    are those of `joints`. The simulation publishes it, and the frames of all links.

    Attributes:
        engine: The engine that simulates it, a key of `wm_mpc.sim.engines.ENGINES`.
        spec: Description of the robot: names, limits, rates, image.
        pose_names: Names of the numbers of a true pose.
        scene_pose_names: Those that do not belong to the robot itself, such as the place of an
            object.
        goal_kinds: Ways to draw goals, the default first, such as ("near", "random").
        tolerances: Limits of the true distances to a goal for success, by name, each in its unit.
    """

    engine: str
    spec: RobotSpec
    pose_names: tuple[str, ...]
    scene_pose_names: tuple[str, ...]
    goal_kinds: tuple[str, ...]
    tolerances: Mapping[str, float]


def check_explorer(task: Task, name: str) -> None:
    """Check the name of an exploration policy.

    Args:
        task: The task.
        name: The name; empty: the usual one.

    Raises:
        ValueError: The task has none of that name.
    """
    known: tuple[str, ...] = getattr(task, "further_explorers", ())
    if name and name not in known:
        raise ValueError(
            f"task {task.spec.task!r} has no explorer {name!r}; accepted: "
            f"{', '.join(known) or 'none beside the usual one'}"
        )


class BulletTask(Task, Protocol):
    """A task in PyBullet. Vectors are float64.

    A task of several cameras (`spec.image.cameras`) also has `further_views`, a tuple: where the
    second camera and those after it stand. A task with a method `park() -> int` can move its robot
    out of the picture, and returns the number of the robot's body; so an evaluation says how many
    goal pictures do not show the things (`Simulation.goal_shown`).

    Attributes:
        view: Where the camera stands; of several, the first one.
        physics_rate: Physics steps per second. `spec.control_period` must be a whole number of
            physics steps.
    """

    view: CameraView
    physics_rate: float

    def build(self, client: Any) -> None:
        """Create all bodies in an empty PyBullet client.

        Args:
            client: From `pybullet_utils.bullet_client`.
        """

    def sample_layout(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a layout: the part of the scene that stays within an episode, such as the place of a
        door.

        Args:
            rng: Source of random numbers.
        """

    def set_layout(self, layout: np.ndarray) -> None:
        """Build a layout from `sample_layout`."""

    def sample_state(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the start of an episode: a reachable simulator state at rest in the present layout.

        Args:
            rng: Source of random numbers.
        """

    def sample_goal(self, rng: np.random.Generator, start: np.ndarray, kind: str) -> np.ndarray:
        """Draw a goal: a simulator state that is not yet reached at `start`.

        This may leave the simulator in any state.

        Args:
            rng: Source of random numbers.
            start: The simulator state at the start.
            kind: One of `goal_kinds`.
        """

    def goal_at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """Return the goal that a person asks for by a pose in the world frame.

        Args:
            x: In m.
            y: In m.
            yaw: In rad.

        Raises:
            ValueError: The goal cannot be reached; the message says why.
        """

    def get_state(self) -> np.ndarray:
        """Return the complete simulator state, which `set_state` needs to go on from here."""

    def set_state(self, state: np.ndarray) -> None:
        """Restore a state from `get_state`."""

    def command(self, action: np.ndarray) -> None:
        """Apply an action. The simulation calls this before every physics step.

        Args:
            action: (action size,), in the action's unit.
        """

    def measure(self) -> np.ndarray:
        """Return the measured robot state, in the order of `spec.state.names`."""

    def joints(self) -> dict[str, tuple[float, float]]:
        """Return position and velocity of each joint by name, for `joint_states`.

        The units are rad and rad/s, or m and m/s. Empty for a robot without joints. A planner gets
        only the result of `measure`.
        """

    def pose(self) -> np.ndarray:
        """Return the true pose of the things that matter to the task.

        Only success tests and diagnostics may use it, never a planner.
        """

    def errors(self, goal: np.ndarray) -> dict[str, float]:
        """Return the true distances to a goal by name, such as {"distance": 0.12}, m or rad.

        Args:
            goal: Simulator state of the goal.
        """

    def is_success(self, goal: np.ndarray) -> bool:
        """Whether the true state is within the task's tolerances of a goal.

        Args:
            goal: Simulator state of the goal.
        """

    def explorer(self, rng: np.random.Generator) -> Explorer:
        """Return a new exploration policy for one episode of data collection.

        Args:
            rng: Source of random numbers.
        """
