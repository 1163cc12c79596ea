"""What the launch files share. Only they import this: it needs `launch`, which nodes do not."""

from __future__ import annotations

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable, Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PythonExpression


def network() -> list[DeclareLaunchArgument | SetEnvironmentVariable]:
    """The launch argument `network`, and what follows from it for all nodes. Closed by default:
    nothing is offered to other machines unless the user says so, here or in the environment."""
    variable = "ROS_AUTOMATIC_DISCOVERY_RANGE"
    otherwise = EnvironmentVariable(variable, default_value="LOCALHOST")
    chosen = LaunchConfiguration("network")
    return [
        DeclareLaunchArgument(
            "network",
            default_value="localhost",
            choices=["localhost", "lan"],
            description="Who may see the nodes: this computer only (unless "
            f"{variable} says otherwise), or the local network.",
        ),
        SetEnvironmentVariable(
            variable,
            PythonExpression(["'SUBNET' if '", chosen, "' == 'lan' else '", otherwise, "'"]),
        ),
    ]


def end_with(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """A node ended: end the others too, with an error if it died and nothing restarts it."""
    respawn = context.launch_configurations["respawn"].lower() in ("true", "1")
    if context.is_shutdown or (respawn and event.returncode != 0):
        return None
    if event.returncode != 0:
        raise RuntimeError(f"{event.process_name} died with exit code {event.returncode}")
    return Shutdown(reason=f"{event.process_name} has ended")
