"""What a task of the engine Gymnasium says about an environment that somebody else wrote.

Inherit from `GymnasiumTask`, make the environment, and say what is measured. Everything else has a
default. `docs/extend/environment.md` shows it with a robot of the reader's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim.task import Explorer
from wm_mpc.spec import RobotSpec


@dataclasses.dataclass
class World:
    """An environment, and what it said last.

    Attributes:
        env: The environment (`gymnasium.Env`), as `GymnasiumTask.make` made it.
        observation: Its last observation.
        info: Its last info.
    """

    env: Any
    observation: Any = None
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class GymnasiumTask:
    """A task in a Gymnasium environment; see `wm_mpc.sim.task.Task`.

    An environment whose state can be read and set is restorable: override both `get_state` and
    `set_state`. Restorable worlds get goals in the middle of an episode, and synthesis by random
    and online rollouts. Other worlds begin every episode with `reset(seed)`, which must repeat.

    Attributes:
        spec: Description of the robot.
        pose_names: Names of the numbers that `pose` returns.
        scene_pose_names: Those that do not belong to the robot itself.
        goal_kinds: Ways to draw goals, the default first.
        goal_steps: For each kind of goal that lies on a way of the explorer: control steps from the
            start to the goal. `sample_goal` draws the other kinds.
        episode_steps: Longest way of the explorer on which starts and goals lie, control steps.
        tolerances: Limits of `errors` for success, by name, each in its unit.
        goes_on: Whether the environment can be stepped further after it said terminated or
            truncated. Recorded episodes end there in any case.
        ends: Whether it counts that the environment said so. If False, recorded episodes go on, and
            the environment must go on, too.
        hold: Environment steps in a control step. Each takes the same action.
        further_explorers: Names of exploration policies beside the usual one, for `collect
            --explorer`.
    """

    engine = "gymnasium"
    spec: RobotSpec
    pose_names: tuple[str, ...] = ()
    scene_pose_names: tuple[str, ...] = ()
    goal_kinds: tuple[str, ...] = ("near",)
    goal_steps: Mapping[str, int] = MappingProxyType({"near": 25})
    episode_steps: int = 100
    tolerances: Mapping[str, float] = MappingProxyType({})
    goes_on: bool = False
    ends: bool = True
    hold: int = 1
    further_explorers: tuple[str, ...] = ()

    def make(self) -> Any:
        """Make the environment, with `render_mode="rgb_array"`.

        Import its package here, not at the top of the file. Then the task can be described where
        the package is not installed.
        """
        raise NotImplementedError

    def reset_options(self, rng: np.random.Generator) -> dict[str, Any] | None:
        """Return `options` for `reset` of the environment; None for none.

        Args:
            rng: Source of random numbers.
        """
        return None

    def measure(self, world: World) -> np.ndarray:
        """Return the measured robot state, in the order of `spec.state.names`.

        Args:
            world: The environment; what a real robot measures is in its observation or its info.
        """
        raise NotImplementedError

    def pose(self, world: World) -> np.ndarray:
        """Return the true pose of what matters to the task, in the order of `pose_names`.

        Args:
            world: The environment.
        """
        raise NotImplementedError

    def picture(self, world: World) -> Any:
        """Return the camera's image, uint8 (height, width, 3) rgb of any size.

        The engine scales it to `spec.image`, which must have the same proportions.

        Args:
            world: The environment.
        """
        return world.env.render()

    def to_environment(self, world: World, action: np.ndarray) -> np.ndarray:
        """Turn an action into one of the environment.

        By default, the limits of `spec.action` become those of its `action_space`.

        Args:
            world: The environment.
            action: (action size,), in the action's unit, inside its limits.
        """
        space = world.env.action_space
        share = (self.spec.normalise_action(action).astype(np.float64) + 1.0) / 2.0
        wanted: np.ndarray = space.low + share * (space.high - space.low)
        return wanted.astype(space.dtype)

    def joints(self, world: World) -> dict[str, tuple[float, float]]:
        """Return position and velocity of each joint by name; empty for a robot without joints.

        Args:
            world: The environment.
        """
        return {}

    def get_state(self, world: World) -> np.ndarray:
        """Return the complete state of the environment, float64 (any,).

        Args:
            world: The environment.
        """
        raise NotImplementedError

    def set_state(self, world: World, state: np.ndarray) -> tuple[Any, Mapping[str, Any]]:
        """Set a state from `get_state`.

        Args:
            world: The environment.
            state: The state.

        Returns:
            The observation and the info of that state, like `reset`.
        """
        raise NotImplementedError

    def sample_goal(self, world: World, rng: np.random.Generator, kind: str) -> np.ndarray:
        """Draw a goal of a kind that is not in `goal_steps`: a state for `set_state`.

        Args:
            world: The environment at the start.
            rng: Source of random numbers.
            kind: One of `goal_kinds`.
        """
        raise NotImplementedError

    def goal_at(self, world: World, x: float, y: float, yaw: float) -> np.ndarray:
        """Return the goal that a person asks for by a pose in the world frame, a state for
        `set_state`.

        Args:
            world: The environment.
            x: In m.
            y: In m.
            yaw: In rad.

        Raises:
            ValueError: The goal cannot be reached, or the task takes no such goals.
        """
        raise ValueError(f"task {self.spec.task!r} takes no goals by their pose")

    def errors(self, pose: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """Return the true distances to a goal by name, m or rad.

        Args:
            pose: The true pose.
            goal: The true pose at the goal.
        """
        raise NotImplementedError

    def is_success(self, pose: np.ndarray, goal: np.ndarray) -> bool:
        """Whether a true pose is at a goal. By default: all `errors` are below `tolerances`.

        Args:
            pose: The true pose.
            goal: The true pose at the goal.
        """
        return all(e < self.tolerances[name] for name, e in self.errors(pose, goal).items())

    def explorer(self, world: World, rng: np.random.Generator) -> Explorer:
        """Return a new exploration policy for one episode. The default moves at random.

        Args:
            world: The environment.
            rng: Source of random numbers.
        """
        return Wanderer(self.spec, rng)

    def further_explorer(self, world: World, rng: np.random.Generator, name: str) -> Explorer:
        """Return a new one of the further exploration policies for one episode.

        Args:
            world: The environment.
            rng: Source of random numbers.
            name: One of `further_explorers`.
        """
        raise NotImplementedError


class Wanderer:
    """One direction for some steps, with noise of varying size on every action.

    Args:
        spec: Description of the robot.
        rng: Source of random numbers.
    """

    def __init__(self, spec: RobotSpec, rng: np.random.Generator) -> None:
        self._spec, self._rng = spec, rng
        self._left = 0

    def __call__(self) -> np.ndarray:
        rng, size = self._rng, self._spec.action.size
        if self._left == 0:
            self._left = int(rng.integers(3, 16))
            self._steady = rng.uniform(-1.2, 1.2, size)
            self._noise = float(rng.choice([0.05, 0.2, 0.6]))
        self._left -= 1
        action = np.clip(self._steady + rng.normal(0.0, self._noise, size), -1.0, 1.0)
        return self._spec.denormalise_action(action)
