"""The parts of a robot's description: its actions and its state.

`wm_mpc.spec` joins them into a `RobotSpec`. Import them from there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

ACTION_KINDS = ("velocity", "position", "effort")
STATE_SOURCES = ("odom", "joint_states")
_OUTSIDE = 0.02  # of its range; a position may be measured so far outside its limits
LARGEST_JUMP = 0.05  # of its range; largest step of a position that has no rate limit
_ALWAYS_ANGLES = {"odom": ("yaw",)}  # by source; these wrap, whatever a recording says
_LARGEST_LIMIT = 1e30  # beyond, float32 cannot hold the range of an action


class SpecError(ValueError):
    """The description of a robot is incomplete, or contradicts itself."""


def require(condition: bool, message: str) -> None:
    """Raise an error unless a condition is true.

    Args:
        condition: The condition.
        message: Text of the error.

    Raises:
        SpecError: The condition is false.
    """
    if not condition:
        raise SpecError(message)


def _finite(values: tuple[float, ...]) -> bool:
    return all(math.isfinite(v) for v in values)


@dataclasses.dataclass(frozen=True)
class ActionSpec:
    """The names, the kind and the limits of an action.

    Attributes:
        names: One name per number of the action. They become `joint_names` in `planned_actions`.
        kind: Field of a trajectory point that carries the values: one of `ACTION_KINDS`.
        unit: REP-103 unit of all numbers, for example "m/s".
        low: Lower limits, inclusive, in that unit.
        high: Upper limits, inclusive, in that unit.
        rate_limit: Largest change per second, one for each number, in that unit; None for no limit.

    Raises:
        SpecError: A value is not accepted.
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
            require(
                max(abs(low), abs(high)) <= _LARGEST_LIMIT,
                f"action limits of {name!r} are {low:g} and {high:g}; accepted: up to "
                f"{_LARGEST_LIMIT:g}",
            )
        if self.rate_limit is not None:
            require(
                len(self.rate_limit) == len(self.names)
                and _finite(self.rate_limit)
                and min(self.rate_limit) > 0,
                f"action.rate_limit is {self.rate_limit}; one positive number per action or null",
            )

    @property
    def size(self) -> int:
        """How many numbers an action has."""
        return len(self.names)

    @property
    def rest_is_measured(self) -> bool:
        """Whether rest depends on a measurement. True for robots moved by positions."""
        return self.kind == "position"

    def rest(self, measured: Mapping[str, float] | None = None) -> np.ndarray | None:
        """Return the action that keeps the robot still. This is the only definition of rest.

        Args:
            measured: Present positions by name, rad or m: of joints as in a JointState, or of a
                base (x, y, yaw). It may contain more names than the robot's actions.

        Returns:
            float64 (action size,), in the action's unit, inside its limits. For velocities and
            efforts: zero, or the limit nearest to zero. For positions: the measured ones, or the
            nearest limit if it is near; None if rest is unknown (`why_no_rest` says why).
        """
        low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        if not self.rest_is_measured:
            return np.clip(np.zeros(self.size), low, high)
        if self.why_no_rest(measured):
            return None
        known = measured or {}
        return np.clip([known[name] for name in self.names], low, high)

    def why_no_rest(self, measured: Mapping[str, float] | None) -> str:
        """Say why rest is unknown, or must not be sent; empty if `rest` is known.

        Either a position was not measured, or it is so far outside its limits that the robot would
        jump.

        Args:
            measured: Present positions by name, rad or m.
        """
        missing = self.unmeasured(measured)
        if missing:
            return (
                f"the robot's rest is unknown: no position of {', '.join(missing)} was measured, "
                "and a robot moved by positions needs it"
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

    def why_rest_moves(self) -> str:
        """Say that rest is no standstill, because limits of velocities or efforts exclude zero;
        empty if it is."""
        if self.rest_is_measured:
            return ""
        rest = self.rest()
        assert rest is not None
        moved = [f"{n} {v:g}" for n, v in zip(self.names, rest, strict=True) if v]
        if not moved:
            return ""
        return (
            f"the limits of the actions exclude 0, so a hold commands {', '.join(moved)} and does "
            "not stop the robot; limits of a robot that can stop include 0"
        )

    def unmeasured(self, measured: Mapping[str, float] | None) -> tuple[str, ...]:
        """Name the positions that must still be measured before rest is known.

        Args:
            measured: Present positions by name, rad or m.

        Returns:
            Names of actions; none for velocities and efforts.
        """
        if not self.rest_is_measured:
            return ()
        known = measured or {}
        return tuple(n for n in self.names if not math.isfinite(known.get(n, math.nan)))

    def largest_change(self, control_period: float) -> np.ndarray | None:
        """Return the largest change of an action from one control step to the next.

        Args:
            control_period: Length of a control step, s.

        Returns:
            float64 (action size,), in the action's unit, from the rate limit. Without a rate limit
            it is None for velocities and efforts, and `LARGEST_JUMP` of the range for positions,
            which must never jump.
        """
        if self.rate_limit is not None:
            return np.asarray(self.rate_limit) * control_period
        if self.rest_is_measured:
            return LARGEST_JUMP * (np.asarray(self.high) - np.asarray(self.low))
        return None


@dataclasses.dataclass(frozen=True)
class StateSpec:
    """The measured state of the robot, never that of the scene.

    Attributes:
        names: For `odom`, any of `wm_mpc.messages.reading.ODOMETRY_FIELDS` (x, y, yaw, vx, vy, wz).
            For `joint_states`, names of joints, with the suffix "/velocity" or "/effort" for those
            fields. Empty for a robot with a camera only.
        unit: REP-103 unit of each name.
        source: Topic of the state: one of `STATE_SOURCES`.
        angles: Names that wrap at +-pi rad, such as a yaw or the position of a continuous joint.
            Distances between angles go the short way round.

    Raises:
        SpecError: A value is not accepted.
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
        """How many numbers the state has."""
        return len(self.names)

    @property
    def place_columns(self) -> tuple[int, ...]:
        """Columns of a state that say where the robot is, counted from 0.

        Velocities (a unit per second) and forces or torques (a unit with N) say something else.
        """
        return tuple(
            column for column, unit in enumerate(self.unit) if "/s" not in unit and "N" not in unit
        )

    @property
    def angle_columns(self) -> tuple[int, ...]:
        """Columns of a state that are angles, counted from 0."""
        return tuple(self.names.index(name) for name in self.angles)

    @property
    def unnamed_angles(self) -> tuple[str, ...]:
        """Names that always wrap (the yaw of odometry) but are not among `angles`.

        Recordings and checkpoints from before angles were known have them.
        """
        always = _ALWAYS_ANGLES.get(self.source, ())
        return tuple(n for n in self.names if n in always and n not in self.angles)

    def with_all_angles(self) -> StateSpec:
        """Return the same state, with `unnamed_angles` among its angles."""
        return dataclasses.replace(self, angles=(*self.angles, *self.unnamed_angles))

    def measures_the_same(self, other: StateSpec) -> bool:
        """Whether two states hold the same numbers. Their angles may differ: they concern the model
        only.

        Args:
            other: The other state.
        """
        return dataclasses.replace(self, angles=()) == dataclasses.replace(other, angles=())
