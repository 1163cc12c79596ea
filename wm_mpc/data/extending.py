"""Check that the settings of an import fit the dataset that it extends."""

from __future__ import annotations

from typing import Any

from wm_mpc.data.bag_config import BagConfig, BagConfigError
from wm_mpc.spec import RobotSpec


def check_extends(config: BagConfig, robot: RobotSpec) -> None:
    """Refuse settings that contradict the robot of the dataset; they would count for nothing.

    Args:
        config: Settings of the import. Those that are None, and numbers of steps that are the
            default, contradict nothing.
        robot: The robot of the dataset.

    Raises:
        BagConfigError: A setting differs; the text names all that do.
    """
    default = BagConfig()
    stated: dict[str, tuple[Any, Any]] = {
        "control_period": (config.control_period, robot.control_period),
        "frame_skip": (_unless(config.frame_skip, default.frame_skip), robot.frame_skip),
        "history": (_unless(config.history, default.history), robot.history),
        "image.height": (config.image.height, robot.image.height),
        "image.width": (config.image.width, robot.image.width),
        "image.value_range": (config.image.value_range, robot.image.value_range),
        "state.names": (config.state.names, robot.state.names),
        "state.unit": (config.state.unit, robot.state.unit),
        "state.source": (config.state.source, robot.state.source),
        "state.angles": (config.state.angles, robot.state.angles),
        "action.names": (config.action.names, robot.action.names),
        "action.kind": (config.action.kind, robot.action.kind),
        "action.unit": (config.action.unit, robot.action.unit),
        "action.low": (config.action.low, robot.action.low),
        "action.high": (config.action.high, robot.action.high),
        "action.rate_limit": (config.action.rate_limit, robot.action.rate_limit),
    }
    wrong = [
        f"{name} is {_text(mine)}, but {_text(theirs)} in the dataset"
        for name, (mine, theirs) in stated.items()
        if mine is not None and mine != theirs
    ]
    if wrong:
        raise BagConfigError(
            f"{'; '.join(wrong)}: --append keeps to the dataset's robot; leave these settings "
            "out, or make another dataset"
        )


def _unless(value: int, default: int) -> int | None:
    return None if value == default else value


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "empty"
    return "not set" if value is None else str(value)
