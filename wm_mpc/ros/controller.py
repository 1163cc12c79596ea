"""A plan as ros2_control's `joint_trajectory_controller` wants it, stream after stream.

`planned_actions` says what applies *during* each control period. That controller interpolates
between what is to be reached *at* each time, refuses a trajectory that ends in motion (unless told
otherwise), and replaces the rest of the old trajectory by a new one from the new one's first point
on. So: points at the ends of the periods, none in the past, and rest at the end.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wm_mpc.messages.reading import ACTION_FIELDS
from wm_mpc.ros.timing import from_seconds, to_duration, to_nanoseconds, to_stamp
from wm_mpc.spec import ActionSpec


def to_controller(
    actions: np.ndarray,
    spec: ActionSpec,
    control_period: float,
    start: int,
    now: int,
    measured: Mapping[str, float],
) -> JointTrajectory:
    """actions: (points, action size) in the action's unit, point k of which applies from start + k
    periods on (ns); none: hold. control_period: s. now: ns. measured: positions of joints at
    `start`, or now for a hold, by name; velocities are integrated from there where all are known,
    as a controller of positions needs it.

    For positions: positions. For velocities: velocities, and positions where they are known. For
    efforts: effort. The last point rests (`ActionSpec.rest`; velocities at zero).
    """
    period = from_seconds(control_period)
    message = JointTrajectory(joint_names=list(spec.names))
    message.header.stamp = to_stamp(start)
    field = ACTION_FIELDS[spec.kind]
    known = [measured.get(name) for name in spec.names]
    positions = None if None in known else np.array(known, float)
    if len(actions) == 0:
        message.header.stamp = to_stamp(now)
        start = now
    if spec.kind == "position":
        # Where it holds is where it is; without a measurement, nobody can say.
        rows = list(actions) if len(actions) or positions is None else [positions]
        for k, row in enumerate(rows):
            _add(message, (k + 1) * period, start, now, positions=row)
        return message
    for k, row in enumerate(actions):
        if positions is not None and spec.kind == "velocity":
            positions = positions + control_period * row
        values = {field: row}
        if positions is not None and spec.kind == "velocity":
            values["positions"] = positions
        _add(message, (k + 1) * period, start, now, **values)
    # The controller refuses to end in motion, so velocities rest at zero, whatever their limits.
    rest = {field: np.zeros(spec.size) if spec.kind == "velocity" else np.asarray(spec.rest())}
    if positions is not None and spec.kind == "velocity":
        rest["positions"] = positions
    after = (len(actions) + 1) * period
    _add(message, max(after, now + period - start), start, now, **rest)
    return message


def position_at(trajectory: JointTrajectory, now: int) -> dict[str, float]:
    """Where a controller that has got this trajectory wants the joints at `now` (ns), by name; none
    if it tells no positions."""
    points = [point for point in trajectory.points if len(point.positions)]
    start = to_nanoseconds(trajectory.header.stamp)
    times = [start + to_nanoseconds(point.time_from_start) - now for point in points]
    if not times:
        return {}
    columns = np.array([point.positions for point in points]).T
    places = [float(np.interp(0, times, column)) for column in columns]
    return dict(zip(trajectory.joint_names, places, strict=True))


def _add(message: JointTrajectory, after: int, start: int, now: int, **values: np.ndarray) -> None:
    """A point `after` ns from the start, unless that is over."""
    if start + after <= now:
        return
    point = JointTrajectoryPoint(time_from_start=to_duration(after))
    for field, row in values.items():
        setattr(point, field, row.tolist())
    message.points.append(point)
