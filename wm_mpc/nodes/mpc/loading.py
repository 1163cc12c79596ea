"""Loads a world model for the node `mpc`, ready to plan at full speed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np

from wm_mpc.control.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.control.settings import ControlSettings
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.model.world_model import WorldModel

_MOST = 6  # committed actions of a trial plan


def load_to_plan(path: Path, settings: ControlSettings) -> WorldModel:
    """A world model used a few times already, so that the first real plan is as fast as any.
    Raises CheckpointError."""
    model, _ = load_checkpoint(path)
    controller = RecedingHorizon(model)
    image = np.zeros((model.spec.image.height, model.spec.image.width, 3), np.uint8)
    state = model.state_mean.numpy()
    action = model.spec.action
    middle = np.add(action.low, action.high) / 2  # zero may be outside the limits
    # Few iterations, each like all others: another model may be planning meanwhile.
    planner = dataclasses.replace(settings.planner, iterations=2)
    committed = [0, 0]
    if planner.device != "cpu":
        # Each number of actions that the robot executes meanwhile has graphs of its own.
        most = 1 + math.ceil(settings.time_budget / model.spec.control_period)
        committed = list(range(1 + min(most, _MOST)))
    try:
        controller.set_goal(image, state)
        for count in committed:
            controller.plan(
                image,
                state,
                0.0,
                planner=planner,
                objective=settings.cost,
                committed=np.tile(middle, (count, 1)),
                budget=1.0,
                rest=middle if action.rest_is_measured else None,
            )
    except PlanningError as error:
        reason = f"{path} cannot be planned with (planner.type is {planner.type}): {error}"
        raise CheckpointError(reason) from None
    return model
