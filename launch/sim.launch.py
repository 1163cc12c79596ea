"""The simulation and its controller: `ros2 launch wm_mpc sim.launch.py episodes:=5`."""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from wm_mpc.ros.launching import end_with, network

ARGUMENTS = (
    ("task", "push_t", "Robot and scene, also the name of its shipped world model."),
    ("planner", "adam", "How to plan: adam, gd, cem or mppi."),
    ("episodes", "0", "End after so many episodes with one summary line; 0: go on for ever."),
    ("lockstep", "false", "Wait for each plan: reproducible from the seed, not in real time."),
    ("real_time_factor", "1.0", "Speed of simulated time; other than 1.0, the sim is the clock."),
    ("gui", "false", "Open PyBullet's window."),
    ("seed", "0", "Starts, goals and the planner's random numbers follow from it."),
    ("model", LaunchConfiguration("task"), "World model: a .safetensors path or a shipped name."),
    ("auto_reload", "false", "Change to each checkpoint that a learner announces, while running."),
    ("record", "", "Film to write, a .gif or .mp4, with camera, goal and plan side by side."),
    ("friction", "1.0", "Factor on the friction of task maze: the robot has changed."),
    ("camera_offset", "0.0", "How far the camera has been moved along x, m."),
    ("respawn", "false", "Restart a node that dies, instead of ending with an error."),
    (
        "params_file",
        [FindPackageShare("wm_mpc"), "/config/", LaunchConfiguration("task"), ".yaml"],
        "ROS parameters of the nodes (YAML).",
    ),
)


def setting(name, kind):
    """A launch argument as a parameter of a certain type."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def generate_launch_description():
    # The sim is the clock unless it runs in plain real time.
    simulated_time = PythonExpression(
        [
            *("'", LaunchConfiguration("lockstep"), "'.lower() in ('true', '1') or "),
            *("float('", LaunchConfiguration("real_time_factor"), "') != 1.0"),
        ]
    )
    shared = [LaunchConfiguration("params_file"), {"seed": setting("seed", int)}]
    sim = Node(
        package="wm_mpc",
        executable="sim",
        name="sim",
        output="screen",
        parameters=[
            *shared,
            {
                "task": setting("task", str),
                "episodes": setting("episodes", int),
                "lockstep": setting("lockstep", bool),
                "real_time_factor": setting("real_time_factor", float),
                "gui": setting("gui", bool),
                "record": setting("record", str),
                "disturbance.friction": setting("friction", float),
                "disturbance.camera": setting("camera_offset", float),
            },
        ],
        respawn=LaunchConfiguration("respawn"),
        respawn_delay=1.0,
    )
    mpc = Node(
        package="wm_mpc",
        executable="mpc",
        name="mpc",
        output="screen",
        parameters=[
            *shared,
            {
                "checkpoint": setting("model", str),
                "planner.type": setting("planner", str),
                "auto_reload": setting("auto_reload", bool),
                "lockstep": setting("lockstep", bool),
                "use_sim_time": ParameterValue(simulated_time, value_type=bool),
            },
        ],
        respawn=LaunchConfiguration("respawn"),
        respawn_delay=1.0,
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            *network(),
            RegisterEventHandler(OnProcessExit(on_exit=end_with)),
            sim,
            mpc,
        ]
    )
