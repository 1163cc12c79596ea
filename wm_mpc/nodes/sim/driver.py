"""A driver in the simulation: stands in for a person who drives the robot while it is recorded."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.control.following import Following
from wm_mpc.nodes.sim.inbox import Decision
from wm_mpc.ros import qos
from wm_mpc.ros.messages import actions_to_trajectory
from wm_mpc.ros.timing import to_stamp
from wm_mpc.sim.engine import Simulation
from wm_mpc.sim.task import Explorer

_TOPIC = "planned_actions"


class Driver:
    """Drives by the task's own exploration, and publishes what it does as `planned_actions`.

    Each plan has the present action and the next one. So the next one is known before the control
    step in which it acts, as with any controller, and a recording shows it in that step.

    Args:
        node: Whose topic it is.
        simulation: The simulation, whose true scene the exploration sees.
    """

    def __init__(self, node: Node, simulation: Simulation) -> None:
        self._node, self._simulation = node, simulation
        self._spec = simulation.task.spec
        self._explore: Explorer | None = None
        self._action: np.ndarray | None = None  # of the next control step
        self._publisher = node.create_publisher(JointTrajectory, _TOPIC, qos.PLANNED_ACTIONS)

    def begin_episode(self, rng: np.random.Generator) -> None:
        """Explore another way.

        Args:
            rng: Source of random numbers.
        """
        self._explore, self._action = self._simulation.explorer(rng), None

    def decide(self, stamp: int) -> Decision:
        """Choose the next action, and publish it with the one that applies now.

        Args:
            stamp: Time of the control step, ns.
        """
        others = self._node.count_publishers(_TOPIC) - 1
        if others > 0:
            self._node.get_logger().warning(
                f"driver is explorer, so {_TOPIC} of {others} other node(s) count for nothing",
                throttle_duration_sec=10.0,
            )
        action = self._next() if self._action is None else self._action
        self._action = self._next()
        plan = np.stack([action, self._action])
        message = actions_to_trajectory(
            plan, self._spec.action, self._spec.control_period, to_stamp(stamp)
        )
        self._publisher.publish(message)
        return Decision(action, plan, Following.EXECUTING, started=True)

    def _next(self) -> np.ndarray:
        assert self._explore is not None
        limits = self._spec.action
        action: np.ndarray = np.clip(self._explore(), limits.low, limits.high)
        return action
