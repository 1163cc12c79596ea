"""A recorded state with a goal from later in its episode, for diagnostics on held-out episodes.

It gives the cost of plans both as the model predicts it and as the simulator shows it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective import GoalCost
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.sim.engine import Simulation
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.synthesis.random_rollouts import execute
from wm_mpc.training.replay import encode_all

_PIECES = 2  # a held plan has one action for each half of it


def why_not_simulated(recording: Recording) -> str:
    """Say why the simulator that a recording came from cannot be used here; empty if it can.

    Args:
        recording: The recorded episodes.
    """
    if recording.simulator_states is None:
        return "the recording has no simulator states"
    layout = recording.layouts[recording.episode_of[0]]
    try:
        with simulate(make_task(recording.spec.task)) as simulation:
            if layout is not None:
                simulation.put(layout, recording.simulator_states[0])
    except (ValueError, IndexError) as error:  # no such task or engine, or states of another one
        return str(error)
    return ""


class RecordedCase:
    """A recorded state and its goal.

    Attributes:
        model: The model.
        recording: The recorded episodes.
        horizon: Model steps between state and goal.
        cost: The planner's cost from the recorded history to the goal frame.
        present: Number of the frame of the state.
        goal: Number of the goal frame.
        goal_latent: (latent size,).
        held_size: Number of entries of a held plan.
    """

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        objective: ObjectiveConfig,
        start: int,
        horizon: int,
    ) -> None:
        """Prepare a case.

        Args:
            model: The model.
            recording: The recorded episodes, with simulator states.
            objective: The planner's cost.
            start: First frame of the recorded history, which ends at the state.
            horizon: Model steps between state and goal.
        """
        self.model, self.recording, self.horizon = model, recording, horizon
        past = model.spec.history - 1
        frames, blocks = recording.window(np.array([start]), past + horizon)
        self.present, self.goal = int(frames[0, past]), int(frames[0, -1])
        seen = frames[0, [*range(past + 1), -1]]
        latents = encode_all(model, recording.images[seen], recording.states[seen])
        self._carry = model.start(latents[None, : past + 1], torch.from_numpy(blocks[:, :past]))
        self._latent = latents[past]
        self.goal_latent = latents[-1]
        rest = model.spec.normalised_rest(recording.states[self.present])
        previous = torch.from_numpy(rest)
        self.cost = GoalCost(model, objective, self._carry, self.goal_latent, previous=previous)
        self.held_size = _PIECES * model.spec.action.size

    def held_plan(self, held: Tensor) -> Tensor:
        """Return the plan that holds two actions, one after the other.

        Args:
            held: (held size,), normalised.

        Returns:
            (1, horizon, block size).
        """
        size = self.model.spec.action.size
        steps = self.horizon * self.model.spec.frame_skip
        piece = torch.arange(steps) * _PIECES // steps
        return self.cost.bind(held.view(_PIECES, size)[piece].reshape(1, self.horizon, -1))

    @torch.no_grad()
    def predicted(self, plan: Tensor) -> Tensor:
        """Return the latents that the model predicts.

        Args:
            plan: (1, horizon, block size), normalised.

        Returns:
            (horizon + 1, latent size), starting with the present one.
        """
        return torch.cat([self._latent[None], self.model.rollout(self._carry, plan)[0]])

    def seen(self, simulation: Simulation, plan: Tensor) -> tuple[np.ndarray, Tensor]:
        """Execute a plan in the simulator.

        Args:
            simulation: Simulation of the recorded task.
            plan: (1, horizon, block size), normalised.

        Returns:
            Images, uint8 (horizon + 1, height, width, 3), and latents (horizon + 1, latent size).
        """
        recording = self.recording
        layout = recording.layouts[recording.episode_of[self.present]]
        assert recording.simulator_states is not None
        assert layout is not None
        actions = plan.reshape(-1, self.model.spec.action.size).numpy()
        state = recording.simulator_states[self.present]
        images, states = execute(simulation, layout, state, actions)
        return images, encode_all(self.model, images, states)

    def distance(self, latents: Tensor) -> Tensor:
        """Return the planner's distance of latents from the goal, without its other costs.

        Args:
            latents: (n, latent size).

        Returns:
            (n,).
        """
        still = torch.zeros(len(latents), 1, self.model.spec.block_size)
        if self.model.spec.rest_is_measured:
            still = self.cost.bind(still)
        return self.cost.of_latents(latents[:, None], still)

    @torch.no_grad()
    def cost_in_world(self, simulation: Simulation, plan: Tensor) -> float:
        """Return the cost of a plan in the simulator.

        Args:
            simulation: Simulation of the recorded task.
            plan: (1, horizon, block size), normalised.
        """
        _, latents = self.seen(simulation, plan)
        return float(self.cost.of_latents(latents[None, 1:], plan))
