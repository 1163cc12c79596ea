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
    ("task", str, "push_t", "Robot and scene; its shipped world model has the same name."),
    ("planner", str, "adam", "Planning method: adam, gd, cem, icem, cem_gd, lm or mppi."),
    ("episodes", int, "0", "End after this number of episodes with a summary; 0: never."),
    (
        "lockstep",
        bool,
        "false",
        "Wait for each plan; the result then depends on the seed only.",
    ),
    (
        "real_time_factor",
        float,
        "1.0",
        "Speed of simulated time; unless it is 1.0, the simulation publishes /clock.",
    ),
    ("gui", bool, "false", "Open the window of PyBullet."),
    ("seed", int, "0", "Seed of starts, goals and the random numbers of the planner."),
    (
        "model",
        str,
        LaunchConfiguration("task"),
        "World model: the path of a .safetensors file, or the name of a shipped one.",
    ),
    (
        "auto_reload",
        bool,
        "false",
        "Change to each checkpoint that a learner announces.",
    ),
    (
        "record",
        str,
        "",
        "Film to write, a .gif or .mp4, with camera, goal and plan side by side; empty: none.",
    ),
    ("friction", float, "1.0", "Factor on the friction in task maze, as if the robot had changed."),
    ("camera_offset", float, "0.0", "How far the camera has been moved along x, in m."),
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
