"""Training as a node: `ros2 launch wm_mpc train.launch.py task:=wall`; given again, it goes on."""

from launch.actions import DeclareLaunchArgument
from launch_ros.actions import Node

from wm_mpc.ros.launching import Together, description, environment, value

ARGUMENTS = (
    ("task", str, "wall", "Names the default directories of dataset and results."),
    ("dataset", str, "", "Directory of recorded episodes; empty: ./data/<task>."),
    ("run", str, "", "Directory of results; a run found there goes on. Empty: ./runs/<task>."),
    ("config", str, "", "Training settings (YAML); empty: the installed config/train.yaml."),
    ("seed", int, "-1", "Seed of the training; -1: the one of the settings."),
    (
        "synthesis",
        str,
        "",
        "Out of random, online, adversarial, with commas, or none; empty: as in the settings.",
    ),
    ("workers", str, "", "Simulators at once while synthesising; empty: one per core."),
    ("nice", int, "10", "How readily training leaves the processor to others, 19 the most."),
    ("mode", str, "recorded", "recorded, or live: learn from the running robot."),
    ("checkpoint", str, "", "Live: world model to begin with; empty: the task's shipped one."),
    ("autostart", bool, "true", "Start at once, rather than by the service learner/start."),
    ("exit_when_done", bool, "true", "End with the training: an error if that failed."),
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
