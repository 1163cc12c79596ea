"""What a Python program calls to give a running controller its goals.

    from wm_mpc.client import Client

    with Client() as client:
        client.set_goal("shelf.png")
        print(client.wait(timeout=60.0).code)

This is the public face of `wm_mpc.ros.client`. It needs ROS 2.
"""

from __future__ import annotations

try:
    from wm_mpc.ros.client import Client
except ModuleNotFoundError as missing:
    if missing.name != "rclpy":
        raise
    raise ModuleNotFoundError(
        "wm_mpc.client needs ROS 2, which is not there: source your ROS 2, or tools/env.bash",
        name="rclpy",
    ) from None
from wm_mpc.codes import GoalCode, HoldCode, StatusCode, WarningCode
from wm_mpc.messages.statuses import GoalReport, MpcStatus
from wm_mpc.ros.client_errors import ClientError

__all__ = [
    "Client",
    "ClientError",
    "GoalCode",
    "GoalReport",
    "HoldCode",
    "MpcStatus",
    "StatusCode",
    "WarningCode",
]
