"""A stand-in for ros2_control's `joint_trajectory_controller`, and an arm behind it.

It interpolates linearly from where the arm is to each point of a trajectory at that point's time.
It rejects what the real one rejects or what a robot's firmware stops at: unknown joints, times in
the past or out of order, an end in motion, and a step faster than the joints may go.
"""

from __future__ import annotations

import threading

import numpy as np
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.timing import to_nanoseconds, to_stamp

SECOND = 1_000_000_000


class RejectedError(ValueError):
    """A trajectory that the controller does not execute; the text says why."""


class Interpolator:
    """The controller itself, without ROS. Times are integer nanoseconds of one clock.

    Args:
        names: Joints, in the order of all vectors.
        positions: Where they are (joints,) rad.
        speed: How fast each may go (joints,) rad/s.
    """

    def __init__(self, names, positions, speed):
        self.names, self.speed = list(names), np.asarray(speed, float)
        self._knots = [(0, np.array(positions, float))]

    def at(self, now):
        """Where the joints are (joints,) rad."""
        times = [time for time, _ in self._knots]
        places = np.array([place for _, place in self._knots])
        return np.array([np.interp(now, times, column) for column in places.T])

    def receive(self, message, now):
        """Follow a trajectory from now on. Raises RejectedError, and goes on as before."""
        if list(message.joint_names) != self.names:
            raise RejectedError(f"joints {list(message.joint_names)}")
        start = to_nanoseconds(message.header.stamp) or now
        knots = [(now, self.at(now))]
        for number, point in enumerate(message.points):
            time = start + to_nanoseconds(point.time_from_start)
            place = np.array(point.positions, float)
            if place.shape != self.speed.shape or not np.isfinite(place).all():
                raise RejectedError(f"point {number} has positions {point.positions}")
            if time <= knots[-1][0]:
                raise RejectedError(f"point {number} is {(knots[-1][0] - time) / 1e6:.1f} ms late")
            speeds = np.abs(place - knots[-1][1]) / ((time - knots[-1][0]) / SECOND)
            if (speeds > self.speed).any():
                joint = int((speeds / self.speed).argmax())
                raise RejectedError(
                    f"point {number}: {self.names[joint]} would go at {speeds[joint]:.2f} rad/s "
                    f"(at most {self.speed[joint]:.2f})"
                )
            knots.append((time, place))
        if len(knots) == 1:
            raise RejectedError("no points")
        last = message.points[-1].velocities
        if len(last) and np.any(last):
            raise RejectedError(f"it ends in motion, {list(last)} rad/s")
        self._knots = knots


class StandInController:
    """The controller as a node's subscriptions and a camera that sees the arm: joint states every
    20 ms and pictures every 100 ms, each stamped when it was taken.

    Attributes:
        accepted: How many trajectories.
        rejected: Why the others were not.
        steps: The largest steps (joints,) rad between points of each accepted trajectory.
        speeds: How fast (joints,) rad/s each was from where the joints were to its first point.
    """

    def __init__(self, observer, simulation, speed):
        self._observer, self._simulation, self._spec = observer, simulation, simulation.task.spec
        self._lock = threading.Lock()
        self._controller = Interpolator(self._spec.action.names, simulation.task.measure(), speed)
        self.accepted, self.rejected, self.steps, self.speeds = 0, [], [], []
        node = observer.node
        self._states = node.create_publisher(JointState, "joint_states", qos.ROBOT_STATE)
        self._images = node.create_publisher(Image, "camera/image_raw", qos.SENSOR_DATA)
        self._subscription = node.create_subscription(
            JointTrajectory, "joint_trajectory", self._on_trajectory, qos.PLANNED_ACTIONS
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()

    def now(self):
        return int(self._observer.node.get_clock().now().nanoseconds)

    def positions(self):
        """Where the joints are now (joints,) rad."""
        with self._lock:
            return self._controller.at(self.now())

    def _on_trajectory(self, message, info):
        """The real one runs in real time: what counts is when the message came, not when this busy
        process looks at it."""
        with self._lock:
            now = info["received_timestamp"]
            here = self._controller.at(now)
            try:
                self._controller.receive(message, now)
            except RejectedError as error:
                self.rejected.append(str(error))
                return
            self.accepted += 1
            places = np.array([point.positions for point in message.points])
            self.steps.append(np.abs(np.diff(places, axis=0)).max(0, initial=0.0))
            first = to_nanoseconds(message.header.stamp) + to_nanoseconds(
                message.points[0].time_from_start
            )
            self.speeds.append(np.abs(places[0] - here) / ((first - now) / SECOND))

    def _run(self):
        number = 0
        while not self._stop.wait(0.02):
            now = self.now()
            with self._lock:
                here = self._controller.at(now)
            message = JointState(name=list(self._spec.action.names), position=here.tolist())
            message.header.stamp = to_stamp(now)
            self._states.publish(message)
            if number % 5 == 0:
                state = np.concatenate([here, np.zeros(len(here))])
                picture = self._simulation.restore(np.zeros(0), state).image
                self._images.publish(rgb_to_image(picture, to_stamp(now)))
            number += 1

    def close(self):
        self._stop.set()
        self._thread.join()
