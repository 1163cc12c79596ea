"""Actions for ROS nodes."""

from launch._support import refuse_unknown_names

from .node import LifecycleNode, Node
from .scope import (
    PushROSNamespace,
    PushRosNamespace,
    SetParameter,
    SetParametersFromFile,
    SetRemap,
    SetUseSimTime,
)

__all__ = [
    "LifecycleNode",
    "Node",
    "PushROSNamespace",
    "PushRosNamespace",
    "SetParameter",
    "SetParametersFromFile",
    "SetRemap",
    "SetUseSimTime",
]
__getattr__ = refuse_unknown_names(__name__, __all__)
