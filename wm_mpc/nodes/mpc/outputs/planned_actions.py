"""`planned_actions`: each plan as it is, which the node always sends."""

from __future__ import annotations

from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.nodes.mpc.rivals import Rivals
from wm_mpc.ros import qos
from wm_mpc.ros.serialized_plans import SerializedPlans
from wm_mpc.spec import RobotSpec


class PlannedActions:
    """Sends plans and hears those of others. It is no `Output`: it cannot be switched off and needs
    nothing but the plan. A plan leaves here before the other outputs, a hold after them.

    Attributes:
        rivals: Other controllers of the same robot.
        publisher: Of the topic.
    """

    def __init__(self, node: Any, spec: RobotSpec) -> None:
        self._serialized = SerializedPlans(spec.action, spec.control_period)
        self.publisher = node.create_publisher(
            JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS
        )
        self.rivals = Rivals(node)

    def send(self, stamp: int, actions: np.ndarray) -> None:
        """Send actions (points, action size) that apply from `stamp` (ns) on. Raises MessageError,
        and sends nothing, if they do not fit the robot or are not finite."""
        plan = self._serialized.write(stamp, actions)
        self.rivals.sent(plan)
        self.publisher.publish(plan)
