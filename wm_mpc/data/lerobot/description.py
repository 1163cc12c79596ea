"""Describe the robot of a LeRobot dataset: from the settings where stated, else from the data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.lerobot.layout import CAMERAS, Feature, LeRobotError, LeRobotFolder
from wm_mpc.messages.reading import ODOMETRY_FIELDS, TWIST_FIELDS
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, SpecError, StateSpec

_SIZE = 64  # pixels of a side
_SUFFIXES = {".pos": "", ".vel": "/velocity", ".torque": "/effort", ".effort": "/effort"}
_ALIKE = 0.8  # correlation of commanded and measured positions, at least
_SIZES = 3.0  # largest ratio of their spreads
DEGREES = math.pi / 180


@dataclasses.dataclass(frozen=True)
class Source:
    """What is read from a dataset, and how.

    Attributes:
        spec: The robot.
        image: Key of the camera.
        state: Key of the state; "" without one.
        action: Key of the actions.
        state_columns: Column of the feature for each entry of the state.
        action_columns: The same for the action.
        state_scale: Factor for each entry of the state.
        action_scale: Factor for each entry of the action.
        notes: A sentence for each guess.
    """

    spec: RobotSpec
    image: str
    state: str
    action: str
    state_columns: tuple[int, ...]
    action_columns: tuple[int, ...]
    state_scale: np.ndarray
    action_scale: np.ndarray
    notes: tuple[str, ...]

    def states(self, numbers: np.ndarray) -> np.ndarray:
        """Return the entries of the state, (frames, state size), from all its numbers."""
        return numbers[:, list(self.state_columns)] * self.state_scale

    def actions(self, numbers: np.ndarray) -> np.ndarray:
        """Return the entries of the action, (frames, action size), from all numbers."""
        return numbers[:, list(self.action_columns)] * self.action_scale


def describe(
    folder: LeRobotFolder, config: BagConfig, robot: RobotSpec | None, degrees: bool
) -> Source:
    """Describe the robot of a dataset.

    Args:
        folder: The dataset.
        config: Settings of the import; stated values win.
        robot: The robot, if our dataset already describes it.
        degrees: Whether the numbers of joints are degrees.

    Raises:
        LeRobotError: A feature is missing, or a value cannot be inferred.
    """
    notes: list[str] = []
    image = _camera(folder, config)
    action = _numbers(folder, config.action.feature or "action", "action")
    state = None
    if not config.stateless:
        state = _state_feature(folder, config, notes)
    commanded, measured = _values(folder, action, state)
    state_names = _entries(state, "state") if state else []
    action_names = _entries(action, "action")
    if state and not action.names and action.shape == state.shape:
        action_names = list(state_names)
    kind = config.action.kind or _kind(action_names, state_names, commanded, measured)
    if config.action.kind is None:
        notes.append(f"actions are of kind {kind}")
    wanted = config.action.names or tuple(_without_suffix(action_names))
    wanted_state = tuple(state_names) if config.state.names is None else config.state.names
    if robot is not None:
        wanted, wanted_state = robot.action.names, robot.state.names
    action_columns = _columns(wanted, action_names, action, "action.names")
    state_columns = _columns(wanted_state, state_names, state, "state.names")
    values = commanded[:, list(action_columns)] * _scale(wanted, degrees)
    positions = measured[:, list(state_columns)] * _scale(wanted_state, degrees)
    try:
        if robot is None:
            robot = _robot(
                folder, config, degrees, kind, (wanted, values), (wanted_state, positions), notes
            )
        else:
            notes.append("the description of the robot comes from the dataset that is extended")
    except SpecError as error:
        raise LeRobotError(str(error)) from None
    return Source(
        robot, image, state.key if state and robot.state.size else "", action.key,
        state_columns, action_columns,
        _scale(robot.state.names, degrees), _scale(robot.action.names, degrees), tuple(notes),
    )  # fmt: skip


def _camera(folder: LeRobotFolder, config: BagConfig) -> str:
    cameras = folder.cameras
    wanted = config.image.feature
    listed = ", ".join(cameras) or "none"
    if wanted is not None:
        if wanted not in cameras:
            raise LeRobotError(f"image.feature is {wanted!r}; the cameras are: {listed}")
        return wanted
    if len(cameras) != 1:
        raise LeRobotError(
            f"the dataset has {len(cameras)} cameras ({listed}); choose one with --image"
            if cameras
            else f"the dataset has no camera; accepted: a feature of type {' or '.join(CAMERAS)}"
        )
    return cameras[0]


def _numbers(folder: LeRobotFolder, key: str, role: str) -> Feature:
    feature = folder.features.get(key)
    others = ", ".join(k for k, f in folder.features.items() if f.type not in CAMERAS) or "none"
    if feature is None:
        raise LeRobotError(
            f"the dataset has no feature {key!r} for the {role}; it has: {others} (--{role})"
        )
    if feature.type in (*CAMERAS, "string", "bool") or len(feature.shape) != 1:
        raise LeRobotError(
            f"{key} is of type {feature.type} and shape {feature.shape}; accepted for the {role}: "
            "a row of numbers"
        )
    return feature


def _state_feature(folder: LeRobotFolder, config: BagConfig, notes: list[str]) -> Feature | None:
    key = config.state.feature or "observation.state"
    if key not in folder.features and config.state.feature is None and config.state.names is None:
        raise LeRobotError(
            "the dataset has no observation.state; name the state with --state, or use the camera "
            "alone with --no-state"
        )
    return _numbers(folder, key, "state")


def _values(
    folder: LeRobotFolder, action: Feature, state: Feature | None
) -> tuple[np.ndarray, np.ndarray]:
    """All actions and states, (frames, size) each."""
    keys = [action.key] + ([state.key] if state else [])
    rows = list(folder.episodes(keys))
    return (
        np.concatenate([r.numbers(action.key) for r in rows]),
        np.concatenate(
            [r.numbers(state.key) if state else np.zeros((len(r.times), 0)) for r in rows]
        ),
    )


def _entries(feature: Feature, role: str) -> list[str]:
    """A name for each number, as a JointState or an Odometry has it."""
    names = list(feature.names)
    if len(names) != feature.shape[0]:
        return [f"{role}_{i}" for i in range(feature.shape[0])]
    return [_plain(name) for name in names]


def _plain(name: str) -> str:
    for suffix, ours in _SUFFIXES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + ours
    return name


def _kind(
    actions: Sequence[str], states: Sequence[str], commanded: np.ndarray, measured: np.ndarray
) -> str:
    """The kind of the actions: by their names, else by how near they are to the measured state."""
    if all(name in TWIST_FIELDS for name in actions):
        return "velocity"
    endings = {name.rpartition("/")[2] for name in actions if "/" in name}
    if len(endings) == 1 and all("/" in name for name in actions):
        return endings.pop()
    shared = [(i, states.index(name)) for i, name in enumerate(actions) if name in states]
    if len(shared) == len(actions) and len(measured) > 1:
        mine, theirs = (list(column) for column in zip(*shared, strict=True))
        if _follows(commanded[:, mine], measured[:, theirs]):
            return "position"
    raise LeRobotError(
        "the names and values of the actions do not show whether they are positions, velocities or "
        f"efforts ({', '.join(actions)}); state --action-kind"
    )


def _follows(commanded: np.ndarray, measured: np.ndarray) -> bool:
    """Whether most measured numbers follow the commanded ones."""
    finite = np.isfinite(commanded).all(1) & np.isfinite(measured).all(1)
    commanded, measured = commanded[finite], measured[finite]
    spreads = commanded.std(0), measured.std(0)
    moving = (spreads[0] > 1e-9) & (spreads[1] > 1e-9)
    if not moving.any():
        return False
    scaled = [(v - v.mean(0))[:, moving] / v.std(0)[moving] for v in (commanded, measured)]
    alike = (scaled[0] * scaled[1]).mean(0)
    sizes = np.abs(np.log(spreads[0][moving] / spreads[1][moving]))
    return bool(np.median(alike) > _ALIKE and np.median(sizes) < np.log(_SIZES))


def _robot(
    folder: LeRobotFolder,
    config: BagConfig,
    degrees: bool,
    kind: str,
    action: tuple[tuple[str, ...], np.ndarray],
    state: tuple[tuple[str, ...], np.ndarray],
    notes: list[str],
) -> RobotSpec:
    names, state_names = action[0], state[0]
    of_base = bool(state_names) and all(name in ODOMETRY_FIELDS for name in state_names)
    source = config.state.source or ("odom" if of_base else "joint_states")
    if config.action.names is None:
        notes.append(f"action {', '.join(names)}")
    if config.state.names is None and state_names:
        notes.append(f"state {', '.join(state_names)}; at run time mpc reads it from {source}")
    unit = config.action.unit or _unit(kind, names, degrees)
    units = config.state.unit or tuple(_state_unit(name, source, degrees) for name in state_names)
    if "1" in (unit, *units):
        notes.append(
            "WARNING the dataset does not state units. mpc reads joint_states in rad: if these "
            "numbers are degrees, use --degrees; if they are normalised, publish them so"
        )
    low, high = config.action.low, config.action.high
    if low is None or high is None:
        guess = _limits(kind, action, state)
        low, high = low or guess[0], high or guess[1]
        span = ", ".join(f"{n} {a:g} to {b:g}" for n, a, b in zip(names, low, high, strict=False))
        notes.append(f"action limits from the data: {span}; better state the robot's own limits")
    height = config.image.height or config.image.width or _SIZE
    image = ImageSpec(height, config.image.width or height, value_range=None)
    notes.append(f"images of any shape are scaled to {image.height}x{image.width}")
    period = config.control_period or round(1.0 / folder.fps, 6)
    if config.control_period is None:
        notes.append(f"control period {period:g} s, from {folder.fps:g} fps")
    angles = config.state.angles
    if angles is None:
        angles = tuple(name for name in state_names if name == "yaw" and source == "odom")
    return RobotSpec(
        config.task,
        ActionSpec(names, kind, unit, low, high, config.action.rate_limit),
        StateSpec(state_names, units, source, angles),
        image,
        period,
        config.frame_skip,
        config.history,
    )


def _without_suffix(names: Sequence[str]) -> list[str]:
    """Names of actions as joint_names have them; the kind is stated apart."""
    return [name.partition("/")[0] for name in names]


def _columns(
    names: Sequence[str], found: Sequence[str], feature: Feature | None, what: str
) -> tuple[int, ...]:
    """The column of each name; names that the dataset does not have stand for its columns in order,
    if there are as many."""
    if feature is None or not names:
        return ()
    bare = _without_suffix(found) if what == "action.names" else list(found)
    if all(name in bare for name in names):
        return tuple(bare.index(name) for name in names)
    if len(names) == len(bare):
        return tuple(range(len(bare)))
    raise LeRobotError(
        f"{what} is {', '.join(names)}; {feature.key} has {', '.join(bare)}: name some of these, "
        f"or all {len(bare)} of them in order"
    )


def _scale(names: Sequence[str], degrees: bool) -> np.ndarray:
    turned = [degrees and not n.endswith("/effort") and n not in ODOMETRY_FIELDS for n in names]
    return np.where(turned, DEGREES, 1.0)


def _unit(kind: str, names: Sequence[str], degrees: bool) -> str:
    if all(name in TWIST_FIELDS for name in names):
        return "m/s, rad/s"
    return {"position": "rad", "velocity": "rad/s"}.get(kind, "1") if degrees else "1"


def _state_unit(name: str, source: str, degrees: bool) -> str:
    if source == "odom":
        return {"x": "m", "y": "m", "yaw": "rad", "vx": "m/s", "vy": "m/s"}.get(name, "rad/s")
    if name.endswith("/effort"):
        return "1"
    return ("rad/s" if name.endswith("/velocity") else "rad") if degrees else "1"


def _limits(
    kind: str,
    action: tuple[tuple[str, ...], np.ndarray],
    state: tuple[tuple[str, ...], np.ndarray],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Limits around the commanded values, and around measured positions; symmetric for others."""
    names, values = action
    low, high = np.nanmin(values, 0), np.nanmax(values, 0)
    if kind == "position":
        for i, name in enumerate(names):
            if name in state[0]:
                column = state[1][:, state[0].index(name)]
                low[i], high[i] = min(low[i], np.nanmin(column)), max(high[i], np.nanmax(column))
    else:
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    for still in np.flatnonzero(~(high - low > 1e-9)).tolist():
        raise LeRobotError(
            f"action {names[still]!r} is {high[still]:g} in the whole dataset; leave it out of "
            "--action-names, or state --action-low and --action-high"
        )
    return tuple(map(float, low)), tuple(map(float, high))
