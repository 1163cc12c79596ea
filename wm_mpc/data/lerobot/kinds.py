"""Whether the actions of a LeRobot dataset are positions, velocities or efforts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.following import follow
from wm_mpc.data.lerobot.entries import kind_in_names
from wm_mpc.data.lerobot.info import LeRobotError
from wm_mpc.messages.reading import TWIST_FIELDS
from wm_mpc.spec import RobotSpec


def kind_of(
    config: BagConfig,
    robot: RobotSpec | None,
    action: tuple[Sequence[str], np.ndarray],
    state: tuple[Sequence[str], np.ndarray],
    notes: list[str],
) -> str:
    """Return the kind of the actions: as stated, as in the dataset that is extended, else inferred.

    Args:
        config: Settings of the import; a stated kind wins.
        robot: The robot of the dataset that is extended, if any.
        action: Names and values, (frames, size), of the actions.
        state: The same of the state.
        notes: Receives a sentence for a guess.

    Raises:
        LeRobotError: The kind cannot be inferred, or contradicts that of the dataset.
    """
    if config.action.kind is not None:
        return config.action.kind
    if robot is None:
        kind = _kind(action[0], state[0], action[1], state[1])
        notes.append(f"actions are of kind {kind}")
        return kind
    named = _named_kind(action[0])
    if named not in (None, robot.action.kind):
        raise LeRobotError(
            f"the actions are of kind {named} by their names, {', '.join(action[0])}, but of kind "
            f"{robot.action.kind} in the dataset that is extended"
        )
    return robot.action.kind


def _named_kind(names: Sequence[str]) -> str | None:
    """The kind that the names of actions state; None if they do not."""
    return "velocity" if all(name in TWIST_FIELDS for name in names) else kind_in_names(names)


def _kind(
    actions: Sequence[str], states: Sequence[str], commanded: np.ndarray, measured: np.ndarray
) -> str:
    """The kind of the actions: by their names, else by how near they are to the measured state."""
    if named := _named_kind(actions):
        return named
    shared = [(i, states.index(name)) for i, name in enumerate(actions) if name in states]
    if len(shared) == len(actions) and len(measured) > 1:
        mine, theirs = (list(column) for column in zip(*shared, strict=True))
        if follow(commanded[:, mine], measured[:, theirs]):
            return "position"
    raise LeRobotError(
        "the names and values of the actions do not show whether they are positions, velocities or "
        f"efforts ({', '.join(actions)}); state --action-kind"
    )
