"""The simulation and its controller: `ros2 launch wm_mpc sim.launch.py episodes:=5`."""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from wm_mpc.ros.launching import Together, description, environment, parameter_files, truth, value

ARGUMENTS: tuple[tuple[str, type, Any, str], ...] = (
    ("task", str, "push_t", "Robot and scene, also the name of its shipped world model."),
    ("planner", str, "adam", "How to plan: adam, gd, cem or mppi."),
    ("episodes", int, "0", "End after so many episodes with one summary line; 0: go on for ever."),
    (
        "lockstep",
        bool,
        "false",
        "Wait for each plan: reproducible from the seed, not in real time.",
    ),
    (
        "real_time_factor",
        float,
        "1.0",
        "Speed of simulated time; other than 1.0, the sim is the clock.",
    ),
    ("gui", bool, "false", "Open PyBullet's window."),
    ("seed", int, "0", "Starts, goals and the planner's random numbers follow from it."),
    (
        "model",
        str,
        LaunchConfiguration("task"),
        "World model: a .safetensors path or a shipped name.",
    ),
    (
        "auto_reload",
        bool,
        "false",
        "Change to each checkpoint that a learner announces, while running.",
    ),
    ("record", str, "", "Film to write, a .gif or .mp4, with camera, goal and plan side by side."),
    ("friction", float, "1.0", "Factor on the friction of task maze: the robot has changed."),
    ("camera_offset", float, "0.0", "How far the camera has been moved along x, m."),
    ("respawn", bool, "false", "Restart a node that dies, instead of ending with an error."),
    (
        "params_file",
        str,
        [FindPackageShare("wm_mpc"), "/config/", LaunchConfiguration("task"), ".yaml"],
        "ROS parameters of the nodes (YAML).",
    ),
)
# Parameters of the node sim, and the launch arguments they come from.
SIM = {
    "task": "task",
    "episodes": "episodes",
    "lockstep": "lockstep",
    "real_time_factor": "real_time_factor",
    "gui": "gui",
    "record": "record",
    "seed": "seed",
    "disturbance.friction": "friction",
    "disturbance.camera": "camera_offset",
}
MPC = {
    "checkpoint": "model",
    "planner.type": "planner",
    "auto_reload": "auto_reload",
    "lockstep": "lockstep",
    "seed": "seed",
}


def start(given, context):
    values = {name: value(name, given[name], kind) for name, kind, _, _ in ARGUMENTS}
    respawn = truth("respawn", given["respawn"])
    together = Together(given, respawn=respawn)
    # The sim is the clock unless it runs in plain real time.
    simulated_time = values["lockstep"] or values["real_time_factor"] != 1.0
    common: dict[str, Any] = {
        "package": "wm_mpc",
        "output": "screen",
        "additional_env": environment(given, context),
        "on_exit": together.on_exit,
        "respawn": respawn,
        "respawn_delay": 1.0,
    }
    sim = {parameter: values[name] for parameter, name in SIM.items()}
    mpc = {parameter: values[name] for parameter, name in MPC.items()}
    mpc["use_sim_time"] = simulated_time
    files = files_of(given)
    return together(
        Node(executable=name, name=name, parameters=[*files, parameters], **common)
        for name, parameters in (("sim", sim), ("mpc", mpc))
    )


def files_of(given):
    """The parameter file. An unknown task has none of its own: the sim says which are known."""
    own = Path(get_package_share_directory("wm_mpc"), "config", f"{given['task']}.yaml")
    is_own = Path(given["params_file"]) == own
    return [] if is_own and not own.exists() else parameter_files(given)


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, _, default, text in ARGUMENTS
    ]
    return description(arguments, start)
