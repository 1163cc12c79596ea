"""A task in a Gymnasium environment: a round robot pushes a disc to the place in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim.gymnasium_task import GymnasiumTask, World
from wm_mpc.sim.task import Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

SPEED = 0.8  # m/s; 0.08 m in a control step of 0.1 s


class Disc(GymnasiumTask):
    """See `wm_mpc.sim.gymnasium_task.GymnasiumTask`."""

    spec = RobotSpec(
        task="disc",
        action=ActionSpec(("vx", "vy"), "velocity", "m/s", (-SPEED, -SPEED), (SPEED, SPEED)),
        state=StateSpec(names=("x", "y"), unit=("m", "m"), source="odom"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )
    pose_names: tuple[str, ...] = ("x", "y", "disc_x", "disc_y")
    scene_pose_names: tuple[str, ...] = ("disc_x", "disc_y")
    tolerances: Mapping[str, float] = MappingProxyType({"distance": 0.1})  # m

    def make(self) -> Any:
        import disc_environment  # registers the environment
        import gymnasium

        del disc_environment
        return gymnasium.make("examples/PushDisc-v0", render_mode="rgb_array")

    def measure(self, world: World) -> np.ndarray:
        return np.asarray(world.observation[:2])  # a real robot knows its own place only

    def pose(self, world: World) -> np.ndarray:
        return np.asarray(world.observation)

    def errors(self, pose: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        return {"distance": float(np.linalg.norm(pose[2:] - goal[2:]))}

    def get_state(self, world: World) -> np.ndarray:
        scene = world.env.unwrapped
        return np.concatenate([scene.robot, scene.disc])

    def set_state(self, world: World, state: np.ndarray) -> tuple[Any, Mapping[str, Any]]:
        scene = world.env.unwrapped
        scene.robot, scene.disc = state[:2].copy(), state[2:].copy()
        return state.copy(), {}

    def explorer(self, world: World, rng: np.random.Generator) -> Explorer:
        wander = super().explorer(world, rng)

        def explore() -> np.ndarray:
            if rng.random() < 0.5:
                return wander()
            towards = world.observation[2:] - world.observation[:2]
            return SPEED * np.clip(towards / np.abs(towards).max() + rng.normal(0.0, 0.3, 2), -1, 1)

        return explore
