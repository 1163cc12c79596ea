#!/usr/bin/env python3
"""A small managed node for the tests: topics of all kinds, parameters with limits, a service.

It publishes ``chatter`` (reliable), ``latched`` (transient local, once), ``image`` (best effort)
and ``pose``; offers ``~/trigger``; and has the lifecycle of a managed node.
"""

import sys

import rclpy
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

PERIOD = 0.05


class LiveNode(LifecycleNode):
    """See the module."""

    def __init__(self):
        super().__init__("live")
        self.declare_parameter(
            "gain",
            0.5,
            ParameterDescriptor(
                description="how much of it",
                floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0)],
            ),
        )
        self.declare_parameter(
            "count",
            3,
            ParameterDescriptor(
                integer_range=[IntegerRange(from_value=0, to_value=10, step=1)],
                additional_constraints="seven is refused",
            ),
        )
        self.declare_parameter("planner.name", "adam", ParameterDescriptor(read_only=True))
        self.declare_parameter("flags", [True, False])
        self.add_on_set_parameters_callback(self._check)
        self._chatter = self.create_publisher(String, "chatter", 10)
        self._image = self.create_publisher(Image, "image", qos_profile_sensor_data)
        self._pose = self.create_publisher(PoseStamped, "pose", 10)
        latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self._latched = self.create_publisher(String, "latched", latched)
        self._latched.publish(String(data="kept"))
        self.create_subscription(String, "heard", self._hear, 10)
        self.create_service(Trigger, "~/trigger", self._trigger)
        self.create_service(SetBool, "~/set", self._set)
        self.create_timer(PERIOD, self._tick)
        self._is_new = True

    def _check(self, parameters):
        refused = any(p.name == "count" and p.value == 7 for p in parameters)
        return SetParametersResult(successful=not refused, reason="seven" if refused else "")

    def _hear(self, message):
        print(f"heard {message.data}", flush=True)

    def _trigger(self, request, response):
        response.success, response.message = True, "done"
        return response

    def _set(self, request, response):
        response.success, response.message = request.data, "set"
        return response

    def _tick(self):
        if self._is_new:
            print("live and well", flush=True)
            self._is_new = False
        stamp = self.get_clock().now().to_msg()
        pose = PoseStamped()
        pose.header.stamp = stamp
        pose.header.frame_id = "map"
        pose.pose.position.x = 1.5
        self._chatter.publish(String(data="hello"))
        self._pose.publish(pose)
        self._image.publish(Image(height=100, width=100, encoding="mono8", data=bytes(10000)))


def main():
    rclpy.init()
    try:
        rclpy.spin(LiveNode())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # else a signal ended the context in the middle of publishing
            raise
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
