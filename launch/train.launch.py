"""Training as a node: `ros2 launch wm_mpc train.launch.py task:=wall`; given again, it goes on."""

from launch.actions import DeclareLaunchArgument
from launch_ros.actions import Node

from wm_mpc.ros.launching import Together, description, environment, value

ARGUMENTS = (
    ("task", str, "wall", "Task; it names the default directories of dataset and run."),
    ("dataset", str, "", "Directory of recorded episodes; empty: ./data/<task>."),
    ("run", str, "", "Directory of the run; a run in it is continued. Empty: ./runs/<task>."),
    ("config", str, "", "Training settings (YAML); empty: the installed ones of the task."),
    ("seed", int, "-1", "Seed of the training; -1: as in the settings."),
    (
        "synthesis",
        str,
        "",
        "Methods of data synthesis, with commas, or none; empty: as in the settings.",
    ),
    ("workers", str, "", "Who runs the simulators; empty: one process per core."),
    ("nice", int, "10", "Priority: 0 is normal, 19 leaves the processor to all others."),
    (
        "mode",
        str,
        "recorded",
        "Learn from recorded episodes (recorded), or from the running robot (live).",
    ),
    ("checkpoint", str, "", "Live: world model to begin with; empty: the shipped one of the task."),
    ("autostart", bool, "true", "Start at once, instead of with the service learner/start."),
    ("exit_when_done", bool, "true", "End when the training ends, with an error if it failed."),
)


def start(given, context):
    together = Together(given)
    learner = Node(
        package="wm_mpc",
        executable="learner",
        name="learner",
        output="screen",
        parameters=[{name: value(name, given[name], kind) for name, kind, _, _ in ARGUMENTS}],
        additional_env=environment(given, context),
        on_exit=together.on_exit,
    )
    return together([learner])


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, _, default, text in ARGUMENTS
    ]
    return description(arguments, start)
