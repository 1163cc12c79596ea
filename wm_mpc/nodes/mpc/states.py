"""What the node `mpc` hears of the robot's state: `joint_states` and `odom`, by name and by time.

Arm, gripper and base may publish apart, each at its own rate: a message that lacks joints is no
fault, as long as every joint of the model is measured often enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from wm_mpc.control.observing import Ahead
from wm_mpc.control.state_history import StateAt, StateHistory
from wm_mpc.messages.errors import MessageError
from wm_mpc.messages.reading import LARGEST
from wm_mpc.ros.messages import joint_entries, odometry_to_state, split_joint, yaw_of
from wm_mpc.spec import RobotSpec

STATE_TYPES = {"odom": Odometry, "joint_states": JointState}
_BASE = ("x", "y", "yaw")  # positions that odometry has
_PUBLISHERS = 64  # sets of joints whose last message is kept
_HEARD = 2.0  # s, for which a publisher counts after its last message


def sources_of(spec: RobotSpec, source: str) -> list[str]:
    """Of `STATE_TYPES`: what to listen to. source: where the model's state comes from. Where the
    robot rests may have to be measured besides."""
    found = [source]
    if spec.rest_is_measured:
        needed = {"odom" if name in _BASE else "joint_states" for name in spec.action.names}
        found += sorted(needed - {source})
    return found


class States:
    """The newest of every joint, and the history of the model's state. Not thread-safe. Stamps are
    ns; times of arrival are s of a steady clock."""

    def __init__(self, spec: RobotSpec, source: str) -> None:
        """source: of `STATE_TYPES`, which tells the model's state."""
        self._spec, self._source = spec, source
        # A yaw from a quaternion wraps, whatever an old checkpoint says of it.
        angles = {*spec.state.angles, *({"yaw"} & {*spec.state.names} if source == "odom" else ())}
        self.history = StateHistory(spec.state.names, sorted(angles))
        self.refused = 0  # messages of which something could not be used
        self.last_fault = ""
        # The last message of each publisher (told by its joints), its stamp, and when it came.
        self._newest: dict[tuple[str, ...], tuple[Any, int, float]] = {}
        self._aheads: dict[tuple[str, ...], Ahead] = {}  # of those that tell the model's state

    def forget(self) -> None:
        """What was measured before has nothing to do with what comes."""
        self.history.forget()
        self._newest.clear()
        self._aheads.clear()

    @property
    def ahead(self) -> Ahead:
        """Of the stamps: of the publisher whose are most ahead, among those that are heard now."""
        latest = max((self._newest[key][2] for key in self._aheads), default=0.0)
        heard = [
            ahead for key, ahead in self._aheads.items() if self._newest[key][2] > latest - _HEARD
        ]
        return max(heard, key=lambda ahead: ahead.newest, default=Ahead())

    def add(self, message: Any, stamp: int, now: int, received: float) -> str:
        """A message, just come; now: of the clock of the stamps. Returns what of it could not be
        used, and why; empty for nothing."""
        is_odometry = isinstance(message, Odometry)
        key = _BASE if is_odometry else tuple(message.name)
        self._newest.pop(key, None)
        self._newest[key] = message, stamp, received
        if len(self._newest) > _PUBLISHERS:
            oldest = next(iter(self._newest))
            del self._newest[oldest]
            self._aheads.pop(oldest, None)
        if is_odometry != (self._source == "odom") or not self.history.names:
            return ""
        values, faults = self._read(message)
        if values:
            if key not in self._aheads:
                self._aheads[key] = Ahead("" if is_odometry else ", ".join(values))
            self._aheads[key].add(stamp, now)
            self.history.add(stamp, received, values)
        if faults:
            self.refused += 1
            self.last_fault = next(iter(faults.values()))
            self.history.refuse(faults)
            return self.last_fault
        return ""

    def _read(self, message: Any) -> tuple[dict[str, float], dict[str, str]]:
        names = self.history.names
        if not isinstance(message, Odometry):
            return joint_entries(message, names)
        try:
            values = odometry_to_state(message, self._spec.state)
        except MessageError as error:
            return {}, dict.fromkeys(names, str(error))
        return dict(zip(names, values.tolist(), strict=True)), {}

    def at(self, stamp: int) -> StateAt | None:
        """The model's state at a moment; None while an entry was never measured."""
        return self.history.at(stamp)

    def why_missing(self) -> str:
        """Which entries were never measured, and what was heard; empty when nothing was."""
        missing = self.history.missing()
        faults = [fault for name in missing if (fault := self.history.fault(name))]
        if faults:
            return faults[0]
        heard = sorted({name for names in self._newest for name in names})
        if not heard or self._source == "odom":
            return ""
        return f"{', '.join(missing)} not among the joints heard: {', '.join(heard)}"

    def positions(self, since: float) -> dict[str, float]:
        """The newest position (m or rad) by name, of all joints and of the base (x, y, yaw), that
        came at `since` or later."""
        return {name: place for name, (_, place) in self.places(since).items()}

    def places(self, since: float) -> dict[str, tuple[int, float]]:
        """`positions`, each with its stamp (ns)."""
        found: dict[str, tuple[int, float]] = {}
        recent = [entry for entry in self._newest.values() if entry[2] >= since]
        # By stamp: another node may send on what a joint's own driver has said before.
        for message, stamp, _ in sorted(recent, key=lambda entry: entry[1]):
            found |= {name: (stamp, place) for name, place in _positions(message).items()}
        return found

    def watched_positions(self, since: float) -> dict[str, float]:
        """`positions` of the base and of the joints that the model measures or moves: what the
        camera should see move. Where none of them is heard, all."""
        found = self.positions(since)
        names = (*self._spec.state.names, *self._spec.action.names)
        known = {split_joint(name)[0] for name in names} | set(_BASE)
        return {name: place for name, place in found.items() if name in known} or found

    def state_positions(self, state: np.ndarray) -> dict[str, float]:
        """Of a state (state size,): the positions that it has (rad or m), by name, as the joints
        count them. A state's angle is between -pi and pi; a joint may have made whole turns."""
        found = self._spec.measured_positions(state)
        newest = self.positions(-math.inf) if self._spec.state.angles else {}
        for name in self._spec.state.angles:
            if name in found:
                turns = round((newest.get(name, found[name]) - found[name]) / (2.0 * math.pi))
                found[name] += 2.0 * math.pi * turns
        return found

    def newest_pose(self) -> tuple[float, float, float] | None:
        """(x, y, yaw) in the odom frame (m, rad), from odometry; None when not known."""
        found = self.positions(-math.inf)
        if any(name not in found for name in _BASE):
            return None
        return found["x"], found["y"], found["yaw"]

    def values(self) -> dict[str, object]:
        """For diagnostics."""
        if not self.refused:
            return {}
        return {"state messages refused": f"{self.refused}; last: {self.last_fault}"}


def _positions(message: Any) -> dict[str, float]:
    """Those that can be used."""
    if isinstance(message, Odometry):
        position, q = message.pose.pose.position, message.pose.pose.orientation
        found = {"x": position.x, "y": position.y}
        if any((q.x, q.y, q.z, q.w)):
            found["yaw"] = yaw_of(q.x, q.y, q.z, q.w)
        return {name: value for name, value in found.items() if abs(value) <= LARGEST}
    names: Sequence[str] = message.name
    if len(message.position) != len(names):
        return {}
    named = zip(names, message.position, strict=True)
    found = {name: float(value) for name, value in named if abs(value) <= LARGEST}
    if len(set(names)) == len(names):
        return found
    # Of a joint that is named twice, nobody knows which one is right.
    return {name: value for name, value in found.items() if names.count(name) == 1}
