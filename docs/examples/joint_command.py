"""`joint_command`: one action at a time, as JointState."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import JointState

from wm_mpc.nodes.mpc.outputs.output import Moment, Output
from wm_mpc.ros import qos
from wm_mpc.ros.timing import to_stamp
from wm_mpc.spec import RobotSpec


class JointCommand(Output):
    """See `Output`."""

    text = "the plan, one action at a time, as JointState"
    message = "`sensor_msgs/JointState`"

    def __init__(self, node: Any, spec: RobotSpec, settings: Any) -> None:
        self._action = spec.action
        self.publisher = node.create_publisher(JointState, "joint_command", qos.COMMAND)

    def send(self, moment: Moment) -> None:
        assert moment.action is not None
        message = JointState(name=list(self._action.names))
        message.header.stamp = to_stamp(moment.now)
        # The kind is position, velocity or effort, as the fields are.
        setattr(message, self._action.kind, moment.action.tolist())
        self.publisher.publish(message)
