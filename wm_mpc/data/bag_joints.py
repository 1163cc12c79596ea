"""Merge JointState messages of several publishers on one topic by the names of their joints.

An arm and its gripper often publish separately, each with its own names, rate and order. So no
single message is "the" state: each joint has its own stream of numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import split_joint

_STILL = 1e-4  # rad or m; a joint that moves less during a recording does not move
_FEWEST = 20  # numbers that are needed to see that a joint jumps back and forth
_RESTLESS = 0.2  # share of isolated numbers; noise has a smaller share
_LARGEST = float(np.finfo(np.float32).max)


def joint_row(
    message: Any, names: Sequence[str], unknown: Counter[str] | None = None
) -> np.ndarray:
    """Read the values of some state entries from a JointState.

    Args:
        message: A JointState.
        names: Entries of a state, as in `StateSpec.names`.
        unknown: Counts the names whose joint is in the message without a finite number.

    Returns:
        float64 (size,), NaN for an entry that the message does not have or that is not finite.

    Raises:
        MessageError: A field has neither no values nor one for each joint, a joint is named twice,
            no name is in the message, or none has a finite number.
    """
    index = {name: i for i, name in enumerate(message.name)}
    row = np.full(len(names), math.nan)
    present = False
    for k, name in enumerate(names):
        joint, field = split_joint(name)
        numbers = getattr(message, field)
        if joint in index and len(index) < len(message.name) and message.name.count(joint) > 1:
            raise MessageError(f"joint_states names the joint {joint!r} twice; once is accepted")
        if joint in index and len(numbers):
            if len(numbers) != len(message.name):
                raise MessageError(
                    f"joint_states has {len(numbers)} values of {field} for {len(message.name)} "
                    f"joints; {field} of {joint!r} is needed"
                )
            present = True
            value = numbers[index[joint]]
            if abs(value) <= _LARGEST:  # false for NaN
                row[k] = value
    missing = [
        name
        for name, value in zip(names, row, strict=True)
        if math.isnan(value) and split_joint(name)[0] in index
    ]
    if names and not present and not missing:
        raise MessageError(
            f"joint_states has none of {', '.join(names)}; it has: "
            f"{', '.join(message.name) or 'no joints'}"
        )
    if names and np.isnan(row).all():
        raise MessageError(f"joint_states has no finite number for {', '.join(missing)}")
    if unknown is not None:
        unknown.update(missing)
    return row


def merged_columns(values: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Group the columns that have numbers in the same rows.

    Args:
        values: (rows, columns), NaN where a number is missing.

    Returns:
        Column numbers of each group, and the rows with numbers, int64.
    """
    groups: dict[bytes, list[int]] = {}
    there = np.isfinite(values)
    for column in range(values.shape[1]):
        groups.setdefault(there[:, column].tobytes(), []).append(column)
    return [(columns, np.flatnonzero(there[:, columns[0]])) for columns in groups.values()]


@dataclasses.dataclass
class _Joint:
    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    spikes: int = 0  # numbers that are far from both neighbours, which are close to each other
    _last: tuple[float, float] = (math.nan, math.nan)

    def see(self, at: float) -> None:
        """Add a finite number."""
        self.count += 1
        self.low, self.high = min(self.low, at), max(self.high, at)
        first, second = self._last
        least = max(5.0 * abs(at - first), 0.02 * (self.high - self.low), _STILL)
        self.spikes += min(abs(second - first), abs(second - at)) > least
        self._last = second, at

    @property
    def moves(self) -> bool:
        return self.high - self.low > _STILL

    @property
    def is_restless(self) -> bool:
        return self.count >= _FEWEST and self.spikes > _RESTLESS * self.count


@dataclasses.dataclass
class Joints:
    """A summary of all messages of a JointState topic.

    Attributes:
        groups: Joint names that come together, one group per publisher, in the order of their
            first message.
        messages: Number of messages.
    """

    groups: list[list[str]]
    _positions: dict[str, _Joint]
    messages: int

    @classmethod
    def of(cls, messages: Iterable[Any]) -> Joints:
        """Read all messages, whichever joints each of them has.

        Args:
            messages: JointState messages.
        """
        positions: dict[str, _Joint] = {}
        groups: list[list[str]] = []
        known: set[tuple[str, ...]] = set()
        count = 0
        for message in messages:
            count += 1
            names = tuple(message.name)
            if names not in known:
                known.add(names)
                groups = _joined(groups, names)
            for name, at in zip(names, message.position, strict=False):
                joint = positions.setdefault(name, _Joint())
                if math.isfinite(at):
                    joint.see(float(at))
        return cls(groups, positions, count)

    @property
    def names(self) -> list[str]:
        """All joints, publisher by publisher."""
        return [name for group in self.groups for name in group]

    def measured(self, names: Iterable[str]) -> list[str]:
        """Return the names that have a position in any message.

        Args:
            names: Names of joints.
        """
        return [name for name in names if self._positions.get(name, _Joint()).count]

    def moves(self, names: Iterable[str]) -> bool:
        """Return whether any of the joints ever changes its position.

        Args:
            names: Names of joints.
        """
        return any(self._positions.get(name, _Joint()).moves for name in names)

    def robot(self, commanded: Sequence[str], numbers: int | None) -> tuple[list[str], list[str]]:
        """Choose the joints of the robot.

        Args:
            commanded: Joints that the actions name, if they name any.
            numbers: How many numbers an action without names has.

        Returns:
            The joints of the robot and the joints that are left out. The robot's joints are all
            measured joints of the publishers that have a commanded joint. Without commanded names,
            they are those of the only publisher that moves and has as many joints as there are
            numbers, else all that move, and if none moves, all.
        """
        groups = [found for group in self.groups if (found := self.measured(group))]
        chosen = [group for group in groups if set(group) & set(commanded)]
        if not chosen and numbers is not None:
            chosen = [group for group in groups if len(group) == numbers and self.moves(group)]
            chosen = chosen if len(chosen) == 1 else []
        chosen = chosen or [group for group in groups if self.moves(group)] or groups
        robot = [name for group in chosen for name in group]
        return robot, [name for group in groups for name in group if name not in robot]

    def unmeasured(self, robot: Sequence[str]) -> list[str]:
        """Return the joints of the robot's publishers that never have a finite position.

        Args:
            robot: Joints of the robot.
        """
        groups = [group for group in self.groups if set(group) & set(robot)]
        return [n for group in groups for n in group if n not in self.measured(group)]

    def restless(self, names: Iterable[str]) -> list[str]:
        """Return the joints whose position jumps back and forth, as if two publishers disagreed.

        Args:
            names: Names of joints.
        """
        return [name for name in names if self._positions.get(name, _Joint()).is_restless]


def _joined(groups: list[list[str]], names: Sequence[str]) -> list[list[str]]:
    """The groups with one more; groups that share a name are merged."""
    mine = [group for group in groups if set(group) & set(names)]
    together = list(dict.fromkeys([*(name for group in mine for name in group), *names]))
    if not mine:
        return [*groups, together] if together else groups
    return [together if group is mine[0] else group for group in groups
            if group is mine[0] or group not in mine]  # fmt: skip


class Newest:
    """The newest number of each joint in JointState commands of several publishers."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._row = np.full(len(names), math.nan)

    def row(self, message: Any) -> np.ndarray:
        """Return the value of each name, from this message or the newest one before it.

        Args:
            message: A JointState.

        Returns:
            float64 (size,), all finite.

        Raises:
            MessageError: No message so far has a value for one of the names, or as for
                `joint_row`.
        """
        row = joint_row(message, self._names)
        self._row = np.where(np.isnan(row), self._row, row)
        if np.isnan(self._row).any():
            missing = self._names[int(np.flatnonzero(np.isnan(self._row))[0])]
            raise MessageError(f"no message has had a value for {missing} so far")
        return self._row.copy()
