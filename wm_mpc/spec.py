"""The description of a robot: names, units, limits, rates and image size.

One `RobotSpec` goes from the simulator (or a recorded bag) into the dataset, then into the
checkpoint, then into the `mpc` node. So nothing about a robot is written down twice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from wm_mpc.spec_image import IMAGE_ENCODINGS, CameraSpec, ImageSpec, Tile
from wm_mpc.spec_parts import (
    ACTION_KINDS,
    LARGEST_JUMP,
    STATE_SOURCES,
    ActionSpec,
    SpecError,
    StateSpec,
    require,
)

__all__ = [
    "ACTION_KINDS",
    "IMAGE_ENCODINGS",
    "LARGEST_JUMP",
    "STATE_SOURCES",
    "ActionSpec",
    "CameraSpec",
    "ImageSpec",
    "RobotSpec",
    "SpecError",
    "StateSpec",
    "Tile",
]

# No robot needs values beyond these. They would be mistakes, and would use up all memory.
_MOST_STEPS = 1000  # largest frame_skip and history
_LONGEST_PERIOD = 3600.0  # s
_SHORTEST_PERIOD = 1e-5  # s


@dataclasses.dataclass(frozen=True)
class RobotSpec:
    """Everything that the planner must know about a robot and its task.

    Attributes:
        task: Name of the task.
        action: The actions that the robot takes.
        state: The measured state of the robot.
        image: The camera image; with several cameras, their joined picture (`images`).
        control_period: Length of a control step, s.
        frame_skip: Control steps in a model step.
        history: Model steps that the dynamics sees, up to the present one.

    Raises:
        SpecError: A value is not accepted.
    """

    task: str
    action: ActionSpec
    state: StateSpec
    image: ImageSpec
    control_period: float
    frame_skip: int
    history: int = 1

    def __post_init__(self) -> None:
        require(bool(self.task), "task has no name")
        require(
            math.isfinite(self.control_period) and self.control_period > 0,
            f"control_period is {self.control_period}; a positive number of seconds is needed",
        )
        require(
            _SHORTEST_PERIOD <= self.control_period <= _LONGEST_PERIOD,
            f"control_period is {self.control_period}; accepted: {_SHORTEST_PERIOD:g} to "
            f"{_LONGEST_PERIOD:g} s",
        )
        for name in ("frame_skip", "history"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}; at least 1 is needed")
            require(value <= _MOST_STEPS, f"{name} is {value}; at most {_MOST_STEPS} are accepted")

    @property
    def block_size(self) -> int:
        """Numbers in the action block of a model step: `frame_skip` actions in a row."""
        return self.frame_skip * self.action.size

    @property
    def images(self) -> tuple[CameraSpec, ...]:
        """The cameras, one or several, each with its name, size and topic."""
        return self.image.cameras_and_topics()

    @property
    def model_period(self) -> float:
        """Length of a model step, s."""
        return self.frame_skip * self.control_period

    @property
    def rest_is_measured(self) -> bool:
        """See `ActionSpec.rest_is_measured`."""
        return self.action.rest_is_measured

    def rest(self, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """See `ActionSpec.rest`."""
        return self.action.rest(measured)

    def why_no_rest(self, measured: Mapping[str, float] | None) -> str:
        """See `ActionSpec.why_no_rest`."""
        return self.action.why_no_rest(measured)

    def measured_positions(self, state: np.ndarray) -> dict[str, float]:
        """Read the positions, which `rest` needs, out of a measured state.

        Args:
            state: (state size,), each entry in its unit.

        Returns:
            Positions by name, rad or m.
        """
        named = zip(self.state.names, np.asarray(state).tolist(), strict=True)
        return {name: value for name, value in named if "/" not in name}

    def normalised_rest(self, state: np.ndarray) -> np.ndarray:
        """Return the normalised action that keeps the robot still.

        Args:
            state: Measured state, (state size,), each entry in its unit.

        Returns:
            float32 (action size,) in [-1, 1].

        Raises:
            SpecError: The robot is moved by positions, and the state does not hold them, or they
                are outside their limits.
        """
        measured = self.measured_positions(state)
        rest = self.rest(measured)
        require(rest is not None, self.why_no_rest(measured))
        return self.normalise_action(np.asarray(rest))

    def is_same_robot(self, other: RobotSpec) -> bool:
        """Whether another description is of the same robot.

        Angles of the state may differ: they concern the model only (`StateSpec.measures_the_same`).

        Args:
            other: The other description.
        """
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
        """`largest_change` for normalised actions, float32 (action size,); None without a limit."""
        change = self.largest_change
        if change is None:
            return None
        spread = np.asarray(self.action.high) - np.asarray(self.action.low)
        return (2.0 * change / spread).astype(np.float32)

    def with_largest_jump(self, share: float) -> RobotSpec:
        """Return the same robot, with a rate limit for positions that have none.

        Args:
            share: Largest change in a control step, as a share of the range.
        """
        if self.action.rate_limit is not None or not self.rest_is_measured:
            return self
        spread = np.asarray(self.action.high) - np.asarray(self.action.low)
        limit = tuple((share * spread / self.control_period).tolist())
        return dataclasses.replace(self, action=dataclasses.replace(self.action, rate_limit=limit))

    def positions_of(self, moves: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Turn moves into normalised positions.

        Args:
            moves: (steps, action size); 1 is the largest change in one control step.
            rest: Normalised position (action size,) before the first move.

        Returns:
            float32 (steps, action size) in [-1, 1].
        """
        change = self.normalised_change
        assert change is not None
        rows, place = [], rest
        for move in np.clip(moves, -1.0, 1.0):
            place = np.clip(place + move * change, -1.0, 1.0)
            rows.append(place)
        return np.array(rows, np.float32).reshape(len(moves), self.action.size)

    def normalise_action(self, action: np.ndarray) -> np.ndarray:
        """Map actions from their limits to [-1, 1].

        Args:
            action: (..., action size), in the action's unit.

        Returns:
            float32 (..., action size).
        """
        low, high = np.asarray(self.action.low), np.asarray(self.action.high)
        return ((action - low) / (high - low) * 2.0 - 1.0).astype(np.float32)

    def denormalise_action(self, action: np.ndarray) -> np.ndarray:
        """Map normalised actions to the action's unit, clipped to the limits.

        Args:
            action: (..., action size).

        Returns:
            float64 (..., action size).
        """
        low, high = np.asarray(self.action.low), np.asarray(self.action.high)
        wanted = low + (np.asarray(action, np.float64) + 1.0) / 2.0 * (high - low)
        return np.minimum(np.maximum(wanted, low), high)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form for JSON, as datasets and checkpoints store it.

        Without angles, and with one camera, the form is that of versions before them. So older
        versions can read it, and its hashes stay the same.
        """
        data = dataclasses.asdict(self)
        if not self.image.cameras:
            del data["image"]["cameras"]
        if not self.state.angles:
            del data["state"]["angles"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RobotSpec:
        """Read what `to_dict` wrote.

        Args:
            data: The plain form.

        Raises:
            SpecError: An entry is missing, unknown, or of a wrong kind; the message names it.
        """
        try:
            return cls(
                task=_of_kind("task", data["task"], str, "a word"),
                action=_build(ActionSpec, data["action"], "action"),
                state=_build(StateSpec, data["state"], "state"),
                image=_image(data["image"]),
                control_period=float(
                    _of_kind("control_period", data["control_period"], (int, float), "a number")
                ),
                frame_skip=_of_kind("frame_skip", data["frame_skip"], int, "a whole number"),
                history=_of_kind("history", data["history"], int, "a whole number"),
            )
        except KeyError as error:
            raise SpecError(f"robot description has no entry {error.args[0]!r}") from None
        except SpecError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise SpecError(f"robot description holds a wrong kind of value: {error}") from None


_WORDS = ("names", "unit", "angles")
_NUMBERS = ("low", "high", "rate_limit", "value_range")


def _of_kind(name: str, value: Any, kind: Any, accepted: str) -> Any:
    """A value of a kind, of which True and False are none."""
    is_right = isinstance(value, kind) and not isinstance(value, bool)
    require(
        is_right,
        f"robot description holds a wrong kind of value: {name} is {repr(value)[:100]}; "
        f"{accepted} is needed",
    )
    return value


def _image(data: Any) -> ImageSpec:
    """The image; `cameras` is a list of tables, if it is there."""
    if not isinstance(data, Mapping) or "cameras" not in data:
        return _built(ImageSpec, data, "image")
    cameras = data["cameras"]
    require(
        isinstance(cameras, (list, tuple)) and bool(cameras),
        f"image.cameras is {repr(cameras)[:100]}; a list of cameras is needed",
    )
    built = [_built(CameraSpec, one, f"camera {place}") for place, one in enumerate(cameras, 1)]
    plain = _built(ImageSpec, {k: v for k, v in data.items() if k != "cameras"}, "image")
    return dataclasses.replace(plain, cameras=tuple(built))


_Part = TypeVar("_Part")


def _built(cls: type[_Part], data: Any, where: str) -> _Part:
    part: _Part = _build(cls, data, where)
    return part


def _build(cls: type, data: Any, where: str) -> Any:
    require(isinstance(data, Mapping), f"{where} must be a table of entries, got {data!r}")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(data) - known)
    require(not unknown, f"{where} has unknown entries {unknown}; known: {sorted(known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    for name, value in values.items():
        if name in _WORDS:
            words = isinstance(value, tuple) and all(isinstance(word, str) for word in value)
            if cls is ActionSpec and name == "unit":
                _of_kind(f"{where}: unit", value, str, "a word")
            else:
                require(words, f"{where}: {name} is {value!r}; a list of words is needed")
            if name == "names" and words:
                require(all(value), f"{where}: names is {value!r}; an empty word is no name")
        if name in _NUMBERS and isinstance(value, tuple):
            for number in value:
                _of_kind(f"{where}: {name}", number, (int, float), "a list of numbers")
        if name in ("name", "topic", "encoding"):
            _of_kind(f"{where}: {name}", value, str, "a word")
        if name in ("height", "width"):
            require(type(value) is int, f"{where}: {name} is {value!r}; a whole number is needed")
    try:
        return cls(**values)
    except TypeError as error:
        raise SpecError(f"{where}: {error}") from None
