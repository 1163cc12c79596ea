"""Pushing in the environment `swm/PushT-v1` of stable-worldmodel 0.1.1, as it is published.

A disc pushes a block shaped like a T; the picture shows both from above. Starts and success (the
places of agent and block together nearer than 20 pixels, the block's angle than 20 degrees) are
those of the environment. Data come from a noisy pusher of our own, or, with `collect --explorer
weak`, from the environment's `WeakPolicy` (random actions that stay near the block). Here 500 of
the 512 pixels are a metre, the origin is the middle of the picture, and y points up. An action of
the environment is a place to head for, at most 100 pixels away; kept up, it moves the agent by 400
pixels a second, which is the limit of the velocity here.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim import stable_worldmodel
from wm_mpc.sim.gymnasium_task import GymnasiumTask, World
from wm_mpc.sim.pixel_frame import FLIP, PixelFrame
from wm_mpc.sim.task import Explorer
from wm_mpc.sim.tasks import pusht_contacts
from wm_mpc.sim.tasks.pusht_explorer import HIGH, LOW, NoisyPusher
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

METRES = 0.002  # per pixel
CENTRE = 256.0  # pixels
MAX_SPEED = 0.8  # m/s
TOLERANCE = 20 * METRES  # m
_BODIES = 10  # numbers of a state before its contacts
_FRAME = PixelFrame(METRES, CENTRE)
to_metres, to_pixels = _FRAME.to_metres, _FRAME.to_pixels


class PushTWorld(GymnasiumTask):
    """See `wm_mpc.sim.gymnasium_task.GymnasiumTask`.

    The state is [agent's column, row, block's column, row, angle, agent's velocities, block's
    velocities, its angular velocity, then points of contact], pixels and rad. `near` and `after_N`
    are goals 25 and N control steps later on the same way of the explorer.

    While the block touches a wall, the order in which the solver takes contacts matters, too.
    Nobody can read it. From there on, a restored block goes on a little differently.
    """

    spec = RobotSpec(
        task="pusht",
        action=ActionSpec(
            names=("vx", "vy"),
            kind="velocity",
            unit="m/s",
            low=(-MAX_SPEED, -MAX_SPEED),
            high=(MAX_SPEED, MAX_SPEED),
        ),
        state=StateSpec(names=("x", "y", "vx", "vy"), unit=("m", "m", "m/s", "m/s"), source="odom"),
        image=ImageSpec(64, 64),
        control_period=0.1,
        frame_skip=5,
    )
    pose_names: tuple[str, ...] = ("x", "y", "block_x", "block_y", "block_yaw")
    scene_pose_names: tuple[str, ...] = ("block_x", "block_y", "block_yaw")
    goal_kinds: tuple[str, ...] = ("near", "after_50", "after_75")
    goal_steps: Mapping[str, int] = MappingProxyType({"near": 25, "after_50": 50, "after_75": 75})
    episode_steps = 100
    tolerances: Mapping[str, float] = MappingProxyType(
        {"distance": TOLERANCE, "angle": math.radians(20)}
    )
    goes_on = True
    further_explorers = ("weak",)

    def make(self) -> Any:
        return stable_worldmodel.load("envs.pusht.env").PushT(render_mode="rgb_array")

    def measure(self, world: World) -> np.ndarray:
        agent = world.env.agent
        velocity = np.array(agent.velocity) * METRES * FLIP
        return np.concatenate([to_metres(agent.position), velocity])

    def pose(self, world: World) -> np.ndarray:
        env = world.env
        yaw = math.remainder(-env.block.angle, math.tau)
        return np.array([*to_metres(env.agent.position), *to_metres(env.block.position), yaw])

    def to_environment(self, world: World, action: np.ndarray) -> np.ndarray:
        return (action / MAX_SPEED * FLIP).astype(np.float32)

    def get_state(self, world: World) -> np.ndarray:
        env, agent, block = world.env, world.env.agent, world.env.block
        contacts, apart = pusht_contacts.read(env.space, block)
        # The environment damps all velocities away, so both parts act for one step only.
        moving = np.array([*block.velocity, block.angular_velocity]) + apart
        bodies = [*agent.position, *block.position, block.angle, *agent.velocity, *moving]
        return np.concatenate([bodies, contacts])

    def set_state(self, world: World, state: np.ndarray) -> tuple[Any, Mapping[str, Any]]:
        env = world.env
        env._setup()  # a new space: the old one has contacts
        numbers = [float(v) for v in state[:_BODIES]]
        env.agent.position, env.agent.velocity = tuple(numbers[:2]), tuple(numbers[5:7])
        env.block.angle, env.block.position = numbers[4], tuple(numbers[2:4])
        env.block.velocity, env.block.angular_velocity = tuple(numbers[7:9]), numbers[9]
        env.space.reindex_shapes_for_body(env.agent)
        env.space.reindex_shapes_for_body(env.block)
        pusht_contacts.write(env.space, state[_BODIES:])
        observed = env._get_obs()
        return {"proprio": observed[[0, 1, 5, 6]], "state": observed}, env._get_info()

    def goal_at(self, world: World, x: float, y: float, yaw: float) -> np.ndarray:
        pixels = to_pixels((x, y))
        if not np.all((pixels >= LOW) & (pixels <= HIGH)) or not math.isfinite(yaw):
            limit = (HIGH - CENTRE) * METRES
            raise ValueError(
                f"goal ({x:.2f}, {y:.2f}) m, {yaw:.2f} rad is outside the table (accepted: x and y "
                f"from {-limit:.2f} to {limit:.2f}, and a finite yaw)"
            )
        state = self.get_state(world)
        state[2:4], state[4], state[5:] = pixels, -yaw, 0.0
        return state

    def errors(self, pose: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        angle = abs(math.remainder(float(pose[4] - goal[4]), math.tau))
        return {"distance": float(np.linalg.norm(pose[:4] - goal[:4])), "angle": angle}

    def explorer(self, world: World, rng: np.random.Generator) -> Explorer:
        pusher = NoisyPusher(world.env, rng)
        return lambda: pusher() * MAX_SPEED * FLIP

    def further_explorer(self, world: World, rng: np.random.Generator, name: str) -> Explorer:
        policy = stable_worldmodel.load("envs.pusht.expert_policy").WeakPolicy
        weak = policy(seed=int(rng.integers(2**31)))
        weak.set_env(_vector_of(world.env))

        def explore() -> np.ndarray:
            action: np.ndarray = weak.get_action({})[0]
            return action * MAX_SPEED * FLIP

        return explore


def _vector_of(env: Any) -> Any:
    """What the environment's policies ask of a vector of environments, with this one in it."""
    shape = (1, *env.action_space.shape)
    return types.SimpleNamespace(
        envs=[env],
        action_space=types.SimpleNamespace(shape=shape),
        spec=types.SimpleNamespace(id="swm/PushT-v1"),
    )
