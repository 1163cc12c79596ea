"""The simulation and its controller: `ros2 launch wm_mpc sim.launch.py episodes:=5`."""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from wm_mpc.ros.launch_arguments import ParameterArgument, values_of
from wm_mpc.ros.launch_models import check_model_of, shipped_models, simulated_tasks
from wm_mpc.ros.launching import (
    Together,
    description,
    environment,
    parameter_files,
    rviz,
    truth,
    viewer,
)

NO_MODEL = ", ".join(task for task in simulated_tasks() if task not in shipped_models())
# Each stands for parameters of the nodes.
PARAMETERS = (
    ParameterArgument(
        "task",
        ("sim:task",),
        "push_t",
        more="Its shipped world model has the same name"
        + (f"; without one: {NO_MODEL}, which needs the argument model" if NO_MODEL else ""),
    ),
    ParameterArgument("planner", ("mpc:planner.type",)),
    ParameterArgument("episodes", ("sim:episodes",), more="A summary follows"),
    ParameterArgument(
        "lockstep",
        ("sim:lockstep", "mpc:lockstep"),
        more="The result then depends on the seed only",
    ),
    ParameterArgument("real_time_factor", ("sim:real_time_factor",)),
    ParameterArgument("gui", ("sim:gui",)),
    ParameterArgument(
        "seed",
        ("sim:seed", "mpc:seed"),
        text="Seed of start states, goals and the random numbers of the planner",
    ),
    ParameterArgument(
        "model",
        ("mpc:checkpoint",),
        LaunchConfiguration("task"),
        more="It is of the same task, or of a robot of yours",
    ),
    ParameterArgument("auto_reload", ("mpc:auto_reload",)),
    ParameterArgument(
        "record", ("sim:record",), more="It shows camera, goal and plan side by side"
    ),
    ParameterArgument("friction", ("sim:disturbance.friction",)),
    ParameterArgument("camera_offset", ("sim:disturbance.camera",)),
)
OTHERS: tuple[tuple[str, Any, str], ...] = (
    (
        "viewer",
        "false",
        "Show camera, goal, plan and charts in the browser; the log says where.",
    ),
    ("rviz", "false", "Start RViz, where it is installed, with camera, goal, plan and robot."),
    ("respawn", "false", "Restart a node that dies, instead of ending with an error."),
    (
        "params_file",
        [FindPackageShare("wm_mpc"), "/config/", LaunchConfiguration("task"), ".yaml"],
        "ROS parameters of the nodes (YAML).",
    ),
)


def start(given, context):
    sim, mpc = (values_of(PARAMETERS, given, node) for node in ("sim", "mpc"))
    respawn = truth("respawn", given["respawn"])
    together = Together(given, respawn=respawn)
    check_model_of(given["task"], given["model"])
    # The sim is the clock unless it runs in plain real time.
    mpc["use_sim_time"] = sim["lockstep"] or sim["real_time_factor"] != 1.0
    # Without a controller, no episode would ever end.
    mpc["exit_on_failure"] = sim["episodes"] > 0 and not respawn
    common: dict[str, Any] = {
        "package": "wm_mpc",
        "output": "screen",
        "additional_env": environment(given, context),
        "on_exit": together.on_exit,
        "respawn": respawn,
        "respawn_delay": 1.0,
    }
    files = files_of(given)
    nodes = [
        Node(executable=name, name=name, parameters=[*files, parameters], **common)
        for name, parameters in (("sim", sim), ("mpc", mpc))
    ]
    shown = rviz(given, "world", parameters=[{"use_sim_time": mpc["use_sim_time"]}])
    return together(nodes, [*viewer(given, context, files), *shown])


def files_of(given):
    """The parameter file. Not every task has one of its own."""
    own = Path(get_package_share_directory("wm_mpc"), "config", f"{given['task']}.yaml")
    is_own = Path(given["params_file"]) == own
    return [] if is_own and not own.exists() else parameter_files(given)


def generate_launch_description():
    arguments = [argument.declared() for argument in PARAMETERS]
    arguments += [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, default, text in OTHERS
    ]
    return description(arguments, start)
