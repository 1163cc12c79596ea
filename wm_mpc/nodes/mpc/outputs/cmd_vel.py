"""`cmd_vel`: one action at a time, as a twist, for mobile bases and MoveIt Servo."""

from __future__ import annotations

from typing import Any, ClassVar

from geometry_msgs.msg import Twist, TwistStamped

from wm_mpc.messages.reading import TWIST_FIELDS
from wm_mpc.nodes.mpc.outputs.output import Moment, Output
from wm_mpc.ros import qos
from wm_mpc.ros.timing import to_stamp
from wm_mpc.settings.fields import setting
from wm_mpc.spec import RobotSpec

_TYPES = {"twist_stamped": TwistStamped, "twist": Twist}


class CmdVel(Output):
    """See `Output`. Actions that no twist has a field for are left out."""

    text = "the plan, one action at a time, for mobile bases and MoveIt Servo"
    message = "`geometry_msgs/TwistStamped` or `Twist`"
    settings: ClassVar = {
        "type": setting(
            "twist_stamped",
            "Message type of cmd_vel: TwistStamped, or Twist for robots that take no stamp",
            choices=tuple(_TYPES),
            only_inactive=True,
        )
    }

    def __init__(self, node: Any, spec: RobotSpec, settings: Any) -> None:
        self._names, self._frame_id = spec.action.names, "odom"
        self._type = _TYPES[settings.cmd_vel_type]
        self.publisher = node.create_publisher(self._type, "cmd_vel", qos.COMMAND)

    def use(self, settings: Any) -> None:
        self._frame_id = settings.frame_id

    def send(self, moment: Moment) -> None:
        assert moment.action is not None
        message = self._type()
        twist = message
        if isinstance(message, TwistStamped):
            message.header.stamp = to_stamp(moment.now)
            message.header.frame_id = self._frame_id
            twist = message.twist
        for name, value in zip(self._names, moment.action, strict=True):
            if name in TWIST_FIELDS:
                part, axis = TWIST_FIELDS[name]
                setattr(getattr(twist, part), axis, float(value))
        self.publisher.publish(message)
