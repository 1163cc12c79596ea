"""The Node action: run an executable of a package as a ROS node."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.actions import ExecuteProcess
from launch.logging import get_logger
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name

from ..parameters import evaluate_parameters, rule, write_parameter_file
from ..substitutions import ExecutableInPackage
from .scope import join_namespaces

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

Remappings = Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]]


class Node(ExecuteProcess):
    """Run a ROS node; further arguments are those of ExecuteProcess, but ``cmd``.

    Without ``package``, ``executable`` is a path. ``parameters`` is a list of dictionaries (nested
    ones give dotted names), paths of YAML files, ParameterFile and Parameter objects; the last one
    wins. A relative ``namespace`` goes below what PushRosNamespace set.
    """

    UNSPECIFIED_NODE_NAME = "<node_name_unspecified>"
    UNSPECIFIED_NODE_NAMESPACE = "<node_namespace_unspecified>"

    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: SomeSubstitutionsType | None = None,
        parameters: Sequence[Any] | None = None,
        remappings: Remappings | None = None,
        ros_arguments: Iterable[SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        if "cmd" in kwargs:
            raise TypeError(f"{type(self).__name__}: use executable and arguments, not cmd")
        if parameters is not None and not isinstance(parameters, list):
            raise TypeError(
                f"{type(self).__name__}: parameters must be a list of files and dictionaries, "
                f"not {parameters!r}"
            )
        program: Any = executable
        if package is not None:
            program = ExecutableInPackage(package=package, executable=executable)
        cmd = [program, *(arguments or [])]
        if ros_arguments is not None:
            cmd += ["--ros-args", *ros_arguments]
        super().__init__(cmd=[*cmd, "--ros-args"], name=exec_name, **kwargs)
        self.__package = package
        self.__executable = executable
        self.__name = None if name is None else normalize_to_list_of_substitutions(name)
        self.__namespace = (
            None if namespace is None else normalize_to_list_of_substitutions(namespace)
        )
        self.__parameters = parameters or []
        self.__remappings = [
            (normalize_to_list_of_substitutions(old), normalize_to_list_of_substitutions(new))
            for old, new in remappings or []
        ]
        self.__expanded_name = self.UNSPECIFIED_NODE_NAME
        self.__expanded_namespace = self.UNSPECIFIED_NODE_NAMESPACE
        self.__executed = False

    @property
    def node_package(self) -> SomeSubstitutionsType | None:
        """The package."""
        return self.__package

    @property
    def node_executable(self) -> SomeSubstitutionsType:
        """The executable."""
        return self.__executable

    @property
    def node_name(self) -> str:
        """The name with its namespace, once executed."""
        if not self.__executed:
            raise RuntimeError("cannot access 'node_name' before executing action")
        return join_namespaces(self.__expanded_namespace, self.__expanded_name) or ""

    @property
    def expanded_node_namespace(self) -> str:
        """The namespace, once executed."""
        return self.__expanded_namespace

    def is_node_name_fully_specified(self) -> bool:
        """Whether both the name and the namespace were given."""
        return "unspecified>" not in self.node_name

    def execute(self, context: LaunchContext) -> None:
        self.__expand_names(context)
        self.__executed = True
        self._extend_cmd(self.__parameter_arguments(context))
        remaps = list(context.launch_configurations.get("ros_remaps", []))
        remaps += [
            (perform_substitutions(context, old), perform_substitutions(context, new))
            for old, new in self.__remappings
        ]
        for old, new in remaps:
            self._extend_cmd(["-r", f"{old}:={new}"])
        super().execute(context)
        self.__warn_of_duplicate(context)

    def __expand_names(self, context: LaunchContext) -> None:
        try:
            if self.__name is not None:
                self.__expanded_name = perform_substitutions(context, self.__name)
                validate_node_name(self.__expanded_name)
                self._extend_cmd(["-r", f"__node:={self.__expanded_name}"])
            own = None
            if self.__namespace is not None:
                own = perform_substitutions(context, self.__namespace)
            namespace = join_namespaces(context.launch_configurations.get("ros_namespace"), own)
            if namespace is not None:
                if not namespace.startswith("/"):
                    namespace = "/" + namespace
                validate_namespace(namespace)
                self.__expanded_namespace = namespace
                self._extend_cmd(["-r", f"__ns:={namespace}"])
        except Exception:
            get_logger(__name__).error(
                "Error while expanding or validating node name or namespace for "
                f"'package={self.__package}, executable={self.__executable}, "
                f"name={self.__expanded_name}, namespace={self.__expanded_namespace}':"
            )
            raise

    def __parameter_arguments(self, context: LaunchContext) -> list[str]:
        arguments: list[str] = []
        for given in context.launch_configurations.get("global_params", []):
            if isinstance(given, tuple):
                arguments += ["-p", f"{given[0]}:={rule(given[1])}"]
            else:
                arguments += self.__parameter_file(os.path.abspath(given))
        target = self.node_name if self.is_node_name_fully_specified() else "/**"
        for given in evaluate_parameters(context, self.__parameters):
            if isinstance(given, dict):
                path = write_parameter_file(context, target, given)
                arguments += ["--params-file", path]
            elif isinstance(given, Path):
                arguments += self.__parameter_file(str(given))
            else:
                arguments += ["-p", f"{given[0]}:={rule(given[1])}"]
        return arguments

    @staticmethod
    def __parameter_file(path: str) -> list[str]:
        if os.path.isfile(path):
            return ["--params-file", path]
        get_logger(__name__).warning(f"Parameter file path is not a file: {path}")
        return []

    def __warn_of_duplicate(self, context: LaunchContext) -> None:
        if not self.is_node_name_fully_specified():
            return
        names = context.get_locals_as_dict().get("unique_ros_node_names", {})
        names = {**names, self.node_name: names.get(self.node_name, 0) + 1}
        context.extend_globals({"unique_ros_node_names": names})
        if names[self.node_name] > 1:
            get_logger(self.name).warning(
                f"there are now at least {names[self.node_name]} nodes with the name "
                f"{self.node_name} created within this launch context"
            )


class LifecycleNode(Node):
    """Run a managed node: like Node, but its name and namespace must be given.

    The events and handlers of lifecycle transitions are not provided.
    """

    def __init__(
        self,
        *,
        name: SomeSubstitutionsType,
        namespace: SomeSubstitutionsType,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("autostart", False) is not False:
            raise TypeError(
                "LifecycleNode: ros2_pip does not support autostart; let the node configure and "
                "activate itself, or use 'ros2 lifecycle set'"
            )
        super().__init__(name=name, namespace=namespace, **kwargs)
