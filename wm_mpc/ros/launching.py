"""What the launch files share. Only they import this: it needs `launch`, which nodes do not.

Each of our launch files is one `Scope`, so that including it changes nothing else in a bring-up:
its arguments end with it, its handlers listen to its own nodes, and its environment is theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, EmitEvent, GroupAction, LogInfo, OpaqueFunction
from launch.events.process import ProcessExited, ShutdownProcess
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from wm_mpc.nearest import did_you_mean
from wm_mpc.ros.overrides import COMMON_PARAMETERS

Given = Mapping[str, str]
NO_RVIZ = "WARNING: rviz:=true, but rviz2 is not installed here; all else runs without it"
_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_COMMON = (
    (
        "network",
        "localhost",
        ["localhost", "lan"],
        f"Who may see the nodes: this computer only (unless {_RANGE} says otherwise), or the "
        "local network.",
    ),
    (
        "required",
        "true",
        None,
        "When a node dies and is not restarted, end the whole launch with an error; false: log it.",
    ),
)


def description(
    arguments: Sequence[DeclareLaunchArgument],
    start: Callable[[Given, LaunchContext], Iterable[Action]],
) -> LaunchDescription:
    """A launch description with these arguments, and with those that all our files have.

    Args:
        arguments: of this launch file.
        start: makes the nodes from the arguments' values, which are a copy: what the including
            bring-up does to them later changes nothing.
    """
    declared = [
        *arguments,
        *(
            DeclareLaunchArgument(name, default_value=default, choices=choices, description=text)
            for name, default, choices, text in _COMMON
        ),
    ]
    names = [argument.name for argument in declared]

    def begin(context: LaunchContext) -> list[Action]:
        given = {name: context.launch_configurations[name] for name in names}
        return [*unknown_arguments(names, context), *start(given, context)]

    # In a group, whose end takes the arguments and their defaults out of the bring-up again.
    return LaunchDescription([GroupAction([*declared, OpaqueFunction(function=begin)])])


def truth(name: str, text: str) -> bool:
    """A launch argument as a bool. Raises RuntimeError."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise RuntimeError(f"{name} is {text!r}; accepted: true, false")
    return text.lower() in ("true", "1")


def number(name: str, text: str, kind: type = float) -> float | int:
    """A launch argument as a number of this kind. Raises RuntimeError."""
    try:
        return kind(text)
    except ValueError:
        needed = "a whole number" if kind is int else "a number"
        raise RuntimeError(f"{name} is {text!r}; {needed} is needed") from None


def value(name: str, text: str, kind: type) -> bool | float | int | ParameterValue:
    """A launch argument as a node's parameter of type bool, int, float or str.
    Raises RuntimeError."""
    if kind is bool:
        return truth(name, text)
    # A bare text like "5" would become a number on its way.
    return ParameterValue(text, value_type=str) if kind is str else number(name, text, kind)


def parameter_files(given: Given) -> list[str]:
    """The argument `params_file`, as a list for a node. Raises RuntimeError when it is no file."""
    path = given["params_file"]
    if path and not Path(path).is_file():
        raise RuntimeError(f"params_file is {path!r}; there is no such file")
    return [path] if path else []


def environment(given: Given, context: LaunchContext) -> dict[str, str]:
    """What our nodes have in their environment beyond that of the bring-up.

    They are closed by default: nothing is offered to other machines unless the user says so, by
    the argument `network` or in the environment.
    """
    otherwise = context.environment.get(_RANGE, "LOCALHOST")
    own = {_RANGE: "SUBNET" if given["network"] == "lan" else otherwise}
    # Of actions like SetParameter: meant for every node of a bring-up, known to it or not.
    shared = context.launch_configurations.get("global_params", [])
    names = [entry[0] if isinstance(entry, tuple) else os.path.abspath(entry) for entry in shared]
    if names:
        own[COMMON_PARAMETERS] = "\n".join(names)
    return own


def viewer(
    given: Given, context: LaunchContext, files: Sequence[str], **places: Any
) -> list[Action]:
    """The node `viewer`, if the argument `viewer` asks for it. Its end ends nothing else.

    Args:
        given: The arguments.
        context: Of the launch.
        files: Parameter files.
        places: Namespace and the like.
    """
    if not truth("viewer", given["viewer"]):
        return []
    return [
        Node(
            package="wm_mpc",
            executable="viewer",
            name="viewer",
            output="screen",
            parameters=list(files),
            additional_env=environment(given, context),
            **places,
        )
    ]


def rviz(given: Given, frame: str, **places: Any) -> list[Action]:
    """RViz with our configuration, if the argument `rviz` asks for it. Its end ends nothing else.

    Args:
        given: The arguments.
        frame: The frame that RViz keeps fixed.
        places: Namespace and the like. Topics of the configuration are relative.
    """
    if not truth("rviz", given["rviz"]):
        return []
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return [LogInfo(msg=NO_RVIZ)]
    config = Path(get_package_share_directory("wm_mpc"), "config", "wm_mpc.rviz")
    arguments = ["-d", str(config), "-f", frame]
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz2",
            output="log",
            arguments=arguments,
            **places,
        )
    ]


class Together:
    """Nodes that end with each other, and with nothing else.

    `on_exit` is for each of them. One that ends well ends the others. One that dies ends the whole
    launch with an error, unless it is restarted or not required.
    """

    def __init__(self, given: Given, *, respawn: bool = False) -> None:
        self._respawn = respawn
        self._required = truth("required", given["required"])
        self._nodes: list[Action] = []
        self._ended = False

    def __call__(self, nodes: Iterable[Action], others: Iterable[Action] = ()) -> list[Action]:
        """The nodes, which belong together from now on.

        Args:
            nodes: With `on_exit` as the handler of their end.
            others: Without it: they end with the nodes, but may end, and die, alone.
        """
        self._nodes += [*nodes, *others]
        return list(self._nodes)

    def on_exit(self, event: ProcessExited, context: LaunchContext) -> list[Action] | None:
        """Handler of the end of one of the nodes. Raises RuntimeError, which ends the launch."""
        if context.is_shutdown or self._ended:
            return None
        if event.returncode == 0:
            self._ended = True
            # That node too: a process that is to be restarted would be, however it has ended.
            ours = ShutdownProcess(process_matcher=lambda action: action in self._nodes)
            return [EmitEvent(event=ours)]
        if self._respawn or not self._required:
            return None
        raise RuntimeError(f"{event.process_name} died with exit code {event.returncode}")


def unknown_arguments(names: Sequence[str], context: LaunchContext) -> list[Action]:
    """Treat arguments on the command line that our launch file does not know.

    `ros2 launch` itself ignores what no launch file declares. Where our file is the one that was
    started, such an argument is a mistake. In the bring-up of somebody else it may be meant for
    another file: then each is a line of log.

    Args:
        names: Of the arguments of our launch file.
        context: Of the launch.

    Raises:
        RuntimeError: There is one, and our file was started, not included.
    """
    words = [word.partition(":=")[0] for word in context.argv if ":=" in word]
    lines = []
    for word in dict.fromkeys(words):
        if word in names:
            continue
        lines.append((word, f"{did_you_mean(word, names, cutoff=0.6)} (--show-args lists them)"))
    if lines and _was_started(context):
        raise RuntimeError("; ".join(f"there is no launch argument {w}{rest}" for w, rest in lines))
    return [
        LogInfo(
            msg=f"WARNING: there is no launch argument {word} here, so it changes nothing of "
            f"wm_mpc{rest}"
        )
        for word, rest in lines
    ]


def _was_started(context: LaunchContext) -> bool:
    """Whether the command line names our launch file: by `wm_mpc` and its name, or by its path."""
    path = context.get_locals_as_dict().get("current_launch_file_path", "")
    words = [word for word in sys.argv[1:] if ":=" not in word]
    if os.path.basename(path) in words and "wm_mpc" in words:
        return True
    return any(os.path.isfile(word) and os.path.samefile(word, path) for word in words if path)
