"""Online world modelling (arXiv 2512.09929): learn what the planner's own plans really do.

From recorded states, the present model plans by gradient to goals of the task; the plan is executed
in the simulator from the very start state, and what really happened joins the training data. Where
the planner found a phantom way (through a wall, say), the model now learns that there is none.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import ObjectiveConfig
from wm_mpc.planning.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.sim.bullet import Simulation
from wm_mpc.sim.tasks import make_task
from wm_mpc.synthesis.random_rollouts import Rollouts, execute


@dataclasses.dataclass(frozen=True)
class OnlineConfig:
    """every: updates between two rounds. plans: plans made and executed in a round. The planner
    is Adam over `horizon` model steps with `restarts` starts and `iterations` iterations; as strong
    as the one that will be used, or it misses the phantom ways that one finds."""

    every: int = 500
    plans: int = 250
    horizon: int = 7
    restarts: int = 16
    iterations: int = 20

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"online.{field.name} must be at least 1")


def online_rollouts(
    model: WorldModel,
    recording: Recording,
    config: OnlineConfig,
    seed: list[int],
    episodes: np.ndarray,
) -> Rollouts:
    """Plan from recorded frames of `episodes` with the present model, and execute the plans.

    Goals are drawn as the task draws them, in the layout of the start. The number of rollouts is
    `config.plans`, less those for which no finite plan was found. Raises ValueError when the
    recording holds no simulator states.
    """
    if recording.simulator_states is None:
        raise ValueError("online rollouts restore recorded simulator states; this dataset has none")
    rng = np.random.default_rng(seed)
    planner = PlannerConfig(
        horizon=config.horizon,
        restarts=config.restarts,
        iterations=config.iterations,
        warm_start=False,
    )
    controller = RecedingHorizon(model, int(rng.integers(2**31)))
    starts = rng.choice(recording.window_starts(0, episodes), size=config.plans)
    images, states, actions = [], [], []
    with Simulation(make_task(recording.spec.task)) as simulation:
        for start in starts:
            layout = recording.layouts[recording.episode_of[start]]
            state = recording.simulator_states[start]
            assert layout is not None
            simulation.restore(layout, state)
            goal = simulation.new_goal(rng).observation
            controller.forget()
            try:
                controller.set_goal(goal.image, goal.state)
                plan = controller.plan(
                    recording.images[start],
                    recording.states[start],
                    0.0,
                    planner=planner,
                    objective=ObjectiveConfig(),
                )
            except PlanningError:  # a model this bad learns from the other plans
                continue
            normalised = recording.spec.normalise_action(plan.actions)
            seen = execute(simulation, layout, state, normalised)
            images.append(seen[0])
            states.append(seen[1])
            actions.append(normalised.reshape(config.horizon, -1))
    if not images:
        raise ValueError("no finite plan was found in a whole round of online rollouts")
    return Rollouts(np.stack(images), np.stack(states), np.stack(actions).astype(np.float32))
