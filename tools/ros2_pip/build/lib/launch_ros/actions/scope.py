"""Actions that set something for all nodes that follow in the same scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch.action import Action
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from ..parameters import evaluate_value

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


def _append(context: LaunchContext, configuration: str, value: Any) -> None:
    """Append to a list among the launch configurations, leaving outer scopes untouched."""
    present = context.launch_configurations.get(configuration, [])
    context.launch_configurations[configuration] = [*present, value]


def join_namespaces(base: str | None, namespace: str | None) -> str | None:
    """Return ``namespace`` below ``base``; an absolute one stands by itself; None: neither."""
    if namespace is not None and (not base or namespace.startswith("/")):
        joined: str | None = namespace
    elif base and namespace:
        joined = base.rstrip("/") + "/" + namespace
    else:
        joined = base
    if joined is not None and len(joined) > 1:
        joined = joined.rstrip("/")
    return joined


class SetParameter(Action):
    """Set a parameter of all nodes that follow; their own parameters override it."""

    def __init__(self, name: SomeSubstitutionsType, value: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__name = normalize_to_list_of_substitutions(name)
        self.__value = value

    def execute(self, context: LaunchContext) -> None:
        name = perform_substitutions(context, self.__name)
        _append(context, "global_params", (name, evaluate_value(context, name, self.__value)))


class SetUseSimTime(SetParameter):
    """Set ``use_sim_time`` of all nodes that follow."""

    def __init__(self, value: Any, **kwargs: Any) -> None:
        super().__init__("use_sim_time", value, **kwargs)


class SetParametersFromFile(Action):
    """Give a parameter file to all nodes that follow, or to those named ``node_name``."""

    def __init__(
        self,
        filename: SomeSubstitutionsType,
        node_name: SomeSubstitutionsType | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.__filename = normalize_to_list_of_substitutions(filename)
        if node_name is not None:
            raise TypeError("SetParametersFromFile: ros2_pip does not support node_name")

    def execute(self, context: LaunchContext) -> None:
        _append(context, "global_params", perform_substitutions(context, self.__filename))


class SetRemap(Action):
    """Remap a name for all nodes that follow."""

    def __init__(
        self, src: SomeSubstitutionsType, dst: SomeSubstitutionsType, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.__src = normalize_to_list_of_substitutions(src)
        self.__dst = normalize_to_list_of_substitutions(dst)

    def execute(self, context: LaunchContext) -> None:
        pair = (
            perform_substitutions(context, self.__src),
            perform_substitutions(context, self.__dst),
        )
        _append(context, "ros_remaps", pair)


class PushROSNamespace(Action):
    """Put all nodes that follow below a namespace."""

    def __init__(self, namespace: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__namespace = normalize_to_list_of_substitutions(namespace)

    def execute(self, context: LaunchContext) -> None:
        namespace = perform_substitutions(context, self.__namespace)
        base = context.launch_configurations.get("ros_namespace")
        joined = join_namespaces(base, namespace)
        if joined is not None and not joined.startswith("/"):
            joined = "/" + joined
        context.launch_configurations["ros_namespace"] = joined or "/"


PushRosNamespace = PushROSNamespace  # the older name, still common in launch files
