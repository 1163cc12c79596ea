"""What a robot is to the rest of the package: names, units, limits, rates and image size.

One `RobotSpec` travels from the simulator (or a recorded bag) into the dataset, from there into
the checkpoint, and from the checkpoint into the `mpc` node, so nothing about a robot is written
down twice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

ACTION_KINDS = ("velocity", "position", "effort")
STATE_SOURCES = ("odom", "joint_states")
IMAGE_ENCODINGS = ("rgb8",)
LARGEST_JUMP = 0.05  # of its range: how far a position without a rate limit goes in a period
_ALWAYS_ANGLES = {"odom": ("yaw",)}  # by source: these wrap, whatever a recording says
# Far beyond any robot; what is larger was never meant, and would take all memory.
_LARGEST_IMAGE = 8192  # pixels of a side
_MOST_STEPS = 1000  # of frame_skip and history
_LONGEST_PERIOD = 3600.0  # s
_SHORTEST_PERIOD = 1e-5  # s


class SpecError(ValueError):
    """A description of a robot that contradicts itself or is incomplete."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SpecError(message)


def _finite(values: tuple[float, ...]) -> bool:
    return all(math.isfinite(v) for v in values)


@dataclasses.dataclass(frozen=True)
class ActionSpec:
    """One low-level action: what each number is called, means, and may be.

    names: one per action dimension; become `joint_names` of `planned_actions`.
    kind: which field of a trajectory point carries the values (`ACTION_KINDS`).
    unit: REP-103 unit of every dimension, e.g. "m/s".
    low, high: inclusive limits in that unit.
    rate_limit: largest change per second and dimension, or None for no limit.
    """

    names: tuple[str, ...]
    kind: str
    unit: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    rate_limit: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _require(len(self.names) > 0, "action.names is empty; at least one action is needed")
        _require(
            len(set(self.names)) == len(self.names), f"action.names repeats a name: {self.names}"
        )
        _require(
            self.kind in ACTION_KINDS,
            f"action.kind is {self.kind!r}; accepted: {', '.join(ACTION_KINDS)}",
        )
        for field in ("low", "high"):
            values = getattr(self, field)
            _require(
                len(values) == len(self.names) and _finite(values),
                f"action.{field} is {values}; one finite number per action "
                f"({len(self.names)}) is needed",
            )
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            _require(low < high, f"action limits of {name!r}: low {low} is not below high {high}")
        if self.rate_limit is not None:
            _require(
                len(self.rate_limit) == len(self.names)
                and _finite(self.rate_limit)
                and min(self.rate_limit) > 0,
                f"action.rate_limit is {self.rate_limit}; one positive number per action or null",
            )

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def rest_is_measured(self) -> bool:
        """Whether standing still has to be measured: so it is for robots moved by positions."""
        return self.kind == "position"

    def rest(self, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """The action that keeps the robot still: the only definition of rest.

        Args:
            measured: present positions by name (rad or m), of joints as a JointState names them
                or of a base (x, y, yaw). More names than the robot's actions are no harm.

        Returns:
            float64 (action size,), in the action's unit, inside its limits. For velocities and
            efforts: zero, or the limit nearest to it. For positions: the measured ones, or the
            limit nearest to them; None while any of them is unknown or not finite.
        """
        low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        if not self.rest_is_measured:
            return np.clip(np.zeros(self.size), low, high)
        if self.unmeasured(measured):
            return None
        known = measured or {}
        return np.clip([known[name] for name in self.names], low, high)

    def unmeasured(self, measured: Mapping[str, float] | None) -> tuple[str, ...]:
        """Actions whose position has to be measured before the robot's rest is known, and is not
        among those measured (by name); none for velocities and efforts."""
        if not self.rest_is_measured:
            return ()
        known = measured or {}
        return tuple(n for n in self.names if not math.isfinite(known.get(n, math.nan)))

    def largest_change(self, control_period: float) -> np.ndarray | None:
        """How far an action may be from the one before it, a control period (s) earlier.

        Returns:
            float64 (action size,), in the action's unit: as the rate limit says. Without one, None
            for velocities and efforts; positions never jump, so `LARGEST_JUMP` of their range.
        """
        if self.rate_limit is not None:
            return np.asarray(self.rate_limit) * control_period
        if self.rest_is_measured:
            return LARGEST_JUMP * (np.asarray(self.high) - np.asarray(self.low))
        return None


@dataclasses.dataclass(frozen=True)
class StateSpec:
    """The measured robot state (proprioception), never the state of the scene.

    names: for `odom` any of `wm_mpc.ros.reading.ODOMETRY_FIELDS` (x, y, yaw, vx, vy, wz);
        for `joint_states` joint names, with the suffix "/velocity" or "/effort" for those fields.
        None at all for a robot with nothing but a camera.
    unit: one per name, REP-103.
    source: which topic carries it (`STATE_SOURCES`).
    angles: which of the names wrap at +-pi rad: a yaw, the position of a continuous joint.
        Distances between them go the short way round.
    """

    names: tuple[str, ...]
    unit: tuple[str, ...]
    source: str
    angles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(
            len(set(self.names)) == len(self.names), f"state.names repeats a name: {self.names}"
        )
        _require(
            len(self.unit) == len(self.names),
            f"state.unit has {len(self.unit)} entries for {len(self.names)} names",
        )
        _require(
            self.source in STATE_SOURCES,
            f"state.source is {self.source!r}; accepted: {', '.join(STATE_SOURCES)}",
        )
        strange = [name for name in self.angles if name not in self.names]
        _require(
            not strange and len(set(self.angles)) == len(self.angles),
            f"state.angles is {self.angles}; accepted: entries of state.names, {self.names}, "
            "each at most once",
        )

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def angle_columns(self) -> tuple[int, ...]:
        """Which entries of a state are angles, as numbers from 0."""
        return tuple(self.names.index(name) for name in self.angles)

    @property
    def unnamed_angles(self) -> tuple[str, ...]:
        """Entries that wrap in any case, the yaw of odometry, but are not among `angles`. So it is
        in what was recorded or trained before angles were known."""
        always = _ALWAYS_ANGLES.get(self.source, ())
        return tuple(n for n in self.names if n in always and n not in self.angles)

    def with_all_angles(self) -> StateSpec:
        """The same state, with `unnamed_angles` among its angles."""
        return dataclasses.replace(self, angles=(*self.angles, *self.unnamed_angles))

    def measures_the_same(self, other: StateSpec) -> bool:
        """Whether two states have the same numbers; which of them a model sees as angles is the
        model's affair."""
        return dataclasses.replace(self, angles=()) == dataclasses.replace(other, angles=())


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """The camera image as the model sees it: height and width in pixels, encoding rgb8.

    value_range: of a camera with more than 8 bits (depth, mono16): the values, in its own unit,
        that become black and white; None: none was stated.
    """

    height: int
    width: int
    encoding: str = "rgb8"
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _require(
            self.height >= 16 and self.width >= 16,
            f"image is {self.height}x{self.width}; at least 16x16 is needed",
        )
        _require(
            max(self.height, self.width) <= _LARGEST_IMAGE,
            f"image is {self.height}x{self.width}; at most {_LARGEST_IMAGE} pixels a side are "
            "accepted",
        )
        _require(
            self.encoding in IMAGE_ENCODINGS,
            f"image.encoding is {self.encoding!r}; accepted: {', '.join(IMAGE_ENCODINGS)}",
        )
        if self.value_range is not None:
            _require(
                len(self.value_range) == 2
                and _finite(self.value_range)
                and self.value_range[0] != self.value_range[1],
                f"image.value_range is {self.value_range}; two different finite numbers, those of "
                "black and of white, or null",
            )


@dataclasses.dataclass(frozen=True)
class RobotSpec:
    """Everything the planner must know about a robot and its task.

    control_period: seconds between two low-level actions.
    frame_skip: low-level actions in one model step (so a model step lasts
        `frame_skip * control_period` seconds).
    history: model steps of past observations the dynamics sees, the present one included.
    """

    task: str
    action: ActionSpec
    state: StateSpec
    image: ImageSpec
    control_period: float
    frame_skip: int
    history: int = 1

    def __post_init__(self) -> None:
        _require(bool(self.task), "task has no name")
        _require(
            math.isfinite(self.control_period) and self.control_period > 0,
            f"control_period is {self.control_period}; a positive number of seconds is needed",
        )
        _require(
            _SHORTEST_PERIOD <= self.control_period <= _LONGEST_PERIOD,
            f"control_period is {self.control_period}; accepted: {_SHORTEST_PERIOD:g} to "
            f"{_LONGEST_PERIOD:g} s",
        )
        for name in ("frame_skip", "history"):
            value = getattr(self, name)
            _require(value >= 1, f"{name} is {value}; at least 1 is needed")
            _require(value <= _MOST_STEPS, f"{name} is {value}; at most {_MOST_STEPS} are accepted")

    @property
    def block_size(self) -> int:
        """Numbers in one model-step action: `frame_skip` low-level actions, flattened."""
        return self.frame_skip * self.action.size

    @property
    def model_period(self) -> float:
        """Seconds one model step lasts."""
        return self.frame_skip * self.control_period

    @property
    def rest_is_measured(self) -> bool:
        """See `ActionSpec.rest_is_measured`."""
        return self.action.rest_is_measured

    def rest(self, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """See `ActionSpec.rest`."""
        return self.action.rest(measured)

    def unmeasured(self, measured: Mapping[str, float] | None) -> tuple[str, ...]:
        """See `ActionSpec.unmeasured`."""
        return self.action.unmeasured(measured)

    def measured_positions(self, state: np.ndarray) -> dict[str, float]:
        """The positions by name that a measured state (state size,) holds: what `rest` takes."""
        named = zip(self.state.names, np.asarray(state).tolist(), strict=True)
        return {name: value for name, value in named if "/" not in name}

    def normalised_rest(self, state: np.ndarray) -> np.ndarray:
        """The normalised action that keeps the robot still where a state (state size,) says it is;
        float32 (action size,).

        Raises:
            SpecError: The robot is moved by positions that the state does not hold.
        """
        measured = self.measured_positions(state)
        rest = self.rest(measured)
        _require(
            rest is not None,
            f"rest is unknown: the state has no position of {', '.join(self.unmeasured(measured))}",
        )
        return self.normalise_action(np.asarray(rest))

    def is_same_robot(self, other: RobotSpec) -> bool:
        """Whether another description is of the same robot, whichever of its numbers a model sees
        as angles (`StateSpec.measures_the_same`)."""
        plain = [
            dataclasses.replace(robot, state=dataclasses.replace(robot.state, angles=()))
            for robot in (self, other)
        ]
        return plain[0] == plain[1]

    @property
    def largest_change(self) -> np.ndarray | None:
        """See `ActionSpec.largest_change`."""
        return self.action.largest_change(self.control_period)

    @property
    def normalised_change(self) -> np.ndarray | None:
        """`largest_change` of normalised actions, float32 (action size,); None without a limit."""
        change = self.largest_change
        if change is None:
            return None
        spread = np.asarray(self.action.high) - np.asarray(self.action.low)
        return (2.0 * change / spread).astype(np.float32)

    def with_largest_jump(self, share: float) -> RobotSpec:
        """The same robot; positions without a rate limit get one, of that share of their range in
        a control period."""
        if self.action.rate_limit is not None or not self.rest_is_measured:
            return self
        spread = np.asarray(self.action.high) - np.asarray(self.action.low)
        limit = tuple((share * spread / self.control_period).tolist())
        return dataclasses.replace(self, action=dataclasses.replace(self.action, rate_limit=limit))

    def positions_of(self, moves: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Normalised positions (steps, action size) from moves: 1 is the largest change in a
        control period. rest: the normalised position (action size,) before the first one."""
        change = self.normalised_change
        assert change is not None
        rows, place = [], rest
        for move in np.clip(moves, -1.0, 1.0):
            place = np.clip(place + move * change, -1.0, 1.0)
            rows.append(place)
        return np.array(rows, np.float32).reshape(len(moves), self.action.size)

    def normalise_action(self, action: np.ndarray) -> np.ndarray:
        """Map actions (..., action size) from their limits to [-1, 1]; float32."""
        low, high = np.asarray(self.action.low), np.asarray(self.action.high)
        return ((action - low) / (high - low) * 2.0 - 1.0).astype(np.float32)

    def denormalise_action(self, action: np.ndarray) -> np.ndarray:
        """Inverse of `normalise_action`, clipped to the limits; float64."""
        low, high = np.asarray(self.action.low), np.asarray(self.action.high)
        wanted = low + (np.asarray(action, np.float64) + 1.0) / 2.0 * (high - low)
        return np.minimum(np.maximum(wanted, low), high)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able form, as stored in datasets and checkpoints. Without angles it is what
        it was before there were any, so older versions read it and hashes of it stay."""
        data = dataclasses.asdict(self)
        if not self.state.angles:
            del data["state"]["angles"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RobotSpec:
        """Inverse of `to_dict`. Raises SpecError naming the missing or unknown entry."""
        try:
            return cls(
                task=str(data["task"]),
                action=_build(ActionSpec, data["action"], "action"),
                state=_build(StateSpec, data["state"], "state"),
                image=_build(ImageSpec, data["image"], "image"),
                control_period=float(data["control_period"]),
                frame_skip=int(data["frame_skip"]),
                history=int(data["history"]),
            )
        except KeyError as error:
            raise SpecError(f"robot description has no entry {error.args[0]!r}") from None
        except SpecError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise SpecError(f"robot description holds a wrong kind of value: {error}") from None


_WORDS = ("names", "unit", "angles")


def _build(cls: type, data: Any, where: str) -> Any:
    _require(isinstance(data, Mapping), f"{where} must be a table of entries, got {data!r}")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(data) - known)
    _require(not unknown, f"{where} has unknown entries {unknown}; known: {sorted(known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    for name, value in values.items():
        if name in _WORDS:
            words = isinstance(value, tuple) and all(isinstance(word, str) for word in value)
            _require(
                words or (cls is ActionSpec and name == "unit" and isinstance(value, str)),
                f"{where}: {name} is {value!r}; a list of words is needed",
            )
        if name in ("height", "width"):
            _require(type(value) is int, f"{where}: {name} is {value!r}; a whole number is needed")
    try:
        return cls(**values)
    except TypeError as error:
        raise SpecError(f"{where}: {error}") from None
