"""The parts of a robot's description: what its actions, its state and its image are.

`wm_mpc.spec` joins them into a `RobotSpec` and hands them on; import them from there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

ACTION_KINDS = ("velocity", "position", "effort")
STATE_SOURCES = ("odom", "joint_states")
IMAGE_ENCODINGS = ("rgb8",)
_OUTSIDE = 0.02  # of its range: how far outside the limits a position may be measured
LARGEST_JUMP = 0.05  # of its range: how far a position without a rate limit goes in a period
_ALWAYS_ANGLES = {"odom": ("yaw",)}  # by source: these wrap, whatever a recording says
# Far beyond any robot; what is larger was never meant, and would take all memory.
_LARGEST_IMAGE = 8192  # pixels of a side


class SpecError(ValueError):
    """A description of a robot that contradicts itself or is incomplete."""


def require(condition: bool, message: str) -> None:
    """Raises SpecError with the message unless the condition is true."""
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
        require(len(self.names) > 0, "action.names is empty; at least one action is needed")
        require(
            len(set(self.names)) == len(self.names), f"action.names repeats a name: {self.names}"
        )
        require(
            self.kind in ACTION_KINDS,
            f"action.kind is {self.kind!r}; accepted: {', '.join(ACTION_KINDS)}",
        )
        for field in ("low", "high"):
            values = getattr(self, field)
            require(
                len(values) == len(self.names) and _finite(values),
                f"action.{field} is {values}; one finite number per action "
                f"({len(self.names)}) is needed",
            )
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            require(low < high, f"action limits of {name!r}: low {low} is not below high {high}")
        if self.rate_limit is not None:
            require(
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
            limit nearest to them, if that is near; None for a reason that `why_no_rest` gives.
        """
        low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        if not self.rest_is_measured:
            return np.clip(np.zeros(self.size), low, high)
        if self.why_no_rest(measured):
            return None
        known = measured or {}
        return np.clip([known[name] for name in self.names], low, high)

    def why_no_rest(self, measured: Mapping[str, float] | None) -> str:
        """Why the action that keeps the robot still is unknown, or must not be sent: a position was
        not measured, or lies so far outside the limits that the limit would make it jump. Empty
        where `rest` is known."""
        missing = self.unmeasured(measured)
        if missing:
            return (
                f"where the robot rests is unknown: no position of {', '.join(missing)} was "
                "measured, which a robot moved by positions needs"
            )
        if not self.rest_is_measured:
            return ""
        known = measured or {}
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            if not low - _OUTSIDE * (high - low) <= known[name] <= high + _OUTSIDE * (high - low):
                return (
                    f"{name} is measured at {known[name]:.4g} {self.unit}, outside its limits "
                    f"{low:g} to {high:g}: move it inside, or correct the limits"
                )
        return ""

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

    names: for `odom` any of `wm_mpc.messages.reading.ODOMETRY_FIELDS` (x, y, yaw, vx, vy, wz);
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
        require(
            len(set(self.names)) == len(self.names), f"state.names repeats a name: {self.names}"
        )
        require(
            len(self.unit) == len(self.names),
            f"state.unit has {len(self.unit)} entries for {len(self.names)} names",
        )
        require(
            self.source in STATE_SOURCES,
            f"state.source is {self.source!r}; accepted: {', '.join(STATE_SOURCES)}",
        )
        strange = [name for name in self.angles if name not in self.names]
        require(
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
        require(
            self.height >= 16 and self.width >= 16,
            f"image is {self.height}x{self.width}; at least 16x16 is needed",
        )
        require(
            max(self.height, self.width) <= _LARGEST_IMAGE,
            f"image is {self.height}x{self.width}; at most {_LARGEST_IMAGE} pixels a side are "
            "accepted",
        )
        require(
            self.encoding in IMAGE_ENCODINGS,
            f"image.encoding is {self.encoding!r}; accepted: {', '.join(IMAGE_ENCODINGS)}",
        )
        if self.value_range is not None:
            require(
                len(self.value_range) == 2
                and _finite(self.value_range)
                and self.value_range[0] != self.value_range[1],
                f"image.value_range is {self.value_range}; two different finite numbers, those of "
                "black and of white, or null",
            )
