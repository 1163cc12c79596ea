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
    if robot.image.cameras or config.image.cameras:
        stated |= _cameras(config, robot)
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


def _cameras(config: BagConfig, robot: RobotSpec) -> dict[str, tuple[Any, Any]]:
    """What is stated of cameras: an import of several always states their names."""
    names = tuple(camera.name for camera in config.image.cameras) or ("camera",)
    found: dict[str, tuple[Any, Any]] = {
        "image.cameras": (names, tuple(camera.name for camera in robot.images)),
        "image.height": (None, None), "image.width": (None, None),
    }  # fmt: skip
    known = {camera.name: camera for camera in robot.images}
    for camera in config.image.cameras:
        if theirs := known.get(camera.name):
            for part in ("height", "width", "value_range"):
                name = f"{part} of camera {camera.name}"
                found[name] = getattr(camera, part), getattr(theirs, part)
    return found


def _unless(value: int, default: int) -> int | None:
    return None if value == default else value


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "empty"
    return "not set" if value is None else str(value)
