"""Training as a node: `ros2 launch wm_mpc train.launch.py task:=wall`; given again, it goes on."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from wm_mpc.ros.launching import network

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


def end_with(event, context):
    """The learner ended: well, or with an error, which is the launch's too."""
    if context.is_shutdown:
        return None
    if event.returncode != 0:
        raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
    return Shutdown(reason="training is finished")


def generate_launch_description():
    learner = Node(
        package="wm_mpc",
        executable="learner",
        name="learner",
        output="screen",
        parameters=[
            {
                name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                for name, kind, _, _ in ARGUMENTS
            }
        ],
        on_exit=end_with,
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, _, default, text in ARGUMENTS
            ),
            *network(),
            learner,
        ]
    )
