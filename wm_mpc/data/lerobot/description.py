"""Describe the robot of a LeRobot dataset: from the settings where stated, else from the data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from wm_mpc.data.bag_angles import turns_in
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.lerobot.cameras import camera_keys, image_of
from wm_mpc.data.lerobot.entries import columns, entries, joints_of
from wm_mpc.data.lerobot.info import Feature, LeRobotError
from wm_mpc.data.lerobot.kinds import kind_of
from wm_mpc.data.lerobot.layout import CAMERAS, LeRobotFolder, Rows
from wm_mpc.messages.reading import LARGEST, ODOMETRY_FIELDS, TWIST_FIELDS, split_joint
from wm_mpc.spec import ActionSpec, RobotSpec, SpecError, StateSpec

_OTHER_RATE = 0.02  # share by which timestamps may differ from 1 / fps
DEGREES = math.pi / 180


@dataclasses.dataclass(frozen=True)
class Source:
    """What is read from a dataset, and how.

    Attributes:
        spec: The robot.
        images: Keys of the cameras, the main one first.
        state: Key of the state; "" without one.
        action: Key of the actions.
        state_columns: Column of the feature for each entry of the state.
        action_columns: The same for the action.
        state_scale: Factor for each entry of the state.
        action_scale: Factor for each entry of the action.
        notes: A sentence for each guess.
    """

    spec: RobotSpec
    images: tuple[str, ...]
    state: str
    action: str
    state_columns: tuple[int, ...]
    action_columns: tuple[int, ...]
    state_scale: np.ndarray
    action_scale: np.ndarray
    state_size: int
    action_size: int
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
    images = camera_keys(folder, config)
    action = _numbers(folder, config.action.feature or "action", "action")
    state = None
    if not config.stateless:
        state = _state_feature(folder, config, notes)
    rows = list(folder.episodes([action.key] + ([state.key] if state else [])))
    commanded, measured = _values(rows, action, state)
    state_names = entries(state, "state", notes) if state else []
    action_names = entries(action, "action", notes)
    if state and not action.names and action.shape == state.shape:
        action_names = list(state_names)
    kind = kind_of(config, robot, (action_names, commanded), (state_names, measured), notes)
    wanted = config.action.names or tuple(joints_of(action_names))
    wanted_state = tuple(state_names) if config.state.names is None else config.state.names
    if robot is not None:
        wanted, wanted_state = robot.action.names, robot.state.names
    may_rename = robot is None or config.action.names is not None
    action_columns = columns(wanted, action_names, action, "action.names", may_rename=may_rename)
    may_rename = robot is None or config.state.names is not None
    state_columns = columns(wanted_state, state_names, state, "state.names", may_rename=may_rename)
    values = commanded[:, list(action_columns)] * _scale(wanted, degrees)
    positions = measured[:, list(state_columns)] * _scale(wanted_state, degrees)
    try:
        if robot is None:
            lengths = [len(each.times) for each in rows]
            robot = _robot(
                config, degrees, kind, _period(folder, rows, config, notes), (wanted, values),
                (wanted_state, positions), np.cumsum(lengths)[:-1], notes,
            )  # fmt: skip
        else:
            notes.append("the description of the robot comes from the dataset that is extended")
    except SpecError as error:
        raise LeRobotError(str(error)) from None
    if len(images) != len(robot.images):
        names = ", ".join(camera.name for camera in robot.images)
        raise LeRobotError(
            f"{len(images)} cameras are read, but the dataset's robot has {len(robot.images)} "
            f"({names}); name them in image.cameras of --config"
        )
    notes += _doubts(robot)
    return Source(
        robot, images, state.key if state and robot.state.size else "", action.key,
        state_columns, action_columns,
        _scale(robot.state.names, degrees), _scale(robot.action.names, degrees),
        state.shape[0] if state else 0, action.shape[0], tuple(notes),
    )  # fmt: skip


def _doubts(robot: RobotSpec) -> list[str]:
    """Warnings about a robot that cannot rest as it is described."""
    known = {*robot.state.names, "x", "y", "yaw"}
    missing = [n for n in robot.action.names if robot.rest_is_measured and n not in known]
    found = []
    if missing:
        found.append(
            f"WARNING the state has no {', '.join(missing)}. A robot moved by positions needs its "
            "measured positions: mpc sends nothing until joint_states have these names"
        )
    if moving := robot.action.why_rest_moves():
        found.append(f"WARNING {moving}")
    return found


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
    rows: Sequence[Rows], action: Feature, state: Feature | None
) -> tuple[np.ndarray, np.ndarray]:
    """All actions and states, (frames, size) each; NaN for numbers that float32 cannot hold."""
    pairs = [
        (
            each.numbers(action.key, action.shape[0]),
            each.numbers(state.key, state.shape[0]) if state else np.zeros((len(each.times), 0)),
        )
        for each in rows
    ]
    commanded, measured = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return _representable(commanded), _representable(measured)


def _representable(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def _period(
    folder: LeRobotFolder, rows: Sequence[Rows], config: BagConfig, notes: list[str]
) -> float:
    """The control period, s: as stated, else as the timestamps and fps say; timestamps win."""
    steps = np.concatenate([np.diff(each.times) for each in rows])
    steps = steps[np.isfinite(steps) & (steps > 0)]
    period = found = round(1.0 / folder.fps, 6)
    if len(steps):
        found = float(np.median(steps))
    if found > config.image.max_gap:
        raise LeRobotError(
            f"the frames are {found:g} s apart by their timestamps, which is more than "
            f"image.max_gap, {config.image.max_gap:g} s: raise --max-gap, or correct the "
            "timestamps, which must be seconds"
        )
    if abs(found - period) > _OTHER_RATE * period:
        notes.append(
            f"WARNING info.json says {folder.fps:g} fps, but the frames are {found:g} s apart by "
            "their timestamps, which count"
        )
        period = round(found, 6)
        why = "from the timestamps"
    else:
        why = f"from {folder.fps:g} fps"
    if config.control_period is not None:
        return config.control_period
    notes.append(f"control period {period:g} s, {why}")
    return period


def _robot(
    config: BagConfig,
    degrees: bool,
    kind: str,
    period: float,
    action: tuple[tuple[str, ...], np.ndarray],
    state: tuple[tuple[str, ...], np.ndarray],
    borders: np.ndarray,
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
    image = image_of(config)
    notes.append(f"images of any shape are scaled to {image.height}x{image.width}")
    angles = config.state.angles
    if angles is None:
        angles = _angles(state, source, borders, notes)
    return RobotSpec(
        config.task,
        ActionSpec(names, kind, unit, low, high, config.action.rate_limit),
        StateSpec(state_names, units, source, angles),
        image,
        period,
        config.frame_skip,
        config.history,
    )


def _angles(
    state: tuple[tuple[str, ...], np.ndarray],
    source: str,
    borders: np.ndarray,
    notes: list[str],
) -> tuple[str, ...]:
    """The entries that wrap: a yaw, and joints whose position jumps by a turn in an episode."""
    if source == "odom":
        return tuple(name for name in state[0] if name == "yaw")
    found: dict[str, int] = {}
    for name, column in zip(state[0], state[1].T, strict=True):
        tracks = [track[np.isfinite(track)] for track in np.split(column, borders)]
        if split_joint(name)[1] == "position" and (jumps := turns_in(tracks)):
            found[name] = jumps
    if found:
        why = ", ".join(f"{name} (jumps by a turn {jumps} times)" for name, jumps in found.items())
        notes.append(f"angles that wrap at +-pi: {why}; --angles sets them")
    return tuple(found)


def _scale(names: Sequence[str], degrees: bool) -> np.ndarray:
    turned = [degrees and not n.endswith("/effort") and n not in ODOMETRY_FIELDS for n in names]
    return np.where(turned, DEGREES, 1.0)


def _unit(kind: str, names: Sequence[str], degrees: bool) -> str:
    if all(name in TWIST_FIELDS for name in names):
        units = ["m/s" if name.startswith("v") else "rad/s" for name in names]
        return ", ".join(dict.fromkeys(units))
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
    never = [name for name, column in zip(names, values.T, strict=True)
             if not np.isfinite(column).any()]  # fmt: skip
    if never:
        raise LeRobotError(f"action {never[0]!r} has no finite number in the whole dataset")
    low, high = np.nanmin(values, 0), np.nanmax(values, 0)
    if kind == "position":
        for i, name in enumerate(names):
            if name in state[0]:
                column = state[1][:, state[0].index(name)]
                if not np.isfinite(column).any():
                    continue
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
