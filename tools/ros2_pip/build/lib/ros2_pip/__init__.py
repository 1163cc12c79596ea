"""The ``ros2`` command for ROS 2 installed with pip, beside stand-ins for launch and launch_ros.

Used only where the genuine ros2cli, launch and launch_ros are absent; see ``ros2_pip.available``.
"""

__version__ = "0.1.0"
