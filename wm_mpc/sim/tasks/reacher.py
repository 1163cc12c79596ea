"""Postures of an arm in the environment `swm/ReacherDMControl-v0` of stable-worldmodel 0.1.1, task
`qpos_match`, as it is published.

Torques drive the two joints of an arm in a plane; the picture shows it from above. Starts and
success (both joints nearer than 0.05 rad) are those of the environment. It does not count a whole
turn of the shoulder as the same posture. Data come from stable-worldmodel's own `RandomPolicy`. A
control step is a step of the environment, which holds an action for two steps of the suite, 0.04 s.
"""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from wm_mpc.sim import stable_worldmodel
from wm_mpc.sim.bare_package import BarePackage
from wm_mpc.sim.gymnasium_task import GymnasiumTask, World
from wm_mpc.sim.task import Explorer
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

SUITE = BarePackage(
    "dm-control",
    "dm_control",
    "1.0.50",
    "pip install dm-control==1.0.50 mujoco==3.17.0",
)
JOINTS = ("shoulder", "wrist")
MAX_TORQUE = 0.05  # N m; what the environment's action 1 is
TOLERANCE = 0.05  # rad
WRIST = math.radians(160.0)  # limit of the wrist
_PIXELS = 64


class Reacher(GymnasiumTask):
    """See `wm_mpc.sim.gymnasium_task.GymnasiumTask`.

    The state is [angles, velocities, torques as actions, accelerations from which the solver
    starts], two of each, rad and s. The shoulder's angle counts whole turns. `near` and `after_50`
    are goals 25 and 50 control steps later on the same way of the explorer.
    """

    spec = RobotSpec(
        task="reacher",
        action=ActionSpec(
            names=JOINTS,
            kind="effort",
            unit="N m",
            low=(-MAX_TORQUE, -MAX_TORQUE),
            high=(MAX_TORQUE, MAX_TORQUE),
        ),
        state=StateSpec(
            names=("shoulder", "wrist", "shoulder/velocity", "wrist/velocity"),
            unit=("rad", "rad", "rad/s", "rad/s"),
            source="joint_states",
            angles=("shoulder",),
        ),
        image=ImageSpec(_PIXELS, _PIXELS),
        control_period=0.04,
        frame_skip=5,
    )
    pose_names: tuple[str, ...] = JOINTS
    goal_kinds: tuple[str, ...] = ("near", "after_50")
    goal_steps: Mapping[str, int] = MappingProxyType({"near": 25, "after_50": 50})
    episode_steps = 100
    tolerances: Mapping[str, float] = MappingProxyType(dict.fromkeys(JOINTS, TOLERANCE))

    def make(self) -> Any:
        SUITE.load("suite.reacher")  # without the suite's other robots
        wrapper = stable_worldmodel.load("envs.dmcontrol.reacher").ReacherDMControlWrapper
        made = wrapper(task="qpos_match", seed=0, render_mode="rgb_array")
        made.reset(seed=0)  # compiles the model for good
        # Else it would begin a new episode within a step, 20 s later, without a word.
        made.env._env._step_limit = math.inf
        return made

    def measure(self, world: World) -> np.ndarray:
        data = world.env.env.physics.data
        shoulder, wrist = data.qpos
        return np.array([math.remainder(shoulder, math.tau), wrist, *data.qvel])

    def pose(self, world: World) -> np.ndarray:
        return np.array(world.env.env.physics.data.qpos)

    def picture(self, world: World) -> Any:
        return world.env.render(width=_PIXELS, height=_PIXELS)

    def joints(self, world: World) -> dict[str, tuple[float, float]]:
        measured = self.measure(world)
        return {name: (float(measured[i]), float(measured[2 + i])) for i, name in enumerate(JOINTS)}

    def get_state(self, world: World) -> np.ndarray:
        data = world.env.env.physics.data
        return np.concatenate([data.qpos, data.qvel, data.ctrl, data.qacc_warmstart])

    def set_state(self, world: World, state: np.ndarray) -> tuple[Any, Mapping[str, Any]]:
        physics = world.env.env.physics
        angles, velocities, torques, accelerations = state.reshape(4, 2)
        physics.data.ctrl[:] = torques
        world.env.set_state(angles, velocities)
        physics.data.qacc_warmstart[:] = accelerations
        return world.observation, world.env.info

    def errors(self, pose: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        return dict(zip(JOINTS, np.abs(pose - goal).tolist(), strict=True))

    def explorer(self, world: World, rng: np.random.Generator) -> Explorer:
        space = copy.deepcopy(world.env.action_space)
        space.seed(int(rng.integers(2**31)))
        policy = stable_worldmodel.load("policy").RandomPolicy()
        policy.set_env(types.SimpleNamespace(action_space=space))
        return lambda: policy.get_action(None) * MAX_TORQUE
