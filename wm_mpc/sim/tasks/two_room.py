"""Navigation in the environment `swm/TwoRoom-v1` of stable-worldmodel 0.1.1, as it is published.

A dot moves between two rooms through a door in the wall; the picture shows it from above. Starts,
targets and success (nearer than 16 pixels) are those of the environment. Data come from its own
`ExpertPolicy` with action noise 2.0 and repeat probability 0.05. Here 100 of its 224 pixels are a
metre, the origin is the middle of the picture, and y points up. So the dot moves 0.5 m/s at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim import stable_worldmodel
from wm_mpc.sim.gymnasium_task import GymnasiumTask, World
from wm_mpc.sim.pixel_frame import FLIP, PixelFrame
from wm_mpc.sim.task import Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

METRES = 0.01  # per pixel
CENTRE = 112.0  # pixels
TOLERANCE = 16 * METRES  # m; `step` of the environment says terminated below it
MAX_SPEED = 0.5  # m/s; 5 pixels in a control step of 0.1 s
_NOISE, _REPEAT = 2.0, 0.05  # of the policy that the field collects its data with
_FRAME = PixelFrame(METRES, CENTRE)
to_metres, to_pixels = _FRAME.to_metres, _FRAME.to_pixels


class TwoRoom(GymnasiumTask):
    """See `wm_mpc.sim.gymnasium_task.GymnasiumTask`.

    The state is [agent's column, row, target's column, row], pixels. `near` and `after_N` are goals
    25 and N control steps later on the same way of the expert, `target` is the environment's own.
    """

    spec = RobotSpec(
        task="two_room",
        action=ActionSpec(
            names=("vx", "vy"),
            kind="velocity",
            unit="m/s",
            low=(-MAX_SPEED, -MAX_SPEED),
            high=(MAX_SPEED, MAX_SPEED),
        ),
        state=StateSpec(names=("x", "y"), unit=("m", "m"), source="odom"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )
    pose_names: tuple[str, ...] = ("x", "y")
    goal_kinds: tuple[str, ...] = ("near", "after_50", "after_75", "after_100", "target")
    goal_steps: Mapping[str, int] = MappingProxyType(
        {"near": 25, "after_50": 50, "after_75": 75, "after_100": 100}
    )
    episode_steps = 100
    tolerances: Mapping[str, float] = MappingProxyType({"distance": TOLERANCE})
    goes_on = True

    def make(self) -> Any:
        return stable_worldmodel.load("envs.two_room.env").TwoRoomEnv(render_mode="rgb_array")

    def measure(self, world: World) -> np.ndarray:
        return to_metres(world.info["proprio"])

    def pose(self, world: World) -> np.ndarray:
        return to_metres(world.info["state"])

    def to_environment(self, world: World, action: np.ndarray) -> np.ndarray:
        return (action / MAX_SPEED * FLIP).astype(np.float32)

    def get_state(self, world: World) -> np.ndarray:
        return np.concatenate([world.info["state"], world.info["goal_state"]]).astype(np.float64)

    def set_state(self, world: World, state: np.ndarray) -> tuple[Any, Mapping[str, Any]]:
        env = world.env
        env._set_state(state[:2])
        env.target_position = env.target_position.new_tensor(state[2:])
        return env._get_obs(), env._get_info()

    def sample_goal(self, world: World, rng: np.random.Generator, kind: str) -> np.ndarray:
        state = self.get_state(world)
        return np.concatenate([state[2:], state[2:]])

    def goal_at(self, world: World, x: float, y: float, yaw: float) -> np.ndarray:
        pixels = to_pixels((x, y))
        space = world.env.variation_space["agent"]["position"]
        if not space.contains(pixels.astype(np.float32)):
            low, high = to_metres(space.low), to_metres(space.high)
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m is in a wall or outside the rooms (accepted: free "
                f"space with x from {low[0]:.2f} to {high[0]:.2f}, y from {high[1]:.2f} to "
                f"{low[1]:.2f})"
            )
        return np.concatenate([pixels, pixels])

    def errors(self, pose: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        return {"distance": float(np.linalg.norm(pose - goal))}

    def explorer(self, world: World, rng: np.random.Generator) -> Explorer:
        return _Expert(world, rng, _NOISE, _REPEAT)

    def expert(self, world: World, goal: np.ndarray, rng: np.random.Generator) -> Explorer:
        """Return the environment's own policy, without noise, on the way to a goal.

        Args:
            world: The environment.
            goal: A state at the goal.
            rng: Source of random numbers.
        """
        return _Expert(world, rng, 0.0, 0.0, goal[:2])


class _Expert:
    """The environment's own policy, on the way to a place (pixels) or to its own target."""

    def __init__(
        self,
        world: World,
        rng: np.random.Generator,
        noise: float,
        repeat: float,
        goal: np.ndarray | None = None,
    ) -> None:
        policy = stable_worldmodel.load("envs.two_room.expert_policy").ExpertPolicy
        seed = int(rng.integers(2**31))
        self._world, self._goal = world, goal
        self._policy = policy(action_noise=noise, action_repeat_prob=repeat, seed=seed)
        self._policy.set_env(world.env)

    def __call__(self) -> np.ndarray:
        info = dict(self._world.info)
        if self._goal is not None:
            info["goal_state"] = self._goal
        action: np.ndarray = self._policy.get_action(info)
        return action * MAX_SPEED * FLIP
