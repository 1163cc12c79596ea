"""A stand-in for the ROS 2 ``launch_ros`` package, for ROS 2 installed with pip.

See ``launch`` beside it, and the README of ros2_pip.
"""

from ros2_pip.ament import add_pip_prefix

add_pip_prefix()

from . import actions, parameter_descriptions, substitutions  # noqa: E402
from .parameter_descriptions import ParameterFile  # noqa: E402

__all__ = ["ParameterFile", "actions", "parameter_descriptions", "substitutions"]

from launch._support import refuse_unknown_names  # noqa: E402

__getattr__ = refuse_unknown_names(__name__, __all__)
