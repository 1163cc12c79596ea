"""The settings of the cost that a planner minimises."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel
from wm_mpc.settings.fields import check, setting

MODES = ("last", "all")
DISTANCES = ("root", "squared")


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """The settings `cost.*`.

    In mode `all`, a model step weighs `discount` times as much as the next one. With the root of
    the distance, the last centimetres count as much as the first ones, and a way round an obstacle
    costs less.

    Raises:
        SettingError: A setting is not accepted.
    """

    mode: str = setting(
        "all",
        "Count the goal distance of the last model step only, or of all, weighted",
        choices=MODES,
    )
    discount: float = setting(
        0.8, "Weight of a model step relative to the next one, in mode all", "", 0.01, 1.0
    )
    distance: str = setting(
        "root",
        "Use the squared goal distance, or its root, which leads straight to the goal",
        choices=DISTANCES,
    )
    state_weight: float = setting(
        -1.0,
        "Place weight: how much the robot's measured place counts in the goal distance; below 0: "
        "as the checkpoint says, or 0 if it does not say it",
        "", -1.0, 100.0,
    )  # fmt: skip
    action_weight: float = setting(
        0.01, "Weight of the squared actions; higher is gentler", "", 0.0, 100.0
    )
    action_rate_weight: float = setting(
        0.0, "Weight of the squared changes from action to action; higher is smoother", "", 0.0,
        100.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self, "cost.")

    def place_weight(self, model: WorldModel) -> float:
        """Return the weight of the place in the goal distance.

        Args:
            model: The world model, which says it if `state_weight` is below 0. One that does not
                say it gives it no weight.
        """
        found = model.familiarity
        return self.place_weight_or(0.0 if found is None else found.place_weight)

    def place_weight_or(self, measured: float) -> float:
        """Return `state_weight`, or the weight that the training measured if it is below 0.

        Args:
            measured: `Familiarity.place_weight` of the checkpoint.
        """
        return measured if self.state_weight < 0.0 else self.state_weight

    def step_weights(self, horizon: int) -> Tensor:
        """Return the weights (horizon,) of the model steps. They sum to 1.

        Args:
            horizon: Number of model steps.
        """
        weights = torch.zeros(horizon)
        weights[-1] = 1.0
        if self.mode == "all":
            weights = self.discount ** torch.arange(horizon - 1, -1, -1.0)
        return weights / weights.sum()
