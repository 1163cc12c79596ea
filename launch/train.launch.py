"""Training as a node: `ros2 launch wm_mpc train.launch.py task:=wall`; given again, it goes on."""

from launch_ros.actions import Node

from wm_mpc.ros.launch_arguments import ParameterArgument, values_of
from wm_mpc.ros.launching import Together, description, environment

# What a launch file does otherwise than the node alone.
_DEFAULTS = {"exit_when_done": "true"}
ARGUMENTS = tuple(
    ParameterArgument(name, (f"learner:{name}",), _DEFAULTS.get(name))
    for name in (
        "task", "dataset", "run", "config", "seed", "synthesis", "workers", "nice", "mode",
        "checkpoint", "autostart", "exit_when_done",
    )
)  # fmt: skip


def start(given, context):
    together = Together(given)
    learner = Node(
        package="wm_mpc",
        executable="learner",
        name="learner",
        output="screen",
        parameters=[values_of(ARGUMENTS, given, "learner")],
        additional_env=environment(given, context),
        on_exit=together.on_exit,
    )
    return together([learner])


def generate_launch_description():
    arguments = [argument.declared() for argument in ARGUMENTS]
    return description(arguments, start)
