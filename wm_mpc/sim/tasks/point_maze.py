"""Navigation in the environments `PointMaze_UMaze-v3` and `PointMaze_Medium-v3` of
gymnasium-robotics 1.4.0, as they are published.

Forces drive a ball with inertia through corridors that are a metre wide. Starts, targets and
success (at most 0.45 m away) are those of the environment, which moves no target
(`continuing_task=False`). Data come from a traveller of our own.

An environment step takes 0.01 s. Here each action is held for 10 of them, a control step of 0.1 s.
The camera looks straight down, because walls hide the ball from the environment's usual camera.
The marker of the target is invisible, because goals are pictures.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim.bare_package import BarePackage
from wm_mpc.sim.gymnasium_task import GymnasiumTask, World
from wm_mpc.sim.task import Explorer
from wm_mpc.sim.tasks.point_maze_explorer import Plan, Traveller
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

PACKAGE = BarePackage(
    "gymnasium-robotics",
    "gymnasium_robotics",
    "1.4.0",
    "pip install --no-deps gymnasium-robotics==1.4.0 && "
    "pip install gymnasium==1.4.0 mujoco==3.17.0 imageio",
)
MAX_FORCE = 100.0  # N; what the environment's action 1 is
TOLERANCE = 0.45  # m
RADIUS = 0.1  # m, of the ball
_PIXELS = 64


def _spec(name: str) -> RobotSpec:
    return RobotSpec(
        task=name,
        action=ActionSpec(
            names=("fx", "fy"),
            kind="effort",
            unit="N",
            low=(-MAX_FORCE, -MAX_FORCE),
            high=(MAX_FORCE, MAX_FORCE),
        ),
        state=StateSpec(names=("x", "y", "vx", "vy"), unit=("m", "m", "m/s", "m/s"), source="odom"),
        image=ImageSpec(_PIXELS, _PIXELS),
        control_period=0.1,
        frame_skip=3,
    )


class PointMaze(GymnasiumTask):
    """`PointMaze_UMaze-v3`; see `wm_mpc.sim.gymnasium_task.GymnasiumTask`.

    The state is [place, velocity, force, acceleration from which the solver starts, place in the
    picture, target], x and y of each, in m, s and the environment's unit of force. The environment
    draws the ball where it was one of its steps ago. `near` and `after_50` are goals 25 and 50
    control steps later on the same way of the explorer, `target` is the environment's own.

    Attributes:
        map_name: Name of the maze in `gymnasium_robotics.envs.maze.maps`.
        camera_height: Distance of the camera from the floor, m.
    """

    spec = _spec("point_maze")
    pose_names: tuple[str, ...] = ("x", "y")
    goal_kinds: tuple[str, ...] = ("near", "after_50", "target")
    goal_steps: Mapping[str, int] = MappingProxyType({"near": 25, "after_50": 50})
    episode_steps = 100
    tolerances: Mapping[str, float] = MappingProxyType({"distance": TOLERANCE})
    hold = 10
    ends = False  # at its own target, which is seldom the goal
    map_name = "U_MAZE"
    camera_height = 4.8

    def make(self) -> Any:
        maps = PACKAGE.load("envs.maze.maps")
        made = PACKAGE.load("envs.maze.point_maze").PointMazeEnv(
            maze_map=getattr(maps, self.map_name),
            continuing_task=False,
            render_mode="rgb_array",
            width=_PIXELS,
            height=_PIXELS,
        )
        os.remove(made.tmp_xml_file_path)  # the environment leaves it behind
        made.model.site_rgba[made.target_site_id, 3] = 0.0
        made.point_env.mujoco_renderer.default_cam_config = {
            "distance": self.camera_height,
            "azimuth": 90.0,
            "elevation": -90.0,
            "lookat": np.zeros(3),
        }
        return made

    def measure(self, world: World) -> np.ndarray:
        return np.asarray(world.observation["observation"])

    def pose(self, world: World) -> np.ndarray:
        return np.asarray(world.observation["achieved_goal"])

    def to_environment(self, world: World, action: np.ndarray) -> np.ndarray:
        return action / MAX_FORCE

    def get_state(self, world: World) -> np.ndarray:
        env, data = world.env, world.env.data
        return np.concatenate(
            [data.qpos, data.qvel, data.ctrl, data.qacc_warmstart, _drawn(env), env.goal]
        )

    def set_state(self, world: World, state: np.ndarray) -> tuple[Any, Mapping[str, Any]]:
        env, data = world.env, world.env.data
        place, velocity, force, acceleration, drawn, goal = state.reshape(6, 2)
        env.goal = goal.copy()
        env.update_target_site_pos()
        data.ctrl[:] = force
        env.point_env.set_state(place, velocity)
        data.qacc_warmstart[:] = acceleration
        _drawn(env)[:] = drawn
        return env._get_obs(np.concatenate([place, velocity])), {}

    def sample_goal(self, world: World, rng: np.random.Generator, kind: str) -> np.ndarray:
        return _at_rest(world.env.goal, world.env.goal)

    def goal_at(self, world: World, x: float, y: float, yaw: float) -> np.ndarray:
        plan = Plan.of(world.env.maze)
        if not plan.is_free(np.array([x, y]), RADIUS):
            high = (plan.centre[0] - 1.0, plan.centre[1] - 1.0)
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is in a wall or outside the maze (accepted: corridors "
                f"with x from {-high[0]:.2f} to {high[0]:.2f}, y from {-high[1]:.2f} to "
                f"{high[1]:.2f}, the ball's radius of {RADIUS} m away from walls)"
            )
        return _at_rest(np.array([x, y]), world.env.goal)

    def errors(self, pose: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        return {"distance": float(np.linalg.norm(pose - goal))}

    def is_success(self, pose: np.ndarray, goal: np.ndarray) -> bool:
        return self.errors(pose, goal)["distance"] <= TOLERANCE

    def explorer(self, world: World, rng: np.random.Generator) -> Explorer:
        traveller = Traveller(Plan.of(world.env.maze), rng)
        data = world.env.data
        return lambda: traveller(data.qpos, data.qvel)


class PointMazeMedium(PointMaze):
    """`PointMaze_Medium-v3`; see `PointMaze`."""

    spec = _spec("point_maze_medium")
    map_name = "MEDIUM_MAZE"
    camera_height = 8.4


def _drawn(env: Any) -> np.ndarray:
    """Where the environment draws the ball, (2,) m; to write to."""
    drawn: np.ndarray = env.data.site("particle_site").xpos[:2]
    return drawn


def _at_rest(place: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.concatenate([place, np.zeros(6), place, target])
