"""`commands`: one action at a time, for the forward controllers of ros2_control."""

from __future__ import annotations

from typing import Any

from std_msgs.msg import Float64MultiArray

from wm_mpc.nodes.mpc.outputs.output import Moment, Output
from wm_mpc.ros import qos
from wm_mpc.spec import RobotSpec


class Commands(Output):
    """See `Output`. The numbers of an action in the order of the robot's description."""

    text = (
        "the plan, one action at a time, as Float64MultiArray for the forward "
        "controllers of ros2_control"
    )
    message = "`std_msgs/Float64MultiArray`"

    def __init__(self, node: Any, spec: RobotSpec, settings: Any) -> None:
        self.publisher = node.create_publisher(Float64MultiArray, "commands", qos.COMMAND)

    def send(self, moment: Moment) -> None:
        assert moment.action is not None
        self.publisher.publish(Float64MultiArray(data=moment.action.tolist()))
