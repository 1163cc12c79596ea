"""Plans as serialized messages, written into one that was made before.

rclpy looks at every field of every point of a trajectory, each time it is published; of two plans
of as many points only the stamp and the actions differ. Where these stand is found by what was
written there, and if it is not, rclpy serializes: the layout is the middleware's affair.
"""

from __future__ import annotations

import struct

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory as Plan

from wm_mpc.messages.errors import MessageError
from wm_mpc.ros.messages import actions_to_trajectory
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import ActionSpec
from wm_mpc.units import SECOND

_KEPT = 8  # numbers of points of which a message is kept


class SerializedPlans:
    """Of one robot. control_period: seconds from point to point."""

    def __init__(self, spec: ActionSpec, control_period: float) -> None:
        self._spec, self._period = spec, control_period
        self._forms: dict[int, _Form | None] = {}

    def write(self, stamp: int, actions: np.ndarray) -> bytes:
        """What `actions_to_trajectory` makes of actions (points, action size) that apply from
        `stamp` (ns) on, serialized. Raises MessageError as that does."""
        actions = np.asarray(actions, np.float64)
        if actions.size == 0:
            actions = actions.reshape(0, self._spec.size)
        if actions.ndim != 2:
            raise MessageError(
                f"plan has shape {actions.shape}; (points, {self._spec.size}) is needed"
            )
        if len(actions) not in self._forms:
            if len(self._forms) >= _KEPT:
                self._forms.clear()
            self._forms[len(actions)] = _form(self._spec, self._period, len(actions))
        form = self._forms[len(actions)]
        if form is None:
            message = actions_to_trajectory(actions, self._spec, self._period, to_stamp(stamp))
            return bytes(serialize_message(message))
        return form.filled(stamp, actions)


def _form(spec: ActionSpec, period: float, points: int) -> _Form | None:
    """None when it is not found out where something stands."""
    shape = points, spec.size
    # None like another, nor like anything else in a message.
    numbers = 1.0 + np.arange(1, points * spec.size + 1) / 7e7
    stamp = Time(sec=1_234_567_891, nanosec=987_654_321)
    message = actions_to_trajectory(numbers.reshape(shape), spec, period, stamp)
    serialized = bytes(serialize_message(message))
    places, end = [], 0
    for pattern in [_pack(stamp.sec, stamp.nanosec), *(struct.pack("=d", n) for n in numbers)]:
        # In this order: behind the message there may be leavings of another.
        place = serialized.find(pattern, end)
        if place < 0:
            return None
        places.append(place)
        end = place + len(pattern)
    form = _Form(serialized, places[0], places[1:], shape)
    probe = -numbers.reshape(shape)
    wanted = actions_to_trajectory(probe, spec, period, to_stamp(SECOND + 7))
    return form if deserialize_message(form.filled(SECOND + 7, probe), Plan) == wanted else None


class _Form:
    """A serialized plan, and where in it the stamp and each of the actions' numbers begin."""

    def __init__(
        self, serialized: bytes, stamp: int, numbers: list[int], shape: tuple[int, int]
    ) -> None:
        self._bytes = np.frombuffer(serialized, np.uint8).copy()
        self._stamp, self._shape = slice(stamp, stamp + 8), shape
        self._numbers = np.array(numbers, np.intp).reshape(-1, 1) + np.arange(8)

    def filled(self, stamp: int, actions: np.ndarray) -> bytes:
        """See `SerializedPlans.write`."""
        if actions.shape != self._shape:
            raise MessageError(f"plan has shape {actions.shape}; {self._shape} is needed")
        if not np.isfinite(actions).all():
            raise MessageError("plan has numbers that are not finite")
        self._bytes[self._stamp] = np.frombuffer(_pack(*divmod(stamp, SECOND)), np.uint8)
        self._bytes[self._numbers] = np.ascontiguousarray(actions).reshape(-1, 1).view(np.uint8)
        return self._bytes.tobytes()


def _pack(seconds: int, nanoseconds: int) -> bytes:
    return struct.pack("=iI", seconds, nanoseconds)
